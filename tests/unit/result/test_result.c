/* SPDX-License-Identifier: MIT */
#include "result/result.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct exchange exchange(void)
{
    return (struct exchange){.config_hash = g_strdup("0123456789abcdef"),
                             .config = json_pack("{s:s}", "model", "m"),
                             .origins = json_object(),
                             .cycle = 2,
                             .study = g_strdup("s")};
}

static void test_every_row_is_present(void)
{
    g_auto(owned_exchange) ex = exchange();
    g_autoptr(owned_result) r = result_new(&ex);
    result_set(r, METRIC_TOKENS_OUT, quantity_of(QUANTITY_MEASURED, 64, NULL, NULL));
    result_set(r, METRIC_TTFT_MEAN, quantity_of(QUANTITY_MEASURED, NAN, NULL, NULL));
    result_absent_group(r, "energy", "no sensor: see llem meter");
    g_autoptr(json_t) root = result_json(r);
    const json_t *metrics = json_object_get(root, "metrics");
    g_assert_cmpuint(json_object_size(metrics), ==, METRIC_COUNT);
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct quantity q = result_metric_of(root, i);
        bool number = i == METRIC_TOKENS_OUT;
        g_assert_true((q.status != QUANTITY_ABSENT) == number);
        if (!number)
            g_assert_true(q.reason && *q.reason);
    }
    g_assert_cmpstr(result_metric_of(root, METRIC_ENERGY).reason, ==, "no sensor: see llem meter");
    g_assert_cmpint(json_integer_value(jsonx_at(root, "identity.cycle")), ==, 2);
    g_assert_true(json_is_false(json_object_get(root, "simulated")));
}

static void test_simulated_shows(void)
{
    g_auto(owned_exchange) ex = exchange();
    g_autoptr(owned_result) r = result_new(&ex);
    result_set(r, METRIC_ENERGY, quantity_of(QUANTITY_SIMULATED, 1, "padded_counter", "nvml-sim"));
    g_autoptr(json_t) root = result_json(r);
    g_assert_true(json_is_true(json_object_get(root, "simulated")));
}

/* What is put stands in its place; what never was is null and says so, or is left out where its row allows that. */
static void test_parts_by_their_rows(void)
{
    static const struct {
        const char *path, *value; /* value: JSON text; NULL: nothing stands there */
    } expected[] = {
        {"timing.engine_stop_ns", "12"},
        {"timing.window.t0_utc", "null"},
        {"timing.window.t0_utc_reason", "\"not collected\""},
        {"timing.load", "{\"t0_ns\":1,\"t1_ns\":5}"},
        {"timing.warmup", "null"},
        {"timing.warmup_reason", "\"no warm-up\""},
        {"steadiness.cv", "null"},
        {"steadiness.cv_reason", "\"too few\""},
        {"steadiness.slope", "0.5"},
        {"steadiness.slope_reason", NULL},
        {"steadiness.waiting_for", NULL},
        {"engine.version", "null"},
        {"engine.version_reason", NULL},
        {"engine.facts", NULL},
        {"machine.boards", "[]"},
        {"machine.foreign_gpu_pids_reason", "\"no GPU\""},
        {"sampler.ticks", "7"},
        {"sampler.missed", NULL},
        {"model", NULL},
    };
    g_auto(owned_exchange) ex = exchange();
    g_autoptr(owned_result) r = result_new(&ex);
    result_put_int(r, PART_TIMING_ENGINE_STOP_NS, 11);
    result_put_int(r, PART_TIMING_ENGINE_STOP_NS, 12);
    result_put_stretch(r, PART_TIMING_LOAD, 1, 5, "unused");
    result_put_stretch(r, PART_TIMING_WARMUP, 0, 0, "no warm-up");
    result_put_real(r, PART_STEADINESS_CV, NAN, "too few");
    result_put_real(r, PART_STEADINESS_SLOPE, 0.5, "unused");
    result_put_text(r, PART_ENGINE_VERSION, NULL);
    result_put_text(r, PART_STEADINESS_WAITING_FOR, NULL);
    result_put_json(r, PART_ENGINE_FACTS, NULL);
    result_put_json(r, PART_MACHINE_BOARDS, json_array());
    result_put_null(r, PART_MACHINE_FOREIGN_GPU_PIDS, "no GPU");
    result_put_members(r, "sampler", json_pack("{s:i}", "ticks", 7));
    g_autoptr(json_t) root = result_json(r);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        const json_t *found = jsonx_at(root, expected[i].path);
        g_autofree char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        g_test_message("%s", expected[i].path);
        g_assert_cmpstr(text, ==, expected[i].value);
    }
}

