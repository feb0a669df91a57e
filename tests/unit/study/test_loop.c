/* SPDX-License-Identifier: MIT */
/* The loop over a store, with a shell script for a worker: what is planned is run and nothing else, whoever made the
 * store, wherever it lies by now. */
#include "study/study.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Leaves a result, or an error record in the cell that is asked for by its threads. */
static const char worker_text[] =
    "#!/bin/sh\n"
    "name=${LLEM_CONFIG_PATH%_config.json}\n"
    "if grep -q '\"threads\": 3' \"$LLEM_CONFIG_PATH\"; then\n"
    "  echo '{\"class\": \"EngineError\", \"message\": \"no third thread\"}' >\"${name}_error.json\"; exit 1\n"
    "fi\n"
    "echo '{\"metrics\": {}, \"flags\": []}' >\"${name}_result.json\"\n";

static const char study_text[] = "model: scripted\nbackend: sim\nn: 1\nwarmup: {enabled: false}\n"
                                 "sweep: {sim.threads: [1, 2, 3, 4]}\n"
                                 "execution: {n_cycles: 1, order: sequential}\n";

struct fixture {
    char *dir, *worker;
    struct runner *runner;
    struct dispatch *dispatch; /* of which it runs everything */
};

static void set_up(struct fixture *f)
{
    g_autoptr(GError) error = NULL;
    f->dir = g_dir_make_tmp("llem-study-XXXXXX", NULL);
    f->worker = g_build_filename(f->dir, "worker", NULL);
    g_assert_true(g_file_set_contents(f->worker, worker_text, -1, NULL));
    g_assert_cmpint(chmod(f->worker, 0755), ==, 0);
    f->runner = runner_new(&(struct runner_options){.worker_path = f->worker}, &error);
    g_assert_no_error(error);
    f->dispatch = dispatch_new(&(struct dispatch_options){.only = f->runner});
}

static void tear_down(struct fixture *f)
{
    dispatch_free(f->dispatch);
    runner_free(f->runner);
    g_assert_true(file_remove_tree(f->dir, NULL));
    g_free(f->worker);
    g_free(f->dir);
}

static struct store *planned_from(const struct fixture *f, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) file =
        config_file_parse("study.yaml", text, strlen(text), f->dir, NULL, diag);
    g_autoptr(owned_plan) plan = plan_new(file, diag);
    struct store *store = store_create(f->dir, file, plan, &error);
    g_assert_no_error(error);
    return store; /* file and plan are gone by now */
}

static struct store *planned(const struct fixture *f)
{
    return planned_from(f, study_text);
}

/* How often a run of each number was begun. */
struct seen {
    int begun[4];
};

static void on_event(const struct study_event *event, void *data)
{
    struct seen *seen = data;
    seen->begun[event->index] += event->kind == STUDY_EVENT_RUN;
}

static void execute(const struct fixture *f, struct store *store, struct seen *seen)
{
    g_autoptr(GError) error = NULL;
    int signal_number;
    struct study_job job = {
        .store = store, .dispatch = f->dispatch, .interrupt_fd = -1, .event = on_event, .event_data = seen};
    g_assert_true(study_execute(&job, &signal_number, &error));
    g_assert_no_error(error);
    g_assert_cmpint(signal_number, ==, 0);
}

static void assert_states(const struct store *store, const enum store_state expected[4])
{
    for (size_t i = 0; i < 4; i++)
        if (store_run(store, i)->state != expected[i])
            g_error("run %zu is %s: %s", i + 1, store_state_name(store_run(store, i)->state),
                    store_run(store, i)->message);
}

static void test_every_planned_run_is_run(void)
{
    struct fixture f;
    struct seen seen = {0};
    set_up(&f);
    g_autoptr(owned_store) store = planned(&f);
    execute(&f, store, &seen);
    assert_states(store, (enum store_state[]){STORE_OK, STORE_OK, STORE_FAILED, STORE_OK});
    g_assert_cmpstr(store_run(store, 2)->message, ==, "no third thread");
    for (size_t i = 0; i < 4; i++)
        g_assert_cmpint(seen.begun[i], ==, 1);
    g_autoptr(GDir) dir = g_dir_open(store_folder(store), 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));)
        g_assert_false(g_str_has_prefix(name, ".exchange-"));
    tear_down(&f);
}

/* Two runs are over; the folder is moved, and its llem and the user's file are gone. The other two are run, and one of
 * the first again, because it is asked for. */
