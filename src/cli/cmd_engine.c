/* SPDX-License-Identifier: MIT */
/* llem engine: which adapters there are, whether a program keeps the engine protocol, what an engine takes. */
#include "cli/cli.h"

#include "backend/backend.h"
#include "base/proc.h"
#include "cli/engine_schema.h"
#include "cli/settings.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *option_model, *option_precision, *option_case;
static char **option_set;
static int option_timeout_s;
static gboolean option_json, option_dry_run;

static const GOptionEntry list_options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    {0},
};

static const GOptionEntry check_options[] = {
    {"model", 'm', 0, G_OPTION_ARG_FILENAME, &option_model, "The model to load", "PATH"},
    {"precision", 'p', 0, G_OPTION_ARG_STRING, &option_precision, "fp32, fp16 or bf16", "NAME"},
    {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &option_set,
     "An option of the engine for every load (repeat); VALUE is JSON, or text", "KEY=VALUE"},
    {"timeout", 't', 0, G_OPTION_ARG_INT, &option_timeout_s, "How long an answer may take", "SECONDS"},
    {"case", 'c', 0, G_OPTION_ARG_STRING, &option_case, "This case only", "NAME"},
    {0},
};

static const GOptionEntry pull_options[] = {
    {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &option_dry_run, "Say what would be fetched, and fetch nothing", NULL},
    {0},
};

/* --- list --------------------------------------------------------------------------------------------------------- */

/* "llama.cpp 0.9.1", asked of the adapter itself; NULL with the reason. New string. */
static char *ask_version(const struct backend *backend, char **argv, GError **error)
{
    const struct engine_options start = {
        .argv = (const char *const *)argv, .env = backend_env(backend), .interrupt_fd = -1};
    struct engine *engine = engine_start(&start, error);
    struct engine_identity identity;
    char *version = NULL;
    if (engine && engine_hello(engine, clock_mono_ns() + 60 * NS_PER_S, &identity, error)) {
        version = g_strdup_printf("%s %s", identity.engine, identity.engine_version ? identity.engine_version : "");
        engine_identity_clear(&identity);
    }
    engine_free(engine);
    return version ? g_strchomp(version) : NULL;
}

/* One engine as the list shows it: what is known of it, and whether it runs. */
struct row {
    const struct backend_found *found;
    const struct backend *backend; /* NULL: its descriptor is not in order */
    char **command;                /* NULL: there is none */
    char *version;                 /* as the adapter says it; NULL: it does not run */
    GError *error;                 /* why it does not work, or NULL */
};

static void row_ask(struct row *row)
{
    row->backend = backend_find(row->found->name, &row->error);
    row->command = row->backend ? backend_command(row->backend, &row->error) : NULL;
    bool ready = row->command && backend_check_python(row->backend, &row->error);
    row->version = ready ? ask_version(row->backend, row->command, &row->error) : NULL;
}

static void row_clear(struct row *row)
{
    g_strfreev(row->command);
    g_free(row->version);
    g_clear_error(&row->error);
}

static json_t *row_json(const struct row *row)
{
    json_t *object = json_object(), *hides = json_array();
    json_object_set_new(object, "backend", json_string(row->found->name));
    if (row->backend)
        json_object_set_new(object, "description", json_string(backend_summary(row->backend)));
    json_object_set_new(object, "folder", json_string(row->found->folder));
    json_object_set_new(object, "works", json_boolean(!row->error));
    if (row->command)
        json_object_set_new(object, "path", json_string(row->command[0]));
    if (row->error)
        json_object_set_new(object, "reason", json_string(row->error->message));
    else
        json_object_set_new(object, "version", json_string(row->version));
    for (char **folder = row->found->hides; *folder; folder++)
        json_array_append_new(hides, json_string(*folder));
    json_object_set_new(object, "hides", hides);
    return object;
}

