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

G_GNUC_PRINTF(2, 0) static void write_visible(FILE *to, const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    g_autofree char *shown = visible_text(text);
    fputs(shown, to);
}

void cli_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_visible(cli_out(), format, arguments);
    va_end(arguments);
}

void cli_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_visible(stderr, format, arguments);
    va_end(arguments);
}

void cli_write(FILE *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_visible(to, format, arguments);
    va_end(arguments);
}

void cli_control(FILE *to, const char *sequence)
{
    fputs(sequence, to);
}

void cli_print_diagnostics(const struct diag *diag)
{
    g_autofree char *text = diag_render(diag, cli_colour(STDERR_FILENO));
    fputs(text, stderr); /* each part of it is visible text already; what is between them is ours */
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
    cli_control(stderr, colour ? CLI_RED : "");
    cli_say("%s:", g_get_prgname());
    cli_control(stderr, colour ? CLI_PLAIN : "");
    cli_say(" %s\n", error->message);
    return llem_error_exit_code(error);
}

int cli_misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    cli_say("%s: %s\n", g_get_prgname(), text);
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
        cli_say("llem: cannot write the output: %s\n", g_strerror(cause));
    return CLI_FAILED;
}
