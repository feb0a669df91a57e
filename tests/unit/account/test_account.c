/* SPDX-License-Identifier: MIT */
/* The figures of a run from its record and from what a sensor beside the worker showed, against a known truth. */
#include "account/account.h"
#include "unit/energy/scene.h"

#define SHIFT_MS    50
#define TOKENS_OUT  64
#define REQUESTS    4
#define STEADY_TOKENS 5
#define SHA256      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A package that draws 20 W, and 60 W at work, with a register that is read every 10 ms. */
struct rig {
    struct scene scene;
    struct meter_channel channel;
    struct account_known known;
    struct account_source source;
};

static struct energy_readings *show_scene(void *from, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                          const struct energy_ticks *ticks)
{
    const struct rig *rig = from;
    struct energy_readings *readings = energy_readings_new();
    g_assert_nonnull(ticks);
    energy_readings_add(readings, known->channels[0],
                        scene_points(&rig->scene, known->channels[0], from_ns - 10 * MS, to_ns + 10 * MS), NULL, NULL);
    return readings;
}

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){.scene = scene_default()};
    rig->scene.idle_w = rig->scene.after_w = 20;
    rig->scene.work_w = 60;
    rig->scene.period_ns = 1 * MS;
    rig->scene.phase_ns = rig->scene.delay_ns = 0;
    rig->channel = (struct meter_channel){.id = "rapl:package-0:energy",
                                          .source = "drawn",
                                          .device = "package-0",
                                          .label = "package-0",
                                          .scope = METER_SCOPE_PACKAGE,
                                          .kind = METER_ENERGY,
                                          .rate = METER_FAST,
                                          .scale = 1e-6,
                                          .raw_unit = "uJ",
                                          .refresh_ns = 1 * MS,
                                          .sensor_class = "rapl.intel",
                                          .status = QUANTITY_MEASURED,
                                          .low_ratio = 1,
                                          .high_ratio = 1};
    const struct meter_channel **channels = g_new0(const struct meter_channel *, 2);
    channels[0] = &rig->channel;
    account_known_init(&rig->known, channels, "auto");
    rig->source = (struct account_source){&rig->known.energy, show_scene, rig};
}

static json_t *stretch_json(int64_t t0_ns, int64_t t1_ns)
{
    return json_pack("{s:I, s:I}", "t0_ns", (json_int_t)t0_ns, "t1_ns", (json_int_t)t1_ns);
}

/* The record that a worker leaves of the scene, whose clock is ahead by shift_ns. */
static json_t *record_of(const struct rig *rig, int64_t shift_ns)
{
    const struct scene *s = &rig->scene;
    int64_t t0 = s->t0_ns + shift_ns, t1 = s->t1_ns + shift_ns;
    json_t *window = json_pack("{s:I, s:I, s:I, s:I, s:i, s:f}", "guard_from_ns",
                               (json_int_t)(t0 - 3 * NS_PER_S), "t0_ns", (json_int_t)t0, "t1_ns",
                               (json_int_t)t1, "guard_to_ns", (json_int_t)(t1 + 3 * NS_PER_S), "pause_ns", 0,
                               "host_gap_share", 0.25);
    json_t *timing = json_pack("{s:o, s:o, s:n, s:s, s:o, s:o, s:o, s:n, s:s}", "steady",
                               stretch_json(t0 + NS_PER_S, t0 + 2 * NS_PER_S), "window", window, "load", "load_reason",
                               "the adapter gave no times", "warmup", stretch_json(t0 - 9 * NS_PER_S, t0 - 8 * NS_PER_S),
                               "idle_cold", stretch_json(t0 - 20 * NS_PER_S, t0 - 15 * NS_PER_S), "idle_context",
                               stretch_json(t0 - 8 * NS_PER_S, t0 - 3 * NS_PER_S), "idle_after", "idle_after_reason",
                               "baseline.enabled is false");
    return json_pack("{s:o, s:{s:i}, s:{s:n, s:{s:b}}, s:{s:b}, s:[]}", "timing", timing, "workload", "repeats", 3,
                     "energy", "scope", "guard", "gave_up", 0, "machine", "on_gpu", 0, "flags");
}

