/* SPDX-License-Identifier: MIT */
/* The conformance suite: what docs/engine-protocol.md promises, asked of a program that claims to keep it. */
#include "engine/check_suite.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* --- The cases -------------------------------------------------------------------------------------------------- */

static enum engine_check_status check_hello(struct suite *s)
{
    g_autoptr(GError) error = NULL;
    return suite_greet(s, &error) ? PASS : suite_fail_with(s, error);
}

static enum engine_check_status check_unknown_message(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) reply = wire_call(s->engine, "no_such_message", NULL, suite_soon(s), &error);
    return suite_refused(s, reply != NULL, error, "a message that does not exist", "UnknownMessage",
                         "no_such_message");
}

static enum engine_check_status check_garbage(struct suite *s)
{
    static const char *const lines[] = {"this is not JSON\n", "[1, 2, 3]\n", "{\"id\": 1\n", "\n",
                                        "{\"type\": \"memory\"}\n"};
    NEED_HELLO(s);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) reply = NULL;
        if (wire_send_raw(s->engine, lines[i], suite_soon(s), &error))
            reply = wire_receive_any(s->engine, suite_soon(s), &error);
        g_autofree char *shown = g_strescape(lines[i], NULL);
        if (!reply)
            return suite_say(s, ENGINE_CHECK_FAIL, "after the line \"%s\": %s", shown, error->message);
        if (!json_is_null(json_object_get(reply, "id")) || !json_object_get(reply, "id") ||
            g_strcmp0(json_string_value(json_object_get(reply, "type")), "error") ||
            g_strcmp0(json_string_value(json_object_get(reply, "class")), "BadLine"))
            return suite_say(s, ENGINE_CHECK_FAIL,
                             "the line \"%s\" must be answered by an error with id null and the class BadLine", shown);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = wire_call(s->engine, "schema", NULL, suite_soon(s), &error);
    if (answer || g_error_matches(error, LLEM_ERROR, LLEM_ERROR_ENGINE))
        return PASS;
    return suite_say(s, ENGINE_CHECK_FAIL, "after bad lines: %s", error->message);
}

static enum engine_check_status check_order(struct suite *s)
{
    if (s->loaded)
        suite_drop_engine(s);
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    struct engine_memory memory;
    bool accepted = engine_memory(s->engine, suite_soon(s), &memory, &error);
    if (accepted)
        engine_memory_clear(&memory);
    enum engine_check_status status = suite_refused(s, accepted, error, "memory before load", "BadOrder", NULL);
    if (status != PASS)
        return status;
    g_clear_error(&error);
    const struct engine_prompt prompt = {"early", (const int32_t[]){1, 2}, 2, 1, true};
    accepted = engine_prepare(s->engine, 1, &prompt, 1, suite_soon(s), NULL, &error);
    return suite_refused(s, accepted, error, "prepare before load", "BadOrder", NULL);
}

static enum engine_check_status check_schema(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    struct engine_schema schema;
    if (!engine_schema(s->engine, suite_soon(s), &schema, &error))
        return suite_fail_with(s, error);
    enum engine_check_status status = PASS;
    for (size_t i = 0; i < schema.n && status == PASS; i++)
        if (schema.options[i].contradicts)
            status = suite_say(s, ENGINE_CHECK_FAIL, "field '%s': its default lies outside of its bounds",
                               schema.options[i].name);
    engine_schema_clear(&schema);
    return status;
}

/* Loads a configuration that must be refused. */
static enum engine_check_status refuse_load(struct suite *s, const json_t *config, const char *what,
                                            const char *error_class, const char *names)
{
    struct engine_loaded loaded;
    g_autoptr(GError) error = NULL;
    bool accepted = suite_load_with(s, config, &loaded, &error);
    if (accepted)
        engine_loaded_clear(&loaded);
    return suite_refused(s, accepted, error, what, error_class, names);
}

static enum engine_check_status check_unknown_keys(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(json_t) config = suite_load_config(s);
    json_object_set_new(json_object_get(config, "options"), "no_such_option", json_integer(1));
    enum engine_check_status status = refuse_load(s, config, "an option that does not exist", "UnknownKey",
                                                  "no_such_option");
    if (status != PASS)
        return status;
    g_autoptr(json_t) other = suite_load_config(s);
    json_object_set_new(other, "no_such_member", json_integer(1));
    return refuse_load(s, other, "a member of config that does not exist", "UnknownKey", "no_such_member");
}

