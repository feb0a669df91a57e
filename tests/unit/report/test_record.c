/* SPDX-License-Identifier: MIT */
/* One run for people, against golden texts (LLEM_UPDATE_GOLDEN=1 rewrites them; read the difference before you keep
 * it). */
#include "report/report.h"

#include "result/result.h"

static void check(const char *name, const json_t *record)
{
    g_autofree char *path = g_strdup_printf(LLEM_SOURCE_DIR "/tests/golden/report/%s.txt", name);
    g_autofree char *golden = NULL, *text = report_record("001_c1_m-llamacpp_01234567", record, 0);
    if (g_getenv("LLEM_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(g_file_get_contents(path, &golden, NULL, NULL));
    g_assert_cmpstr(text, ==, golden);
}

static json_t *record_new(void)
{
    g_auto(owned_exchange) exchange = {
        .config_hash = g_strdup("0123456789abcdef"),
        .config = json_pack("{s:s, s:s, s:i, s:{s:i}}", "model", "m", "backend", "llamacpp", "n", 2, "llamacpp",
                            "n_threads", 4),
        .origins = json_pack("{s:s, s:s, s:s, s:s}", "model", "t.yaml:1:8", "backend", "t.yaml:2:10", "n", "default",
                             "llamacpp.n_threads", "command line"),
        .cycle = 1,
        .study = g_strdup("s")};
    g_autoptr(owned_result) r = result_new(&exchange);
    struct quantity energy = quantity_of(QUANTITY_MEASURED, 123.4, "padded_counter", "nvml:0:energy");
    energy.low = 121;
    energy.high = 125.5;
    energy.reason = "one board of two";
    result_set(r, METRIC_TOKENS_OUT, quantity_of(QUANTITY_MEASURED, 12345, "engine_stamps", NULL));
    result_set(r, METRIC_OUTPUT_RATE, quantity_of(QUANTITY_MEASURED, 48.25, NULL, NULL));
    result_set(r, METRIC_ENERGY, energy);
    result_absent_group(r, "latency", "the engine does not stamp tokens");
    result_put_members(r, "engine", json_pack("{s:s, s:s, s:s, s:s}", "name", "llama.cpp", "version", "b1", "adapter",
                                       "llem-engine-llamacpp", "adapter_version", "1.19.0"));
    json_t *board = json_pack("{s:o, s:f, s:f, s:s, s:s}", "joules", quantity_json(&energy), "statistical_half_width_j",
                              0.5,
                              "systematic_half_width_j", 2.1, "scope", "GPU board", "outside", "the host");
    struct quantity none = quantity_absent("the counter stood still");
    result_put_members(r, "energy", json_pack("{s:s, s:[o, {s:o, s:s}]}", "scope", "GPU board", "scopes", board,
                                              "joules",
                                       quantity_json(&none), "scope", "CPU package"));
    result_flag(r, "foreign_cpu", "others used the machine");
    result_warn(r, "%s", "the machine was busy");
    return result_json(r);
}

static void test_figures(void)
{
    g_autoptr(json_t) record = record_new();
    check("record", record);
}

static void test_failure(void)
{
    g_autoptr(json_t) record = json_pack(
        "{s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:[s, s]}", "identity", "config_hash", "0123456789abcdef", "study", "s", "class",
        "EngineError", "message", "the engine cannot load m", "phase", "load", "engine_class", "std::bad_alloc", "log_tail",
        "loading m", "out of memory");
    check("record_failed", record);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/figures", test_figures);
    g_test_add_func("/record/failure", test_failure);
    return g_test_run();
}
