/* SPDX-License-Identifier: MIT */
/* Lines to and from the adapter: one request at a time, each with a deadline, and every way it can end. */
#include "engine/private.h"

#include "base/proc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES    65536
#define QUOTE_BYTES   120 /* of a line that makes no sense */
#define QUOTE_LINES   5   /* of the log, in the message of a death */
#define MESSAGE_BYTES 4000 /* of an engine's own error */
#define STATUS_NS     (1000 * NS_PER_MS) /* from the end of the socket to the end of the process */

/* --- Failures --------------------------------------------------------------------------------------------------- */

static void note_failure(struct engine *engine, enum llem_error_code code, const char *type)
{
    g_clear_pointer(&engine->failure_class, g_free);
    g_clear_pointer(&engine->failure_message, g_free);
    engine->failure = (struct engine_failure){
        .code = (int)code, .message_name = type, .exit_status = -1, .signal = -1};
    if (code == LLEM_ERROR_PROTOCOL || code == LLEM_ERROR_ENGINE_DIED)
        engine->broken = true;
}

const struct engine_failure *engine_last_failure(const struct engine *engine)
{
    return &engine->failure;
}

bool wire_broken(struct engine *engine, const char *type, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    note_failure(engine, LLEM_ERROR_PROTOCOL, type);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL, "%s broke the engine protocol in '%s': %s", engine->name, type,
                what);
    return false;
}

bool wire_bad_reply(struct engine *engine, const char *type, GError *detail, GError **error)
{
    wire_broken(engine, type, error, "%s", detail->message);
    g_error_free(detail);
    return false;
}

bool wire_engine_error(struct engine *engine, const char *type, const char *error_class, const char *message, bool oom,
                       GError **error)
{
    note_failure(engine, LLEM_ERROR_ENGINE, type);
    engine->failure_class = g_strdup(error_class);
    engine->failure_message = g_utf8_substring(message, 0, MIN(g_utf8_strlen(message, -1), MESSAGE_BYTES));
    engine->failure.engine_class = engine->failure_class;
    engine->failure.engine_message = engine->failure_message;
    engine->failure.oom = oom;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE, "%s: '%s' failed: %s%s: %s", engine->name, type, error_class,
                oom ? " (out of memory)" : "", engine->failure_message);
    return false;
}

/* Killed for its memory it could not say so: the record has the class it would have had. */
static void note_oom(struct engine *engine, const char *message)
{
    engine->failure_class = g_strdup("OutOfMemory");
    engine->failure_message = g_strdup(message);
    engine->failure.engine_class = engine->failure_class;
    engine->failure.engine_message = engine->failure_message;
    engine->failure.oom = true;
}

static bool died(struct engine *engine, const char *type, GError **error)
{
    bool ended = process_ended(engine, clock_mono_ns() + STATUS_NS);
    note_failure(engine, LLEM_ERROR_ENGINE_DIED, type);
    g_autofree char *how = ended ? process_describe_end(engine)
                                 : g_strdup("closed the protocol's socket, though it still runs,");
    bool oom = false;
    g_autofree char *why = ended ? process_explain_kill(engine, &oom) : NULL;
    if (oom)
        note_oom(engine, why);
    g_auto(GStrv) lines = engine_log_tail(engine, QUOTE_LINES);
    g_autofree char *log = g_strjoinv("\n  ", lines);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE_DIED, "%s %s in '%s'%s%s%s%s", engine->name, how, type,
                why ? "; " : "", why ? why : "", *log ? "; the last lines of its log:\n  " : "; it printed nothing",
                log);
    return false;
}

static bool timed_out(struct engine *engine, const char *type, int64_t waited_ns, GError **error)
{
    note_failure(engine, LLEM_ERROR_TIMEOUT, type);
    g_autofree char *duration = num_format_duration_ns(waited_ns);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT, "%s did not answer '%s' within %s", engine->name, type,
                duration);
    return false;
}