/* A value the row does not allow, with words for it; NULL: every value is one. */
static json_t *value_outside(const struct backend_reported *o, const char **ret_what)
{
    bool numbers = o->type == REPORTED_INTEGER || o->type == REPORTED_NUMBER || o->type == REPORTED_NUMBERS;
    if (o->choices) {
        *ret_what = "a value that is no choice of";
        return json_string("no such choice");
    }
    if (numbers && isfinite(o->max) && o->max < 1e15) {
        *ret_what = "a number above the range of";
        return o->type == REPORTED_INTEGER ? json_integer((json_int_t)o->max + 1) : json_real(o->max * 2 + 1);
    }
    if (numbers && isfinite(o->min) && o->min > -1e15) {
        *ret_what = "a number below the range of";
        return o->type == REPORTED_INTEGER ? json_integer((json_int_t)o->min - 1) : json_real(-1 - 2 * fabs(o->min));
    }
    return NULL;
}

/* Loads with one option of that name more (value taken over), which must be refused by name. */
static enum engine_check_status refuse_option(struct suite *s, const char *name, json_t *value, const char *what)
{
    g_autoptr(json_t) config = suite_load_config(s);
    jsonx_set_at(json_object_get(config, "options"), name, value);
    g_autofree char *words = g_strdup_printf("%s '%s'", what, name);
    enum engine_check_status status = refuse_load(s, config, words, NULL, name);
    const struct engine_failure *f = engine_last_failure(s->engine);
    if (status != PASS || !g_strcmp0(f->engine_class, "BadValue"))
        return status;
    if (!g_strcmp0(f->engine_class, "UnknownKey"))
        return suite_say(s, ENGINE_CHECK_FAIL, "the schema has '%s', and load does not know it: %s", name,
                         f->engine_message);
    return suite_say(s, ENGINE_CHECK_FAIL, "%s was refused with the class %s, not BadValue: %s", words,
                     f->engine_class, f->engine_message);
}

/* Every option, with a value that its row does not allow. */
static enum engine_check_status refuse_values(struct suite *s, const struct engine_schema *schema, size_t *ret_tried)
{
    for (size_t i = 0; i < schema->n; i++) {
        const struct backend_reported *o = &schema->options[i];
        const char *what = NULL;
        json_t *outside = value_outside(o, &what);
        enum engine_check_status status = outside ? refuse_option(s, o->name, outside, what) : PASS;
        bool texts = o->type == REPORTED_STRING || o->type == REPORTED_ANY;
        if (status == PASS && !texts)
            status = refuse_option(s, o->name, json_string("a text"), "a text for");
        if (status != PASS)
            return status;
        *ret_tried += outside || !texts;
    }
    return PASS;
}

static enum engine_check_status check_bad_value(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    struct engine_schema schema;
    if (!engine_schema(s->engine, suite_soon(s), &schema, &error))
        return suite_needs(s, "a schema", error);
    size_t tried = 0;
    enum engine_check_status status = refuse_values(s, &schema, &tried);
    engine_schema_clear(&schema);
    if (status != PASS || tried > 0)
        return status;
    return suite_say(s, ENGINE_CHECK_SKIP, "every value is allowed for every option");
}

static enum engine_check_status check_load_missing(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(json_t) config = suite_load_config(s);
    json_object_set_new(config, "model_path", json_string("/nonexistent/llem-conformance-model"));
    return refuse_load(s, config, "a model_path that does not exist", "LoadFailed", NULL);
}

static enum engine_check_status check_load(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    return suite_load(s, &error) ? PASS : suite_fail_with(s, error);
}

static enum engine_check_status check_tokenize(struct suite *s)
{
    NEED_LOAD(s);
    const char *const texts[] = {"The quick brown fox jumps over the lazy dog", "Zażółć gęślą jaźń – 漢字",
                                 "The quick brown fox jumps over the lazy dog"};
    struct engine_tokens *tokens;
    g_autoptr(GError) error = NULL;
    if (!engine_tokenize(s->engine, texts, 3, true, false, suite_soon(s), &tokens, &error))
        return suite_unless_unsupported(s, error);
    bool same = tokens[0].n == tokens[2].n && tokens[0].n > 0 && tokens[1].n > 0 &&
                !memcmp(tokens[0].ids, tokens[2].ids, tokens[0].n * sizeof(int32_t));
    if (same) {
        engine_tokens_free(s->tokens, 3);
        s->tokens = tokens;
        return PASS;
    }
    engine_tokens_free(tokens, 3);
    return suite_say(s, ENGINE_CHECK_FAIL, "equal texts must give equal, non-empty lists of ids");
}

