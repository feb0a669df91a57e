/* SPDX-License-Identifier: MIT */
/* kill -9 between any two steps, a disk that is full, files that cannot be moved: nothing that ended is lost. */
#include "help.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TWO_RUNS "model: m\nbackend: sim\nsweep: {sim.threads: [1, 2]}\nexecution: {n_cycles: 1, order: sequential}\n"

/* The steps of a study of two runs; the process is killed after `steps` of them. */
static void work_until_killed(const char *folder, int steps)
{
    g_autoptr(owned_store) store = store_open(folder, STORE_WRITE, NULL);
    for (size_t run = 0; run < 2; run++) {
        g_autofree char *dir = exchange_with_result(store, run, NULL);
        const struct store_end end = {.state = STORE_OK, .exchange_dir = dir};
        if (steps-- == 0 || !store_run_begin(store, run, dir, NULL))
            break;
        if (steps-- == 0 || !store_run_end(store, run, &end, NULL))
            break;
        if (steps-- == 0 || !file_remove_tree(dir, NULL))
            break;
    }
    kill(getpid(), SIGKILL);
}

/* In a process of its own, by fork: nothing of it is left but what is on disk. */
static void in_a_child(const char *folder, int steps)
{
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        work_until_killed(folder, steps);
        _exit(1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed_at_every_step(void)
{
    static const enum store_state expected[][2] = {
        {STORE_PLANNED, STORE_PLANNED}, {STORE_OK, STORE_PLANNED}, {STORE_OK, STORE_PLANNED}, {STORE_OK, STORE_PLANNED},
        {STORE_OK, STORE_OK},           {STORE_OK, STORE_OK},      {STORE_OK, STORE_OK},
    };
    for (int steps = 0; steps < (int)G_N_ELEMENTS(expected); steps++) {
        g_auto(owned_made) made = make(TWO_RUNS);
        g_clear_pointer(&made.store->journal, journal_close);
        in_a_child(store_folder(made.store), steps);
        g_autoptr(owned_store) store = reopen(&made, STORE_WRITE); /* the lock went with its holder */
        for (size_t run = 0; run < 2; run++)
            g_assert_cmpint(store_run(store, run)->state, ==, expected[steps][run]);
    }
}

/* Killed at every line of the journal's way to the disk: any beginning of it is a journal. */
static void test_every_beginning_of_a_journal_is_one(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    run_to_the_end(made.store, 0, STORE_OK);
    run_to_the_end(made.store, 1, STORE_FAILED);
    g_autofree char *path = path_in(made.store, "journal.jsonl"), *text = content_of(made.store, "journal.jsonl");
    for (size_t length = 0; length <= strlen(text); length += 7) {
        g_assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
        g_autoptr(owned_store) store = reopen(&made, STORE_READ);
        g_assert_null(store_doubts(store)[0]);
        g_assert_cmpint(store_run(store, 0)->state, ==, STORE_OK);
        g_assert_cmpint(store_run(store, 1)->state, ==, STORE_FAILED);
    }
}

/* A limit on the length of files stands for a full disk: writes are short, then refused. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

static void test_a_full_disk_leaves_no_half_line(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    g_autoptr(GError) error = NULL;
    run_to_the_end(made.store, 0, STORE_OK);
    g_autofree char *before = content_of(made.store, "journal.jsonl");
    signal(SIGXFSZ, SIG_IGN);
    limit_files(strlen(before) + 10);
    bool begun = store_run_begin(made.store, 1, "/nowhere/.exchange-1", &error);
    limit_files(RLIM_INFINITY);
    g_assert_false(begun);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "journal.jsonl"));
    g_assert_cmpint(store_run(made.store, 1)->state, ==, STORE_PLANNED);
    g_autofree char *after = content_of(made.store, "journal.jsonl");
    g_assert_cmpstr(after, ==, before);
    run_to_the_end(made.store, 1, STORE_FAILED); /* there is room again */
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    g_assert_null(store_doubts(back)[0]);
    g_assert_cmpint(store_run(back, 1)->state, ==, STORE_FAILED);
}

/* A folder that cannot be written whole is not left behind. */
static void test_a_full_disk_leaves_no_half_study(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    g_autoptr(GError) error = NULL;
    g_autofree char *results = g_build_filename(made.dir, "full", NULL);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(100);
    struct store *store = store_create(results, made.file, made.plan, &error);
    limit_files(RLIM_INFINITY);
    g_assert_null(store);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    g_autoptr(GDir) dir = g_dir_open(results, 0, NULL);
    g_assert_null(g_dir_read_name(dir));
}

/* The name of the run folder is taken: the run says where its files are, and so does the study's error. */
static void test_files_that_cannot_be_moved(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = exchange_with_result(made.store, 0, NULL);
    g_autofree char *name = store_run_name(0, 1, "m", "sim", plan_cell_hash(made.plan, 0), 1);
    g_autofree char *taken = g_build_filename(store_folder(made.store), name, "in the way", NULL);
    g_assert_true(store_run_begin(made.store, 0, dir, &error));
    g_assert_true(file_make_dirs(taken, NULL));
    const struct store_end end = {.state = STORE_OK, .exchange_dir = dir};
    g_assert_false(store_run_end(made.store, 0, &end, &error));
    g_assert_nonnull(strstr(error->message, dir));
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    for (size_t i = 0; i < 2; i++) {
        const struct store_run *run = store_run(i ? back : made.store, 0);
        g_assert_cmpint(run->state, ==, STORE_FAILED);
        g_assert_nonnull(strstr(run->message, dir));
        g_assert_nonnull(strstr(run->message, ".partial"));
    }
}

/* Killed while the files were moved: a part of them is in the folder that was to be; whoever looks moves the rest. */
static void test_killed_while_files_were_moved(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    g_autofree char *dir = exchange_with_result(made.store, 0, NULL);
    g_autofree char *name = store_run_name(0, 1, "m", "sim", plan_cell_hash(made.plan, 0), 1);
    g_autofree char *partial = store_run_partial(name), *to = path_in(made.store, partial);
    g_assert_true(store_run_begin(made.store, 0, dir, NULL));
    g_assert_cmpint(rename(dir, to), ==, 0);
    g_assert_true(file_make_dirs(dir, NULL));
    g_clear_pointer(&made.store->journal, journal_close);
    g_autoptr(owned_store) store = reopen(&made, STORE_READ);
    g_autofree char *whole = path_in(made.store, name);
    g_assert_cmpstr(store_run(store, 0)->folder, ==, whole);
    g_assert_false(g_file_test(to, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
}

/* Nobody may move them: where they are is said. */
static void test_files_that_stay_where_they_are(void)
{
    g_auto(owned_made) made = make(TWO_RUNS);
    g_autofree char *dir = exchange_with_result(made.store, 0, NULL);
    g_autofree char *name = store_run_name(0, 1, "m", "sim", plan_cell_hash(made.plan, 0), 1);
    g_autofree char *partial = store_run_partial(name), *to = path_in(made.store, partial);
    g_assert_true(store_run_begin(made.store, 0, dir, NULL));
    g_assert_true(g_file_set_contents(to, "in the way", -1, NULL));
    g_clear_pointer(&made.store->journal, journal_close);
    g_autoptr(owned_store) store = reopen(&made, STORE_READ);
    g_assert_cmpint(store_run(store, 0)->state, ==, STORE_LOST);
    g_assert_nonnull(strstr(store_run(store, 0)->message, dir));
}

void add_fault_tests(void)
{
    g_test_add_func("/store/faults/killed at every step", test_killed_at_every_step);
    g_test_add_func("/store/faults/every beginning of a journal", test_every_beginning_of_a_journal_is_one);
    g_test_add_func("/store/faults/killed while files were moved", test_killed_while_files_were_moved);
    g_test_add_func("/store/faults/files that stay", test_files_that_stay_where_they_are);
    g_test_add_func("/store/faults/full disk, journal", test_a_full_disk_leaves_no_half_line);
    g_test_add_func("/store/faults/full disk, study", test_a_full_disk_leaves_no_half_study);
    g_test_add_func("/store/faults/files that cannot be moved", test_files_that_cannot_be_moved);
}
