/* SPDX-License-Identifier: MIT */
/* llem run: plan, loop, table. */
#include "cli/cli.h"

#include "cli/plan.h"
#include "cli/runner.h"
#include "cli/table.h"
#include "study/study.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct cli_plan_options target;
static struct cli_table_options table;
static gboolean be_quiet, skip_preflight;

static const GOptionEntry options[] = {
    CLI_PLAN_OPTIONS(target),
    CLI_TABLE_OPTIONS(table),
    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &be_quiet, "No progress on stderr", NULL},
    {"skip-preflight", 0, 0, G_OPTION_ARG_NONE, &skip_preflight,
     "Begin without looking for what the runs would lack ('llem doctor' shows what is looked at)", NULL},
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
        cli_control(stderr, CLI_CLEAR_LINE);
    screen->dirty = false;
}

static void show_progress(struct screen *screen, const struct study_event *event)
{
    const char *phase = json_string_value(json_object_get(event->progress, "phase"));
    const char *detail = json_string_value(json_object_get(event->progress, "detail"));
    if (!screen->live || !phase)
        return;
    clear_line(screen);
    cli_say("[%zu/%zu] %s  %s%s%s", event->index + 1, event->total, event->label, phase, detail ? ": " : "",
            detail ? detail : "");
    screen->dirty = true;
}

static void show_done(struct screen *screen, const struct study_event *event)
{
    g_autofree char *wall = num_format_duration_ns(event->wall_ns);
    g_autofree char *cycle = event->cycle > 1 ? g_strdup_printf(" cycle %d", event->cycle) : g_strdup("");
    clear_line(screen);
    cli_say("[%zu/%zu]%s %s%s%s (%s)\n", event->index + 1, event->total, cycle, event->label,
            *event->label ? " " : "", store_state_name(event->state), wall);
}

static void show_warning(struct screen *screen, const struct study_event *event)
{
    clear_line(screen);
    cli_say("llem: warning: %s\n", event->message);
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
        cli_say("waiting %s before the next run", wait);
        screen->dirty = true;
    }
}

static int exit_code_of(const struct store *store, int interrupted)
{
    if (interrupted)
        return CLI_SIGNAL + interrupted;
    for (size_t i = 0; i < store_runs(store); i++)
        if (store_run(store, i)->state != STORE_OK)
            return CLI_FAILED;
    return CLI_OK;
}

/* What is done before the runs may take minutes: an image is pulled. */
static void say_preparing(const char *text, void *data)
{
    struct screen *screen = data;
    clear_line(screen);
    if (screen->quiet)
        return;
    cli_say("%s%s", text, screen->live ? "" : "\n");
    screen->dirty = screen->live;
}

/* What the runs would lack, looked for in the very containers of theirs. Exit code; CLI_OK: go on. */
static int look_ahead(const struct plan *plan, const char *results, const struct dispatch *dispatch, int interrupt_fd,
                      struct screen *screen)
{
    const struct preflight_options how = {.results_dir = results,
                                          .dispatch = dispatch,
                                          .starts = true,
                                          .pulls = true,
                                          .interrupt_fd = interrupt_fd,
                                          .say = say_preparing,
                                          .say_data = screen};
    bool ready = skip_preflight || cli_plan_preflight(plan, &how, NULL);
    clear_line(screen);
    int signal_number = interrupt_take(interrupt_fd);
    if (signal_number)
        cli_say("llem: interrupted before the study began: nothing was run\n");
    return signal_number ? CLI_SIGNAL + signal_number : ready ? CLI_OK : CLI_USAGE;
}

/* Exit code; CLI_OK: go on. */
static int prepare(const struct dispatch *dispatch, int interrupt_fd, struct screen *screen)
{
    g_autoptr(GError) error = NULL;
    bool ok = dispatch_prepare(dispatch, interrupt_fd, say_preparing, screen, &error);
    clear_line(screen);
    if (ok)
        return CLI_OK;
    int signal_number = interrupt_take(interrupt_fd);
    int code = cli_fail(error);
    return signal_number ? CLI_SIGNAL + signal_number : code;
}

