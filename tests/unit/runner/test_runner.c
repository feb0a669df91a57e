/* SPDX-License-Identifier: MIT */
/* The local runner against workers that behave and workers that do not. The workers are small shell scripts: the
 * runner knows only files and exit statuses. */
#include "runner/runner.h"

#include "result/result.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH "0123456789abcdef"

struct fixture {
    char *dir, *worker, *exchange;
};

static void set_up(struct fixture *f, const char *script)
{
    g_autoptr(GError) error = NULL;
    f->dir = g_dir_make_tmp("llem-runner-XXXXXX", NULL);
    f->worker = g_build_filename(f->dir, "worker", NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\nD=$(dirname \"$LLEM_CONFIG_PATH\")\n%s\n", script);
    g_assert_true(g_file_set_contents(f->worker, text, -1, NULL));
    g_assert_cmpint(chmod(f->worker, 0755), ==, 0);
    g_auto(owned_exchange) exchange = {
        .config_hash = g_strdup(HASH), .config = json_object(), .origins = json_object(), .cycle = 1};
    exchange_prompts_init(&exchange.prompts, 0);
    exchange_prompts_init(&exchange.warmup, 0);
    f->exchange = exchange_folder_new(f->dir, &exchange, NULL, &error);
    g_assert_no_error(error);
}

static void tear_down(struct fixture *f)
{
    g_assert_true(file_remove_tree(f->dir, NULL));
    g_free(f->dir);
    g_free(f->worker);
    g_free(f->exchange);
}

static struct runner_job job_of(const struct fixture *f)
{
    return (struct runner_job){.worker_path = f->worker,
                               .exchange_dir = f->exchange,
                               .config_hash = HASH,
                               .timeout_ns = 30 * NS_PER_S,
                               .grace_ns = 300 * NS_PER_MS,
                               .sweep_ns = 5 * NS_PER_S,
                               .interrupt_fd = -1};
}

static const struct {
    const char *name, *script;
    int code;            /* of the failure, -1: none */
    const char *message; /* part of it */
} cases[] = {
    {"good", "echo '{}' > $D/" HASH "_result.json", -1, NULL},
    {"own-error-record",
     "echo '{\"class\":\"EngineError\",\"message\":\"bad model\"}' > $D/" HASH "_error.json; exit 1",
     LLEM_ERROR_ENGINE, "bad model"},
    {"error-record-wins-over-result",
     "echo '{}' > $D/" HASH "_result.json; echo '{\"class\":\"IoError\",\"message\":\"disk\"}' > $D/" HASH "_error.json",
     LLEM_ERROR_IO, "disk"},
    {"nothing-written", "exit 0", LLEM_ERROR_WORKER_DIED, "exit status 0"},
    {"exit-3", "echo last words; exit 3", LLEM_ERROR_WORKER_DIED, "exit status 3"},
    {"result-but-failed", "echo '{}' > $D/" HASH "_result.json; exit 1", -1, NULL},
    {"result-but-killed", "echo '{}' > $D/" HASH "_result.json; kill -9 $$", -1, NULL},
    {"torn-result-and-killed", "printf '{\"a\":' > $D/" HASH "_result.json; kill -9 $$", LLEM_ERROR_WORKER_DIED,
     "signal 9"},
    {"torn-error-record", "printf '{\"a\":' > $D/" HASH "_error.json; exit 1", LLEM_ERROR_DATA, "_error.json:1"},
    {"killed", "kill -9 $$", LLEM_ERROR_WORKER_DIED, "signal 9"},
    {"segfault", "kill -SEGV $$", LLEM_ERROR_WORKER_DIED, "signal 11"},
    {"torn-result", "printf '{\"a\":' > $D/" HASH "_result.json", LLEM_ERROR_DATA, "_result.json:1"},
};

/* A run that has ended has one record: a result or an error, never both, never none, never a torn one. */
static void check_one_record(const struct fixture *f, bool failed)
{
    g_autofree char *result = g_build_filename(f->exchange, HASH "_result.json", NULL);
    g_autofree char *wrong = g_build_filename(f->exchange, HASH "_error.json", NULL);
    g_assert_cmpint(access(result, F_OK), ==, failed ? -1 : 0);
    g_assert_cmpint(access(wrong, F_OK), ==, failed ? 0 : -1);
    g_autoptr(json_t) record = jsonx_load(failed ? wrong : result, LIMIT_RESULT_BYTES, NULL);
    g_assert_nonnull(record);
}

static void test_case(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    struct fixture f;
    struct runner_report report;
    set_up(&f, cases[i].script);
    struct runner_job job = job_of(&f);
    runner_local(&job, &report);
    if (cases[i].code < 0) {
        g_assert_no_error(report.failure);
    } else {
        g_assert_error(report.failure, LLEM_ERROR, cases[i].code);
        g_assert_nonnull(strstr(report.failure->message, cases[i].message));
    }
    g_assert_cmpint(report.interrupted, ==, 0);
    check_one_record(&f, cases[i].code >= 0);
    g_clear_error(&report.failure);
    tear_down(&f);
}

/* A worker that died silently gets an error record with the last lines of its log. */
static void test_death_is_recorded(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "echo the last words; kill -9 $$");
    struct runner_job job = job_of(&f);
    runner_local(&job, &report);
    g_clear_error(&report.failure);
    g_autofree char *path = g_build_filename(f.exchange, HASH "_error.json", NULL);
    g_autoptr(json_t) record = jsonx_load(path, 1 << 20, NULL);
    g_assert_nonnull(record);
    g_assert_cmpstr(json_string_value(json_object_get(record, "class")), ==, "WorkerDied");
    const json_t *tail = json_object_get(record, "log_tail");
    g_assert_cmpstr(json_string_value(json_array_get(tail, 0)), ==, "the last words");
    tear_down(&f);
}

