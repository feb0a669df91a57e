/* SPDX-License-Identifier: MIT */
#include "study/lock.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct study_lock {
    char *folder; /* NULL: there is no place for one */
    char *own;
    int fd;
};

/* A folder that is ours alone, so that nobody can put a link there. */
static char *folder_in(const char *parent, const char *name)
{
    struct stat st;
    g_autofree char *path = g_build_filename(parent, name, NULL);
    mkdir(path, 0700); /* it may be there */
    bool ours = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid() && access(path, W_OK) == 0;
    return ours ? g_steal_pointer(&path) : NULL;
}

struct study_lock *study_lock_new(void)
{
    struct study_lock *lock = g_new0(struct study_lock, 1);
    g_autofree char *in_tmp = g_strdup_printf("llem-studies-%u", (unsigned)getuid());
    g_autofree char *name = g_strdup_printf("%d.lock", (int)getpid());
    lock->fd = -1;
    lock->folder = folder_in(g_get_user_runtime_dir(), "llem-studies");
    if (!lock->folder)
        lock->folder = folder_in(g_get_tmp_dir(), in_tmp);
    if (!lock->folder)
        return lock;
    lock->own = g_build_filename(lock->folder, name, NULL);
    for (int tries = 0; lock->fd < 0 && tries < 10; tries++) { /* the folder may go with another study's end */
        mkdir(lock->folder, 0700);
        lock->fd = open(lock->own, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (lock->fd >= 0)
        file_lock_try(lock->fd, false); /* without locks nobody is seen: concurrent studies are not told */
    return lock;
}

bool study_lock_is_elsewhere(struct study_lock *lock, pid_t *ret_pid)
{
    *ret_pid = 0;
    g_autoptr(GDir) dir = lock->folder ? g_dir_open(lock->folder, 0, NULL) : NULL;
    for (const char *name; dir && (name = g_dir_read_name(dir)) && !*ret_pid;) {
        int64_t pid;
        g_autofree char *number = g_str_has_suffix(name, ".lock") ? g_strndup(name, strlen(name) - 5) : NULL;
        g_autofree char *path = g_build_filename(lock->folder, name, NULL);
        if (!number || !num_parse_int(number, 1, G_MAXINT, &pid, NULL) || !g_strcmp0(path, lock->own))
            continue;
        if (file_is_locked(path, NULL)) /* its study lives: the kernel drops the lock with its holder */
            *ret_pid = (pid_t)pid;
        else if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlink(path); /* of one that was killed */
    }
    return *ret_pid != 0;
}

void study_lock_free(struct study_lock *lock)
{
    if (!lock)
        return;
    if (lock->fd >= 0) {
        unlink(lock->own);
        close(lock->fd);
        rmdir(lock->folder); /* stays while another study is in it */
    }
    g_free(lock->folder);
    g_free(lock->own);
    g_free(lock);
}
