/* SPDX-License-Identifier: MIT */
/* clock_gettime() of a machine that has slept for five seconds once the file $LLEM_TEST_ASLEEP is there: the clock that
 * goes on in suspend is ahead by them. And of one whose wall clock was set to an hour later, once $LLEM_TEST_SET is. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLEPT_S 5
#define SET_S   3600

static int is_there(const char *variable)
{
    const char *file = getenv(variable);
    return file && access(file, F_OK) == 0;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int done = (int)syscall(SYS_clock_gettime, id, ret);
    if (done == 0 && id == CLOCK_BOOTTIME && is_there("LLEM_TEST_ASLEEP"))
        ret->tv_sec += SLEPT_S;
    if (done == 0 && id == CLOCK_REALTIME && is_there("LLEM_TEST_SET"))
        ret->tv_sec += SET_S;
    return done;
}
