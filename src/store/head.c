/* SPDX-License-Identifier: MIT */
/* study.json: what is to be done. */
#include "store/internal.h"

#include "version.h"

#include <string.h>

/* --- Writing -------------------------------------------------------------------------------------------------------- */

static json_t *axes_json(const struct plan *plan)
{
    json_t *axes = json_array();
    for (size_t k = 0; k < plan_axes(plan); k++)
        json_array_append_new(axes, json_string(plan_axis_path(plan, k)));
    return axes;
}

/* The cell of each run. Which cycle a run is of follows: how often its cell has come so far. */
static json_t *runs_json(const struct plan *plan)
{
    const struct plan_run *runs;
    size_t n = plan_runs(plan, &runs);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((json_int_t)runs[i].cell));
    return list;
}

json_t *store_head_json(const struct config_file *file, const struct plan *plan, json_t *shared,
                        const char *cells_sha256)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:I, s:i, s:o, s:o, s:I, s:s, s:o, s:o}",         //
                     "schema", STORE_SCHEMA,                                                               //
                     "llem", "version", LLEM_VERSION, "revision", LLEM_REVISION,                           //
                     "name", config_file_name(file), "study_hash", plan_hash(plan),                        //
                     "order", plan_order(plan), "seed", (json_int_t)plan_seed(plan), "cycles", plan_cycles(plan), //
                     "study", config_file_study(file), "axes", axes_json(plan),                            //
                     "cells", (json_int_t)plan_cells(plan), "cells_sha256", cells_sha256,                  //
                     "shared", shared, "runs", runs_json(plan));
}

/* --- Reading -------------------------------------------------------------------------------------------------------- */

static bool check_schema(const struct store *store, GError **error)
{
    const char *schema = json_string_value(json_object_get(store->head, "schema"));
    if (schema && !strcmp(schema, STORE_SCHEMA))
        return true;
    if (schema && g_str_has_prefix(schema, "llem-study/"))
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                    "it is of another version of llem (%s; this one reads " STORE_SCHEMA "): run the study again, or read "
                    "it with that version", schema);
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "study.json is not that of a study");
    return false;
}

/* A list whose items are all of one type. */
static bool check_list(const json_t *head, const char *key, json_type type, GError **error)
{
    json_t *list = NULL;
    if (!jsonx_get_array(head, key, true, &list, error))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_typeof(item) == type)
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "member '%s[%zu]': it is %s", key, i, jsonx_type_name(item));
        return false;
    }
    return true;
}

/* Texts and numbers that are read later without a look. */
static bool check_members(const json_t *head, int64_t *ret_cells, GError **error)
{
    static const char *const texts[] = {"name", "study_hash", "order", "cells_sha256"};
    static const char *const numbers[] = {"seed", "cycles"};
    const char *text;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        if (!jsonx_get_string(head, texts[i], true, &text, error))
            return false;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (!jsonx_get_int(head, numbers[i], true, ret_cells, error))
            return false;
    return check_list(head, "axes", JSON_STRING, error) && check_list(head, "shared", JSON_OBJECT, error) &&
           jsonx_get_int(head, "cells", true, ret_cells, error);
}

static bool read_runs(struct store *store, size_t n_cells, GError **error)
{
    json_t *list = NULL;
    if (!jsonx_get_array(store->head, "runs", true, &list, error))
        return false;
    g_autofree int *seen = g_new0(int, n_cells + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        int64_t cell = json_is_integer(item) ? json_integer_value(item) : -1;
        if (cell < 0 || cell >= (int64_t)n_cells) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "runs[%zu] is not the number of a cell", i);
            return false;
        }
        struct store_run run = {.cell = (size_t)cell, .cycle = ++seen[cell]};
        g_array_append_val(store->runs, run);
    }
    return true;
}

bool store_head_read(struct store *store, GError **error)
{
    g_autofree char *path = g_build_filename(store->folder, "study.json", NULL);
    int64_t n_cells;
    store->head = jsonx_load(path, LIMIT_RESULT_BYTES, error);
    if (store->head && check_schema(store, error) && check_members(store->head, &n_cells, error) &&
        read_runs(store, n_cells < 0 ? 0 : (size_t)n_cells, error))
        return true;
    g_prefix_error(error, store->head ? "%s: " : "%s is not a study folder: ", store->folder);
    return false;
}
