/* SPDX-License-Identifier: MIT */
/* From words to an action: finds the row, parses its options, counts its arguments, and says what is wrong with
 * them. */
#include "cli/cli.h"

#include "config/config.h"
#include "version.h"

#include <limits.h>
#include <string.h>

static const GOptionEntry *const no_options = (const GOptionEntry[]){{0}};

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

static const struct cli_action *find_action(const struct cli_command *command, const char *name)
{
    for (const struct cli_action *a = command->actions; a->run; a++)
        if (a->name && !strcmp(a->name, name))
            return a;
    return NULL;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

/* The index of the first word before "--" that is this one; 0 where there is none: words[0] is the command. */
static int find_word(char *const *words, const char *word)
{
    for (int i = 1; words[i] && strcmp(words[i], "--"); i++)
        if (!strcmp(words[i], word))
            return i;
    return 0;
}

/* The words without that at an index (-1: all of them), behind others. New vector; the strings are borrowed. */
static char **join_words(char *const *front, char *const *words, int without)
{
    GPtrArray *all = g_ptr_array_new();
    for (char *const *word = front; *word; word++)
        g_ptr_array_add(all, *word);
    for (int i = 0; words[i]; i++)
        if (i != without)
            g_ptr_array_add(all, words[i]);
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}

/* --- What is wrong ------------------------------------------------------------------------------------------------ */

static int point_to_help(void)
{
    const char *name = g_get_prgname();
    cli_say("Try 'llem help%s'.\n", name + strlen("llem"));
    return CLI_USAGE;
}

/* "'llem model list' or 'llem meter list'": the actions of that name; NULL where there is none. New string. */
static char *commands_with_action(const char *name)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (find_action(*c, name))
            g_string_append_printf(list, "%s'llem %s %s'", list->len ? " or " : "", (*c)->name, name);
    return list->len ? g_strdup(list->str) : NULL;
}

/* What may have been meant by a word that is no command. New string or NULL. */
static char *meant_by(const char *word)
{
    struct suggest suggest = {.word = word};
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        suggest_offer(&suggest, (*c)->name);
    if (g_file_test(word, G_FILE_TEST_IS_DIR))
        return g_strdup_printf("'llem show %s'", word);
    if (g_file_test(word, G_FILE_TEST_EXISTS))
        return g_strdup_printf("'llem run %s'", word);
    return suggest.best ? g_strdup_printf("'llem %s'", suggest.best) : commands_with_action(word);
}

static int unknown_command(const char *word)
{
    g_autofree char *meant = is_option(word) ? NULL : meant_by(word);
    if (is_option(word))
        cli_say("llem: unknown option %s; options come behind a command\nTry 'llem help'.\n", word);
    else
        cli_say("llem: no command '%s'%s%s%s\nTry 'llem help'.\n", word, meant ? "; did you mean " : "",
            meant ? meant : "", meant ? "?" : "");
    return CLI_USAGE;
}

static void print_actions(const struct cli_command *command)
{
    for (const struct cli_action *a = command->actions; a->run; a++)
        cli_say("%s%s", a == command->actions ? "Actions: " : ", ", a->name);
    cli_say("\n");
}

static int unknown_action(const struct cli_command *command, const char *word)
{
    struct suggest suggest = {.word = word ? word : ""};
    for (const struct cli_action *a = command->actions; word && a->run; a++)
        suggest_offer(&suggest, a->name);
    if (!word)
        cli_misuse("which action?");
    else if (suggest.best)
        cli_misuse("no action '%s'; did you mean '%s'?", word, suggest.best);
    else
        cli_misuse("no action '%s'", word);
    print_actions(command);
    return point_to_help();
}

/* --- Options ------------------------------------------------------------------------------------------------------ */

