/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>

/* One row a command; nothing else of `llem` knows them by name. */
const struct cli_command *const cli_commands[] = {
    &cli_plan,
    &cli_run,
    &cli_show,
    &cli_doctor,
    &cli_config,
    &cli_model,
    &cli_engine,
    &cli_result,
    &cli_meter,
    NULL,
};

const struct cli_alias cli_aliases[] = {
    {"run", "--dry-run", "plan"},
    {"result", "show", "show"},
    {"result", "error-schema", "result schema --error"},
    {"meter", "--watch", "meter watch"},
    {"meter", "-w", "meter watch"},
    {"meter", "--characterise", "meter characterise"},
    {"meter", "--selftest", "meter selftest"},
    {"meter", NULL, "meter list"},
    {0},
};

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
    fill_closed_descriptors();
    int code = cli_dispatch(argc - 1, argv + 1);
    int lost = cli_close_stdout();
    return code ? code : lost;
}
