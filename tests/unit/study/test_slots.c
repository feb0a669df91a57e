/* SPDX-License-Identifier: MIT */
/* The loop over a study with the null runner: several runs in flight, of which some fail, an interrupt, pauses. */
#include "study/study.h"

#include "null.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define OK     "{\"a\":1}"
#define FAILED "{\"class\":\"EngineError\",\"message\":\"bad model\"}"

static int interrupt_fd;

/* --- A study of some runs ----------------------------------------------------------------------------------------- */

struct study {
    char *dir;
    struct store *store;
    int signal;            /* that ended it */
    GString *told;         /* what the loop told: "begin 1, end 1 ok, pause, …" */
    const char *signal_on; /* what is told when signals come; NULL: none come */
    int n_signals;
};

/* A file of n runs of one request each. New string. */
static char *study_text(int n_runs, const char *execution)
{
    GString *text = g_string_new("model: scripted\nbackend: sim\ndataset: data.jsonl\nn: 1\nwarmup.enabled: false\n");
    g_string_append_printf(text, "execution: {order: sequential, n_cycles: 1%s}\nsweep: {random_seed: [1", execution);
    for (int i = 2; i <= n_runs; i++)
        g_string_append_printf(text, ", %d", i);
    return g_string_free(g_string_append(text, "]}\n"), FALSE);
}

static void study_init(struct study *s, int n_runs, const char *execution)
{
    g_autoptr(GError) error = NULL;
    *s = (struct study){.dir = g_dir_make_tmp("llem-loop-XXXXXX", NULL), .told = g_string_new(NULL)};
    g_autofree char *data = g_build_filename(s->dir, "data.jsonl", NULL);
    g_autofree char *text = study_text(n_runs, execution);
    g_assert_true(g_file_set_contents(data, "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n", -1, NULL));
    struct diag *diag = diag_new();
    struct config_file *file = config_file_parse("s.yaml", text, strlen(text), s->dir, NULL, diag);
    struct plan *plan = file ? plan_new(file, diag) : NULL;
    g_autofree char *said = diag_render(diag, false);
    g_assert_cmpstr(said, ==, "");
    s->store = store_create(s->dir, file, plan, &error);
    g_assert_no_error(error);
    plan_free(plan);
    config_file_free(file);
    diag_free(diag);
}

static void study_clear(struct study *s)
{
    store_free(s->store);
    g_string_free(s->told, TRUE);
    g_assert_true(file_remove_tree(s->dir, NULL));
    g_free(s->dir);
}

static char *words(const struct study_event *event)
{
    switch (event->kind) {
    case STUDY_EVENT_RUN:
        return g_strdup_printf("begin %zu, ", event->index + 1);
    case STUDY_EVENT_DONE:
        return g_strdup_printf("end %zu %s, ", event->index + 1, store_state_name(event->state));
    case STUDY_EVENT_GAP:
        return g_strdup("pause, ");
    default:
        return g_strdup("");
    }
}

static void on_event(const struct study_event *event, void *data)
{
    struct study *s = data;
    g_autofree char *said = words(event);
    g_string_append(s->told, said);
    for (int i = 0; i < s->n_signals && !strcmp(said, s->signal_on); i++)
        kill(getpid(), i ? SIGTERM : SIGINT);
}

static bool study_run(struct study *s, struct null_script *script, int max_in_flight, GError **error)
{
    const struct runner runner = {&runner_null, script, "test", max_in_flight};
    g_autoptr(owned_dispatch) dispatch = dispatch_new(&(struct dispatch_options){.only = &runner});
    struct study_job job = {
        .store = s->store, .dispatch = dispatch, .interrupt_fd = interrupt_fd, .event = on_event, .event_data = s};
    bool ok = study_execute(&job, &s->signal, error);
    g_assert_null(script->in_flight);
    g_assert_cmpint(interrupt_take(interrupt_fd), ==, 0);
    return ok;
}

/* --- What the journal and the folder say -------------------------------------------------------------------------- */

/* "1 running, 2 running, 1 ok, …" */
static char *journal_of(const struct study *s)
{
    g_autofree char *path = g_build_filename(store_folder(s->store), "journal.jsonl", NULL);
    g_autofree char *text = file_read(path, 1 << 20, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **line = lines; **line; line++) {
        g_autoptr(json_t) tree = jsonx_parse(*line, -1, "journal", NULL);
        g_string_append_printf(out, "%d %s, ", (int)json_integer_value(json_object_get(tree, "run")),
                               json_string_value(json_object_get(tree, "state")));
    }
    return g_string_free(out, FALSE);
}

