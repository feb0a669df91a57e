/* SPDX-License-Identifier: MIT */
#include "accuracy/trial.h"

#include "accuracy/order.h"

#include <math.h>
#include <string.h>

#define MS NS_PER_MS

const char *const fault_names[FAULT_COUNT] = {"none", "reset", "stuck", "gap", "glitch", "lost"};
const char *const spoil_names[SPOIL_COUNT] = {"none",     "naive",  "no_guard", "narrow",
                                               "no_flags", "alarms", "locked",   "unlocked"};

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
    case SPOIL_LOCKED:
        e->flags |= ENERGY_FLAG(PHASE_LOCKED);
        break;
    case SPOIL_UNLOCKED:
        e->flags &= ~ENERGY_FLAG(PHASE_LOCKED);
        break;
    default:
        break;
    }
}

/* Of a counter that ticks fast: the last tick before t0, the second one after t1. */
static struct energy_scopes *look(struct order *o)
{
    struct scene *s = o->scenes;
    const struct energy_window *w = &o->window;
    if (!s->trial->sensor->ticks)
        return order_look(o, w->guard_from_ns, w->guard_to_ns, NULL);
    struct meter_reading before = scene_spin(s, w->t0_ns - 2 * s->nature.sensor.period_ns);
    struct meter_reading after = scene_spin(s, scene_spin(s, w->t1_ns).after_ns);
    struct energy_ticks ticks = {&before, &after};
    return order_look(o, w->guard_from_ns, w->guard_to_ns, &ticks);
}

void trial_run(const struct trial *trial, struct outcome *ret)
{
    struct scene s = {.trial = trial, .fault_ns = INT64_MAX};
    struct energy_options options = {.draws = 1000, .seed = (uint32_t)trial->seed};
    struct order order;
    nature_draw(trial->sensor, trial->load, trial->after, trial->duration_s, trial->gain, trial->offset_w, trial->seed,
                trial->run, &s.nature);
    s.step_ns = trial->sensor->poll_ns ? trial->sensor->poll_ns : 10 * MS;
    order_open(&order, &s, 1);
    for (int i = 0; i < trial->sensor->runs; i++)
        order_earlier(&order);
    order_measure(&order);
    g_autoptr(owned_scopes) scopes = look(&order);
    options.stamps_ns = (const int64_t *)(void *)s.nature.stamps->data;
    options.stamp_count = s.nature.stamps->len;
    energy_scope_estimate(scopes->primary, &order.window, &options, &ret->estimate, NULL);
    ret->meeting = nature_meet(&s.nature);
    ret->truth_j = nature_truth_j(&s.nature, &s.nature.work);
    if (trial->spoil != SPOIL_NONE && ret->estimate.joules.status != QUANTITY_ABSENT)
        spoil(&s, &order.window, &ret->estimate);
    else if (trial->spoil == SPOIL_NO_FLAGS)
        ret->estimate.flags = 0;
    ret->estimate.joules.sensor = NULL; /* borrowed from this scene */
    ret->estimate.device = ret->estimate.scope = NULL;
    for (size_t i = 0; i < ret->estimate.check_count; i++)
        ret->estimate.checks[i].sensor = NULL;
    nature_clear(&s.nature);
}
