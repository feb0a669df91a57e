/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One row a subcommand; main() knows nothing else of them. */
const struct cli_command *const cli_commands[] = {
    &cli_run,
    &cli_result,
    &cli_config,
    &cli_model,
    &cli_engine,
    &cli_meter,
    NULL,
};

bool cli_colour(int fd)
{
    const char *no = g_getenv("NO_COLOR");
    return isatty(fd) && !(no && *no);
}

int cli_fail(const GError *error)
{
    bool colour = cli_colour(STDERR_FILENO);
    fprintf(stderr, "%sllem:%s %s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "", error->message);
    return llem_error_exit_code(error);
}

static int lost_errno; /* of the first flush that failed: later calls have errors of their own */

void cli_flush_stdout(void)
{
    if (fflush(stdout) != 0 && !lost_errno)
        lost_errno = errno;
}

int cli_close_stdout(void)
{
    cli_flush_stdout();
    if (!lost_errno && !ferror(stdout))
        return 0;
    int cause = lost_errno ? lost_errno : errno;
    if (cause != EPIPE)
        fprintf(stderr, "llem: cannot write the output: %s\n", g_strerror(cause));
    return 1;
}

static bool is_given(const GOptionEntry *option)
{
    switch (option->arg) {
    case G_OPTION_ARG_NONE:
        return *(const gboolean *)option->arg_data;
    case G_OPTION_ARG_INT:
        return *(const int *)option->arg_data != 0;
    default:
        return *(void *const *)option->arg_data != NULL;
    }
}

bool cli_options_of_action(const struct cli_command *self, const char *action)
{
    bool ok = true;
    g_autofree char *own = g_strconcat(action, ": ", NULL);
    for (const GOptionEntry *option = self->options; option && option->long_name; option++) {
        if (g_str_has_prefix(option->description, own) || !is_given(option))
            continue;
        fprintf(stderr, "llem %s %s: --%s is an option of 'llem %s %.*s'\n", self->name, action, option->long_name,
                self->name, (int)strcspn(option->description, ":"), option->description);
        ok = false;
    }
    return ok;
}

static GOptionContext *context_of(const struct cli_command *self, gboolean *help)
{
    g_autofree char *parameters = g_strdup_printf("%s%s- %s", self->arguments, *self->arguments ? " " : "", self->summary);
    GOptionContext *context = g_option_context_new(parameters);
    const GOptionEntry help_row[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, help, "Show this text", NULL},
        {0},
    };
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, help_row, NULL);
    if (self->options)
        g_option_context_add_main_entries(context, self->options, NULL);
    if (self->details)
        g_option_context_set_description(context, self->details);
    return context;
}

int cli_parse(const struct cli_command *self, int *argc, char ***argv, int min, int max, bool *ret_done)
{
    gboolean help = FALSE;
    g_autoptr(GOptionContext) context = context_of(self, &help);
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("llem %s", self->name);
    g_set_prgname(name);
    *ret_done = false;
    if (!g_option_context_parse(context, argc, argv, &error)) {
        fprintf(stderr, "%s: %s\nTry '%s --help'.\n", name, error->message, name);
        return 2;
    }
    if (help) {
        g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
        fputs(text, stdout);
        *ret_done = true;
        return cli_close_stdout();
    }
    int given = *argc - 1;
    if (given < min || (max >= 0 && given > max)) {
        const char *what = given < min ? "an argument is missing" : "too many arguments";
        fprintf(stderr, "%s: %s\nUsage: %s [OPTION…] %s\nTry '%s --help'.\n", name, what, name,
                self->arguments, name);
        return 2;
    }
    return 0;
}

static void print_help(FILE *to)
{
    fputs("Usage: llem COMMAND [ARGUMENT…]\n\n"
          "Measures the energy of LLM inference: one YAML file in, joules per token with an interval out.\n\n"
          "Commands:\n",
          to);
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        fprintf(to, "  %-10s %s\n", (*c)->name, (*c)->summary);
    fputs("\n'llem COMMAND --help' explains a command; 'llem --version' prints the version.\n", to);
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

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
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("llem " LLEM_VERSION);
        return cli_close_stdout();
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (!strcmp(argv[1], "help") && argc == 2)) {
        print_help(stdout);
        return cli_close_stdout();
    }
    bool help = !strcmp(argv[1], "help");
    const char *name = help ? argv[2] : argv[1];
    const struct cli_command *command = find_command(name);
    if (!command) {
        fprintf(stderr, "llem: no command '%s'\nTry 'llem --help'.\n", name);
        return 2;
    }
    if (help) {
        char flag[] = "--help";
        char *args[] = {argv[2], flag, NULL};
        return command->run(command, 2, args);
    }
    int code = command->run(command, argc - 1, argv + 1);
    int lost = cli_close_stdout();
    return code ? code : lost;
}