static enum engine_check_status check_generate(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    if (!suite_generate_one(s, FEW_TOKENS, &g, &error))
        return suite_fail_with(s, error);
    engine_generation_clear(&g);
    return PASS;
}

static enum engine_check_status check_unprepared(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    json_t *body = json_object(), *numbers = json_array();
    json_array_append_new(numbers, json_integer(987654));
    json_object_set_new(body, "batches", numbers);
    g_autoptr(json_t) reply = wire_call(s->engine, "generate", body, suite_soon(s), &error);
    return suite_refused(s, reply != NULL, error, "a batch that was not prepared", "BadValue", NULL);
}

static enum engine_check_status check_batch(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation g;
    int64_t batch;
    g_autoptr(GError) error = NULL;
    if (suite_prepare(s, 3, FEW_TOKENS, &batch, &error) &&
        engine_generate_all(s->engine, &batch, 1, suite_patience(s, 120), &g, &error)) {
        engine_generation_clear(&g);
        return PASS;
    }
    return suite_unless_unsupported(s, error);
}

static enum engine_check_status check_batches(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation g;
    int64_t batches[3];
    g_autoptr(GError) error = NULL;
    bool ok = true;
    for (int i = 0; i < 3 && ok; i++)
        ok = suite_prepare(s, 1, 2 + i, &batches[i], &error);
    int64_t first = batches[0];
    batches[0] = batches[2]; /* the order of generate counts, not that of prepare */
    batches[2] = first;
    if (!ok || !engine_generate_all(s->engine, batches, 3, suite_patience(s, 120), &g, &error))
        return suite_fail_with(s, error);
    engine_generation_clear(&g);
    return PASS;
}

static enum engine_check_status check_determinism(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation first, second;
    g_autoptr(GError) error = NULL;
    if (!suite_generate_one(s, FEW_TOKENS, &first, &error))
        return suite_fail_with(s, error);
    if (!suite_generate_one(s, FEW_TOKENS, &second, &error)) {
        engine_generation_clear(&first);
        return suite_fail_with(s, error);
    }
    bool same = !memcmp(first.requests[0].token_ids, second.requests[0].token_ids, FEW_TOKENS * sizeof(int32_t));
    engine_generation_clear(&first);
    engine_generation_clear(&second);
    return same ? PASS : suite_say(s, ENGINE_CHECK_FAIL, "the same prompt, decoded greedily twice, gave different ids");
}

/* What comes from a cache is held to load's word wherever something is collected; here twice the same prompt. */
static enum engine_check_status check_prefix_cache(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    for (int i = 0; i < 2; i++) {
        struct engine_generation g;
        if (!suite_generate_one(s, 1, &g, &error))
            return suite_fail_with(s, error);
        engine_generation_clear(&g);
    }
    return PASS;
}

static enum engine_check_status check_merged(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    if (!suite_generate_one(s, 4 * FEW_TOKENS, &g, &error))
        return suite_fail_with(s, error);
    int64_t merged = g.merged_chunks;
    engine_generation_clear(&g);
    if (merged == 0)
        return suite_say(s, ENGINE_CHECK_SKIP, "no chunk carried more than one token this time");
    return PASS;
}

/* The first prompt after it is held to it where it is collected. */
static enum engine_check_status check_reset(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    bool cache = false, peak = false;
    struct engine_generation g;
    if (!engine_reset(s->engine, true, true, suite_soon(s), &cache, &peak, &error) ||
        !suite_generate_one(s, 1, &g, &error))
        return suite_fail_with(s, error);
    engine_generation_clear(&g);
    return PASS;
}

static enum engine_check_status check_memory(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_memory memory;
    g_autoptr(GError) error = NULL;
    if (!engine_memory(s->engine, suite_soon(s), &memory, &error))
        return suite_fail_with(s, error);
    size_t n = memory.n_figures;
    engine_memory_clear(&memory);
    return n > 0 ? PASS : suite_say(s, ENGINE_CHECK_FAIL, "not one figure (a reason would be one)");
}

