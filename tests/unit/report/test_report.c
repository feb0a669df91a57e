/* SPDX-License-Identifier: MIT */
/* The table against golden texts (LLEM_UPDATE_GOLDEN=1 rewrites them; read the difference before you keep it). */
#include "report/report.h"

#include "result/result.h"

#include <string.h>

struct report_run {
    int index, cycle;
    json_t *levels, *record;
    const char *state, *message;
};

/* A record with the figures of the table; energy is what the case says. */
static json_t *record_with(struct quantity joules, const char *scope, const char *warning, const char *ids, int out);

static json_t *record_of(struct quantity joules, const char *scope, const char *warning)
{
    return record_with(joules, scope, warning, "5eed", 24);
}

static json_t *record_with(struct quantity joules, const char *scope, const char *warning, const char *ids, int out)
{
    g_auto(owned_exchange) exchange = {
        .config_hash = g_strdup("0123456789abcdef"), .config = json_object(), .cycle = 1};
    g_autoptr(owned_result) r = result_new(&exchange);
    result_set(r, METRIC_OUTPUT_RATE, quantity_of(QUANTITY_MEASURED, 48.25, NULL, NULL));
    result_set(r, METRIC_TTFT_MEAN, quantity_of(QUANTITY_MEASURED, 0.2041, NULL, NULL));
    result_set(r, METRIC_TPOT_MEAN, quantity_of(QUANTITY_MEASURED, 0.01833, NULL, NULL));
    result_set(r, METRIC_PEAK_MEMORY, quantity_of(QUANTITY_MEASURED, 141.2, NULL, NULL));
    result_set(r, METRIC_TOKENS_IN_COMPUTED, quantity_of(QUANTITY_MEASURED, 100, NULL, NULL));
    result_set(r, METRIC_REPEATS, quantity_of(QUANTITY_MEASURED, 1, NULL, NULL));
    result_put_members(r, "workload", json_pack("{s:s, s:[i]}", "input_ids_sha256", ids, "output_tokens", out));
    result_set(r, METRIC_J_OUTPUT, joules);
    result_set(r, METRIC_ENERGY, joules);
    json_t *sources = json_pack("[{s:s, s:b, s:s}, {s:s, s:b, s:s}]", "name", "nvml", "open", 0, "reason",
                                "libnvidia-ml.so.1 is not installed: no NVIDIA driver here", "name", "rapl", "open", 0,
                                "reason", "no /sys/class/powercap: a virtual machine hides it; run on the host");
    json_t *scopes = json_array();
    if (joules.status != QUANTITY_ABSENT) {
        json_t *systematic = json_pack("{s:s}", "source", "assumed normal, 5 % and 5 W");
        if (scope && !strcmp(scope, "CPU package"))
            json_object_set_new(systematic, "calibration", json_pack("{s:s}", "method", "clamp meter"));
        json_array_append_new(scopes, json_pack("{s:o, s:f, s:f, s:o, s:s}", "joules", quantity_json(&joules),
                                                "statistical_half_width_j", joules.value * 0.0025,
                                                "systematic_half_width_j", joules.value * 0.104, "systematic", systematic,
                                                "outside", "the host's CPUs and memory"));
    }
    result_put_members(r, "energy", json_pack("{s:s*, s:o, s:o}", "scope", scope, "scopes", scopes, "sources",
                                              sources));
    if (warning)
        result_warn(r, "%s", warning);
    if (scope && !strcmp(scope, "GPU board"))
        result_flag(r, "uncalibrated", "gain and offset are an assumption: the named prior");
    return result_json(r);
}

static struct quantity with_interval(enum quantity_status status, double value, double low, double high)
{
    struct quantity q = quantity_of(status, value, "padded_counter", "nvml:0:energy");
    q.low = low;
    q.high = high;
    return q;
}

