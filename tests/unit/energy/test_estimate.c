/* SPDX-License-Identifier: MIT */
/* One board, one window: exact answers on noise-free sensors, faults, guards, phase, repeats. */
#include "unit/energy/scene.h"

static void estimate(struct seen *counter, struct seen *power, const struct energy_window *w,
                     struct energy_estimate *ret)
{
    struct energy_board board = {.idle_w = NAN, .limit_w = 700};
    struct energy_options options = {.draws = 2000, .seed = 1};
    board.counter = counter ? &counter->channel : NULL;
    if (power && power->info.kind == METER_POWER_AVERAGE)
        board.average = &power->channel;
    else
        board.instant = power ? &power->channel : NULL;
    energy_estimate_board(&board, w, &options, ret);
}

/* Any kernel of area 1, any phase and delay: the padded estimate is the truth (steady guards, no noise). */
static void test_area_is_conserved(void)
{
    static const struct {
        const char *name;
        enum meter_kind kind;
        int64_t period_ms, average_ms, delay_ms, phase_ms;
    } cases[] = {
        {"counter", METER_ENERGY, 100, 0, 0, 0},          {"counter, delayed", METER_ENERGY, 100, 0, 95, 71},
        {"counter, slow", METER_ENERGY, 500, 0, 60, 133}, {"counter, fast", METER_ENERGY, 20, 0, 30, 3},
        {"power", METER_POWER_INSTANT, 100, 0, 40, 50},   {"1-s average", METER_POWER_AVERAGE, 100, 1000, 40, 99},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct scene s = scene_default();
        g_auto(owned_estimate) e = {0};
        s.period_ns = cases[i].period_ms * MS;
        s.average_ns = cases[i].average_ms * MS;
        s.delay_ns = cases[i].delay_ms * MS;
        s.phase_ns = cases[i].phase_ms * MS;
        struct energy_window w = scene_window(&s, 5, 5);
        struct seen seen;
        seen_init(&seen, &s, cases[i].kind, &w);
        estimate(cases[i].kind == METER_ENERGY ? &seen : NULL, cases[i].kind == METER_ENERGY ? NULL : &seen, &w, &e);
        g_test_message("%s: %.9g J, truth %.9g J", cases[i].name, e.joules.value, scene_truth_j(&s));
        g_assert_cmpint(e.joules.status, ==, QUANTITY_MEASURED);
        g_assert_near(e.raw_j / scene_truth_j(&s), 1, 1e-3);
        g_assert_cmpint(e.method, ==,
                        cases[i].kind == METER_ENERGY ? ENERGY_METHOD_PADDED_COUNTER : ENERGY_METHOD_PADDED_POWER);
        g_assert_near(e.pre_w, 100, 0.1);
        seen_clear(&seen);
    }
}

static void test_record(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    g_auto(owned_estimate) e = {0};
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    estimate(&seen, NULL, &w, &e);
    g_assert_near(e.duration_s, 2.054, 1e-9);
    g_assert_near(e.average_w.value, 400, 0.5);
    g_assert_near(e.peak_w.value, 400, 0.5);
    g_assert_near(e.period_s, 0.1, 1e-3);
    g_assert_near(e.tail_j.value, 0, 0.2);
    /* uncalibrated: 5 % of the energy and 5 W over the duration, 95 % */
    g_assert_near(e.systematic_j, 1.96 * hypot(0.05 * e.raw_j, 5 * e.duration_s), 4);
    g_assert_cmpfloat(e.statistical_j, <, 1);
    g_assert_cmpfloat(e.joules.low, <, e.joules.value - 0.8 * e.systematic_j);
    g_assert_true(e.flags & ENERGY_FLAG(UNCALIBRATED));
    g_assert_cmpstr(e.joules.sensor, ==, "x:gpu:energy");
    g_autoptr(json_t) tree = energy_estimate_json(&e);
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "method")), ==, "padded_counter");
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "systematic.class")), ==, "nvidia");
    g_assert_true(json_is_real(jsonx_at(tree, "statistical_half_width_j")));
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "joules.status")), ==, "measured");
    g_assert_cmpstr(json_string_value(json_array_get(jsonx_at(tree, "flags"), 0)), ==, "uncalibrated");
    g_assert_true(json_is_null(json_object_get(tree, "agreement_busy"))); /* no pair: a reason, never 0 */
    g_assert_nonnull(strstr(json_string_value(json_object_get(tree, "agreement_busy_reason")), "power channel"));
    seen_clear(&seen);
}

static void test_calibration(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    struct energy_calibration c = {.uuid = "GPU-1", .gain = 0.95, .offset_w = -3, .u_gain = 0.01,
                                   .range_low_w = NAN, .range_high_w = NAN};
    struct energy_board board = {.calibration = &c, .idle_w = NAN, .limit_w = NAN};
    g_auto(owned_estimate) e = {0};
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    board.counter = &seen.channel;
    energy_estimate_board(&board, &w, NULL, &e);
    g_assert_near(e.joules.value, (e.raw_j + 3 * e.duration_s) / 0.95, 1e-9);
    g_assert_near(e.raw_j, scene_truth_j(&s), 1);       /* both are kept */
    g_assert_near(e.peak_w.value, (400 + 3) / 0.95, 1); /* power has the offset, a difference has not */
    g_assert_near(e.pre_w, (100 + 3) / 0.95, 1);
    g_assert_near(e.tail_j.value, 0, 0.3);
    g_assert_near(e.systematic_j, 1.96 * 0.01 * e.joules.value, 0.4);
    g_assert_false(e.flags & ENERGY_FLAG(UNCALIBRATED));
    g_assert_null(e.prior);
    g_assert_false(e.flags & ENERGY_FLAG(OUT_OF_CALIBRATION));
    seen_clear(&seen);
}

