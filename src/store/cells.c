/* SPDX-License-Identifier: MIT */
/* cells.jsonl: a cell is a line that says what it has otherwise than the first cell of its backend, whose values,
 * origins and digests stand in study.json ("shared"):
 *     {"hash":…,"label":…,"levels":{…},"shared":1,"values":{path: value},"origins":{path: text},"without":[path]}
 * The hash is made again from what comes out, so a line that was changed is found. */
#include "store/internal.h"

#include <string.h>

/* --- Writing -------------------------------------------------------------------------------------------------------- */

/* The first cell of each backend. */
struct bases {
    GPtrArray *configs; /* struct config * */
    json_t *shared;
};

static json_t *parts_of(const struct config *config)
{
    return json_pack("{s:o, s:o, s:o}", "values", config_tree(config), "origins", config_origins(config), "digests",
                     config_digests(config));
}

/* The place of a configuration's base; the configuration becomes one, and is kept, where its backend is new. */
static size_t base_of(struct bases *bases, struct config **config)
{
    const char *backend = config_string(*config, FIELD_BACKEND);
    for (size_t i = 0; i < bases->configs->len; i++)
        if (!strcmp(config_string(g_ptr_array_index(bases->configs, i), FIELD_BACKEND), backend))
            return i;
    json_array_append_new(bases->shared, parts_of(*config));
    g_ptr_array_add(bases->configs, g_steal_pointer(config));
    return bases->configs->len - 1;
}

static json_t *levels_of(const struct plan *plan, size_t cell)
{
    json_t *levels = json_object();
    for (size_t k = 0; k < plan_axes(plan); k++)
        json_object_set(levels, plan_axis_path(plan, k), plan_cell_level(plan, cell, k));
    return levels;
}

static void append_cell(GString *out, const struct plan *plan, size_t cell, struct bases *bases)
{
    g_autoptr(owned_config) config = plan_cell_config(plan, cell);
    g_autofree char *label = plan_cell_label(plan, cell);
    g_autofree char *valid = g_utf8_make_valid(label, -1);
    size_t base = base_of(bases, &config);
    g_autoptr(json_t) line = json_pack("{s:s, s:s, s:o}", "hash", plan_cell_hash(plan, cell), "label", valid, "levels",
                                       levels_of(plan, cell));
    if (base)
        json_object_set_new(line, "shared", json_integer((json_int_t)base));
    g_autoptr(json_t) difference = config ? config_difference(config, g_ptr_array_index(bases->configs, base)) : NULL;
    json_object_update(line, difference);
    g_autofree char *text = jsonx_dump(line, JSONX_COMPACT);
    g_string_append(out, text);
    g_string_append_c(out, '\n');
}

GString *store_cells_text(const struct plan *plan, json_t **ret_shared)
{
    struct bases bases = {g_ptr_array_new_with_free_func((GDestroyNotify)config_free), json_array()};
    GString *out = g_string_sized_new(plan_cells(plan) * 256);
    for (size_t i = 0; i < plan_cells(plan); i++)
        append_cell(out, plan, i, &bases);
    g_ptr_array_unref(bases.configs);
    *ret_shared = bases.shared;
    return out;
}

/* --- Reading -------------------------------------------------------------------------------------------------------- */

static void index_lines(struct store *store)
{
    store->lines = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (const char *at = store->cells; *at; at = strchr(at, '\n') + 1) {
        size_t offset = (size_t)(at - store->cells);
        if (!strchr(at, '\n'))
            return;
        g_array_append_val(store->lines, offset);
    }
}

bool store_cells_read(struct store *store, GError **error)
{
    g_autofree char *path = g_build_filename(store->folder, "cells.jsonl", NULL);
    size_t length;
    store->cells = file_read(path, LIMIT_CELLS_BYTES, &length, error);
    if (!store->cells)
        return false;
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)store->cells, length);
    if (g_strcmp0(sum, json_string_value(json_object_get(store->head, "cells_sha256"))) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s is not the file that study.json was written with: it was "
                    "changed or cut off", path);
        return false;
    }
    index_lines(store);
    return true;
}

