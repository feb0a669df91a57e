/* SPDX-License-Identifier: MIT */
#include "accuracy/trial.h"

#include "energy/scopes.h"

#include <math.h>
#include <string.h>

#define MS NS_PER_MS

const struct sensor_class sensor_classes[] = {
    {.name = "rapl-1ms",
     .words = "RAPL, 1 ms, direct",
     .kind = METER_ENERGY,
     .prior = "rapl.intel",
     .period_ns = 1 * MS,
     .delay_hi_ns = MS / 2,
     .jitter_ns = MS / 20,
     .quantum = 6.103515625e-5,
     .ticks = true},
    {.name = "counter-100/100",
     .words = "counter, 100 ms, sees everything",
     .kind = METER_ENERGY,
     .prior = "nvidia",
     .period_ns = 100 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = 1 * MS,
     .quantum = 1e-3},
    {.name = "average-1s",
     .words = "1-s average power, sees everything",
     .kind = METER_POWER_AVERAGE,
     .prior = "nvidia",
     .period_ns = 100 * MS,
     .window_ns = 1000 * MS,
     .window_lo_ns = 900 * MS,
     .window_hi_ns = 1100 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = 1 * MS,
     .quantum = 1e-3},
    {.name = "counter-500/500",
     .words = "counter, 500 ms, sees everything",
     .kind = METER_ENERGY,
     .prior = "nvidia.geforce",
     .period_ns = 500 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = 2 * MS,
     .quantum = 1e-3},
    {.name = "counter-20/10",
     .words = "counter, 20 ms, sees 10 of 20 ms (Volta)",
     .kind = METER_ENERGY,
     .prior = "nvidia",
     .period_ns = 20 * MS,
     .window_ns = 10 * MS,
     .window_lo_ns = 9 * MS,
     .window_hi_ns = 11 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = MS / 5,
     .quantum = 1e-3,
     .sees_part = true},
    {.name = "counter-100/25",
     .words = "counter, 100 ms, sees 25 of 100 ms",
     .kind = METER_ENERGY,
     .prior = "nvidia",
     .period_ns = 100 * MS,
     .window_ns = 25 * MS,
     .window_lo_ns = 20 * MS,
     .window_hi_ns = 30 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = 1 * MS,
     .quantum = 1e-3,
     .sees_part = true},
    {.name = "power-100/25",
     .words = "instant power, 100 ms, sees 25 of 100 ms",
     .kind = METER_POWER_INSTANT,
     .prior = "nvidia",
     .period_ns = 100 * MS,
     .window_ns = 25 * MS,
     .window_lo_ns = 20 * MS,
     .window_hi_ns = 30 * MS,
     .delay_lo_ns = 15 * MS,
     .delay_hi_ns = 85 * MS,
     .rise_hi_ns = 15 * MS,
     .jitter_ns = 1 * MS,
     .quantum = 1e-3,
     .sees_part = true},
};
const size_t sensor_class_count = G_N_ELEMENTS(sensor_classes);

int64_t trial_wander_ns = 200 * MS;
const char *const load_names[LOAD_COUNT] = {"steady", "llm", "locked", "hot_tail", "clock_drop"};
const char *const fault_names[FAULT_COUNT] = {"none", "reset", "stuck", "gap", "glitch", "lost"};
const char *const spoil_names[SPOIL_COUNT] = {"none", "naive", "no_guard", "narrow", "no_flags", "alarms"};

/* --- truth ------------------------------------------------------------------------------------------------------- */

#define IDLE_W       115.0
#define WANDER_W     2.0
#define TAIL_W       60.0
#define TAIL_NS      (1000 * MS)
#define CLOCK_DROP_W 50.0
#define LIMIT_W      700.0

struct scene {
    const struct trial *trial;
    struct sim_rng rng;
    struct sim_board *board;
    int64_t t0_ns, t1_ns;
    int64_t lock_ns; /* period of the locked load */
    GArray *stamps;  /* int64: ends of steps, what an engine would report */
    struct sim_sensor sensor;
    struct sim_counting *counting;
    struct meter_channel info;
    int64_t step_ns, fault_ns;
};

static double uniform(struct scene *s, double low, double high)
{
    return low + (high - low) * sim_rng_uniform(&s->rng);
}

