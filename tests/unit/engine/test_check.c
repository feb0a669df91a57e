/* SPDX-License-Identifier: MIT */
/* The conformance suite: it passes what is right, and fails what is broken in the case that is about it. */
#include "engine/engine.h"

#include "base/proc.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *sim_path;
static char *folder;

struct outcome {
    GHashTable *failed; /* name → message */
    const char *first;  /* case that failed */
    int passed, skipped;
};

static void note(const struct engine_check_case *row, enum engine_check_status status, const char *message, void *data)
{
    struct outcome *o = data;
    o->passed += status == ENGINE_CHECK_PASS;
    o->skipped += status == ENGINE_CHECK_SKIP;
    g_assert_true(status == ENGINE_CHECK_PASS || message);
    g_test_message("%d %s: %s", (int)status, row->name, message ? message : "");
    if (status != ENGINE_CHECK_FAIL)
        return;
    if (!o->first)
        o->first = row->name;
    g_hash_table_insert(o->failed, g_strdup(row->name), g_strdup(message));
}

static struct outcome check(const char *const *argv, const char *options, double patience_s, const char *only)
{
    struct outcome o = {.failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
    g_autoptr(json_t) set = jsonx_parse(options, -1, "options", NULL);
    const struct engine_check_options suite = {
        .argv = argv, .options = set, .patience_ns = (int64_t)(patience_s * 1e9), .only = only};
    g_assert_cmpint(engine_check(&suite, note, &o), ==, g_hash_table_size(o.failed));
    g_autoptr(GArray) left = proc_descendants(getpid());
    g_assert_cmpuint(left->len, ==, 0);
    return o;
}

/* Of a program: those about engine.json are left out. */
static int n_cases(void)
{
    int n = 0;
    for (const struct engine_check_case *row = engine_check_cases; row->name; row++)
        n += !row->of_backend;
    return n;
}

static void test_sim(void)
{
    const char *const argv[] = {sim_path, NULL};
    struct outcome o = check(argv, "{\"token_us\": 2000, \"merge\": 2}", 20, NULL);
    g_assert_null(o.first);
    g_assert_cmpint(o.passed, ==, n_cases()); /* merged chunks as well: nothing is skipped */
    g_hash_table_unref(o.failed);
}

/* The adapter printed in the documentation, as it stands there. */
static char *documented_adapter(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *page = file_read(LLEM_SOURCE_DIR "/docs/engine-protocol.md", 1 << 20, NULL, &error);
    g_assert_no_error(error);
    char *start = strstr(page, "```python\n");
    g_assert_nonnull(start);
    start += strlen("```python\n");
    char *end = strstr(start, "\n```\n");
    g_assert_nonnull(end);
    return g_strndup(start, (gsize)(end - start + 1));
}

/* The same engine with the protocol written out. */
static char *adapter_by_hand(void)
{
    char *text = file_read(LLEM_SOURCE_DIR "/examples/raw_adapter.py", 1 << 20, NULL, NULL);
    g_assert_nonnull(text);
    return text;
}

static struct outcome check_python(const char *text, const char *only)
{
    g_autofree char *python = g_find_program_in_path("python3");
    g_autofree char *program = g_build_filename(folder, "toy_adapter.py", NULL);
    g_assert_nonnull(python);
    g_assert_true(g_file_set_contents(program, text, -1, NULL));
    const char *const argv[] = {python, program, NULL};
    return check(argv, "{}", 30, only);
}

static void test_documentation(void)
{
    g_setenv("PYTHONPATH", LLEM_SOURCE_DIR "/engines/python", TRUE); /* {engines}/python, where there is a descriptor */
    g_setenv("PYTHONDONTWRITEBYTECODE", "1", TRUE);
    g_autofree char *page = documented_adapter(), *by_hand = adapter_by_hand();
    const char *const texts[] = {page, by_hand};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct outcome o = check_python(texts[i], NULL);
        g_assert_null(o.first);
        g_assert_cmpint(o.passed, >=, n_cases() - 2); /* it never merges chunks, and knows no control tokens */
        g_hash_table_unref(o.failed);
    }
}