/* A board without any noise has an interval all the same: that of the unit it is read in. */
static void test_floor(void)
{
    static const struct {
        enum meter_kind kind;
        double unit, least;
    } cases[] = {{METER_ENERGY, 1e-3, 1e-3}, {METER_POWER_INSTANT, 1, 1}, {METER_POWER_INSTANT, 0.001, 0.001}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct scene s = scene_default();
        s.work_w = s.idle_w;
        struct energy_window w = scene_window(&s, 3, 3);
        struct seen seen;
        seen_init(&seen, &s, cases[i].kind, &w);
        for (guint k = 0; k < seen.points->len; k++) {
            struct meter_point *p = &g_array_index(seen.points, struct meter_point, k);
            p->raw = llround((double)p->raw * seen.info.scale / cases[i].unit);
        }
        seen.info.scale = cases[i].unit;
        g_auto(owned_estimate) e = {0};
        estimate(cases[i].kind == METER_ENERGY ? &seen : NULL, cases[i].kind == METER_ENERGY ? NULL : &seen, &w, &e);
        if (e.joules.status != QUANTITY_ABSENT)
            g_assert_cmpfloat(e.statistical_j, >=, cases[i].least / 2);
        seen_clear(&seen);
    }
}

/* The offset has an uncertainty of its own: the file's, or the prior's where it does not say; what is known to move
 * against the gain makes less of both. Power beyond the calibrated range is told. */
static void test_calibration_offset(void)
{
    static const struct {
        const char *name;
        double u_offset_w, correlation, range_high_w;
        double systematic_w; /* of 400 W */
        bool flagged;
    } cases[] = {
        {"said", 2, 0, NAN, 4.47, false},    {"not said", NAN, 0, NAN, 6.40, false}, {"none", 0, 0, 500, 4, false},
        {"against each other", 2, -1, NAN, 2, false},
        {"beyond", 2, 0, 300, 4.47, true},   {"with each other", 2, 1, NAN, 6, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct scene s = scene_default();
        struct energy_window w = scene_window(&s, 3, 3);
        struct energy_calibration c = {.uuid = "GPU-1", .gain = 1, .u_gain = 0.01,
                                       .u_offset_w = cases[i].u_offset_w, .correlation = cases[i].correlation,
                                       .range_low_w = NAN, .range_high_w = cases[i].range_high_w};
        struct seen seen;
        seen_init(&seen, &s, METER_ENERGY, &w);
        struct energy_board board = {.counter = &seen.channel, .calibration = &c, .idle_w = NAN, .limit_w = NAN};
        g_auto(owned_estimate) e = {0};
        energy_estimate_board(&board, &w, NULL, &e);
        g_test_message("%s: %g W", cases[i].name, e.systematic_j / 1.96 / e.duration_s);
        g_assert_cmpint(!!(e.flags & ENERGY_FLAG(OUT_OF_CALIBRATION)), ==, cases[i].flagged);
        g_assert_near(e.systematic_j / 1.96 / e.duration_s, cases[i].systematic_w, 0.3);
        seen_clear(&seen);
    }
}

/* --- faults: a flag and another channel, or a reason; never a number from broken data ---------------------------- */

static void break_reset(struct seen *c, int64_t t)
{
    struct meter_point *p = seen_at(c, t), *end = p + (c->channel.points + c->channel.count - p);
    int64_t drop = p->raw - 5;
    p->status = METER_READ_BACKWARDS;
    for (; p < end; p++)
        p->raw -= drop;
}

static void break_stuck(struct seen *c, int64_t t)
{
    struct meter_point *p = seen_at(c, t);
    p->last_ns = c->channel.points[c->channel.count - 1].last_ns;
    c->channel.count = (size_t)(p - c->channel.points) + 1;
}

static void break_lost(struct seen *c, int64_t t)
{
    seen_at(c, t)->status = METER_READ_LOST;
}

static void break_implausible(struct seen *c, int64_t t)
{
    seen_at(c, t)->status = METER_READ_IMPLAUSIBLE;
}

static void break_wrap(struct seen *c, int64_t t)
{
    seen_at(c, t)->status = METER_READ_WRAP_AMBIGUOUS;
}

static void break_never_read(struct seen *c, int64_t t)
{
    (void)t;
    c->channel.count = 0;
}

static const struct {
    const char *name;
    void (*spoil)(struct seen *counter, int64_t t);
    uint32_t flag;
} faults[] = {
    {"reset", break_reset, ENERGY_FLAG(COUNTER_RESET)},
    {"stuck", break_stuck, ENERGY_FLAG(COUNTER_STUCK)},
    {"lost", break_lost, ENERGY_FLAG(SENSOR_LOST)},
    {"implausible", break_implausible, ENERGY_FLAG(COUNTER_RESET)},
    {"wrap", break_wrap, ENERGY_FLAG(GAP)},
    {"never read", break_never_read, 0},
};

static void test_faults_fall_back(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct scene s = scene_default();
        struct energy_window w = scene_window(&s, 3, 3);
        g_auto(owned_estimate) e = {0};
        struct seen counter;
        seen_init(&counter, &s, METER_ENERGY, &w);
        struct seen power;
        seen_init(&power, &s, METER_POWER_INSTANT, &w);
        faults[i].spoil(&counter, s.t0_ns + NS_PER_S);
        estimate(&counter, &power, &w, &e);
        g_test_message("%s", faults[i].name);
        g_assert_cmpint(e.method, ==, ENERGY_METHOD_PADDED_POWER);
        g_assert_true((e.flags & faults[i].flag) == faults[i].flag);
        g_assert_true(e.flags & ENERGY_FLAG(FALLBACK));
        g_assert_near(e.raw_j, scene_truth_j(&s), 2);
        for (size_t k = 0; k < e.check_count; k++)
            g_assert_cmpstr(e.checks[k].sensor, ==, "x:gpu:power");
        seen_clear(&counter);
        seen_clear(&power);
    }
}