static struct exchange exchange(void)
{
    return (struct exchange){.config_hash = g_strdup("0123456789abcdef"),
                             .config = json_object(),
                             .origins = json_object(),
                             .cycle = 1};
}

static struct result *result_of_work(void)
{
    g_auto(owned_exchange) ex = exchange();
    struct result *r = result_new(&ex);
    result_set(r, METRIC_TOKENS_IN, quantity_of(QUANTITY_MEASURED, 36, NULL, NULL));
    result_set(r, METRIC_TOKENS_OUT, quantity_of(QUANTITY_MEASURED, TOKENS_OUT, NULL, NULL));
    result_set(r, METRIC_REQUESTS, quantity_of(QUANTITY_MEASURED, REQUESTS, NULL, NULL));
    result_set(r, METRIC_STEADY_TOKENS, quantity_of(QUANTITY_MEASURED, STEADY_TOKENS, NULL, NULL));
    return r;
}

/* The record's figures, from its stretches and the scene's readings. */
static struct result *account(struct rig *rig, const json_t *record, bool expect_energy)
{
    struct account_run run;
    g_autoptr(GArray) stamps = NULL;
    g_autoptr(GError) error = NULL;
    struct result *r = result_of_work();
    g_assert_true(account_run_read(record, &run, &stamps, &error));
    g_assert_no_error(error);
    g_assert_true(account_energy(&rig->source, &run, r) == expect_energy);
    return r;
}

static double statistical_of(const struct result *r)
{
    g_autoptr(json_t) tree = result_json(r);
    return json_real_value(json_object_get(json_array_get(jsonx_at(tree, "energy.scopes"), 0),
                                           "statistical_half_width_j"));
}

static bool has_flag(const json_t *record, const char *flag)
{
    const json_t *flags = json_object_get(record, "flags");
    for (size_t i = 0; i < json_array_size(flags); i++)
        if (!strcmp(json_string_value(json_array_get(flags, i)), flag))
            return true;
    return false;
}

/* --- figures ----------------------------------------------------------------------------------------------------- */

