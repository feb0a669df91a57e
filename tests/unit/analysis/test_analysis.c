/* SPDX-License-Identifier: MIT */
/* Frames: what is kept, which runs are one group and why, what is averaged, the order, the notes. */
#include "analysis/analysis.h"

#include <malloc.h>
#include <math.h>
#include <string.h>

#define BOARD(uuid, name, limit, ecc, persistence) \
    "{'uuid': '" uuid "', 'name': '" name "', 'mig_mode': 0, 'power_limit_enforced_mw': " limit ", 'ecc_mode': " ecc \
    ", 'persistence_mode': " persistence "}"
#define BOARDS(board) "{'environment': {'gpus': {'devices': [" board "]}}}"

/* A record with everything the keys look at. */
static const char base_record[] =
    "{'schema': 'llem-result/1',"
    " 'config': {'model': 'm', 'precision': 'bf16', 'dataset_order': 'interleaved', 'random_seed': 42,"
    "            'decoder': {'ignore_eos': true}},"
    " 'engine': {'name': 'e', 'version': '1', 'adapter_version': '1', 'resolved': {'batch': 1}, 'substitutions': []},"
    " 'model': {'form': 'q8_0', 'weights_bytes': 100},"
    " 'machine': {'boards': ['GPU-1'], 'devices': ['gpu']},"
    " 'environment': {'cpu': {'model': 'c', 'governor': 'performance', 'allowed': '0-3', 'quota_cpus': 2},"
    " 'memory': {'transparent_hugepages': 'madvise'}, 'variables': {},"
    "  'gpus': {'driver_version': '580', 'devices': ["
    BOARD("GPU-1", "H100", "700000", "1", "1") ", " BOARD("GPU-2", "H100", "700000", "1", "1") ", "
    BOARD("GPU-3", "A100", "700000", "1", "1") "]}},"
    " 'workload': {'input_ids_sha256': 'in', 'output_tokens': [24], 'output_ids_sha256': 'out'},"
    " 'energy': {'scope': 'GPU board', 'estimator_version': 1, 'scopes': [{'systematic': {'class': 'nvidia'}}]},"
    " 'flags': [], 'flag_meanings': {}, 'warnings': [],"
    " 'metrics': {'joules_per_output_token': {'status': 'measured', 'value': 0.8, 'method': 'padded_counter'},"
    "             'output_tokens_per_s': {'status': 'measured', 'value': 50},"
    "             'tokens_in_computed': {'status': 'measured', 'value': 100}, 'throttle_s': {'status': 'measured', 'value': 0},"
    "             'repeats': {'status': 'measured', 'value': 1}}}";

static json_t *parse(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    g_autoptr(GError) error = NULL;
    json_t *tree = jsonx_parse(json, -1, "test", &error);
    g_assert_no_error(error);
    return tree;
}

/* Members of patch go into tree, objects member by member. */
static void merge(json_t *tree, json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach(patch, key, value) {
        json_t *old = json_object_get(tree, key);
        if (json_is_object(old) && json_is_object(value))
            merge(old, value);
        else
            json_object_set(tree, key, value);
    }
}

/* One run more: patch NULL: no record. level is of the one axis "x"; 0: there is none. */
static void add(struct frame *frame, int level, int cycle, const char *patch)
{
    g_autoptr(json_t) record = patch ? parse(base_record) : NULL;
    g_autoptr(json_t) changes = patch ? parse(patch) : NULL;
    g_autoptr(json_t) levels = level ? json_pack("{s:i}", "sim.x", level) : json_object();
    merge(record, changes);
    frame_add(frame,
              &(struct frame_run){(int)frame_count(frame) + 1, cycle, levels, patch ? "ok" : "failed",
                                  patch ? NULL : "the engine died"},
              record);
}