static void test_faults_alone_are_absent(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct scene s = scene_default();
        struct energy_window w = scene_window(&s, 3, 3);
        g_auto(owned_estimate) e = {0};
        struct seen counter;
        seen_init(&counter, &s, METER_ENERGY, &w);
        faults[i].spoil(&counter, s.t0_ns + NS_PER_S);
        estimate(&counter, NULL, &w, &e);
        g_assert_cmpint(e.joules.status, ==, QUANTITY_ABSENT);
        g_assert_nonnull(e.joules.reason);
        g_assert_nonnull(strstr(e.joules.reason, "x:gpu:energy"));
        g_assert_cmpint(e.tail_j.status, ==, QUANTITY_ABSENT);
        g_assert_true(isnan(e.raw_j) && isnan(e.statistical_j));
        g_assert_true((e.flags & faults[i].flag) == faults[i].flag);
        seen_clear(&counter);
    }
}

/* A fault outside of the guards does not concern the window. */
static void test_fault_outside(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    g_auto(owned_estimate) e = {0};
    struct seen counter;
    seen_init(&counter, &s, METER_ENERGY, &w);
    break_reset(&counter, w.guard_from_ns - 500 * MS);
    estimate(&counter, NULL, &w, &e);
    g_assert_near(e.raw_j, scene_truth_j(&s), 1);
    g_assert_false(e.flags & ENERGY_FLAG(COUNTER_RESET));
    seen_clear(&counter);
}

/* Missing readings in the middle do not hurt a counter; they are flagged, and widen integrated power. */
static void test_gap(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    double half[2];
    for (int kind = 0; kind < 2; kind++) {
        g_auto(owned_estimate) e = {0};
        struct seen seen;
        seen_init(&seen, &s, kind ? METER_POWER_INSTANT : METER_ENERGY, &w);
        struct meter_point *p = seen_at(&seen, s.t0_ns + 600 * MS);
        struct meter_point *q = seen_at(&seen, kind ? s.t1_ns + 150 * MS : s.t0_ns + 1400 * MS);
        p->last_ns = MIN(p->last_ns, s.t0_ns + 600 * MS);
        q->lo_ns = p->last_ns;
        memmove(p + 1, q, (size_t)(seen.channel.points + seen.channel.count - q) * sizeof *q);
        seen.channel.count -= (size_t)(q - p) - 1;
        estimate(kind ? NULL : &seen, kind ? &seen : NULL, &w, &e);
        g_assert_true(e.flags & ENERGY_FLAG(GAP));
        half[kind] = e.statistical_j;
        g_assert_near(e.raw_j, scene_truth_j(&s), e.statistical_j + 1);
        seen_clear(&seen);
    }
    g_assert_cmpfloat(half[0], <, 1);
    g_assert_cmpfloat(half[1], >, 50);
}

/* --- other estimators -------------------------------------------------------------------------------------------- */

static void test_without_guards(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 0, 0);
    for (int kind = 0; kind < 2; kind++) {
        struct energy_window wide = scene_window(&s, 3, 3);
        g_auto(owned_estimate) e = {0};
        struct seen seen;
        seen_init(&seen, &s, kind ? METER_POWER_INSTANT : METER_ENERGY, &wide);
        estimate(kind ? NULL : &seen, kind ? &seen : NULL, &w, &e);
        g_assert_cmpint(e.method, ==, kind ? ENERGY_METHOD_TRAPEZOID : ENERGY_METHOD_EDGE_COUNTER);
        g_assert_true(e.flags & ENERGY_FLAG(GUARD_SHORT));
        g_assert_near(e.raw_j, scene_truth_j(&s), e.statistical_j);
        g_assert_cmpint(e.tail_j.status, ==, QUANTITY_ABSENT);
        g_assert_cmpfloat(e.shared_j, >, 0.7 * e.statistical_j); /* both ends: boards beside it miss alike */
        seen_clear(&seen);
    }
}

/* What a sensor of W < T did not see widens without guards, too; and where no steps were stamped, nobody knows whether
 * they kept step with it. */
static void test_without_guards_in_part(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 0, 0), wide = scene_window(&s, 3, 3);
    for (int kind = 0; kind < 2; kind++) {
        double half[2];
        for (int part = 0; part < 2; part++) {
            g_auto(owned_estimate) e = {0};
            struct seen seen;
            seen_init(&seen, &s, kind ? METER_POWER_INSTANT : METER_ENERGY, &wide);
            seen.info.window_ns = part ? 25 * MS : s.period_ns;
            estimate(kind ? NULL : &seen, kind ? &seen : NULL, &w, &e);
            g_assert_cmpint(e.method, ==, kind ? ENERGY_METHOD_TRAPEZOID : ENERGY_METHOD_EDGE_COUNTER);
            g_assert_cmpint(!!(e.flags & ENERGY_FLAG(PARTIAL_COVERAGE)), ==, part);
            g_assert_cmpint(!!(e.flags & ENERGY_FLAG(PHASE_UNTOLD)), ==, part);
            half[part] = e.statistical_j;
            seen_clear(&seen);
        }
        /* at each end up to T − W of 300 W, either way: 22 J of two rectangles at 95 % */
        g_assert_cmpfloat(hypot(half[0], 15), <, half[1]);
    }
}