/* A text below a row, each of its lines as far in as the first: a message may show the place in a file. */
static void print_below_row(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        cli_print("%16s%s\n", "", *line);
}

static void row_print(const struct row *row)
{
    const char *summary = row->backend ? backend_summary(row->backend) : "its engine.json is not in order";
    if (row->error)
        cli_print("%-9s  no   %s\n", row->found->name, summary);
    else
        cli_print("%-9s  yes  %s: %s\n", row->found->name, summary, row->version);
    print_below_row(row->error ? row->error->message : row->command[0]);
    if (!row->command || !g_str_has_prefix(row->command[0], row->found->folder))
        cli_print("%16sin %s\n", "", row->found->folder);
    for (char **folder = row->found->hides; *folder; folder++)
        cli_print("%16shides %s\n", "", *folder);
}

static int list(int argc, char **argv)
{
    (void)argc, (void)argv;
    json_t *all = option_json ? json_array() : NULL;
    g_autoptr(GPtrArray) engines = backend_search();
    for (unsigned i = 0; i < engines->len; i++) {
        struct row row = {.found = engines->pdata[i]};
        row_ask(&row);
        if (all)
            json_array_append_new(all, row_json(&row));
        else
            row_print(&row);
        row_clear(&row);
    }
    g_auto(GStrv) folders = backend_search_path();
    g_autofree char *looked = g_strjoinv(", ", folders);
    if (engines->len == 0)
        cli_say("llem: no engine was found (looked in %s)\n", looked);
    return all ? cli_print_json(all) : CLI_OK;
}

/* --- check -------------------------------------------------------------------------------------------------------- */

struct tally {
    int passed, failed, skipped;
    bool load_failed;
};

static void report(const struct engine_check_case *row, enum engine_check_status status, const char *message,
                   void *data)
{
    static const struct {
        const char *word, *colour;
    } looks[] = {[ENGINE_CHECK_PASS] = {"ok  ", CLI_GREEN},
                 [ENGINE_CHECK_FAIL] = {"FAIL", CLI_RED},
                 [ENGINE_CHECK_SKIP] = {"skip", CLI_YELLOW}};
    struct tally *tally = data;
    bool colour = cli_colour(fileno(cli_out()));
    cli_control(cli_out(), colour ? looks[status].colour : "");
    cli_print("%s", looks[status].word);
    cli_control(cli_out(), colour ? CLI_PLAIN : "");
    cli_print("  %-15s  %s\n", row->name, message ? message : row->summary);
    cli_flush_stdout(); /* the next case may take minutes */
    tally->passed += status == ENGINE_CHECK_PASS;
    tally->failed += status == ENGINE_CHECK_FAIL;
    tally->load_failed |= status == ENGINE_CHECK_FAIL && !strcmp(row->name, "load");
    tally->skipped += status == ENGINE_CHECK_SKIP;
}

/* True if there is such a case, and an engine.json where it is about one. */
static bool case_is_known(const char *name, const struct backend *backend, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (const struct engine_check_case *row = engine_check_cases; row->name; row++) {
        if (!strcmp(row->name, name) && (backend || !row->of_backend))
            return true;
        if (!strcmp(row->name, name)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE,
                        "the case '%s' is about engine.json: name an engine ('llem engine list'), not a program", name);
            return false;
        }
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", row->name);
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "no case is called '%s'; the cases are %s", name, names->str);
    return false;
}

/* The program's command line: an engine's (*ret_backend is set then), or a program with its arguments. */
static char **program_of(int argc, char **argv, const struct backend **ret_backend, GError **error)
{
    if (argc == 1 && backend_exists(argv[0])) {
        *ret_backend = backend_find(argv[0], error);
        return *ret_backend ? backend_command(*ret_backend, error) : NULL;
    }
    char **words = g_new0(char *, (gsize)argc + 1);
    for (int i = 0; i < argc; i++)
        words[i] = g_strdup(argv[i]);
    return words;
}

