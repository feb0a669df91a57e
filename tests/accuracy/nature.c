/* SPDX-License-Identifier: MIT */
#include "accuracy/nature.h"

#include <math.h>

#define MS NS_PER_MS

const char *const nature_load_names[] = {
#define X(id, name, words) name,
    NATURE_LOAD_ROWS(X)
#undef X
};
const char *const nature_load_words[] = {
#define X(id, name, words) words,
    NATURE_LOAD_ROWS(X)
#undef X
};
const char *const nature_after_names[] = {
#define X(id, name, words) name,
    NATURE_AFTER_ROWS(X)
#undef X
};
const char *const nature_after_words[] = {
#define X(id, name, words) words,
    NATURE_AFTER_ROWS(X)
#undef X
};

/* Readings of boards begin 15 to 97 ms late, of one in ten H100 311 ms, and rise within 15 to 250 ms (an RTX 4090); on
 * recorded boards they are not late at all, and what seems to rise is the window and the board itself. No board is
 * reported that is later than those nine and takes more than 120 ms to rise as well. */
#define LATE            .delay_ms = {0, 350}, .rise_ms = {0, 250}
#define LATE_NS         (100 * MS)
#define SLOW_IF_LATE_NS (120 * MS)
#define MODERN .jitter = 0.01, .quantum = 1e-3, .told_class = "nvidia"

/* Periods, windows, delays and rises: Yang et al., SC'24 (arXiv 2312.02741), and what measurements on single boards
 * report beyond it. */