static void test_direct(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 2, 2);
    g_auto(owned_estimate) e = {0};
    s.period_ns = MS;
    s.delay_ns = MS / 4;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.info.sensor_class = "rapl.intel";
    int64_t a = s.phase_ns + ((s.t0_ns - s.phase_ns) / MS - 1) * MS;
    int64_t b = s.phase_ns + ((s.t1_ns - s.phase_ns) / MS + 2) * MS;
    struct meter_reading tick0 = {a, a + 1000, llround(scene_reading(&s, METER_ENERGY, a) / 1e-6), METER_READ_OK};
    struct meter_reading tick1 = {b, b + 1000, llround(scene_reading(&s, METER_ENERGY, b) / 1e-6), METER_READ_OK};
    seen.channel.tick0 = &tick0;
    seen.channel.tick1 = &tick1;
    estimate(&seen, NULL, &w, &e);
    g_assert_cmpint(e.method, ==, ENERGY_METHOD_DIRECT_DIFFERENCE);
    g_assert_near(e.raw_j / scene_truth_j(&s), 1, 1e-4);
    g_assert_cmpfloat(e.statistical_j, <, 1e-3 * e.raw_j);
    g_assert_false(e.flags & ENERGY_FLAG(PERIOD_CHANGED)); /* polled every 10 ms: that is not its period */
    seen_clear(&seen);
}

static void test_modelled(void)
{
    struct scene s = scene_default();
    g_auto(owned_estimate) e = {0};
    s.idle_w = s.after_w = 0; /* CPU time of an idle engine stands still: not stuck */
    s.work_w = 30;
    s.period_ns = 10 * MS;
    s.delay_ns = 0;
    struct energy_window w = scene_window(&s, 1.2, 1.2);
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.info.status = QUANTITY_MODELLED;
    seen.info.sensor_class = "modelled";
    seen.info.low_ratio = 0.4;
    seen.info.high_ratio = 2;
    estimate(&seen, NULL, &w, &e);
    g_assert_cmpint(e.joules.status, ==, QUANTITY_MODELLED);
    g_assert_near(e.joules.value, scene_truth_j(&s), 0.5);
    g_assert_near(e.joules.low, 0.4 * e.joules.value, e.statistical_j + 1e-9);
    g_assert_near(e.joules.high, 2 * e.joules.value, e.statistical_j + 1e-9);
    g_assert_false(e.flags & ENERGY_FLAG(COUNTER_STUCK));
    g_assert_null(e.prior);
    seen_clear(&seen);
}

static void test_agreement(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    for (int off = 0; off < 2; off++) {
        g_auto(owned_estimate) e = {0};
        struct seen counter;
        seen_init(&counter, &s, METER_ENERGY, &w);
        struct seen power;
        seen_init(&power, &s, METER_POWER_INSTANT, &w);
        for (size_t i = 0; off && i < power.channel.count; i++)
            g_array_index(power.points, struct meter_point, i).raw *= 0.9;
        estimate(&counter, &power, &w, &e);
        g_assert_near(e.agreement_idle, off ? 1 / 0.9 - 1 : 0, 2e-3);
        g_assert_near(e.agreement_busy, off ? 1 / 0.9 - 1 : 0, 5e-3);
        g_assert_cmpint(!!(e.flags & ENERGY_FLAG(CHANNELS_DISAGREE)), ==, off);
        seen_clear(&counter);
        seen_clear(&power);
    }
}

/* --- guards ------------------------------------------------------------------------------------------------------ */

