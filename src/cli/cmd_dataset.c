/* SPDX-License-Identifier: MIT */
/* llem dataset: the data sets that have a name, which are here, and bringing the others. */
#include "cli/cli.h"

#include "fetch/fetch.h"
#include "workload/workload.h"

#include <string.h>

static gboolean as_json;
static char *prompt_key;

#define JSON_OPTION {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "As JSON", NULL}
#define PROMPT_OPTION                                                                                                  \
    {"prompt", 0, 0, G_OPTION_ARG_STRING, &prompt_key, "Which member of a line, or column of a table, is the prompt", "KEY"}

static const GOptionEntry json_options[] = {JSON_OPTION, {0}};
static const GOptionEntry show_options[] = {JSON_OPTION, PROMPT_OPTION, {0}};
static const GOptionEntry import_options[] = {PROMPT_OPTION, {0}};

/* --- list, show --------------------------------------------------------------------------------------------------- */

static json_t *named_json(const struct workload_named *named)
{
    g_autofree char *path = workload_named_path(named);
    bool here = workload_named_present(named);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:b, s:s}", "name", named->name, "summary",
                            named->summary, "licence", named->licence, "home", named->home, "revision",
                            named->revision, "prompts_sha256", named->prompts_sha256, "present", here, "path", path);
    if (named->prompts_sha256)
        json_object_set_new(row, "count", json_integer(named->count));
    return row;
}

static void print_named(const struct workload_named *named)
{
    g_autofree char *path = workload_named_path(named);
    cli_print("%s\n  %s\n  Licence: %s.\n", named->name, named->summary, named->licence);
    if (named->home)
        cli_print("  From %s, revision %s.\n", named->home, named->revision);
    if (workload_named_present(named))
        cli_print("  Here: %s\n", path);
    else
        cli_print("  Not here: llem dataset pull %s\n", named->name);
}

static int list(int argc, char **argv)
{
    (void)argc, (void)argv;
    g_autoptr(GError) error = NULL;
    g_auto(owned_names) names = {0};
    if (!workload_names_read(&names, &error))
        return cli_fail(error);
    json_t *all = as_json ? json_array() : NULL;
    for (size_t i = 0; i < names.n; i++) {
        if (all)
            json_array_append_new(all, named_json(&names.rows[i]));
        else
            print_named(&names.rows[i]);
    }
    return all ? cli_print_json(all) : CLI_OK;
}

static int show_content(const struct workload_named *named, const struct workload_dataset *set, const char *path)
{
    g_autoptr(json_t) identity = workload_dataset_identity(set);
    json_t *row = named ? named_json(named) : json_pack("{s:s}", "path", path);
    json_object_set_new(row, "count", json_integer((json_int_t)workload_dataset_size(set)));
    json_object_set(row, "identity", identity);
    if (as_json)
        return cli_print_json(row);
    json_decref(row);
    if (named)
        print_named(named);
    else
        cli_print("%s\n", path);
    cli_print("  %zu prompts, SHA-256 over the JSON array of them %s\n", workload_dataset_size(set),
              json_string_value(json_object_get(identity, "prompts")));
    return CLI_OK;
}

static int show_absent(const struct workload_named *named)
{
    if (as_json)
        return cli_print_json(named_json(named));
    print_named(named);
    cli_print("  %" G_GINT64_FORMAT " prompts, SHA-256 over the JSON array of them %s\n", named->count,
              named->prompts_sha256);
    return CLI_OK;
}

static int show(int argc, char **argv)
{
    (void)argc;
    g_autoptr(GError) error = NULL;
    g_auto(owned_names) names = {0};
    if (!workload_names_read(&names, &error))
        return cli_fail(error);
    const struct workload_named *named = workload_names_find(&names, argv[0]);
    if (named && prompt_key)
        return cli_misuse("--prompt is for a file: %s is a name, and what its prompts are is known", argv[0]);
    if (named && !named->file && !workload_named_present(named))
        return show_absent(named);
    bool file = !named && g_file_test(argv[0], G_FILE_TEST_EXISTS);
    g_autofree char *path = file ? g_strdup(argv[0]) : workload_dataset_path(argv[0], &error);
    g_autoptr(owned_dataset) set = path ? workload_dataset_take(path, prompt_key, &error) : NULL;
    if (!set || (named && !workload_named_check(named, set, path, &error)))
        return cli_fail(error);
    return show_content(named, set, path);
}

/* --- pull, import ------------------------------------------------------------------------------------------------- */