const struct nature_kind nature_kinds[] = {
    {.name = "rapl-1ms", .words = "RAPL, 1 ms, read at its ticks", .kind = METER_ENERGY, .period_ms = {0.98, 1.02},
     .delay_ms = {0, 0.4}, .jitter = 0.05, .quantum = 6.103515625e-5, .ticks = true, .told_class = "rapl.intel",
     .told_refresh_ns = 1 * MS, .told_window_ns = 1 * MS, .known = true},
    {.name = "powercap-100ms", .words = "RAPL, 1 ms, polled each 100 ms", .kind = METER_ENERGY,
     .period_ms = {0.98, 1.02}, .delay_ms = {0, 0.4}, .jitter = 0.05, .quantum = 1e-6, .poll_ns = 100 * MS,
     .told_class = "rapl.intel", .told_refresh_ns = 1 * MS, .told_window_ns = 1 * MS, .known = true},
    {.name = "counter-full", .words = "counter, 100 ms, sees everything, lag measured", .kind = METER_ENERGY,
     .period_ms = {100, 100}, LATE, .told_refresh_ns = 100 * MS, .told_window_ns = 100 * MS, .runs = 2,
     .known = true, MODERN},
    {.name = "counter-full-new", .words = "the same in its first run", .kind = METER_ENERGY, .period_ms = {100, 100},
     LATE, .told_refresh_ns = 100 * MS, .told_window_ns = 100 * MS, MODERN},
    {.name = "counter-slow-rise", .words = "counter, 100 ms, sees everything, rises in up to 250 ms",
     .kind = METER_ENERGY, .period_ms = {100, 100}, .delay_ms = {15, 100}, .rise_ms = {60, 250},
     .told_refresh_ns = 100 * MS, .told_window_ns = 100 * MS, .runs = 2, MODERN},
    {.name = "average-full", .words = "1-s average power, made of everything", .kind = METER_POWER_AVERAGE,
     .period_ms = {100, 100}, .average_ms = {900, 1100}, LATE, .noise_w = 0.3, .told_refresh_ns = 100 * MS,
     .told_window_ns = 1000 * MS, .told_part_ns = 100 * MS, .runs = 2, MODERN},
    {.name = "average-parts", .words = "1-s average power, made of readings that see 25 of 100 ms",
     .kind = METER_POWER_AVERAGE, .period_ms = {100, 100}, .average_ms = {900, 1100}, .part_ms = {20, 30}, LATE,
     .noise_w = 0.3, .told_refresh_ns = 100 * MS, .told_window_ns = 1000 * MS, .runs = 2, .partial = true, MODERN},
    {.name = "counter-500", .words = "counter, 500 ms, sees everything, lag measured", .kind = METER_ENERGY,
     .period_ms = {500, 500}, LATE, .jitter = 0.004, .quantum = 1e-3, .told_class = "nvidia.geforce",
     .told_refresh_ns = 500 * MS, .told_window_ns = 500 * MS, .runs = 2, .known = true},
    {.name = "counter-20/10", .words = "counter, 20 ms, sees 10 of 20 ms", .kind = METER_ENERGY,
     .source = NATURE_WINDOW, .period_ms = {20, 20}, .window_ms = {9, 11}, .delay_ms = {0, 350}, .rise_ms = {0, 30},
     .told_refresh_ns = 20 * MS, .told_window_ns = 10 * MS, .runs = 2, .known = true, .partial = true, .locks = 0.7,
     .fine = true, MODERN},
    {.name = "counter-100/25", .words = "counter, 100 ms, sees 25 of 100 ms", .kind = METER_ENERGY,
     .source = NATURE_WINDOW, .period_ms = {100, 100}, .window_ms = {21, 29}, .delay_ms = {0, 350},
     .rise_ms = {0, 30}, .told_refresh_ns = 100 * MS, .told_window_ns = 25 * MS, .runs = 2, .known = true,
     .partial = true, MODERN},
    {.name = "counter-100/25-rising", .words = "the same, rises in 30 to 250 ms, so that it sees more than was told",
     .kind = METER_ENERGY, .source = NATURE_WINDOW, .period_ms = {100, 100}, .window_ms = {21, 29},
     .delay_ms = {0, 350}, .rise_ms = {30, 250}, .told_refresh_ns = 100 * MS, .told_window_ns = 25 * MS, .runs = 2,
     .partial = true, MODERN},
    {.name = "power-100/25", .words = "instant power, 100 ms, sees 25 of 100 ms", .kind = METER_POWER_INSTANT,
     .period_ms = {100, 100}, .window_ms = {21, 29}, .delay_ms = {0, 350}, .rise_ms = {0, 30}, .noise_w = 0.3,
     .told_refresh_ns = 100 * MS, .told_window_ns = 25 * MS, .runs = 2, .known = true, .partial = true, MODERN},
    {.name = "counter-unknown", .words = "counter of an unknown make: T and W are told by nobody",
     .kind = METER_ENERGY, .source = NATURE_WINDOW, .period_ms = {20, 600}, .share = {0.15, 1}, LATE,
     .partial = true, MODERN},
    {.name = "counter-average", .words = "counter that adds up the 1-s average", .kind = METER_ENERGY,
     .source = NATURE_AVERAGE, .period_ms = {100, 100}, .average_ms = {900, 1100}, LATE,
     .told_refresh_ns = 100 * MS, .told_window_ns = 100 * MS, .told_part_ns = 100 * MS, .runs = 2, MODERN},
    {.name = "counter-seconds", .words = "counter that refreshes each 0.6 to 1.2 s, which nobody told",
     .kind = METER_ENERGY, .period_ms = {600, 1200}, LATE, .told_refresh_ns = 100 * MS, .told_window_ns = 100 * MS,
     .partial = true, MODERN},
    {.name = "hwmon", .words = "hwmon power: T and W are told by nobody", .kind = METER_POWER_INSTANT,
     .period_ms = {2, 1200}, .share = {0.2, 1}, LATE, .jitter = 0.01, .noise_w = 0.2, .quantum = 1e-3,
     .poll_ns = 100 * MS, .told_class = "hwmon", .partial = true},
    {.name = "power-rising", .words = "instant power, 15 ms, that rises with 55 ms", .kind = METER_POWER_INSTANT,
     .period_ms = {15.4, 15.4}, .delay_ms = {0, 30}, .rise_ms = {110, 121}, .first_order = true,
     .noise_w = 0.05, .jitter = 0.01, .quantum = 1e-3, .told_class = "nvidia", .runs = 2, .partial = true},
};
const size_t nature_kind_count = G_N_ELEMENTS(nature_kinds);

/* --- draws ------------------------------------------------------------------------------------------------------- */

static double uniform(struct nature *n, double low, double high)
{
    return low + (high - low) * sim_rng_uniform(&n->rng);
}