/* The one by hand with one word changed, and what the case then says. */
static const struct {
    const char *name, *from, *to, *only, *says;
} changed[] = {
    {"type", "\"integer\"", "\"int\"", "schema", "field 'token_us': type 'int' is none of integer, number"},
    {"bounds", "\"min\": 0", "\"min\": 2000000", "schema", "'min' 2e+06 lies above 'max' 1e+06"},
    {"default", "\"default\": 1000", "\"default\": -1000", "schema", "'token_us': its default lies outside of its bounds"},
    {"no-default", "\"default\": 1000, ", "", "schema", "it has no default"},
    {"choices", "\"min\": 0", "\"min\": 0, \"choices\": []", "schema", "'choices' has none"},
    {"bound-of-a-text", "\"integer\"", "\"string\"", "schema", "'min' and 'max' are of numbers"},
    {"twice", "SCHEMA}", "SCHEMA * 2}", "schema", "'token_us' stands there twice"},
    {"range", " or not f[\"min\"] <= options[f[\"name\"]] <= f[\"max\"]", "", "bad-value",
     "a number above the range of 'token_us' was accepted"},
    {"any-type", "if type(options[f[\"name\"]]) is not int or", "if type(options[f[\"name\"]]) is int and", "bad-value",
     "a text for 'token_us' was accepted"},
    {"unknown-to-load", "- set(options))])", "- {\"token_ms\"})])", "bad-value",
     "the schema has 'token_us', and load does not know it: there is no token_us"},
};