static const struct frame_note *note_of(const GPtrArray *notes, const char *kind, const char *name)
{
    for (guint i = 0; i < notes->len; i++) {
        const struct frame_note *note = g_ptr_array_index(notes, i);
        if (!strcmp(note->kind, kind) && (!name || !g_strcmp0(note->name, name)))
            return note;
    }
    return NULL;
}

/* --- Groups ----------------------------------------------------------------------------------------------------------- */

static const struct {
    enum frame_key key;
    const char *patch;
} differences[] = {
    {FRAME_KEY_SCHEMA, "{'schema': 'llem-result/2'}"},
    {FRAME_KEY_STATUS, "{'metrics': {'joules_per_output_token': {'status': 'modelled', 'value': 0.8}}}"},
    {FRAME_KEY_SCOPE, "{'energy': {'scope': 'CPU package'}}"},
    {FRAME_KEY_BOARDS, "{'machine': {'boards': ['GPU-3']}}"},
    {FRAME_KEY_INPUT, "{'workload': {'input_ids_sha256': 'other'}}"},
    {FRAME_KEY_OUTPUT, "{'workload': {'output_tokens': [12]}}"},
    {FRAME_KEY_COMPUTED, "{'metrics': {'tokens_in_computed': {'status': 'measured', 'value': 10}}}"},
    {FRAME_KEY_STOP, "{'config': {'decoder': {'ignore_eos': false}}}"},
    {FRAME_KEY_DEVICES, "{'machine': {'devices': ['gpu', 'cpu']}}"},
    {FRAME_KEY_ORDER, "{'config': {'dataset_order': 'grouped'}}"},
    {FRAME_KEY_SEED, "{'config': {'random_seed': 1}}"},
    {FRAME_KEY_LOAD, "{'config': {'load': {'mode': 'batch', 'size': 4}}}"},
    {FRAME_KEY_ENGINE, "{'engine': {'name': 'f'}}"},
    {FRAME_KEY_VERSION, "{'engine': {'version': '2'}}"},
    {FRAME_KEY_ADAPTER, "{'engine': {'adapter_version': '2'}}"},
    {FRAME_KEY_WEIGHTS, "{'model': {'form': 'q4_1'}}"},
    {FRAME_KEY_PRECISION, "{'config': {'precision': 'fp16'}}"},
    {FRAME_KEY_RESOLVED, "{'engine': {'resolved': {'batch': 4}}}"},
    {FRAME_KEY_SUBSTITUTED, "{'engine': {'substitutions': [{'field': 'attention'}]}}"},
    {FRAME_KEY_POWER_LIMIT, BOARDS(BOARD("GPU-1", "H100", "1", "1", "1"))},
    {FRAME_KEY_ECC, BOARDS(BOARD("GPU-1", "H100", "700000", "0", "1"))},
    {FRAME_KEY_PERSISTENCE, BOARDS(BOARD("GPU-1", "H100", "700000", "1", "0"))},
    {FRAME_KEY_DRIVER, "{'environment': {'gpus': {'driver_version': '590'}}}"},
    {FRAME_KEY_GOVERNOR, "{'environment': {'cpu': {'governor': 'powersave'}}}"},
    {FRAME_KEY_CPU, "{'environment': {'cpu': {'model': 'd'}}}"},
    {FRAME_KEY_ALLOWED, "{'environment': {'cpu': {'allowed': '0'}}}"},
    {FRAME_KEY_QUOTA, "{'environment': {'cpu': {'quota_cpus': 0.5}}}"},
    {FRAME_KEY_HUGEPAGES, "{'environment': {'memory': {'transparent_hugepages': 'never'}}}"},
    {FRAME_KEY_VARIABLES, "{'environment': {'variables': {'OMP_NUM_THREADS': '1'}}}"},
    {FRAME_KEY_UUID, "{'machine': {'boards': ['GPU-2']}}"},
    {FRAME_KEY_THROTTLED, "{'metrics': {'throttle_s': {'status': 'measured', 'value': 0.5}}}"},
    {FRAME_KEY_METHOD, "{'metrics': {'joules_per_output_token': {'method': 'trapezoid'}}}"},
    {FRAME_KEY_CLASS, "{'energy': {'scopes': [{'systematic': {'class': 'nvidia.geforce'}}]}}"},
    {FRAME_KEY_ESTIMATOR, "{'energy': {'estimator_version': 2}}"},
    {FRAME_KEY_CALIBRATION, "{'energy': {'scopes': [{'systematic': {'class': 'nvidia', 'calibration': {'date': '2026'}}}]}}"},
    {FRAME_KEY_ANSWER, "{'workload': {'output_ids_sha256': 'other'}}"},
};