static double log_uniform(struct nature *n, double low, double high)
{
    return exp(uniform(n, log(low), log(high)));
}

static double draw(struct nature *n, struct span span)
{
    return span.low > 0 && span.high > 4 * span.low ? log_uniform(n, span.low, span.high)
                                                    : uniform(n, span.low, span.high);
}

static int64_t draw_ns(struct nature *n, struct span ms)
{
    return llround(draw(n, ms) * (double)MS);
}

static uint64_t draw_seed(struct nature *n)
{
    return (uint64_t)(sim_rng_uniform(&n->rng) * 0x1p53) * UINT64_C(0xd6e8feb86659fd93);
}

/* --- what the board draws ---------------------------------------------------------------------------------------- */

#define IDLE_MOST_W  140
#define LOAD_USUAL_W 380  /* the most of boards up to 700 W */
#define LOAD_MOST    0.55 /* and as a share of the limit: a mean, in bursts half as much again */

/* Drawn once a board, so that its windows are alike. */
struct habit {
    enum nature_load load;
    enum nature_after after;
    double level_w, swing, duty;      /* of the load, over idle */
    double step_s, jitter, drift;     /* of decode steps */
    int alternate;                    /* steps after which the power changes */
    double prefill_w, prefill_gap_s;
    double square_s;                  /* of the locked and the beating load */
    double tail_w, tail_s, fast_w, fast_s, slow_w, slow_s;
    double most_w;                    /* over idle, that the board's ceiling allows */
};

static struct habit draw_habit(struct nature *n, enum nature_load load, enum nature_after after)
{
    double period_s = (double)n->sensor.period_ns * 1e-9, beat_hz = fmin(1 / uniform(n, 1, 6), 0.5 / period_s);
    struct habit h = {.load = load, .after = after};
    h.level_w = uniform(n, 150, MAX(LOAD_USUAL_W, LOAD_MOST * n->limit_w));
    h.swing = uniform(n, 0.05, 0.3);
    h.duty = uniform(n, 0.3, 0.7);
    h.step_s = log_uniform(n, 0.005, 0.120);
    h.jitter = log_uniform(n, 0.002, 0.1);
    h.drift = uniform(n, 0, 0.03);
    h.alternate = uniform(n, 0, 1) < 0.5 ? 1 : 2;
    h.prefill_w = h.level_w * uniform(n, 1.2, 2);
    h.prefill_gap_s = log_uniform(n, 0.2, 2);
    h.square_s = load == NATURE_LOAD_BEAT ? 1 / (1 / period_s + (uniform(n, 0, 1) < 0.5 ? beat_hz : -beat_hz))
                                          : MAX(0.015, period_s) * uniform(n, 0.999, 1.001);
    if (n->square_s > 0)
        h.square_s = n->square_s;
    n->square_s = h.square_s;
    double times = MAX(1, h.level_w / LOAD_USUAL_W); /* what is drawn more leaves more behind */
    h.tail_w = times * (after == NATURE_AFTER_SHELF  ? uniform(n, 15, 26)
                        : after == NATURE_AFTER_DROP ? uniform(n, 15, 40)
                        : after == NATURE_AFTER_FALL ? log_uniform(n, 3, 32)
                                                     : log_uniform(n, 0.5, 20));
    h.tail_s = after == NATURE_AFTER_SHELF  ? uniform(n, 1.75, 1.85)
               : after == NATURE_AFTER_DROP ? uniform(n, 0.5, 4)
               : after == NATURE_AFTER_FALL ? log_uniform(n, 1, 12)
                                            : log_uniform(n, 0.05, 20);
    h.fast_w = times * uniform(n, 0, 7);
    h.fast_s = uniform(n, 0.15, 0.6);
    h.most_w = n->ceiling_w - IDLE_MOST_W;
    h.slow_w = times * uniform(n, 1, 3);
    h.slow_s = uniform(n, 0.7, 3);
    return h;
}

static void fill_to(struct sim_trace *trace, int64_t t_ns)
{
    sim_trace_append(trace, t_ns - sim_trace_end_ns(trace), 0);
}

static void append(const struct habit *h, struct sim_trace *trace, double seconds, double watts, int64_t until_ns)
{
    sim_trace_append(trace, MIN(llround(seconds * 1e9), until_ns - sim_trace_end_ns(trace)), MIN(watts, h->most_w));
}

