/* SPDX-License-Identifier: MIT */
/* Sums, nets, baselines, ratios, calibration files, other counters. */
#include "unit/energy/scene.h"

static struct energy_estimate known(const char *device, double joules, double statistical, double gain_u)
{
    struct energy_estimate e = {0};
    e.joules = quantity_of(QUANTITY_MEASURED, joules, "padded_counter", "x");
    e.method = ENERGY_METHOD_PADDED_COUNTER;
    e.duration_s = 10;
    e.raw_j = joules;
    e.statistical_j = statistical;
    e.gain_rel_u = gain_u;
    e.systematic_j = 1.96 * gain_u * joules;
    e.joules.low = joules - hypot(e.statistical_j, e.systematic_j);
    e.joules.high = joules + hypot(e.statistical_j, e.systematic_j);
    e.device = device;
    e.scope = METER_SCOPE_GPU;
    e.prior = energy_prior_find("nvidia");
    e.repeats = 1;
    e.boards = 1;
    e.average_w = quantity_of(QUANTITY_MEASURED, joules / 10, "x", "x");
    e.peak_w = e.average_w;
    e.tail_j = quantity_of(QUANTITY_MEASURED, 1, "x", "x");
    return e;
}

static void test_sum(void)
{
    struct energy_estimate boards[2] = {known("a", 1000, 3, 0.05), known("b", 2000, 4, 0.05)};
    g_auto(owned_estimate) sum = {0};
    for (int i = 0; i < 2; i++) {
        boards[i].tail_j.low = 1 - 0.3;
        boards[i].tail_j.high = 1 + 0.4;
    }
    energy_sum(boards, 2, &sum);
    g_assert_near(sum.joules.value, 3000, 1e-9);
    g_assert_near(sum.statistical_j, 5, 1e-9);         /* quadrature */
    g_assert_near(sum.systematic_j, 1.96 * 150, 1e-9); /* linear */
    g_assert_near(sum.joules.high - 3000, hypot(5, 294), 1e-6);
    g_assert_cmpuint(sum.boards, ==, 2);
    g_assert_near(sum.tail_j.value, 2, 1e-9);
    g_assert_near(sum.tail_j.low, 2 - 0.6, 1e-9); /* linear: they cool alike */
    g_assert_near(sum.tail_j.high, 2 + 0.8, 1e-9);
    g_assert_null(sum.device);
    g_assert_nonnull(sum.prior);
}

/* What was calibrated board by board has no common cause. */
/* A counter that sees 25 of 100 ms, whose increments follow steps of 93 ms. */
static void show_pattern(struct seen *seen, const struct scene *s, const int64_t *stamps, int n)
{
    double joules = 0;
    seen->info.window_ns = 25 * MS;
    for (guint i = 1; i < seen->points->len; i++) {
        struct meter_point *p = &g_array_index(seen->points, struct meter_point, i);
        double from = (double)(p->first_ns - s->delay_ns - stamps[0]) / (93.0 * MS);
        bool at_work = p->first_ns > s->t0_ns && p->first_ns < stamps[n - 1];
        joules += at_work ? 10 * cos(2 * G_PI * from) : 0;
        p->raw += llround(joules / seen->info.scale);
    }
}

/* What the readings show of a pattern of the steps, too, is missed alike by boards that work in step. */
static void test_sum_of_pattern(void)
{
    struct scene s = scene_default();
    s.t1_ns = s.t0_ns + 1400 * MS;
    struct energy_window w = scene_window(&s, 3, 3);
    int64_t stamps[16];
    for (int i = 0; i < 16; i++)
        stamps[i] = s.t0_ns + i * 93 * MS;
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    show_pattern(&seen, &s, stamps, 16);
    struct energy_board board = {.counter = &seen.channel, .idle_w = NAN, .limit_w = 700};
    struct energy_estimate with[2], without[2];
    g_auto(owned_estimate) told = {0}, untold = {0};
    for (int i = 0; i < 2; i++) {
        struct energy_options options = {.stamps_ns = stamps, .stamp_count = 16, .draws = 2000};
        energy_estimate_board(&board, &w, &options, &with[i]);
        options.stamp_count = 4; /* too few readings lie between them to show a pattern */
        energy_estimate_board(&board, &w, &options, &without[i]);
    }
    g_assert_false(with[0].phase.locked);
    g_assert_cmpfloat(with[0].phase.u_w, >, 0);
    g_assert_near(with[0].statistical_j, without[0].statistical_j, 1e-9); /* of one board it is in the scatter */
    energy_sum(with, 2, &told);
    energy_sum(without, 2, &untold);
    double pattern = 1.96 * with[0].phase.u_w * with[0].duration_s, shared = without[0].shared_j;
    g_assert_near(told.shared_j, 2 * hypot(pattern, shared), 0.1 * pattern);
    g_assert_cmpfloat(told.statistical_j, >, untold.statistical_j);
    g_assert_cmpfloat(told.statistical_j, <, 2 * with[0].statistical_j + 1e-9);
    seen_clear(&seen);
}