static int64_t uniform_ns(struct scene *s, int64_t low, int64_t high)
{
    return low + (int64_t)((double)(high - low) * sim_rng_uniform(&s->rng));
}

static uint64_t draw_seed(struct scene *s)
{
    return (uint64_t)(sim_rng_uniform(&s->rng) * 0x1p53) * UINT64_C(0xc4ceb9fe1a85ec53);
}

static void stamp_steps(struct scene *s, int64_t step_ns)
{
    for (int64_t t = s->t0_ns + step_ns; t <= s->t1_ns; t += step_ns)
        g_array_append_val(s->stamps, t);
}

static void add_load(struct scene *s, struct sim_trace *trace)
{
    switch (s->trial->load) {
    case LOAD_STEADY:
        sim_load_steady(trace, s->t0_ns, s->t1_ns, uniform(s, 250, 400));
        stamp_steps(s, 12 * MS);
        return;
    case LOAD_LOCKED: /* token steps at the sensor's own period, off by up to 0.1 % */
        s->lock_ns = (int64_t)((double)MAX(20 * MS, s->trial->sensor->period_ns) * uniform(s, 0.999, 1.001));
        sim_load_square(trace, s->t0_ns, s->t1_ns, s->lock_ns, uniform(s, 0.3, 0.7), 450, 150);
        stamp_steps(s, s->lock_ns);
        return;
    default:
        sim_load_llm(trace, s->t0_ns, s->t1_ns, uniform(s, 0.8, 1.1), &s->rng);
        stamp_steps(s, 12 * MS);
    }
}

static void build_truth(struct scene *s)
{
    struct sim_trace *idle = sim_trace_new(-10 * NS_PER_S), *load = sim_trace_new(-10 * NS_PER_S);
    struct sim_trace *after = sim_trace_new(-10 * NS_PER_S);
    double d = s->trial->duration_s * uniform(s, 0.98, 1.02);
    s->t0_ns = uniform_ns(s, 0, NS_PER_S);
    s->t1_ns = s->t0_ns + (int64_t)(d * NS_PER_S);
    s->board = sim_board_new(-10 * NS_PER_S);
    sim_trace_append(idle, NS_PER_S, IDLE_W);
    add_load(s, load);
    sim_board_add(s->board, idle);
    sim_board_add(s->board, load);
    sim_board_add(s->board, sim_wander_new(-10 * NS_PER_S, 10 * MS, WANDER_W, trial_wander_ns, draw_seed(s)));
    if (s->trial->load == LOAD_HOT_TAIL)
        sim_load_tail(after, s->t1_ns, TAIL_W, TAIL_NS);
    else if (s->trial->load == LOAD_CLOCK_DROP)
        sim_load_steady(after, s->t1_ns, s->t1_ns + uniform_ns(s, NS_PER_S, 4 * NS_PER_S), CLOCK_DROP_W);
    else
        sim_trace_append(after, NS_PER_S, 0);
    sim_board_add(s->board, after);
}

/* --- the sensor -------------------------------------------------------------------------------------------------- */

/* A moving average that sees everything is one over a whole number of its own periods. */
static int64_t draw_window(struct scene *s)
{
    const struct sensor_class *c = s->trial->sensor;
    int64_t w = uniform_ns(s, c->window_lo_ns, c->window_hi_ns);
    return w > c->period_ns ? (w + c->period_ns / 2) / c->period_ns * c->period_ns : w;
}