static void check_difference(enum frame_key key, const char *patch)
{
    enum frame_rule rule = frame_key_row(key)->rule;
    for (int other_cell = 0; other_cell < 2; other_cell++) {
        g_autoptr(owned_frame) frame = frame_new();
        add(frame, 1, 1, "{}");
        add(frame, other_cell ? 2 : 1, 2, patch);
        bool apart = rule == FRAME_FACTOR ? !other_cell : rule != FRAME_WARN;
        g_test_message("%s, %s", frame_key_row(key)->id, other_cell ? "two cells" : "one cell");
        g_assert_cmpint(frame_difference(frame, 0, 1), ==, apart ? (int)key : -1);
        g_assert_cmpint(frame_group(frame, 0), ==, 0);
        g_assert_cmpint(frame_group(frame, 1), ==, apart);
    }
}

static void test_keys(void)
{
    bool seen[FRAME_KEY_COUNT] = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(differences); i++) {
        seen[differences[i].key] = true;
        check_difference(differences[i].key, differences[i].patch);
    }
    for (int k = 0; k < FRAME_KEY_COUNT; k++) {
        g_test_message("%s has a case", frame_key_row(k)->id);
        g_assert_true(seen[k]);
    }
}

/* What a note says of each: of refusals and warnings which runs differ, of factors only where no sweep explains it. */
static void test_reasons(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(differences); i++) {
        const struct frame_key_row *row = frame_key_row(differences[i].key);
        g_autoptr(owned_frame) frame = frame_new();
        add(frame, 1, 1, "{}");
        add(frame, 1, 2, differences[i].patch);
        add(frame, 1, 3, "{}");
        g_autoptr(GPtrArray) notes = frame_notes(frame);
        const struct frame_note *note = note_of(notes, row->rule == FRAME_WARN ? "compare_with_care" : "not_comparable",
                                                row->id);
        g_test_message("%s", row->id);
        switch (differences[i].key) {
        case FRAME_KEY_STATUS: note = note_of(notes, "kinds_differ", NULL); break;
        case FRAME_KEY_SCOPE: note = note_of(notes, "scopes_differ", NULL); break;
        case FRAME_KEY_INPUT:
        case FRAME_KEY_OUTPUT:
        case FRAME_KEY_COMPUTED: note = note_of(notes, "unequal_work", NULL); break;
        default: break;
        }
        if (differences[i].key == FRAME_KEY_CALIBRATION) { /* the others have none */
            g_assert_null(note);
            continue;
        }
        g_assert_nonnull(note);
        if (note && note->runs->len > 0)
            g_assert_nonnull(strstr(note->text, "between runs 1, 3 / 2: "));
        g_assert_true((row->rule == FRAME_WARN) != (note && strstr(note->text, "do not compare") != NULL));
    }
}

static void test_swept_factors_are_no_reason(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 1, 1, "{}");
    add(frame, 2, 1, "{'engine': {'resolved': {'batch': 4}}, 'config': {'precision': 'fp16'}}");
    add(frame, 1, 2, "{}");
    add(frame, 2, 2, "{'engine': {'resolved': {'batch': 4}}, 'config': {'precision': 'fp16'}}");
    for (size_t i = 0; i < 4; i++)
        g_assert_cmpint(frame_group(frame, i), ==, 0);
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    g_assert_null(note_of(notes, "not_comparable", NULL));
}

