/* SPDX-License-Identifier: MIT */
/* Noise-free sensors drawn by hand: points as the sampler would hold them, for answers known to the last digit. */
#pragma once

#include "energy/energy.h"

#include <math.h>
#include <string.h>

#define MS NS_PER_MS

/* Power over time: idle, work from t0 to t1, then after_w until drop, then idle again. */
struct scene {
    double idle_w, work_w, after_w;
    int64_t t0_ns, t1_ns, drop_ns;
    int64_t period_ns, phase_ns, delay_ns, average_ns, step_ns;
};

static inline double scene_energy_j(const struct scene *s, int64_t t_ns) /* from 0 to t */
{
    double j = s->idle_w * (double)t_ns;

    if (t_ns > s->t0_ns)
        j += (s->work_w - s->idle_w) * (double)(MIN(t_ns, s->t1_ns) - s->t0_ns);
    if (t_ns > s->t1_ns && s->drop_ns > s->t1_ns)
        j += (s->after_w - s->idle_w) * (double)(MIN(t_ns, s->drop_ns) - s->t1_ns);
    return j * 1e-9;
}

static inline struct scene scene_default(void)
{
    return (struct scene){.idle_w = 100,
                          .work_w = 400,
                          .after_w = 100,
                          .t0_ns = 20 * NS_PER_S + 37 * MS,
                          .t1_ns = 22 * NS_PER_S + 91 * MS,
                          .period_ns = 100 * MS,
                          .phase_ns = 13 * MS,
                          .delay_ns = 40 * MS,
                          .step_ns = 10 * MS};
}

static inline double scene_reading(const struct scene *s, enum meter_kind kind, int64_t t_ns)
{
    int64_t k = (t_ns - s->phase_ns) / s->period_ns;
    int64_t end_ns = s->phase_ns + k * s->period_ns - s->delay_ns;
    int64_t a_ns = s->average_ns > 0 ? s->average_ns : s->period_ns;

    if (kind == METER_ENERGY)
        return scene_energy_j(s, end_ns);
    return (scene_energy_j(s, end_ns) - scene_energy_j(s, end_ns - a_ns)) / ((double)a_ns * 1e-9);
}

/* Points of the channel between two moments, one poll every step. */
static inline GArray *scene_points(const struct scene *s, const struct meter_channel *info, int64_t from_ns,
                                   int64_t to_ns)
{
    GArray *points = g_array_new(FALSE, FALSE, sizeof(struct meter_point));
    struct meter_point *run = NULL;

    for (int64_t t = from_ns; t <= to_ns; t += s->step_ns) {
        int64_t raw = llround(scene_reading(s, info->kind, t) / info->scale);
        if (run && run->raw == raw) {
            run->last_ns = t;
            continue;
        }
        struct meter_point next = {run ? run->last_ns : t, t, t, raw, METER_READ_OK};
        g_array_append_val(points, next);
        run = &g_array_index(points, struct meter_point, points->len - 1);
    }
    return points;
}

/* A channel and its points. Free with seen_clear(). */
struct seen {
    struct meter_channel info;
    struct energy_channel channel;
    GArray *points;
};

static inline void seen_init(struct seen *seen, const struct scene *s, enum meter_kind kind,
                             const struct energy_window *w)
{
    memset(seen, 0, sizeof *seen);
    seen->info = (struct meter_channel){.id = kind == METER_ENERGY ? "x:gpu:energy" : "x:gpu:power",
                                        .device = "GPU-1",
                                        .scope = METER_SCOPE_GPU,
                                        .kind = kind,
                                        .scale = 1e-6,
                                        .refresh_ns = s->period_ns,
                                        .window_ns = kind == METER_POWER_AVERAGE ? s->average_ns : s->period_ns,
                                        .part_ns = s->period_ns,
                                        .sensor_class = "nvidia",
                                        .status = QUANTITY_MEASURED,
                                        .low_ratio = 1,
                                        .high_ratio = 1};
    seen->points = scene_points(s, &seen->info, w->guard_from_ns - NS_PER_S, w->guard_to_ns);
    seen->channel = (struct energy_channel){.info = &seen->info,
                                            .points = (void *)seen->points->data,
                                            .count = seen->points->len,
                                            .period_ns = s->period_ns};
}

static inline struct meter_point *seen_at(struct seen *seen, int64_t t_ns)
{
    for (guint i = seen->points->len; i-- > 0;) {
        struct meter_point *p = &g_array_index(seen->points, struct meter_point, i);
        if (p->first_ns <= t_ns)
            return p;
    }
    g_assert_not_reached();
}

static inline void seen_clear(struct seen *seen)
{
    g_array_unref(seen->points);
}

/* The window of a scene with guards as planned. */
static inline struct energy_window scene_window(const struct scene *s, double pre_s, double post_s)
{
    return (struct energy_window){s->t0_ns - (int64_t)(pre_s * 1e9),  s->t0_ns, s->t1_ns,
                                  s->t1_ns + (int64_t)(post_s * 1e9), 1, 0, 0};
}

static inline double scene_truth_j(const struct scene *s)
{
    return scene_energy_j(s, s->t1_ns) - scene_energy_j(s, s->t0_ns);
}

#define g_assert_near(found, expected, tolerance)                                                                    \
    do {                                                                                                             \
        double f_ = (found), e_ = (expected), t_ = (tolerance);                                                      \
        if (!(fabs(f_ - e_) <= t_))                                                                                  \
            g_error("%s:%d: %s: expected %.10g ± %.3g, found %.10g", __FILE__, __LINE__, #found, e_, t_, f_);        \
    } while (0)
