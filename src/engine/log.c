/* SPDX-License-Identifier: MIT */
/*
 * What an engine prints, bounded: the first half of the file holds the beginning, the second half is a ring with the
 * end, put in order when the log is closed. A thread reads the pipe, so that an engine never waits for us; when the
 * disk is full it reads on and drops. The last lines are kept in memory as well: an error must quote them even then.
 */
#include "engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MARKER_BYTES 128
#define RECENT_BYTES (32 << 10)
#define LINE_BYTES   1000 /* of a quoted line */
#define READ_BYTES   65536

struct engine_log {
    int pipe_fd, wake_fd, file_fd;
    uint64_t head_max, ring_max, total;
    bool lost; /* the disk refused: the rest is dropped */
    pthread_mutex_t lock; /* pthread's, not GLib's: the thread sanitizer knows it */
    GString *recent;
    pthread_t thread;
    bool started, ended;
};

static void put(struct engine_log *log, const char *data, size_t n, uint64_t offset)
{
    while (n > 0 && !log->lost) {
        ssize_t done = pwrite(log->file_fd, data, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            log->lost = true;
            return;
        }
        data += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
}

static void append_file(struct engine_log *log, const char *data, size_t n)
{
    while (n > 0 && log->file_fd >= 0) {
        bool head = log->total < log->head_max;
        uint64_t into = head ? log->total : (log->total - log->head_max) % log->ring_max;
        uint64_t room = head ? log->head_max - log->total : log->ring_max - into;
        size_t part = (size_t)MIN(n, room);
        put(log, data, part, head ? into : log->head_max + into);
        log->total += part;
        data += part;
        n -= part;
    }
}

static void append(struct engine_log *log, const char *data, size_t n)
{
    pthread_mutex_lock(&log->lock);
    append_file(log, data, n);
    g_string_append_len(log->recent, data, (gssize)n);
    if (log->recent->len > 2 * RECENT_BYTES)
        g_string_erase(log->recent, 0, (gssize)(log->recent->len - RECENT_BYTES));
    pthread_mutex_unlock(&log->lock);
}

/* One read; false at the end of the pipe, or when nothing is there although the log is being closed. */
static bool read_once(struct engine_log *log, bool closing)
{
    char data[READ_BYTES];
    ssize_t n = read(log->pipe_fd, data, sizeof data);
    if (n > 0)
        append(log, data, (size_t)n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return !closing;
    return n > 0;
}

/* A flood that never ends must not keep log_close() waiting. */
#define CLOSING_READS 256

static void *read_all(void *data)
{
    struct engine_log *log = data;
    struct pollfd fds[] = {{.fd = log->pipe_fd, .events = POLLIN}, {.fd = log->wake_fd, .events = POLLIN}};
    bool more = true;
    while (more) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents) {
            for (int i = 0; i < CLOSING_READS && read_once(log, true); i++)
                ;
            break;
        }
        if (fds[0].revents)
            more = read_once(log, false);
    }
    pthread_mutex_lock(&log->lock);
    log->ended = true;
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* Signals are for the threads that expect them. */
static bool start_quietly(struct engine_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&log->thread, NULL, read_all, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return failure == 0;
}

static bool open_file(struct engine_log *log, const char *path, size_t max_bytes, GError **error)
{
    log->file_fd = -1;
    log->head_max = max_bytes / 2;
    log->ring_max = max_bytes - log->head_max - MARKER_BYTES;
    if (!path)
        return true;
    log->file_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return log->file_fd >= 0 || file_error(error, "cannot create", path);
}

struct engine_log *log_open(int fd, const char *path, size_t max_bytes, GError **error)
{
    struct engine_log *log = g_new0(struct engine_log, 1);
    log->pipe_fd = fd;
    log->wake_fd = -1;
    if (!open_file(log, path, MAX(max_bytes, 4 * MARKER_BYTES), error)) {
        close(fd);
        g_free(log);
        return NULL;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    log->recent = g_string_new(NULL);
    pthread_mutex_init(&log->lock, NULL);
    log->started = log->wake_fd >= 0 && start_quietly(log);
    if (!log->started) {
        file_error(error, "cannot start", "the thread that reads the engine's log");
        log_close(log);
        return NULL;
    }
    return log;
}

void log_sync(struct engine_log *log)
{
    for (int tries = 0; tries < 40; tries++) {
        int waiting = 0;
        pthread_mutex_lock(&log->lock);
        bool ended = log->ended;
        pthread_mutex_unlock(&log->lock);
        if (ended || (ioctl(log->pipe_fd, FIONREAD, &waiting) == 0 && waiting == 0 && tries > 0))
            return;
        g_usleep(5000);
    }
}

char **log_tail(struct engine_log *log, size_t max_lines)
{
    pthread_mutex_lock(&log->lock);
    g_autofree char *text = g_utf8_make_valid(log->recent->str, (gssize)log->recent->len);
    bool cut = log->recent->len >= RECENT_BYTES;
    pthread_mutex_unlock(&log->lock);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    for (size_t n = g_strv_length(lines); n > (cut ? 1 : 0) && kept->len < max_lines; n--) {
        char *line = g_strchomp(lines[n - 1]);
        if (*line)
            g_ptr_array_insert(kept, 0, g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1), LINE_BYTES)));
    }
    g_ptr_array_add(kept, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&kept), FALSE);
}

/* Puts the ring in order behind a line that says how much is missing. */
static void straighten(struct engine_log *log)
{
    if (log->file_fd < 0 || log->lost || log->total <= log->head_max + log->ring_max)
        return;
    g_autofree char *ring = g_malloc(log->ring_max);
    if (pread(log->file_fd, ring, log->ring_max, (off_t)log->head_max) != (ssize_t)log->ring_max)
        return;
    uint64_t oldest = (log->total - log->head_max) % log->ring_max;
    char marker[MARKER_BYTES];
    int n = g_snprintf(marker, sizeof marker, "\n[… %" G_GUINT64_FORMAT " bytes left out …]\n",
                       log->total - log->head_max - log->ring_max);
    uint64_t at = log->head_max;
    put(log, marker, (size_t)n, at);
    put(log, ring + oldest, log->ring_max - oldest, at += (uint64_t)n);
    put(log, ring, oldest, at + log->ring_max - oldest);
}

void log_close(struct engine_log *log)
{
    if (!log)
        return;
    uint64_t one = 1;
    if (log->started) {
        while (write(log->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
        pthread_join(log->thread, NULL);
    }
    straighten(log);
    close(log->pipe_fd);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    if (log->file_fd >= 0)
        close(log->file_fd);
    g_string_free(log->recent, TRUE);
    pthread_mutex_destroy(&log->lock);
    g_free(log);
}
