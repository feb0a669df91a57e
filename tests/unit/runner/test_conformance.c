/* SPDX-License-Identifier: MIT */
/* What every runner must do, over all rows of room runner and the null runner: from starting to each kind of end. A row
 * is made to run something by its line in places[]; the endings and what is expected of them are the same for all. */
#include "null.h"
#include "scene.h"

#include <poll.h>
#include <signal.h>

#define BEGUN       "{\"phase\":\"begun\"}\n"
#define OK          "{\"a\":1}"
#define TORN        "{\"a\":"
#define BAD_MODEL   "{\"class\":\"EngineError\",\"message\":\"bad model\"}"
#define INTERRUPTED "{\"class\":\"Interrupted\",\"message\":\"a signal\",\"phase\":\"load\"}"

/* --- Ways to end ----------------------------------------------------------------------------------------------- */

enum lasts {
    AT_ONCE,
    UNTIL_ASKED, /* then with a record of its own */
    UNTIL_KILLED,
    NEVER_BEGUN, /* cannot be started */
};

static const struct ending {
    const char *name;
    const char *result, *error; /* records left by the run, NULL: none */
    int status, signal;         /* its end: exit status or signal */
    enum lasts lasts;
    int interrupts;      /* how many signals come */
    bool deadline;       /* it has only a little time */
    int code;            /* of the failure; -1: none */
    const char *message; /* part of it */
} endings[] = {
    {"ok", OK, NULL, .code = -1},
    {"own-error-record", NULL, BAD_MODEL, .status = 1, .code = LLEM_ERROR_ENGINE, .message = "bad model"},
    {"error-record-wins-over-result", OK, BAD_MODEL, .code = LLEM_ERROR_ENGINE, .message = "bad model"},
    {"no-record", NULL, NULL, .code = LLEM_ERROR_WORKER_DIED, .message = "exit status 0"},
    {"no-record-and-a-status", NULL, NULL, .status = 3, .code = LLEM_ERROR_WORKER_DIED, .message = "exit status 3"},
    {"killed", NULL, NULL, .signal = SIGKILL, .code = LLEM_ERROR_WORKER_DIED, .message = "signal 9"},
    {"segfault", NULL, NULL, .signal = SIGSEGV, .code = LLEM_ERROR_WORKER_DIED, .message = "signal 11"},
    {"result-but-a-status", OK, NULL, .status = 1, .code = -1},
    {"result-but-killed", OK, NULL, .signal = SIGKILL, .code = -1},
    {"torn-result", TORN, NULL, .code = LLEM_ERROR_DATA, .message = "_result.json:1"},
    {"torn-result-and-killed", TORN, NULL, .signal = SIGKILL, .code = LLEM_ERROR_WORKER_DIED, .message = "signal 9"},
    {"torn-error-record", NULL, TORN, .status = 1, .code = LLEM_ERROR_DATA, .message = "_error.json:1"},
    {"interrupt", .lasts = UNTIL_ASKED, .interrupts = 1, .code = LLEM_ERROR_INTERRUPTED},
    {"interrupt-ignored", .lasts = UNTIL_KILLED, .interrupts = 1, .code = LLEM_ERROR_INTERRUPTED,
     .message = "signal 2"},
    {"second-interrupt-kills", .lasts = UNTIL_KILLED, .interrupts = 2, .code = LLEM_ERROR_INTERRUPTED,
     .message = "signal 2"},
    {"deadline", .lasts = UNTIL_ASKED, .deadline = true, .code = LLEM_ERROR_TIMEOUT,
     .message = "limits.timeout_seconds"},
    {"deadline-ignored", .lasts = UNTIL_KILLED, .deadline = true, .code = LLEM_ERROR_TIMEOUT,
     .message = "limits.timeout_seconds"},
    {"cannot-start", .lasts = NEVER_BEGUN, .code = LLEM_ERROR_RUNNER, .message = "cannot start the worker: "},
};

/* --- Runners --------------------------------------------------------------------------------------------------- */

static void add_file(GString *script, const char *name, const char *text)
{
    if (text)
        g_string_append_printf(script, "printf '%%s' '%s' > $D/" HASH "_%s.json\n", text, name);
}

static char *script_of(const struct ending *e)
{
    g_autoptr(GString) script = g_string_new(NULL);
    if (e->lasts == UNTIL_ASKED)
        g_string_append(script, "trap 'echo $RECORD > $D/" HASH "_error.json; exit 130' TERM\n"
                                "RECORD='" INTERRUPTED "'\n");
    if (e->lasts == UNTIL_KILLED)
        g_string_append(script, "trap '' TERM\n");
    g_string_append(script, "printf '%s' '" BEGUN "' > $D/progress.jsonl\n");
    if (e->lasts != AT_ONCE)
        g_string_append(script, "while :; do sleep 0.02; done\n");
    add_file(script, "result", e->result);
    add_file(script, "error", e->error);
    if (e->signal)
        g_string_append_printf(script, "kill -%d $$\n", e->signal);
    g_string_append_printf(script, "exit %d", e->status);
    return g_string_free(g_steal_pointer(&script), FALSE);
}