static void build_sensor(struct scene *s)
{
    const struct sensor_class *c = s->trial->sensor;
    s->sensor = (struct sim_sensor){
        .period_ns = c->period_ns,
        .window_ns = draw_window(s),
        .phase_ns = uniform_ns(s, 0, c->period_ns),
        .delay_ns = uniform_ns(s, c->delay_lo_ns, c->delay_hi_ns),
        .rise_ns = uniform_ns(s, 0, c->rise_hi_ns),
        .jitter_ns = c->jitter_ns,
        .gain = s->trial->gain,
        .offset_w = s->trial->offset_w,
        .noise_w = c->kind == METER_ENERGY ? 0 : 0.5,
        .seed = draw_seed(s),
    };
    struct sim_counter counter = {
        .source = c->sees_part ? SIM_COUNTER_DUTY : SIM_COUNTER_TRUTH,
        .sensor = s->sensor,
        .quantum_j = c->quantum,
        .reset_ns = SIM_NEVER,
        .stuck_ns = SIM_NEVER,
        .glitch_ns = SIM_NEVER,
        .glitch_j = 500,
    };
    s->fault_ns = s->t0_ns + (int64_t)(uniform(s, 0.1, 0.9) * (double)(s->t1_ns - s->t0_ns));
    if (s->trial->fault == FAULT_RESET)
        counter.reset_ns = s->fault_ns;
    if (s->trial->fault == FAULT_STUCK)
        counter.stuck_ns = s->fault_ns;
    if (s->trial->fault == FAULT_GLITCH)
        counter.glitch_ns = s->fault_ns;
    s->counting = sim_counting_new(s->board, &counter);
    s->step_ns = CLAMP(c->period_ns / 10, 2 * MS, 20 * MS);
    if (c->ticks)
        s->step_ns = 10 * MS;
    s->info = (struct meter_channel){
        .id = "sim:board:channel",
        .source = "sim",
        .device = "board",
        .label = "simulated board",
        .scope = METER_SCOPE_GPU,
        .kind = c->kind,
        .rate = METER_FAST,
        .scale = c->quantum,
        .raw_unit = "1",
        .max_power_w = 1.5 * LIMIT_W,
        .refresh_ns = c->period_ns,
        .window_ns = c->window_ns,
        .sensor_class = c->prior,
        .status = QUANTITY_SIMULATED,
        .low_ratio = 1,
        .high_ratio = 1,
    };
}

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

static int64_t read_raw(struct scene *s, int64_t t_ns)
{
    double value = s->info.kind == METER_ENERGY ? sim_counting_read_j(s->counting, t_ns)
                                                : sim_sensor_read_w(s->board, &s->sensor, t_ns);
    return (int64_t)llround(value / s->info.scale);
}

static bool in_gap(const struct scene *s, int64_t t_ns)
{
    int64_t length = MAX(600 * MS, 2 * s->trial->sensor->period_ns);
    return s->trial->fault == FAULT_GAP && t_ns >= s->fault_ns && t_ns < s->fault_ns + length;
}

/* What the sampler's series would hold: runs of equal readings, counters judged as the room meter judges them. */
static void sample(struct scene *s, int64_t from_ns, int64_t to_ns, GArray *points)
{
    struct meter_point *run = NULL;
    for (int64_t k = from_ns / s->step_ns; k * s->step_ns <= to_ns; k++) {
        int64_t t = tick_ns(s, k);
        enum meter_read_status status = METER_READ_OK;
        if (in_gap(s, t) || (run && t < run->last_ns))
            continue;
        int64_t raw = read_raw(s, t + READ_NS / 2);
        if (s->trial->fault == FAULT_LOST && t >= s->fault_ns) {
            status = METER_READ_LOST;
            raw = 0;
        } else if (s->info.kind == METER_ENERGY && run && run->status == METER_READ_OK && raw < run->raw) {
            status = METER_READ_BACKWARDS;
        }
        if (run && run->raw == raw && run->status == status && t - run->last_ns <= 5 * s->step_ns) {
            run->last_ns = t;
            continue;
        }
        g_array_append_val(points,
                           ((struct meter_point){run ? run->last_ns : t + READ_NS, t + READ_NS, t, raw, status}));
        run = &g_array_index(points, struct meter_point, points->len - 1);
    }
}

/* The first change of the counter after t, read by spinning. */
static struct meter_reading spin(struct scene *s, int64_t t_ns)
{
    int64_t tick = sim_counting_next_ns(s->counting, t_ns), before = tick + uniform_ns(s, 0, READ_NS);
    return (struct meter_reading){before, before + READ_NS, read_raw(s, before + READ_NS / 2), METER_READ_OK};
}

/* --- the session: guards planned and extended as the experiment does --------------------------------------------- */

/* What is known of the sensor beforehand: the channel, and its period by characterisation. */
struct beforehand {
    const struct meter_channel *channel;
    struct meter_sensor seen;
    struct energy_known known;
};

