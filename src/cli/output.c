/* SPDX-License-Identifier: MIT */
/* What every command prints with: JSON, errors, and the guard against output that was lost. */
#include "cli/cli.h"

#include <errno.h>
#include <unistd.h>

static FILE *out; /* NULL: stdout, where nobody took it (tests) */

void cli_take_stdout(void)
{
    out = output_take();
}

FILE *cli_out(void)
{
    return out ? out : stdout;
}

void cli_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(cli_out(), format, arguments);
    va_end(arguments);
}

bool cli_colour(int fd)
{
    const char *no = g_getenv("NO_COLOR");
    return isatty(fd) && !(no && *no);
}

int cli_print_json(json_t *tree)
{
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    cli_print("%s", text);
    json_decref(tree);
    return CLI_OK;
}

void cli_print_json_line(const char *before, json_t *tree, const char *behind)
{
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    cli_print("%s%s%s\n", before, text, behind);
    json_decref(tree);
}

int cli_fail(const GError *error)
{
    bool colour = cli_colour(STDERR_FILENO);
    fprintf(stderr, "%s%s:%s %s\n", colour ? "\033[31m" : "", g_get_prgname(), colour ? "\033[0m" : "", error->message);
    return llem_error_exit_code(error);
}

int cli_misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", g_get_prgname(), text);
    return CLI_USAGE;
}

static int lost_errno; /* of the first flush that failed: later calls have errors of their own */

void cli_flush_stdout(void)
{
    if (fflush(cli_out()) != 0 && !lost_errno)
        lost_errno = errno;
}

int cli_close_stdout(void)
{
    cli_flush_stdout();
    if (!lost_errno && !ferror(cli_out()))
        return CLI_OK;
    int cause = lost_errno ? lost_errno : errno;
    if (cause != EPIPE)
        fprintf(stderr, "llem: cannot write the output: %s\n", g_strerror(cause));
    return CLI_FAILED;
}
