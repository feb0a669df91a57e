/* SPDX-License-Identifier: MIT */
#include "base/suspend.h"

#include "base/clock.h"
#include "base/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* --- Who stops ------------------------------------------------------------------------------------------------- */

static int held;          /* how often suspend_hold() is still to be released */
static int hold_fd = -1;  /* -1: SIGTSTP is ignored, or nobody holds it */

static void mask_stop(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(how, &set, NULL);
}

void suspend_hold(void)
{
    struct sigaction now;
    if (held++ > 0 || (sigaction(SIGTSTP, NULL, &now) == 0 && now.sa_handler == SIG_IGN))
        return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    mask_stop(SIG_BLOCK);
    hold_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void suspend_release(void)
{
    if (--held > 0 || hold_fd < 0)
        return;
    close(hold_fd);
    hold_fd = -1;
    mask_stop(SIG_UNBLOCK); /* one that waits takes effect now */
}

int suspend_fd(void)
{
    return hold_fd;
}

bool suspend_pending(void)
{
    return interrupt_pending(hold_fd);
}

int64_t suspend_now(void)
{
    while (interrupt_take(hold_fd))
        ;
    int64_t from_ns = clock_mono_ns();
    raise(SIGTSTP);
    mask_stop(SIG_UNBLOCK); /* here it stops */
    mask_stop(SIG_BLOCK);
    return clock_mono_ns() - from_ns;
}

void suspend_tell(pid_t pid, int64_t away_ns)
{
    const union sigval ms = {.sival_int = (int)(away_ns / NS_PER_MS)};
    if (sigqueue(pid, SIGCONT, ms) != 0)
        kill(pid, SIGCONT);
}

/* --- Who is stopped ---------------------------------------------------------------------------------------------- */

static _Atomic int64_t told_ms;

static void hear(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)context;
    if (info->si_code == SI_QUEUE && info->si_value.sival_int > 0)
        told_ms += info->si_value.sival_int;
}

void suspend_listen(void)
{
    struct sigaction action = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCONT, &action, NULL);
}

int64_t suspend_told_ns(void)
{
    return told_ms * NS_PER_MS;
}

int64_t suspend_clock_ns(void)
{
    return clock_mono_ns() - suspend_told_ns();
}