static void check(const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf(LLEM_SOURCE_DIR "/tests/golden/report/%s.txt", name);
    g_autofree char *golden = NULL;
    if (g_getenv("LLEM_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(g_file_get_contents(path, &golden, NULL, NULL));
    g_assert_cmpstr(text, ==, golden);
}

/* The records are let go of. */
static struct frame *frame_of(struct report_run *runs, size_t n)
{
    struct frame *frame = frame_new();
    for (size_t i = 0; i < n; i++) {
        const struct report_run *r = &runs[i];
        frame_add(frame, &(struct frame_run){r->index, r->cycle, r->levels, r->state, r->message}, r->record);
        json_decref(r->record);
        json_decref(r->levels);
    }
    return frame;
}

static void show_with(const char *name, struct report_run *runs, size_t n, const struct report_options *options)
{
    g_autoptr(owned_frame) frame = frame_of(runs, n);
    g_autoptr(GError) error = NULL;
    g_assert_true(report_options_check(options, &error));
    g_autofree char *text = report_table(frame, options);
    check(name, text);
}

static void show(const char *name, struct report_run *runs, size_t n)
{
    show_with(name, runs, n, &(struct report_options){0});
}

static json_t *levels(const char *quantization, int parallel)
{
    return json_pack("{s:s, s:i}", "llamacpp.quantization", quantization, "llamacpp.n_parallel", parallel);
}

static void test_measured(void)
{
    struct report_run runs[] = {
        {1, 1, levels("q4_1", 1), record_of(with_interval(QUANTITY_MEASURED, 0.8311, 0.79, 0.87), "GPU board", NULL), "ok", NULL},
        {2, 1, levels("q8_0", 4), record_of(with_interval(QUANTITY_MEASURED, 1.25, 1.2, 1.3), "GPU board", NULL), "ok", NULL},
    };
    show("measured", runs, G_N_ELEMENTS(runs));
}

static void test_modelled(void)
{
    struct report_run runs[] = {
        {1, 1, levels("q4_1", 1),
         record_of(with_interval(QUANTITY_MODELLED, 0.15, 0.035, 0.27), "CPU cores of the engine", NULL), "ok", NULL},
        {2, 1, levels("q8_0", 1), NULL, "skipped", "the form q8_0 is not here; get it with: llem model pull m --form q8_0"},
        {3, 2, levels("q4_1", 1),
         record_of(with_interval(QUANTITY_MODELLED, 0.16, 0.036, 0.28), "CPU cores of the engine", "the clock is slow"),
         "ok",
         NULL},
    };
    show("modelled", runs, G_N_ELEMENTS(runs));
}

/* On a narrow terminal notes break between words. */
static void test_notes_are_wrapped(void)
{
    struct report_run run = {1, 1, json_object(), record_of(quantity_absent("no sensor and no model"), NULL, NULL),
                             "ok",
                             NULL};
    g_autoptr(owned_frame) frame = frame_of(&run, 1);
    g_autofree char *narrow = report_table(frame, &(struct report_options){.width = 60});
    g_autofree char *wide = report_table(frame, &(struct report_options){0});
    const char *notes = strstr(narrow, "\n\n");
    g_auto(GStrv) lines = g_strsplit(notes, "\n", -1);
    for (char **line = lines; *line; line++)
        g_assert_cmpuint(strlen(*line), <=, 60);
    g_auto(GStrv) a = g_regex_split_simple("\\s+", narrow, 0, 0), b = g_regex_split_simple("\\s+", wide, 0, 0);
    g_assert_cmpuint(g_strv_length(a), ==, g_strv_length(b));
}

static void test_absent(void)
{
    struct report_run runs[] = {
        {1, 1, json_object(), record_of(quantity_absent("no sensor and no model"), NULL, NULL), "ok", NULL},
        {2, 1, json_object(), NULL, "failed", "the engine died: killed by signal 9 (Killed)"},
        {3, 1, json_object(), NULL, "planned", NULL},
    };
    show("absent", runs, G_N_ELEMENTS(runs));
}

static void test_mixed_status_is_said_per_row(void)
{
    struct report_run runs[] = {
        {1, 1, json_object(), record_of(with_interval(QUANTITY_MEASURED, 0.8, 0.7, 0.9), "GPU board", NULL), "ok", NULL},
        {2, 1, json_object(), record_of(with_interval(QUANTITY_SIMULATED, 0.8, 0.7, 0.9), "GPU board", NULL), "ok", NULL},
    };
    show("mixed", runs, G_N_ELEMENTS(runs));
}

static void test_unlike_scopes_are_said_per_row(void)
{
    struct report_run runs[] = {
        {1, 1, json_object(), record_of(with_interval(QUANTITY_MEASURED, 0.8, 0.7, 0.9), "GPU board", NULL), "ok", NULL},
        {2, 1, json_object(), record_of(with_interval(QUANTITY_MEASURED, 0.8, 0.7, 0.9), "CPU package", NULL), "ok", NULL},
    };
    show("scopes", runs, G_N_ELEMENTS(runs));
}

static void test_unequal_work_is_said(void)
{
    struct quantity joules = with_interval(QUANTITY_MEASURED, 0.8, 0.7, 0.9);
    struct report_run runs[] = {
        {1, 1, json_object(), record_with(joules, "GPU board", NULL, "5eed", 24), "ok", NULL},
        {2, 1, json_object(), record_with(joules, "GPU board", NULL, "beef", 24), "ok", NULL},
        {3, 1, json_object(), NULL, "failed", NULL},
        {4, 1, json_object(), record_with(joules, "GPU board", NULL, "5eed", 24), "ok", NULL},
        {5, 1, json_object(), record_with(joules, "GPU board", NULL, "5eed", 12), "ok", NULL},
    };
    show("unequal", runs, G_N_ELEMENTS(runs));
}

/* Columns that were asked for, in their order: groups, levels, a figure under its own name; sorted by it. */
static void test_columns_and_order(void)
{
    struct quantity low = with_interval(QUANTITY_MEASURED, 0.5, 0.4, 0.6);
    struct report_run runs[] = {
        {1, 1, levels("q4_1", 1), record_of(with_interval(QUANTITY_MEASURED, 0.8, 0.7, 0.9), "GPU board", NULL), "ok", NULL},
        {2, 1, levels("q8_0", 1), record_with(low, "GPU board", NULL, "beef", 24), "ok", NULL},
        {3, 1, levels("q8_0", 4), record_of(with_interval(QUANTITY_MEASURED, 0.6, 0.5, 0.7), "GPU board", NULL), "ok", NULL},
        {4, 1, levels("f16", 4), NULL, "failed", "the engine died"},
    };
    show_with("columns", runs, G_N_ELEMENTS(runs),
              &(struct report_options){.columns = "run, group,levels,energy_j,state", .sort = "energy_j"});
}

static void test_options_are_checked(void)
{
    static const struct {
        const char *columns, *sort, *said; /* NULL: fine */
    } cases[] = {
        {NULL, NULL, NULL},
        {"run,levels,j_token", "run", NULL},
        {"window_s", "tail_energy_j", NULL},
        {"run,", NULL, "--columns: no column ''"},
        {"run,readot", NULL, "did you mean 'readout'?"},
        {NULL, "levels", "--sort: nothing is sorted by 'levels'"},
        {NULL, "group", "there are: run, tokens_per_s, ttft_ms, tpot_ms, peak_mb, host_peak_mb, cpu_s_token, j_token, and"},
        {NULL, "j_tokens", "did you mean 'j_token'?"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct report_options options = {.columns = cases[i].columns, .sort = cases[i].sort};
        g_test_message("%s, %s", cases[i].columns, cases[i].sort);
        g_assert_true(report_options_check(&options, &error) == !cases[i].said);
        if (cases[i].said) {
            g_assert_error(error, LLEM_ERROR, LLEM_ERROR_USAGE);
            g_assert_nonnull(strstr(error->message, cases[i].said));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/measured", test_measured);
    g_test_add_func("/report/modelled", test_modelled);
    g_test_add_func("/report/absent", test_absent);
    g_test_add_func("/report/mixed", test_mixed_status_is_said_per_row);
    g_test_add_func("/report/scopes", test_unlike_scopes_are_said_per_row);
    g_test_add_func("/report/unequal-work", test_unequal_work_is_said);
    g_test_add_func("/report/columns-and-order", test_columns_and_order);
    g_test_add_func("/report/options", test_options_are_checked);
    g_test_add_func("/report/notes-are-wrapped", test_notes_are_wrapped);
    return g_test_run();
}
