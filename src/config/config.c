/* SPDX-License-Identifier: MIT */
/* One resolved experiment: made from layers and settings, and what the exchange carries of it. */
#include "config/internal.h"

#include <string.h>

/* --- Making ----------------------------------------------------------------------------------------------------- */

struct config *config_new(const struct layers *layers, const struct config_setting *settings, size_t n,
                          struct diag *diag)
{
    const struct config_table *table = layers->table;
    struct config *config = g_malloc0(sizeof *config + table->n * (sizeof *config->values + sizeof *config->applies));
    config->table = table;
    config->values = (const struct config_value **)(void *)(config + 1);
    config->applies = (bool *)(config->values + table->n);
    memcpy(config->values, layers->values, table->n * sizeof *config->values);
    for (size_t i = 0; i < n; i++)
        config->values[settings[i].field - table->rows] = settings[i].value;
    if (!config_settle(config, diag) || !config_check_rules(config, diag)) {
        config_free(config);
        return NULL;
    }
    config_compute_hash(config);
    return config;
}

struct config *config_file_resolve(const struct config_file *file, const struct config_setting *settings, size_t n,
                                   struct diag *diag)
{
    return config_new(&file->layers, settings, n, diag);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    if (config->derived)
        g_ptr_array_unref(config->derived);
    json_decref(config->carried.tree);
    json_decref(config->carried.hashed);
    json_decref(config->carried.origins);
    json_decref(config->carried.roles);
    json_decref(config->carried.digests);
    g_strfreev(config->carried.files);
    g_free(config);
}

const struct backend *config_engine(const struct config *config)
{
    return config->engine;
}

const struct config_table *config_rows(const struct config *config)
{
    return config->table;
}

/* --- Whole ------------------------------------------------------------------------------------------------------ */

json_t *config_tree(const struct config *config)
{
    if (config->carried.tree)
        return json_deep_copy(config->carried.tree);
    json_t *tree = json_object();
    for (size_t i = 0; i < config->table->n; i++)
        if (config->applies[i])
            jsonx_set_at(tree, config->table->rows[i].path, json_deep_copy(config->values[i]->json));
    return tree;
}

json_t *config_origins(const struct config *config)
{
    if (config->carried.origins)
        return json_deep_copy(config->carried.origins);
    json_t *origins = json_object();
    for (size_t i = 0; i < config->table->n; i++) {
        if (!config->applies[i])
            continue;
        g_autofree char *origin = value_origin(config->values[i]);
        g_autofree char *valid = g_utf8_make_valid(origin, -1);
        json_object_set_new(origins, config->table->rows[i].path, json_string(valid));
    }
    return origins;
}

json_t *config_digests(const struct config *config)
{
    if (!config->table)
        return config->carried.digests ? json_deep_copy(config->carried.digests) : json_object();
    json_t *digests = json_object();
    for (size_t i = 0; i < config->table->n; i++)
        if (config->applies[i] && config->values[i]->digest)
            json_object_set_new(digests, config->table->rows[i].path, json_string(config->values[i]->digest));
    return digests;
}

/* Of what only the installed engine knows nobody can tell what it means: a path that leads somewhere may be one. */
static bool may_name_file(const struct config_field *row, const struct config_value *value)
{
    const char *text = json_string_value(value->json);
    bool whole = text && g_path_is_absolute(text) && g_file_test(text, G_FILE_TEST_EXISTS);
    bool within = json_is_object(value->json) || json_is_array(value->json);
    return row->option && row->option->installed && (whole || within);
}

/* A data set of which a member is named is no plain path; no run needs it, its prompts are picked before. */
static bool is_marked(const struct config_field *row, const struct config_value *value)
{
    const char *text = json_string_value(value->json);
    return (row->flags & CONFIG_DATA) && text && strstr(text, WORKLOAD_PROMPT_MARK);
}

char **config_files(const struct config *config)
{
    if (!config->table)
        return config->carried.files ? g_strdupv(config->carried.files) : g_new0(char *, 1);
    GPtrArray *paths = g_ptr_array_new();
    for (size_t i = 0; i < config->table->n; i++)
        if (config->applies[i] && !is_marked(&config->table->rows[i], config->values[i]) &&
            (config->values[i]->file || may_name_file(&config->table->rows[i], config->values[i])))
            g_ptr_array_add(paths, g_strdup(config->table->rows[i].path));
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}

/* --- What differs ------------------------------------------------------------------------------------------------ */

/* Sets a member of one of an object's own objects, which is made when it has its first. */
static void set_in(json_t *object, const char *part, const char *path, json_t *value)
{
    json_t *inner = json_object_get(object, part);
    if (!inner) {
        inner = json_object();
        json_object_set_new(object, part, inner);
    }
    json_object_set_new(inner, path, value);
}

/* Values are shared between the configurations of a file: most are the same one. */
static bool value_is_same(const struct config_value *a, const struct config_value *b)
{
    if (a == b)
        return true;
    if (!json_equal(a->json, b->json) || g_strcmp0(a->digest, b->digest) != 0)
        return false;
    g_autofree char *from_a = value_origin(a), *from_b = value_origin(b);
    return !strcmp(from_a, from_b);
}

static void add_field(json_t *difference, const char *path, const struct config_value *value)
{
    g_autofree char *origin = value_origin(value);
    g_autofree char *valid = g_utf8_make_valid(origin, -1);
    set_in(difference, "values", path, json_deep_copy(value->json));
    set_in(difference, "origins", path, json_string(valid));
    if (value->digest)
        set_in(difference, "digests", path, json_string(value->digest));
}

json_t *config_difference(const struct config *config, const struct config *from)
{
    const struct config_table *table = config->table;
    json_t *difference = json_object(), *without = json_array();
    for (size_t i = 0; i < table->n; i++) {
        if (config->applies[i] && !(from->applies[i] && value_is_same(config->values[i], from->values[i])))
            add_field(difference, table->rows[i].path, config->values[i]);
        else if (!config->applies[i] && from->applies[i])
            json_array_append_new(without, json_string(table->rows[i].path));
    }
    if (json_array_size(without))
        json_object_set(difference, "without", without);
    json_decref(without);
    return difference;
}