static void test_changed(gconstpointer data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *text = adapter_by_hand();
    g_auto(GStrv) parts = g_strsplit(text, changed[i].from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    g_autofree char *other = g_strjoin(changed[i].to, parts[0], parts[1], NULL);
    struct outcome o = check_python(other, changed[i].only);
    g_assert_cmpstr(o.first, ==, changed[i].only);
    const char *message = g_hash_table_lookup(o.failed, changed[i].only);
    if (!strstr(message, changed[i].says))
        g_error("'%s' does not say '%s'", message, changed[i].says);
    g_hash_table_unref(o.failed);
}

static void test_not_an_adapter(void)
{
    const char *const argv[] = {"true", NULL};
    struct outcome o = check(argv, "{}", 5, NULL);
    g_assert_cmpstr(o.first, ==, "hello");
    g_assert_cmpuint(g_hash_table_size(o.failed), ==, 1); /* the others are skipped, they say nothing */
    g_assert_cmpint(o.skipped, ==, n_cases() - 1);
    g_hash_table_unref(o.failed);
}

/* What is broken and which case must notice it. Where no other may, the whole suite is run. */
struct broken {
    const char *fault;
    const char *first;
    bool alone;
    const char *says; /* part of the message */
    bool waits;       /* the suite's patience has to run out */
};

static const struct broken broken[] = {
    {"wrong_protocol", "hello", true, "protocol 2", false},
    {"wrong_clock", "hello", true, "clock_ns", false},
    {"bad_line_exit", "garbage", true, "exit status 1", false},
    {"bad_schema", "schema", true, "'type'", false},
    {"accept_unknown", "unknown-keys", true, "was accepted", false},
    {"accept_bad_model", "load-missing", true, "was accepted", false},
    {"load_error", "load", true, "SimLoadError", false},
    {"load_oom", "load", true, "out of memory", false},
    {"load_crash", "load", true, "signal 11", false},
    {"load_hang", "load", true, "did not answer 'load'", true},
    {"bad_tokens", "tokenize", false, "2 lists of token ids for 3 texts", false},
    {"generate_error", "generate", false, "SimError", false},
    {"crash:3", "generate", false, "signal 11", false},
    {"exit:3", "generate", false, "exit status 3", false},
    {"early_eof", "generate", false, "socket", false},
    {"hang:3", "generate", false, "did not answer 'generate'", true},
    {"garbage", "generate", false, "no JSON object", false},
    {"unknown_message", "generate", false, "nobody asked for", false},
    {"wrong_type", "generate", false, "'generated'", false},
    {"wrong_counts", "generate", false, "8 token ids and 7 stamps", false},
    {"wrong_n_in", "generate", false, "n_in", false},
    {"wrong_order", "generate", false, "lies before", false},
    {"outside_window", "generate", false, "[t0_ns, t1_ns]", false},
    {"short_output", "generate", false, "exactly 8", false},
    {"merged_unreported", "generate", false, "merged_chunks", false},
    {"no_length", "generate", false, "are no window", false},
    {"wrong_clock_of_window", "generate", false, "its window lies outside the time between request and reply", false},
    {"wrong_sum", "generate", false, "8 output tokens were collected, generate had counted 7", false},
    {"foreign_stamps", "generate", false, "queued_ns lies", false},
    {"stamps_order", "generate", false, "scheduled_ns lies before the stamp ahead of it", false},
    {"no_tokens", "generate", false, "not one token came out", false},
    {"all_cached", "generate", false, "did not say 'prefix_cache'", false},
    {"remote", "load", true, "\"remote\" is reserved", false},
    {"load_backwards", "load", true, "its t0_ns and t1_ns (-4", false},
    {"spread_stamps", "stamps", true, "lie at one distance", false},
    {"ignore_members", "members", true, "was accepted", false},
    {"always_special", "special", true, "without parse_special", false},
    {"ignore_in_flight", "in-flight", true, "4 requests were under way at once, in_flight was 2", false},
    {"wrong_class", "version", false, "with the class Error, not NotSupported", false},
    {"any_protocol", "version", true, "hello in another protocol was accepted", false},
    {"nondeterministic", "determinism", true, "different ids", false},
    {"secret_cache", "prefix-cache", false, "did not say 'prefix_cache'", false},
    {"bad_memory", "memory", true, "peak_bytes", false},
    {"slow_abort", "abort", false, "did not answer 'abort'", false},
    {"deaf_abort", "abort", false, "did not answer 'abort'", false},
    {"no_shutdown", "shutdown", false, "still ran", true},
    {"leave_child", "shutdown", false, "left 1 processes behind", false},
};

static void test_broken(gconstpointer data)
{
    const struct broken *b = data;
    g_autofree char *variable = g_strconcat("LLEM_SIM_FAIL=", b->fault, NULL);
    const char *const argv[] = {"env", variable, sim_path, NULL};
    const char *options = "{\"token_us\": 3000, \"tokenizer\": \"bytes\"}";
    struct outcome o = check(argv, options, b->waits ? 1 : 10, b->alone ? NULL : b->first);
    g_assert_cmpstr(o.first, ==, b->first);
    const char *message = g_hash_table_lookup(o.failed, b->first);
    if (!strstr(message, b->says))
        g_error("'%s' does not say '%s'", message, b->says);
    if (b->alone)
        g_assert_cmpuint(g_hash_table_size(o.failed), ==, 1);
    g_hash_table_unref(o.failed);
}

static void test_only(void)
{
    const char *const argv[] = {sim_path, NULL};
    struct outcome o = check(argv, "{}", 20, "memory");
    g_assert_null(o.first);
    g_assert_cmpint(o.passed, ==, 1);
    g_assert_cmpint(o.skipped, ==, 0);
    g_hash_table_unref(o.failed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    sim_path = LLEM_BINARY_DIR "/libexec/llem/engines/sim/llem-engine-sim";
    g_assert_true(proc_become_subreaper());
    folder = g_dir_make_tmp("llem-check-XXXXXX", NULL);
    g_test_add_func("/check/sim", test_sim);
    g_test_add_func("/check/documentation", test_documentation);
    for (size_t i = 0; i < G_N_ELEMENTS(changed); i++) {
        g_autofree char *path = g_strconcat("/check/changed/", changed[i].name, NULL);
        g_test_add_data_func(path, (gconstpointer)(uintptr_t)i, test_changed);
    }
    g_test_add_func("/check/not-an-adapter", test_not_an_adapter);
    g_test_add_func("/check/only", test_only);
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *path = g_strconcat("/check/broken/", broken[i].fault, NULL);
        g_test_add_data_func(path, &broken[i], test_broken);
    }
    int code = g_test_run();
    file_remove_tree(folder, NULL);
    g_free(folder);
    return code;
}
