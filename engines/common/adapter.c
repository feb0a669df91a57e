/* SPDX-License-Identifier: MIT */
/* Lines in, ops called, lines out. The messages and their members are rows; see docs/engine-protocol.md. */
#include "common/adapter.h"
#include "common/adapter_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_CHUNK 65536

/* --- Writing ---------------------------------------------------------------------------------------------------- */

void adapter_write_raw(struct adapter *a, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(a->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            a->end = true; /* nobody listens any more */
            return;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

void adapter_close_socket(struct adapter *a)
{
    shutdown(a->fd, SHUT_RDWR);
    a->end = true;
}

static void write_message(struct adapter *a, json_t *message)
{
    g_autofree char *text = jsonx_dump(message, JSONX_COMPACT);
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the NUL: one write, one line */
    adapter_write_raw(a, text, n + 1);
    json_decref(message);
}

static void write_reply(struct adapter *a, const json_t *id, const char *type, json_t *body)
{
    json_t *message = json_object();
    json_object_set(message, "id", (json_t *)(uintptr_t)id);
    json_object_set_new(message, "type", json_string(type));
    json_object_update(message, body);
    write_message(a, message);
}

static void write_failure(struct adapter *a, const json_t *id)
{
    json_t *message = json_object();
    json_object_set_new(message, "id", id ? json_incref((json_t *)(uintptr_t)id) : json_null());
    json_object_set_new(message, "type", json_string("error"));
    json_object_set_new(message, "class", json_string(a->fail_class));
    json_object_set_new(message, "message", json_string(a->fail_message));
    if (a->fail_oom)
        json_object_set_new(message, "oom", json_true());
    if (a->unknown_keys)
        json_object_set(message, "unknown_keys", a->unknown_keys);
    if (a->ops->spoil_reply)
        a->ops->spoil_reply(a, a->state, "error", message);
    write_message(a, message);
}

bool adapter_substitution(struct adapter *a, const struct adapter_load *load, json_t *reply, const char *what,
                          const char *requested, const char *used, const char *reason)
{
    if (!load->allow_substitution)
        return adapter_fail(a, ADAPTER_SUBSTITUTION, "%s: '%s' was asked for, '%s' would be used: %s", what, requested,
                            used, reason);
    json_t *row = json_object();
    json_object_set_new(row, "what", json_string(what));
    json_object_set_new(row, "requested", json_string(requested));
    json_object_set_new(row, "used", json_string(used));
    json_object_set_new(row, "reason", json_string(reason));
    json_array_append_new(json_object_get(reply, "substitutions"), row);
    return true;
}

/* --- The messages ----------------------------------------------------------------------------------------------- */

static bool on_hello(struct adapter *a, const json_t *request, json_t *reply)
{
    json_int_t protocol = json_integer_value(json_object_get(request, "protocol"));
    if (protocol != ADAPTER_PROTOCOL)
        return adapter_fail(a, ADAPTER_NOT_SUPPORTED, "protocol %lld was asked for, this adapter speaks %d",
                            (long long)protocol, ADAPTER_PROTOCOL);
    json_object_set_new(reply, "protocol", json_integer(ADAPTER_PROTOCOL));
    json_object_set_new(reply, "adapter", json_string(a->ops->adapter));
    json_object_set_new(reply, "adapter_version", json_string(a->ops->adapter_version));
    json_object_set_new(reply, "engine", json_string(a->ops->engine));
    json_object_set_new(reply, "pid", json_integer(getpid()));
    if (!a->ops->hello(a, a->state, reply))
        return false;
    json_object_set_new(reply, "clock_ns", json_integer(clock_mono_ns()));
    a->greeted = true;
    return true;
}

static bool on_schema(struct adapter *a, const json_t *request, json_t *reply)
{
    (void)request;
    json_t *fields = json_array();
    for (const struct adapter_option *row = a->ops->options; row && row->name; row++)
        json_array_append_new(fields, adapter_option_json(row, json_object_get(a->defaults, row->name)));
    json_object_set_new(reply, "fields", fields);
    return true;
}

static const struct adapter_member config_members[] = {
    {"model", ADAPTER_STRING, false},
    {"model_path", ADAPTER_STRING, false},
    {"precision", ADAPTER_STRING, false},
    {"max_input_tokens", ADAPTER_INTEGER, false},
    {"max_output_tokens", ADAPTER_INTEGER, false},
    {"random_seed", ADAPTER_INTEGER, false},
    {"decoder", ADAPTER_MAPPING, false},
    {"options", ADAPTER_MAPPING, false},
};

/* An integer member, 0 where absent; negative ones are refused but for the seed. */
static bool config_count(struct adapter *a, const json_t *config, const char *name, int64_t *ret)
{
    *ret = json_integer_value(json_object_get(config, name));
    if (*ret < 0 || *ret > LIMIT_PROMPT_TOKENS)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: '%s' must lie between 1 and %d", name, LIMIT_PROMPT_TOKENS);
    return true;
}

static const json_t *config_object(const json_t *config, const char *name)
{
    const json_t *value = json_object_get(config, name);
    return json_is_object(value) ? value : NULL;
}

static bool on_load(struct adapter *a, const json_t *request, json_t *reply)
{
    const json_t *config = json_object_get(request, "config");
    struct adapter_load load = {
        .model = json_string_value(json_object_get(config, "model")),
        .model_path = json_string_value(json_object_get(config, "model_path")),
        .precision = json_string_value(json_object_get(config, "precision")),
        .random_seed = json_integer_value(json_object_get(config, "random_seed")),
        .decoder = config_object(config, "decoder"),
        .options = config_object(config, "options"),
        .allow_substitution = json_is_true(json_object_get(request, "allow_substitution")),
    };
    if (!adapter_check_members(a, config, "load: config", config_members, G_N_ELEMENTS(config_members)) ||
        !config_count(a, config, "max_input_tokens", &load.max_input_tokens) ||
        !config_count(a, config, "max_output_tokens", &load.max_output_tokens) ||
        (load.options && !adapter_check_options(a, load.options)))
        return false;
    adapter_forget_batches(a);
    a->loaded = false;
    json_object_set_new(reply, "substitutions", json_array());
    int64_t t0 = clock_mono_ns();
    if (!a->ops->load(a, a->state, &load, reply))
        return false;
    json_object_set_new(reply, "t0_ns", json_integer(t0));
    json_object_set_new(reply, "t1_ns", json_integer(clock_mono_ns()));
    if (!json_object_get(reply, "pids"))
        json_object_set_new(reply, "pids", json_pack("[i]", (int)getpid()));
    if (!json_object_get(reply, "quiescent"))
        json_object_set_new(reply, "quiescent", json_true());
    a->loaded = true;
    return true;
}

static bool on_tokenize(struct adapter *a, const json_t *request, json_t *reply)
{
    const struct adapter_tokenize how = {
        .add_special = !json_is_false(json_object_get(request, "add_special")),
        .parse_special = json_is_true(json_object_get(request, "parse_special")),
    };
    json_t *lists = json_array();
    json_object_set_new(reply, "token_ids", lists);
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(request, "texts"), i, text) {
        if (!json_is_string(text))
            return adapter_fail(a, ADAPTER_BAD_VALUE, "tokenize: text %zu is %s, not a string", i,
                                jsonx_type_name(text));
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int32_t));
        if (!a->ops->tokenize(a, a->state, json_string_value(text), &how, ids))
            return false;
        json_t *list = json_array();
        for (guint k = 0; k < ids->len; k++)
            json_array_append_new(list, json_integer(g_array_index(ids, int32_t, k)));
        json_array_append_new(lists, list);
    }
    return true;
}

