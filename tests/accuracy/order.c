/* SPDX-License-Identifier: MIT */
#include "accuracy/order.h"

#define MS NS_PER_MS

/* What engines and hosts take for their part. A warm-up is shorter than most: what matters of it are its ends. From
 * there to the guard an engine takes over the prompts and resets itself; where that takes longer than 2 s it is
 * warmed up once more. */
static const struct span rest_ms = {1000, 8000}, load_ms = {1000, 3000}, tokenize_ms = {5, 500},
                         warmup_ms = {2000, 8000}, handing_ms = {5, 2000}, release_ms = {0.2, 3},
                         short_work_ms = {1000, 3000};

#define IDLE_NS   (15 * NS_PER_S) /* with the engine loaded, as long as by default */
#define BEFORE_NS NS_PER_S        /* the warm-up: the quiet its first step is seen against */

/* --- what is known and read -------------------------------------------------------------------------------------- */

void order_open(struct order *o, struct scene *scenes, size_t count)
{
    *o = (struct order){.scenes = scenes, .count = count, .now_ns = NS_PER_S};
    for (size_t i = 0; i < count; i++) {
        o->channels[i] = &scenes[i].nature.info;
        o->sensors[i] = scene_characterise(&scenes[i], o->now_ns);
    }
    o->now_ns += SCENE_WATCH_NS;
    o->known = (struct energy_known){
        .channels = o->channels, .sensors = o->sensors, .channel_count = count, .on_boards = true, .levels = o->levels};
}

struct energy_readings *order_read(struct order *o, int64_t from_ns, int64_t to_ns, const struct energy_ticks *ticks)
{
    bool any = ticks && ticks->before;
    struct energy_readings *readings = energy_readings_new();
    for (size_t i = 0; i < o->count; i++)
        energy_readings_add(readings, o->channels[i], scene_sample(&o->scenes[i], from_ns, to_ns),
                            any ? &ticks->before[i] : NULL, any ? &ticks->after[i] : NULL);
    return readings;
}

struct energy_scopes *order_look(struct order *o, int64_t from_ns, int64_t to_ns, const struct energy_ticks *ticks)
{
    return energy_scopes_new(&o->known, order_read(o, from_ns, to_ns, ticks));
}

static void learn(struct order *o, const GArray *findings)
{
    for (guint k = 0; k < findings->len; k++) {
        const struct energy_finding *f = &g_array_index(findings, struct energy_finding, k);
        for (size_t i = 0; i < o->count; i++)
            if (g_str_equal(f->channel_id, o->channels[i]->id)) {
                o->sensors[i].lag = f->learnt.lag;
                o->sensors[i].follows_average = o->sensors[i].follows_average || f->learnt.follows_average;
            }
    }
}

static void learn_of(struct order *o, const struct energy_window *w)
{
    g_autoptr(owned_scopes) scopes = order_look(o, w->guard_from_ns, w->guard_to_ns, NULL);
    g_autoptr(GArray) following = energy_scopes_following(scopes), lags = energy_scopes_lags(scopes, w);
    learn(o, following);
    learn(o, lags);
}

static struct energy_guard_plan plan_guard(const struct order *o)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&o->known, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    return energy_plan_guard((const struct energy_channel *)(const void *)channels->data, channels->len);
}

struct nature_window order_idle(const struct order *o, int64_t worked_ns)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&o->known, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    int64_t rest_ns = energy_rest_ns((const struct energy_channel *)(const void *)channels->data, channels->len);
    int64_t t0_ns = MAX(o->now_ns, worked_ns + rest_ns);
    return (struct nature_window){t0_ns, t0_ns + IDLE_NS};
}

/* --- the stretches of a run -------------------------------------------------------------------------------------- */

static int64_t wait_ns(struct order *o, struct span ms)
{
    return nature_wait_ns(&o->scenes[0].nature, ms);
}

static struct nature_window pass(struct order *o, struct span ms)
{
    int64_t length_ns = wait_ns(o, ms);
    struct nature_window w = {0};
    for (size_t i = 0; i < o->count; i++)
        w = nature_pass(&o->scenes[i].nature, o->now_ns, length_ns);
    o->now_ns = w.t1_ns;
    return w;
}

