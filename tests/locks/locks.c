/* SPDX-License-Identifier: MIT */
/* What a file system does not give: locks (flock() of one without, or of one whose server does not answer, as
 * $LLEM_TEST_LOCKS says: the number of an error, or "hangs") and modes (fchmod(), $LLEM_TEST_MODES: the number of an
 * error). Signals end the calls as they do in the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuse(const char *number)
{
    errno = (int)strtol(number, NULL, 10);
    return -1;
}

int flock(int fd, int operation)
{
    const char *how = getenv("LLEM_TEST_LOCKS");
    if (!how)
        return (int)syscall(SYS_flock, fd, operation);
    return strcmp(how, "hangs") ? refuse(how) : pause();
}

int fchmod(int fd, mode_t mode)
{
    const char *number = getenv("LLEM_TEST_MODES");
    return number ? refuse(number) : (int)syscall(SYS_fchmod, fd, mode);
}