static const GOptionEntry *find_option(const GOptionEntry *rows, const char *name, size_t length)
{
    for (const GOptionEntry *row = rows ? rows : no_options; row->long_name; row++)
        if (length == 1 ? row->short_name == *name
                        : strlen(row->long_name) == length && !strncmp(row->long_name, name, length))
            return row;
    return NULL;
}

/* The names of the other actions that have the option, as "'llem meter watch'"; NULL: none has. New string. */
static char *actions_with_option(const struct cli_command *command, const char *name, size_t length)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (const struct cli_action *a = command->actions; a->run; a++)
        if (find_option(a->options, name, length))
            g_string_append_printf(list, "%s'llem %s %s'", list->len ? " and " : "", command->name, a->name);
    return list->len ? g_strdup(list->str) : NULL;
}

/* True if the action takes fields as arguments, and the word is one with dashes in front. */
static bool is_field(const struct cli_action *action, const char *name, size_t length)
{
    g_autofree char *path = g_strndup(name, length);
    return strstr(action->arguments, "KEY=VALUE") &&
           config_is_field(g_str_has_prefix(path, "sweep.") ? path + strlen("sweep.") : path);
}

/* dashes: those it was written with. */
static int unknown_option(const struct cli_command *command, const struct cli_action *action, const char *dashes,
                          const char *name, size_t length)
{
    g_autofree char *option = g_strdup_printf("%s%.*s", dashes, (int)length, name);
    g_autofree char *others = actions_with_option(command, name, length);
    struct suggest suggest = {.word = option};
    for (const GOptionEntry *row = action->options ? action->options : no_options; row->long_name; row++) {
        g_autofree char *offer = g_strdup_printf("--%s", row->long_name);
        if (!(row->flags & G_OPTION_FLAG_HIDDEN))
            suggest_offer(&suggest, g_intern_string(offer));
    }
    if (others)
        cli_misuse("%s is an option of %s", option, others);
    else if (find_action(command, option + strlen(dashes)))
        cli_misuse("%s is an action of its own: 'llem %s %s'", option, command->name, option + strlen(dashes));
    else if (is_field(action, name, length))
        cli_misuse("unknown option %s; a field is written without dashes: %.*s=VALUE", option, (int)length, name);
    else if (suggest.best)
        cli_misuse("unknown option %s; did you mean %s?", option, suggest.best);
    else
        cli_misuse("unknown option %s", option);
    return point_to_help();
}

static int value_is_missing(const GOptionEntry *row, const char *option)
{
    cli_misuse("%s needs a value, %s: %s", option, row->arg_description, row->description);
    return point_to_help();
}

/* GOption takes no "-c2". */
static int value_is_stuck(const char *letter, const char *value)
{
    cli_misuse("-%c needs its value apart: -%c %s", *letter, *letter, value);
    return point_to_help();
}

/* GOption's message is GLib's, and it takes "nan" and "0x10". Numbers of options count something or have a unit. */
static int check_value(const GOptionEntry *row, const char *option, const char *value)
{
    int64_t whole;
    double real;
    bool is_whole = row->arg == G_OPTION_ARG_INT;
    if (is_whole ? num_parse_int(value, 1, INT_MAX, &whole, NULL)
                 : row->arg != G_OPTION_ARG_DOUBLE || (num_parse_real(value, &real, NULL) && real > 0))
        return CLI_OK;
    cli_misuse("%s %s: a %snumber above 0 is wanted", option, value, is_whole ? "whole " : "");
    return point_to_help();
}

