/* SPDX-License-Identifier: MIT */
/* A resolved experiment on its way to the worker and back. Needs no YAML. */
#include "config/internal.h"

#include <string.h>

json_t *config_digests(const struct config *config)
{
    const struct field_table *table = field_table();
    json_t *digests = json_object();
    for (size_t i = 0; i < table->n; i++)
        if (config->applies[i] && config->values[i]->digest)
            json_object_set_new(digests, table->rows[i].path, json_string(config->values[i]->digest));
    return digests;
}

char **config_files(const struct config *config)
{
    const struct field_table *table = field_table();
    g_autoptr(GStrvBuilder) files = g_strv_builder_new();
    for (size_t i = 0; i < table->n; i++)
        if (config->applies[i] && config->values[i]->file)
            g_strv_builder_add(files, table->rows[i].path);
    return g_strv_builder_end(files);
}

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
    const struct field_table *table = field_table();
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

static void restore_origins(struct config_file *file, const json_t *origins)
{
    const struct field_table *table = field_table();
    for (unsigned i = 0; i < file->layers.pool->len; i++) {
        struct config_value *value = file->layers.pool->pdata[i];
        value->at = (struct diag_span){0};
        value->note = "exchange file";
    }
    for (size_t i = 0; i < table->n; i++) {
        const char *origin = json_string_value(json_object_get(origins, table->rows[i].path));
        const struct config_value *now = file->layers.values[i];
        if (!origin || now == table->info[i].initial)
            continue;
        struct config_value *value = value_make(json_incref(now->json), now->layer, NULL);
        g_free(value->canonical);
        value->canonical = g_strdup(now->canonical);
        value->digest = g_strdup(now->digest);
        value->file = g_strdup(now->file);
        char *note = g_strdup(origin);
        value->note = note;
        g_ptr_array_add(file->strings, note);
        g_ptr_array_add(file->layers.pool, value);
        file->layers.values[i] = value;
    }
}

static bool read_config(struct config_file *file, const json_t *tree, const json_t *digests, struct diag *diag)
{
    struct doc *doc = doc_from_json("exchange file", tree, diag);
    if (!doc)
        return false;
    g_ptr_array_add(file->docs, doc);
    g_autoptr(json_t) none = json_object();
    struct value_context context = {
        .layer = LAYER_FILE, .folder = "/", .digests = digests ? digests : none, .diag = diag};
    layers_read(&file->layers, doc_root(doc), &context, 0);
    if (!value_is_set(file->layers.values[FIELD_MODEL]))
        diag_add(diag, DIAG_ERROR, NULL, "model is missing");
    return diag_errors(diag) == 0;
}

struct config *config_from_values(const json_t *values, const json_t *origins, const json_t *digests, const char *hash,
                                  GError **error)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) file = config_file_new();
    struct config *config = NULL;
    if (read_config(file, values, digests, diag)) {
        restore_origins(file, origins);
        config = config_new(&file->layers, NULL, 0, diag);
    }
    if (!config) {
        diag_fail(diag, error);
        return NULL;
    }
    if (strcmp(config->hash, hash)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "the configuration hashes to %s, not to %s: the file was changed, or written by another version",
                    config->hash, hash);
        config_free(config);
        return NULL;
    }
    config->owner = g_steal_pointer(&file);
    return config;
}
