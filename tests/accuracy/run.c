/* SPDX-License-Identifier: MIT */
#include "accuracy/run.h"

#include "account/account.h"
#include "accuracy/order.h"

#include <math.h>
#include <string.h>

#define MS         NS_PER_MS
#define END_NS     (400 * MS)      /* of the guard, in which the board has settled as far as anybody waits */
#define CERTAIN    1e-9            /* relative, and W: what the calibration leaves open */

const char *const figure_names[] = {
#define X(id, name, words) name,
    FIGURE_ROWS(X)
#undef X
};
const char *const figure_words[] = {
#define X(id, name, words) words,
    FIGURE_ROWS(X)
#undef X
};
const char *const shape_names[] = {
#define X(id, name, boards, repeats) name,
    SHAPE_ROWS(X)
#undef X
};
static const struct {
    int boards, repeats;
} shapes[] = {
#define X(id, name, boards, repeats) {boards, repeats},
    SHAPE_ROWS(X)
#undef X
};
static const enum result_metric metrics[] = {
    [FIGURE_ENERGY] = METRIC_ENERGY,      [FIGURE_NET] = METRIC_NET_CONTEXT,    [FIGURE_TAIL] = METRIC_TAIL,
    [FIGURE_LOAD] = METRIC_LOAD_ENERGY, [FIGURE_WARMUP] = METRIC_WARMUP_ENERGY,
};

/* Ticks at the ends of a stretch, of each board. */
struct ends {
    struct meter_reading before[ORDER_BOARDS_MAX], after[ORDER_BOARDS_MAX];
};

struct whole {
    struct scene scenes[ORDER_BOARDS_MAX];
    int count;
    struct order order;
    struct energy_calibration calibrations[ORDER_BOARDS_MAX];
    struct ends work, load, warmup;
};

/* --- the boards -------------------------------------------------------------------------------------------------- */

/* The pauses are those the product would choose by what a meter publishes of the sensor. */
static int64_t pause_of(const struct nature_kind *kind)
{
    struct meter_channel told = {.kind = kind->kind, .refresh_ns = kind->told_refresh_ns,
                                 .window_ns = kind->told_window_ns, .part_ns = kind->told_part_ns,
                                 .sensor_class = kind->told_class};
    struct energy_channel channel = {.info = &told};
    return energy_dither_ns(&channel);
}

static void add_board(struct whole *w, const struct trial *trial, int repeats)
{
    static const struct {
        const char *id, *device;
    } names[ORDER_BOARDS_MAX] = {{"sim:0:c", "0"}, {"sim:1:c", "1"}, {"sim:2:c", "2"}, {"sim:3:c", "3"}};
    int i = w->count++;
    struct scene *s = &w->scenes[i];
    struct nature_run run = {.whole = true, .repeats = repeats, .pause_ns = pause_of(trial->sensor),
                             .beside = i > 0 ? &w->scenes[0].nature : NULL};
    s->trial = trial;
    s->fault_ns = INT64_MAX;
    s->step_ns = trial->sensor->poll_ns ? trial->sensor->poll_ns : 10 * MS;
    nature_draw(trial->sensor, trial->load, trial->after, trial->duration_s, 1, 0,
                trial->seed + (uint64_t)i * UINT64_C(0x2545f4914f6cdd1d), &run, &s->nature);
    s->nature.info.id = names[i].id;
    s->nature.info.device = names[i].device;
    w->calibrations[i] = (struct energy_calibration){
        .gain = 1, .u_gain = CERTAIN, .u_offset_w = CERTAIN, .range_low_w = NAN, .range_high_w = NAN};
    g_strlcpy(w->calibrations[i].uuid, names[i].device, sizeof w->calibrations[i].uuid);
}

/* The runs before, and the one that counts. */
static void work_through(struct whole *w)
{
    order_open(&w->order, w->scenes, (size_t)w->count);
    w->order.known.calibrations = w->calibrations;
    w->order.known.calibration_count = (size_t)w->count;
    for (int i = 0; i < w->scenes[0].trial->sensor->runs; i++)
        order_earlier(&w->order);
    order_measure(&w->order);
}

