/* SPDX-License-Identifier: MIT */
/* The protocol client against the simulated engine: what works, and every way it does not. */
#include "engine/engine.h"

#include "base/proc.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char *sim_path;
static char *folder;

static int64_t in_s(double seconds)
{
    return clock_mono_ns() + (int64_t)(seconds * 1e9);
}

static struct engine *start_with(const char *log_path, const char *const *env, int interrupt_fd)
{
    const char *const argv[] = {sim_path, NULL};
    const struct engine_options options = {
        .argv = argv, .env = env, .log_path = log_path, .log_bytes = 64 << 10, .interrupt_fd = interrupt_fd};
    g_autoptr(GError) error = NULL;
    struct engine *engine = engine_start(&options, &error);
    g_assert_no_error(error);
    return engine;
}

static void hello(struct engine *engine)
{
    struct engine_identity identity;
    g_autoptr(GError) error = NULL;
    engine_hello(engine, in_s(10), &identity, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(identity.adapter, ==, "llem-engine-sim");
    g_assert_cmpstr(identity.engine, ==, "sim");
    g_assert_cmpint(identity.pid, ==, engine_pid(engine));
    engine_identity_clear(&identity);
}

static bool load(struct engine *engine, const char *options, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"model\": \"m\", \"random_seed\": 42, \"options\": {%s}}", options);
    g_autoptr(json_t) config = jsonx_parse(text, -1, "config", NULL);
    g_assert_nonnull(config);
    struct engine_loaded loaded;
    bool ok = engine_load(engine, config, false, in_s(10), &loaded, error);
    if (ok) {
        g_assert_cmpuint(loaded.n_pids, ==, 1);
        g_assert_cmpint(loaded.pids[0], ==, engine_pid(engine));
        g_assert_cmpint(loaded.t1_ns, >=, loaded.t0_ns);
        engine_loaded_clear(&loaded);
    }
    return ok;
}

static struct engine *loaded_engine(const char *options)
{
    struct engine *engine = start_with(NULL, NULL, -1);
    hello(engine);
    g_autoptr(GError) error = NULL;
    load(engine, options, &error);
    g_assert_no_error(error);
    return engine;
}

static const int32_t ids_a[] = {1, 2, 3, 4}, ids_b[] = {9, 8, 7};

static void prepare(struct engine *engine, int64_t batch, int64_t max_tokens)
{
    g_autofree char *a = g_strdup_printf("a%d", (int)batch), *b = g_strdup_printf("b%d", (int)batch);
    const struct engine_prompt prompts[] = {{a, ids_a, G_N_ELEMENTS(ids_a), max_tokens, true},
                                            {b, ids_b, G_N_ELEMENTS(ids_b), max_tokens, true}};
    bool quiescent = false;
    g_autoptr(GError) error = NULL;
    engine_prepare(engine, batch, prompts, 2, in_s(10), &quiescent, &error);
    g_assert_no_error(error);
    g_assert_true(quiescent);
}