/* The kernel's counters are files below a folder of the test's; the worker itself is the OOM killer. */
static void test_oom_kill_is_told(void)
{
    static const struct {
        const char *after; /* what the counter says when the worker is dead */
        bool struck;
    } rows[] = {{"oom_kill 4", true}, {"oom_kill 3", false}, {"", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fixture f;
        struct runner_report report;
        set_up(&f, "printf \"$AFTER\" > \"$LLEM_SYSROOT/proc/vmstat\"; kill -9 $$");
        g_autofree char *proc = g_build_filename(f.dir, "proc", NULL);
        g_autofree char *vmstat = g_build_filename(proc, "vmstat", NULL);
        g_assert_true(file_make_dirs(proc, NULL));
        g_assert_true(g_file_set_contents(vmstat, "pgfault 9\noom_kill 3\n", -1, NULL));
        g_setenv("LLEM_SYSROOT", f.dir, TRUE);
        g_setenv("AFTER", rows[i].after, TRUE);
        struct runner_job job = job_of(&f);
        runner_local(&job, &report);
        g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_WORKER_DIED);
        g_assert_cmpint(strstr(report.failure->message, "memory ran out") != NULL, ==, rows[i].struck);
        g_clear_error(&report.failure);
        g_unsetenv("LLEM_SYSROOT");
        tear_down(&f);
    }
}

/* SIGTERM, then SIGKILL after the grace; a worker that ignores SIGTERM does not hold the runner. */
static void test_timeout(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "trap '' TERM; while :; do sleep 0.05; done");
    struct runner_job job = job_of(&f);
    job.timeout_ns = 200 * NS_PER_MS;
    runner_local(&job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    g_assert_nonnull(strstr(report.failure->message, "limits.timeout_seconds"));
    g_clear_error(&report.failure);
    tear_down(&f);
}

/* A worker that takes the deadline's SIGTERM for an interrupt and says so: the record is the runner's. */
static void test_timeout_is_no_interrupt(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "trap 'echo \"{\\\"class\\\":\\\"Interrupted\\\",\\\"phase\\\":\\\"load\\\","
               "\\\"message\\\":\\\"a signal\\\"}\" > $D/" HASH "_error.json; exit 130' TERM; "
               "while :; do sleep 0.05; done");
    struct runner_job job = job_of(&f);
    job.timeout_ns = 200 * NS_PER_MS;
    job.grace_ns = 10 * NS_PER_S;
    runner_local(&job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    g_clear_error(&report.failure);
    g_autofree char *path = g_build_filename(f.exchange, HASH "_error.json", NULL);
    g_autoptr(json_t) record = jsonx_load(path, LIMIT_RESULT_BYTES, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(record, "class")), ==, "TimeoutError");
    g_assert_cmpstr(json_string_value(json_object_get(record, "phase")), ==, "load"); /* the worker's own knowledge */
    tear_down(&f);
}

/* The worker keeps the deadline itself and needs some time for it; its runner does not step in meanwhile. */
static void test_timeout_is_the_worker_s_first(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "trap 'exit 1' TERM; sleep 0.4; echo '{\"class\":\"TimeoutError\",\"message\":\"mine\"}' > $D/" HASH
               "_error.json; exit 1");
    struct runner_job job = job_of(&f);
    job.timeout_ns = 50 * NS_PER_MS;
    job.slack_ns = 30 * NS_PER_S;
    runner_local(&job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    g_assert_cmpstr(report.failure->message, ==, "mine");
    g_clear_error(&report.failure);
    tear_down(&f);
}

/* What a worker leaves running, in a session of its own too, is ended. */
static void test_leftovers(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "setsid sleep 1000 & sleep 1000 & echo '{}' > $D/" HASH "_result.json");
    struct runner_job job = job_of(&f);
    runner_local(&job, &report);
    g_assert_no_error(report.failure);
    g_assert_cmpint(report.leftovers, ==, 2);
    g_assert_null(report.survivors);
    g_autoptr(GArray) left = proc_descendants(getpid());
    g_assert_cmpuint(left->len, ==, 0);
    tear_down(&f);
}

