/* SPDX-License-Identifier: MIT */
#include "study/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct journal {
    int fd;
    char *path;
};

struct journal *journal_open(const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        file_error(error, "cannot open", path);
        return NULL;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        errno = 0; /* a file system without locks: a reader will take a study at work for one that was killed */
    struct journal *journal = g_new0(struct journal, 1);
    journal->fd = fd;
    journal->path = g_strdup(path);
    return journal;
}

bool journal_append(struct journal *journal, json_t *line, GError **error)
{
    g_autofree char *text = jsonx_dump(line, JSONX_COMPACT);
    g_autofree char *whole = g_strconcat(text, "\n", NULL);
    json_decref(line);
    size_t length = strlen(whole);
    ssize_t n = write(journal->fd, whole, length);
    if (n >= 0 && (size_t)n != length)
        errno = ENOSPC; /* a short write to a file: the disk is full; the reader skips the torn last line */
    if (n != (ssize_t)length || fdatasync(journal->fd) != 0)
        return file_error(error, "cannot write", journal->path);
    return true;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    g_free(journal->path);
    g_free(journal);
}

bool journal_is_being_written(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool written = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return written;
}

const char *message_of_failure(const GError *failure)
{
    static const char said[] = "interrupted";
    if (!g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED) || !g_str_has_prefix(failure->message, said))
        return failure->message;
    const char *more = failure->message + strlen(said);
    return *more ? more + 1 : NULL;
}

enum study_state state_of_failure(const GError *failure)
{
    if (g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return STUDY_INTERRUPTED;
    return g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_MISSING) ? STUDY_SKIPPED : STUDY_FAILED;
}
