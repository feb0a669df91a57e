/* SPDX-License-Identifier: MIT */
/* Any bytes as the journal of a study, and as its study.json: a store that can be asked everything, or an error. */
#include "store/store.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char study[] = "model: m\nbackend: sim\nsweep: {sim.threads: [1, 2]}\nexecution: {n_cycles: 2, seed: 1}\n";
static char *dir, *good, *other; /* two study folders: of the second the head is not ours */

static void write_in(const char *folder, const char *name, const char *text, size_t size)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert(g_file_set_contents_full(path, text, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0666, NULL));
}

static void remove_folders(void)
{
    file_remove_tree(dir, NULL);
}

static void make_folders(void)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) file = config_file_parse("s.yaml", study, strlen(study), "/", NULL, diag);
    g_autoptr(owned_plan) plan = plan_new(file, diag);
    dir = g_dir_make_tmp("llem-fuzz-XXXXXX", NULL);
    g_autoptr(owned_store) store = store_create(dir, file, plan, NULL);
    good = g_strdup(store_folder(store));
    other = g_build_filename(dir, "other", NULL);
    g_assert(file_make_dirs(other, NULL));
    write_in(other, "cells.jsonl", "{}\n", 3); /* the corpus has its SHA-256 */
    atexit(remove_folders);
}

static void use(const struct store *store)
{
    g_autoptr(json_t) head = store_describe(store);
    g_assert(store_name(store) && store_hash(store) && store_order(store) && store_doubts(store));
    for (size_t i = 0; i < store_axes(store); i++)
        g_assert(store_axis_path(store, i));
    for (size_t i = 0; i < store_cells(store); i++) {
        g_auto(owned_store_cell) cell = {0};
        g_autoptr(owned_config) config = store_cell_config(store, i, NULL);
        store_cell_read(store, i, &cell, NULL);
    }
    for (size_t i = 0; i < store_runs(store); i++) {
        g_autoptr(json_t) figures = store_run_figures(store, i), record = store_run_record(store, i, NULL);
        g_assert(store_state_name(store_run(store, i)->state) && store_gap_ns(store, i) >= 0);
    }
}

static void open_and_use(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_store) store = store_open(folder, STORE_READ, &error);
    g_assert((store != NULL) == (error == NULL));
    if (store)
        use(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dir)
        make_folders();
    write_in(good, "journal.jsonl", (const char *)data, size);
    write_in(other, "study.json", (const char *)data, size);
    open_and_use(good);
    open_and_use(other);
    return 0;
}
