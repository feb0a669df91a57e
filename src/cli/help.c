/* SPDX-License-Identifier: MIT */
/* Help texts, made from the rows of commands, actions and options; and the same rows as JSON. */
#include "cli/cli.h"

#include <string.h>

enum { MOST_INDENT = 30 }; /* a longer left column gets a line of its own */

bool cli_is_single(const struct cli_command *command)
{
    return command->actions[0].name == NULL;
}

static const char *summary_of(const struct cli_command *command)
{
    return cli_is_single(command) ? command->actions->summary : command->summary;
}

static void print_row(const char *left, int width, const char *right, FILE *to)
{
    int pad = width - (int)g_utf8_strlen(left, -1);
    if (pad < 0)
        fprintf(to, "  %s\n  %*s  %s\n", left, width, "", right);
    else
        fprintf(to, "  %s%*s  %s\n", left, pad, "", right);
}

/* --- Commands and actions ----------------------------------------------------------------------------------------- */

void cli_help(FILE *to)
{
    fputs("Usage: llem COMMAND [ARGUMENT…]\n\n"
          "Measures the energy of LLM inference: one YAML file in, joules per token with an interval out.\n\n"
          "Commands:\n",
          to);
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        if (c != cli_commands && cli_is_single(c[-1]) && !cli_is_single(*c))
            fputs("\nGroups of actions:\n", to);
        print_row((*c)->name, 10, summary_of(*c), to);
    }
    fputs("\n'llem help COMMAND [ACTION]' explains one; 'llem --version' prints the version.\n", to);
}

/* "check FILE [KEY=VALUE…]". New string. */
static char *call_of(const struct cli_action *action)
{
    return g_strconcat(action->name, *action->arguments ? " " : "", action->arguments, NULL);
}

void cli_help_command(const struct cli_command *command, FILE *to)
{
    int width = 0;
    for (const struct cli_action *a = command->actions; a->run; a++) {
        g_autofree char *call = call_of(a);
        int length = (int)g_utf8_strlen(call, -1);
        width = length <= MOST_INDENT ? MAX(width, length) : width;
    }
    fprintf(to, "Usage:\n  llem %s ACTION [OPTION…] [ARGUMENT…]\n\n%s.\n\nActions:\n", command->name, command->summary);
    for (const struct cli_action *a = command->actions; a->run; a++) {
        g_autofree char *call = call_of(a);
        print_row(call, width, a->summary, to);
    }
    if (command->details)
        fprintf(to, "\n%s\n", command->details);
    fprintf(to, "\n'llem help %s ACTION' explains an action and its options.\n", command->name);
}

char *cli_usage_line(const struct cli_command *command, const struct cli_action *action)
{
    return g_strdup_printf("llem %s%s%s%s%s%s", command->name, action->name ? " " : "",
                           action->name ? action->name : "",
                           action->options ? " [OPTION…]" : "", *action->arguments ? " " : "", action->arguments);
}

/* "-o, --output=DIR", or "    --json". New string. */
static char *option_text(const GOptionEntry *row)
{
    g_autofree char *letter = row->short_name ? g_strdup_printf("-%c, ", row->short_name) : g_strdup("    ");
    return g_strconcat(letter, "--", row->long_name, row->arg_description ? "=" : "", row->arg_description, NULL);
}

static void print_options(const GOptionEntry *rows, FILE *to)
{
    static const GOptionEntry help_row = {"help", 'h', 0, G_OPTION_ARG_NONE, NULL, "Show this text", NULL};
    fputs("\nOptions:\n", to);
    for (const GOptionEntry *row = rows; row && row->long_name; row++) {
        g_autofree char *left = option_text(row);
        if (!(row->flags & G_OPTION_FLAG_HIDDEN))
            print_row(left, 22, row->description, to);
    }
    g_autofree char *left = option_text(&help_row);
    print_row(left, 22, help_row.description, to);
}

void cli_help_action(const struct cli_command *command, const struct cli_action *action, FILE *to)
{
    g_autofree char *usage = cli_usage_line(command, action);
    fprintf(to, "Usage:\n  %s\n\n%s.\n", usage, action->summary);
    if (action->details)
        fprintf(to, "\n%s\n", action->details);
    print_options(action->options, to);
}

/* --- The same as JSON --------------------------------------------------------------------------------------------- */

static json_t *describe_option(const GOptionEntry *row)
{
    char letter[] = {row->short_name, '\0'};
    return json_pack("{s:s, s:s*, s:s*, s:s, s:b}", "name", row->long_name, "letter", *letter ? letter : NULL, "value",
                     row->arg_description, "help", row->description, "repeat", row->arg == G_OPTION_ARG_STRING_ARRAY);
}

static json_t *describe_action(const struct cli_action *action)
{
    json_t *options = json_array();
    for (const GOptionEntry *row = action->options; row && row->long_name; row++)
        if (!(row->flags & G_OPTION_FLAG_HIDDEN))
            json_array_append_new(options, describe_option(row));
    return json_pack("{s:s*, s:s, s:s, s:s*, s:i, s:i, s:o}", "name", action->name, "arguments", action->arguments,
                     "summary", action->summary, "details", action->details, "min", action->min, "max", action->max,
                     "options", options);
}

json_t *cli_describe(void)
{
    json_t *commands = json_array();
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        json_t *actions = json_array();
        for (const struct cli_action *a = (*c)->actions; a->run; a++)
            json_array_append_new(actions, describe_action(a));
        json_array_append_new(commands, json_pack("{s:s, s:s, s:s*, s:o}", "name", (*c)->name, "summary",
                                                  summary_of(*c),
                                                  "details", (*c)->details, "actions", actions));
    }
    return json_pack("{s:s, s:o}", "program", "llem", "commands", commands);
}