/* Every run that was begun has its folder, with one record, and no exchange folder is left. */
static void check_folders(const struct study *s)
{
    g_autoptr(GDir) dir = g_dir_open(store_folder(s->store), 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)))
        g_assert_false(g_str_has_prefix(name, ".exchange-"));
    for (size_t i = 0; i < store_runs(s->store); i++) {
        const struct store_run *run = store_run(s->store, i);
        if (run->state == STORE_PLANNED) {
            g_assert_null(run->folder);
            continue;
        }
        g_autofree char *result = g_build_filename(run->folder, "result.json", NULL);
        g_autofree char *failure = g_build_filename(run->folder, "error.json", NULL);
        g_assert_cmpint(access(result, F_OK) == 0, ==, run->state == STORE_OK);
        g_assert_cmpint(access(failure, F_OK) == 0, ==, run->state != STORE_OK);
    }
}

/* --- Tables ------------------------------------------------------------------------------------------------------- */

#define GAP(seconds) ", experiment_gap_seconds: " seconds

static const struct scene {
    const char *name;
    int max_in_flight, n_runs;
    const char *execution;
    struct null_run runs[4]; /* as they are started; the last that is not empty for all more */
    const char *signal_on;
    int n_signals;
    int most_in_flight, interrupted;
    const char *told, *journal;
    const char *failure; /* of the study: how it begins; NULL: none */
    int64_t least_ns;    /* it takes at least so long */
} scenes[] = {
    {"one-at-a-time", 1, 3, "", {{.result = OK}, {.error = FAILED}, {.result = OK}}, .most_in_flight = 1,
     .told = "begin 1, end 1 ok, begin 2, end 2 failed, begin 3, end 3 ok, ",
     .journal = "1 running, 1 ok, 2 running, 2 failed, 3 running, 3 ok, "},
    {"three-at-once", 3, 3, "", {{.result = OK, .after = 2}, {.error = FAILED, .after = 1}, {.result = OK}},
     .most_in_flight = 3, .told = "begin 1, begin 2, begin 3, end 3 ok, end 2 failed, end 1 ok, ",
     .journal = "1 running, 2 running, 3 running, 3 ok, 2 failed, 1 ok, "},
    {"a-free-slot-takes-the-next", 3, 5, "",
     {{.result = OK, .after = 4}, {.error = FAILED}, {.result = OK, .after = 3}, {.result = OK}}, .most_in_flight = 3,
     .told = "begin 1, begin 2, begin 3, end 2 failed, begin 4, end 4 ok, begin 5, end 5 ok, end 3 ok, end 1 ok, ",
     .journal = "1 running, 2 running, 3 running, 2 failed, 4 running, 4 ok, 5 running, 5 ok, 3 ok, 1 ok, "},
    {"one-cannot-start", 3, 3, "", {{.result = OK, .after = 0}, {.cannot_start = "no"}, {.result = OK, .after = 1}},
     .most_in_flight = 2, .told = "begin 1, begin 2, begin 3, end 1 ok, end 2 failed, end 3 ok, ",
     .journal = "1 running, 2 running, 3 running, 1 ok, 2 failed, 3 ok, "},
    {"interrupt-with-one", 1, 3, "", {{.result = OK}, {.result = OK, .after = NULL_NEVER}}, "begin 2, ", 1,
     .most_in_flight = 1, .interrupted = SIGINT, .told = "begin 1, end 1 ok, begin 2, end 2 interrupted, ",
     .journal = "1 running, 1 ok, 2 running, 2 interrupted, "},
    {"interrupt-with-three", 3, 6, "", {{.error = FAILED}, {.result = OK, .after = NULL_NEVER}}, "begin 4, ", 1,
     .most_in_flight = 3, .interrupted = SIGINT,
     .told = "begin 1, begin 2, begin 3, end 1 failed, begin 4, "
             "end 4 interrupted, end 2 interrupted, end 3 interrupted, ",
     .journal = "1 running, 2 running, 3 running, 1 failed, 4 running, 4 interrupted, 2 interrupted, 3 interrupted, "},
    {"a-result-in-spite-of-an-interrupt", 2, 4, "", {{.result = OK, .after = NULL_NEVER}, {.result = OK, .deaf = true}},
     "begin 2, ", 1, .most_in_flight = 2, .interrupted = SIGINT,
     .told = "begin 1, begin 2, end 1 interrupted, end 2 ok, ",
     .journal = "1 running, 2 running, 1 interrupted, 2 ok, "},
    {"second-interrupt-kills-three", 3, 4, "", {{.result = OK, .after = NULL_NEVER, .deaf = true}}, "begin 3, ", 2,
     .most_in_flight = 3, .interrupted = SIGTERM,
     .told = "begin 1, begin 2, begin 3, end 1 interrupted, end 2 interrupted, end 3 interrupted, ",
     .journal = "1 running, 2 running, 3 running, 1 interrupted, 2 interrupted, 3 interrupted, "},
    {"pauses-between-runs", 1, 3, GAP("0.1"), {{.result = OK}}, .most_in_flight = 1, .least_ns = 200 * NS_PER_MS,
     .told = "begin 1, end 1 ok, pause, begin 2, end 2 ok, pause, begin 3, end 3 ok, ",
     .journal = "1 running, 1 ok, 2 running, 2 ok, 3 running, 3 ok, "},
    {"a-slot-rests-while-others-fly", 2, 4, GAP("0.1"),
     {{.result = OK}, {.result = OK, .after = 2}, {.result = OK}, {.result = OK}}, .most_in_flight = 2,
     .least_ns = 200 * NS_PER_MS,
     .told = "begin 1, begin 2, end 1 ok, pause, begin 3, end 3 ok, pause, end 2 ok, pause, begin 4, end 4 ok, ",
     .journal = "1 running, 2 running, 1 ok, 3 running, 3 ok, 2 ok, 4 running, 4 ok, "},
    {"interrupt-of-a-pause", 1, 2, GAP("3600"), {{.result = OK}}, "pause, ", 1, .most_in_flight = 1,
     .interrupted = SIGINT, .told = "begin 1, end 1 ok, pause, ", .journal = "1 running, 1 ok, "},
    {"what-cannot-be-ended-ends-the-study", 3, 5, "",
     {{.result = OK, .survivors = "12"}, {.result = OK, .after = NULL_NEVER}}, .most_in_flight = 3,
     .failure = "run 1 left processes that SIGKILL does not end (pid 12)",
     .told = "begin 1, begin 2, begin 3, end 1 ok, end 2 interrupted, end 3 interrupted, ",
     .journal = "1 running, 2 running, 3 running, 1 ok, 2 interrupted, 3 interrupted, "},
};