static void warm_up(struct order *o)
{
    o->load = pass(o, load_ms);
    o->now_ns += wait_ns(o, tokenize_ms);
    o->idle = order_idle(o, o->now_ns);
    o->now_ns = o->idle.t1_ns;
    o->warmup = (struct nature_window){0};
    if (!o->scenes[0].trial->sensor->unwarmed)
        o->warmup = pass(o, warmup_ms);
    o->now_ns += wait_ns(o, handing_ms);
}

/* As long as planned, and as long as what it shows of the sensors asks for. */
static struct energy_guard_plan keep_quiet_before(struct order *o)
{
    int64_t from_ns = o->now_ns;
    o->now_ns = from_ns + plan_guard(o).pre_ns;
    if (o->warmup.t1_ns) {
        struct energy_window w = {o->warmup.t0_ns - BEFORE_NS, o->warmup.t0_ns, o->warmup.t1_ns, o->now_ns, 1, 0, 0};
        learn_of(o, &w);
    }
    struct energy_guard_plan plan = plan_guard(o);
    o->now_ns = MAX(o->now_ns, from_ns + plan.pre_ns);
    o->window.guard_from_ns = from_ns;
    return plan;
}

static bool wants_more(struct order *o, const struct energy_guard_plan *plan)
{
    g_autoptr(owned_scopes) scopes = order_look(o, o->window.guard_from_ns, o->now_ns, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    bool more = false;
    for (guint i = 0; i < channels->len; i++)
        more = more || energy_guard_settled(&g_array_index(channels, struct energy_channel, i), plan, &o->window,
                                            o->now_ns) == ENERGY_GUARD_EXTEND;
    return more;
}

static void keep_quiet_after(struct order *o, const struct energy_guard_plan *plan)
{
    o->now_ns = o->window.t1_ns + plan->post_ns;
    while (wants_more(o, plan))
        o->now_ns += plan->hold_ns;
    o->window.guard_to_ns = o->now_ns;
    struct energy_window w = o->window;
    learn_of(o, &w);
}

void order_earlier(struct order *o)
{
    warm_up(o);
    struct energy_guard_plan plan = keep_quiet_before(o);
    struct nature_window at = pass(o, short_work_ms);
    o->window = (struct energy_window){o->window.guard_from_ns, at.t0_ns, at.t1_ns, 0, 1, 0, 0};
    keep_quiet_after(o, &plan);
    o->now_ns += IDLE_NS + wait_ns(o, rest_ms);
}

/* Levels of the idle boards, as they are known before the work. */
static void set_levels(struct order *o)
{
    g_autoptr(owned_scopes) scopes = order_look(o, o->idle.t0_ns, o->idle.t1_ns, NULL);
    g_autoptr(GArray) levels = energy_scopes_levels(scopes, o->idle.t0_ns, o->idle.t1_ns);
    o->known.level_count = MIN(levels->len, ORDER_BOARDS_MAX);
    for (size_t i = 0; i < o->known.level_count; i++)
        o->levels[i] = g_array_index(levels, struct energy_level, i);
}

void order_measure(struct order *o)
{
    const struct nature *n = &o->scenes[0].nature;
    warm_up(o);
    set_levels(o);
    struct energy_guard_plan plan = keep_quiet_before(o);
    o->now_ns += wait_ns(o, release_ms);
    for (size_t i = 0; i < o->count; i++) {
        nature_work(&o->scenes[i].nature, o->now_ns);
        scene_break(&o->scenes[i]);
    }
    int64_t work_ns = 0;
    for (int i = 0; i < n->part_count; i++)
        work_ns += n->parts[i].t1_ns - n->parts[i].t0_ns;
    o->window = (struct energy_window){o->window.guard_from_ns, n->work.t0_ns, n->work.t1_ns, 0, n->part_count, 0,
                                       n->work.t1_ns - n->work.t0_ns - work_ns};
    keep_quiet_after(o, &plan);
}
