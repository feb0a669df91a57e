/* SPDX-License-Identifier: MIT */
/* llem run: plan, loop, table. */
#include "cli/cli.h"

#include "cli/plan.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *arg_output;
static int arg_cycles = G_MAXINT; /* not given */
static gboolean arg_dry_run, arg_quiet;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &arg_output, "Folder for results (default: output_dir, else ./results)", "DIR"},
    {"cycles", 'c', 0, G_OPTION_ARG_INT, &arg_cycles, "How often every cell runs (overrides execution.n_cycles)", "N"},
    {"dry-run", 0, 0, G_OPTION_ARG_NONE, &arg_dry_run, "Check everything and show the plan; run nothing", NULL},
    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &arg_quiet, "No progress on stderr", NULL},
    {0},
};

/* What the progress line shows now. */
struct screen {
    bool live;  /* stderr is a terminal: one line rewritten in place */
    bool quiet;
    bool dirty; /* the line holds something */
};

static void clear_line(struct screen *screen)
{
    if (screen->dirty)
        fputs("\r\033[K", stderr);
    screen->dirty = false;
}

static void show_progress(struct screen *screen, const struct study_event *event)
{
    const char *phase = json_string_value(json_object_get(event->progress, "phase"));
    const char *detail = json_string_value(json_object_get(event->progress, "detail"));
    if (!screen->live || !phase)
        return;
    clear_line(screen);
    fprintf(stderr, "[%zu/%zu] %s  %s%s%s", event->index + 1, event->total, event->label, phase, detail ? ": " : "",
            detail ? detail : "");
    screen->dirty = true;
}

static void show_done(struct screen *screen, const struct study_event *event)
{
    g_autofree char *wall = num_format_duration_ns(event->wall_ns);
    g_autofree char *cycle = event->cycle > 1 ? g_strdup_printf(" cycle %d", event->cycle) : g_strdup("");
    clear_line(screen);
    fprintf(stderr, "[%zu/%zu]%s %s%s%s (%s)\n", event->index + 1, event->total, cycle, event->label,
            *event->label ? " " : "", study_state_name(event->state), wall);
}

static void show_warning(struct screen *screen, const struct study_event *event)
{
    clear_line(screen);
    fprintf(stderr, "llem: warning: %s\n", event->message);
}

static void on_event(const struct study_event *event, void *data)
{
    struct screen *screen = data;
    if (event->kind == STUDY_EVENT_WARNING)
        show_warning(screen, event); /* no progress: --quiet does not silence it */
    if (screen->quiet)
        return;
    if (event->kind == STUDY_EVENT_PROGRESS)
        show_progress(screen, event);
    else if (event->kind == STUDY_EVENT_DONE)
        show_done(screen, event);
    else if (event->kind == STUDY_EVENT_GAP && screen->live) {
        g_autofree char *wait = num_format_duration_ns(event->wait_ns);
        clear_line(screen);
        fprintf(stderr, "waiting %s before the next run", wait);
        screen->dirty = true;
    }
}

static int exit_code_of(const struct study_outcome *outcome)
{
    if (outcome->interrupted)
        return 130;
    for (size_t i = 0; i < outcome->n_runs; i++)
        if (outcome->runs[i].state != STUDY_OK)
            return 1;
    return 0;
}

/* $LLEM_WORKER, beside this program, or ../libexec/llem. New string. */
static char *find_worker(GError **error)
{
    const char *given = g_getenv("LLEM_WORKER");
    if (given && *given)
        return g_strdup(given);
    static const char *const places[] = {"llem-worker", "../libexec/llem/llem-worker"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self ? self : ".");
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(dir, places[i], NULL);
        if (access(path, X_OK) == 0)
            return g_steal_pointer(&path);
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                "llem-worker is not beside %s nor in ../libexec/llem; reinstall llem, or set LLEM_WORKER", dir);
    return NULL;
}

static char *results_dir(const struct plan *plan)
{
    if (arg_output)
        return g_strdup(arg_output);
    char *results = cli_plan_results(plan);
    return results ? results : g_strdup("results");
}