static void test_scene(gconstpointer data)
{
    const struct scene *scene = data;
    struct study s;
    struct null_script script = {.runs = scene->runs};
    g_autoptr(GError) error = NULL;
    while (script.n_runs < G_N_ELEMENTS(scene->runs) &&
           memcmp(&scene->runs[script.n_runs], &(struct null_run){0}, sizeof(struct null_run)) != 0)
        script.n_runs++;
    study_init(&s, scene->n_runs, scene->execution);
    s.signal_on = scene->signal_on;
    s.n_signals = scene->n_signals;
    int64_t begin_ns = clock_mono_ns();
    g_assert_cmpint(study_run(&s, &script, scene->max_in_flight, &error), ==, scene->failure == NULL);
    g_assert_true(scene->failure ? g_str_has_prefix(error->message, scene->failure) : error == NULL);
    g_assert_cmpint(clock_mono_ns() - begin_ns, >=, scene->least_ns);
    g_autofree char *journal = journal_of(&s);
    g_assert_cmpstr(s.told->str, ==, scene->told);
    g_assert_cmpstr(journal, ==, scene->journal);
    g_assert_cmpint(script.most_in_flight, ==, scene->most_in_flight);
    g_assert_cmpint(s.signal, ==, scene->interrupted);
    check_folders(&s);
    study_clear(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGINT, SIG_DFL); /* a script's `cmd &` hands it down ignored */
    interrupt_fd = interrupt_open();
    for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++) {
        g_autofree char *path = g_strdup_printf("/study/slots/%s", scenes[i].name);
        g_test_add_data_func(path, &scenes[i], test_scene);
    }
    return g_test_run();
}