static void test_plan(void)
{
    static const struct {
        const char *name;
        enum meter_kind kind;
        const char *sensor_class;
        int64_t period_ms, window_ms;
        bool follows;
        double hold_s, delay_s, post_s, extent_s;
    } cases[] = {
        {"RAPL", METER_ENERGY, "rapl.intel", 1, 0, false, 1, 0.001, 1.002, 0},
        {"RAPL, a model", METER_ENERGY, "rapl.intel.model", 1, 0, false, 1, 0.001, 1.002, 0},
        {"RAPL, AMD", METER_ENERGY, "rapl.amd", 1, 0, false, 1, 0.001, 1.002, 0},
        {"counter", METER_ENERGY, "nvidia", 100, 0, false, 1, 0.4, 1.5, 0},
        {"counter whose lag was measured", METER_ENERGY, "nvidia", 100, 0, false, 1, 0.15, 1.25, 0.15},
        {"slow counter", METER_ENERGY, "nvidia.geforce", 500, 0, false, 2, 0.4, 2.9, 0},
        {"counter of the average", METER_ENERGY, "nvidia", 100, 0, true, 2, 1.9, 4, 0},
        {"average", METER_POWER_AVERAGE, "nvidia", 100, 1000, false, 2, 1.9, 4, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct meter_channel info = {.kind = cases[i].kind,
                                     .sensor_class = cases[i].sensor_class,
                                     .refresh_ns = cases[i].period_ms * MS,
                                     .window_ns = cases[i].window_ms * MS,
                                     .status = QUANTITY_MEASURED};
        struct energy_channel channel = {.info = &info, .follows_average = cases[i].follows};
        if (cases[i].extent_s > 0)
            channel.lag = (struct meter_lag){2, 2, 0.03, 0.05, cases[i].extent_s};
        struct energy_guard_plan plan = energy_plan_guard(&channel, 1);
        g_test_message("%s", cases[i].name);
        g_assert_near((double)plan.hold_ns * 1e-9, cases[i].hold_s, 1e-9);
        g_assert_near((double)plan.delay_hi_ns * 1e-9, cases[i].delay_s, 1e-9);
        g_assert_near((double)plan.post_ns * 1e-9, cases[i].post_s, 1e-9);
        g_assert_cmpint(plan.limit_ns, ==, 10 * NS_PER_S);
    }
}

/* Power that stays up for 2.5 s after the work: wait, extend while it changes, settled after; the tail is told
 * apart. */
static void test_guard_extends(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 1.2, 6);
    g_auto(owned_estimate) e = {0};
    s.after_w = 160;
    s.drop_ns = s.t1_ns + 900 * MS;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    for (guint i = 0; i < seen.points->len; i++) /* a wander of 1 W, so that guards have a scatter */
        g_array_index(seen.points, struct meter_point, i).raw += llround(3e4 * sin(0.9 * i));
    struct energy_guard_plan plan = energy_plan_guard(&seen.channel, 1);
    g_assert_cmpint(energy_guard_settled(&seen.channel, &plan, &w, s.t1_ns + NS_PER_S), ==, ENERGY_GUARD_WAIT);
    g_assert_cmpint(energy_guard_settled(&seen.channel, &plan, &w, s.t1_ns + plan.post_ns), ==, ENERGY_GUARD_EXTEND);
    g_assert_cmpint(energy_guard_settled(&seen.channel, &plan, &w, s.t1_ns + 3 * NS_PER_S), ==, ENERGY_GUARD_SETTLED);
    plan.limit_ns = plan.post_ns;
    g_assert_cmpint(energy_guard_settled(&seen.channel, &plan, &w, s.t1_ns + plan.post_ns), ==, ENERGY_GUARD_GIVE_UP);
    estimate(&seen, NULL, &w, &e);
    g_assert_true(e.flags & ENERGY_FLAG(GUARD_NOT_SETTLED));
    g_assert_near(e.raw_j, scene_truth_j(&s), e.statistical_j);
    g_assert_near(e.tail_j.value, 60 * 0.9, 6);
    seen_clear(&seen);
}

/* A refresh of 0.5 s that nobody characterised, assumed to be 0.1 s: slow, not stuck; the trace shows the period. */
static void test_period_unknown(void)
{
    struct scene s = scene_default();
    g_auto(owned_estimate) e = {0};
    s.period_ns = 500 * MS;
    struct energy_window w = scene_window(&s, 4, 4);
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.channel.period_ns = 0;
    seen.info.refresh_ns = 100 * MS;
    estimate(&seen, NULL, &w, &e);
    g_assert_false(e.flags & ENERGY_FLAG(COUNTER_STUCK));
    g_assert_near(e.period_s, 0.5, 1e-3);
    g_assert_near(e.raw_j, scene_truth_j(&s), fmax(1, e.statistical_j));
    seen_clear(&seen);
}

static void test_period_changed(void)
{
    struct scene s = scene_default();
    g_auto(owned_estimate) e = {0};
    s.period_ns = 500 * MS;
    struct energy_window w = scene_window(&s, 4, 4);
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.channel.period_ns = 100 * MS;
    seen.info.refresh_ns = 200 * MS; /* not stuck: runs are judged by what is known, five of them at least */
    estimate(&seen, NULL, &w, &e);
    g_assert_true(e.flags & ENERGY_FLAG(PERIOD_CHANGED));
    g_assert_near((double)energy_period_changed(&seen.channel, &w) * 1e-9, 0.5, 0.005);
    seen.channel.period_ns = 400 * MS;
    g_assert_cmpint(energy_period_changed(&seen.channel, &w), ==, 0);
    seen_clear(&seen);
}

/* Sensors that are read ten times a second show no refresh in between, whatever a quicker look at them showed, and
 * what is not known of their window is not taken for a blind spot. */
static void test_slow_channels(void)
{
    struct scene s = scene_default();
    g_auto(owned_estimate) e = {0};
    struct energy_board board = {.idle_w = NAN, .limit_w = NAN};
    int64_t stamps[40];
    struct energy_options options = {.stamps_ns = stamps, .stamp_count = G_N_ELEMENTS(stamps)};
    s.step_ns = METER_SLOW_STEP_NS;
    s.period_ns = METER_SLOW_STEP_NS;
    struct energy_window w = scene_window(&s, 4, 4);
    struct seen seen;
    seen_init(&seen, &s, METER_POWER_INSTANT, &w);
    seen.info.rate = METER_SLOW;
    seen.info.refresh_ns = 0;
    seen.channel.period_ns = 10 * MS; /* every look had another value */
    for (size_t i = 0; i < G_N_ELEMENTS(stamps); i++)
        stamps[i] = s.t0_ns + (int64_t)i * 50 * MS;
    board.instant = &seen.channel;
    energy_estimate_board(&board, &w, &options, &e);
    g_assert_cmpint(e.joules.status, ==, QUANTITY_MEASURED);
    g_assert_cmphex(e.flags & (ENERGY_FLAG(PHASE_LOCKED) | ENERGY_FLAG(GAP) | ENERGY_FLAG(PERIOD_CHANGED)), ==, 0);
    g_assert_false(e.phase.locked);
    seen_clear(&seen);
}

/* The points of a counter that adds up what a power channel shows at its refreshes. */
static void counter_of(struct seen *counter, const struct scene *s, const struct meter_channel *power)
{
    double joules = 1000;
    int64_t seen_k = -1;
    for (guint i = 0; i < counter->points->len; i++) {
        struct meter_point *p = &g_array_index(counter->points, struct meter_point, i);
        int64_t k = (p->first_ns - s->phase_ns) / s->period_ns;
        if (seen_k >= 0)
            joules += scene_reading(s, power->kind, p->first_ns) * (double)((k - seen_k) * s->period_ns) * 1e-9;
        seen_k = k;
        p->raw = llround(joules / counter->info.scale);
    }
}