/* Checks one option word and the value that may follow it; *ret_taken: that it did. */
static int check_option(const struct cli_command *command, const struct cli_action *action, const char *word,
                        const char *next, bool *ret_taken)
{
    bool is_long = word[1] == '-';
    *ret_taken = false;
    for (const char *name = word + (is_long ? 2 : 1); *name;) {
        size_t length = is_long ? strcspn(name, "=") : 1;
        const GOptionEntry *row = find_option(action->options, name, length);
        if (!row)
            return unknown_option(command, action, is_long ? "--" : "-", name, length);
        const char *value = name + length;
        if (row->arg != G_OPTION_ARG_NONE && !*value && !next)
            return value_is_missing(row, word);
        if (row->arg != G_OPTION_ARG_NONE && *value && !is_long)
            return value_is_stuck(name, value);
        *ret_taken = row->arg != G_OPTION_ARG_NONE && !*value;
        if (row->arg != G_OPTION_ARG_NONE) {
            g_autofree char *option = g_strndup(word, (size_t)(name + length - word));
            return check_value(row, option, *value ? value + 1 : next);
        }
        if (is_long)
            return CLI_OK;
        name = value;
    }
    return CLI_OK;
}

/* Names are checked here, where the other actions are known, and in any language; GOption converts the values. */
static int check_options(const struct cli_command *command, const struct cli_action *action, char *const *words)
{
    for (int i = 0; words[i] && strcmp(words[i], "--"); i++) {
        bool taken = false;
        int code = is_option(words[i]) ? check_option(command, action, words[i], words[i + 1], &taken) : CLI_OK;
        if (code)
            return code;
        i += taken;
    }
    return CLI_OK;
}

static bool parse_options(const struct cli_action *action, int *argc, char ***argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    g_option_context_set_help_enabled(context, FALSE);
    if (action->options)
        g_option_context_add_main_entries(context, action->options, NULL);
    if (g_option_context_parse(context, argc, argv, &error))
        return true;
    cli_misuse("%s", error->message);
    return false;
}

/* --- Arguments ---------------------------------------------------------------------------------------------------- */

/* The name of an argument in "FILE [KEY=VALUE…]". New string. */
static char *name_of_argument(const struct cli_action *action, int index)
{
    g_auto(GStrv) names = g_strsplit(action->arguments, " ", -1);
    return index < (int)g_strv_length(names) ? g_strdup(names[index]) : g_strdup("an argument");
}

static int check_count(const struct cli_command *command, const struct cli_action *action, int argc, char *const *argv)
{
    g_autofree char *usage = cli_usage_line(command, action);
    if (argc >= action->min && (action->max < 0 || argc <= action->max))
        return CLI_OK;
    if (argc >= action->min) {
        cli_misuse("too many arguments: '%s'", argv[action->max]);
    } else if (action->missing) {
        cli_misuse("%s", action->missing);
    } else {
        g_autofree char *name = name_of_argument(action, argc);
        cli_misuse("%s is missing", name);
    }
    cli_say("Usage: %s\n", usage);
    return point_to_help();
}

/* --- Dispatch ----------------------------------------------------------------------------------------------------- */

static void set_name(const struct cli_command *command, const struct cli_action *action)
{
    bool named = action && action->name;
    g_autofree char *name = g_strdup_printf("llem %s%s%s", command->name, named ? " " : "", named ? action->name : "");
    g_set_prgname(name);
}

/* words: those behind the action. */
static int run_action(const struct cli_command *command, const struct cli_action *action, char *const *words)
{
    set_name(command, action);
    for (int i = 0; words[i] && strcmp(words[i], "--"); i++)
        if (is_help(words[i])) {
            cli_help_action(command, action, cli_out());
            return CLI_OK;
        }
    int code = check_options(command, action, words);
    if (code)
        return code;
    char name[] = "llem";
    g_autofree char **all = join_words((char *const[]){name, NULL}, words, -1);
    char **argv = all;
    int argc = (int)g_strv_length(all);
    if (!parse_options(action, &argc, &argv))
        return point_to_help();
    /* GOption leaves it where options follow: it said what it had to */
    bool dashes = argc > 1 && !strcmp(argv[1], "--");
    argc -= 1 + dashes;
    argv += 1 + dashes;
    code = check_count(command, action, argc, argv);
    return code ? code : action->run(argc, argv);
}

/* The index of the word that names the action: the first, or, where options stand before it, the first that is one;
 * 0. */