/* A version comes with its engine: another one of the same engine is no level of a sweep, in whatever cell. */
static void test_versions_are_those_of_an_engine(void)
{
    static const char f[] = "{'engine': {'name': 'f', 'version': '7', 'adapter_version': '7'}}";
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 1, 1, "{}");
    add(frame, 2, 1, f);
    add(frame, 1, 2, "{}");
    add(frame, 2, 2, f);
    add(frame, 3, 1, "{'engine': {'name': 'f', 'version': '8', 'adapter_version': '7'}}");
    for (size_t i = 0; i < 5; i++)
        g_assert_cmpint(frame_group(frame, i), ==, i == 4);
    g_assert_cmpint(frame_difference(frame, 1, 4), ==, FRAME_KEY_VERSION);
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    g_assert_null(note_of(notes, "not_comparable", "adapter_version"));
    g_assert_cmpstr(note_of(notes, "not_comparable", "engine_version")->text, ==,
                    "The versions of an engine differ between runs 2, 4 / 5: do not compare their figures.");
}

static void test_runs_without_records_are_in_no_group(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 1, 1, NULL);
    add(frame, 1, 2, "{}");
    add(frame, 2, 1, NULL);
    g_assert_cmpint(frame_group(frame, 0), ==, -1);
    g_assert_cmpint(frame_group(frame, 1), ==, 0);
    g_assert_cmpint(frame_difference(frame, 0, 1), ==, -1);
    g_assert_cmpint(frame_metric(frame, 0, METRIC_J_OUTPUT).status, ==, QUANTITY_ABSENT);
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    g_autofree char *line = frame_note_line(note_of(notes, "run", NULL));
    g_assert_cmpstr(line, ==, "Runs 1, 3 failed: the engine died");
}

#define JOULES(value) "{'metrics': {'joules_per_output_token': {'status': 'measured', 'value': " value "}}}"
#define MODELLED(value) "{'metrics': {'joules_per_output_token': {'status': 'modelled', 'value': " value "}}}"

static void test_only_one_group_is_averaged(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 1, 1, JOULES("0.8"));
    add(frame, 1, 2, JOULES("1.0"));
    add(frame, 1, 3, "{'environment': {'cpu': {'governor': 'powersave'}}}");
    add(frame, 2, 1, JOULES("5"));
    struct quantity mean = frame_mean(frame, 0, 0, METRIC_J_OUTPUT);
    g_assert_cmpfloat_with_epsilon(mean.value, 0.9, 1e-12);
    g_assert_cmpint(mean.status, ==, QUANTITY_MEASURED);
    g_assert_cmpfloat_with_epsilon(mean.high - mean.low, 2 * 12.7062 * 0.1, 1e-3); /* t of 1 degree of freedom */
    struct quantity other = frame_mean(frame, 0, frame_group(frame, 2), METRIC_J_OUTPUT);
    g_assert_cmpfloat(other.value, ==, 0.8);
    g_assert_true(isnan(other.low));
    g_assert_cmpint(frame_mean(frame, 0, 7, METRIC_J_OUTPUT).status, ==, QUANTITY_ABSENT);
    g_assert_cmpint(frame_mean(frame, 0, -1, METRIC_J_OUTPUT).status, ==, QUANTITY_ABSENT);
    g_assert_cmpint(frame_mean(frame, 0, 0, METRIC_TAIL).status, ==, QUANTITY_ABSENT);
}

/* --- Order ------------------------------------------------------------------------------------------------------------ */

#define RATE(value) "{'metrics': {'joules_per_output_token': {'status': 'modelled', 'value': 1}, " \
                    "'output_tokens_per_s': {'status': 'measured', 'value': " value "}}}"