static void test_follows_average(void)
{
    static const struct {
        const char *name;
        int64_t counter_average_ms; /* of what the counter adds up; 0: the truth */
        double work_w;
        bool follows;
    } cases[] = {
        {"adds up the instant power", 0, 400, false},
        {"adds up the average", 1000, 400, true},
        {"nothing changes: not known", 1000, 100, false},
    };

    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        struct scene s = scene_default();
        struct energy_window w = scene_window(&s, 4, 4);
        s.work_w = cases[c].work_w;
        struct scene slow = s;
        slow.average_ns = NS_PER_S;
        struct seen counter;
        seen_init(&counter, &s, METER_ENERGY, &w);
        struct seen average;
        seen_init(&average, &slow, METER_POWER_AVERAGE, &w);
        struct seen instant;
        seen_init(&instant, &s, METER_POWER_INSTANT, &w);
        if (cases[c].counter_average_ms)
            counter_of(&counter, &slow, &average.info);
        g_test_message("%s", cases[c].name);
        g_assert_cmpint(energy_follows_average(&counter.channel, &average.channel, &instant.channel), ==,
                        cases[c].follows);
        seen_clear(&counter);
        seen_clear(&average);
        seen_clear(&instant);
    }
}

/* --- phase, repeats, resolution ---------------------------------------------------------------------------------- */

static void test_phase(void)
{
    static const struct {
        const char *name;
        double step_ms, w_ms, t_ms, d_s;
        bool locked;
    } cases[] = {
        {"steps at the period", 100, 25, 100, 5, true},
        {"steps at half the period", 50, 25, 100, 5, true},
        {"0.1 % off, 10 s", 100.1, 25, 100, 10, true},
        {"0.1 % off, 60 s: the readings show the beat", 100.1, 25, 100, 60, false},
        {"off enough", 93, 25, 100, 5, false},
        {"steps inside the window", 12, 25, 100, 5, false},
        {"sees everything", 100, 100, 100, 5, false},
        {"harmonic that passes the window", 33.35, 10, 100, 5, true},
        {"of which the window holds whole numbers", 6.25, 25, 100, 5, false},
        {"power that alternates from step to step", 50, 25, 100.02, 5, true},
        {"the same over four steps", 25, 25, 100.02, 5, true},
        {"beats within the window", 104, 25, 101.2, 10, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct scene s = scene_default();
        s.t1_ns = s.t0_ns + (int64_t)(cases[i].d_s * 1e9);
        s.period_ns = (int64_t)(cases[i].t_ms * 1e6);
        struct energy_window w = scene_window(&s, 3, 3);
        size_t n = (size_t)(cases[i].d_s * 1e3 / cases[i].step_ms);
        g_autofree int64_t *stamps = g_new(int64_t, n);
        for (size_t k = 0; k < n; k++)
            stamps[k] = s.t0_ns + (int64_t)(cases[i].step_ms * 1e6 * (double)k);
        struct energy_options options = {.stamps_ns = stamps, .stamp_count = n};
        struct seen seen;
        seen_init(&seen, &s, METER_ENERGY, &w);
        seen.info.window_ns = (int64_t)(cases[i].w_ms * 1e6);
        struct energy_board board = {.counter = &seen.channel, .idle_w = NAN, .limit_w = 700};
        g_auto(owned_estimate) e = {0};
        energy_estimate_board(&board, &w, &options, &e);
        g_test_message("%s: miss² %g", cases[i].name, e.phase.miss2);
        g_assert_cmpint(e.phase.locked, ==, cases[i].locked);
        g_assert_near(e.phase.step_s * 1e3, cases[i].step_ms, 1e-3);
        seen_clear(&seen);
    }
}

/* Nobody knows what the board may draw: the interval of a lock reaches to the highest there is, and says so. */
static void test_limit_unknown(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    double half[2];
    int64_t stamps[20];
    for (int i = 0; i < 20; i++)
        stamps[i] = s.t0_ns + i * 100 * MS;
    for (int told = 0; told < 2; told++) {
        struct energy_options options = {.stamps_ns = stamps, .stamp_count = 20, .draws = 2000};
        struct seen seen;
        seen_init(&seen, &s, METER_ENERGY, &w);
        seen.info.window_ns = 25 * MS;
        seen.info.max_power_w = 0;
        struct energy_board board = {.counter = &seen.channel, .idle_w = NAN, .limit_w = told ? 700 : NAN};
        g_auto(owned_estimate) e = {0};
        energy_estimate_board(&board, &w, &options, &e);
        g_assert_true(e.flags & ENERGY_FLAG(PHASE_LOCKED));
        g_assert_cmpint(!!(e.flags & ENERGY_FLAG(LIMIT_UNKNOWN)), ==, !told);
        half[told] = e.statistical_j;
        seen_clear(&seen);
    }
    g_assert_cmpfloat(half[0], >, 2.5 * half[1]); /* 1,000 W above the mean, not 300 */
}

/* --- lag --------------------------------------------------------------------------------------------------------- */

/* Windows whose ends meet the sensor at other phases narrow the delay about the true one; what is shown last lies
 * behind it. A board that goes on drawing makes the extent longer at most. */
static void test_lag(void)
{
    static const struct {
        const char *name;
        int64_t period_ms, delay_ms;
        double after_w;
        double width_s, most_s; /* of the bracket, of the extent */
    } cases[] = {
        {"fast", 100, 40, 100, 0.06, 0.25},      {"no delay", 100, 0, 100, 0.06, 0.2},
        {"late", 100, 310, 100, 0.06, 0.6},      {"slow", 500, 60, 100, 0.3, 0.5},
        {"a shelf after it", 100, 40, 125, 0.06, 0.3},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct meter_lag lag = {0};
        for (int k = 0; k < 5; k++) {
            struct scene s = scene_default();
            s.period_ns = cases[i].period_ms * MS;
            s.delay_ns = cases[i].delay_ms * MS;
            s.phase_ns = k * s.period_ns / 5;
            s.after_w = cases[i].after_w;
            s.drop_ns = s.t1_ns + 1800 * MS;
            struct energy_window w = scene_window(&s, 4, 4);
            struct seen seen;
            seen_init(&seen, &s, METER_ENERGY, &w);
            energy_lag_learn(&seen.channel, &w, &lag);
            seen_clear(&seen);
        }
        g_test_message("%s: %g to %g s, all of it within %g s", cases[i].name, lag.delay_lo_s, lag.delay_hi_s,
                       lag.extent_s);
        double delay_s = (double)cases[i].delay_ms / 1e3;
        g_assert_cmpint(lag.downs, ==, 5);
        g_assert_cmpint(lag.ups, ==, 5);
        g_assert_cmpfloat(lag.delay_lo_s, <=, delay_s + 1e-6);
        g_assert_cmpfloat(lag.delay_hi_s, >=, delay_s);
        g_assert_cmpfloat(lag.delay_hi_s - lag.delay_lo_s, <, cases[i].width_s);
        g_assert_cmpfloat(lag.extent_s, >=, delay_s);
        g_assert_cmpfloat(lag.extent_s, <, cases[i].most_s);
    }
}

/* Nothing is learnt of what says nothing: no step, an average, a register. */
static void test_lag_says_nothing(void)
{
    struct scene s = scene_default();
    struct meter_lag lag = {0};
    s.work_w = s.idle_w + 5;
    struct energy_window w = scene_window(&s, 4, 4);
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    energy_lag_learn(&seen.channel, &w, &lag);
    seen_clear(&seen);
    s.work_w = 400;
    s.average_ns = NS_PER_S;
    seen_init(&seen, &s, METER_POWER_AVERAGE, &w);
    energy_lag_learn(&seen.channel, &w, &lag);
    seen_clear(&seen);
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.info.sensor_class = "rapl.intel";
    energy_lag_learn(&seen.channel, &w, &lag);
    seen_clear(&seen);
    g_assert_cmpint(lag.ups + lag.downs, ==, 0);
}

static void test_phase_widens(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 3, 3);
    struct energy_board board = {.idle_w = NAN, .limit_w = 700};
    int64_t stamps[20];
    struct energy_options options = {.stamps_ns = stamps, .stamp_count = 20, .draws = 2000};
    g_auto(owned_estimate) e = {0};
    for (int i = 0; i < 20; i++)
        stamps[i] = s.t0_ns + i * 100 * MS;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.info.window_ns = 25 * MS;
    board.counter = &seen.channel;
    energy_estimate_board(&board, &w, &options, &e);
    g_assert_true(e.flags & ENERGY_FLAG(PHASE_LOCKED));
    g_assert_true(e.flags & ENERGY_FLAG(PARTIAL_COVERAGE));
    /* (1 − W/T)·D times the most that the mean may miss of what lies between idle and limit, here 300 W either way, as
     * a rectangular half-width: 95 % of it at least */
    g_assert_cmpfloat(e.statistical_j, >, 0.95 * 0.75 * 300 * e.duration_s * 0.95);
    seen_clear(&seen);
}

