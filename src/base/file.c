/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include "base/clock.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLLOW_NS NS_PER_S

/* Which limit of this process an error is about, for behind it. */
static const char *limit_of(int number)
{
    return number == EFBIG ? " (the longest file of this process is limited: ulimit -f)"
           : number == EMFILE ? " (the open files of this process are limited: ulimit -n)" : "";
}

bool file_error(GError **error, const char *what, const char *path)
{
    int saved = errno;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "%s %s: %s%s", what, path, g_strerror(saved), limit_of(saved));
    return false;
}

char *file_expand_home(const char *text)
{
    if (text[0] != '~' || (text[1] && text[1] != '/'))
        return g_strdup(text);
    return text[1] ? g_build_filename(g_get_home_dir(), text + 2, NULL) : g_strdup(g_get_home_dir());
}

bool file_is_readable_kind(const char *path, GError **error)
{
    static const struct {
        mode_t kind;
        const char *name;
    } kinds[] = {{S_IFIFO, "pipe"}, {S_IFSOCK, "socket"}, {S_IFCHR, "device"}, {S_IFBLK, "device"}};
    struct stat st;
    if (stat(path, &st) != 0)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if ((st.st_mode & S_IFMT) == kinds[i].kind) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s is a %s, not a file", path, kinds[i].name);
            return false;
        }
    return true;
}

static void too_large(const char *path, size_t max_bytes, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s is larger than the limit of %zu bytes", path, max_bytes);
}

char *file_read(const char *path, size_t max_bytes, size_t *ret_length, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        file_error(error, "cannot open", path);
        return NULL;
    }
    struct stat st = {0};
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        errno = EISDIR;
        file_error(error, "cannot read", path);
        return NULL;
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes) { /* nothing of it is read */
        close(fd);
        too_large(path, max_bytes, error);
        return NULL;
    }
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    guint8 chunk[65536];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            file_error(error, "cannot read", path);
            close(fd);
            return NULL;
        }
        if (bytes->len + (size_t)n > max_bytes) {
            close(fd);
            too_large(path, max_bytes, error);
            return NULL;
        }
        g_byte_array_append(bytes, chunk, (guint)n);
    }
    close(fd);
    if (ret_length)
        *ret_length = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

char *file_tail(const char *path, size_t bytes)
{
    g_autofree char *text = g_malloc(bytes + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    ssize_t n = fd >= 0 ? pread(fd, text, bytes, MAX(0, end - (off_t)bytes)) : 0;
    if (fd >= 0)
        close(fd);
    return g_utf8_make_valid(text, MAX(n, 0));
}

bool file_sync_dir(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", path);
    int rc = fsync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    /* Some file systems refuse fsync on a folder (EINVAL); there is nothing more to be had there. */
    return rc == 0 || saved == EINVAL || file_error(error, "cannot sync", path);
}

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* FAT and some network mounts have no modes: the file is written all the same. */
static bool set_mode(int fd, mode_t mode)
{
    return fchmod(fd, mode) == 0 || errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP;
}

bool file_write_durable(const char *path, const char *data, size_t length, GError **error)
{
    g_autofree char *temp = g_strdup_printf("%s.XXXXXX.tmp", path);
    int fd = mkostemps(temp, 4, O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot create", temp);
    mode_t mask = umask(0);
    umask(mask);
    bool ok = set_mode(fd, 0666 & ~mask) && write_all(fd, data, length) && fsync(fd) == 0;
    if (!ok)
        file_error(error, "cannot write", path);
    if (close(fd) != 0 && ok)
        ok = file_error(error, "cannot write", path);
    if (ok && rename(temp, path) != 0)
        ok = file_error(error, "cannot rename into", path);
    if (!ok) {
        unlink(temp);
        return false;
    }
    g_autofree char *dir = g_path_get_dirname(path);
    return file_sync_dir(dir, error);
}

bool file_make_dirs(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0777) == 0)
        return true;
    return file_error(error, "cannot create folder", path);
}

static file_follow_fn *follower;

void file_follow_sha256(file_follow_fn *follow)
{
    follower = follow;
}

/* A file that is being read. */
struct reading {
    const char *path;
    int64_t done, total, told_ns; /* when its follower was told last: at first, when it began */
    bool told;
};

static void tell_follower(struct reading *r)
{
    int64_t now_ns = clock_mono_ns();
    if (!follower || now_ns - r->told_ns < FOLLOW_NS || r->done >= r->total)
        return;
    follower(r->path, r->done, r->total);
    r->told_ns = now_ns;
    r->told = true;
}

char *file_sha256(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        file_error(error, "cannot open", path);
        return NULL;
    }
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guchar *chunk = g_malloc(1 << 20);
    struct stat st;
    struct reading reading = {.path = path, .total = fstat(fd, &st) == 0 ? st.st_size : 0, .told_ns = clock_mono_ns()};
    ssize_t n;
    while ((n = read(fd, chunk, 1 << 20)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            file_error(error, "cannot read", path);
            close(fd);
            return NULL;
        }
        g_checksum_update(sum, chunk, n);
        reading.done += n;
        tell_follower(&reading);
    }
    close(fd);
    if (reading.told)
        follower(path, reading.total, reading.total);
    return g_strdup(g_checksum_get_string(sum));
}

static bool remove_at(int parent, const char *name, const char *shown, GError **error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return file_error(error, "cannot remove", shown);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", shown);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return file_error(error, "cannot list", shown);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        g_autofree char *child = g_build_filename(shown, entry->d_name, NULL);
        ok = remove_at(dirfd(dir), entry->d_name, child, error);
    }
    closedir(dir);
    if (!ok)
        return false;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    return file_error(error, "cannot remove", shown);
}

bool file_remove_tree(const char *path, GError **error)
{
    return remove_at(AT_FDCWD, path, path, error);
}
