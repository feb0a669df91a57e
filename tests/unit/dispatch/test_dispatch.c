/* SPDX-License-Identifier: MIT */
/* Who runs what, of a plan and of a study's folder without its file; engines that take too long to start. */
#include "dispatch/dispatch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ONE "model: scripted\nbackend: sim\nn: 1\n"

struct fixture {
    char *dir;
    struct diag *diag;
    struct dispatch *d;
};

static void set_up(struct fixture *f)
{
    g_unsetenv("LLEM_RUNNER_SIM");
    f->dir = g_dir_make_tmp("llem-dispatch-XXXXXX", NULL);
    f->diag = diag_new();
    f->d = dispatch_new(&(struct dispatch_options){.worker_path = "/nowhere/worker", .start_ns = NS_PER_S});
}

static void tear_down(struct fixture *f)
{
    dispatch_free(f->d);
    diag_free(f->diag);
    g_assert_true(file_remove_tree(f->dir, NULL));
    g_free(f->dir);
}

static struct config_file *read_text(const struct fixture *f, const char *text)
{
    struct config_file *file = config_file_parse("study.yaml", text, strlen(text), f->dir, NULL, f->diag);
    g_assert_nonnull(file);
    return file;
}

/* A study's folder; its file is gone. */
static struct store *stored(const struct fixture *f, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_config_file) file = read_text(f, text);
    g_autoptr(owned_plan) plan = plan_new(file, f->diag);
    struct store *store = store_create(f->dir, file, plan, &error);
    g_assert_no_error(error);
    return store;
}

static void assert_choice(const struct fixture *f, const char *runner, const char *image, const char *source)
{
    const struct dispatch_choice *choice = dispatch_choice_of(f->d, "sim");
    g_assert_nonnull(choice);
    g_assert_cmpstr(choice->runner->ops->name, ==, runner);
    g_assert_cmpstr(choice->image, ==, image);
    g_assert_cmpstr(choice->source, ==, source);
    g_assert_cmpstr(choice->runner->source, ==, source);
}

static void assert_said(const struct fixture *f, const char *words)
{
    g_autofree char *said = diag_render(f->diag, false);
    if (!strstr(said, words))
        g_error("not said: %s\nbut: %s", words, said);
}

static void test_plan(void)
{
    struct fixture f;
    set_up(&f);
    g_autoptr(owned_config_file) file = read_text(&f, ONE "runners: {sim: podman:a/b}\n");
    g_autoptr(owned_plan) plan = plan_new(file, f.diag);
    g_assert_true(dispatch_add_plan(f.d, plan, f.diag));
    g_assert_true(dispatch_settle(f.d, f.diag)); /* nobody starts an engine for a container */
    assert_choice(&f, "podman", "a/b", "study.yaml:4:16");
    tear_down(&f);
}

static void test_store(void)
{
    struct fixture f;
    set_up(&f);
    g_autoptr(owned_store) store = stored(&f, ONE "runners: {sim: {use: docker:a/b, shm_size: 1g}}\n");
    g_assert_true(dispatch_add_store(f.d, store, f.diag));
    assert_choice(&f, "docker", "a/b", "study.yaml:4:22");
    tear_down(&f);
}

/* The environment of whoever goes on with a study comes first. */
static void test_store_here(void)
{
    struct fixture f;
    set_up(&f);
    g_autoptr(owned_store) store = stored(&f, ONE "runners: {sim: docker:a/b}\n");
    g_setenv("LLEM_RUNNER_SIM", "podman:c", TRUE);
    g_assert_true(dispatch_add_store(f.d, store, f.diag));
    assert_choice(&f, "podman", "c", "environment LLEM_RUNNER_SIM");
    tear_down(&f);
}

static void test_store_bad(void)
{
    struct fixture f;
    set_up(&f);
    g_autoptr(owned_store) store = stored(&f, ONE);
    g_setenv("LLEM_RUNNER_SIM", "apptainer:c", TRUE);
    g_assert_false(dispatch_add_store(f.d, store, f.diag));
    assert_said(&f, "apptainer is not in this version");
    tear_down(&f);
}

static void test_arguments(void)
{
    struct fixture f;
    set_up(&f);
    g_autoptr(owned_store) store = stored(&f, ONE "runners: {sim: {use: docker:a, arguments: [--rm=false]}}\n");
    g_assert_false(dispatch_add_store(f.d, store, f.diag));
    assert_said(&f, "runners.sim.arguments: --rm=false: ");
    tear_down(&f);
}

/* An engine that says nothing is given up when its time is over. */
static void test_silent_engine(void)
{
    struct fixture f;
    set_up(&f);
    g_autofree char *program = g_build_filename(f.dir, "silent", NULL);
    g_assert_true(g_file_set_contents(program, "#!/bin/sh\nexec sleep 1000\n", -1, NULL));
    g_assert_cmpint(chmod(program, 0755), ==, 0);
    g_setenv("LLEM_ENGINE_SIM", program, TRUE);
    g_autoptr(owned_store) store = stored(&f, ONE);
    g_assert_true(dispatch_add_store(f.d, store, f.diag));
    int64_t before_ns = clock_mono_ns();
    g_assert_false(dispatch_settle(f.d, f.diag));
    g_assert_cmpint(clock_mono_ns() - before_ns, <, 30 * NS_PER_S);
    assert_said(&f, "sim cannot start on this machine: ");
    assert_said(&f, "runners: {sim: docker:IMAGE}");
    g_unsetenv("LLEM_ENGINE_SIM");
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *cache = g_dir_make_tmp("llem-dispatch-cache-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_test_add_func("/dispatch/a plan", test_plan);
    g_test_add_func("/dispatch/a study without its file", test_store);
    g_test_add_func("/dispatch/the environment of here", test_store_here);
    g_test_add_func("/dispatch/what is no runner", test_store_bad);
    g_test_add_func("/dispatch/arguments that undo promises", test_arguments);
    g_test_add_func("/dispatch/an engine that says nothing", test_silent_engine);
    int code = g_test_run();
    file_remove_tree(cache, NULL);
    return code;
}
