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
    return s->trial->fault == FAULT_GAP && t_ns >= s->fault_ns && t_ns < s->fault_ns + length;
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

static GArray *sample(struct scene *s, int64_t begin_ns, int64_t end_ns, int64_t from_ns, int64_t to_ns)
{
    struct series series;
    int64_t last_ns = INT64_MIN;
    series_init(&series);
    for (int64_t k = begin_ns / s->step_ns; k * s->step_ns <= end_ns; k++) {
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

GArray *scene_sample(struct scene *s, int64_t from_ns, int64_t to_ns)
{
    return sample(s, from_ns, to_ns, from_ns, to_ns);
}

GArray *scene_sample_of_run(struct scene *s, int64_t from_ns, int64_t to_ns)
{
    int64_t more_ns = 2 * s->nature.sensor.period_ns + 5 * s->step_ns;
    return sample(s, from_ns - more_ns, to_ns + more_ns, from_ns, to_ns);
}

struct meter_reading scene_spin(struct scene *s, int64_t t_ns)
{
    int64_t tick = nature_next_ns(&s->nature, t_ns);
    int64_t before = tick + (int64_t)(sim_rng_uniform(&s->nature.rng) * (double)READ_NS);
    return (struct meter_reading){before, before + READ_NS, nature_read(&s->nature, before + READ_NS / 2),
                                  METER_READ_OK};
}

/* The product's own characterisation, of an idle board: only the polls around each refresh are worth the time. */
#define WATCH_NS (1500 * MS)

static struct meter_sensor characterise(struct scene *s, int64_t from_ns)
{
    struct watch watch;
    int64_t poll_ns = s->nature.info.rate == METER_SLOW ? 10 * MS : MS, t_ns = from_ns, end_ns = from_ns + WATCH_NS;
    watch_init(&watch, &s->nature.info);
    while (t_ns < end_ns || (!watch_is_enough(&watch) && t_ns < from_ns + METER_WATCH_LONGER * WATCH_NS)) {
        struct meter_reading r = reading_at(s, t_ns);
        watch_see(&watch, &r);
        int64_t next_ns = nature_next_ns(&s->nature, t_ns);
        t_ns += MAX(poll_ns, ((next_ns - t_ns) / poll_ns - 1) * poll_ns);
    }
    struct meter_sensor found = watch_found(&watch);
    watch_clear(&watch);
    return found;
}

/* --- what is known beforehand -------------------------------------------------------------------------------------- */

struct energy_scopes *scene_look(struct scene *s, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                 const struct meter_reading *ticks)
{
    struct energy_readings *readings = energy_readings_new();
    energy_readings_add(readings, &s->nature.info, scene_sample(s, from_ns, to_ns), ticks, ticks ? ticks + 1 : NULL);
    return energy_scopes_new(known, readings);
}

#define LEARN_NS (2500 * MS) /* of quiet around an earlier window */

static void learn(struct scene *s, struct beforehand *b)
{
    for (int i = 0; i < s->nature.earlier_count; i++) {
        const struct nature_window *e = &s->nature.earlier[i];
        struct energy_window w = {e->t0_ns - LEARN_NS, e->t0_ns, e->t1_ns, e->t1_ns + LEARN_NS, 1, 0, 0};
        g_autoptr(owned_scopes) scopes = scene_look(s, &b->known, w.guard_from_ns, w.guard_to_ns, NULL);
        g_autoptr(GArray) channels = energy_scopes_channels(scopes);
        energy_lag_learn(&g_array_index(channels, struct energy_channel, 0), &w, &b->seen.lag);
    }
}

void scene_know(struct scene *s, struct beforehand *ret)
{
    int64_t first_ns = s->nature.earlier_count ? s->nature.earlier[0].t0_ns : s->nature.work.t0_ns;
    *ret = (struct beforehand){.channel = &s->nature.info, .seen = characterise(s, first_ns - 20 * NS_PER_S)};
    ret->known = (struct energy_known){
        .channels = &ret->channel, .sensors = &ret->seen, .channel_count = 1, .on_boards = true};
    learn(s, ret);
}
