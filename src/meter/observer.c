/* SPDX-License-Identifier: MIT */
#include "meter/observer.h"

#include <math.h>

#define ROUNDS       4     /* choice: the fewest whose scatter tells anything */
#define T_3          3.182 /* Student's t, 97.5 %, ROUNDS − 1 degrees of freedom */
#define POLL_NS      (1 * NS_PER_MS)   /* choice: a hundredth of a refresh */
#define EDGE_WAIT_NS (500 * NS_PER_MS) /* sensors refresh at least that often; a counter that stands still does not */
#define STEP_NS      (10 * NS_PER_MS)  /* the default of energy.sample_period_ms */
#define SETTLE_NS    (300 * NS_PER_MS) /* delay and rise of the sensors there are (arXiv 2312.02741) */

enum { OFF, ON, STATES };

struct stretch {
    double power_w[STATES][ROUNDS], work_j[STATES][ROUNDS];
};

/* The next edge of each counter (the model has a value at any time). */
static void wait_for_edges(struct meter *meter, const size_t *counters, size_t count, struct meter_reading *ret)
{
    g_autofree struct meter_reading *first = g_new0(struct meter_reading, count);
    for (size_t i = 0; i < count; i++) {
        meter_read_one(meter, counters[i], &first[i]);
        ret[i] = first[i];
    }
    int64_t end_ns = clock_mono_ns() + EDGE_WAIT_NS;
    for (size_t left = 1; left > 0 && clock_mono_ns() < end_ns;) {
        clock_sleep_until_ns(clock_mono_ns() + POLL_NS);
        left = 0;
        for (size_t i = 0; i < count; i++) {
            bool modelled = meter_channel_at(meter, counters[i])->status == QUANTITY_MODELLED;
            if (modelled || ret[i].status != METER_READ_OK || ret[i].raw != first[i].raw)
                continue;
            meter_read_one(meter, counters[i], &ret[i]);
            left++;
        }
    }
}

/* Joules and seconds between two edges. */
static bool between(const struct meter_channel *c, const struct meter_reading *from, const struct meter_reading *to,
                    double *ret_j, double *ret_s)
{
    int64_t raw;
    enum meter_read_status status;
    if (!meter_counter_delta(c, from, to, &raw, &status))
        return false;
    *ret_j = (double)raw * c->scale;
    *ret_s = clock_seconds(to->after_ns - from->after_ns);
    return *ret_s > 0;
}

/* Works for busy_ns of CPU time and waits, with the sampler on or off. Off: one reading at the end of the work, for
 * sources that learn of it when they are read. */
static bool work(struct meter *meter, struct meter_load *load, int state, int64_t busy_ns, int64_t wait_ns,
                 GError **error)
{
    g_autoptr(owned_sampler) sampler = NULL;
    int64_t t0_ns, t1_ns = clock_mono_ns();
    if (state == ON) {
        sampler = sampler_new(meter, &(struct sampler_options){.step_ns = STEP_NS}, error);
        if (!sampler || !sampler_start(sampler, error))
            return false;
    }
    bool ok = busy_ns == 0 || meter_load_work(load, 1, busy_ns, &t0_ns, &t1_ns, error);
    for (size_t i = 0; state == OFF && i < meter_channel_count(meter); i++) {
        struct meter_reading ignored;
        if (meter_channel_at(meter, i)->kind == METER_ENERGY)
            meter_read_one(meter, i, &ignored);
    }
    clock_sleep_until_ns(t1_ns + wait_ns);
    return (!sampler || sampler_stop(sampler, ok ? error : NULL)) && ok;
}

/* One idle and one busy stretch; the third edge ends the busy one. */
static bool run_stretch(struct meter *meter, struct meter_load *load, const size_t *counters, size_t count,
                        int64_t stretch_ns, int state, int round, struct stretch *stretches, struct observer *ret,
                        GError **error)
{
    g_autofree struct meter_reading *edges = g_new0(struct meter_reading, 3 * count);
    wait_for_edges(meter, counters, count, edges);
    if (!work(meter, load, state, 0, stretch_ns, error))
        return false;
    wait_for_edges(meter, counters, count, edges + count);
    if (!work(meter, load, state, stretch_ns / 2, SETTLE_NS, error))
        return false;
    wait_for_edges(meter, counters, count, edges + 2 * count);
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = meter_channel_at(meter, counters[i]);
        double idle_j, idle_s, busy_j, busy_s;
        bool ok = between(c, &edges[i], &edges[count + i], &idle_j, &idle_s) &&
                  between(c, &edges[count + i], &edges[2 * count + i], &busy_j, &busy_s);
        ret[i].read_ok = ret[i].read_ok && ok;
        if (!ok)
            continue;
        stretches[i].power_w[state][round] = idle_j / idle_s;
        stretches[i].work_j[state][round] = busy_j - idle_j / idle_s * busy_s;
    }
    return true;
}

static void compare(double values[STATES][ROUNDS], double *ret_difference, double *ret_off, double *ret_u)
{
    double off = 0, mean = 0, squares = 0;
    for (int i = 0; i < ROUNDS; i++) {
        off += values[OFF][i] / ROUNDS;
        mean += (values[ON][i] - values[OFF][i]) / ROUNDS;
    }
    for (int i = 0; i < ROUNDS; i++)
        squares += pow(values[ON][i] - values[OFF][i] - mean, 2);
    *ret_difference = mean;
    *ret_off = off;
    *ret_u = T_3 * sqrt(squares / (ROUNDS - 1) / ROUNDS);
}

bool observer_run(struct meter *meter, struct meter_load *load, const size_t *counters, size_t count,
                  int64_t stretch_ns,
                  struct observer *ret, GError **error)
{
    g_autofree struct stretch *stretches = g_new0(struct stretch, count);
    for (size_t i = 0; i < count; i++)
        ret[i] = (struct observer){.read_ok = true};
    for (int turn = 0; turn < ROUNDS * STATES; turn++) {
        int round = turn / STATES, state = (turn + round) % STATES; /* off on, on off, …: a drift falls on both alike */
        if (!run_stretch(meter, load, counters, count, stretch_ns, state, round, stretches, ret, error))
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        compare(stretches[i].power_w, &ret[i].idle_w, &ret[i].idle_off_w, &ret[i].idle_u_w);
        compare(stretches[i].work_j, &ret[i].busy_j, &ret[i].busy_off_j, &ret[i].busy_u_j);
    }
    return true;
}