/* Exit code; CLI_OK: the data sets are here. */
static int bring_data(const struct plan *plan, int interrupt_fd)
{
    bool ok = cli_plan_bring_data(plan);
    int signal_number = interrupt_take(interrupt_fd);
    if (signal_number)
        cli_say("llem: interrupted while data sets were fetched: nothing was run\n");
    return signal_number ? CLI_SIGNAL + signal_number : ok ? CLI_OK : CLI_FAILED;
}

static int execute(const struct config_file *file, const struct plan *plan, const char *results,
                   const struct dispatch *dispatch)
{
    g_autoptr(GError) error = NULL;
    /* from here on a signal ends the study in order, also while images are pulled and its folder is written */
    int interrupt_fd = interrupt_open();
    struct screen screen = {.live = isatty(STDERR_FILENO), .quiet = be_quiet};
    proc_become_subreaper();
    int ready = look_ahead(plan, results, dispatch, interrupt_fd, &screen);
    if (ready == CLI_OK)
        ready = bring_data(plan, interrupt_fd);
    if (ready == CLI_OK)
        ready = prepare(dispatch, interrupt_fd, &screen);
    if (ready != CLI_OK)
        return ready;
    g_autoptr(owned_store) store = store_create(results, file, plan, &error);
    if (!store) {
        int code = cli_fail(error), signal_number = interrupt_take(interrupt_fd);
        return signal_number ? CLI_SIGNAL + signal_number : code;
    }
    struct study_job job = {.store = store,
                            .dispatch = dispatch,
                            .interrupt_fd = interrupt_fd,
                            .event = on_event,
                            .event_data = &screen};
    int interrupted;
    bool ok = study_execute(&job, &interrupted, &error);
    clear_line(&screen);
    cli_print_study(store, &table);
    if (store_is_study(store_folder(store))) /* else the message says what became of it */
        cli_say("Results: %s\n", store_folder(store));
    return ok ? exit_code_of(store, interrupted) : cli_fail(error);
}

/* Who runs what; said, unless nothing is to be. NULL: exit code 2. */
static struct dispatch *choose(const struct plan *plan, const char *study)
{
    struct dispatch *dispatch = skip_preflight ? cli_dispatch_new_unsettled(plan, study)
                                               : cli_dispatch_new(plan, study);
    if (dispatch && !be_quiet)
        cli_dispatch_print(dispatch, stderr);
    return dispatch;
}

static int run(int argc, char **argv)
{
    (void)argc;
    if (!cli_table_check(&table))
        return CLI_USAGE;
    g_autoptr(owned_config_file) file = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv, &target, &file);
    if (!plan)
        return CLI_USAGE;
    if (!be_quiet)
        cli_plan_print(file, plan, false, stderr);
    g_autofree char *results = cli_plan_target(plan, &target);
    g_autoptr(owned_dispatch) dispatch = choose(plan, config_file_name(file));
    return dispatch ? execute(file, plan, results, dispatch) : CLI_USAGE;
}

const struct cli_command cli_run = {
    .name = "run",
    .actions =
        (const struct cli_action[]){
            {
                .arguments = "FILE [KEY=VALUE…]",
                .summary = "Run an experiment or study file and print its table",
                .details = "FILE is an experiment or a study in YAML ('llem config fields' lists what may stand in it). KEY=VALUE\n"
                           "overrides a field, e.g. max_output_tokens=64 or llamacpp.n_threads=2. 'llem plan' shows what would\n"
                           "be run.\n\n"
                           "The table goes to stdout, progress to stderr, everything else into a new folder below the results\n"
                           "folder. Exit status: 0 every run is fine, 1 a run failed, was lost, did not run, or its repeats were\n"
                           "not the same work (state unequal), 2 the file or the command line is wrong, 128 + N ended by\n"
                           "signal N (130: Ctrl-C).",
                .missing = "FILE is missing: name an experiment or study file",
                .min = 1,
                .max = -1,
                .options = options,
                .run = run,
            },
            {0},
        },
};
