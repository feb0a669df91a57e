/* SPDX-License-Identifier: MIT */
/* The messages of the protocol, typed: what goes out, and what is believed of what comes back. */
#include "engine/private.h"

#include "backend/backend.h"
#include "base/shm.h"

#include <string.h>

/* Turns what a reader of a reply found wrong (*detail, taken over) into PROTOCOL. By address, because the reader runs
 * among the arguments of the call. */
static bool settle(struct engine *engine, const char *type, bool ok, GError **detail, GError **error)
{
    return ok || wire_bad_reply(engine, type, g_steal_pointer(detail), error);
}

/* --- Hello ------------------------------------------------------------------------------------------------------ */

static bool read_identity(const json_t *reply, struct engine_identity *ret, int64_t *protocol, int64_t *clock_ns,
                          GError **error)
{
    json_t *libraries = NULL;
    bool ok = jsonx_get_int(reply, "protocol", true, protocol, error) &&
              jsonx_get_string(reply, "adapter", true, &ret->adapter, error) &&
              jsonx_get_string(reply, "adapter_version", true, &ret->adapter_version, error) &&
              jsonx_get_string(reply, "engine", true, &ret->engine, error) &&
              jsonx_get_string(reply, "engine_version", false, &ret->engine_version, error) &&
              jsonx_get_int(reply, "pid", true, &ret->pid, error) &&
              jsonx_get_int(reply, "clock_ns", true, clock_ns, error) &&
              jsonx_get_bool(reply, "simulated", false, &ret->simulated, error) &&
              jsonx_get_object(reply, "libraries", false, &libraries, error);
    ret->libraries = libraries;
    return ok;
}

bool engine_hello(struct engine *engine, int64_t deadline_ns, struct engine_identity *ret, GError **error)
{
    int64_t before_ns = clock_mono_ns(), protocol = 0, clock_ns = 0;
    *ret = (struct engine_identity){0};
    json_t *body = json_object();
    json_object_set_new(body, "protocol", json_integer(BACKEND_PROTOCOL));
    ret->reply = wire_call(engine, "hello", body, deadline_ns, error);
    if (!ret->reply)
        return false;
    GError *detail = NULL;
    bool ok = settle(engine, "hello", read_identity(ret->reply, ret, &protocol, &clock_ns, &detail), &detail, error);
    if (ok && protocol != BACKEND_PROTOCOL)
        ok = wire_broken(engine, "hello", error, "it speaks protocol %" G_GINT64_FORMAT ", llem speaks %d", protocol,
                         BACKEND_PROTOCOL);
    if (ok && (clock_ns < before_ns || clock_ns > clock_mono_ns()))
        ok = wire_broken(engine, "hello", error,
                         "its clock_ns is %.3f s off ours: it must be CLOCK_MONOTONIC in nanoseconds, and the engine "
                         "must not run in a time namespace of its own",
                         clock_seconds(clock_ns - clock_mono_ns()));
    if (!ok)
        engine_identity_clear(ret);
    return ok;
}

void engine_identity_clear(struct engine_identity *identity)
{
    json_decref(identity->reply);
    *identity = (struct engine_identity){0};
}

/* What was generated and not collected yet keeps what it was held to. */
static void nothing_is_cached(struct engine *engine)
{
    engine->cold = true;
    g_hash_table_unref(engine->cached);
    engine->cached = cached_new();
}

/* --- Load ------------------------------------------------------------------------------------------------------- */

static bool check_figures(const json_t *figures, GError **error)
{
    const char *name;
    const json_t *value;
    jsonx_foreach(figures, name, value) {
        bool number = json_is_integer(value) && json_integer_value(value) >= 0;
        bool reason = json_is_string(value) && *json_string_value(value);
        if (number || reason)
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "figure '%s' must be a number of bytes, or a text saying why it is absent",
                    name);
        return false;
    }
    return true;
}

