/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>

/* A closed descriptor 0, 1 or 2 would be given to the next file opened, and progress would be written into it. One that
 * is opened for reading only keeps a write to a closed stdout the error it is. */
static void fill_closed_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");  /* 0.5 is written with a point, whatever the language */
    setlocale(LC_MESSAGES, "C"); /* the system's words stand within ours: not half a sentence in another language */
    fill_closed_descriptors();
    interrupt_ignore_file_limit();
    cli_take_stdout();
    int code = cli_dispatch(argc - 1, argv + 1);
    int lost = cli_close_stdout();
    return code ? code : lost;
}