static void test_repeats(void)
{
    struct scene s = scene_default();
    g_auto(owned_estimate) e = {0};
    s.t1_ns = s.t0_ns + 120 * MS;
    struct energy_window w = scene_window(&s, 3, 3);
    w.repeats = 4;
    w.gap_ns = 5 * MS;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    seen.info.window_ns = 25 * MS;
    estimate(&seen, NULL, &w, &e);
    g_assert_true(e.flags & ENERGY_FLAG(BELOW_RESOLUTION));
    g_assert_true(e.flags & ENERGY_FLAG(HOST_GAPS));
    g_assert_cmpint(e.recommended_repeats, >, 40);
    g_assert_near(energy_per_repeat(&e).value, e.joules.value / 4, 1e-9);
    /* the count recommended is enough: edges stay, the rest grows with its root */
    g_assert_cmpfloat(e.statistical_j / (e.joules.value * (double)e.recommended_repeats / 4), <, 0.011);
    seen_clear(&seen);
}

/* What the meter itself put between repeats is taken off at the level of the guards; without guards that level lies
 * anywhere between the least the board draws and the mean. */
static void test_pauses(void)
{
    struct scene s = scene_default();
    struct energy_window with = scene_window(&s, 3, 3), without = with;
    g_auto(owned_estimate) e = {0}, plain = {0}, unguarded = {0};
    with.pause_ns = 200 * MS;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &with);
    estimate(&seen, NULL, &without, &plain);
    estimate(&seen, NULL, &with, &e);
    g_assert_near(plain.joules.value - e.joules.value, 100 * 0.2, 0.01);
    g_assert_near(plain.duration_s - e.duration_s, 0.2, 1e-12);
    g_assert_near(e.average_w.value, e.joules.value / e.duration_s, 1e-9);
    struct energy_board board = {.counter = &seen.channel, .idle_w = 100, .limit_w = 600};
    const struct energy_options options = {.unguarded = true};
    energy_estimate_board(&board, &with, &options, &unguarded);
    g_assert_cmpfloat(unguarded.statistical_j, >, 0.95 * (400 - 100) / 2 * 0.2);
    g_assert_cmpfloat(unguarded.joules.value - unguarded.statistical_j, <, scene_truth_j(&s) - 100 * 0.2);
    seen_clear(&seen);
}

