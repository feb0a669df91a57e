/* SPDX-License-Identifier: MIT */
#include "base/file_lock.h"

#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS   200000000
#define LOOK_WITH SIGURG /* without a handler it does nothing */

static void do_nothing(int number)
{
    (void)number;
}

/* Wakes this thread alone every fifth of a second, so that a call that hangs is looked after. */
struct waker {
    struct sigaction before;
    sigset_t mask;
    timer_t timer;
    bool armed;
};

static void waker_start(struct waker *waker)
{
    struct sigaction action = {.sa_handler = do_nothing}; /* without SA_RESTART: the call returns */
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LOOK_WITH};
    struct itimerspec each = {.it_value = {0, LOOK_NS}, .it_interval = {0, LOOK_NS}};
    sigset_t look;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sigemptyset(&look);
    sigaddset(&look, LOOK_WITH);
    sigaction(LOOK_WITH, &action, &waker->before);
    pthread_sigmask(SIG_UNBLOCK, &look, &waker->mask);
    waker->armed = timer_create(CLOCK_MONOTONIC, &event, &waker->timer) == 0;
    if (waker->armed)
        timer_settime(waker->timer, 0, &each, NULL);
}

static void waker_stop(struct waker *waker)
{
    if (waker->armed)
        timer_delete(waker->timer);
    pthread_sigmask(SIG_SETMASK, &waker->mask, NULL);
    sigaction(LOOK_WITH, &waker->before, NULL);
}

enum file_lock file_lock_try(int fd, bool shared)
{
    struct waker waker;
    int done;
    bool ended = false;
    waker_start(&waker);
    do
        done = flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
    while (done != 0 && errno == EINTR && !(ended = interrupt_waits()));
    int saved = errno;
    waker_stop(&waker);
    errno = saved;
    if (done == 0)
        return FILE_LOCK_TAKEN;
    return ended ? FILE_LOCK_INTERRUPTED : saved == EWOULDBLOCK ? FILE_LOCK_HELD : FILE_LOCK_REFUSED;
}

bool file_is_locked(const char *path, bool *ret_told)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (ret_told)
        *ret_told = true;
    if (fd < 0)
        return false;
    enum file_lock lock = file_lock_try(fd, true);
    int saved = errno;
    close(fd);
    errno = saved;
    if (ret_told)
        *ret_told = lock == FILE_LOCK_TAKEN || lock == FILE_LOCK_HELD;
    return lock == FILE_LOCK_HELD;
}
