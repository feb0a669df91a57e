/* SPDX-License-Identifier: MIT */
/* flock() of a file system without locks, or of one whose server does not answer, as $LLEM_TEST_LOCKS says: the number
 * of an error, or "hangs". Signals end the call as they do in the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

int flock(int fd, int operation)
{
    const char *how = getenv("LLEM_TEST_LOCKS");
    if (!how)
        return (int)syscall(SYS_flock, fd, operation);
    if (!strcmp(how, "hangs"))
        return pause();
    errno = (int)strtol(how, NULL, 10);
    return -1;
}