static bool on_reset(struct adapter *a, const json_t *request, json_t *reply)
{
    bool prefix_cache = json_is_true(json_object_get(request, "prefix_cache"));
    bool peak_memory = json_is_true(json_object_get(request, "peak_memory"));
    if (!a->ops->reset(a, a->state, &prefix_cache, &peak_memory))
        return false;
    json_object_set_new(reply, "prefix_cache", json_boolean(prefix_cache));
    json_object_set_new(reply, "peak_memory", json_boolean(peak_memory));
    return true;
}

static bool on_memory(struct adapter *a, const json_t *request, json_t *reply)
{
    (void)request;
    json_t *figures = json_object();
    json_object_set_new(reply, "figures", figures);
    json_t *computed = a->ops->computed ? json_array() : NULL;
    for (const char *const *name = a->ops->computed; name && *name; name++)
        json_array_append_new(computed, json_string(*name));
    if (computed)
        json_object_set_new(reply, "computed", computed);
    return a->ops->memory(a, a->state, figures);
}

static bool on_abort(struct adapter *a, const json_t *request, json_t *reply)
{
    (void)request;
    (void)reply;
    adapter_forget_batches(a);
    return true;
}

static bool on_shutdown(struct adapter *a, const json_t *request, json_t *reply)
{
    (void)request;
    (void)reply;
    a->end = true;
    return true;
}