static bool read_pids(const json_t *list, struct engine_loaded *ret, GError **error)
{
    ret->n_pids = json_array_size(list);
    ret->pids = g_new0(int64_t, ret->n_pids);
    for (size_t i = 0; i < ret->n_pids; i++) {
        ret->pids[i] = json_integer_value(json_array_get(list, i));
        bool again = false; /* its CPU time would count twice */
        for (size_t k = 0; k < i; k++)
            again = again || ret->pids[k] == ret->pids[i];
        if (ret->pids[i] > 0 && !again)
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "'pids' must list process ids, each once");
        return false;
    }
    return true;
}

static bool check_substitutions(const json_t *list, GError **error)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row) {
        const char *text = NULL;
        if (!jsonx_get_string(row, "what", true, &text, error) || !jsonx_get_string(row, "used", true, &text, error) ||
            !jsonx_get_string(row, "requested", true, &text, error)) {
            g_prefix_error(error, "substitution %zu: ", i);
            return false;
        }
    }
    return true;
}

/* "devices" names more than one kind; the first of them is "device". */
static bool read_devices(const json_t *reply, struct engine_loaded *ret, GError **error)
{
    json_t *devices = NULL;
    if (!jsonx_get_array(reply, "devices", false, &devices, error))
        return false;
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const char *kind = json_string_value(json_array_get(devices, i));
        bool gpu = !g_strcmp0(kind, "gpu"), cpu = !g_strcmp0(kind, "cpu");
        ret->on_cpu |= cpu;
        if ((!gpu && !cpu) || (gpu && !ret->on_gpu)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "devices must be a list of \"gpu\" and \"cpu\", \"gpu\" "
                        "where device is \"gpu\"");
            return false;
        }
    }
    return true;
}

static bool read_device(const json_t *reply, struct engine_loaded *ret, GError **error)
{
    const char *device = NULL;
    if (!jsonx_get_string(reply, "device", true, &device, error))
        return false;
    ret->on_gpu = !strcmp(device, "gpu");
    ret->on_cpu = !strcmp(device, "cpu");
    if (ret->on_gpu || ret->on_cpu)
        return read_devices(reply, ret, error);
    if (!strcmp(device, "remote")) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "device \"remote\" is reserved: nothing of an engine on another machine can be measured here");
        return false;
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "device must be \"cpu\" or \"gpu\", not \"%s\"", device);
    return false;
}

/* A number of requests that need not be there; 0 where it is not. */
static bool read_count(const json_t *reply, const char *name, int64_t *ret, GError **error)
{
    *ret = 0;
    if (!jsonx_get_int(reply, name, false, ret, error))
        return false;
    if (*ret >= 1 || !json_is_integer(json_object_get(reply, name)))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "'%s' must be a number of requests, not %" G_GINT64_FORMAT, name,
                *ret);
    return false;
}

static bool read_compile(const json_t *reply, struct engine_loaded *ret, GError **error)
{
    json_t *compile = NULL;
    if (!jsonx_get_object(reply, "compile", false, &compile, error))
        return false;
    if (!compile)
        return true;
    if (!jsonx_get_int(compile, "t0_ns", true, &ret->compile_t0_ns, error) ||
        !jsonx_get_int(compile, "t1_ns", true, &ret->compile_t1_ns, error))
        return false;
    if (ret->t0_ns <= ret->compile_t0_ns && ret->compile_t0_ns < ret->compile_t1_ns && ret->compile_t1_ns <= ret->t1_ns)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "'compile' does not lie within loading");
    return false;
}