static void test_a_study_is_gone_on_with_elsewhere(void)
{
    struct fixture f;
    struct seen seen = {0};
    g_autoptr(GError) error = NULL;
    set_up(&f);
    struct store *first = planned(&f);
    const struct store_end ends[] = {{.state = STORE_SKIPPED, .message = "not here"}, {.state = STORE_REFUSED}};
    for (size_t i = 0; i < 2; i++)
        g_assert_true(store_run_end(first, i, &ends[i], &error));
    g_autofree char *elsewhere = g_build_filename(f.dir, "elsewhere", NULL);
    g_assert_cmpint(rename(store_folder(first), elsewhere), ==, 0);
    store_free(first);
    g_autoptr(owned_store) store = store_open(elsewhere, STORE_WRITE, &error);
    g_assert_no_error(error);
    g_assert_true(store_run_plan_again(store, 0, &error));
    execute(&f, store, &seen);
    assert_states(store, (enum store_state[]){STORE_OK, STORE_REFUSED, STORE_FAILED, STORE_OK});
    for (size_t i = 0; i < 4; i++)
        g_assert_cmpint(seen.begun[i], ==, i != 1);
    g_autoptr(owned_store) back = store_open(elsewhere, STORE_READ, &error);
    assert_states(back, (enum store_state[]){STORE_OK, STORE_REFUSED, STORE_FAILED, STORE_OK});
    g_autofree char *place = g_path_get_dirname(store_run(back, 3)->folder);
    g_assert_cmpstr(place, ==, elsewhere);
    tear_down(&f);
}

/* A record must not have the hash of other work than was done. */
static void test_what_was_planned_has_changed(void)
{
    static const struct {
        const char *name, *file, *before, *after;
        enum store_state state;
        const char *said;
    } cases[] = {
        {"model", "m.gguf", "one", "two", STORE_REFUSED, "model is not what it was"},
        {"data set", "data.jsonl", "{\"prompt\": \"a\"}\n", "{\"prompt\": \"b\"}\n", STORE_REFUSED, "the data set is not what it was"},
        {"data set, written otherwise", "data.jsonl", "{\"prompt\": \"a\"}\n", "\n{\"prompt\":\"a\"}\n", STORE_OK, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture f;
        struct seen seen = {0};
        set_up(&f);
        g_autofree char *path = g_build_filename(f.dir, cases[i].file, NULL);
        bool is_data = g_str_has_suffix(path, "jsonl");
        g_autofree char *text =
            g_strdup_printf("model: %s\nbackend: sim\nn: 1\nwarmup: {enabled: false}\nexecution: {n_cycles: 1}\n%s%s\n",
                            is_data ? "scripted" : "./m.gguf", is_data ? "dataset: ./" : "",
                            is_data ? cases[i].file : "");
        g_assert_true(g_file_set_contents(path, cases[i].before, -1, NULL));
        g_autoptr(owned_store) store = planned_from(&f, text);
        g_assert_true(g_file_set_contents(path, cases[i].after, -1, NULL));
        execute(&f, store, &seen);
        const struct store_run *run = store_run(store, 0);
        if (run->state != cases[i].state || (cases[i].said && !g_str_has_prefix(run->message, cases[i].said)))
            g_error("%s: %s, %s", cases[i].name, store_state_name(run->state), run->message);
        tear_down(&f);
    }
}

/* What cannot be prepared is not begun: refused, or skipped where something is to be installed first. */
static void test_what_cannot_be_prepared(void)
{
    static const struct {
        const char *variable, *value;
        enum store_state state;
    } cases[] = {
        {"LLEM_DATA_DIR", "/nowhere", STORE_SKIPPED},
        {"LLEM_ENGINE_SIM", "/nowhere", STORE_SKIPPED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture f;
        struct seen seen = {0};
        set_up(&f);
        g_autoptr(owned_store) store = planned(&f);
        g_autofree char *before = g_strdup(g_getenv(cases[i].variable));
        g_setenv(cases[i].variable, cases[i].value, TRUE);
        execute(&f, store, &seen);
        if (before)
            g_setenv(cases[i].variable, before, TRUE);
        else
            g_unsetenv(cases[i].variable);
        for (size_t run = 0; run < 4; run++)
            if (store_run(store, run)->state != cases[i].state || store_run(store, run)->folder)
                g_error("%s: %s: %s", cases[i].variable, store_state_name(store_run(store, run)->state),
                        store_run(store, run)->message);
        tear_down(&f);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *cache = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_setenv("LLEM_ENGINES_PATH", LLEM_BINARY_DIR "/libexec/llem/engines", TRUE);
    g_setenv("LLEM_DATA_DIR", LLEM_SOURCE_DIR "/data", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/study/every planned run is run", test_every_planned_run_is_run);
    g_test_add_func("/study/gone on with elsewhere", test_a_study_is_gone_on_with_elsewhere);
    g_test_add_func("/study/what was planned has changed", test_what_was_planned_has_changed);
    g_test_add_func("/study/what cannot be prepared", test_what_cannot_be_prepared);
    int rc = g_test_run();
    file_remove_tree(cache, NULL);
    return rc;
}