#define OTHER_WORK(value) "{'workload': {'output_tokens': [1]}, 'metrics': {'joules_per_output_token': {'status': " \
                          "'measured', 'value': " value "}}}"

static const struct {
    const char *name;
    int metric;
    struct {
        int level, cycle;
        const char *patch;
    } runs[6];
    const char *order; /* indices from 1 */
} orders[] = {
    {"best J/token first", METRIC_COUNT, {{1, 1, JOULES("3")}, {2, 1, JOULES("1")}, {3, 1, JOULES("2")}}, "2 3 1"},
    {"a modelled one is not sorted on: tokens/s",
     METRIC_COUNT,
     {{1, 1, RATE("10")}, {2, 1, RATE("30")}, {3, 1, RATE("20")}},
     "2 3 1"},
    {"nor when it is asked for: the plan's order", METRIC_J_OUTPUT, {{1, 1, MODELLED("3")}, {2, 1, MODELLED("1")}}, "1 2"},
    {"failed runs last", METRIC_COUNT, {{1, 1, NULL}, {2, 1, JOULES("2")}, {3, 1, NULL}, {4, 1, JOULES("1")}}, "4 2 1 3"},
    {"cycles of a cell stay together, by their mean",
     METRIC_COUNT,
     {{1, 1, JOULES("2")}, {2, 1, JOULES("1.9")}, {1, 2, JOULES("1")}, {2, 2, JOULES("1.7")}},
     "3 1 4 2"},
    {"groups stay together",
     METRIC_COUNT,
     {{1, 1, JOULES("1")}, {2, 1, OTHER_WORK("2")}, {3, 1, JOULES("3")}, {4, 1, OTHER_WORK("0.5")}},
     "4 2 1 3"},
    {"measured before modelled",
     METRIC_COUNT,
     {{1, 1, RATE("90")}, {2, 1, JOULES("9")}},
     "2 1"},
    {"rates: the highest first",
     METRIC_OUTPUT_RATE,
     {{1, 1, RATE("10")}, {2, 1, RATE("30")}, {3, 1, RATE("20")}},
     "2 3 1"},
};

static void test_order(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(owned_frame) frame = frame_new();
        for (size_t k = 0; k < G_N_ELEMENTS(orders[i].runs) && orders[i].runs[k].level; k++)
            add(frame, orders[i].runs[k].level, orders[i].runs[k].cycle, orders[i].runs[k].patch);
        g_autoptr(GArray) order = frame_order(frame, orders[i].metric);
        g_autoptr(GString) text = g_string_new(NULL);
        for (guint k = 0; k < order->len; k++)
            g_string_append_printf(text, "%s%d", k ? " " : "", frame_index(frame, g_array_index(order, size_t, k)));
        g_test_message("%s", orders[i].name);
        g_assert_cmpstr(text->str, ==, orders[i].order);
    }
}

/* --- What is kept ------------------------------------------------------------------------------------------------------ */

static void test_levels(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    g_autoptr(json_t) a = parse("{'model': 'm', 'sim.batch_size': 4}"),
        b = parse("{'model': 'm', 'llamacpp.n_ctx': 512}");
    frame_add(frame, &(struct frame_run){1, 1, a, "ok", NULL}, NULL);
    frame_add(frame, &(struct frame_run){2, 1, b, "ok", NULL}, NULL);
    frame_add(frame, &(struct frame_run){3, 2, a, "ok", NULL}, NULL);
    g_assert_cmpint(frame_axes(frame), ==, 3);
    g_assert_cmpstr(frame_level(frame, 0, 1), ==, "4");
    g_assert_null(frame_level(frame, 0, 2)); /* an axis that came later */
    g_assert_cmpstr(frame_level(frame, 1, 2), ==, "512");
    g_assert_null(frame_level(frame, 1, 1));
    g_assert_cmpint(frame_cell(frame, 0), ==, frame_cell(frame, 2));
    g_assert_cmpint(frame_cell(frame, 0), !=, frame_cell(frame, 1));
}

