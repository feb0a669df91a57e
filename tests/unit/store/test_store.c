/* SPDX-License-Identifier: MIT */
/* The folder of a study holds the study: what was planned comes back from it, wherever it lies, without the user's
 * file. */
#include "help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char two_backends[] = "model: m.gguf\n"
                                   "name: büro\n"
                                   "dataset: ./data.jsonl\n"
                                   "n: 2\n"
                                   "warmup: {enabled: false}\n"
                                   "sweep:\n"
                                   "  backend: [sim, llamacpp]\n"
                                   "  max_output_tokens: [128, 5]\n"
                                   "  decoder.temperature: [0, 0.5]\n"
                                   "  sim.threads: [1, 2]\n"
                                   "  llamacpp.n_threads: [1, 2]\n"
                                   "execution: {n_cycles: 3, order: shuffled, cycle_gap_seconds: 2, experiment_gap_seconds: 0.5}\n";

/* Files that the study names, in the folder that relative paths are relative to. */
static struct made make_with_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-files-XXXXXX", NULL);
    g_autofree char *model = g_build_filename(dir, "m.gguf", NULL), *data = g_build_filename(dir, "data.jsonl", NULL);
    static const char prompts[] = "{\"prompt\": \"x\"}\n{\"prompt\": \"y\"}\n";
    g_assert_true(g_file_set_contents(model, "GGUF", -1, NULL) && g_file_set_contents(data, prompts, -1, NULL));
    g_autofree char *here = g_strdup_printf("model: %s\ndataset: %s\n", model, data);
    g_autofree char *text = g_strconcat(here, strstr(two_backends, "name:"), NULL);
    char *line = strstr(text, "dataset: ./data.jsonl\n");
    memset(line, ' ', strlen("dataset: ./data.jsonl"));
    struct made made = make(text);
    g_assert_true(file_remove_tree(dir, NULL)); /* neither model nor data set is needed to read the study */
    return made;
}

static void assert_same_config(const struct config *a, const struct config *b)
{
    g_autoptr(json_t) tree_a = config_tree(a), tree_b = config_tree(b);
    g_autoptr(json_t) origins_a = config_origins(a), origins_b = config_origins(b);
    g_autoptr(json_t) digests_a = config_digests(a), digests_b = config_digests(b);
    g_assert_cmpstr(config_hash(a), ==, config_hash(b));
    g_assert_true(json_equal(tree_a, tree_b));
    g_assert_true(json_equal(origins_a, origins_b));
    g_assert_true(json_equal(digests_a, digests_b));
    g_autoptr(json_t) hashed_a = config_hashed(a), hashed_b = config_hashed(b);
    g_autoptr(json_t) roles_a = config_roles(a), roles_b = config_roles(b);
    g_auto(GStrv) files_a = config_files(a), files_b = config_files(b);
    g_assert_true(json_equal(hashed_a, hashed_b));
    g_assert_true(json_equal(roles_a, roles_b));
    g_assert_cmpstrv(files_a, files_b);
}