/* Decode steps, with a prefill before some of them; stamps: ends of the steps, or NULL. */
static void append_steps(struct nature *n, const struct habit *h, const struct nature_window *w,
                         struct sim_trace *trace, GArray *stamps)
{
    double length_s = (double)(w->t1_ns - w->t0_ns) * 1e-9;
    int64_t prefill_ns = h->load == NATURE_LOAD_LLM ? w->t0_ns : INT64_MAX;
    for (int k = 0; sim_trace_end_ns(trace) < w->t1_ns; k++) {
        double into = (double)(sim_trace_end_ns(trace) - w->t0_ns) * 1e-9 / length_s;
        double step_s = h->step_s * (1 + h->drift * into) * (1 + h->jitter * sim_rng_normal(&n->rng) / 2);
        double sign = k / h->alternate % 2 ? -1 : 1;
        if (sim_trace_end_ns(trace) >= prefill_ns) {
            append(h, trace, uniform(n, 0.02, 0.12), h->prefill_w, w->t1_ns);
            prefill_ns = sim_trace_end_ns(trace) + llround(sim_rng_exponential(&n->rng, h->prefill_gap_s) * 1e9);
        }
        append(h, trace, MAX(step_s, h->step_s / 2), h->level_w * (1 + sign * h->swing), w->t1_ns);
        int64_t end_ns = sim_trace_end_ns(trace);
        if (stamps)
            g_array_append_val(stamps, end_ns);
    }
}

static void append_square(struct nature *n, const struct habit *h, const struct nature_window *w,
                          struct sim_trace *trace, GArray *stamps)
{
    while (sim_trace_end_ns(trace) < w->t1_ns) {
        double step_s = h->square_s;
        if (h->load == NATURE_LOAD_STEP)
            step_s *= MAX(0.5, 1 + h->jitter * sim_rng_normal(&n->rng));
        append(h, trace, step_s * h->duty, 1.5 * h->level_w, w->t1_ns);
        append(h, trace, step_s * (1 - h->duty), 0.5 * h->level_w, w->t1_ns);
        int64_t end_ns = sim_trace_end_ns(trace);
        if (stamps)
            g_array_append_val(stamps, end_ns);
    }
}

static void append_window(struct nature *n, const struct habit *h, const struct nature_window *w,
                          struct sim_trace *trace, GArray *stamps)
{
    fill_to(trace, w->t0_ns);
    if (h->load >= NATURE_LOAD_LOCKED) {
        append_square(n, h, w, trace, stamps);
    } else if (h->load == NATURE_LOAD_STEADY) {
        append(h, trace, 1e6, h->level_w, w->t1_ns);
        for (int64_t t = w->t0_ns; stamps && (t += llround(h->step_s * 1e9)) <= w->t1_ns;)
            g_array_append_val(stamps, t);
    } else {
        append_steps(n, h, w, trace, stamps);
    }
    sim_trace_append(trace, 1, 0);
}

/* A trace of its own for each part: they overlap, and the next window may begin before they end. */
static void add_decay(struct nature *n, int64_t from_ns, double watts, double tau_s)
{
    struct sim_trace *trace = sim_trace_new(0);
    sim_load_tail(trace, from_ns, watts, llround(tau_s * 1e9));
    sim_board_add(n->board, trace);
}

static void add_shelf(struct nature *n, int64_t from_ns, double watts, double seconds)
{
    struct sim_trace *trace = sim_trace_new(0);
    sim_load_steady(trace, from_ns, from_ns + llround(seconds * 1e9), watts);
    sim_board_add(n->board, trace);
}

static void add_fall(struct nature *n, int64_t from_ns, double watts, double seconds)
{
    struct sim_trace *trace = sim_trace_new(0);
    fill_to(trace, from_ns);
    int steps = MAX(8, (int)(seconds / 0.03));
    for (int k = 0; k < steps; k++)
        sim_trace_append(trace, llround(seconds / steps * 1e9), watts * (1 - (k + 0.5) / steps));
    sim_trace_append(trace, 1, 0);
    sim_board_add(n->board, trace);
}

