/* SPDX-License-Identifier: MIT */
/* cells.jsonl: a cell is a line that says what it has otherwise than the first cell of its backend, whose values,
 * origins, digests, hashed object, roles and files stand in study.json ("shared"):
 *     {"hash":…,"label":…,"levels":{…},"shared":1,"values":{path: value},"origins":{path: text},"without":[path],
 *      "hashed":{path: value},"unhashed":[path],"roles":{…},"files":[path]}
 * The hash is made again from what comes out, so a line that was changed is found. */
#include "store/internal.h"

#include <string.h>

/* --- Writing -------------------------------------------------------------------------------------------------------- */

/* The first cell of each backend. */
struct bases {
    GPtrArray *configs; /* struct config * */
    json_t *shared;
};

static json_t *files_of(const struct config *config)
{
    g_auto(GStrv) files = config_files(config);
    json_t *list = json_array();
    for (char **file = files; *file; file++)
        json_array_append_new(list, json_string(*file));
    return list;
}

static json_t *derived_of(const struct config *config)
{
    return json_pack("{s:o, s:o, s:o}", "hashed", config_hashed(config), "roles", config_roles(config), "files",
                     files_of(config));
}

static json_t *parts_of(const struct config *config)
{
    json_t *parts = json_pack("{s:o, s:o, s:o}", "values", config_tree(config), "origins", config_origins(config),
                              "digests", config_digests(config));
    g_autoptr(json_t) derived = derived_of(config);
    json_object_update(parts, derived);
    return parts;
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

/* Fields of the hashed object that are otherwise than in the base's, and those that it has alone. */
static void add_hashed(json_t *line, const json_t *own, const json_t *base)
{
    json_t *fields = json_object_get(own, "fields"), *shared = json_object_get(base, "fields");
    json_t *others = json_object(), *without = json_array(), *value;
    const char *path;
    json_object_foreach(fields, path, value)
        if (!json_equal(value, json_object_get(shared, path)))
            json_object_set(others, path, value);
    json_object_foreach(shared, path, value)
        if (!json_object_get(fields, path))
            json_array_append_new(without, json_string(path));
    json_object_set_new(line, "hashed", others);
    json_object_set_new(line, "unhashed", without);
}

/* What is derived from the values, where it is otherwise than the base's. */
static void add_derived(json_t *line, const struct config *config, const json_t *shared)
{
    g_autoptr(json_t) own = derived_of(config);
    const char *name;
    json_t *value;
    json_object_foreach(own, name, value) {
        const json_t *base = json_object_get(shared, name);
        if (json_equal(value, base))
            continue;
        if (!strcmp(name, "hashed"))
            add_hashed(line, value, base);
        else
            json_object_set(line, name, value);
    }
}

static void append_cell(GString *out, const struct plan *plan, size_t cell, struct bases *bases)
{
    g_autoptr(owned_config) config = plan_cell_config(plan, cell);
    g_autofree char *label = plan_cell_label(plan, cell);
    g_autofree char *valid = g_utf8_make_valid(label, -1);
    size_t base = base_of(bases, &config);
    g_autoptr(json_t) line = json_pack("{s:s, s:s, s:o}", "hash", plan_cell_hash(plan, cell), "label", valid, "levels",
                                       levels_of(plan, cell));
    if (config)
        add_derived(line, config, json_array_get(bases->shared, base));
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
    if ((json_int_t)store->lines->len == json_integer_value(json_object_get(store->head, "cells")))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s has %u lines; study.json has another number of cells", path,
                store->lines->len);
    return false;
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
        !jsonx_get_string(line, "label", true, &label, error) ||
        !jsonx_get_object(line, "levels", true, &levels, error))
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
    static const char *const whole[] = {"roles", "files"};
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
    json_t *hashed = jsonx_at(parts, "hashed.fields");
    json_array_foreach(json_object_get(line, "unhashed"), i, value)
        json_object_del(hashed, json_string_value(value));
    json_object_update(hashed, json_object_get(line, "hashed"));
    for (size_t k = 0; k < G_N_ELEMENTS(whole); k++)
        if (json_object_get(line, whole[k]))
            json_object_set(parts, whole[k], json_object_get(line, whole[k]));
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

/* The texts of a list, borrowed. New vector. */
static const char **texts_of(const json_t *list)
{
    const char **texts = g_new0(const char *, json_array_size(list) + 1);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)))
            texts[n++] = json_string_value(json_array_get(list, i));
    return texts;
}

struct config *store_cell_config(const struct store *store, size_t cell, GError **error)
{
    g_autoptr(json_t) parts = store_cell_parts(store, cell, error);
    const char *hash = NULL;
    if (!parts || !jsonx_get_string(parts, "hash", true, &hash, error))
        return NULL;
    g_autofree const char **files = texts_of(json_object_get(parts, "files"));
    const struct config_parts carried = {.values = json_object_get(parts, "values"),
                                         .hashed = json_object_get(parts, "hashed"),
                                         .origins = json_object_get(parts, "origins"),
                                         .roles = json_object_get(parts, "roles"),
                                         .digests = json_object_get(parts, "digests"),
                                         .files = files};
    struct config *config = config_from_values(&carried, hash, error);
    if (!config)
        g_prefix_error(error, "%s/cells.jsonl, line %zu: ", store->folder, cell + 1);
    return config;
}