static int execute(const struct config_file *file, const struct plan *plan, const char *results)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *worker = find_worker(&error);
    if (!worker)
        return cli_fail(error);
    struct screen screen = {.live = isatty(STDERR_FILENO), .quiet = arg_quiet};
    struct study_job job = {.file = file,
                            .plan = plan,
                            .results_dir = results,
                            .worker_path = worker,
                            .interrupt_fd = interrupt_open(),
                            .event = on_event,
                            .event_data = &screen};
    struct study_outcome outcome;
    proc_become_subreaper();
    bool ok = study_execute(&job, &outcome, &error);
    clear_line(&screen);
    if (outcome.folder) {
        g_autofree char *path = g_build_filename(outcome.folder, "study.json", NULL);
        g_autoptr(json_t) description = jsonx_load(path, LIMIT_RESULT_BYTES, NULL);
        if (description)
            cli_print_study(description, &outcome);
        fprintf(stderr, "Results: %s\n", outcome.folder);
    }
    int code = exit_code_of(&outcome);
    study_outcome_clear(&outcome);
    return ok ? code : cli_fail(error);
}

/* Positional arguments after FILE are key=value; --cycles is one of them too. New vector of borrowed strings. */
static const char **overrides_of(int argc, char **argv, char **ret_cycles)
{
    const char **list = g_new0(const char *, (gsize)argc + 1);
    size_t n = 0;
    for (int i = 2; i < argc; i++)
        list[n++] = argv[i];
    *ret_cycles = arg_cycles != G_MAXINT ? g_strdup_printf("execution.n_cycles=%d", arg_cycles) : NULL;
    if (*ret_cycles)
        list[n++] = *ret_cycles;
    return list;
}

/* -o names a folder here; whoever writes a field there would get a strange folder and an unchanged field. */
static bool override_as_output(void)
{
    const char *equals = arg_output ? strchr(arg_output, '=') : NULL;
    g_autofree char *key = g_strndup(arg_output ? arg_output : "", equals ? (gsize)(equals - arg_output) : 0);
    if (!config_field(g_str_has_prefix(key, "sweep.") ? key + strlen("sweep.") : key))
        return false;
    fprintf(stderr, "llem run: -o names the folder for results, and '%s' is a field: write  llem run FILE %s  without -o\n"
                    "(for a folder of that name:  -o ./%s)\n", key, arg_output, arg_output);
    return true;
}

/* An option and a field of the command line that say the same thing: one of them would be ignored. */
static bool said_twice(const char *const *overrides)
{
    const struct {
        const char *option, *field;
        bool given;
    } rows[] = {{"--output", "output_dir=", arg_output != NULL},
                {"--cycles", "execution.n_cycles=", arg_cycles != G_MAXINT}};
    for (const char *const *text = overrides; *text; text++)
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
            if (rows[i].given && g_str_has_prefix(*text, rows[i].field)) {
                fprintf(stderr, "llem run: %s and '%s' exclude each other\n", rows[i].option, *text);
                return true;
            }
    return false;
}

static bool empty_output(void)
{
    if (!arg_output || *arg_output)
        return false;
    fputs("llem run: -o names the folder for results, and nothing stands behind it\n", stderr);
    return true;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    bool done;
    int code = cli_parse(self, &argc, &argv, 1, -1, &done);
    if (code || done)
        return code;
    if (override_as_output() || empty_output() || said_twice((const char *const *)argv + 2))
        return 2;
    g_autofree char *cycles = NULL;
    g_autofree const char **overrides = overrides_of(argc, argv, &cycles);
    g_autoptr(owned_config_file) file = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv[1], overrides, &file);
    if (!plan)
        return 2;
    if (!arg_quiet || arg_dry_run)
        cli_plan_print(file, plan, arg_dry_run, arg_dry_run ? stdout : stderr);
    cli_flush_stdout(); /* what is missing comes after the plan, whatever stdout is */
    g_autofree char *results = results_dir(plan);
    if (!cli_plan_preflight(plan, results))
        return 2;
    return arg_dry_run ? 0 : execute(file, plan, results);
}

const struct cli_command cli_run = {
    .name = "run",
    .arguments = "FILE [KEY=VALUE…]",
    .summary = "Run an experiment or study file and print its table",
    .details = "FILE is an experiment or a study in YAML ('llem config fields' lists what may stand in it). KEY=VALUE\n"
               "overrides a field, e.g. max_output_tokens=64 or llamacpp.n_threads=2.\n\n"
               "The table goes to stdout, progress to stderr, everything else into a new folder below the results\n"
               "folder. Exit status: 0 every run is fine, 1 a run failed or was skipped, 2 the file or the command line\n"
               "is wrong, 130 interrupted.",
    .run = run,
    .options = options,
};