static struct runner *make_local(const struct ending *e, const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *script = script_of(e);
    g_autofree char *worker = e->lasts == NEVER_BEGUN ? g_strdup("/no/such/worker") : scene_script(dir, script);
    struct runner *runner = runner_new(&(struct runner_options){.name = "local", .worker_path = worker}, &error);
    g_assert_no_error(error);
    return runner;
}

/* Containers need a daemon and an image with a shell: tests/docker/ starts this test with both. */
#define IMAGE_VARIABLE "LLEM_TEST_IMAGE"

static struct runner *make_container(const char *name, const struct ending *e, const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *script = script_of(e);
    g_autofree char *worker = e->lasts == NEVER_BEGUN ? g_strdup("/no/such/worker") : scene_script(dir, script);
    const struct runner_container container = {
        .image = g_getenv(IMAGE_VARIABLE), .pull = "never", .network = "none", .engine = "script"};
    struct runner *runner = runner_new(
        &(struct runner_options){.name = name, .worker_path = worker, .container = &container}, &error);
    g_assert_no_error(error);
    return runner;
}

static struct runner *make_docker(const struct ending *e, const char *dir)
{
    return make_container("docker", e, dir);
}

static struct runner *make_podman(const struct ending *e, const char *dir)
{
    return make_container("podman", e, dir);
}

static struct null_run null_run;
static char *null_how;

static struct runner *make_null(const struct ending *e, const char *dir)
{
    static struct null_script script;
    (void)dir;
    g_free(null_how);
    null_how = e->signal   ? g_strdup_printf("killed by signal %d", e->signal)
               : e->status ? g_strdup_printf("exit status %d", e->status)
                           : NULL;
    null_run = (struct null_run){.cannot_start = e->lasts == NEVER_BEGUN ? "the script says no" : NULL,
                                 .progress = BEGUN,
                                 .result = e->result,
                                 .error = e->error,
                                 .how = null_how,
                                 .after = e->lasts == AT_ONCE ? 0 : NULL_NEVER,
                                 .deaf = e->lasts == UNTIL_KILLED};
    script = (struct null_script){.runs = &null_run, .n_runs = 1};
    struct runner *runner = g_new0(struct runner, 1);
    *runner = (struct runner){&runner_null, &script, "test", runner_null.max_in_flight};
    return runner;
}

/* Every runner of the room has its line here; test_rows() holds to it. */
static const struct place {
    const char *name;
    struct runner *(*make)(const struct ending *e, const char *dir); /* one that lets a run end so */
    bool in_container; /* what SIGKILL ends there was ended from outside, by whatever the daemon knows */
} places[] = {{"local", make_local, false},
              {"docker", make_docker, true},
              {"podman", make_podman, true},
              {"null", make_null, false}};

/* --- Tests ----------------------------------------------------------------------------------------------------- */

struct test {
    const struct place *place;
    const struct ending *ending;
};

static void note_event(const json_t *event, void *data)
{
    int *n = data;
    g_assert_cmpstr(json_string_value(json_object_get(event, "phase")), ==, "begun");
    ++*n;
}

/* What the ending comes to at that place. */
static struct ending expected_at(const struct place *place, const struct ending *e)
{
    struct ending expected = *e;
    if (place->in_container && e->signal == SIGKILL && e->code == LLEM_ERROR_WORKER_DIED) {
        expected.code = LLEM_ERROR_CONTAINER_KILLED;
        expected.message = "SIGKILL";
    }
    return expected;
}

/* It must have begun before its little time is over. */
static int64_t little_time(const struct place *place)
{
    return (place->in_container ? 4000 : 400) * NS_PER_MS;
}

static struct runner_job job_of(const struct place *place, const char *exchange, const struct ending *e, int *n_events)
{
    return (struct runner_job){
        .exchange_dir = exchange,
        .config_hash = HASH,
        .timeout_ns = e->deadline ? little_time(place) : 60 * NS_PER_S,
        .grace_ns = e->lasts == UNTIL_KILLED && e->interrupts < 2 ? 200 * NS_PER_MS : 60 * NS_PER_S,
        .sweep_ns = 5 * NS_PER_S,
        .progress = note_event,
        .progress_data = n_events};
}