static enum engine_check_status check_abort(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    if (!engine_abort(s->engine, clock_mono_ns() + ABORT_NS, &error))
        return suite_say(s, ENGINE_CHECK_FAIL, "with nothing under way: %s", error->message);
    enum engine_check_status status;
    if (!suite_start_long(s, &status))
        return status;
    if (!engine_abort(s->engine, clock_mono_ns() + ABORT_NS, &error))
        return suite_fail_with(s, error);
    return suite_still_works(s);
}

/* The adapter does not get to run for a while: the client gives up, and picks up where it left. */
static enum engine_check_status check_hang(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_memory memory;
    g_autoptr(GError) error = NULL;
    kill(-s->engine->pid, SIGSTOP);
    bool answered = engine_memory(s->engine, clock_mono_ns() + BUSY_NS, &memory, &error);
    kill(-s->engine->pid, SIGCONT);
    if (answered) {
        engine_memory_clear(&memory);
        return suite_say(s, ENGINE_CHECK_FAIL, "a stopped process group answered: the engine works outside of it");
    }
    if (!g_error_matches(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT))
        return suite_fail_with(s, error);
    g_clear_error(&error);
    if (!engine_abort(s->engine, suite_soon(s), &error))
        return suite_fail_with(s, error);
    return suite_still_works(s);
}

/* How long an adapter may take to end. */
static int64_t end_ns(const struct suite *s)
{
    return s->options->patience_ns ? MIN(s->options->patience_ns, END_NS) : END_NS;
}

static bool stop(struct suite *s, struct engine_stop_report *report, GError **error)
{
    const struct engine_stop_waits waits = {.shutdown_ns = end_ns(s), .term_ns = end_ns(s)};
    return engine_stop(s->engine, &waits, report, error);
}

/* The adapter must have ended by itself and alone. */
static enum engine_check_status ended_well(struct suite *s, int64_t deadline_ns, const char *after)
{
    struct engine_stop_report report;
    g_autoptr(GError) error = NULL;
    bool ended = process_ended(s->engine, deadline_ns);
    bool stopped = stop(s, &report, &error);
    suite_drop_engine(s);
    if (!stopped)
        return suite_fail_with(s, error);
    if (!ended)
        return suite_say(s, ENGINE_CHECK_FAIL, "it still ran %lld s after %s", (long long)(end_ns(s) / NS_PER_S),
                         after);
    if (report.n_left_behind > 0)
        return suite_say(s, ENGINE_CHECK_FAIL, "it left %d processes behind after %s", report.n_left_behind, after);
    return PASS;
}

static enum engine_check_status check_shutdown(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) reply = wire_call(s->engine, "shutdown", NULL, suite_soon(s), &error);
    if (!reply)
        return suite_fail_with(s, error);
    bool ended = process_ended(s->engine, clock_mono_ns() + end_ns(s));
    g_autofree char *how = ended ? process_describe_end(s->engine) : NULL;
    int status = s->engine->failure.exit_status;
    enum engine_check_status result = ended_well(s, 0, "shutdown");
    if (result == PASS && status != 0)
        return suite_say(s, ENGINE_CHECK_FAIL, "after shutdown it %s; exit status 0 is wanted", how);
    return result;
}

static enum engine_check_status check_eof(struct suite *s)
{
    NEED_HELLO(s);
    shutdown(s->engine->fd, SHUT_WR);
    return ended_well(s, clock_mono_ns() + end_ns(s), "the end of the socket");
}

static enum engine_check_status check_term(struct suite *s)
{
    NEED_HELLO(s);
    kill(-s->engine->pid, SIGTERM);
    return ended_well(s, clock_mono_ns() + end_ns(s), "SIGTERM");
}

static enum engine_check_status check_eof_busy(struct suite *s)
{
    enum engine_check_status status;
    NEED_LOAD(s);
    if (!suite_start_long(s, &status))
        return status;
    shutdown(s->engine->fd, SHUT_WR);
    return ended_well(s, clock_mono_ns() + end_ns(s), "the end of the socket in a generation");
}

static enum engine_check_status check_crash(struct suite *s)
{
    enum engine_check_status status;
    NEED_LOAD(s);
    if (!suite_start_long(s, &status))
        return status;
    kill(s->engine->pid, SIGKILL);
    g_autoptr(GError) error = NULL;
    if (engine_abort(s->engine, suite_soon(s), &error))
        return suite_say(s, ENGINE_CHECK_FAIL, "a killed adapter answered: the work is done by another process");
    if (!g_error_matches(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED))
        return suite_fail_with(s, error);
    g_clear_error(&error);
    bool stopped = stop(s, NULL, &error);
    suite_drop_engine(s);
    return stopped ? PASS : suite_fail_with(s, error);
}