static void know(const struct scene *s, struct beforehand *ret)
{
    *ret = (struct beforehand){.channel = &s->info,
                               .seen = {.period_ns = s->trial->sensor->period_ns, .usable = true}};
    ret->known = (struct energy_known){
        .channels = &ret->channel, .sensors = &ret->seen, .channel_count = 1, .on_boards = true};
}

/* The scopes as the sampler saw them, with ticks at the ends where the sensor has some. */
static struct energy_scopes *look(struct scene *s, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                  const struct meter_reading *ticks)
{
    GArray *points = g_array_new(FALSE, FALSE, sizeof(struct meter_point));
    struct energy_readings *readings = energy_readings_new();
    sample(s, from_ns, to_ns, points);
    energy_readings_add(readings, &s->info, points, ticks, ticks ? ticks + 1 : NULL);
    return energy_scopes_new(known, readings);
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
    int64_t from_ns = s->t0_ns - plan.pre_ns - 2 * plan.period_ns;
    struct energy_scopes *scopes = NULL;
    *window = (struct energy_window){s->t0_ns - plan.pre_ns, s->t0_ns, s->t1_ns, s->t1_ns + plan.post_ns, 1, 0};
    for (;;) {
        energy_scopes_free(scopes);
        scopes = look(s, known, from_ns, window->guard_to_ns, NULL);
        if (guard_state(scopes, &plan, window) != ENERGY_GUARD_EXTEND)
            break;
        window->guard_to_ns = MIN(window->guard_to_ns + plan.hold_ns, s->t1_ns + plan.limit_ns);
    }
    if (!s->trial->sensor->ticks)
        return scopes;
    /* the last tick before t0; after t1 the second one */
    energy_scopes_free(scopes);
    struct meter_reading before = spin(s, s->t0_ns - 2 * s->trial->sensor->period_ns);
    struct meter_reading ticks[] = {before, spin(s, spin(s, s->t1_ns).after_ns)};
    return look(s, known, from_ns, window->guard_to_ns, ticks);
}

/* --- the judge's sabotage ---------------------------------------------------------------------------------------- */

static void spoil(struct scene *s, const struct energy_window *window, struct energy_estimate *e)
{
    double d = e->duration_s;
    switch (s->trial->spoil) {
    case SPOIL_NAIVE:
        e->joules.value = (double)(read_raw(s, window->t1_ns) - read_raw(s, window->t0_ns)) * s->info.scale;
        if (s->info.kind != METER_ENERGY)
            e->joules.value = d * (double)read_raw(s, (window->t0_ns + window->t1_ns) / 2) * s->info.scale;
        break;
    case SPOIL_NO_GUARD:
        e->joules.value += e->pre_w * 1.5 * (double)s->trial->sensor->period_ns * 1e-9;
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

void trial_run(const struct trial *trial, struct outcome *ret)
{
    struct scene s = {.trial = trial, .rng = {trial->seed}};
    struct energy_options options = {.draws = 1000, .seed = (uint32_t)trial->seed};
    struct beforehand beforehand;
    struct energy_window window;
    s.stamps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    build_truth(&s);
    build_sensor(&s);
    know(&s, &beforehand);
    g_autoptr(owned_scopes) scopes = session(&s, &beforehand.known, &window);
    options.stamps_ns = (const int64_t *)(void *)s.stamps->data;
    options.stamp_count = s.stamps->len;
    energy_scope_estimate(scopes->primary, &window, &options, &ret->estimate, NULL);
    ret->truth_j = sim_board_energy_j(s.board, s.t0_ns, s.t1_ns);
    if (trial->spoil != SPOIL_NONE && ret->estimate.joules.status != QUANTITY_ABSENT)
        spoil(&s, &window, &ret->estimate);
    else if (trial->spoil == SPOIL_NO_FLAGS)
        ret->estimate.flags = 0;
    ret->estimate.joules.sensor = NULL; /* borrowed from this scene */
    ret->estimate.device = ret->estimate.scope = NULL;
    for (size_t i = 0; i < ret->estimate.check_count; i++)
        ret->estimate.checks[i].sensor = NULL;
    g_array_unref(s.stamps);
    sim_counting_free(s.counting);
    sim_board_free(s.board);
}