static void stop(struct engine *engine, enum engine_stop_stage expected)
{
    struct engine_stop_report report;
    g_autoptr(GError) error = NULL;
    engine_stop(engine, &(struct engine_stop_waits){NS_PER_S, NS_PER_S, NS_PER_S}, &report, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(engine_stop_stage_name(report.stage), ==, engine_stop_stage_name(expected));
    g_assert_cmpint(kill(engine_pid(engine), 0), ==, -1);
    engine_free(engine);
}

/* --- What works ------------------------------------------------------------------------------------------------- */

static void test_whole_life(void)
{
    struct engine *engine = loaded_engine("\"token_us\": 200, \"kv_bytes_per_token\": 100, \"memory_mib\": 1");
    g_autoptr(GError) error = NULL;

    struct engine_schema schema;
    engine_schema(engine, in_s(10), &schema, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(schema.n, >, 10);
    const struct backend_reported *threads = engine_schema_find(&schema, "threads");
    g_assert_cmpint(threads->type, ==, REPORTED_INTEGER);
    g_assert_cmpfloat(threads->max, ==, 256);
    g_assert_cmpstr(threads->unit, ==, "threads");
    g_assert_cmpuint(json_array_size(engine_schema_find(&schema, "device")->choices), ==, 3);
    g_assert_null(engine_schema_find(&schema, "no_such"));
    engine_schema_clear(&schema);

    const char *const texts[] = {"the same word word", "", "naïve – ünïcode"};
    struct engine_tokens *tokens;
    engine_tokenize(engine, texts, 3, true, false, in_s(10), &tokens, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(tokens[0].n, ==, 5);
    g_assert_cmpint(tokens[0].ids[3], ==, tokens[0].ids[4]);
    g_assert_cmpuint(tokens[1].n, ==, 1);
    engine_tokens_free(tokens, 3);

    prepare(engine, 1, 4);
    prepare(engine, 2, 6);
    struct engine_generation g;
    engine_generate_all(engine, (const int64_t[]){2, 1}, 2, in_s(10), &g, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g.n_batches, ==, 2);
    g_assert_cmpuint(g.n_requests, ==, 4);
    g_assert_cmpint(g.merged_chunks, ==, 0);
    g_assert_cmpint(g.batches[0].batch, ==, 2);
    g_assert_cmpstr(g.requests[0].id, ==, "a2");
    g_assert_cmpuint(g.requests[0].n_out, ==, 6);
    g_assert_cmpstr(g.requests[3].id, ==, "b1");
    g_assert_cmpuint(g.requests[3].n_out, ==, 4);
    /* the same prompt, the same ids: output follows from the input alone */
    g_assert_cmpmem(g.requests[0].token_ids, 4 * sizeof(int32_t), g.requests[2].token_ids, 4 * sizeof(int32_t));
    g_assert_cmpint(g.t0_ns, ==, g.batches[0].t0_ns);
    g_assert_cmpint(g.t1_ns, ==, g.batches[1].t1_ns);
    engine_generation_clear(&g);

    struct engine_memory memory;
    engine_memory(engine, in_s(10), &memory, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < memory.n_figures; i++) {
        const struct engine_figure *f = &memory.figures[i];
        if (!strcmp(f->name, "weights_bytes"))
            g_assert_cmpint(f->bytes, ==, 1 << 20);
        if (!strcmp(f->name, "peak_bytes"))
            g_assert_cmpint(f->bytes, ==, (1 << 20) + 100 * (4 + 3 + 2 * 6));
        if (!strcmp(f->name, "device_bytes"))
            g_assert_nonnull(f->reason);
    }
    engine_memory_clear(&memory);
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

/* The stamps follow the script: prefill, then a list of steps. Bounds are from below only: a busy machine is late. */
static void test_script_times(void)
{
    struct engine *engine = loaded_engine("\"prefill_us_per_token\": 2000, \"token_us\": [20000, 1000]");
    prepare(engine, 1, 4);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(10), &g, &error);
    g_assert_no_error(error);
    const struct engine_request *r = &g.requests[0];
    g_assert_cmpint(r->stamps_ns[0] - g.t0_ns, >=, 14 * NS_PER_MS);
    g_assert_cmpint(r->stamps_ns[1] - g.t0_ns, >=, 34 * NS_PER_MS);
    g_assert_cmpint(r->stamps_ns[3] - g.t0_ns, >=, 36 * NS_PER_MS);
    g_assert_cmpint(g.t1_ns, >=, r->stamps_ns[3]);
    engine_generation_clear(&g);
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

static void test_merged_chunks(void)
{
    struct engine *engine = loaded_engine("\"token_us\": 0, \"merge\": 3");
    prepare(engine, 1, 7);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(10), &g, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g.merged_chunks, ==, 4); /* 3 + 3 + 1, twice */
    g_assert_cmpint(g.requests[1].merged_chunks, ==, 2);
    engine_generation_clear(&g);
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

static void test_prefix_cache(void)
{
    struct engine *engine = loaded_engine("\"token_us\": 0, \"prefix_cache\": true");
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    const int64_t expected[] = {0, 3, 0}; /* cold, warm, after a reset */
    for (int i = 0; i < 3; i++) {
        bool cache = false;
        if (i == 2)
            g_assert_true(engine_reset(engine, true, false, in_s(10), &cache, NULL, &error) && cache);
        prepare(engine, i, 2);
        engine_generate_all(engine, (const int64_t[]){i}, 1, in_s(10), &g, &error);
        g_assert_no_error(error);
        g_assert_cmpint(g.requests[0].n_cached, ==, expected[i]);
        engine_generation_clear(&g);
    }
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

static void test_stop_rule(void)
{
    struct engine *engine = loaded_engine("\"token_us\": 0, \"eos_after\": 2");
    const struct engine_prompt prompts[] = {{"honours", ids_a, 4, 5, false}, {"ignores", ids_a, 4, 5, true}};
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    g_assert_true(engine_prepare(engine, 1, prompts, 2, in_s(10), NULL, &error));
    g_assert_true(engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(10), &g, &error));
    g_assert_cmpuint(g.requests[0].n_out, ==, 2);
    g_assert_cmpstr(g.requests[0].finish, ==, "stop");
    g_assert_cmpuint(g.requests[1].n_out, ==, 5);
    g_assert_cmpstr(g.requests[1].finish, ==, "length");
    engine_generation_clear(&g);
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

/* --- Failures of a load and of a generate ----------------------------------------------------------------------- */

struct failure_case {
    const char *name, *options;
    const char *message; /* during which it fails */
    enum llem_error_code code;
    const char *engine_class; /* ENGINE */
    bool oom;
    int exit_status, signal;  /* ENGINE_DIED */
    const char *says;         /* part of the message */
    enum engine_stop_stage stage;
};

static const struct failure_case failure_cases[] = {
    {"unknown-key", "\"threds\": 2", "load", LLEM_ERROR_ENGINE, "UnknownKey", false, -1, -1, "threds",
     ENGINE_STOP_SHUTDOWN},
    {"bad-type", "\"threads\": \"two\"", "load", LLEM_ERROR_ENGINE, "BadValue", false, -1, -1, "threads",
     ENGINE_STOP_SHUTDOWN},
    {"load-error", "\"fail\": \"load_error\"", "load", LLEM_ERROR_ENGINE, "SimLoadError", false, -1, -1, "script",
     ENGINE_STOP_SHUTDOWN},
    {"load-oom", "\"fail\": \"load_oom\"", "load", LLEM_ERROR_ENGINE, "OutOfMemory", true, -1, -1, "out of memory",
     ENGINE_STOP_SHUTDOWN},
    {"load-crash", "\"fail\": \"load_crash\"", "load", LLEM_ERROR_ENGINE_DIED, NULL, false, -1, SIGSEGV,
     "a segmentation fault on request", ENGINE_STOP_NONE},
    {"substitution", "\"fail\": \"substitute\", \"attention\": \"flash\"", "load", LLEM_ERROR_ENGINE, "Substitution",
     false, -1, -1, "'flash' was asked for", ENGINE_STOP_SHUTDOWN},
    {"substitution-unrefused", "\"fail\": \"substitute_silently\"", "load", LLEM_ERROR_ENGINE, "Substitution", false, -1,
     -1, "'flash' was asked for", ENGINE_STOP_SHUTDOWN},
    {"error", "\"fail\": \"generate_error\", \"fail_at\": 3", "generate", LLEM_ERROR_ENGINE, "SimError", false, -1, -1,
     "token 3", ENGINE_STOP_SHUTDOWN},
    {"oom", "\"fail\": \"generate_oom\"", "generate", LLEM_ERROR_ENGINE, "OutOfMemory", true, -1, -1, "KV cache",
     ENGINE_STOP_SHUTDOWN},
    {"crash", "\"fail\": \"crash\", \"fail_at\": 5", "generate", LLEM_ERROR_ENGINE_DIED, NULL, false, -1, SIGSEGV,
     "killed by signal 11", ENGINE_STOP_NONE},
    {"exit", "\"fail\": \"exit\", \"fail_at\": 2", "generate", LLEM_ERROR_ENGINE_DIED, NULL, false, 3, -1,
     "ended with exit status 3 in 'generate'", ENGINE_STOP_NONE},
    {"early-eof", "\"fail\": \"early_eof\"", "generate", LLEM_ERROR_ENGINE_DIED, NULL, false, -1, -1, "though it still runs",
     ENGINE_STOP_TERM},
    {"garbage", "\"fail\": \"garbage\"", "generate", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1, "Loading checkpoint shards",
     ENGINE_STOP_SHUTDOWN},
    {"long-line", "\"fail\": \"long_line\"", "generate", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1, "longer than the limit",
     ENGINE_STOP_SHUTDOWN},
    {"unknown-message", "\"fail\": \"unknown_message\"", "generate", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "a 'progress' nobody asked for", ENGINE_STOP_SHUTDOWN},
    {"wrong-type", "\"fail\": \"wrong_type\"", "generate", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "the reply is a 'generated'", ENGINE_STOP_SHUTDOWN},
    {"wrong-counts", "\"fail\": \"wrong_counts\"", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "request 'a1': 8 token ids and 7 stamps", ENGINE_STOP_SHUTDOWN},
    {"wrong-n-in", "\"fail\": \"wrong_n_in\"", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1, "n_in is 5, but 4",
     ENGINE_STOP_SHUTDOWN},
    {"wrong-order", "\"fail\": \"wrong_order\", \"token_us\": 100", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "the stamp of output token 7 lies before that of token 6", ENGINE_STOP_SHUTDOWN},
    {"outside-window", "\"fail\": \"outside_window\"", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1, "[t0_ns, t1_ns]",
     ENGINE_STOP_SHUTDOWN},
    {"short-output", "\"fail\": \"short_output\"", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "7 tokens came out, exactly 8", ENGINE_STOP_SHUTDOWN},
    {"merged-unreported", "\"fail\": \"merged_unreported\"", "collect", LLEM_ERROR_PROTOCOL, NULL, false, -1, -1,
     "merged_chunks is 0", ENGINE_STOP_SHUTDOWN},
    {"hang", "\"fail\": \"hang\"", "generate", LLEM_ERROR_TIMEOUT, NULL, false, -1, -1, "did not answer 'generate'",
     ENGINE_STOP_TERM},
    {"hang-hard", "\"fail\": \"hang_hard\"", "generate", LLEM_ERROR_TIMEOUT, NULL, false, -1, -1,
     "did not answer 'generate'", ENGINE_STOP_KILL},
};

static void test_failure(gconstpointer data)
{
    const struct failure_case *c = data;
    struct engine *engine = start_with(NULL, NULL, -1);
    hello(engine);
    g_autoptr(GError) error = NULL;
    bool ok = load(engine, c->options, &error);
    if (strcmp(c->message, "load") != 0) {
        g_assert_no_error(error);
        prepare(engine, 1, 8);
        struct engine_generation g;
        ok = engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(c->code == LLEM_ERROR_TIMEOUT ? 0.2 : 20), &g,
                             &error);
    }
    g_assert_false(ok);
    g_assert_error(error, LLEM_ERROR, (int)c->code);
    if (!strstr(error->message, c->says))
        g_error("'%s' does not say '%s'", error->message, c->says);
    const struct engine_failure *f = engine_last_failure(engine);
    g_assert_cmpint(f->code, ==, (int)c->code);
    g_assert_cmpstr(f->engine_class, ==, c->engine_class);
    g_assert_cmpint(f->oom, ==, c->oom);
    g_assert_cmpint(f->exit_status, ==, c->exit_status);
    g_assert_cmpint(f->signal, ==, c->signal);
    g_assert_cmpstr(f->message_name, ==, c->message);
    if (c->code == LLEM_ERROR_ENGINE) { /* the adapter goes on after an error of its own */
        g_clear_error(&error);
        g_assert_true(engine_abort(engine, in_s(10), &error));
    }
    stop(engine, c->stage);
}

/* Killed for its memory the engine cannot say so: the kernel's counters do, here files below a folder of the test's. */
static void test_oom_kill(gconstpointer data)
{
    bool struck = GPOINTER_TO_INT(data);
    g_autofree char *root = g_build_filename(folder, struck ? "struck" : "spared", NULL);
    g_autofree char *proc = g_build_filename(root, "proc", NULL), *vmstat = g_build_filename(proc, "vmstat", NULL);
    g_autofree char *meminfo = g_build_filename(proc, "meminfo", NULL);
    g_assert_true(file_make_dirs(proc, NULL));
    g_assert_true(g_file_set_contents(vmstat, "oom_kill 3\n", -1, NULL));
    g_assert_true(g_file_set_contents(meminfo, "MemTotal:  16777216 kB\n", -1, NULL));
    g_setenv("LLEM_SYSROOT", root, TRUE);
    struct engine *engine = loaded_engine("\"memory_mib\": 40");
    g_assert_true(g_file_set_contents(vmstat, struck ? "oom_kill 4\n" : "oom_kill 3\n", -1, NULL));
    kill(engine_pid(engine), SIGKILL);
    struct engine_memory memory;
    g_autoptr(GError) error = NULL;
    g_assert_false(engine_memory(engine, in_s(10), &memory, &error));
    g_unsetenv("LLEM_SYSROOT");
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED);
    const struct engine_failure *f = engine_last_failure(engine);
    g_assert_cmpint(f->signal, ==, SIGKILL);
    g_assert_cmpint(f->oom, ==, struck);
    g_assert_cmpstr(f->engine_class, ==, struck ? "OutOfMemory" : NULL);
    if (struck) {
        double held = 0; /* MiB: what it allocated and its own */
        g_assert_cmpint(sscanf(strstr(f->engine_message, "up to "), "up to %lf MiB", &held), ==, 1);
        g_assert_cmpfloat(held, >=, 40);
        g_assert_nonnull(strstr(error->message, "16.0 GiB is all that this machine has; take a smaller model"));
    }
    stop(engine, ENGINE_STOP_NONE);
}

/* --- Hello ------------------------------------------------------------------------------------------------------ */

static void test_hello_broken(void)
{
    const struct {
        const char *env, *says;
    } cases[] = {{"LLEM_SIM_FAIL=wrong_protocol", "it speaks protocol 2"}, {"LLEM_SIM_FAIL=wrong_clock", "clock_ns"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct engine *engine = start_with(NULL, (const char *const[]){cases[i].env, NULL}, -1);
        struct engine_identity identity;
        g_autoptr(GError) error = NULL;
        g_assert_false(engine_hello(engine, in_s(10), &identity, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(error->message, cases[i].says));
        stop(engine, ENGINE_STOP_SHUTDOWN);
    }
}

static void test_start_fails(void)
{
    const struct {
        const char *program;
        int code;
    } cases[] = {{"/no/such/program", LLEM_ERROR_MISSING}, {"no-such-program-in-path", LLEM_ERROR_MISSING},
                 {"/etc/passwd", LLEM_ERROR_IO}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const argv[] = {cases[i].program, NULL};
        g_autoptr(GError) error = NULL;
        g_assert_null(engine_start(&(struct engine_options){.argv = argv, .interrupt_fd = -1}, &error));
        g_assert_error(error, LLEM_ERROR, cases[i].code);
        g_assert_nonnull(strstr(error->message, cases[i].program));
    }
}

static void test_not_an_adapter(void)
{
    const char *const argv[] = {"sh", "-c", "echo I am no adapter; exit 5", NULL};
    g_autoptr(GError) error = NULL;
    struct engine *engine = engine_start(&(struct engine_options){.argv = argv, .interrupt_fd = -1}, &error);
    g_assert_no_error(error);
    struct engine_identity identity;
    g_assert_false(engine_hello(engine, in_s(10), &identity, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED);
    g_assert_nonnull(strstr(error->message, "exit status 5"));
    g_assert_nonnull(strstr(error->message, "I am no adapter"));
    engine_free(engine);
}

/* --- Abort, interrupts ------------------------------------------------------------------------------------------ */

static void test_abort(void)
{
    struct engine *engine = loaded_engine("\"token_us\": 1000000");
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    prepare(engine, 1, 100);
    prepare(engine, 2, 100);
    g_assert_false(engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(0.1), &g, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    g_clear_error(&error);
    struct engine_memory memory;
    g_assert_false(engine_memory(engine, in_s(1), &memory, &error)); /* one at a time */
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_true(engine_abort(engine, in_s(5), &error));
    g_assert_no_error(error);
    g_assert_true(engine_memory(engine, in_s(5), &memory, &error)); /* the engine is still of use */
    engine_memory_clear(&memory);
    g_assert_false(engine_generate_all(engine, (const int64_t[]){2}, 1, in_s(1), &g, &error)); /* forgotten by abort */
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL);
    stop(engine, ENGINE_STOP_SHUTDOWN);
}

static gpointer write_soon(gpointer data)
{
    uint64_t one = 1;
    g_usleep(50000);
    g_assert_cmpint(write(GPOINTER_TO_INT(data), &one, sizeof one), ==, sizeof one);
    return NULL;
}

static void test_interrupt(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    struct engine *engine = start_with(NULL, NULL, fd);
    hello(engine);
    g_autoptr(GError) error = NULL;
    g_assert_true(load(engine, "\"token_us\": 1000000", &error));
    prepare(engine, 1, 100);
    GThread *thread = g_thread_new("interrupter", write_soon, GINT_TO_POINTER(fd));
    struct engine_generation g;
    int64_t before = clock_mono_ns();
    g_assert_false(engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(60), &g, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED);
    g_assert_cmpint(clock_mono_ns() - before, <, 30 * NS_PER_S);
    g_clear_error(&error);
    g_thread_join(thread);
    g_assert_true(engine_abort(engine, in_s(5), &error)); /* though the descriptor is still readable */
    stop(engine, ENGINE_STOP_SHUTDOWN);
    close(fd);
}

/* --- Log -------------------------------------------------------------------------------------------------------- */

static void test_log_flood(void)
{
    g_autofree char *path = g_build_filename(folder, "engine.log", NULL);
    struct engine *engine = start_with(path, NULL, -1);
    hello(engine);
    g_autoptr(GError) error = NULL;
    g_assert_true(load(engine, "\"token_us\": 0, \"fail\": \"log_flood\", \"log_mib\": 4", &error));
    prepare(engine, 1, 4);
    struct engine_generation g;
    engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(60), &g, &error);
    g_assert_no_error(error);
    engine_generation_clear(&g);
    g_auto(GStrv) tail = engine_log_tail(engine, 3);
    g_assert_cmpuint(g_strv_length(tail), ==, 3);
    g_assert_cmpstr(tail[2], ==, "sim: end of the flood");
    g_assert_cmpint(tail[1][0], ==, 'x');
    stop(engine, ENGINE_STOP_SHUTDOWN);

    g_autofree char *text = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    g_assert_cmpuint(length, <=, 64 << 10);
    g_assert_cmpuint(length, >, 60 << 10);
    const char *gap = strstr(text, "bytes left out");
    g_assert_nonnull(gap);
    const char *end = strstr(text, "sim: end of the flood");
    g_assert_true(end && end > gap);
    g_assert_cmpint(end[strlen("sim: end of the flood") + 1], ==, '\0');
    /* nothing torn but at the cut: every line after the first behind it is whole */
    g_auto(GStrv) lines = g_strsplit(gap, "\n", -1);
    for (guint i = 2; lines[i] && lines[i + 1] && lines[i + 2]; i++)
        g_assert_cmpuint(strlen(lines[i]), ==, 255);
}

/* A disk that takes nothing more: the engine runs on, and its last lines are still quoted. */
static void test_log_full_disk(void)
{
    struct engine *engine = start_with("/dev/full", NULL, -1);
    hello(engine);
    g_autoptr(GError) error = NULL;
    g_assert_true(load(engine, "\"token_us\": 0, \"fail\": \"exit\", \"fail_at\": 1", &error));
    prepare(engine, 1, 4);
    struct engine_generation g;
    g_assert_false(engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(20), &g, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED);
    g_assert_nonnull(strstr(error->message, "leaving with status 3"));
    stop(engine, ENGINE_STOP_NONE);
}

/* --- The worker dies -------------------------------------------------------------------------------------------- */

#define DIE "--start-an-engine-and-die"

/* This program again, as a worker: starts an engine that will not hear the end of its socket, says its pid, is
 * killed. */
static int start_and_die(void)
{
    struct engine *engine = loaded_engine("\"fail\": \"no_shutdown\"");
    printf("%d\n", (int)engine_pid(engine));
    fflush(stdout);
    return kill(getpid(), SIGKILL);
}

static void test_worker_dies(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    char *argv[] = {self, g_strdup(DIE), NULL};
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, NULL, &error);
    g_assert_no_error(error);
    g_free(argv[1]);
    int64_t pid = 0;
    g_assert_true(num_parse_int(g_strstrip(text), 2, INT32_MAX, &pid, NULL));
    int64_t deadline_ns = in_s(10);
    while (kill((pid_t)pid, 0) == 0 && clock_mono_ns() < deadline_ns) {
        proc_reap(0); /* it is ours now: this process is a subreaper */
        g_usleep(5000);
    }
    g_assert_cmpint(kill((pid_t)pid, 0), ==, -1);
}

/* --- The ladder ------------------------------------------------------------------------------------------------- */

/* A wait that the adapter must sit out ends soon; one in which it ends is as long as a busy machine may need. */
#define SAT_OUT (300 * NS_PER_MS)
#define HEARD   (60 * NS_PER_S)

struct ladder_case {
    const char *name, *fault;
    struct engine_stop_waits waits;
    enum engine_stop_stage stage;
    int n_left;
    int exit_status, signal;
};

static const struct ladder_case ladder_cases[] = {
    {"clean", "none", {HEARD, HEARD, HEARD}, ENGINE_STOP_SHUTDOWN, 0, 0, -1},
    {"ignores-shutdown", "no_shutdown", {SAT_OUT, HEARD, HEARD}, ENGINE_STOP_TERM, 0, -1, SIGTERM},
    {"ignores-term", "no_term", {SAT_OUT, SAT_OUT, HEARD}, ENGINE_STOP_KILL, 0, -1, SIGKILL},
    {"leaves-child", "leave_child", {HEARD, HEARD, HEARD}, ENGINE_STOP_TERM, 1, 0, -1},
    {"leaves-daemon", "leave_daemon", {HEARD, SAT_OUT, HEARD}, ENGINE_STOP_DESCENDANTS, 1, 0, -1},
};

static void test_ladder(gconstpointer data)
{
    const struct ladder_case *c = data;
    g_autofree char *options = g_strdup_printf("\"fail\": \"%s\"", c->fault);
    struct engine *engine = loaded_engine(options);
    struct engine_stop_report report;
    g_autoptr(GError) error = NULL;
    g_assert_true(engine_stop(engine, &c->waits, &report, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(engine_stop_stage_name(report.stage), ==, engine_stop_stage_name(c->stage));
    g_assert_cmpint(report.n_left_behind, ==, c->n_left);
    g_assert_cmpint(report.exit_status, ==, c->exit_status);
    g_assert_cmpint(report.signal, ==, c->signal);
    g_autoptr(GArray) rest = proc_descendants(getpid());
    g_assert_cmpuint(rest->len, ==, 0);
    g_assert_true(engine_stop(engine, &c->waits, &report, &error)); /* again is fine */
    engine_free(engine);
}

/* The adapter is killed from outside while its daemon lives on. */
static void test_killed_with_daemon(void)
{
    struct engine *engine = loaded_engine("\"fail\": \"leave_daemon\", \"token_us\": 1000000");
    prepare(engine, 1, 100);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    kill(engine_pid(engine), SIGKILL);
    g_assert_false(engine_generate_all(engine, (const int64_t[]){1}, 1, in_s(10), &g, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED);
    g_assert_cmpint(engine_last_failure(engine)->signal, ==, SIGKILL);
    engine_free(engine); /* in a hurry, and thorough all the same */
    g_autoptr(GArray) rest = proc_descendants(getpid());
    g_assert_cmpuint(rest->len, ==, 0);
}

/* A child of this process from before the engine is nobody's to end. */
static void test_bystander(void)
{
    const char *argv[] = {"sleep", "60", NULL};
    GPid pid;
    g_assert_true(g_spawn_async(NULL, (char **)(uintptr_t)argv, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL));
    struct engine *engine = loaded_engine("\"fail\": \"leave_daemon\"");
    engine_free(engine);
    g_autoptr(GArray) rest = proc_descendants(getpid());
    g_assert_cmpuint(rest->len, ==, 1);
    g_assert_cmpint(g_array_index(rest, pid_t, 0), ==, pid);
    kill(pid, SIGKILL);
    proc_reap(0);
}

static void add_tables(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(failure_cases); i++) {
        g_autofree char *path = g_strconcat("/engine/failure/", failure_cases[i].name, NULL);
        g_test_add_data_func(path, &failure_cases[i], test_failure);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(ladder_cases); i++) {
        g_autofree char *path = g_strconcat("/engine/ladder/", ladder_cases[i].name, NULL);
        g_test_add_data_func(path, &ladder_cases[i], test_ladder);
    }
}

int main(int argc, char **argv)
{
    sim_path = LLEM_BINARY_DIR "/libexec/llem/engines/sim/llem-engine-sim";
    if (argc == 2 && !strcmp(argv[1], DIE))
        return start_and_die();
    g_test_init(&argc, &argv, NULL);
    g_assert_true(proc_become_subreaper());
    folder = g_dir_make_tmp("llem-engine-XXXXXX", NULL);
    g_test_add_func("/engine/whole-life", test_whole_life);
    g_test_add_func("/engine/script-times", test_script_times);
    g_test_add_func("/engine/merged-chunks", test_merged_chunks);
    g_test_add_func("/engine/prefix-cache", test_prefix_cache);
    g_test_add_func("/engine/stop-rule", test_stop_rule);
    add_tables();
    g_test_add_data_func("/engine/oom-kill", GINT_TO_POINTER(true), test_oom_kill);
    g_test_add_data_func("/engine/kill-without-oom", GINT_TO_POINTER(false), test_oom_kill);
    g_test_add_func("/engine/hello-broken", test_hello_broken);
    g_test_add_func("/engine/start-fails", test_start_fails);
    g_test_add_func("/engine/not-an-adapter", test_not_an_adapter);
    g_test_add_func("/engine/abort", test_abort);
    g_test_add_func("/engine/interrupt", test_interrupt);
    g_test_add_func("/engine/log-flood", test_log_flood);
    g_test_add_func("/engine/log-full-disk", test_log_full_disk);
    g_test_add_func("/engine/worker-dies", test_worker_dies);
    g_test_add_func("/engine/killed-with-daemon", test_killed_with_daemon);
    g_test_add_func("/engine/bystander", test_bystander);
    int code = g_test_run();
    file_remove_tree(folder, NULL);
    g_free(folder);
    return code;
}
