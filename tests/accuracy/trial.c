/* SPDX-License-Identifier: MIT */
#include "accuracy/trial.h"

#include "accuracy/scene.h"

#include <math.h>
#include <string.h>

#define MS NS_PER_MS

const char *const fault_names[FAULT_COUNT] = {"none", "reset", "stuck", "gap", "glitch", "lost"};
const char *const spoil_names[SPOIL_COUNT] = {"none", "naive", "no_guard", "narrow", "no_flags", "alarms"};

/* --- the session: guards planned and extended as the experiment does --------------------------------------------- */

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
        scopes = scene_look(s, known, from_ns, window->guard_to_ns, NULL);
        if (guard_state(scopes, &plan, window) != ENERGY_GUARD_EXTEND)
            break;
        window->guard_to_ns = MIN(window->guard_to_ns + plan.hold_ns, t1_ns + plan.limit_ns);
    }
    if (!s->trial->sensor->ticks)
        return scopes;
    /* the last tick before t0; after t1 the second one */
    energy_scopes_free(scopes);
    struct meter_reading before = scene_spin(s, t0_ns - 2 * s->nature.sensor.period_ns);
    struct meter_reading ticks[] = {before, scene_spin(s, scene_spin(s, t1_ns).after_ns)};
    return scene_look(s, known, from_ns, window->guard_to_ns, ticks);
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
                trial->run, &s.nature);
    s.step_ns = trial->sensor->poll_ns ? trial->sensor->poll_ns : 10 * MS;
    scene_know(&s, &beforehand);
    break_sensor(&s);
    g_autoptr(owned_scopes) scopes = session(&s, &beforehand.known, &window);
    options.stamps_ns = (const int64_t *)(void *)s.nature.stamps->data;
    options.stamp_count = s.nature.stamps->len;
    energy_scope_estimate(scopes->primary, &window, &options, &ret->estimate, NULL);
    ret->alike = nature_alike(&s.nature);
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