static bool read_loaded(struct engine_loaded *ret, GError **error)
{
    const json_t *reply = ret->reply;
    json_t *resolved = NULL, *facts = NULL, *memory = NULL, *substitutions = NULL, *pids = NULL;
    ret->weights_bytes = -1;
    if (!jsonx_get_object(reply, "resolved", true, &resolved, error) ||
        !jsonx_get_object(reply, "facts", false, &facts, error) ||
        !jsonx_get_object(reply, "memory", true, &memory, error) ||
        !jsonx_get_array(reply, "substitutions", true, &substitutions, error) ||
        !jsonx_get_array(reply, "pids", true, &pids, error) ||
        !jsonx_get_string(reply, "engine_version", true, &ret->engine_version, error) ||
        !jsonx_get_int(reply, "weights_bytes", false, &ret->weights_bytes, error) ||
        !jsonx_get_int(reply, "t0_ns", true, &ret->t0_ns, error) ||
        !jsonx_get_int(reply, "t1_ns", true, &ret->t1_ns, error) ||
        !jsonx_get_bool(reply, "quiescent", true, &ret->quiescent, error) ||
        !jsonx_get_bool(reply, "prefix_cache", false, &ret->prefix_cache, error) ||
        !read_count(reply, "batch", &ret->batch, error) || !read_count(reply, "in_flight", &ret->in_flight, error) ||
        !read_device(reply, ret, error) || !read_compile(reply, ret, error))
        return false;
    ret->resolved = resolved;
    ret->facts = facts;
    ret->memory = memory;
    ret->substitutions = substitutions;
    return check_figures(memory, error) && read_pids(pids, ret, error) && check_substitutions(substitutions, error);
}

/* The adapter should have refused; that it did not changes nothing. */
static bool refuse_substitution(struct engine *engine, const struct engine_loaded *loaded, GError **error)
{
    const json_t *row = json_array_get(loaded->substitutions, 0);
    const char *reason = json_string_value(json_object_get(row, "reason"));
    g_autofree char *message =
        g_strdup_printf("%s: '%s' was asked for, '%s' is used%s%s", json_string_value(json_object_get(row, "what")),
                        json_string_value(json_object_get(row, "requested")),
                        json_string_value(json_object_get(row, "used")), reason ? ": " : "", reason ? reason : "");
    return wire_engine_error(engine, "load", "Substitution", message, false, error);
}

bool engine_load(struct engine *engine, const json_t *config, bool allow_substitution, int64_t deadline_ns,
                 struct engine_loaded *ret, GError **error)
{
    *ret = (struct engine_loaded){0};
    json_t *body = json_object();
    json_object_set(body, "config", (json_t *)(uintptr_t)config);
    json_object_set_new(body, "allow_substitution", json_boolean(allow_substitution));
    g_hash_table_remove_all(engine->prepared);
    g_ptr_array_set_size(engine->generated, 0);
    int64_t before_ns = clock_mono_ns();
    ret->reply = wire_call(engine, "load", body, deadline_ns, error);
    if (!ret->reply)
        return false;
    GError *detail = NULL;
    bool ok = settle(engine, "load", read_loaded(ret, &detail), &detail, error);
    if (ok && (ret->t0_ns < before_ns || ret->t1_ns < ret->t0_ns || ret->t1_ns > clock_mono_ns()))
        ok = wire_broken(engine, "load", error,
                         "its t0_ns and t1_ns (%.3f s apart) do not lie, in this order, between request and reply",
                         clock_seconds(ret->t1_ns - ret->t0_ns));
    for (size_t i = 0; ok && i < ret->n_pids; i++) /* now: they may be killed by somebody else */
        shm_note(engine->shm, (pid_t)ret->pids[i]);
    engine->prefix_cache = ok && ret->prefix_cache;
    nothing_is_cached(engine);
    if (ok && !allow_substitution && json_array_size(ret->substitutions) > 0)
        ok = refuse_substitution(engine, ret, error);
    if (!ok)
        engine_loaded_clear(ret);
    return ok;
}

void engine_loaded_clear(struct engine_loaded *loaded)
{
    json_decref(loaded->reply);
    g_free(loaded->pids);
    *loaded = (struct engine_loaded){0};
}

/* --- Tokenize, reset -------------------------------------------------------------------------------------------- */