static void test_a_moved_folder_is_the_study(void)
{
    g_auto(owned_made) made = make_with_files();
    g_autoptr(GError) error = NULL;
    g_autofree char *elsewhere = g_build_filename(made.dir, "elsewhere", NULL);
    g_assert_cmpint(rename(store_folder(made.store), elsewhere), ==, 0);
    g_autoptr(owned_store) store = store_open(elsewhere, STORE_READ, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(store_cells(store), ==, plan_cells(made.plan));
    g_assert_cmpuint(store_cells(store), ==, 16);
    for (size_t i = 0; i < store_cells(store); i++) {
        g_autoptr(owned_config) planned = plan_cell_config(made.plan, i);
        g_autoptr(owned_config) config = store_cell_config(store, i, &error);
        g_assert_no_error(error);
        assert_same_config(planned, config);
        g_auto(owned_store_cell) cell = {0};
        g_assert_true(store_cell_read(store, i, &cell, &error));
        g_autofree char *label = plan_cell_label(made.plan, i);
        g_assert_cmpstr(cell.label, ==, label);
        g_assert_cmpstr(cell.hash, ==, plan_cell_hash(made.plan, i));
        for (size_t k = 0; k < store_axes(store); k++)
            g_assert_true(plan_cell_level(made.plan, i, k) == NULL ||
                          json_equal(json_object_get(cell.levels, store_axis_path(store, k)),
                                     plan_cell_level(made.plan, i, k)));
    }
    g_assert_cmpint(rename(elsewhere, store_folder(made.store)), ==, 0);
}

static void assert_same_head(const struct store *store, const struct made *made)
{
    const struct plan_run *runs;
    g_assert_cmpuint(store_runs(store), ==, plan_runs(made->plan, &runs));
    for (size_t i = 0; i < store_runs(store); i++) {
        g_assert_cmpuint(store_run(store, i)->cell, ==, runs[i].cell);
        g_assert_cmpint(store_run(store, i)->cycle, ==, runs[i].cycle);
        g_assert_cmpint(store_run(store, i)->state, ==, STORE_PLANNED);
    }
    g_assert_cmpstr(store_name(store), ==, config_file_name(made->file));
    g_assert_cmpstr(store_hash(store), ==, plan_hash(made->plan));
    g_assert_cmpstr(store_order(store), ==, plan_order(made->plan));
    g_assert_true(store_seed(store) == plan_seed(made->plan));
    g_assert_cmpint(store_cycles(store), ==, plan_cycles(made->plan));
    g_assert_cmpuint(store_axes(store), ==, plan_axes(made->plan));
}

static void test_created_and_opened_are_the_same(void)
{
    static const char *const orders[] = {"sequential", "interleaved", "shuffled"};
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *text = g_strdup_printf("model: m\nbackend: sim\nsweep: {sim.threads: [1, 2, 3]}\n"
                                                "execution: {n_cycles: 4, order: %s}\n", orders[i]);
        g_auto(owned_made) made = make(text);
        g_autoptr(owned_store) store = reopen(&made, STORE_READ);
        assert_same_head(made.store, &made);
        assert_same_head(store, &made);
    }
}

static void test_pauses(void)
{
    g_auto(owned_made) made = make("model: m\nbackend: sim\nsweep: {sim.threads: [1, 2]}\nexecution: {n_cycles: 2, "
                                   "order: interleaved, cycle_gap_seconds: 2, experiment_gap_seconds: 0.5}\n");
    const int64_t half = NS_PER_S / 2, expected[] = {half, 2 * NS_PER_S, half, 0};
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpint(store_gap_ns(made.store, i), ==, expected[i]);
}

/* A cell costs a line of what is its own; what cells share stands once for each backend. */
static void test_cells_are_small(void)
{
    g_auto(owned_made) made = make_with_files();
    g_autofree char *text = content_of(made.store, "cells.jsonl");
    g_assert_cmpuint(strlen(text) / store_cells(made.store), <, 600);
    g_assert_cmpuint(json_array_size(json_object_get(made.store->head, "shared")), ==, 2);
}

static const struct {
    const char *name, *file;
    const char *from, *to; /* in the file; to NULL: the file is cut off before it */
    int code;
    const char *said;
} damages[] = {
    {"an older version", "study.json", "llem-study/2", "llem-study/1", LLEM_ERROR_UNSUPPORTED,
     "it is of another version of llem (llem-study/1; this one reads llem-study/2): run the study again"},
    {"another file", "study.json", "llem-study/2", "shopping", LLEM_ERROR_DATA, "study.json is not that of a study"},
    {"cut off", "study.json", "\"seed\"", NULL, LLEM_ERROR_DATA, "study.json:"},
    {"a run of no cell", "study.json", "\"runs\": [\n    0", "\"runs\": [\n    9", LLEM_ERROR_DATA,
     "runs[0] is not the number of a cell"},
    {"an axis that is no text", "study.json", "\"sim.threads\"\n", "7\n", LLEM_ERROR_DATA,
     "member 'axes[0]': it is an integer"},
    {"another number of cells", "study.json", "\"cells\": 2", "\"cells\": 3", LLEM_ERROR_DATA, "has 2 lines"},
    {"cells cut off", "cells.jsonl", "\n{", NULL, LLEM_ERROR_DATA, "it was changed or cut off"},
    {"a cell changed", "cells.jsonl", "sim.threads=1", "sim.threads=7", LLEM_ERROR_DATA, "it was changed or cut off"},
};