#define MEMBERS_MAX 3

static const struct message {
    const char *type;
    bool needs_hello, needs_load;
    struct adapter_member members[MEMBERS_MAX];
    bool (*serve)(struct adapter *a, const json_t *request, json_t *reply);
} messages[] = {
    {"hello", false, false, {{"protocol", ADAPTER_INTEGER, true}}, on_hello},
    {"schema", true, false, {{0}}, on_schema},
    {"load", true, false, {{"config", ADAPTER_MAPPING, true}, {"allow_substitution", ADAPTER_BOOLEAN, false}}, on_load},
    {"tokenize",
     true,
     true,
     {{"texts", ADAPTER_LIST, true}, {"add_special", ADAPTER_BOOLEAN, false}, {"parse_special", ADAPTER_BOOLEAN, false}},
     on_tokenize},
    {"reset", true, true, {{"prefix_cache", ADAPTER_BOOLEAN, false}, {"peak_memory", ADAPTER_BOOLEAN, false}}, on_reset},
    {"prepare", true, true, {{"batch", ADAPTER_INTEGER, true}, {"requests", ADAPTER_LIST, true}}, adapter_on_prepare},
    {"generate",
     true,
     true,
     {{"batches", ADAPTER_LIST, true}, {"in_flight", ADAPTER_INTEGER, false}},
     adapter_on_generate},
    {"collect",
     true,
     true,
     {{"batches", ADAPTER_LIST, true}, {"first", ADAPTER_INTEGER, false}, {"count", ADAPTER_INTEGER, false}},
     adapter_on_collect},
    {"memory", true, true, {{0}}, on_memory},
    {"abort", true, false, {{0}}, on_abort},
    {"shutdown", false, false, {{0}}, on_shutdown},
};

static const struct message *message_find(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
        if (!strcmp(messages[i].type, type))
            return &messages[i];
    return NULL;
}

static bool serve(struct adapter *a, const json_t *request, const char *type, json_t *reply)
{
    const struct message *m = message_find(type);
    if (!m)
        return adapter_fail(a, ADAPTER_UNKNOWN_MESSAGE, "there is no message '%s'", type);
    if (m->needs_hello && !a->greeted)
        return adapter_fail(a, ADAPTER_BAD_ORDER, "'%s' came before 'hello'", type);
    if (m->needs_load && !a->loaded)
        return adapter_fail(a, ADAPTER_BAD_ORDER, "'%s' came before a load that worked", type);
    size_t n = 0;
    while (n < MEMBERS_MAX && m->members[n].name)
        n++;
    return adapter_check_members(a, request, type, m->members, n) && m->serve(a, request, reply);
}

/* A line as a request: an object with an integer id and a type. NULL after it was answered. */
static json_t *parse_request(struct adapter *a, const char *line, size_t length, const json_t **ret_id,
                             const char **ret_type)
{
    g_autoptr(GError) error = NULL;
    json_t *request = jsonx_parse(line, (gssize)length, "line", &error);
    if (!json_is_object(request)) {
        adapter_fail(a, ADAPTER_BAD_LINE, "%s", error ? error->message : "a line must be a JSON object");
    } else {
        *ret_id = json_object_get(request, "id");
        *ret_type = json_string_value(json_object_get(request, "type"));
        if (json_is_integer(*ret_id) && *ret_type)
            return request;
        adapter_fail(a, ADAPTER_BAD_LINE, "a message needs an integer 'id' and a string 'type'");
    }
    write_failure(a, NULL);
    json_decref(request);
    return NULL;
}

/* Answers what waited behind a generate that was stopped: the abort or shutdown that stopped it. */
static void answer_stopper(struct adapter *a)
{
    if (!a->stop_id)
        return;
    g_autoptr(json_t) id = g_steal_pointer(&a->stop_id);
    g_autoptr(json_t) empty = json_object();
    adapter_forget_batches(a);
    write_reply(a, id, a->stop_is_shutdown ? "shutdown" : "abort", empty);
    a->end = a->end || a->stop_is_shutdown;
}