static bool interrupted(struct engine *engine, const char *type, GError **error)
{
    note_failure(engine, LLEM_ERROR_INTERRUPTED, type);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted while %s worked on '%s'", engine->name, type);
    return false;
}

/* --- Waiting ---------------------------------------------------------------------------------------------------- */

/* A call under way. */
struct call {
    const char *type;
    int64_t id;
    int64_t start_ns, deadline_ns;
    bool may_interrupt;
};

enum woken { WOKEN_SOCKET, WOKEN_END, WOKEN_FAILED };

/* Until the socket is ready (events) or the adapter has ended. */
static enum woken wait_socket(struct engine *engine, const struct call *call, short events, GError **error)
{
    for (;;) {
        int64_t left_ns = call->deadline_ns - suspend_clock_ns();
        struct pollfd fds[] = {
            {.fd = engine->fd, .events = events},
            {.fd = engine->pidfd, .events = POLLIN},
            {.fd = call->may_interrupt ? engine->interrupt_fd : -1, .events = POLLIN},
        };
        int n = poll(fds, 3, left_ns <= 0 ? 0 : (int)MIN((left_ns + NS_PER_MS - 1) / NS_PER_MS, 60000));
        if (n < 0 && errno != EINTR) {
            file_error(error, "cannot wait for", engine->name);
            note_failure(engine, LLEM_ERROR_IO, call->type);
            return WOKEN_FAILED;
        }
        if (n > 0 && fds[0].revents)
            return WOKEN_SOCKET;
        if (n > 0 && fds[1].revents)
            return WOKEN_END;
        if (n > 0 && fds[2].revents) {
            interrupted(engine, call->type, error);
            return WOKEN_FAILED;
        }
        if (n == 0 && left_ns <= 0) {
            timed_out(engine, call->type, call->deadline_ns - call->start_ns, error);
            return WOKEN_FAILED;
        }
    }
}