static void damage(const struct store *store, const char *file, const char *from, const char *to)
{
    g_autofree char *path = path_in(store, file), *text = content_of(store, file);
    char *at = strstr(text, from);
    g_assert_nonnull(at);
    *at = 0;
    g_autofree char *whole = to ? g_strconcat(text, to, at + strlen(from), NULL) : g_strdup(text);
    g_assert_true(g_file_set_contents(path, whole, -1, NULL));
}

static void test_damaged_folders_are_said_to_be(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_auto(owned_made) made = make("model: m\nbackend: sim\nsweep: {sim.threads: [1, 2]}\n"
                                       "execution: {n_cycles: 1, order: sequential}\n");
        damage(made.store, damages[i].file, damages[i].from, damages[i].to);
        g_autoptr(GError) error = NULL;
        g_assert_null(store_open(store_folder(made.store), STORE_READ, &error));
        if (!error || error->code != damages[i].code || !strstr(error->message, damages[i].said) ||
            !strstr(error->message, store_folder(made.store)))
            g_error("%s: %s", damages[i].name, error ? error->message : "no error");
    }
}

static void test_what_is_no_study(void)
{
    static const char *const places[] = {"", "nowhere", "file"};
    g_autofree char *dir = g_dir_make_tmp("llem-store-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_assert_true(g_file_set_contents(file, "", -1, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *folder = g_build_filename(dir, places[i], NULL);
        g_autoptr(GError) error = NULL;
        g_assert_false(store_is_study(folder));
        g_assert_null(store_open(folder, STORE_READ, &error));
        g_assert_nonnull(strstr(error->message, "is not a study folder: "));
    }
    g_assert_true(file_remove_tree(dir, NULL));
}

static void test_names_of_states(void)
{
    for (int i = 0; i < STORE_STATE_COUNT; i++)
        g_assert_cmpint(store_state_from_name(store_state_name((enum store_state)i)), ==, i);
    g_assert_cmpint(store_state_from_name("not run"), ==, -1);
    g_assert_cmpint(store_state_from_name(NULL), ==, -1);
}

static void test_states_of_failures(void)
{
    static const struct {
        int code;
        const char *message;
        enum store_state state;
        const char *said;
    } cases[] = {
        {LLEM_ERROR_INTERRUPTED, "interrupted", STORE_INTERRUPTED, NULL},
        {LLEM_ERROR_INTERRUPTED, "interrupted by signal 15", STORE_INTERRUPTED, "by signal 15"},
        {LLEM_ERROR_MISSING, "the form q8_0 is not here", STORE_SKIPPED, "the form q8_0 is not here"},
        {LLEM_ERROR_ENGINE, "no", STORE_FAILED, "no"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) failure = g_error_new_literal(LLEM_ERROR, cases[i].code, cases[i].message);
        g_assert_cmpint(store_state_of_failure(failure), ==, cases[i].state);
        g_assert_cmpstr(store_message_of_failure(failure), ==, cases[i].said);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *cache = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/a moved folder is the study", test_a_moved_folder_is_the_study);
    g_test_add_func("/store/created and opened are the same", test_created_and_opened_are_the_same);
    g_test_add_func("/store/pauses", test_pauses);
    g_test_add_func("/store/cells are small", test_cells_are_small);
    g_test_add_func("/store/damaged folders", test_damaged_folders_are_said_to_be);
    g_test_add_func("/store/what is no study", test_what_is_no_study);
    g_test_add_func("/store/names of states", test_names_of_states);
    g_test_add_func("/store/states of failures", test_states_of_failures);
    add_journal_tests();
    add_folder_tests();
    add_fault_tests();
    int rc = g_test_run();
    file_remove_tree(cache, NULL);
    return rc;
}