static void test_figures(void)
{
    struct rig rig;
    rig_init(&rig);
    g_autoptr(json_t) record = record_of(&rig, 0);
    g_autoptr(owned_result) r = account(&rig, record, true);
    double truth = scene_truth_j(&rig.scene), length_s = clock_seconds(rig.scene.t1_ns - rig.scene.t0_ns);
    const struct {
        enum result_metric metric;
        double expected, tolerance;
    } rows[] = {
        {METRIC_ENERGY, truth, 0.1},
        {METRIC_J_OUTPUT, truth / TOKENS_OUT, 0.002},
        {METRIC_J_TOTAL, truth / 100, 0.001},
        {METRIC_J_REQUEST, truth / REQUESTS, 0.03},
        {METRIC_POWER_MEAN, 60, 0.05},
        {METRIC_IDLE_CONTEXT, 20, 0.01},
        {METRIC_IDLE_COLD, 20, 0.01},
        {METRIC_NET_CONTEXT, truth - 20 * length_s, 0.1},
        {METRIC_NET_COLD, truth - 20 * length_s, 0.1},
        {METRIC_J_OUTPUT_NET, (truth - 20 * length_s) / TOKENS_OUT, 0.002},
        {METRIC_WARMUP_ENERGY, 20, 0.1},
        {METRIC_STEADY_ENERGY, 60, 0.1},
        {METRIC_STEADY_J_OUTPUT, 60.0 / STEADY_TOKENS, 0.02},
        {METRIC_TAIL, 0, 0.1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct quantity q = result_get(r, rows[i].metric);
        g_test_message("%s", result_metric_row(rows[i].metric)->id);
        g_assert_cmpint(q.status, ==, QUANTITY_MEASURED);
        g_assert_near(q.value, rows[i].expected, rows[i].tolerance);
    }
    g_assert_cmpstr(result_get(r, METRIC_LOAD_ENERGY).reason, ==, "it did not take place");
    g_assert_cmpfloat(fabs(result_get(r, METRIC_ENERGY).value - truth), <=, statistical_of(r));
    account_known_clear(&rig.known);
}

/* Were the two clocks 50 ms apart, the truth would lie far outside of what the readings leave open. */
static void test_a_shifted_window_does_not_cover(void)
{
    struct rig rig;
    rig_init(&rig);
    for (int sign = -1; sign <= 1; sign += 2) {
        g_autoptr(json_t) record = record_of(&rig, sign * SHIFT_MS * MS);
        g_autoptr(owned_result) r = account(&rig, record, true);
        double miss = fabs(result_get(r, METRIC_ENERGY).value - scene_truth_j(&rig.scene));
        g_assert_cmpfloat(miss, >, 2 * statistical_of(r));
        g_assert_cmpfloat(miss, >, 0.5);
    }
    account_known_clear(&rig.known);
}

static void test_doubts_of_the_record(void)
{
    struct rig rig;
    rig_init(&rig);
    g_autoptr(json_t) record = record_of(&rig, 0);
    json_array_append_new(json_object_get(record, "flags"), json_string("unequal_work"));
    jsonx_set_at(record, "machine.on_gpu", json_true());
    jsonx_set_at(record, "energy.guard.gave_up", json_true());
    g_autoptr(owned_result) r = account(&rig, record, true);
    g_autoptr(json_t) tree = result_json(r);
    g_assert_cmpint(result_get(r, METRIC_ENERGY).status, ==, QUANTITY_MEASURED);
    g_assert_cmpint(result_get(r, METRIC_J_OUTPUT).status, ==, QUANTITY_ABSENT);
    g_assert_true(has_flag(tree, "gpu_not_in_scope"));
    g_assert_true(has_flag(tree, "guard_not_settled"));
    account_known_clear(&rig.known);
}

/* A GPU with two energies of which none counts: a CPU's, read beside it, does not count in their place. */
static void test_a_record_whose_scopes_contest(void)
{
    struct rig rig;
    rig_init(&rig);
    g_autoptr(json_t) record = record_of(&rig, 0);
    jsonx_set_at(record, "machine.on_gpu", json_true());
    jsonx_set_at(record, "energy.scopes", json_pack("[{s:s}, {s:s}]", "scope", METER_SCOPE_MODULE, "scope",
                                                    METER_SCOPE_GPU));
    g_autoptr(owned_result) r = account(&rig, record, false);
    g_assert_cmpint(result_get(r, METRIC_ENERGY).status, ==, QUANTITY_ABSENT);
    account_known_clear(&rig.known);
}

static void test_a_record_without_a_window(void)
{
    struct account_run run;
    g_autoptr(GArray) stamps = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) record = json_pack("{s:{}}", "timing");
    g_assert_false(account_run_read(record, &run, &stamps, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
}

/* --- joined with the record --------------------------------------------------------------------------------------- */

/* What a worker writes that saw no sensor (scope NULL), or has an energy of its own. */
static json_t *own_record(const char *scope, enum quantity_status status)
{
    g_autoptr(owned_result) r = result_of_work();
    json_t *estimate = json_pack("{s:s, s:s}", "scope", scope ? scope : "", "outside", "much");
    result_put_text(r, PART_ENERGY_SCOPE, scope);
    result_put_json(r, PART_ENERGY_SCOPES, scope ? json_pack("[o]", estimate) : json_array());
    if (!scope)
        json_decref(estimate);
    else
        result_set(r, METRIC_ENERGY, quantity_of(status, 7, "m", "s"));
    result_set(r, METRIC_THROTTLE, quantity_of(QUANTITY_MEASURED, 3, NULL, NULL));
    result_absent_group(r, "energy", "read beside");
    return result_json(r);
}

static json_t *host_of(struct rig *rig, const char *rival, bool expect_energy)
{
    g_autoptr(json_t) record = record_of(rig, 0);
    if (rival)
        jsonx_set_at(record, "energy.scope", json_string(rival));
    g_autoptr(owned_result) r = account(rig, record, expect_energy);
    return result_host_json(r, SHA256);
}

static void test_join(void)
{
    static const struct {
        const char *scope;
        enum quantity_status status;
        bool replaced;
    } cases[] = {
        {NULL, QUANTITY_ABSENT, true},                    /* the worker saw nothing */
        {METER_SCOPE_ENGINE, QUANTITY_MODELLED, true},    /* a sensor goes before a model */
        {METER_SCOPE_GPU, QUANTITY_SIMULATED, false},     /* boards go before the packages */
    };
    struct rig rig;
    rig_init(&rig);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) record = own_record(cases[i].scope, cases[i].status);
        g_autoptr(json_t) host = host_of(&rig, cases[i].scope, cases[i].replaced);
        g_assert_true(result_host_join(record, host, SHA256, &error));
        g_assert_no_error(error);
        struct quantity energy = result_metric_of(record, METRIC_ENERGY);
        const json_t *scopes = jsonx_at(record, "energy.scopes");
        const char *first = json_string_value(json_object_get(json_array_get(scopes, 0), "scope"));
        const char *expected = cases[i].replaced ? METER_SCOPE_PACKAGE : cases[i].scope;
        g_assert_cmpstr(first, ==, expected);
        g_assert_cmpstr(json_string_value(jsonx_at(record, "energy.scope")), ==, expected);
        g_assert_cmpuint(json_array_size(scopes), ==, cases[i].scope ? 2 : 1);
        g_assert_near(energy.value, cases[i].replaced ? scene_truth_j(&rig.scene) : 7, 0.1);
        g_assert_true(json_is_true(json_object_get(record, "simulated")) == !cases[i].replaced);
        g_assert_near(result_metric_of(record, METRIC_THROTTLE).value, 3, 0);
        g_assert_true(has_flag(record, "uncalibrated") == cases[i].replaced);
    }
    account_known_clear(&rig.known);
}

