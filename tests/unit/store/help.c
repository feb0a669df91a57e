/* SPDX-License-Identifier: MIT */
#include "help.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <string.h>

struct made make(const char *text)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(GError) error = NULL;
    struct made made = {.dir = g_dir_make_tmp("llem-store-XXXXXX", NULL)};
    made.file = config_file_parse("study.yaml", text, strlen(text), made.dir, NULL, diag);
    made.plan = made.file ? plan_new(made.file, diag) : NULL;
    if (!made.plan)
        g_error("%s", diag_render(diag, false));
    made.store = store_create(made.dir, made.file, made.plan, &error);
    g_assert_no_error(error);
    return made;
}

void made_clear(struct made *made)
{
    store_free(made->store);
    plan_free(made->plan);
    config_file_free(made->file);
    g_assert_true(file_remove_tree(made->dir, NULL));
    g_free(made->dir);
}

struct store *reopen(const struct made *made, enum store_access access)
{
    g_autoptr(GError) error = NULL;
    struct store *store = store_open(store_folder(made->store), access, &error);
    g_assert_no_error(error);
    return store;
}

char *path_in(const struct store *store, const char *name)
{
    return g_build_filename(store_folder(store), name, NULL);
}

char *content_of(const struct store *store, const char *name)
{
    char *text;
    g_autofree char *path = path_in(store, name);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Of a run that did well; its configuration's hash and its cycle are filled in. */
#define RESULT_TEXT                                                                                                        \
    "{\"schema\": \"" RESULT_SCHEMA "\", \"identity\": {\"config_hash\": \"%s\", \"cycle\": %d}, "                             \
    "\"metrics\": {\"output_tokens_per_s\": {\"status\": \"measured\", \"value\": 5.5}, \"flops\": {\"value\": 1}}, "          \
    "\"energy\": {\"scope\": \"GPU boards\"}, \"flags\": [\"gap\"]}"

char *exchange_with_result(const struct store *store, size_t run, const char *error_class)
{
    g_auto(owned_store_cell) cell = {0};
    g_assert_true(store_cell_read(store, store_run(store, run)->cell, &cell, NULL));
    g_autofree char *name = g_strdup_printf(EXCHANGE_FOLDER_PREFIX "%zu", run);
    char *dir = path_in(store, name);
    g_assert_true(file_make_dirs(dir, NULL));
    g_autofree char *path = exchange_file(dir, cell.hash, error_class ? "error.json" : "result.json");
    g_autofree char *record =
        error_class ? g_strdup_printf("{\"schema\": \"" RESULT_ERROR_SCHEMA "\", \"class\": \"%s\", "
                                      "\"message\": \"it broke\"}", error_class)
                    : g_strdup_printf(RESULT_TEXT, cell.hash, store_run(store, run)->cycle);
    g_assert_true(g_file_set_contents(path, record, -1, NULL));
    return dir;
}

void run_to_the_end(struct store *store, size_t run, enum store_state state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = exchange_with_result(store, run, state == STORE_OK ? NULL : "EngineError");
    g_assert_true(store_run_begin(store, run, dir, &error));
    const struct store_end end = {
        .state = state, .message = state == STORE_OK ? NULL : "it broke", .exchange_dir = dir, .wall_ns = 5};
    g_assert_true(store_run_end(store, run, &end, &error));
    g_assert_no_error(error);
    g_assert_true(file_remove_tree(dir, NULL));
}