static void test_sum_of_calibrated(void)
{
    struct energy_estimate boards[3] = {known("a", 1000, 3, 0.03), known("b", 2000, 4, 0.02),
                                        known("c", 1000, 0, 0.05)};
    g_auto(owned_estimate) two = {0}, all = {0}, net = {0};
    struct energy_baseline base = {.watts = quantity_of(QUANTITY_MEASURED, 100, "x", "x"), .u_w = 0, .df = 9};
    g_strlcpy(boards[0].calibration.uuid, "a", sizeof boards[0].calibration.uuid);
    g_strlcpy(boards[1].calibration.uuid, "b", sizeof boards[1].calibration.uuid);
    energy_sum(boards, 2, &two);
    g_assert_near(two.systematic_j, 1.96 * hypot(30, 40), 1e-9);
    g_assert_near(two.joules.high - 3000, hypot(5, 98), 1e-6);
    g_assert_near(two.gain_rel_u, 50 / 3000.0, 1e-12);
    energy_net(&two, &base, &net);
    g_assert_near(net.systematic_j, 1.96 * 50 / 3000 * 2000, 1e-9);
    boards[2].offset_w_u = 5;
    energy_sum(boards, 3, &all); /* the third was not: its part stands for itself */
    g_assert_near(all.systematic_j, 1.96 * hypot(50, 50), 1e-9);
    g_assert_near(all.offset_w_u, 5, 1e-12);
}

static void test_sum_absent(void)
{
    struct energy_estimate boards[2] = {known("a", 1000, 3, 0.05), known("b", 2000, 4, 0.05)};
    for (int i = 0; i < 2; i++) {
        struct energy_estimate pair[2] = {boards[0], boards[1]};
        g_auto(owned_estimate) sum = {0};
        if (i == 0)
            pair[1].joules = quantity_absent("the sensor failed");
        else
            pair[1].scope = METER_SCOPE_PACKAGE;
        energy_sum(pair, 2, &sum);
        g_assert_cmpint(sum.joules.status, ==, QUANTITY_ABSENT);
        g_assert_nonnull(strstr(sum.joules.reason, i ? "scope" : "the sensor failed"));
        g_assert_true(g_str_has_prefix(sum.joules.reason, "b: "));
        g_assert_cmpint(sum.average_w.status, ==, QUANTITY_ABSENT);
    }
}

static void test_status_of_sum(void)
{
    struct energy_estimate boards[2] = {known("a", 1000, 3, 0.05), known("b", 2000, 4, 0.05)};
    g_auto(owned_estimate) sum = {0};
    boards[1].joules.status = QUANTITY_SIMULATED; /* the weaker status marks the whole */
    energy_sum(boards, 2, &sum);
    g_assert_cmpint(sum.joules.status, ==, QUANTITY_SIMULATED);
}