/* One that is not of this record, or not whole, is refused, and the record stays as it was. */
static void test_join_refuses(void)
{
    struct rig rig;
    rig_init(&rig);
    g_autoptr(json_t) good = host_of(&rig, NULL, true);
    const struct {
        const char *path;
        json_t *value;
        const char *words;
    } cases[] = {
        {"schema", json_string("llem-host-energy/9"), "schema"},
        {"result_sha256", json_string("ab"), "another result.json"},
        {"identity.cycle", json_integer(2), "another result.json"},
        {"metrics.energy_j", json_object(), "damaged"},
        {"metrics.requests", json_pack("{s:s, s:i}", "status", "measured", "value", 1), "damaged"},
        {"metrics", json_null(), "damaged"},
        {"energy.scopes", json_null(), "damaged"},
        {"energy.scope", json_null(), "damaged"},
        {"flags", json_pack("[i]", 1), "damaged"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) record = own_record(NULL, QUANTITY_ABSENT), before = json_deep_copy(record);
        g_autoptr(json_t) host = json_deep_copy(good);
        jsonx_set_at(host, cases[i].path, cases[i].value);
        g_test_message("%s", cases[i].path);
        g_assert_false(result_host_join(record, host, SHA256, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
        g_assert_nonnull(strstr(error->message, cases[i].words));
        g_assert_true(json_equal(record, before));
    }
    account_known_clear(&rig.known);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/account/figures", test_figures);
    g_test_add_func("/account/shifted", test_a_shifted_window_does_not_cover);
    g_test_add_func("/account/doubts", test_doubts_of_the_record);
    g_test_add_func("/account/no-window", test_a_record_without_a_window);
    g_test_add_func("/account/contested", test_a_record_whose_scopes_contest);
    g_test_add_func("/account/join", test_join);
    g_test_add_func("/account/join-refuses", test_join_refuses);
    return g_test_run();
}
