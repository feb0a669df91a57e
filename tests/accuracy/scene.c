/* SPDX-License-Identifier: MIT */
#include "accuracy/scene.h"

#include "meter/series.h"
#include "meter/watch.h"

#define MS NS_PER_MS

/* --- the virtual sampler ----------------------------------------------------------------------------------------- */

/* When tick k begins to read: on its deadline, late as an ordinary scheduler makes it. */
static int64_t tick_ns(const struct scene *s, int64_t k)
{
    struct sim_rng rng = {s->trial->seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)k};
    double late_us = sim_rng_exponential(&rng, 80);
    if (sim_rng_uniform(&rng) < 0.01)
        late_us += 1500 * sim_rng_uniform(&rng);
    return k * s->step_ns + (int64_t)(late_us * 1e3);
}

#define READ_NS (30 * NS_PER_US)

static bool in_gap(const struct scene *s, int64_t t_ns)
{
    int64_t length = MAX(600 * MS, 2 * s->nature.sensor.period_ns);
    return s->trial->fault == FAULT_GAP && t_ns >= s->fault_ns && t_ns - s->fault_ns < length;
}

static struct meter_reading reading_at(struct scene *s, int64_t t_ns)
{
    if (s->trial->fault == FAULT_LOST && t_ns >= s->fault_ns)
        return (struct meter_reading){t_ns, t_ns + READ_NS, 0, METER_READ_LOST};
    return (struct meter_reading){t_ns, t_ns + READ_NS, nature_read(&s->nature, t_ns + READ_NS / 2), METER_READ_OK};
}

/* A tick between two that see the same refresh shows nothing new: it only says that the run goes on. */
static bool between_refreshes(struct scene *s, int64_t before_ns, int64_t k)
{
    int64_t t_ns = k * s->step_ns;
    return s->nature.sensor.period_ns > 4 * s->step_ns && s->trial->fault == FAULT_NONE &&
           nature_next_ns(&s->nature, before_ns) > t_ns + 2 * s->step_ns + 2 * MS && t_ns - before_ns < 3 * s->step_ns;
}

GArray *scene_sample(struct scene *s, int64_t from_ns, int64_t to_ns)
{
    struct series series;
    int64_t last_ns = INT64_MIN, more_ns = 2 * s->nature.sensor.period_ns + 5 * s->step_ns;
    series_init(&series);
    for (int64_t k = (from_ns - more_ns) / s->step_ns; k * s->step_ns <= to_ns + more_ns; k++) {
        int64_t t = tick_ns(s, k);
        if (in_gap(s, t) || t < last_ns || (last_ns != INT64_MIN && between_refreshes(s, last_ns, k)))
            continue;
        struct meter_reading r = reading_at(s, t);
        series_absorb(&series, &s->nature.info, &r, 5 * s->step_ns);
        last_ns = r.after_ns;
    }
    GArray *points = series_copy(&series, from_ns, to_ns);
    series_clear(&series);
    return points;
}

struct meter_reading scene_spin(struct scene *s, int64_t t_ns)
{
    int64_t tick = nature_next_ns(&s->nature, t_ns);
    int64_t before = tick + (int64_t)(sim_rng_uniform(&s->nature.rng) * (double)READ_NS);
    return (struct meter_reading){before, before + READ_NS, nature_read(&s->nature, before + READ_NS / 2),
                                  METER_READ_OK};
}

/* The product's own characterisation, of an idle board: only the polls around each refresh are worth the time. */
struct meter_sensor scene_characterise(struct scene *s, int64_t from_ns)
{
    struct watch watch;
    int64_t poll_ns = s->nature.info.rate == METER_SLOW ? 10 * MS : MS, t_ns = from_ns;
    watch_init(&watch, &s->nature.info);
    while (t_ns < from_ns + SCENE_WATCH_ONCE_NS ||
           (!watch_is_enough(&watch) && t_ns < from_ns + METER_WATCH_LONGER * SCENE_WATCH_ONCE_NS)) {
        struct meter_reading r = reading_at(s, t_ns);
        watch_see(&watch, &r);
        int64_t next_ns = nature_next_ns(&s->nature, t_ns);
        t_ns += MAX(poll_ns, ((next_ns - t_ns) / poll_ns - 1) * poll_ns);
    }
    struct meter_sensor found = watch_found(&watch);
    watch_clear(&watch);
    return found;
}

void scene_break(struct scene *s)
{
    const struct nature_window *w = &s->nature.work;
    double at = 0.1 + 0.8 * sim_rng_uniform(&s->nature.rng);
    enum fault fault = s->trial->fault;
    s->fault_ns = w->t0_ns + (int64_t)(at * (double)(w->t1_ns - w->t0_ns));
    nature_break(&s->nature, fault == FAULT_RESET ? s->fault_ns : SIM_NEVER,
                 fault == FAULT_STUCK ? s->fault_ns : SIM_NEVER, fault == FAULT_GLITCH ? s->fault_ns : SIM_NEVER);
}