/* Axes that were named before have that order, whatever the first run has. */
static void test_axes_have_the_order_of_the_plan(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    g_autoptr(json_t) b = parse("{'b': 1}"), ab = parse("{'a': 2, 'b': 1}");
    frame_add_axis(frame, "a");
    frame_add_axis(frame, "b");
    frame_add(frame, &(struct frame_run){1, 1, b, "ok", NULL}, NULL);
    frame_add(frame, &(struct frame_run){2, 1, ab, "ok", NULL}, NULL);
    g_assert_cmpint(frame_axes(frame), ==, 2);
    g_assert_cmpstr(frame_axis(frame, 0), ==, "a");
    g_assert_null(frame_level(frame, 0, 0));
    g_assert_cmpstr(frame_level(frame, 1, 0), ==, "2");
}

/* Figures come out as they went in. */
static void test_figures(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 0, 1, "{'metrics': {'tail_energy_j': {'status': 'absent', 'reason': 'no tail was seen'}, 'energy_j': {'status': "
                     "'simulated', 'value': 3.5, 'low': 3, 'high': 4, 'method': 'm', 'sensor': 's', 'reason': 'r'}}}");
    struct quantity q = frame_metric(frame, 0, METRIC_ENERGY), tail = frame_metric(frame, 0, METRIC_TAIL);
    g_assert_cmpint(q.status, ==, QUANTITY_SIMULATED);
    g_assert_cmpfloat(q.value, ==, 3.5);
    g_assert_cmpfloat(q.low, ==, 3);
    g_assert_cmpfloat(q.high, ==, 4);
    g_assert_cmpstr(q.method, ==, "m");
    g_assert_cmpstr(q.sensor, ==, "s");
    g_assert_cmpstr(q.reason, ==, "r");
    g_assert_cmpint(tail.status, ==, QUANTITY_ABSENT);
    g_assert_cmpstr(tail.reason, ==, "no tail was seen");
}

/* Forty options, one of them the run's own: as an engine resolves them. */
static json_t *options_of(int seed)
{
    json_t *options = json_object();
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("an_option_of_some_engine_%d", i);
        json_object_set_new(options, name, json_integer(i ? i : seed));
    }
    return options;
}

/* A record with every figure, those of energy with intervals, options and answers of its own, and a reason of its own
 * for one of its figures. */
static json_t *whole_record(int seed)
{
    json_t *record = parse(base_record), *metrics = json_object_get(record, "metrics");
    for (int i = 0; i < METRIC_COUNT; i++) {
        g_autofree char *reason = i == 0 ? g_strdup_printf("run %d lost some of its readings", seed) : NULL;
        struct quantity q = quantity_of(QUANTITY_MEASURED, seed * 1.5 + i, i % 2 ? "padded_counter" : "padded_power",
                                        "nvml:GPU-1");
        if (!strcmp(result_metric_row(i)->group, "energy")) {
            q.low = q.value - 1;
            q.high = q.value + 1;
        }
        q.reason = reason;
        json_object_set_new(metrics, result_metric_row(i)->id, quantity_json(&q));
    }
    g_autofree char *answer = g_strdup_printf("%032d%032d", seed, 0);
    g_autofree char *columns = g_strnfill(1024 * RESULT_COLUMN_DIGITS, (char)('a' + seed % 6));
    jsonx_set_at(record, "workload.output_ids_sha256", json_string(answer));
    jsonx_set_at(record, "workload.output_columns", json_string(columns));
    jsonx_set_at(record, "engine.resolved", options_of(seed));
    return record;
}

