/* SPDX-License-Identifier: MIT */
/* The local runner against workers that behave and workers that do not. The workers are small shell scripts: the
 * runner knows only files and exit statuses. */
#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

struct fixture {
    char *dir, *worker, *exchange;
    int interrupt_fd;
};

static void set_up(struct fixture *f, const char *script)
{
    scene_folders(&f->dir, &f->exchange);
    f->worker = scene_script(f->dir, script);
    f->interrupt_fd = -1;
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
    return (struct runner_job){.exchange_dir = f->exchange,
                               .config_hash = HASH,
                               .timeout_ns = 30 * NS_PER_S,
                               .grace_ns = 300 * NS_PER_MS,
                               .sweep_ns = 5 * NS_PER_S};
}

static void fly(const struct fixture *f, const struct runner_job *job, struct runner_report *ret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_runner) runner = runner_new(&(struct runner_options){.worker_path = f->worker}, &error);
    g_assert_no_error(error);
    scene_fly(runner, job, f->interrupt_fd, ret);
}

/* A worker that died silently gets an error record with the last lines of its log. */
static void test_death_is_recorded(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "echo the last words; kill -9 $$");
    struct runner_job job = job_of(&f);
    fly(&f, &job, &report);
    g_clear_error(&report.failure);
    g_autofree char *path = g_build_filename(f.exchange, HASH "_error.json", NULL);
    g_autoptr(json_t) record = jsonx_load(path, 1 << 20, NULL);
    g_assert_nonnull(record);
    g_assert_cmpstr(json_string_value(json_object_get(record, "class")), ==, "WorkerDied");
    const json_t *tail = json_object_get(record, "log_tail");
    g_assert_cmpstr(json_string_value(json_array_get(tail, 0)), ==, "the last words");
    const char *message = json_string_value(json_object_get(record, "message"));
    g_assert_true(g_str_has_suffix(message, "; the last line of its log: the last words"));
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
        fly(&f, &job, &report);
        g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_WORKER_DIED);
        g_assert_cmpint(strstr(report.failure->message, "memory ran out") != NULL, ==, rows[i].struck);
        g_clear_error(&report.failure);
        g_unsetenv("LLEM_SYSROOT");
        tear_down(&f);
    }
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
    fly(&f, &job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    g_clear_error(&report.failure);
    g_autofree char *path = g_build_filename(f.exchange, HASH "_error.json", NULL);
    g_autoptr(json_t) record = jsonx_load(path, LIMIT_RESULT_BYTES, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(record, "class")), ==, "TimeoutError");
    g_assert_cmpstr(json_string_value(json_object_get(record, "phase")), ==, "load"); /* the worker's own knowledge */
    tear_down(&f);
}

/* A worker that was stopped hears no SIGTERM; SIGKILL ends it all the same. */
static void test_stopped_worker_is_killed(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "kill -STOP $$");
    struct runner_job job = job_of(&f);
    job.timeout_ns = 100 * NS_PER_MS;
    job.grace_ns = 100 * NS_PER_MS;
    fly(&f, &job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    scene_check_one_record(f.exchange, true);
    g_clear_error(&report.failure);
    tear_down(&f);
}

/* Descriptors that llem was started without (`llem run >&- 2>&-`) do not become the worker's files. */
static void test_closed_descriptors(void)
{
    struct fixture f;
    struct runner_report report;
    set_up(&f, "echo words; echo '{}' > $D/" HASH "_result.json");
    struct runner_job job = job_of(&f);
    int saved[3];
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    fly(&f, &job, &report);
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
        close(saved[fd]);
    }
    g_assert_no_error(report.failure);
    g_autofree char *path = g_build_filename(f.exchange, "worker.log", NULL);
    g_autofree char *log = file_read(path, 1000, NULL, NULL);
    g_assert_cmpstr(log, ==, "words\n");
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
    fly(&f, &job, &report);
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
    fly(&f, &job, &report);
    g_assert_no_error(report.failure);
    g_assert_cmpint(report.leftovers.n, ==, 2);
    g_assert_null(report.leftovers.survivors);
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
    fly(&f, &job, &report);
    g_assert_no_error(report.failure);
    g_assert_cmpint(report.leftovers.n, ==, 1);
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
    fly(&f, &job, &report);
    g_assert_no_error(report.failure);
    g_autofree char *path = g_build_filename(f.exchange, "pid", NULL);
    g_autofree char *pid = file_read(path, 100, NULL, NULL);
    g_assert_cmpstr(report.leftovers.survivors, ==, g_strstrip(pid));
    g_free(report.leftovers.survivors);
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
    f.interrupt_fd = interrupt_open();
    g_assert_cmpint(f.interrupt_fd, >=, 0);
    fly(&f, &job, &report);
    g_assert_cmpint(report.interrupted, ==, SIGINT);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED);
    g_clear_error(&report.failure);
    close(f.interrupt_fd);
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
    fly(&f, &job, &report);
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
    g_free(f.worker);
    f.worker = g_strdup("/nonexistent/llem-worker");
    fly(&f, &job, &report);
    g_assert_error(report.failure, LLEM_ERROR, LLEM_ERROR_RUNNER);
    g_assert_nonnull(strstr(report.failure->message, "cannot start the worker"));
    scene_check_one_record(f.exchange, true);
    g_clear_error(&report.failure);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGINT, SIG_DFL); /* a script's `cmd &` hands it down ignored */
    proc_become_subreaper();
    g_test_add_func("/runner/death-is-recorded", test_death_is_recorded);
    g_test_add_func("/runner/oom-kill-is-told", test_oom_kill_is_told);
    g_test_add_func("/runner/timeout-is-no-interrupt", test_timeout_is_no_interrupt);
    g_test_add_func("/runner/stopped-worker-is-killed", test_stopped_worker_is_killed);
    g_test_add_func("/runner/closed-descriptors", test_closed_descriptors);
    g_test_add_func("/runner/timeout-is-the-worker-s-first", test_timeout_is_the_worker_s_first);
    g_test_add_func("/runner/leftovers", test_leftovers);
    g_test_add_func("/runner/bystanders-are-spared", test_bystanders_are_spared);
    g_test_add_func("/runner/survivors-are-told", test_survivors_are_told);
    g_test_add_func("/runner/progress", test_progress);
    g_test_add_func("/runner/missing-worker", test_missing_worker);
    g_test_add_func("/runner/interrupt", test_interrupt); /* last: it leaves the signals blocked */
    return g_test_run();
}
