/* SPDX-License-Identifier: MIT */
/* Shared memory of processes that are killed. */
#include "base/base.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *name_of(const char *what)
{
    return g_strdup_printf("/llem-test-%d-%s", (int)getpid(), what);
}

static bool map(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    bool ok = fd >= 0 && ftruncate(fd, 4096) == 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;
    close(fd);
    return ok;
}

static bool exists(const char *name)
{
    g_autofree char *path = g_strconcat("/dev/shm", name, NULL);
    return access(path, F_OK) == 0;
}

/* A child that has mapped these, and waits to be killed. */
static pid_t start(const char *const *names)
{
    int fds[2];
    g_assert_cmpint(pipe(fds), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        for (; *names; names++)
            if (!map(*names))
                _exit(1);
        if (write(fds[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char mark;
    g_assert_cmpint(read(fds[0], &mark, 1), ==, 1);
    close(fds[0]);
    close(fds[1]);
    return child;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_sweep(void)
{
    g_autofree char *before = name_of("before"), *made = name_of("made"), *shared = name_of("shared");
    g_assert_true(map(before));
    g_usleep(50000); /* a tick, and what is allowed for it */
    pid_t owner = start((const char *const[]){before, made, shared, NULL});
    pid_t other = start((const char *const[]){shared, NULL});
    g_autoptr(GHashTable) noted = shm_new();
    shm_note(noted, owner);
    g_assert_cmpuint(g_hash_table_size(noted), ==, 2);
    g_assert_cmpint(shm_sweep(noted), ==, 0); /* it lives */
    shm_note(noted, owner);
    end(owner);
    g_assert_cmpint(shm_sweep(noted), ==, 1);
    g_assert_false(exists(made));
    g_assert_true(exists(before)); /* was there when it began */
    g_assert_true(exists(shared)); /* another maps it */
    end(other);
    shm_unlink(before);
    shm_unlink(shared);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proc/shm/sweep", test_sweep);
    return g_test_run();
}