static bool read_ids(const json_t *list, struct engine_tokens *ret, GError **error)
{
    ret->n = json_array_size(list);
    ret->ids = g_new0(int32_t, ret->n);
    for (size_t i = 0; i < ret->n; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "token %zu is no token id", i);
            return false;
        }
        ret->ids[i] = (int32_t)json_integer_value(id);
    }
    return true;
}

static bool read_token_lists(const json_t *reply, size_t n_texts, struct engine_tokens *tokens, GError **error)
{
    json_t *lists = NULL;
    if (!jsonx_get_array(reply, "token_ids", true, &lists, error))
        return false;
    if (json_array_size(lists) != n_texts) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%zu lists of token ids for %zu texts", json_array_size(lists),
                    n_texts);
        return false;
    }
    for (size_t i = 0; i < n_texts; i++) {
        const json_t *list = json_array_get(lists, i);
        if (!json_is_array(list)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "text %zu: expected a list of token ids, found %s", i,
                        jsonx_type_name(list));
            return false;
        }
        if (!read_ids(list, &tokens[i], error)) {
            g_prefix_error(error, "text %zu: ", i);
            return false;
        }
    }
    return true;
}

bool engine_tokenize(struct engine *engine, const char *const *texts, size_t n_texts, bool add_special,
                     bool parse_special, int64_t deadline_ns, struct engine_tokens **ret_tokens, GError **error)
{
    json_t *body = json_object(), *list = json_array();
    json_object_set_new(body, "texts", list);
    json_object_set_new(body, "add_special", json_boolean(add_special));
    json_object_set_new(body, "parse_special", json_boolean(parse_special));
    for (size_t i = 0; i < n_texts; i++) {
        json_t *text = json_string(texts[i]);
        if (!text) {
            json_decref(body);
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "text %zu is not UTF-8", i);
            return false;
        }
        json_array_append_new(list, text);
    }
    g_autoptr(json_t) reply = wire_call(engine, "tokenize", body, deadline_ns, error);
    if (!reply)
        return false;
    GError *detail = NULL;
    struct engine_tokens *tokens = g_new0(struct engine_tokens, MAX(n_texts, 1));
    if (settle(engine, "tokenize", read_token_lists(reply, n_texts, tokens, &detail), &detail, error)) {
        *ret_tokens = tokens;
        return true;
    }
    engine_tokens_free(tokens, n_texts);
    return false;
}

void engine_tokens_free(struct engine_tokens *tokens, size_t n_texts)
{
    for (size_t i = 0; tokens && i < n_texts; i++)
        g_free(tokens[i].ids);
    g_free(tokens);
}

bool engine_reset(struct engine *engine, bool prefix_cache, bool peak_memory, int64_t deadline_ns,
                  bool *ret_prefix_cache, bool *ret_peak_memory, GError **error)
{
    json_t *body = json_object();
    json_object_set_new(body, "prefix_cache", json_boolean(prefix_cache));
    json_object_set_new(body, "peak_memory", json_boolean(peak_memory));
    g_autoptr(json_t) reply = wire_call(engine, "reset", body, deadline_ns, error);
    if (!reply)
        return false;
    GError *detail = NULL;
    bool done_prefix = false, done_peak = false;
    bool ok = jsonx_get_bool(reply, "prefix_cache", true, &done_prefix, &detail) &&
              jsonx_get_bool(reply, "peak_memory", true, &done_peak, &detail);
    if (!settle(engine, "reset", ok, &detail, error))
        return false;
    if (prefix_cache && done_prefix)
        nothing_is_cached(engine);
    if (ret_prefix_cache)
        *ret_prefix_cache = done_prefix;
    if (ret_peak_memory)
        *ret_peak_memory = done_peak;
    return true;
}

/* --- Prepare -------------------------------------------------------------------------------------------------- */

