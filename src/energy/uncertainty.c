/* SPDX-License-Identifier: MIT */
/* Putting parts together: JCGM 101:2008 (GUM Supplement 1), by Monte Carlo. */
#include "energy/internal.h"

#include <math.h>

double parts_half_width(const struct parts *parts, size_t draws, uint32_t seed)
{
    if (parts->n == 0)
        return 0;
    GRand *rng = g_rand_new_with_seed(seed);
    struct stats_interval i = stats_propagate(parts->at, parts->n, NULL, NULL, draws, rng, STATS_LEVEL);
    g_rand_free(rng);
    return (i.high - i.low) / 2;
}

struct reading {
    double raw_j, duration_s;
    const struct response *response;
};

/* The last two draws are standard normal, for gain and offset; the others statistical. */
static double truth(const double *draws, size_t n, void *user)
{
    const struct reading *r = user;
    const struct response *response = r->response;
    double statistical = 0, rho = response->correlation;
    for (size_t i = 0; i + 2 < n; i++)
        statistical += draws[i];
    double gain = draws[n - 2] * response->gain_rel_u;
    double offset = (rho * draws[n - 2] + sqrt(1 - rho * rho) * draws[n - 1]) * response->offset_w_u;
    return (r->raw_j - statistical - (response->offset_w + offset) * r->duration_s) / (response->gain * (1 + gain));
}

struct stats_interval energy_combine(double raw_j, double duration_s, const struct parts *parts,
                                     const struct response *response, size_t draws, uint32_t seed)
{
    struct reading reading = {raw_j, duration_s, response};
    struct stats_component all[PARTS_MAX + 2];
    size_t n = parts ? parts->n : 0;
    GRand *rng = g_rand_new_with_seed(seed);
    for (size_t i = 0; i < n; i++)
        all[i] = parts->at[i];
    all[n++] = (struct stats_component){STATS_NORMAL, 1, 0};
    all[n++] = (struct stats_component){STATS_NORMAL, 1, 0};
    struct stats_interval interval = stats_propagate(all, n, truth, &reading, draws, rng, STATS_LEVEL);
    g_rand_free(rng);
    return interval;
}