static void test_nothing(void)
{
    struct energy_window w = {0, 0, NS_PER_S, NS_PER_S, 1, 0, 0};
    struct energy_board board = {.idle_w = NAN, .limit_w = NAN};
    g_auto(owned_estimate) e = {0};
    energy_estimate_board(&board, &w, NULL, &e);
    g_assert_cmpint(e.joules.status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(strstr(e.joules.reason, "llem meter"));
    g_autoptr(json_t) tree = energy_estimate_json(&e);
    g_assert_true(json_is_null(jsonx_at(tree, "joules.value")) || !jsonx_at(tree, "joules.value"));
    g_assert_true(json_is_null(json_object_get(tree, "raw_j")));
}

/* --- warm-up ----------------------------------------------------------------------------------------------------- */

#define SHORT_ONES 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
static void test_steady(void)
{
    struct energy_steady_rule rule = energy_steady_default;
    static const struct {
        const char *name;
        double x[24];
        size_t n;
        double temperature_slope; /* °C per minute; NaN: no sensor */
        double elapsed_s;
        bool steady, timed_out;
    } cases[] = {
        {"too few", {1, 1, 1, 1}, 4, NAN, 1, false, false},
        {"level", {9, 1, 1.001, 0.999, 1, 1.001}, 6, NAN, 1, true, false},
        {"scatter", {1, 1.1, 0.9, 1.1, 0.9}, 5, NAN, 1, false, false},
        {"drift below the scatter limit", {1, 0.99, 0.98, 0.97, 0.96}, 5, NAN, 1, false, false},
        {"still warming", {1, 1, 1, 1, 1}, 5, 2, 1, false, false},
        {"warm", {1, 1, 1, 1, 1}, 5, 0.2, 1, true, false},
        {"a temperature that stays", {1, 1, 1, 1, 1}, 5, 0, 1, true, false},
        {"maximum", {1, 1.1, 0.9, 1.1, 0.9}, 5, NAN, 700, false, true},
        {"maximum of iterations", {SHORT_ONES, 1.1, 0.9, 1.1, 0.9}, 24, NAN, 1, false, true},
        {"short iterations wait for the temperature", {SHORT_ONES, 1, 1, 1, 1}, 24, 2, 1, false, false},
        {"maximum of time", {SHORT_ONES, 1, 1, 1, 1}, 24, 2, 700, false, true},
    };

    rule.iterations_max = 20;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct energy_temperature t[41];
        size_t count = isnan(cases[i].temperature_slope) ? 0 : G_N_ELEMENTS(t);
        for (size_t k = 0; k < count; k++)
            t[k] =
                (struct energy_temperature){(int64_t)k * NS_PER_S, 60 + cases[i].temperature_slope / 60 * (double)k};
        struct energy_steady s =
            energy_steady(&rule, cases[i].x, cases[i].n, t, count, (int64_t)(cases[i].elapsed_s * 1e9));
        g_test_message("%s: cv %g slope %g: %s", cases[i].name, s.cv, s.slope, s.waiting_for ? s.waiting_for : "-");
        g_assert_cmpint(s.steady, ==, cases[i].steady);
        g_assert_cmpint(s.timed_out, ==, cases[i].timed_out);
        g_assert_true((s.waiting_for == NULL) == s.steady);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/energy/area_is_conserved", test_area_is_conserved);
    g_test_add_func("/energy/record", test_record);
    g_test_add_func("/energy/calibration", test_calibration);
    g_test_add_func("/energy/floor", test_floor);
    g_test_add_func("/energy/calibration_offset", test_calibration_offset);
    g_test_add_func("/energy/faults_fall_back", test_faults_fall_back);
    g_test_add_func("/energy/faults_alone_are_absent", test_faults_alone_are_absent);
    g_test_add_func("/energy/fault_outside", test_fault_outside);
    g_test_add_func("/energy/gap", test_gap);
    g_test_add_func("/energy/without_guards", test_without_guards);
    g_test_add_func("/energy/without_guards_in_part", test_without_guards_in_part);
    g_test_add_func("/energy/direct", test_direct);
    g_test_add_func("/energy/modelled", test_modelled);
    g_test_add_func("/energy/agreement", test_agreement);
    g_test_add_func("/energy/plan", test_plan);
    g_test_add_func("/energy/guard_extends", test_guard_extends);
    g_test_add_func("/energy/period_changed", test_period_changed);
    g_test_add_func("/energy/slow_channels", test_slow_channels);
    g_test_add_func("/energy/follows_average", test_follows_average);
    g_test_add_func("/energy/period_unknown", test_period_unknown);
    g_test_add_func("/energy/lag", test_lag);
    g_test_add_func("/energy/lag says nothing", test_lag_says_nothing);
    g_test_add_func("/energy/phase", test_phase);
    g_test_add_func("/energy/phase_widens", test_phase_widens);
    g_test_add_func("/energy/limit_unknown", test_limit_unknown);
    g_test_add_func("/energy/repeats", test_repeats);
    g_test_add_func("/energy/pauses", test_pauses);
    g_test_add_func("/energy/nothing", test_nothing);
    g_test_add_func("/energy/steady", test_steady);
    return g_test_run();
}