static bool send_bytes(struct engine *engine, const struct call *call, const char *bytes, size_t n, GError **error)
{
    size_t sent = 0;
    while (sent < n) {
        ssize_t done = send(engine->fd, bytes + sent, n - sent, MSG_NOSIGNAL);
        if (done >= 0) {
            sent += (size_t)done;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return died(engine, call->type, error);
        enum woken woken = wait_socket(engine, call, POLLOUT, error);
        if (woken == WOKEN_END)
            return died(engine, call->type, error);
        if (woken == WOKEN_FAILED) {
            engine->broken = true; /* half a line is out: nothing that follows would be understood */
            return false;
        }
    }
    return true;
}

/* Reads once. 1: something came, 0: nothing there, -1: the end. */
static int read_some(struct engine *engine)
{
    char *room = line_reader_room(&engine->in, READ_BYTES);
    ssize_t n = recv(engine->fd, room, READ_BYTES, 0);
    if (n > 0)
        line_reader_added(&engine->in, (size_t)n);
    if (n > 0 || (n < 0 && errno == EINTR))
        return 1;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

/* A line, quoted so that it can stand in a message. */
static char *quote(const char *line, size_t length)
{
    g_autofree char *valid = g_utf8_make_valid(line, (gssize)MIN(length, QUOTE_BYTES));
    g_autofree char *escaped = g_strescape(valid, "\x7f");
    return g_strdup_printf("\"%s%s\"", escaped, length > QUOTE_BYTES ? "…" : "");
}

/* The next line as a tree. */
static json_t *next_line(struct engine *engine, const struct call *call, GError **error)
{
    bool last_chance = false;
    for (;;) {
        char *line;
        size_t length;
        g_autoptr(GError) detail = NULL;
        int found = line_reader_next(&engine->in, &line, &length, &detail);
        if (found < 0) {
            wire_broken(engine, call->type, error, "%s", detail->message);
            return NULL;
        }
        if (found > 0) {
            json_t *message = jsonx_parse(line, (gssize)length, "its line", &detail);
            if (json_is_object(message))
                return message;
            json_decref(message);
            g_autofree char *quoted = quote(line, length);
            const char *why = detail ? detail->message + strlen("its line:1:") : NULL;
            wire_broken(engine, call->type, error, "a line that is no JSON object%s%s%s: %s", why ? " (column " : "",
                        why ? why : "", why ? ")" : "", quoted);
            return NULL;
        }
        enum woken woken = last_chance ? WOKEN_SOCKET : wait_socket(engine, call, POLLIN, error);
        if (woken == WOKEN_FAILED)
            return NULL;
        int got = read_some(engine);
        /* after the end of the process, what it wrote before is still there to be read */
        if (got < 0 || (got == 0 && last_chance)) {
            died(engine, call->type, error);
            return NULL;
        }
        last_chance = last_chance || woken == WOKEN_END;
    }
}

/* --- Replies ---------------------------------------------------------------------------------------------------- */

static bool check_error_reply(struct engine *engine, const struct call *call, const json_t *reply, GError **error)
{
    const char *error_class = json_string_value(json_object_get(reply, "class"));
    const char *message = json_string_value(json_object_get(reply, "message"));
    if (!error_class || !*error_class || !message)
        return wire_broken(engine, call->type, error, "an error without 'class' and 'message'");
    return wire_engine_error(engine, call->type, error_class, message,
                             json_is_true(json_object_get(reply, "oom")), error);
}

static bool check_reply(struct engine *engine, const struct call *call, const json_t *reply, GError **error)
{
    const json_t *id = json_object_get(reply, "id");
    const char *type = json_string_value(json_object_get(reply, "type"));
    if (!type)
        return wire_broken(engine, call->type, error, "a line without a 'type'");
    if (json_is_null(id) && !strcmp(type, "error")) {
        const char *message = json_string_value(json_object_get(reply, "message"));
        return wire_broken(engine, call->type, error, "it did not understand our line: %s",
                           message ? message : "(no message)");
    }
    if (!json_is_integer(id) || json_integer_value(id) != call->id) {
        g_autofree char *text = id ? jsonx_dump(id, JSONX_COMPACT) : g_strdup("no id");
        return wire_broken(engine, call->type, error, "a '%s' nobody asked for (%s, expected %" G_GINT64_FORMAT ")",
                           type, text, call->id);
    }
    if (!strcmp(type, "error"))
        return check_error_reply(engine, call, reply, error);
    if (strcmp(type, call->type))
        return wire_broken(engine, call->type, error, "the reply is a '%s'", type);
    return true;
}

static bool answers_abandoned(struct engine *engine, const json_t *reply)
{
    const json_t *id = json_object_get(reply, "id");
    if (!engine->abandoned_id || !json_is_integer(id) || json_integer_value(id) != engine->abandoned_id)
        return false;
    engine->abandoned_id = 0;
    return true;
}

static json_t *receive(struct engine *engine, const struct call *call, GError **error)
{
    for (;;) {
        json_t *reply = next_line(engine, call, error);
        if (!reply)
            return NULL;
        if (answers_abandoned(engine, reply)) {
            json_decref(reply);
            continue;
        }
        if (check_reply(engine, call, reply, error))
            return reply;
        json_decref(reply);
        return NULL;
    }
}

static char *message_line(int64_t id, const char *type, const json_t *body)
{
    g_autoptr(json_t) message = json_object();
    json_object_set_new(message, "id", json_integer(id));
    json_object_set_new(message, "type", json_string(type));
    if (body)
        json_object_update(message, (json_t *)(uintptr_t)body);
    g_autofree char *text = jsonx_dump(message, JSONX_COMPACT);
    return g_strconcat(text, "\n", NULL);
}

/* What waits longest: a model of hundreds of gigabytes from a slow disk. */
static const struct {
    const char *type;
    int64_t wait_s;
} waits[] = {
    {"hello", 120}, {"schema", 120}, {"load", 1800}, {"tokenize", 300}, {"reset", 60}, {"prepare", 300},
    {"generate", 3600}, {"collect", 300}, {"memory", 60}, {"abort", 30}, {"shutdown", 30},
};

int64_t engine_default_wait_ns(const char *message_name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(waits); i++)
        if (!strcmp(waits[i].type, message_name))
            return waits[i].wait_s * NS_PER_S;
    return 60 * NS_PER_S;
}

static struct call new_call(struct engine *engine, const char *type, int64_t deadline_ns, bool may_interrupt)
{
    int64_t now = suspend_clock_ns();
    return (struct call){
        .type = type,
        .id = ++engine->last_id,
        .start_ns = now,
        .deadline_ns = deadline_ns ? deadline_ns : now + engine_default_wait_ns(type),
        .may_interrupt = may_interrupt,
    };
}

static bool may_call(struct engine *engine, const char *type, bool abort, GError **error)
{
    const char *why = engine->stopped || engine->fd < 0 ? "the engine was stopped"
                      : engine->broken                  ? "the engine failed before; only stopping it is left"
                      : engine->abandoned_id && !abort  ? "an earlier request is still under way; abort or stop first"
                                                        : NULL;
    if (!why)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL, "cannot send '%s' to %s: %s", type, engine->name, why);
    return false;
}