/* --- what was read ----------------------------------------------------------------------------------------------- */

static struct energy_readings *read_boards(void *from, const struct energy_known *known, int64_t from_ns,
                                           int64_t to_ns, const struct energy_ticks *ticks)
{
    (void)known;
    return order_read(from, from_ns, to_ns, ticks);
}

static struct energy_ticks take_ticks(struct whole *w, const struct nature_window *at, struct ends *ends)
{
    if (!w->scenes[0].trial->sensor->ticks)
        return (struct energy_ticks){NULL, NULL};
    for (int i = 0; i < w->count; i++) {
        struct scene *s = &w->scenes[i];
        ends->before[i] = scene_spin(s, at->t0_ns - 2 * s->nature.sensor.period_ns);
        ends->after[i] = scene_spin(s, scene_spin(s, at->t1_ns).after_ns);
    }
    return (struct energy_ticks){ends->before, ends->after};
}

static struct account_stretch stretch(struct whole *w, const struct nature_window *at, struct ends *ends)
{
    return (struct account_stretch){.t0_ns = at->t0_ns, .t1_ns = at->t1_ns, .ticks = take_ticks(w, at, ends)};
}

/* As a run has it: idle levels before the warm-up and behind the guard. */
static struct account_run account_of(struct whole *w)
{
    const struct nature *n = &w->scenes[0].nature;
    struct account_run run = {
        .window = w->order.window,
        .ticks = take_ticks(w, &n->work, &w->work),
        .options = {.draws = 1000, .seed = (uint32_t)w->scenes[0].trial->seed,
                    .stamps_ns = (const int64_t *)(const void *)n->stamps->data, .stamp_count = n->stamps->len},
        .load = stretch(w, &w->order.load, &w->load),
        .warmup = stretch(w, &w->order.warmup, &w->warmup),
        .on_boards = true};
    run.idle_context = (struct account_stretch){.t0_ns = w->order.idle.t0_ns, .t1_ns = w->order.idle.t1_ns};
    struct nature_window after = order_idle(&w->order, run.window.t1_ns);
    run.idle_after = (struct account_stretch){.t0_ns = after.t0_ns, .t1_ns = after.t1_ns};
    return run;
}

/* --- truth ------------------------------------------------------------------------------------------------------- */

static void add_truth(struct nature *n, const struct order *order, struct figure_found *figures)
{
    const struct energy_window *at = &order->window;
    struct nature_window after = {at->t1_ns, at->guard_to_ns}, end = {at->guard_to_ns - END_NS, at->guard_to_ns};
    double still_w = nature_above_idle_j(n, &end) / clock_seconds(END_NS);
    for (int i = 0; i < n->part_count; i++) {
        figures[FIGURE_ENERGY].truth_j += nature_truth_j(n, &n->parts[i]);
        figures[FIGURE_NET].truth_j += nature_above_idle_j(n, &n->parts[i]);
    }
    figures[FIGURE_TAIL].truth_j += nature_above_idle_j(n, &after) - still_w * clock_seconds(after.t1_ns - after.t0_ns);
    figures[FIGURE_LOAD].truth_j += nature_truth_j(n, &order->load);
    figures[FIGURE_WARMUP].truth_j += nature_truth_j(n, &order->warmup);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

void run_trial(const struct trial *trial, enum shape shape, struct run_outcome *ret)
{
    struct whole w = {0};
    *ret = (struct run_outcome){0};
    for (int i = 0; i < shapes[shape].boards; i++)
        add_board(&w, trial, shapes[shape].repeats);
    work_through(&w);
    struct account_source source = {.known = &w.order.known, .read = read_boards, .from = &w.order};
    struct account_run run = account_of(&w);
    struct exchange none = {.config_hash = (char *)(uintptr_t)"judge"};
    g_autoptr(owned_result) r = result_new(&none);
    account_energy(&source, &run, r);
    for (int f = 0; f < FIGURE_COUNT; f++)
        ret->figures[f].found = result_get(r, metrics[f]);
    for (int i = 0; i < w.count; i++) {
        add_truth(&w.scenes[i].nature, &w.order, ret->figures);
        nature_clear(&w.scenes[i].nature);
    }
}