static void test_net(void)
{
    struct energy_estimate gross = known("a", 1000, 3, 0.05);
    struct energy_baseline base = {.watts = quantity_of(QUANTITY_MEASURED, 120, "x", "x"), .u_w = 0.5, .df = 9};
    g_auto(owned_estimate) net = {0};
    double t = 2.262157; /* t(0.975, 9) */

    energy_net(&gross, &base, &net);
    g_assert_near(net.joules.value, -200, 1e-9); /* never clamped */
    g_assert_near(net.statistical_j, hypot(3, t * 0.5 * 10), 1e-4);
    g_assert_near(net.systematic_j, 1.96 * 0.05 * 200, 1e-9); /* the offset cancels, the gain does not */
    g_assert_cmpfloat(net.joules.low, <, -200);
    base.watts = quantity_absent("no baseline was measured");
    energy_net(&gross, &base, &net);
    g_assert_cmpint(net.joules.status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(strstr(net.joules.reason, "no baseline was measured"));
}

static void test_baseline(void)
{
    struct scene s = scene_default();
    struct energy_window w = scene_window(&s, 12, 3);
    struct energy_calibration c = {.uuid = "GPU-1", .gain = 0.9, .offset_w = 10, .u_gain = 0.01};
    struct energy_board board = {.idle_w = NAN, .limit_w = NAN};
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    board.counter = &seen.channel;
    struct energy_baseline b;
    energy_baseline_measure(&board, w.guard_from_ns, s.t0_ns - NS_PER_S, &b);
    g_assert_near(b.watts.value, 100, 0.2);
    g_assert_cmpfloat(b.u_w, <, 1);
    g_assert_true(b.watts.low <= 100 && 100 <= b.watts.high);
    board.calibration = &c;
    energy_baseline_measure(&board, w.guard_from_ns, s.t0_ns - NS_PER_S, &b);
    g_assert_near(b.watts.value, 100, 0.2); /* (100 − 10) / 0.9 */
    energy_baseline_measure(&board, s.t0_ns - 300 * MS, s.t0_ns, &b);
    g_assert_cmpint(b.watts.status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(strstr(b.watts.reason, "too short"));
    board.counter = NULL;
    energy_baseline_measure(&board, 0, NS_PER_S, &b);
    g_assert_cmpint(b.watts.status, ==, QUANTITY_ABSENT);
    seen_clear(&seen);
}

static struct energy_baseline level(double watts, double u, double at_s)
{
    struct energy_baseline b = {.watts = quantity_of(QUANTITY_MEASURED, watts, "x", "x"),
                                .u_w = u,
                                .df = 9,
                                .from_ns = (int64_t)(at_s * 1e9),
                                .to_ns = (int64_t)(at_s * 1e9)};
    b.watts.low = watts - 2 * u;
    b.watts.high = watts + 2 * u;
    return b;
}

static void test_baseline_between(void)
{
    struct energy_baseline before = level(100, 0.3, 0), after = level(104, 0.4, 100);
    struct energy_baseline b;
    bool drift;
    energy_baseline_between(&before, &after, 25 * NS_PER_S, &b, &drift);
    g_assert_near(b.watts.value, 101, 1e-9);
    g_assert_near(b.u_w, sqrt(0.75 * 0.75 * 0.09 + 0.25 * 0.25 * 0.16 + 16.0 / 12), 1e-9);
    g_assert_false(drift); /* 4 % */
    after = level(115, 0.4, 100);
    energy_baseline_between(&before, &after, 50 * NS_PER_S, &b, &drift);
    g_assert_true(drift);
    energy_baseline_between(&before, NULL, 50 * NS_PER_S, &b, &drift);
    g_assert_near(b.watts.value, 100, 1e-9);
    g_assert_false(drift);
}

static void test_cumulative(void)
{
    struct meter_point points[4] = {{0, 0, 100, 5, METER_READ_OK},
                                    {100, 110, 200, 1005, METER_READ_OK},
                                    {200, 210, 300, 4005, METER_READ_OK},
                                    {300, 310, 400, 9005, METER_READ_OK}};
    struct meter_channel info = {
        .id = "x:gpu:throttle", .kind = METER_THROTTLE, .scale = 1e-9, .status = QUANTITY_MEASURED};
    struct energy_channel channel = {.info = &info, .points = points, .count = 4};
    g_assert_near(energy_cumulative(&channel, 50, 250).value, 4000e-9, 1e-18);
    g_assert_near(energy_cumulative(&channel, 220, 230).value, 0, 0); /* a true 0: measured, none */
    g_assert_cmpint(energy_cumulative(&channel, 220, 230).status, ==, QUANTITY_MEASURED);
    points[1].status = METER_READ_BACKWARDS;
    g_assert_cmpint(energy_cumulative(&channel, 50, 250).status, ==, QUANTITY_ABSENT);
    channel.count = 0;
    g_assert_cmpint(energy_cumulative(&channel, 50, 250).status, ==, QUANTITY_ABSENT);
}

static void test_priors(void)
{
    static const char *const models[] = {"rapl.intel.model", "rapl.amd"};
    const struct meter_class *measured = energy_prior_find("rapl.intel");
    /* What the maker models is marked, and trusted less than what is measured. */
    g_assert_false(measured->model_based);
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        const struct meter_class *model = energy_prior_find(models[i]);
        g_assert_true(model->model_based);
        g_assert_cmpfloat(model->gain_u, >, measured->gain_u);
        g_assert_cmpfloat(model->offset_u_w, >, measured->offset_u_w);
    }
    const struct meter_class *p;
    for (size_t i = 0; (p = meter_class_at(i)); i++) {
        g_assert_true(energy_prior_find(p->name) == p);
        g_assert_cmpfloat(p->gain_u, >, 0);
        g_assert_nonnull(p->source);
    }
    g_assert_cmpstr(energy_prior_find("never heard of")->name, ==, "nvidia.geforce");
    g_assert_nonnull(energy_prior_find(NULL));
}

static void test_calibration_file(void)
{
    static const struct {
        const char *name, *text, *error;
    } cases[] = {
        {"fine",
         "{\"uuid\":\"GPU-1\",\"gain\":0.95,\"offset_w\":-1.5,\"u_gain\":0.012,\"method\":\"m\","
         "\"date\":\"2026-11-01\"}",
         NULL},
        {"other board", "{\"uuid\":\"GPU-2\",\"gain\":0.95,\"offset_w\":0,\"u_gain\":0.01}", "GPU-2, not of GPU-1"},
        {"gain", "{\"uuid\":\"GPU-1\",\"gain\":95,\"offset_w\":0,\"u_gain\":0.01}", "expected a gain of 0.5 to 2"},
        {"no offset", "{\"uuid\":\"GPU-1\",\"gain\":1,\"u_gain\":0.01}", "offset_w"},
        {"correlation",
         "{\"uuid\":\"GPU-1\",\"gain\":1,\"offset_w\":0,\"u_gain\":0.01,\"correlation\":-1.5}", "correlation -1.5"},
        {"range",
         "{\"uuid\":\"GPU-1\",\"gain\":1,\"offset_w\":0,\"u_gain\":0.01,\"range_low_w\":300,\"range_high_w\":100}",
         "range 300 to 100 W"},
        {"torn", "{\"uuid\":\"GPU-1\",", "GPU-1.json"},
    };
    g_autofree char *folder = g_dir_make_tmp("llem-XXXXXX", NULL),
                    *path = g_build_filename(folder, "GPU-1.json", NULL);
    struct energy_calibration c;
    g_autoptr(GError) error = NULL;

    g_assert_false(energy_calibration_load(folder, "GPU-1", &c, &error));
    g_assert_no_error(error); /* no file: no calibration, no error */
    g_assert_false(energy_calibration_load(folder, "../GPU-1", &c, &error));
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(g_file_set_contents(path, cases[i].text, -1, NULL));
        g_clear_error(&error);
        g_test_message("%s", cases[i].name);
        g_assert_cmpint(energy_calibration_load(folder, "GPU-1", &c, &error), ==, cases[i].error == NULL);
        if (cases[i].error) {
            g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
            g_assert_nonnull(strstr(error->message, cases[i].error));
        } else {
            g_assert_near(c.offset_w, -1.5, 0);
            g_assert_true(isnan(c.u_offset_w) && isnan(c.range_low_w));
            g_assert_true(energy_calibration_load(path, "GPU-1", &c, &error));  /* the file itself */
            g_assert_false(energy_calibration_load(path, "GPU-2", &c, &error)); /* of one board */
            g_clear_error(&error);
            g_assert_cmpstr(c.date, ==, "2026-11-01");
        }
    }
    file_remove_tree(folder, NULL);
}

