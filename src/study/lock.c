/* SPDX-License-Identifier: MIT */
#include "study/lock.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

struct study_lock {
    int fd;
    bool held;
};

static int open_in(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

struct study_lock *study_lock_new(void)
{
    struct study_lock *lock = g_new0(struct study_lock, 1);
    g_autofree char *name = g_strdup_printf("llem-study-%u.lock", (unsigned)getuid());
    lock->fd = open_in(g_get_user_runtime_dir(), "llem-study.lock");
    if (lock->fd < 0)
        lock->fd = open_in(g_get_tmp_dir(), name);
    return lock;
}

/* Our pid, for the one who comes second. A torn or missing one costs a name in a message. */
static void sign(int fd)
{
    char text[24];
    int length = g_snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        errno = 0;
}

bool study_lock_is_elsewhere(struct study_lock *lock, pid_t *ret_pid)
{
    char text[24] = {0};
    *ret_pid = 0;
    if (lock->held || lock->fd < 0)
        return false;
    if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0) {
        lock->held = true;
        sign(lock->fd);
        return false;
    }
    if (errno != EWOULDBLOCK)
        return false;
    int64_t pid;
    if (pread(lock->fd, text, sizeof text - 1, 0) > 0 && num_parse_int(g_strchomp(text), 1, G_MAXINT, &pid, NULL))
        *ret_pid = (pid_t)pid;
    return true;
}

void study_lock_free(struct study_lock *lock)
{
    if (!lock)
        return;
    if (lock->fd >= 0)
        close(lock->fd);
    g_free(lock);
}