static json_t *call_and_wait(struct engine *engine, const struct call *call, const json_t *body, GError **error)
{
    g_autofree char *line = message_line(call->id, call->type, body);
    size_t length = strlen(line);
    if (length - 1 > LIMIT_PROTOCOL_LINE) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "a '%s' of %zu bytes is beyond the protocol's limit of %d",
                    call->type, length - 1, LIMIT_PROTOCOL_LINE);
        return NULL;
    }
    if (!send_bytes(engine, call, line, length, error))
        return NULL;
    json_t *reply = receive(engine, call, error);
    bool given_up =
        !reply && (engine->failure.code == LLEM_ERROR_TIMEOUT || engine->failure.code == LLEM_ERROR_INTERRUPTED);
    if (given_up && !engine->broken)
        engine->abandoned_id = call->id;
    return reply;
}

json_t *wire_call(struct engine *engine, const char *type, json_t *body, int64_t deadline_ns, GError **error)
{
    g_autoptr(json_t) owned = body;
    if (!may_call(engine, type, false, error))
        return NULL;
    engine->failure.code = -1;
    struct call call = new_call(engine, type, deadline_ns, true);
    return call_and_wait(engine, &call, owned, error);
}

json_t *wire_abort(struct engine *engine, int64_t deadline_ns, GError **error)
{
    if (!may_call(engine, "abort", true, error))
        return NULL;
    engine->failure.code = -1;
    int64_t abandoned = engine->abandoned_id;
    struct call call = new_call(engine, "abort", deadline_ns, false);
    json_t *reply = call_and_wait(engine, &call, NULL, error);
    if (reply && engine->abandoned_id == abandoned && abandoned) {
        json_decref(reply);
        wire_broken(engine, "abort", error, "the aborted request was not answered before the abort");
        return NULL;
    }
    return reply;
}

void wire_shutdown(struct engine *engine)
{
    if (engine->fd < 0)
        return;
    if (!engine->broken) {
        g_autofree char *line = message_line(++engine->last_id, "shutdown", NULL);
        ssize_t sent = send(engine->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent; /* the end of the socket says the same */
    }
    shutdown(engine->fd, SHUT_WR);
    engine->broken = true;
}

void wire_drain(struct engine *engine)
{
    char bytes[READ_BYTES];
    for (int i = 0; i < 64 && engine->fd >= 0; i++)
        if (recv(engine->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
            return;
}

bool wire_send_raw(struct engine *engine, const char *line, int64_t deadline_ns, GError **error)
{
    struct call call = new_call(engine, "raw line", deadline_ns, false);
    return send_bytes(engine, &call, line, strlen(line), error);
}

json_t *wire_receive_any(struct engine *engine, int64_t deadline_ns, GError **error)
{
    struct call call = new_call(engine, "raw line", deadline_ns, false);
    return next_line(engine, &call, error);
}