/* What was below the runner before is not the worker's: neither it nor what it starts is touched. */
static void test_bystanders_are_spared(void)
{
    struct fixture f;
    struct runner_report report;
    pid_t bystander = fork();
    if (bystander == 0) {
        execl("/bin/sh", "sh", "-c", "sleep 1000 & wait", (char *)NULL);
        _exit(1);
    }
    set_up(&f, "sleep 1000 & echo '{}' > $D/" HASH "_result.json");
    struct runner_job job = job_of(&f);
    runner_local(&job, &report);
    g_assert_no_error(report.failure);
    g_assert_cmpint(report.leftovers, ==, 1);
    g_autoptr(GArray) left = proc_descendants(getpid());
    g_assert_cmpint(kill(bystander, 0), ==, 0);
    g_assert_cmpuint(left->len, ==, 2);
    g_autoptr(GArray) none = proc_kill_leftovers(NULL, clock_mono_ns() + 5 * NS_PER_S);
    g_assert_cmpuint(none->len, ==, 0);
    tear_down(&f);
}

/* No time to kill at all stands for a process that SIGKILL does not end: its pid is told. */
static void test_survivors_are_told(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "sleep 1000 & echo $! > $D/pid; echo '{}' > $D/" HASH "_result.json");
    struct runner_job job = job_of(&f);
    job.sweep_ns = -1;
    runner_local(&job, &report);
    g_assert_no_error(report.failure);
    g_autofree char *path = g_build_filename(f.exchange, "pid", NULL);
    g_autofree char *pid = file_read(path, 100, NULL, NULL);
    g_assert_cmpstr(report.survivors, ==, g_strstrip(pid));
    g_free(report.survivors);
    g_autoptr(GArray) none = proc_kill_leftovers(NULL, clock_mono_ns() + 5 * NS_PER_S);
    g_assert_cmpuint(none->len, ==, 0);
    tear_down(&f);
}

/* An interrupt is passed on as SIGTERM; the worker's own record tells the rest. */
static void test_interrupt(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "trap 'echo \"{\\\"class\\\":\\\"Interrupted\\\",\\\"message\\\":\\\"stopped\\\"}\" > $D/" HASH
               "_error.json; exit 130' TERM; kill -INT $PPID; while :; do sleep 0.05; done");
    struct runner_job job = job_of(&f);
    job.grace_ns = 10 * NS_PER_S;
    job.interrupt_fd = interrupt_open();
    g_assert_cmpint(job.interrupt_fd, >=, 0);
    runner_local(&job, &report);
    g_assert_cmpint(report.interrupted, ==, SIGINT);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED);
    g_clear_error(&report.failure);
    close(job.interrupt_fd);
    tear_down(&f);
}

static void count_event(const json_t *event, void *data)
{
    GString *seen = data;
    g_string_append_printf(seen, "%s,", json_string_value(json_object_get(event, "phase")));
}

static void test_progress(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "echo '{\"phase\":\"a\"}' > $D/progress.jsonl; sleep 0.3; printf '{\"phase\":\"b\"}\\n{\"pha' >> "
               "$D/progress.jsonl; echo '{}' > $D/" HASH "_result.json");
    struct runner_job job = job_of(&f);
    g_autoptr(GString) seen = g_string_new(NULL);
    job.progress = count_event;
    job.progress_data = seen;
    runner_local(&job, &report);
    g_assert_no_error(report.failure);
    g_assert_cmpstr(seen->str, ==, "a,b,");
    tear_down(&f);
}

static void test_missing_worker(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "exit 0");
    struct runner_job job = job_of(&f);
    job.worker_path = "/nonexistent/llem-worker";
    runner_local(&job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_RUNNER);
    g_assert_nonnull(strstr(report.failure->message, "cannot start the worker"));
    check_one_record(&f, true);
    g_clear_error(&report.failure);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGINT, SIG_DFL); /* a script's `cmd &` hands it down ignored */
    proc_become_subreaper();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/runner/outcome/%s", cases[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/runner/death-is-recorded", test_death_is_recorded);
    g_test_add_func("/runner/oom-kill-is-told", test_oom_kill_is_told);
    g_test_add_func("/runner/timeout", test_timeout);
    g_test_add_func("/runner/timeout-is-no-interrupt", test_timeout_is_no_interrupt);
    g_test_add_func("/runner/timeout-is-the-worker-s-first", test_timeout_is_the_worker_s_first);
    g_test_add_func("/runner/leftovers", test_leftovers);
    g_test_add_func("/runner/bystanders-are-spared", test_bystanders_are_spared);
    g_test_add_func("/runner/survivors-are-told", test_survivors_are_told);
    g_test_add_func("/runner/progress", test_progress);
    g_test_add_func("/runner/missing-worker", test_missing_worker);
    g_test_add_func("/runner/interrupt", test_interrupt); /* last: it leaves the signals blocked */
    return g_test_run();
}
