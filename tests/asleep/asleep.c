/* SPDX-License-Identifier: MIT */
/* clock_gettime() of a machine that has slept for five seconds once the file $LLEM_TEST_ASLEEP is there: the clock that
 * goes on in suspend is ahead by them. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLEPT_S 5

int clock_gettime(clockid_t id, struct timespec *ret)
{
    const char *file = getenv("LLEM_TEST_ASLEEP");
    int done = (int)syscall(SYS_clock_gettime, id, ret);
    if (done == 0 && id == CLOCK_BOOTTIME && file && access(file, F_OK) == 0)
        ret->tv_sec += SLEPT_S;
    return done;
}