size_t store_cells(const struct store *store)
{
    return store->lines->len;
}

static json_t *line_of(const struct store *store, size_t cell, GError **error)
{
    const char *text = store->cells + g_array_index(store->lines, size_t, cell);
    g_autofree char *name = g_strdup_printf("%s/cells.jsonl, line %zu", store->folder, cell + 1);
    return jsonx_parse(text, (gssize)strcspn(text, "\n"), name, error);
}

bool store_cell_read(const struct store *store, size_t cell, struct store_cell *ret, GError **error)
{
    *ret = (struct store_cell){0};
    g_autoptr(json_t) line = line_of(store, cell, error);
    const char *hash = NULL, *label = NULL;
    json_t *levels = NULL;
    if (!line || !jsonx_get_string(line, "hash", true, &hash, error) ||
        !jsonx_get_string(line, "label", true, &label, error) || !jsonx_get_object(line, "levels", true, &levels, error))
        return false;
    g_strlcpy(ret->hash, hash, sizeof ret->hash);
    ret->label = g_strdup(label);
    ret->levels = json_incref(levels);
    return true;
}

void store_cell_clear(struct store_cell *cell)
{
    g_free(cell->label);
    json_decref(cell->levels);
    *cell = (struct store_cell){0};
}

/* --- From the shared values to those of a cell ------------------------------------------------------------------------ */

static void delete_at(json_t *tree, const char *path)
{
    const char *dot = strrchr(path, '.');
    g_autofree char *section = g_strndup(path, dot ? (size_t)(dot - path) : 0);
    json_object_del(dot ? jsonx_at(tree, section) : tree, dot ? dot + 1 : path);
}

static void forget(json_t *parts, const char *path)
{
    delete_at(json_object_get(parts, "values"), path);
    json_object_del(json_object_get(parts, "origins"), path);
    json_object_del(json_object_get(parts, "digests"), path);
}

/* Applies what a line says to a copy of the shared parts. */
static void apply(json_t *parts, const json_t *line)
{
    const char *path;
    size_t i;
    json_t *value, *values = json_object_get(line, "values");
    json_array_foreach(json_object_get(line, "without"), i, value)
        forget(parts, json_string_value(value));
    json_object_foreach(values, path, value) {
        forget(parts, path);
        jsonx_set_at(json_object_get(parts, "values"), path, json_incref(value));
    }
    json_object_update(json_object_get(parts, "origins"), json_object_get(line, "origins"));
    json_object_update(json_object_get(parts, "digests"), json_object_get(line, "digests"));
}

json_t *store_cell_parts(const struct store *store, size_t cell, GError **error)
{
    g_autoptr(json_t) line = line_of(store, cell, error);
    if (!line)
        return NULL;
    size_t base = (size_t)json_integer_value(json_object_get(line, "shared"));
    json_t *parts = json_deep_copy(json_array_get(json_object_get(store->head, "shared"), base));
    if (!parts) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s/study.json: shared[%zu] is missing", store->folder, base);
        return NULL;
    }
    apply(parts, line);
    json_object_set(parts, "hash", json_object_get(line, "hash"));
    return parts;
}

struct config *store_cell_config(const struct store *store, size_t cell, GError **error)
{
    g_autoptr(json_t) parts = store_cell_parts(store, cell, error);
    const char *hash = NULL;
    if (!parts || !jsonx_get_string(parts, "hash", true, &hash, error))
        return NULL;
    struct config *config = config_from_values(json_object_get(parts, "values"), json_object_get(parts, "origins"),
                                               json_object_get(parts, "digests"), hash, error);
    if (!config)
        g_prefix_error(error, "%s/cells.jsonl, line %zu: ", store->folder, cell + 1);
    return config;
}
