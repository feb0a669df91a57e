/* SPDX-License-Identifier: MIT */
/* A command is a row, an action a row with options of its own: the dispatcher runs, explains and corrects what it never
 * heard of. */
#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

static int option_depth;
static gboolean option_dry;
static int count;

static int dig(int argc, char **argv)
{
    (void)argv;
    count = argc;
    return CLI_OK;
}

static int fill(int argc, char **argv)
{
    (void)argc, (void)argv;
    return CLI_FAILED;
}

static const GOptionEntry dig_options[] = {
    {"depth", 'd', 0, G_OPTION_ARG_INT, &option_depth, "How deep", "METRES"},
    {"dry", 'n', 0, G_OPTION_ARG_NONE, &option_dry, "Leave the spade", NULL},
    {0},
};

static const struct cli_command garden = {
    .name = "garden",
    .summary = "Dig and fill",
    .actions =
        (const struct cli_action[]){
            {.name = "dig", .arguments = "PLACE…", .summary = "Dig holes", .min = 1, .max = -1, .options = dig_options, .run = dig},
            {.name = "fill", .arguments = "", .summary = "Fill them", .run = fill},
            {0},
        },
};
static const struct cli_command rest = {
    .name = "rest",
    .actions = (const struct cli_action[]){{.arguments = "[CHAIR]", .summary = "Sit down", .max = 1, .run = dig}, {0}},
};
const struct cli_command *const cli_commands[] = {&garden, &rest, NULL};
const struct cli_alias cli_aliases[] = {{"garden", "--dig", "garden dig"}, {0}};

static int run(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    option_depth = 0, option_dry = FALSE, count = -1;
    return cli_dispatch((int)g_strv_length(words), words);
}

static void test_runs(void)
{
    g_assert_cmpint(run("garden dig here there -n --depth=3"), ==, CLI_OK);
    g_assert_true(count == 2 && option_dry && option_depth == 3);
    g_assert_cmpint(run("garden --dig here"), ==, CLI_OK);
    g_assert_cmpint(count, ==, 1);
    g_assert_cmpint(run("garden fill"), ==, CLI_FAILED);
    g_assert_cmpint(run("rest"), ==, CLI_OK);
    g_assert_cmpint(count, ==, 0);
}

static const struct {
    const char *name, *line, *out, *error; /* out, error: what is printed somewhere; NULL: nothing */
    int code;
} cases[] = {
    {"help", "help", "  garden      Dig and fill\n", NULL, CLI_OK},
    {"single", "help", "  rest        Sit down\n", NULL, CLI_OK},
    {"group", "help garden", "  dig PLACE…  Dig holes\n", NULL, CLI_OK},
    {"action", "help garden dig", "  -d, --depth=METRES      How deep\n", NULL, CLI_OK},
    {"json", "help --json", "\"name\": \"depth\"", NULL, CLI_OK},
    {"command", "gardn", NULL, "llem: no command 'gardn'; did you mean 'llem garden'?\n", CLI_USAGE},
    {"action near", "garden dgi", NULL, "llem garden: no action 'dgi'; did you mean 'dig'?\nActions: dig, fill\n", CLI_USAGE},
    {"action alone", "dig", NULL, "llem: no command 'dig'; did you mean 'llem garden dig'?\n", CLI_USAGE},
    {"option near", "garden dig --detph 3 x", NULL, "llem garden dig: unknown option --detph; did you mean --depth?\n", CLI_USAGE},
    {"option of another", "garden fill --depth 3", NULL, "llem garden fill: --depth is an option of 'llem garden dig'\n", CLI_USAGE},
    {"value", "garden dig -d deep x", NULL, "llem garden dig: -d deep: a whole number above 0 is wanted\n", CLI_USAGE},
    {"no value", "garden dig x -d", NULL, "llem garden dig: -d needs a value, METRES: How deep\n", CLI_USAGE},
    {"too few", "garden dig", NULL, "PLACE… is missing\nUsage: llem garden dig [OPTION…] PLACE…\n", CLI_USAGE},
    {"too many", "garden fill it", NULL, "too many arguments: 'it'\nUsage: llem garden fill\n", CLI_USAGE},
};

static void test_says(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    if (g_test_subprocess()) {
        int code = run(cases[i].line);
        fflush(stdout);
        _exit(code);
    }
    g_autofree char *out = g_strdup_printf("*%s*", cases[i].out ? cases[i].out : "");
    g_autofree char *error = g_strdup_printf("*%s*", cases[i].error ? cases[i].error : "");
    g_test_trap_subprocess(NULL, 0, 0);
    g_assert_cmpint(g_test_trap_has_passed(), ==, cases[i].code == CLI_OK);
    g_test_trap_assert_stdout(out);
    g_test_trap_assert_stderr(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/runs", test_runs);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/cli/says/%s", cases[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_says);
    }
    return g_test_run();
}