static void add_after(struct nature *n, const struct habit *h, int64_t t1_ns)
{
    if (h->after == NATURE_AFTER_TAIL)
        add_decay(n, t1_ns, h->tail_w, h->tail_s);
    if (h->after == NATURE_AFTER_FALL)
        add_fall(n, t1_ns, h->tail_w, h->tail_s);
    if (h->after == NATURE_AFTER_DROP)
        add_shelf(n, t1_ns, h->tail_w, h->tail_s);
    if (h->after == NATURE_AFTER_SHELF) {
        add_shelf(n, t1_ns, h->tail_w, h->tail_s);
        add_decay(n, t1_ns, h->fast_w, h->fast_s);
        add_decay(n, t1_ns + llround(h->tail_s * 1e9), h->slow_w, h->slow_s);
    }
}

#define END_NS (300 * NS_PER_S) /* longer than any run */

/* Idle power: a level that wanders, and drifts slowly while the board warms or cools. */
static void add_idle(struct nature *n, struct sim_board *board)
{
    struct sim_trace *level = sim_trace_new(0), *drift = sim_trace_new(0);
    double sd_w = log_uniform(n, 0.1, 2), memory_s = uniform(n, 0.05, 0.5), slope_w_s = uniform(n, -0.1, 0.1);
    sim_trace_append(level, NS_PER_S, uniform(n, 50, IDLE_MOST_W));
    sim_board_add(board, level);
    sim_board_add(board, sim_wander_new(0, 10 * MS, sd_w, llround(memory_s * 1e9), draw_seed(n)));
    while (sim_trace_end_ns(drift) < END_NS)
        sim_trace_append(drift, 50 * MS, slope_w_s * (double)sim_trace_end_ns(drift) * 1e-9);
    sim_board_add(board, drift);
}

/* --- the sensor -------------------------------------------------------------------------------------------------- */

static int64_t draw_period(struct nature *n)
{
    return llround((double)draw_ns(n, n->kind->period_ms) * uniform(n, 0.99, 1.01));
}

static void draw_sensor(struct nature *n, double gain, double offset_w)
{
    const struct nature_kind *k = n->kind;
    int64_t period_ns = draw_period(n), window_ns = draw_ns(n, k->window_ms), average_ns = draw_ns(n, k->average_ms);
    double share = draw(n, k->share);
    int64_t delay_ns = draw_ns(n, k->delay_ms), rise_ns = draw_ns(n, k->rise_ms);
    if (delay_ns > LATE_NS)
        rise_ns = MIN(rise_ns, SLOW_IF_LATE_NS);
    if (share > 0)
        window_ns = llround(share * (double)period_ns);
    if (window_ns == 0 && k->kind != METER_ENERGY)
        window_ns = k->first_order ? 0 : period_ns; /* first-order readings have no window */
    if (average_ns) /* over a whole number of its own periods */
        window_ns = MAX(1, (average_ns + period_ns / 2) / period_ns) * period_ns;
    n->sensor = (struct sim_sensor){
        .period_ns = period_ns,
        .window_ns = window_ns,
        .part_ns = draw_ns(n, k->part_ms),
        .phase_ns = (int64_t)uniform(n, 0, (double)period_ns),
        .delay_ns = delay_ns,
        .rise_ns = llround((double)rise_ns / 2.197), /* told from 10 to 90 % */
        .jitter_ns = (int64_t)(k->jitter * (double)period_ns),
        .gain = gain,
        .offset_w = offset_w,
        .noise_w = k->noise_w,
        .seed = draw_seed(n),
    };
}

void nature_break(struct nature *n, int64_t reset_ns, int64_t stuck_ns, int64_t glitch_ns)
{
    struct sim_counter counter = {
        .source = n->kind->source == NATURE_TRUTH ? SIM_COUNTER_TRUTH : SIM_COUNTER_DUTY,
        .sensor = n->sensor,
        .quantum_j = n->kind->quantum,
        .reset_ns = reset_ns,
        .stuck_ns = stuck_ns,
        .glitch_ns = glitch_ns,
        .glitch_j = fmax(500, 2 * n->ceiling_w * (double)n->sensor.period_ns * 1e-9), /* more than it has added since */
    };
    sim_counting_free(n->counting);
    n->counting = sim_counting_new(n->board, &counter);
    n->shows = false;
}