/* Interrupts come when the run has begun. */
static void fly(const struct runner *runner, const struct test *test, const char *exchange, int *n_events,
                struct runner_report *ret)
{
    int left = test->ending->interrupts;
    struct runner_job job = job_of(test->place, exchange, test->ending, n_events);
    struct flight *flight = flight_start(runner, &job);
    while (!flight_wait(&flight, 1, -1, clock_mono_ns() + 20 * NS_PER_MS))
        if (*n_events && left-- > 0)
            flight_interrupt(flight, SIGINT);
    flight_finish(flight, ret);
}

static void check_failure(const GError *failure, struct ending expected)
{
    if (expected.code < 0) {
        g_assert_no_error(failure);
        return;
    }
    g_assert_error(failure, LLEM_ERROR, expected.code);
    if (!strstr(failure->message, expected.message ? expected.message : ""))
        g_error("'%s' is not in '%s'", expected.message, failure->message);
}

static void test_ending(gconstpointer data)
{
    const struct test *test = data;
    const struct ending *e = test->ending;
    g_autofree char *dir = NULL, *exchange = NULL;
    struct runner_report report;
    int n_events = 0;
    scene_folders(&dir, &exchange);
    g_autoptr(owned_runner) runner = test->place->make(e, dir);
    int64_t begin_ns = clock_mono_ns();
    fly(runner, test, exchange, &n_events, &report);
    check_failure(report.failure, expected_at(test->place, e));
    g_assert_cmpint(report.interrupted, ==, e->interrupts ? SIGINT : 0);
    g_assert_cmpint(report.leftovers.n, <=, e->lasts == UNTIL_KILLED ? 1 : 0); /* a shell's sleep, begun meanwhile */
    g_assert_null(report.leftovers.survivors);
    g_assert_cmpint(report.wall_ns, >=, e->deadline ? 400 * NS_PER_MS : 0);
    g_assert_cmpint(report.wall_ns, <=, clock_mono_ns() - begin_ns);
    g_assert_cmpint(n_events, ==, e->lasts != NEVER_BEGUN);
    scene_check_one_record(exchange, e->code >= 0);
    g_clear_error(&report.failure);
    g_assert_true(file_remove_tree(dir, NULL));
}

static const struct ending lasting = {"lasting", .lasts = UNTIL_ASKED};

static bool is_readable(int fd, int wait_ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, wait_ms) == 1;
}

/* The verbs one by one, as a flight calls them. */
static void test_verbs(gconstpointer data)
{
    const struct place *place = data;
    g_autofree char *dir = NULL, *exchange = NULL;
    g_autoptr(GError) error = NULL;
    int n_events = 0;
    void *run = NULL;
    struct runner_end end;
    struct runner_leftovers left;
    scene_folders(&dir, &exchange);
    g_autoptr(owned_runner) runner = place->make(&lasting, dir);
    const struct runner_ops *ops = runner->ops;
    struct runner_job job = job_of(place, exchange, &lasting, &n_events);
    g_assert_cmpint(strlen(ops->name), >, 0);
    g_assert_cmpint(strlen(ops->summary), >, 0);
    g_assert_cmpint(ops->max_in_flight, >=, 1);
    ops->start(runner->state, &job, &run, &error);
    g_assert_no_error(error);
    g_autofree char *progress = g_build_filename(exchange, "progress.jsonl", NULL);
    while (access(progress, F_OK) != 0)
        g_usleep(1000);
    g_assert_false(ops->has_ended(run));
    g_assert_false(is_readable(ops->end_fd(run), 0));
    ops->ask_to_stop(run);
    g_assert_true(ops->end_fd(run) < 0 || is_readable(ops->end_fd(run), 10000));
    g_assert_true(ops->has_ended(run));
    ops->describe_end(run, &end);
    g_assert_cmpint(strlen(end.how), >, 0);
    g_free(end.how);
    ops->sweep(run, clock_mono_ns() + NS_PER_S, &left);
    g_assert_cmpint(left.n, ==, 0);
    ops->release(run);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* As many runs as it takes at once, served from one loop: each is asked to stop alone and ends alone. */
static void test_many(gconstpointer data)
{
    const struct place *place = data;
    g_autofree char *dir = NULL, *first = NULL;
    int n_events = 0;
    scene_folders(&dir, &first);
    g_autoptr(owned_runner) runner = place->make(&lasting, dir);
    size_t n = (size_t)runner->max_in_flight;
    g_autoptr(GPtrArray) flights = g_ptr_array_new();
    for (size_t i = 0; i < n; i++) {
        g_autofree char *exchange = g_strdup_printf("%s/%zu", dir, i);
        g_assert_true(file_make_dirs(exchange, NULL));
        struct runner_job job = job_of(place, exchange, &lasting, &n_events);
        g_ptr_array_add(flights, flight_start(runner, &job));
    }
    struct flight **all = (struct flight **)flights->pdata;
    while (n_events < (int)n)
        g_assert_null(flight_wait(all, n, -1, clock_mono_ns() + 10 * NS_PER_MS));
    for (; flights->len > 0;) {
        struct runner_report report;
        struct flight *last = g_ptr_array_index(flights, flights->len - 1);
        flight_interrupt(last, SIGTERM);
        g_assert_true(flight_wait(all, flights->len, -1, clock_mono_ns() + 30 * NS_PER_S) == last);
        g_ptr_array_remove_index(flights, flights->len - 1);
        flight_finish(last, &report);
        g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED);
        g_clear_error(&report.failure);
    }
    g_assert_true(file_remove_tree(dir, NULL));
}

