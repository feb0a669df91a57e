/* SPDX-License-Identifier: MIT */
/* The self-test: a counter that sees everything and one made of a quarter of the time are told apart by a real load. */
#include "fixture.h"

#include <signal.h>

static json_t *row_of(json_t *tree, const char *channel, const char *check)
{
    json_t *row;
    size_t index;
    json_array_foreach(json_object_get(tree, "rows"), index, row)
        if (!strcmp(json_string_value(json_object_get(row, "channel")), channel) &&
            !strcmp(json_string_value(json_object_get(row, "check")), check))
            return row;
    g_error("no row %s %s", channel, check);
}

#define DEVICE(counter) \
    "{'load': [{'type': 'constant', 'watts': 20}, {'type': 'cpu', 'pid_file': 'load.pid', 'watts_per_core': 300}]," \
    "'instant': {'period_ms': 60, 'window_ms': 15}, 'average': false, 'counter': {'source': '" counter "'}}"

static void test_selftest(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autoptr(GError) error = NULL;
    struct meter_load *load = meter_load_new(&error);
    g_assert_no_error(error);
    g_autofree char *pid = g_strdup_printf("%d\n", (int)load->pids[0]);
    fixture_write(&f, "load.pid", pid);
    fixture_script(&f, "{'devices': [" DEVICE("truth") ", " DEVICE("duty") "]}");
    struct meter *meter = fixture_meter(&f, (const char *const[]){"nvml", "modelled", NULL});
    struct meter_selftest_options options = {.batch_ns = 20 * MS, .guard_ns = 200 * MS, .observer_ns = 150 * MS};
    g_autoptr(json_t) tree = meter_selftest(meter, load, &options, &error);
    g_assert_no_error(error);
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    g_test_message("%s", text);
    /* Other tests run beside this one: a verdict then stays open. One by itself is tests/cli/test_selftest.py. */
    bool quiet = json_is_true(json_object_get(tree, "quiet")) &&
                 json_number_value(json_object_get(tree, "load_cpu_share")) > 0.98;
    double near = quiet ? 0.05 : 0.2; /* who else computes moves guards and caches */
    /* CPU time is linear in CPU time however busy the machine is. */
    static const char *const checks[] = {"intercept", "lack_of_fit", "additivity", "a_a"};
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        json_t *row = row_of(tree, "modelled:engine:energy", checks[i]);
        g_assert_cmpfloat(fabs(json_number_value(json_object_get(row, "value"))), <, near);
        g_assert_cmpstr(json_string_value(json_object_get(row, "verdict")), !=, "not_run");
    }
    json_t *step = row_of(tree, "modelled:engine:energy", "positive_control");
    g_assert_cmpfloat_with_epsilon(json_number_value(json_object_get(step, "value")), 0.25, near);
    /* A simulated board draws nothing for being read. */
    json_t *idle = row_of(tree, "nvml:GPU-00000000-0000-4000-8000-000000000000:energy", "observer_idle");
    g_assert_cmpfloat(fabs(json_number_value(json_object_get(idle, "value"))), <, near);
    g_assert_cmpstr(json_string_value(json_object_get(row_of(tree, "modelled:engine:energy", "observer_busy"),
                                                      "verdict")), ==,
                    "not_run");
    json_t *whole = row_of(tree, "nvml:GPU-00000000-0000-4000-8000-000000000000:energy", METER_CHECK_DUTY);
    json_t *part = row_of(tree, "nvml:GPU-00000000-0000-4000-8000-000000000001:energy", METER_CHECK_DUTY);
    if (quiet) {
        g_assert_cmpstr(json_string_value(json_object_get(whole, "verdict")), ==, "pass");
        g_assert_cmpstr(json_string_value(json_object_get(part, "verdict")), ==, "fail");
    }
    g_assert_cmpstr(json_string_value(json_object_get(whole, "verdict")), !=, "fail");
    g_assert_cmpstr(json_string_value(json_object_get(part, "verdict")), !=, "pass");
    meter_close(meter);
    meter_load_free(load);
    fixture_close(&f);
}

/* No counter at all is an error that says what to do. */
static void test_nothing(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autoptr(GError) error = NULL;
    struct meter_load *load = meter_load_new(&error);
    fixture_script(&f, "{'devices': [{'counter': false}]}");
    struct meter *meter = fixture_nvml(&f);
    g_assert_null(meter_selftest(meter, load, NULL, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "-s modelled"));
    meter_close(meter);
    meter_load_free(load);
    fixture_close(&f);
}

static void test_load(void)
{
    g_autoptr(GError) error = NULL;
    struct meter_load *load = meter_load_new(&error);
    int64_t t0_ns, t1_ns, before_ns = clock_mono_ns();
    g_assert_true(meter_load_work(load, 1, 20 * MS, &t0_ns, &t1_ns, &error));
    g_assert_cmpint(t0_ns, >=, before_ns);
    g_assert_cmpint(t1_ns - t0_ns, >=, 20 * MS);
    g_assert_true(meter_load_work(load, 5, 10 * MS, &t0_ns, &t1_ns, &error));
    g_assert_cmpint(t1_ns - t0_ns, >=, 50 * MS);
    g_assert_cmpint(kill(load->pids[0], SIGKILL), ==, 0);
    g_assert_false(meter_load_work(load, 1, 20 * MS, &t0_ns, &t1_ns, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_METER);
    meter_load_free(load);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/selftest/load", test_load);
    g_test_add_func("/selftest/nothing", test_nothing);
    g_test_add_func("/selftest/counters", test_selftest);
    return g_test_run();
}
