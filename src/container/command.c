/* SPDX-License-Identifier: MIT */
/* One command of the client to its end: bounded in time, in what is kept of its output, and interruptible. */
#include "container/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_STREAMS 2
#define LONGEST_LINE 8192 /* of progress; what is longer is handed on in pieces */
#define NAP_MS       100  /* between looks at a child that has no descriptor */
#define CLIENT_GRACE (2 * NS_PER_S)

/* What the client writes to one of its streams. */
struct stream {
    int ours, its; /* -1: closed */
    GString *kept;
    GString *line;
};

struct talk {
    struct spawn_child child;
    struct stream streams[N_STREAMS];
    container_progress_fn *listen;
    void *data;
    int interrupt_fd;
    int64_t deadline_ns;
    int wait_status;
    bool reaped;
};

void container_output_clear(struct container_output *output)
{
    g_clear_pointer(&output->out, g_free);
    g_clear_pointer(&output->err, g_free);
}

/* --- Streams --------------------------------------------------------------------------------------------------- */

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool stream_open(struct stream *s, GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return file_error(error, "cannot open", "a pipe");
    *s = (struct stream){ends[0], ends[1], g_string_new(NULL), g_string_new(NULL)};
    fcntl(s->ours, F_SETFL, O_NONBLOCK);
    return true;
}

static void stream_clear(struct stream *s)
{
    close_end(&s->ours);
    close_end(&s->its);
    if (s->kept)
        g_string_free(s->kept, TRUE);
    if (s->line)
        g_string_free(s->line, TRUE);
}

static void tell_line(struct talk *t, struct stream *s)
{
    if (s->line->len)
        t->listen(s->line->str, t->data);
    g_string_truncate(s->line, 0);
}

/* A client that draws a bar ends its lines with a carriage return. */
static void stream_tell(struct talk *t, struct stream *s, const char *bytes, gssize n)
{
    for (gssize i = 0; t->listen && i < n; i++) {
        bool ends = bytes[i] == '\n' || bytes[i] == '\r' || s->line->len >= LONGEST_LINE;
        if (ends)
            tell_line(t, s);
        if (bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0')
            g_string_append_c(s->line, bytes[i]);
    }
}

static void stream_read(struct talk *t, struct stream *s)
{
    char chunk[16384];
    ssize_t n = read(s->ours, chunk, sizeof chunk);
    if (n > 0) {
        g_string_append_len(s->kept, chunk, n);
        stream_tell(t, s, chunk, n);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        close_end(&s->ours);
    }
    if (s->kept->len > 2 * CONTAINER_MOST_TEXT)
        g_string_erase(s->kept, 0, (gssize)(s->kept->len - CONTAINER_MOST_TEXT));
}

static char *stream_take(struct stream *s)
{
    if (s->kept->len > CONTAINER_MOST_TEXT)
        g_string_erase(s->kept, 0, (gssize)(s->kept->len - CONTAINER_MOST_TEXT));
    return g_utf8_make_valid(s->kept->str, (gssize)strlen(s->kept->str));
}

/* --- The process ----------------------------------------------------------------------------------------------- */

static bool has_ended(struct talk *t)
{
    if (!t->reaped) {
        pid_t pid = waitpid(t->child.pid, &t->wait_status, WNOHANG);
        t->reaped = pid == t->child.pid || (pid < 0 && errno == ECHILD);
    }
    return t->reaped;
}

/* The client first, which takes its connection down; then all that it started (plugins, ssh). */
static void end_client(struct talk *t)
{
    int64_t until_ns = clock_mono_ns() + CLIENT_GRACE;
    kill(-t->child.pid, SIGTERM);
    while (!has_ended(t) && clock_mono_ns() < until_ns)
        clock_sleep_until_ns(clock_mono_ns() + 10 * NS_PER_MS);
    kill(-t->child.pid, SIGKILL);
    while (!has_ended(t))
        clock_sleep_until_ns(clock_mono_ns() + NS_PER_MS);
}

static int wait_ms(const struct talk *t)
{
    int64_t left_ms = (t->deadline_ns - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
    int64_t most_ms = t->child.pidfd >= 0 ? G_MAXINT : NAP_MS;
    return (int)CLAMP(left_ms, 0, most_ms);
}

/* Waits for something to happen; false once the interrupt is readable. */
static bool serve(struct talk *t)
{
    struct pollfd fds[] = {{.fd = t->streams[0].ours, .events = POLLIN},
                           {.fd = t->streams[1].ours, .events = POLLIN},
                           {.fd = t->reaped ? -1 : t->child.pidfd, .events = POLLIN},
                           {.fd = t->interrupt_fd, .events = POLLIN}};
    if (poll(fds, G_N_ELEMENTS(fds), wait_ms(t)) <= 0)
        return true;
    for (size_t i = 0; i < N_STREAMS; i++)
        if (fds[i].revents)
            stream_read(t, &t->streams[i]);
    return !(fds[3].revents & POLLIN);
}

/* What it wrote before its end is in the pipes by now; who inherited them does not keep us. */
static void read_the_rest(struct talk *t)
{
    for (size_t i = 0; i < N_STREAMS; i++) {
        struct stream *s = &t->streams[i];
        struct pollfd fd = {.fd = s->ours, .events = POLLIN};
        while (s->ours >= 0 && poll(&fd, 1, 0) > 0)
            stream_read(t, s);
        if (t->listen)
            tell_line(t, s);
    }
}

static bool follow(struct talk *t, const char *what, int64_t timeout_ns, GError **error)
{
    while (!has_ended(t)) {
        bool late = clock_mono_ns() >= t->deadline_ns;
        if (!late && serve(t))
            continue;
        end_client(t);
        g_autofree char *limit = num_format_duration_ns(timeout_ns);
        if (late)
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT, "%s did not end within %s", what, limit);
        else
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "%s was interrupted", what);
        return false;
    }
    read_the_rest(t);
    return true;
}