static int find_action_word(const struct cli_command *command, char *const *words)
{
    if (words[1] && !is_option(words[1]))
        return 1;
    for (int i = 1; words[1] && words[i]; i++)
        if (find_action(command, words[i]))
            return i;
    return 0;
}

static int dispatch_group(const struct cli_command *command, char *const *words)
{
    int at = find_action_word(command, words);
    const struct cli_action *action = at ? find_action(command, words[at]) : NULL;
    set_name(command, NULL);
    if (!at && (find_word(words, "--help") || find_word(words, "-h"))) {
        cli_help_command(command, cli_out());
        return CLI_OK;
    }
    if (!action)
        return unknown_action(command, at ? words[at] : NULL);
    g_autofree char **rest = join_words((char *const[]){NULL}, words + 1, at - 1);
    return run_action(command, action, rest);
}

/* True if the words are in the alias's spelling; *ret_at: where its word stands, or 0. */
static bool alias_fits(const struct cli_alias *alias, const struct cli_command *command, char *const *words,
                       int *ret_at)
{
    int action_at = cli_is_single(command) ? 0 : find_action_word(command, words);
    *ret_at = alias->word ? find_word(words, alias->word) : 0;
    if (strcmp(alias->command, command->name) || (action_at && find_action(command, words[action_at])))
        return false;
    if (!alias->word)
        return !action_at && !find_word(words, "--help") && !find_word(words, "-h");
    return *ret_at && (is_option(alias->word) || *ret_at == 1);
}

static int dispatch(char *const *words);

static int dispatch_alias(const struct cli_alias *alias, char *const *words, int at)
{
    g_auto(GStrv) instead = g_strsplit(alias->instead, " ", -1);
    g_autofree char **all = join_words(instead, words + 1, at - 1);
    return dispatch(all);
}

static int dispatch(char *const *words)
{
    const struct cli_command *command = find_command(words[0]);
    if (!command)
        return unknown_command(words[0]);
    int at;
    for (const struct cli_alias *alias = cli_aliases; alias->command; alias++)
        if (alias_fits(alias, command, words, &at))
            return dispatch_alias(alias, words, at);
    return cli_is_single(command) ? run_action(command, command->actions, words + 1) : dispatch_group(command, words);
}

static int misuse_help(const char *what, const char *word)
{
    cli_misuse("%s '%s'\nUsage: llem help [--json | COMMAND [ACTION]]", what, word);
    return CLI_USAGE;
}

/* `llem help COMMAND ACTION` is `llem COMMAND ACTION --help`. */
static int dispatch_help(int argc, char **argv)
{
    char option[] = "--help";
    const struct cli_command *command = argc > 0 ? find_command(argv[0]) : NULL;
    int most = command && !cli_is_single(command) ? 2 : 1;
    if (argc > 0 && is_option(argv[0]) && !is_help(argv[0]) && strcmp(argv[0], "--json"))
        return misuse_help("unknown option", argv[0]);
    if (argc > most)
        return misuse_help("too many arguments:", argv[most]);
    if (argc > 0 && !strcmp(argv[0], "--json"))
        return cli_print_json(cli_describe());
    if (argc > 0 && !is_option(argv[0]))
        return dispatch((char *const[]){argv[0], argc > 1 ? argv[1] : option, argc > 1 ? option : NULL, NULL});
    cli_help(cli_out());
    return CLI_OK;
}

int cli_dispatch(int argc, char **argv)
{
    g_set_prgname("llem");
    if (argc == 0) {
        cli_help(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[0], "--version")) {
        if (argc > 1)
            return cli_misuse("too many arguments: '%s'\nUsage: llem --version", argv[1]);
        cli_print("llem " LLEM_VERSION "\n");
        return CLI_OK;
    }
    if (!strcmp(argv[0], "help") || is_help(argv[0]))
        return dispatch_help(argc - 1, argv + 1);
    return dispatch(argv);
}