/* The page names every flag, method and prior: a row added without its words fails here. */
static void test_documented(void)
{
    g_autofree char *page = file_read(LLEM_SOURCE_DIR "/docs/methodology.md", LIMIT_CONFIG_BYTES, NULL, NULL);
    g_assert_nonnull(page);
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++) {
        g_autofree char *cell = g_strdup_printf("| `%s` |", energy_flag_name(i));
        g_test_message("%s", cell);
        g_assert_nonnull(strstr(page, cell));
        g_assert_cmpuint(strlen(energy_flag_meaning(i)), >, 20);
    }
    for (int i = ENERGY_METHOD_NONE + 1; i < ENERGY_METHOD_COUNT; i++) {
        g_autofree char *name = g_strdup_printf("(`%s`)", energy_method_name(i));
        g_test_message("%s", name);
        g_assert_nonnull(strstr(page, name));
    }
    const struct meter_class *p;
    for (size_t i = 0; (p = meter_class_at(i)); i++) {
        g_autofree char *row =
            g_strdup_printf("| `%s` | %g %% | %g W |", p->name, 100 * p->gain_u, p->offset_u_w);
        g_test_message("%s", row);
        g_assert_true(g_str_equal(p->name, "modelled") || strstr(page, row));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/energy/sum", test_sum);
    g_test_add_func("/energy/sum_of_pattern", test_sum_of_pattern);
    g_test_add_func("/energy/sum_of_calibrated", test_sum_of_calibrated);
    g_test_add_func("/energy/sum_absent", test_sum_absent);
    g_test_add_func("/energy/status_of_sum", test_status_of_sum);
    g_test_add_func("/energy/net", test_net);
    g_test_add_func("/energy/baseline", test_baseline);
    g_test_add_func("/energy/baseline_between", test_baseline_between);
    g_test_add_func("/energy/cumulative", test_cumulative);
    g_test_add_func("/energy/priors", test_priors);
    g_test_add_func("/energy/calibration_file", test_calibration_file);
    g_test_add_func("/energy/documented", test_documented);
    return g_test_run();
}