static json_t *prompt_json(const struct engine_prompt *p)
{
    json_t *row = json_object(), *ids = json_array();
    json_object_set_new(row, "id", json_string(p->id));
    for (size_t i = 0; i < p->n_tokens; i++)
        json_array_append_new(ids, json_integer(p->token_ids[i]));
    json_object_set_new(row, "token_ids", ids);
    json_object_set_new(row, "max_tokens", json_integer(p->max_tokens));
    json_object_set_new(row, "ignore_eos", json_boolean(p->ignore_eos));
    return row;
}

static bool read_prepared(const json_t *reply, const struct prepared *p, bool *quiescent, GError **error)
{
    int64_t batch = 0, n_in = 0, sent = 0;
    if (!jsonx_get_int(reply, "batch", true, &batch, error) || !jsonx_get_int(reply, "n_in", true, &n_in, error) ||
        !jsonx_get_bool(reply, "quiescent", true, quiescent, error))
        return false;
    for (size_t i = 0; i < p->n_requests; i++)
        sent += (int64_t)p->requests[i].n_in;
    if (batch == p->batch && n_in == sent)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "batch %" G_GINT64_FORMAT " with %" G_GINT64_FORMAT " prompt tokens in the reply, batch "
                "%" G_GINT64_FORMAT " with %" G_GINT64_FORMAT " was sent", batch, n_in, p->batch, sent);
    return false;
}

bool engine_prepare(struct engine *engine, int64_t batch, const struct engine_prompt *prompts, size_t n_prompts,
                    int64_t deadline_ns, bool *ret_quiescent, GError **error)
{
    json_t *body = json_object(), *list = json_array();
    json_object_set_new(body, "batch", json_integer(batch));
    json_object_set_new(body, "requests", list);
    for (size_t i = 0; i < n_prompts; i++)
        json_array_append_new(list, prompt_json(&prompts[i]));
    g_autoptr(json_t) reply = wire_call(engine, "prepare", body, deadline_ns, error);
    if (!reply)
        return false;
    bool quiescent = false;
    struct prepared *p = prepared_new(batch, prompts, n_prompts, engine->prefix_cache);
    GError *detail = NULL;
    if (!settle(engine, "prepare", read_prepared(reply, p, &quiescent, &detail), &detail, error)) {
        prepared_free(p);
        return false;
    }
    g_hash_table_replace(engine->prepared, &p->batch, p);
    if (ret_quiescent)
        *ret_quiescent = quiescent;
    return true;
}

/* --- Memory, abort ---------------------------------------------------------------------------------------------- */

bool engine_memory(struct engine *engine, int64_t deadline_ns, struct engine_memory *ret, GError **error)
{
    *ret = (struct engine_memory){0};
    ret->reply = wire_call(engine, "memory", NULL, deadline_ns, error);
    if (!ret->reply)
        return false;
    GError *detail = NULL;
    json_t *figures = NULL;
    bool ok = jsonx_get_object(ret->reply, "figures", true, &figures, &detail) && check_figures(figures, &detail);
    if (!settle(engine, "memory", ok, &detail, error)) {
        engine_memory_clear(ret);
        return false;
    }
    ret->figures = g_new0(struct engine_figure, json_object_size(figures));
    const char *name;
    json_t *value;
    json_object_foreach(figures, name, value) {
        ret->figures[ret->n_figures++] = (struct engine_figure){
            .name = name,
            .bytes = json_is_integer(value) ? json_integer_value(value) : -1,
            .reason = json_string_value(value),
        };
    }
    return true;
}

void engine_memory_clear(struct engine_memory *memory)
{
    json_decref(memory->reply);
    g_free(memory->figures);
    *memory = (struct engine_memory){0};
}

bool engine_abort(struct engine *engine, int64_t deadline_ns, GError **error)
{
    g_hash_table_remove_all(engine->prepared);
    g_ptr_array_set_size(engine->generated, 0);
    g_autoptr(json_t) reply = wire_abort(engine, deadline_ns, error);
    return reply != NULL;
}