/* Once, instead of in every case. */
static bool is_there(const char *program, GError **error)
{
    g_autofree char *found = g_find_program_in_path(program);
    if (found)
        return true;
    g_auto(GStrv) names = backend_names();
    struct suggest suggest = {.word = program};
    for (char **name = names; *name; name++)
        suggest_offer(&suggest, *name);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE,
                "'%s' is neither a backend (see 'llem engine list') nor a program that can be run%s%s%s", program,
                suggest.best ? "; did you mean '" : "", suggest.best ? suggest.best : "", suggest.best ? "'?" : "");
    return false;
}

static int check(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) set = json_object();
    const struct backend *backend = NULL;
    g_auto(GStrv) program = program_of(argc, argv, &backend, &error);
    bool ok = program && is_there(program[0], &error) &&
              (!option_case || case_is_known(option_case, backend, &error));
    if (!ok || !settings_add_all(set, option_set, &error))
        return cli_fail(error);
    const struct engine_check_options suite = {
        .argv = (const char *const *)program,
        .model_path = option_model,
        .precision = option_precision,
        .options = set,
        .backend = backend,
        .patience_ns = option_timeout_s * NS_PER_S,
        .only = option_case,
    };
    struct tally tally = {0};
    proc_become_subreaper(); /* so that what an adapter leaves behind is seen, and ended */
    engine_check(&suite, report, &tally);
    cli_print("%s: %d passed, %d failed, %d skipped\n", backend ? backend_name(backend) : program[0], tally.passed,
              tally.failed, tally.skipped);
    cli_flush_stdout();
    if (tally.load_failed && !option_model)
        cli_say("llem: no model was given; an engine that loads a file needs one:  llem engine check --model PATH %s\n",
                argv[0]);
    return tally.failed ? CLI_FAILED : CLI_OK;
}

/* --- pull --------------------------------------------------------------------------------------------------------- */

static void say(const char *line, void *data)
{
    (void)data;
    cli_say("llem engine pull: %s\n", line);
}

/* The locks of an engine, or why there is nothing to pull. */
static const char *const *locks_of(const struct backend *backend, GError **error)
{
    const struct backend_python *python = backend_python(backend);
    if (python && python->locks && *python->locks)
        return python->locks;
    g_autoptr(GError) absent = NULL;
    g_auto(GStrv) argv = backend_command(backend, &absent);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "%s has no environment to pull: %s", backend_name(backend),
                argv ? "it comes with llem" : backend_remedy(backend));
    return NULL;
}

/* What there is to fetch is said before it is. */
static bool pull_first(const struct backend *backend, const char *path, GError **error)
{
    g_auto(owned_lock) lock = {0};
    if (!backend_lock_read(path, &lock, error))
        return false;
    g_autofree char *folder = backend_lock_folder(&lock, error), *fetch = num_format_bytes(lock.fetch_bytes),
                    *disk = num_format_bytes(lock.disk_bytes);
    if (!folder)
        return false;
    cli_say("llem engine pull: %s: %" G_GINT64_FORMAT " pinned packages, about %s to fetch, %s on disk, into %s\n",
            backend_name(backend), lock.n_packages, fetch, disk, folder);
    return option_dry_run || backend_environment_make(backend, &lock, &(struct fetch_voice){say, NULL}, error);
}

static int pull(int argc, char **argv)
{
    (void)argc;
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(argv[0], &error);
    const char *const *locks = backend ? locks_of(backend, &error) : NULL;
    if (!locks)
        return cli_fail(error);
    g_autofree char *there = NULL, *made = NULL;
    if (!backend_environment(backend, &there, &error))
        return cli_fail(error);
    if (there && option_dry_run)
        say("it is there already", NULL);
    if (!there && !pull_first(backend, locks[0], &error))
        return cli_fail(error);
    if (backend_environment(backend, &made, NULL) && made)
        cli_print("%s\n", made);
    return CLI_OK;
}