/* Nothing in flight: it is a sleep that a signal ends. */
static void test_wait_for_nothing(void)
{
    int ends[2];
    int64_t begin_ns = clock_mono_ns();
    g_assert_null(flight_wait(NULL, 0, -1, begin_ns + 30 * NS_PER_MS));
    g_assert_cmpint(clock_mono_ns() - begin_ns, >=, 30 * NS_PER_MS);
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], "!", 1), ==, 1);
    g_assert_null(flight_wait(NULL, 0, ends[0], clock_mono_ns() + 3600 * NS_PER_S));
    close(ends[0]);
    close(ends[1]);
}

static const struct place *place_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
        if (!strcmp(places[i].name, name))
            return &places[i];
    g_error("runner %s has no line in places[]", name);
}

static void test_rows(void)
{
    size_t n;
    const struct runner_ops *const *rows = runner_rows(&n);
    g_autoptr(GError) error = NULL;
    for (size_t i = 0; i < n; i++)
        g_assert_nonnull(place_of(rows[i]->name));
    g_autoptr(owned_runner) runner = runner_new(&(struct runner_options){.worker_path = "/w"}, &error);
    g_assert_no_error(error);
    g_assert_true(runner->ops == rows[0]);
    g_assert_cmpstr(runner->source, ==, "default");
    g_assert_cmpint(runner->max_in_flight, ==, 1);
    for (size_t i = 0; i < n; i++)
        g_assert_cmpstr(rows[i]->name, !=, "null"); /* nobody gets figures that were never measured */
    g_assert_null(runner_new(&(struct runner_options){.name = "null", .worker_path = "/w"}, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_USAGE);
    g_assert_cmpstr(error->message, ==, "there is no runner 'null'; there are: local, docker, podman");
}

/* Checks say what is not so where it is not, and nothing where it is. */
static void test_checks_of_local(void)
{
    static const struct {
        const char *worker;
        bool ok;
    } rows[] = {{"/bin/sh", true}, {"/no/such/worker", false}, {"/etc/passwd", false}, {"/usr", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(owned_runner) runner = runner_new(&(struct runner_options){.worker_path = rows[i].worker}, &error);
        const struct runner_check *check = runner->ops->checks;
        g_assert_cmpstr(check->id, ==, "runner.worker");
        g_assert_nonnull(check->why);
        g_assert_nonnull(check->remedy);
        g_assert_cmpint(check->probe(runner->state, &error), ==, rows[i].ok);
        g_assert_cmpint(error == NULL, ==, rows[i].ok);
        g_assert_true(!error || strstr(error->message, rows[i].worker));
        g_assert_null(check[1].id);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    proc_become_subreaper();
    static struct test tests[G_N_ELEMENTS(places) * G_N_ELEMENTS(endings)];
    struct test *test = tests;
    for (const struct place *place = places; place < places + G_N_ELEMENTS(places); place++) {
        if (place->in_container && !g_getenv(IMAGE_VARIABLE))
            continue;
        g_autofree char *verbs = g_strdup_printf("/runner/%s/verbs", place->name);
        g_autofree char *many = g_strdup_printf("/runner/%s/many", place->name);
        for (size_t i = 0; i < G_N_ELEMENTS(endings); i++, test++) {
            g_autofree char *path = g_strdup_printf("/runner/%s/%s", place->name, endings[i].name);
            *test = (struct test){place, &endings[i]};
            g_test_add_data_func(path, test, test_ending);
        }
        g_test_add_data_func(verbs, place, test_verbs);
        g_test_add_data_func(many, place, test_many);
    }
    g_test_add_func("/runner/wait-for-nothing", test_wait_for_nothing);
    g_test_add_func("/runner/rows", test_rows);
    g_test_add_func("/runner/checks-of-local", test_checks_of_local);
    int code = g_test_run();
    g_free(null_how);
    return code;
}