static void test_a_part_of_another_type_is_a_bug(void)
{
    if (g_test_subprocess()) {
        g_auto(owned_exchange) ex = exchange();
        struct result *r = result_new(&ex);
        result_put_int(r, PART_TIMING_ENGINE_STOP_STAGE, 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

/* An estimate has what its rows say: what is not there says so, what no row describes is a bug. */
static void test_estimates_by_their_rows(void)
{
    g_autoptr(json_t) tree = json_pack("{s:f, s:n, s:s, s:{s:f}}", "raw_j", 3.5, "duration_s", "duration_s_reason",
                                       "none",
                                       "guards", "pre_w", 1.0);
    g_assert_true(result_estimate(tree) == tree);
    g_assert_cmpfloat(json_real_value(jsonx_at(tree, "raw_j")), ==, 3.5);
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "duration_s_reason")), ==, "none");
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "guards.post_w_reason")), ==, "not collected");
    g_assert_cmpstr(json_string_value(jsonx_at(tree, "phase.locked_reason")), ==, "not collected");
    g_assert_null(jsonx_at(tree, "device")); /* optional */
    if (g_test_subprocess()) {
        g_autoptr(json_t) other = json_pack("{s:f}", "raw_kj", 1.0);
        result_estimate(other);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*estimate.raw_kj is no row of result/parts.def*");
}

static void test_ids_are_unique_and_named_with_units(void)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        g_assert_cmpint(result_metric_from_id(result_metric_row(i)->id), ==, i);
        if (!strcmp(result_metric_row(i)->unit, "s"))
            g_assert_true(g_str_has_suffix(result_metric_row(i)->id, "_s"));
    }
    g_assert_cmpint(result_metric_from_id("nonsense"), ==, -1);
}

static void test_error_record_round_trip(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_autofree char *log = g_build_filename(dir, "engine.log", NULL);
    g_autofree char *path = g_build_filename(dir, "e.json", NULL);
    GString *text = g_string_new(NULL);
    for (int i = 0; i < 50; i++)
        g_string_append_printf(text, "line %d \xff\n", i);
    g_assert_true(g_file_set_contents(log, text->str, -1, NULL));
    g_string_free(text, TRUE);
    g_auto(owned_exchange) ex = exchange();
    g_autoptr(GError) failure = g_error_new(LLEM_ERROR, LLEM_ERROR_ENGINE_DIED, "the engine was killed by signal 9");
    g_autoptr(GError) error = NULL;
    g_assert_true(result_error_write(path, &ex, failure, "measure", NULL, log, &error));
    g_autoptr(json_t) record = jsonx_load(path, 1 << 20, &error);
    g_assert_no_error(error);
    const json_t *tail = json_object_get(record, "log_tail");
    g_assert_cmpuint(json_array_size(tail), ==, LIMIT_ERROR_LOG_LINES);
    g_assert_true(g_str_has_prefix(json_string_value(json_array_get(tail, LIMIT_ERROR_LOG_LINES - 1)), "line 49"));
    g_autoptr(GError) back = result_error_parse(record);
    g_assert_error(back, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED);
    g_assert_cmpstr(back->message, ==, failure->message);
    g_assert_true(file_remove_tree(dir, NULL));
}

static void test_records_of_a_folder(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-result-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "result.json", NULL);
    g_assert_true(g_file_set_contents(path, "{\"schema\": \"" RESULT_SCHEMA "\"}", -1, NULL));
    g_autoptr(json_t) record = result_load(dir, &error);
    g_assert_nonnull(record);
    g_autoptr(json_t) none = result_load_error(dir, &error);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_assert_null(none);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "{\"schema\": \"llem-result/99\"}", -1, NULL));
    g_assert_null(result_load(dir, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED);
    g_assert_true(file_remove_tree(dir, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/result/every-row-is-present", test_every_row_is_present);
    g_test_add_func("/result/simulated-shows", test_simulated_shows);
    g_test_add_func("/result/ids", test_ids_are_unique_and_named_with_units);
    g_test_add_func("/result/parts", test_parts_by_their_rows);
    g_test_add_func("/result/parts_type", test_a_part_of_another_type_is_a_bug);
    g_test_add_func("/result/estimates", test_estimates_by_their_rows);
    g_test_add_func("/result/error-record", test_error_record_round_trip);
    g_test_add_func("/result/records of a folder", test_records_of_a_folder);
    return g_test_run();
}