/* In this order, so that a slow engine is started five times and loaded three times only. */
const struct engine_check_case engine_check_cases[] = {
    {"hello", "says who it is, in protocol 1, on our clock", false},
    {"version", "refuses another protocol, and goes on in this one", false},
    {"unknown-message", "a message that does not exist is refused by name", false},
    {"garbage", "bad lines are answered by an error with id null, and life goes on", false},
    {"order", "nothing but hello, schema and load works before a load", false},
    {"schema", "lists its options with name, type, default, and what is allowed", false},
    {"options", "takes the options of engine.json: names, types, ranges, choices, defaults", true},
    {"unknown-keys", "options and members that do not exist are refused by name", false},
    {"bad-value", "each option refuses, by its name, a value of another type, range or choice", false},
    {"load-missing", "a model path that does not exist is an error", false},
    {"load", "reports the resolved configuration, processes, weights, memory, substitutions", false},
    {"roles", "computes as many requests at once as the roles of engine.json say", true},
    {"tokenize", "one list of ids a text, equal for equal texts", false},
    {"special", "the text of a control token stays text unless parse_special says otherwise", false},
    {"generate", "as many tokens as asked for, each with a stamp, within the window", false},
    {"members", "members that do not exist are refused by name in every message", false},
    {"stamps", "stamps are of the moments when tokens were out, not spread over them", false},
    {"unprepared", "generate refuses a batch that was not prepared", false},
    {"batch", "several requests of unlike lengths in one batch", false},
    {"batches", "several batches back to back, in the order asked for", false},
    {"collect", "hands out an outcome in parts, once", false},
    {"in-flight", "computes no more requests at once than in_flight says, or refuses it", false},
    {"determinism", "greedy decoding twice gives the same ids", false},
    {"prefix-cache", "a prompt is taken from a cache only where load said that there is one", false},
    {"merged-chunks", "chunks of several tokens share a stamp and are counted", false},
    {"reset", "after a reset no prompt token comes from a cache", false},
    {"memory", "named figures, each a number of bytes or a reason", false},
    {"abort", "an abort is answered within a second, and the engine goes on", false},
    {"hang", "a stop of the process group is survived", false},
    {"shutdown", "shutdown is answered, then it ends with status 0 and leaves nothing behind", false},
    {"eof", "it ends when the socket ends", false},
    {"term", "it ends on SIGTERM", false},
    {"eof-busy", "it ends when the socket ends in the middle of a generation", false},
    {"crash", "when it is killed in the middle, all it started can be ended", false},
    {0},
};

static enum engine_check_status (*const runs[])(struct suite *s) = {
    check_hello,       check_version,      check_unknown_message, check_garbage,   check_order,    check_schema,
    check_options,     check_unknown_keys, check_bad_value,       check_load_missing, check_load,  check_roles,
    check_tokenize,    check_special,      check_generate,        check_members,   check_stamps,   check_unprepared,
    check_batch,       check_batches,      check_collect,         check_in_flight, check_determinism,
    check_prefix_cache, check_merged,      check_reset,           check_memory,    check_abort,    check_hang,
    check_shutdown,    check_eof,          check_term,            check_eof_busy,  check_crash,
};
G_STATIC_ASSERT(G_N_ELEMENTS(runs) == G_N_ELEMENTS(engine_check_cases) - 1);

int engine_check(const struct engine_check_options *options, engine_check_report report, void *data)
{
    struct suite s = {.options = options};
    int failed = 0;
    for (size_t i = 0; engine_check_cases[i].name; i++) {
        const struct engine_check_case *row = &engine_check_cases[i];
        if ((options->only && strcmp(options->only, row->name)) || (row->of_backend && !options->backend))
            continue;
        enum engine_check_status status = runs[i](&s);
        report(row, status, s.message, data);
        g_clear_pointer(&s.message, g_free);
        if (status != ENGINE_CHECK_FAIL)
            continue;
        failed++;
        suite_drop_engine(&s); /* the next case starts from a clean one */
    }
    suite_drop_engine(&s);
    g_free(s.engine_version);
    engine_tokens_free(s.tokens, 3);
    return failed;
}
