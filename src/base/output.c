/* SPDX-License-Identifier: MIT */
#include "base/output.h"

#include <fcntl.h>
#include <unistd.h>

FILE *output_take(void)
{
    fflush(stdout);
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    FILE *ours = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!ours || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        if (ours)
            fclose(ours);
        else if (fd >= 0)
            close(fd); /* it was opened for reading only: writing to it shall fail as it did */
        return stdout;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* in the order in which it was said */
    return ours;
}