static void say(const char *line, void *data)
{
    (void)data;
    cli_say("llem dataset pull: %s\n", line);
}

static int print_path(const struct workload_named *named)
{
    g_autofree char *path = workload_named_path(named);
    cli_print("%s\n", path);
    return CLI_OK;
}

static int refuse_name(const struct workload_names *names, const char *name)
{
    g_autofree char *listed = workload_names_listed(names);
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < names->n; i++)
        suggest_offer(&suggest, names->rows[i].name);
    return suggest.best ? cli_misuse("no data set has the name '%s'; did you mean '%s'?", name, suggest.best)
                        : cli_misuse("no data set has the name '%s': there is %s", name, listed);
}

/* The exit code of a command that may take long, and was to end before it was done by a signal. */
static int interruptible(int (*run)(char **argv), char **argv)
{
    int interrupt_fd = interrupt_open();
    int code = run(argv), signal_number = interrupt_take(interrupt_fd);
    return signal_number ? CLI_SIGNAL + signal_number : code;
}

static int pull_named(char **argv)
{
    static const struct fetch_voice voice = {say, NULL};
    g_autoptr(GError) error = NULL;
    g_auto(owned_names) names = {0};
    if (!workload_names_read(&names, &error))
        return cli_fail(error);
    const struct workload_named *named = workload_names_find(&names, argv[0]);
    if (!named)
        return refuse_name(&names, argv[0]);
    if (workload_named_pull(named, &voice, &error))
        return print_path(named);
    if (named->file || g_error_matches(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return cli_fail(error);
    g_autofree char *remedy = workload_named_remedy(named);
    g_autoptr(GError) whole = g_error_new(error->domain, error->code, "%s\n%s", error->message, remedy);
    return cli_fail(whole);
}

static int pull(int argc, char **argv)
{
    (void)argc;
    return interruptible(pull_named, argv);
}

static int import_file(char **argv)
{
    g_autoptr(GError) error = NULL;
    g_auto(owned_names) names = {0};
    if (!workload_names_read(&names, &error))
        return cli_fail(error);
    g_autoptr(owned_dataset) set = workload_dataset_take(argv[0], prompt_key, &error);
    const struct workload_named *named = set ? workload_names_of(&names, set) : NULL;
    if (named && workload_named_keep(named, set, &error))
        return print_path(named);
    if (set && !named) {
        g_autoptr(json_t) identity = workload_dataset_identity(set);
        g_set_error(&error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s: the SHA-256 of its %zu prompts is %.12s…, and no data set of 'llem dataset list' is pinned to that; "
                    "a file of your own needs no import: write its path as dataset:", argv[0], workload_dataset_size(set),
                    json_string_value(json_object_get(identity, "prompts")));
    }
    return cli_fail(error);
}

static int import(int argc, char **argv)
{
    (void)argc;
    return interruptible(import_file, argv);
}

static const struct cli_action actions[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "List the data sets that have a name, and which are here",
        .options = json_options,
        .run = list,
    },
    {
        .name = "show",
        .arguments = "NAME|FILE",
        .summary = "Show what a data set is: how many prompts, and their digest",
        .missing = "which data set? 'llem dataset list' shows them",
        .min = 1,
        .max = 1,
        .options = show_options,
        .run = show,
    },
    {
        .name = "pull",
        .arguments = "NAME",
        .summary = "Bring a data set to this machine, and verify it",
        .details = "A data set is fetched at its pinned revision, and its prompts are held to a pinned SHA-256 over the JSON\n"
                   "array of them. `llem run` does the same for a study that names it, before the first run. Files lie in\n"
                   "${LLEM_DATASETS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/datasets}; LLEM_PYTHON names the Python that fetches.",
        .missing = "which data set? 'llem dataset list' shows them",
        .min = 1,
        .max = 1,
        .run = pull,
    },
    {
        .name = "import",
        .arguments = "FILE",
        .summary = "Take a data set from a file, where there is no network",
        .details = "FILE is an export of the data set: JSONL, CSV (a first row of names), or Parquet, which DuckDB reads (of\n"
                   "LLEM_PYTHON, else brought by pip). Which data set it is its prompts say: their SHA-256 must be a pinned\n"
                   "one.",
        .missing = "FILE is missing: name a JSONL, CSV or Parquet file",
        .min = 1,
        .max = 1,
        .options = import_options,
        .run = import,
    },
    {0},
};

const struct cli_command cli_dataset = {
    .name = "dataset",
    .summary = "List the data sets that have a name, or bring one to this machine",
    .actions = actions,
};