static bool talk_start(struct talk *t, const char *const *argv, GError **error)
{
    const struct spawn spawn = {.argv = argv,
                                /* no hints, no colours, no telemetry of plugins in what is to be read */
                                .env = (const char *const[]){"DOCKER_CLI_HINTS=false", "NO_COLOR=1",
                                                             "OTEL_SDK_DISABLED=true", "LC_ALL=C", NULL},
                                .fds = (const struct spawn_fd[]){{-1, STDIN_FILENO},
                                                                 {t->streams[0].its, STDOUT_FILENO},
                                                                 {t->streams[1].its, STDERR_FILENO}},
                                .n_fds = 3,
                                .group = SPAWN_NEW_GROUP,
                                .death_signal = SIGKILL};
    if (!spawn_start(&spawn, &t->child, error))
        return false;
    for (size_t i = 0; i < N_STREAMS; i++)
        close_end(&t->streams[i].its);
    return true;
}

static char **command_line(const struct container_client *client, const char *const *arguments)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, g_strdup(client->path));
    for (const char *const *word = arguments; *word; word++)
        g_ptr_array_add(argv, g_strdup(*word));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&argv), FALSE);
}

/* "docker image inspect". */
static char *short_name(const struct container_client *client, const char *const *arguments)
{
    const char *const groups[] = {"image", "container", "context", NULL};
    bool of_group = arguments[0] && arguments[1] && g_strv_contains(groups, arguments[0]);
    return g_strjoin(" ", client->podman ? "podman" : "docker", arguments[0] ? arguments[0] : "",
                     of_group ? arguments[1] : NULL, NULL);
}

bool client_run(struct container_client *client, const char *const *arguments, int64_t timeout_ns, int interrupt_fd,
                container_progress_fn *listen, void *data, struct container_output *ret, GError **error)
{
    struct talk t = {.child.pidfd = -1, .streams = {{-1, -1, NULL, NULL}, {-1, -1, NULL, NULL}}, .listen = listen,
                     .data = data, .interrupt_fd = interrupt_fd, .deadline_ns = clock_mono_ns() + timeout_ns};
    g_auto(GStrv) argv = command_line(client, arguments);
    g_autofree char *what = short_name(client, arguments);
    bool ok = stream_open(&t.streams[0], error) && stream_open(&t.streams[1], error) &&
              talk_start(&t, (const char *const *)argv, error) && follow(&t, what, timeout_ns, error);
    if (ok)
        *ret = (struct container_output){.exit_code = WIFEXITED(t.wait_status) ? WEXITSTATUS(t.wait_status)
                                                                              : 128 + WTERMSIG(t.wait_status),
                                         .out = stream_take(&t.streams[0]),
                                         .err = stream_take(&t.streams[1])};
    close_end(&t.child.pidfd);
    stream_clear(&t.streams[0]);
    stream_clear(&t.streams[1]);
    return ok;
}

bool container_command_until(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                             int interrupt_fd, struct container_output *ret, GError **error)
{
    return client_run(client, arguments, timeout_ns, interrupt_fd, NULL, NULL, ret, error);
}

bool container_command(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                       struct container_output *ret, GError **error)
{
    return container_command_until(client, arguments, timeout_ns, -1, ret, error);
}