static void tell(struct nature *n)
{
    const struct nature_kind *k = n->kind;
    n->info = (struct meter_channel){
        .id = "sim:board:channel",
        .source = "sim",
        .device = "board",
        .label = "simulated board",
        .scope = METER_SCOPE_GPU,
        .kind = k->kind,
        .rate = k->poll_ns ? METER_SLOW : METER_FAST,
        .scale = k->quantum,
        .raw_unit = "1",
        .max_power_w = n->limit_told ? METER_PLAUSIBLE_SHARE * n->limit_w : 0,
        .refresh_ns = k->told_refresh_ns,
        .window_ns = k->told_window_ns,
        .part_ns = k->told_part_ns,
        .sensor_class = k->told_class,
        .status = QUANTITY_SIMULATED,
        .low_ratio = 1,
        .high_ratio = 1,
    };
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static void draw_idle(struct nature *n, bool apart)
{
    struct sim_rng rng = n->rng;
    if (apart) {
        n->idle = sim_board_new(0);
        add_idle(n, n->idle);
        n->rng = rng; /* the same once more */
    }
    add_idle(n, n->board);
}

/* Limits of boards as data sheets give them, and what they draw beyond them all the same: short of the driver's own
 * sampling a limit does not act. By a stream of its own. */
static void draw_limit(struct nature *n, uint64_t seed)
{
    struct sim_rng rng = n->rng;
    n->rng = (struct sim_rng){seed ^ UINT64_C(0x94d049bb133111eb)};
    n->limit_w = log_uniform(n, 350, 2000);
    n->ceiling_w = n->limit_w * uniform(n, 1, 1.3);
    n->limit_told = uniform(n, 0, 1) < 2.0 / 3;
    n->rng = rng;
}

/* Draws by another stream, and by the board's own again. */
static void swap_streams(struct nature *n, struct sim_rng *other)
{
    struct sim_rng own = n->rng;
    n->rng = *other;
    *other = own;
}

/* Boards of one make: readings of both are as late, rise as quickly and see as much. */
static void be_like(struct nature *n, const struct nature *other)
{
    n->limit_w = other->limit_w;
    n->ceiling_w = other->ceiling_w;
    n->limit_told = other->limit_told;
    n->sensor.delay_ns = other->sensor.delay_ns;
    n->sensor.rise_ns = other->sensor.rise_ns;
    n->sensor.window_ns = other->sensor.window_ns;
    n->sensor.part_ns = other->sensor.part_ns;
    n->square_s = other->square_s;
}

void nature_draw(const struct nature_kind *kind, enum nature_load load, enum nature_after after, double seconds,
                 double gain, double offset_w, uint64_t seed, const struct nature_run *run, struct nature *ret)
{
    const struct nature *beside = run ? run->beside : NULL;
    *ret = (struct nature){.kind = kind, .rng = {seed}, .habit = g_new(struct habit, 1), .part_count = 1};
    ret->board = sim_board_new(0);
    ret->stamps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    draw_limit(ret, seed);
    draw_sensor(ret, gain, offset_w);
    if (beside)
        be_like(ret, beside);
    struct sim_rng stream = ret->habit_rng = beside ? beside->habit_rng : (struct sim_rng){draw_seed(ret)};
    swap_streams(ret, &stream);
    *ret->habit = draw_habit(ret, load, after);
    if (load == NATURE_LOAD_STEP) {
        ret->habit->square_s = ret->square_s = draw(ret, run->step) * (double)ret->sensor.period_ns * 1e-9;
        ret->habit->jitter = run->jitter;
    }
    if (run && run->repeats > 1)
        ret->part_count = run->repeats;
    ret->work_ns = llround(seconds * uniform(ret, 0.9, 1.1) * 1e9 / ret->part_count);
    ret->pause_ns = run ? run->pause_ns : 0;
    ret->work_rng = (struct sim_rng){draw_seed(ret)};
    swap_streams(ret, &stream);
    draw_idle(ret, run && run->whole);
    ret->loads = sim_trace_new(0);
    sim_board_add(ret->board, ret->loads);
    nature_break(ret, SIM_NEVER, SIM_NEVER, SIM_NEVER);
    tell(ret);
}

struct nature_window nature_pass(struct nature *n, int64_t t0_ns, int64_t length_ns)
{
    struct nature_window w = {t0_ns, t0_ns + length_ns};
    swap_streams(n, &n->work_rng);
    append_window(n, n->habit, &w, n->loads, NULL);
    swap_streams(n, &n->work_rng);
    add_after(n, n->habit, w.t1_ns);
    nature_break(n, SIM_NEVER, SIM_NEVER, SIM_NEVER); /* what was read ahead of it knew nothing of it */
    return w;
}

void nature_work(struct nature *n, int64_t t0_ns)
{
    int64_t at_ns = t0_ns;
    swap_streams(n, &n->work_rng);
    for (int i = 0; i < n->part_count; i++) {
        at_ns += i ? (int64_t)uniform(n, 0, (double)n->pause_ns) : 0;
        n->parts[i] = (struct nature_window){at_ns, at_ns + n->work_ns};
        append_window(n, n->habit, &n->parts[i], n->loads, n->stamps);
        at_ns += n->work_ns;
    }
    swap_streams(n, &n->work_rng);
    n->work = (struct nature_window){t0_ns, at_ns};
    add_after(n, n->habit, at_ns);
}

int64_t nature_wait_ns(struct nature *n, struct span ms)
{
    return draw_ns(n, ms);
}

void nature_clear(struct nature *n)
{
    sim_counting_free(n->counting);
    sim_board_free(n->board);
    if (n->idle)
        sim_board_free(n->idle);
    g_array_unref(n->stamps);
    g_free(n->habit);
}

/* What is read before the next update is what was read before. */
int64_t nature_read(struct nature *n, int64_t t_ns)
{
    int64_t update;
    sim_sensor_update_ns(&n->sensor, t_ns, &update);
    if (n->shows && n->shown_update == update)
        return n->shown;
    double value = n->kind->kind == METER_ENERGY ? sim_counting_read_j(n->counting, t_ns)
                                                 : sim_sensor_read_w(n->board, &n->sensor, t_ns);
    n->shows = true;
    n->shown_update = update;
    return n->shown = llround(value / n->info.scale);
}

int64_t nature_next_ns(struct nature *n, int64_t t_ns)
{
    return sim_counting_next_ns(n->counting, t_ns);
}

double nature_truth_j(struct nature *n, const struct nature_window *w)
{
    return sim_board_energy_j(n->board, w->t0_ns, w->t1_ns);
}

double nature_above_idle_j(struct nature *n, const struct nature_window *w)
{
    return nature_truth_j(n, w) - sim_board_energy_j(n->idle, w->t0_ns, w->t1_ns);
}

struct nature_meeting nature_meet(const struct nature *n)
{
    const int64_t *ends = (const int64_t *)(const void *)n->stamps->data;
    double cosine[2] = {0}, sine[2] = {0};
    struct nature_meeting most = {0, 0};
    int64_t k = 0, met = 0;
    for (guint i = 0; i < n->stamps->len; i++) {
        int64_t begin_ns = i ? ends[i - 1] : n->work.t0_ns;
        int64_t late_ns = n->sensor.phase_ns - n->sensor.delay_ns - n->sensor.window_ns / 2;
        k = (begin_ns - late_ns + n->sensor.period_ns - 1) / n->sensor.period_ns;
        for (int64_t t; (t = late_ns + k * n->sensor.period_ns) < ends[i]; k++, met++)
            for (int h = 0; h < 2; h++) {
                double phase = 2 * G_PI * (h + 1) * (double)(t - begin_ns) / (double)(ends[i] - begin_ns);
                cosine[h] += cos(phase);
                sine[h] += sin(phase);
            }
    }
    for (int h = 0; h < 2; h++) {
        double turns = G_PI * (h + 1) * (double)n->sensor.window_ns * 1e-9 / n->square_s;
        double alike = hypot(cosine[h], sine[h]) / (double)MAX(1, met), missed = fabs(sin(turns) / turns) * alike;
        if (missed > most.missed)
            most = (struct nature_meeting){alike, missed};
    }
    return most;
}
