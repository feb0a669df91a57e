/* SPDX-License-Identifier: MIT */
/* A file of JSON lines that only grows. A line ends with a checksum of what stands before it:
 *     {"v":1,"run":3,…,"utc":"…","sum":"0123abcd"}
 * sum: the first 8 hex digits of the SHA-256 of the text before ,"sum". */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION    1
#define SUM_DIGITS 8
#define SUM_BEGIN  ",\"sum\":\""
#define SUM_END    "\"}"
#define SUM_LENGTH (strlen(SUM_BEGIN) + SUM_DIGITS + strlen(SUM_END))

struct journal {
    int fd;
    char *path;
    char *refused; /* why it is not locked, or NULL */
    off_t length;  /* of the whole lines */
};

/* The checksum of a text. */
static void sum_of(const char *text, size_t length, char ret[static SUM_DIGITS + 1])
{
    g_autofree char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
    g_strlcpy(ret, digest, SUM_DIGITS + 1);
}

/* --- Writing -------------------------------------------------------------------------------------------------------- */

/* The end of the last whole line: what stands behind it was never said to be on disk. */
static off_t end_of_lines(int fd, off_t length)
{
    char byte;
    while (length > 0 && pread(fd, &byte, 1, length - 1) == 1 && byte != '\n')
        length--;
    return length;
}

/* *ret_refused: why the file system has no locks, or NULL. A new string. */
static bool take_lock(int fd, const char *path, char **ret_refused, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    enum file_lock lock = file_lock_try(fd, false);
    *ret_refused = lock == FILE_LOCK_REFUSED ? g_strdup(g_strerror(errno)) : NULL;
    if (lock == FILE_LOCK_HELD)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                    "another llem is at work in %s; wait for it, or stop it first", folder);
    else if (lock == FILE_LOCK_INTERRUPTED)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted while %s was to be locked", path);
    return lock == FILE_LOCK_TAKEN || lock == FILE_LOCK_REFUSED;
}

struct journal *journal_open(const char *path, GError **error)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        file_error(error, "cannot open", path);
        return NULL;
    }
    g_autofree char *refused = NULL;
    if (!take_lock(fd, path, &refused, error)) {
        close(fd);
        return NULL;
    }
    struct journal *journal = g_new0(struct journal, 1);
    journal->refused = g_steal_pointer(&refused);
    journal->fd = fd;
    journal->path = g_strdup(path);
    journal->length = fstat(fd, &st) == 0 ? end_of_lines(fd, st.st_size) : 0;
    if (journal->length == st.st_size || ftruncate(fd, journal->length) == 0)
        return journal;
    file_error(error, "cannot cut off the torn last line of", path);
    journal_close(journal);
    return NULL;
}

/* The line as it stands in the file. New string. */
static char *line_text(json_t *line)
{
    g_autoptr(json_t) whole = json_pack("{s:i}", "v", VERSION);
    json_object_update(whole, line);
    g_autofree char *text = jsonx_dump(whole, JSONX_COMPACT);
    char sum[SUM_DIGITS + 1];
    size_t length = strlen(text) - 1; /* without the brace */
    sum_of(text, length, sum);
    return g_strdup_printf("%.*s" SUM_BEGIN "%s" SUM_END "\n", (int)length, text, sum);
}

bool journal_append(struct journal *journal, json_t *line, GError **error)
{
    g_autofree char *text = line_text(line);
    json_decref(line);
    size_t length = strlen(text);
    ssize_t n = write(journal->fd, text, length);
    if (n >= 0 && (size_t)n != length)
        errno = ENOSPC; /* a short write to a file: the disk is full */
    if (n != (ssize_t)length || fdatasync(journal->fd) != 0) {
        file_error(error, "cannot write", journal->path);
        (void)!ftruncate(journal->fd, journal->length); /* a later line must not be glued to half a line */
        return false;
    }
    journal->length += n;
    return true;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    g_free(journal->refused);
    g_free(journal->path);
    g_free(journal);
}

bool journal_is_there(const struct journal *journal)
{
    struct stat open_file, named;
    bool both = fstat(journal->fd, &open_file) == 0 && stat(journal->path, &named) == 0;
    return both && named.st_dev == open_file.st_dev && named.st_ino == open_file.st_ino;
}

const char *journal_unprotected(const struct journal *journal)
{
    return journal->refused;
}

/* --- Reading -------------------------------------------------------------------------------------------------------- */

/* Why a line cannot be heeded, or NULL and the line. */
static const char *line_parse(const char *text, size_t length, json_t **ret)
{
    char sum[SUM_DIGITS + 1];
    *ret = NULL;
    if (length <= SUM_LENGTH || strncmp(text + length - SUM_LENGTH, SUM_BEGIN, strlen(SUM_BEGIN)) != 0)
        return "it has no checksum";
    sum_of(text, length - SUM_LENGTH, sum);
    if (strncmp(text + length - SUM_DIGITS - strlen(SUM_END), sum, SUM_DIGITS) != 0)
        return "its checksum does not match";
    g_autoptr(json_t) line = jsonx_parse(text, (gssize)length, "journal", NULL);
    if (!line)
        return "it is not JSON";
    if (json_integer_value(json_object_get(line, "v")) != VERSION)
        return "another version of llem wrote it";
    *ret = g_steal_pointer(&line);
    return NULL;
}

/* While a journal is read. */
struct reading {
    struct line_reader lines;
    const char *path;
    size_t number;
    journal_line_fn *line;
    void *data;
    GPtrArray *doubts;
};

static void doubt(struct reading *r, const char *why)
{
    g_autofree char *name = g_path_get_basename(r->path);
    g_ptr_array_add(r->doubts, g_strdup_printf("line %zu of %s is not heeded: %s", r->number, name, why));
}

static bool read_lines(struct reading *r, GError **error)
{
    char *text;
    size_t length;
    int got;
    while ((got = line_reader_next(&r->lines, &text, &length, error)) == 1) {
        g_autoptr(json_t) line = NULL;
        g_autoptr(GError) refusal = NULL;
        r->number++;
        const char *why = line_parse(text, length, &line);
        if (why)
            doubt(r, why);
        else if (!r->line(line, r->data, &refusal))
            doubt(r, refusal->message);
    }
    return got == 0;
}

static bool read_fd(struct reading *r, int fd, GError **error)
{
    for (;;) {
        ssize_t n = read(fd, line_reader_room(&r->lines, 65536), 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(error, "cannot read", r->path);
        if (n == 0)
            return true; /* what is left is a torn last line */
        line_reader_added(&r->lines, (size_t)n);
        if (!read_lines(r, error)) {
            g_prefix_error(error, "%s: ", r->path);
            return false;
        }
    }
}

bool journal_read(const char *path, journal_line_fn *line, void *data, GPtrArray *doubts, GError **error)
{
    struct reading r = {.path = path, .line = line, .data = data, .doubts = doubts};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || file_error(error, "cannot open", path);
    line_reader_init(&r.lines, LIMIT_JOURNAL_LINE);
    bool ok = read_fd(&r, fd, error);
    line_reader_clear(&r.lines);
    close(fd);
    return ok;
}