static int reference(int argc, char **argv)
{
    (void)argc, (void)argv;
    g_autoptr(GPtrArray) engines = g_ptr_array_new();
    g_auto(GStrv) names = backend_names();
    for (char **name = names; *name; name++) {
        const struct backend *engine = backend_find(*name, NULL);
        if (engine && backend_model(engine)->takes != BACKEND_TAKES_NONE) /* what runs no model compares with nothing */
            g_ptr_array_add(engines, (void *)(uintptr_t)engine);
    }
    g_autofree char *text = backend_tables(engines);
    cli_print("%s", text);
    return CLI_OK;
}

static const struct cli_action actions[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "List the engines: where each was found and what it hides; its version, or why it does not run",
        .details = "Searched, the first of a name wins: the folders of LLEM_ENGINES_PATH, ~/.config/llem/engines, the\n"
                   "installation. docs/engine-descriptor.md says how to add an engine.",
        .options = list_options,
        .run = list,
    },
    {
        .name = "pull",
        .arguments = "NAME",
        .summary = "Make the Python environment of an engine",
        .details = "Says first how much there is to fetch, then makes it with pip: pinned packages, held to their hashes, for\n"
                   "engines that compute on the CPU. It is in use from then on. For a GPU use the engine's image, or an\n"
                   "environment of your own: its variable (docs/backends.md) names an interpreter and comes first.\n\n"
                   "Environments lie in ${LLEM_ENVIRONMENTS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/environments}; LLEM_PYTHON\n"
                   "names the Python they are made of. The interpreter's path is printed.",
        .missing = "of which engine? 'llem engine list' shows them",
        .min = 1,
        .max = 1,
        .options = pull_options,
        .run = pull,
    },
    {
        .name = "check",
        .arguments = "PROGRAM [ARGUMENT…]",
        .summary = "Hold an adapter to the engine protocol, one line a case",
        .details = "Runs the conformance suite of docs/engine-protocol.md against PROGRAM: the name of an engine, whose\n"
                   "engine.json is then held to the options the adapter takes, or any program that speaks the protocol;\n"
                   "write -- before a program with options of its own. Exit status: 1 when a case failed.\n\n"
                   "  llem engine check sim\n"
                   "  llem engine check --model model.gguf --option n_threads=1 llamacpp\n"
                   "  llem engine check -- python3 my_adapter.py",
        .missing = "which program? Name a backend ('llem engine list'), or the path of an adapter",
        .min = 1,
        .max = -1,
        .options = check_options,
        .run = check,
    },
    {
        .name = "schema",
        .arguments = "NAME [KEY=VALUE…]",
        .summary = "List the parameters of the installed engine, with type and default, and what llem does with each",
        .details = "The engine is started and asked; its answer is kept in ~/.cache/llem/schemas for as long as the engine\n"
                   "is the same, so that a configuration may hold any of its parameters, checked by name, type and\n"
                   "choices (docs/backends.md). --compare: what is new, gone or otherwise than its engine.json says.\n\n"
                   "It is asked where its runs go: KEY=VALUE are fields, as of 'llem run', and the answer of an engine in an\n"
                   "image is kept by the image's ID.\n\n"
                   "  llem engine schema vllm runners.vllm=docker:vllm/vllm-openai:v0.32.0",
        .missing = "which engine? 'llem engine list' shows those that are here",
        .min = 1,
        .max = -1,
        .options = cli_schema_options,
        .run = cli_engine_schema,
    },
    {
        .name = "reference",
        .arguments = "",
        .summary = "Print the tables of docs/backends.md (Markdown): portable names, retired ones, rules with their sources",
        .run = reference,
    },
    {0},
};

const struct cli_command cli_engine = {
    .name = "engine",
    .summary = "List the engines, bring what one needs, ask for its parameters, hold it to the protocol",
    .actions = actions,
};