static void serve_line(struct adapter *a, const char *line, size_t length)
{
    const json_t *id = NULL;
    const char *type = NULL;
    g_autoptr(json_t) request = parse_request(a, line, length, &id, &type);
    if (!request)
        return;
    g_autoptr(json_t) reply = json_object();
    a->fail_class = NULL;
    if (a->ops->spoil_request)
        a->ops->spoil_request(a, a->state, type, request);
    if (serve(a, request, type, reply)) {
        if (a->ops->spoil_reply)
            a->ops->spoil_reply(a, a->state, type, reply);
        write_reply(a, id, type, reply);
    } else {
        if (!a->fail_class)
            adapter_fail(a, a->stop_id || a->end ? ADAPTER_ABORTED : "InternalError", "%s", a->stop_id || a->end
                         ? "stopped on request" : "the adapter failed without saying why");
        write_failure(a, id);
    }
    answer_stopper(a);
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

/* Reads what is there. False at the end of the socket. Flags: 0 waits, MSG_DONTWAIT does not. */
static bool read_some(struct adapter *a, int flags)
{
    char *room = line_reader_room(&a->in, READ_CHUNK);
    ssize_t n;
    do
        n = recv(a->fd, room, READ_CHUNK, flags);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        line_reader_added(&a->in, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* A line that came while a request is under way: an abort or a shutdown stops it, anything else is refused. */
static void serve_interjection(struct adapter *a, const char *line, size_t length)
{
    const json_t *id = NULL;
    const char *type = NULL;
    g_autoptr(json_t) request = parse_request(a, line, length, &id, &type);
    if (!request)
        return;
    a->stop_is_shutdown = !strcmp(type, "shutdown");
    if (a->stop_is_shutdown || !strcmp(type, "abort")) {
        a->stop_id = json_incref((json_t *)(uintptr_t)id);
        return;
    }
    adapter_fail(a, ADAPTER_BAD_ORDER, "'%s' came while another request is under way", type);
    write_failure(a, id);
    a->fail_class = NULL;
}

bool adapter_stop_requested(struct adapter *a)
{
    char *line;
    size_t length;
    if (a->stop_id || a->end)
        return true;
    if (!read_some(a, MSG_DONTWAIT))
        a->end = true;
    while (!a->stop_id && line_reader_next(&a->in, &line, &length, NULL) > 0)
        serve_interjection(a, line, length);
    return a->stop_id || a->end;
}

static int serve_all(struct adapter *a)
{
    char *line;
    size_t length;
    g_autoptr(GError) error = NULL;
    while (!a->end) {
        int found = line_reader_next(&a->in, &line, &length, &error);
        if (found < 0) {
            adapter_fail(a, ADAPTER_BAD_LINE, "%s", error->message);
            write_failure(a, NULL);
            return 1; /* where the next line starts is not known */
        }
        if (found) {
            g_autofree char *copy = g_memdup2(line, length + 1); /* ops may read on while they work */
            serve_line(a, copy, length);
        } else if (!read_some(a, 0)) {
            a->end = true;
        }
    }
    return 0;
}

/* The descriptor from the environment: ours alone from here on, so that no child keeps the socket open. */
static int take_socket(void)
{
    const char *text = g_getenv("LLEM_ENGINE_FD");
    int64_t fd;
    if (!text || !num_parse_int(text, 0, INT32_MAX, &fd, NULL) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0) {
        g_printerr("%s is an engine adapter: it is started by llem with a socket in LLEM_ENGINE_FD.\n"
                   "Try 'llem engine check %s'.\n",
                   g_get_prgname() ? g_get_prgname() : "this program",
                   g_get_prgname() ? g_get_prgname() : "PROGRAM");
        return -1;
    }
    g_unsetenv("LLEM_ENGINE_FD");
    return (int)fd;
}

int adapter_main(const struct adapter_ops *ops, void *state)
{
    struct adapter a = {.ops = ops, .state = state};
    g_set_prgname(ops->adapter);
    a.fd = take_socket();
    if (a.fd < 0)
        return 2;
    line_reader_init(&a.in, LIMIT_PROTOCOL_LINE);
    a.defaults = adapter_option_defaults(ops->options);
    a.batches = g_ptr_array_new_with_free_func(adapter_batch_free);
    a.done = g_ptr_array_new_with_free_func(adapter_batch_free);
    int status = serve_all(&a);
    adapter_forget_batches(&a);
    if (ops->close)
        ops->close(&a, state);
    g_ptr_array_free(a.batches, TRUE);
    g_ptr_array_free(a.done, TRUE);
    json_decref(a.defaults);
    json_decref(a.unknown_keys);
    g_free(a.fail_message);
    line_reader_clear(&a.in);
    close(a.fd);
    return status;
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

int64_t adapter_status_bytes(const char *name)
{
    g_autofree char *status = NULL;
    const char *at = g_file_get_contents("/proc/self/status", &status, NULL, NULL) ? strstr(status, name) : NULL;
    return at ? g_ascii_strtoll(at + strlen(name), NULL, 10) * 1024 : -1;
}
