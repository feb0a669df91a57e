/* SPDX-License-Identifier: MIT */
#include "accuracy/trial.h"

#include "energy/scopes.h"
#include "meter/series.h"
#include "meter/watch.h"

#include <math.h>
#include <string.h>

#define MS NS_PER_MS

const char *const fault_names[FAULT_COUNT] = {"none", "reset", "stuck", "gap", "glitch", "lost"};
const char *const spoil_names[SPOIL_COUNT] = {"none", "naive", "no_guard", "narrow", "no_flags", "alarms"};

struct scene {
    const struct trial *trial;
    struct nature nature;
    int64_t step_ns, fault_ns;
};

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

/* The product's own series over what the sampler's ticks read. New array of struct meter_point. */
static GArray *sample(struct scene *s, int64_t from_ns, int64_t to_ns)
{
    struct series series;
    int64_t last_ns = INT64_MIN;
    series_init(&series);
    for (int64_t k = from_ns / s->step_ns; k * s->step_ns <= to_ns; k++) {
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

/* The first change of the counter after t, read by spinning. */
static struct meter_reading spin(struct scene *s, int64_t t_ns)
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

/* --- the session: guards planned and extended as the experiment does --------------------------------------------- */

/* What is known of the sensor beforehand: the channel, its period by characterisation, its lag by earlier windows. */
struct beforehand {
    const struct meter_channel *channel;
    struct meter_sensor seen;
    struct energy_known known;
};

/* The scopes as the sampler saw them, with ticks at the ends where the sensor has some. */
static struct energy_scopes *look(struct scene *s, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                  const struct meter_reading *ticks)
{
    struct energy_readings *readings = energy_readings_new();
    energy_readings_add(readings, &s->nature.info, sample(s, from_ns, to_ns), ticks, ticks ? ticks + 1 : NULL);
    return energy_scopes_new(known, readings);
}

#define LEARN_NS (2500 * MS) /* of quiet around an earlier window */

static void learn(struct scene *s, struct beforehand *b)
{
    for (int i = 0; i < s->nature.earlier_count; i++) {
        const struct nature_window *e = &s->nature.earlier[i];
        struct energy_window w = {e->t0_ns - LEARN_NS, e->t0_ns, e->t1_ns, e->t1_ns + LEARN_NS, 1, 0, 0};
        g_autoptr(owned_scopes) scopes = look(s, &b->known, w.guard_from_ns, w.guard_to_ns, NULL);
        g_autoptr(GArray) channels = energy_scopes_channels(scopes);
        energy_lag_learn(&g_array_index(channels, struct energy_channel, 0), &w, &b->seen.lag);
    }
}

static void know(struct scene *s, struct beforehand *ret)
{
    int64_t first_ns = s->nature.earlier_count ? s->nature.earlier[0].t0_ns : s->nature.work.t0_ns;
    *ret = (struct beforehand){.channel = &s->nature.info, .seen = characterise(s, first_ns - 20 * NS_PER_S)};
    ret->known = (struct energy_known){
        .channels = &ret->channel, .sensors = &ret->seen, .channel_count = 1, .on_boards = true};
    learn(s, ret);
}

static enum energy_guard_state guard_state(const struct energy_scopes *scopes, const struct energy_guard_plan *plan,
                                           const struct energy_window *window)
{
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    return energy_guard_settled(&g_array_index(channels, struct energy_channel, 0), plan, window, window->guard_to_ns);
}

static struct energy_guard_plan plan_guard(const struct energy_known *known)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(known, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    return energy_plan_guard((const struct energy_channel *)(const void *)channels->data, channels->len);
}

static struct energy_scopes *session(struct scene *s, const struct energy_known *known, struct energy_window *window)
{
    struct energy_guard_plan plan = plan_guard(known);
    int64_t t0_ns = s->nature.work.t0_ns, t1_ns = s->nature.work.t1_ns;
    int64_t from_ns = t0_ns - plan.pre_ns - 2 * plan.period_ns;
    struct energy_scopes *scopes = NULL;
    *window = (struct energy_window){t0_ns - plan.pre_ns, t0_ns, t1_ns, t1_ns + plan.post_ns, 1, 0, 0};
    for (;;) {
        energy_scopes_free(scopes);
        scopes = look(s, known, from_ns, window->guard_to_ns, NULL);
        if (guard_state(scopes, &plan, window) != ENERGY_GUARD_EXTEND)
            break;
        window->guard_to_ns = MIN(window->guard_to_ns + plan.hold_ns, t1_ns + plan.limit_ns);
    }
    if (!s->trial->sensor->ticks)
        return scopes;
    /* the last tick before t0; after t1 the second one */
    energy_scopes_free(scopes);
    struct meter_reading before = spin(s, t0_ns - 2 * s->nature.sensor.period_ns);
    struct meter_reading ticks[] = {before, spin(s, spin(s, t1_ns).after_ns)};
    return look(s, known, from_ns, window->guard_to_ns, ticks);
}

/* --- the judge's sabotage ---------------------------------------------------------------------------------------- */

static void spoil(struct scene *s, const struct energy_window *window, struct energy_estimate *e)
{
    struct nature *n = &s->nature;
    double d = e->duration_s;
    switch (s->trial->spoil) {
    case SPOIL_NAIVE:
        e->joules.value = (double)(nature_read(n, window->t1_ns) - nature_read(n, window->t0_ns)) * n->info.scale;
        if (s->nature.info.kind != METER_ENERGY)
            e->joules.value = d * (double)nature_read(n, (window->t0_ns + window->t1_ns) / 2) * n->info.scale;
        break;
    case SPOIL_NO_GUARD:
        e->joules.value += e->pre_w * 1.5 * (double)s->nature.sensor.period_ns * 1e-9;
        break;
    case SPOIL_NARROW:
        e->statistical_j /= 2;
        e->joules.low = e->joules.value - (e->joules.value - e->joules.low) / 2;
        e->joules.high = e->joules.value + (e->joules.high - e->joules.value) / 2;
        break;
    case SPOIL_NO_FLAGS:
        e->flags = 0;
        break;
    case SPOIL_ALARMS:
        if (s->trial->seed % 20 == 0)
            e->flags |= ENERGY_FLAG(GAP);
        break;
    default:
        break;
    }
}

static void break_sensor(struct scene *s)
{
    const struct nature_window *w = &s->nature.work;
    double at = 0.1 + 0.8 * sim_rng_uniform(&s->nature.rng);
    enum fault fault = s->trial->fault;
    s->fault_ns = w->t0_ns + (int64_t)(at * (double)(w->t1_ns - w->t0_ns));
    nature_break(&s->nature, fault == FAULT_RESET ? s->fault_ns : SIM_NEVER,
                 fault == FAULT_STUCK ? s->fault_ns : SIM_NEVER, fault == FAULT_GLITCH ? s->fault_ns : SIM_NEVER);
}

void trial_run(const struct trial *trial, struct outcome *ret)
{
    struct scene s = {.trial = trial};
    struct energy_options options = {.draws = 1000, .seed = (uint32_t)trial->seed};
    struct beforehand beforehand;
    struct energy_window window;
    nature_draw(trial->sensor, trial->load, trial->after, trial->duration_s, trial->gain, trial->offset_w, trial->seed,
                &s.nature);
    s.step_ns = trial->sensor->poll_ns ? trial->sensor->poll_ns : 10 * MS;
    know(&s, &beforehand);
    break_sensor(&s);
    g_autoptr(owned_scopes) scopes = session(&s, &beforehand.known, &window);
    options.stamps_ns = (const int64_t *)(void *)s.nature.stamps->data;
    options.stamp_count = s.nature.stamps->len;
    energy_scope_estimate(scopes->primary, &window, &options, &ret->estimate, NULL);
    ret->truth_j = nature_truth_j(&s.nature, &s.nature.work);
    if (trial->spoil != SPOIL_NONE && ret->estimate.joules.status != QUANTITY_ABSENT)
        spoil(&s, &window, &ret->estimate);
    else if (trial->spoil == SPOIL_NO_FLAGS)
        ret->estimate.flags = 0;
    ret->estimate.joules.sensor = NULL; /* borrowed from this scene */
    ret->estimate.device = ret->estimate.scope = NULL;
    for (size_t i = 0; i < ret->estimate.check_count; i++)
        ret->estimate.checks[i].sensor = NULL;
    nature_clear(&s.nature);
}