#define RUNS 2000
static void test_a_run_is_small(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < RUNS; i++) {
        g_autoptr(json_t) record = whole_record(i);
        g_autoptr(json_t) levels = json_pack("{s:i, s:s, s:f}", "sim.batch_size", i, "precision", "bf16", "sim.x",
                                             i * 0.1);
        frame_add(frame, &(struct frame_run){i + 1, 1, levels, "ok", NULL}, record);
    }
    size_t kept = mallinfo2().uordblks - before;
    g_test_message("%zu bytes a run", kept / RUNS);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they have a malloc of their own */
    g_assert_cmpuint(kept, >, 100 * RUNS);
    g_assert_cmpuint(kept / RUNS, <, 2560);
#endif
}

/* Where answers begin to differ, of those that are compared. */
static void test_answers(void)
{
    static const struct {
        const char *second, *said; /* columns of the second run, NULL: it has none; of the first: aaaaaaaabbbbbbbb */
    } cases[] = {
        {"aaaaaaaabbbbbbbc", "; the first that differs is token 2 of an answer."},
        {"xaaaaaaabbbbbbbb", "; the first that differs is token 1 of an answer."},
        {"aaaaaaaa", "; the first that differs is token 2 of an answer."},
        {"aaaaaaaabbbbbbbbcccccccc", "; the first that differs is token 3 of an answer."},
        {"aaaaaaaabbbbbbbb", "; not among the first 2048 tokens."},
        {NULL, "; not among the first 2048 tokens."},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(owned_frame) frame = frame_new();
        add(frame, 1, 1, "{'workload': {'output_columns': 'aaaaaaaabbbbbbbb'}}");
        const char *own = cases[i].second;
        g_autofree char *columns = own ? g_strdup_printf(", 'output_columns': '%s'", own) : g_strdup("");
        g_autofree char *record = g_strdup_printf("{'workload': {'output_ids_sha256': 'other'%s}}", columns);
        add(frame, 2, 2, record);
        g_autoptr(GPtrArray) notes = frame_notes(frame);
        const struct frame_note *note = note_of(notes, "compare_with_care", "output_ids");
        if (!note || !g_str_has_suffix(note->text, cases[i].said))
            g_error("case %zu: %s", i, note ? note->text : "no note");
    }
}

static void test_notes_name_their_runs(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    add(frame, 1, 1, "{'flag_meanings': {'phase_locked': 'steps beat', 'uncalibrated': 'a prior'}, 'warnings': ['w']}");
    add(frame, 2, 1, "{'warnings': ['w', 'v']}");
    add(frame, 3, 1, "{'flag_meanings': {'phase_locked': 'steps beat'}}");
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    const struct frame_note *flag = note_of(notes, "flag", "phase_locked"), *warning = note_of(notes, "warning", NULL);
    g_autofree char *line = frame_note_line(flag);
    g_assert_cmpstr(line, ==, "phase_locked (runs 1, 3): steps beat");
    g_assert_null(note_of(notes, "flag", "uncalibrated"));
    g_assert_cmpstr(warning->text, ==, "Warning: w");
    g_assert_cmpint(warning->runs->len, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/analysis/keys", test_keys);
    g_test_add_func("/analysis/reasons", test_reasons);
    g_test_add_func("/analysis/swept-factors", test_swept_factors_are_no_reason);
    g_test_add_func("/analysis/versions", test_versions_are_those_of_an_engine);
    g_test_add_func("/analysis/no-record", test_runs_without_records_are_in_no_group);
    g_test_add_func("/analysis/mean", test_only_one_group_is_averaged);
    g_test_add_func("/analysis/order", test_order);
    g_test_add_func("/analysis/levels", test_levels);
    g_test_add_func("/analysis/axes", test_axes_have_the_order_of_the_plan);
    g_test_add_func("/analysis/figures", test_figures);
    g_test_add_func("/analysis/size", test_a_run_is_small);
    g_test_add_func("/analysis/answers", test_answers);
    g_test_add_func("/analysis/notes", test_notes_name_their_runs);
    return g_test_run();
}
