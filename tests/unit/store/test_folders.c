/* SPDX-License-Identifier: MIT */
/* Names of folders, and how a run's files get into theirs. */
#include "help.h"

#include <string.h>
#include <sys/stat.h>

static void test_names_are_built_and_taken_apart(void)
{
    static const struct {
        size_t run;
        int cycle;
        const char *model, *backend, *hash;
        int attempt;
        const char *name;
    } cases[] = {
        {6, 2, "/models/Smol LM.gguf", "sim", "0123456789abcdef", 1, "007_c2_Smol-LM.gguf-sim_01234567"},
        {0, 1, "m_1", "x", "ffffffffffffffff", 3, "001_c1_m_1-x_ffffffff_3"},
        {29999, 10, ".hidden", "sim", "1111111111111111", 12, "30000_c10_hidden-sim_11111111_12"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = store_run_name(cases[i].run, cases[i].cycle, cases[i].model, cases[i].backend,
                                               cases[i].hash, cases[i].attempt);
        size_t run;
        int cycle, attempt;
        g_assert_cmpstr(name, ==, cases[i].name);
        g_assert_true(store_run_name_parse(name, &run, &cycle, &attempt));
        g_assert_cmpuint(run, ==, cases[i].run);
        g_assert_cmpint(cycle, ==, cases[i].cycle);
        g_assert_cmpint(attempt, ==, cases[i].attempt);
    }
}

static void test_what_is_no_run_folder(void)
{
    static const char *const names[] = {"",          "study.json",  ".exchange-xyz",          "000_c1_m-x_01234567",
                                        "001_c0_m",  "001",         "001_c1",                 "c1_001_m",
                                        "-1_c1_m-x", "0x1_c1_m-x_", ".partial"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        size_t run;
        int cycle, attempt;
        if (store_run_name_parse(names[i], &run, &cycle, &attempt))
            g_error("'%s' was taken for a run folder", names[i]);
    }
}

/* A folder that its llem could not complete is told from one that is whole. */
static void test_what_is_not_complete(void)
{
    size_t run;
    int cycle, attempt;
    g_autofree char *partial = store_run_partial("012_c3_m-x_01234567_2");
    g_assert_true(store_run_name_is_partial(partial));
    g_assert_false(store_run_name_is_partial("012_c3_m-x_01234567_2"));
    g_assert_true(store_run_name_parse(partial, &run, &cycle, &attempt));
    g_assert_cmpuint(run, ==, 11);
    g_assert_cmpint(cycle, ==, 3);
    g_assert_cmpint(attempt, ==, 2);
}

static void test_study_folders_are_new(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-store-XXXXXX", NULL);
    g_autofree char *first = store_folder_new(dir, "a/b c", &error);
    g_autofree char *second = store_folder_new(dir, "a/b c", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(first, !=, second);
    g_assert_nonnull(strstr(first, "/b-c_"));
    g_autofree char *file = g_build_filename(first, "file", NULL), *below = g_build_filename(file, "results", NULL);
    g_assert_true(g_file_set_contents(file, "", -1, NULL));
    g_assert_null(store_folder_new(below, "s", &error)); /* a folder that is a file */
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    g_assert_true(file_remove_tree(dir, NULL));
}

static void test_files_are_collected(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-store-XXXXXX", NULL);
    g_autofree char *run = g_build_filename(dir, "run", NULL), *ex = g_build_filename(dir, "exchange", NULL);
    g_assert_true(file_make_dirs(ex, NULL));
    static const char *const left[] = {"0123456789abcdef_config.json", "0123456789abcdef_result.json", "engine.log",
                                       "trace.csv.gz.4711.tmp", "other.tmp"};
    static const char *const kept[] = {"config.json", "result.json", "engine.log", "trace.partial.csv.gz"};
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        g_autofree char *path = g_build_filename(ex, left[i], NULL);
        g_assert_true(g_file_set_contents(path, "{}", -1, NULL));
    }
    g_assert_true(store_run_collect(ex, "0123456789abcdef", run, &error));
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_autofree char *path = g_build_filename(run, kept[i], NULL);
        g_assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    }
    g_autofree char *other = g_build_filename(ex, "other.tmp", NULL); /* nobody's */
    g_assert_true(g_file_test(other, G_FILE_TEST_IS_REGULAR));
    g_assert_true(file_remove_tree(dir, NULL));
}

void add_folder_tests(void)
{
    g_test_add_func("/store/folders/names", test_names_are_built_and_taken_apart);
    g_test_add_func("/store/folders/not complete", test_what_is_not_complete);
    g_test_add_func("/store/folders/what is no run folder", test_what_is_no_run_folder);
    g_test_add_func("/store/folders/studies", test_study_folders_are_new);
    g_test_add_func("/store/folders/files are collected", test_files_are_collected);
}
