/* SPDX-License-Identifier: MIT */
/* A config made again from what the exchange carried: no documents, no descriptors, no files. */
#include "config/internal.h"

#include <string.h>

static bool is_list_of_reals(const json_t *json)
{
    for (size_t i = 0; i < json_array_size(json); i++)
        if (!json_is_real(json_array_get(json, i)))
            return false;
    return json_is_array(json);
}

/* True if a value can be read as the accessor of its row reads it. */
static bool is_of_type(const struct config_field *row, const json_t *json)
{
    switch (row->type) {
    case CONFIG_BOOL:
        return json_is_boolean(json);
    case CONFIG_INT:
        return json_is_integer(json);
    case CONFIG_REAL:
        return json_is_real(json);
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        return json_is_string(json);
    case CONFIG_SPAN:
        return is_list_of_reals(json) && json_array_size(json) == 2;
    case CONFIG_MAP:
        return json_is_object(json);
    case CONFIG_TEXTS:
    case CONFIG_LIST:
        return json_is_array(json);
    case CONFIG_ANY:
    case CONFIG_INTS:
    case CONFIG_REALS:
        break;
    }
    return json != NULL;
}

static bool take_values(struct config *config, GError **error)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++) {
        const struct config_field *row = &config_shared_rows[i];
        json_t *json = jsonx_at(config->carried.tree, row->path);
        if (json && !is_of_type(row, json)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "config.%s: found %s, which is not what this version keeps",
                        row->path, jsonx_type_name(json));
            return false;
        }
        struct config_value *value = value_make(json ? json_incref(json) : json_null(), LAYER_FILE, "exchange file");
        g_ptr_array_add(config->derived, value);
        config->values[i] = value;
        config->applies[i] = json != NULL;
    }
    return true;
}

/* Every run has these; the others may have no meaning in one. */
static bool has_the_least(const struct config *config, GError **error)
{
    static const enum config_field_id least[] = {FIELD_MODEL, FIELD_BACKEND};
    for (size_t i = 0; i < G_N_ELEMENTS(least); i++) {
        if (config->applies[least[i]])
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "config.%s is missing", config_shared_rows[least[i]].path);
        return false;
    }
    return true;
}

/* 0 and 0.0 are one, here and within lists. */
static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (!json_is_array(a) || !json_is_array(b))
        return json_equal(a, b);
    bool same = json_array_size(a) == json_array_size(b);
    for (size_t i = 0; same && i < json_array_size(a); i++)
        same = is_same(json_array_get(a, i), json_array_get(b, i));
    return same;
}

/* What stands in the hash for a shared field is its value, or the content of what it leads to; a default is not
 * there. */
static bool is_hashed_so(const struct config *config, size_t i, const json_t *fields)
{
    const struct config_field *row = &config_shared_rows[i];
    const json_t *hashed = json_object_get(fields, row->path), *json = config->values[i]->json;
    if (!(row->flags & CONFIG_HASHED) || (row->flags & (CONFIG_ENGINE | CONFIG_PASSED)) || json_is_object(hashed))
        return true;
    if (hashed)
        return (row->flags & CONFIG_BOARDS) ? json_integer_value(hashed) == (json_int_t)json_array_size(json)
                                            : is_same(hashed, json);
    if (row->flags & CONFIG_BOARDS)
        return !config->applies[i] || config_gpu_count(config) == (int64_t)json_array_size(json);
    if ((i == FIELD_LOAD_MODE || i == FIELD_LOAD_SIZE) && config_load_is_said(config))
        return true;
    g_autoptr(json_t) initial = row->initial ? jsonx_parse(row->initial, -1, row->path, NULL) : NULL;
    return !config->applies[i] || (initial && is_same(initial, json));
}

/* The first of an engine's options that is not what was hashed, or NULL. Which of those that were not hashed have their
 * defaults only its descriptor says; what is an object stands for a file, or was handed on as it is. */
static const char *changed_option(const struct config *config, json_t *fields)
{
    g_autofree char *section = g_strconcat(json_string_value(config->values[FIELD_BACKEND]->json), ".", NULL);
    const char *path;
    json_t *hashed;
    json_object_foreach(fields, path, hashed) {
        json_t *json = g_str_has_prefix(path, section) ? jsonx_at(config->carried.tree, path) : NULL;
        if (json && !json_is_object(hashed) && !is_same(hashed, json))
            return path;
    }
    return NULL;
}

/* The path of the first field that is not what was hashed, or NULL. */
static const char *changed_field(const struct config *config)
{
    json_t *fields = json_object_get(config->carried.hashed, "fields");
    json_t *engine = jsonx_at(config->carried.hashed, "backend.name");
    if (!json_equal(engine, config->values[FIELD_BACKEND]->json))
        return config_shared_rows[FIELD_BACKEND].path;
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++)
        if (!is_hashed_so(config, i, fields))
            return config_shared_rows[i].path;
    return changed_option(config, fields);
}

static bool check_hashed(const struct config *config, GError **error)
{
    const char *path = changed_field(config);
    if (!path)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "config.%s is not what the hash was made of: the file was changed", path);
    return false;
}

static bool check_hash(const struct config *config, const char *hash, GError **error)
{
    g_autofree char *sum = config->carried.hashed ? jsonx_sha256(config->carried.hashed) : g_strdup("nothing");
    if (strlen(hash) == 16 && g_str_has_prefix(sum, hash))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "the configuration hashes to %.16s, not to %s: the file was changed, or written by another version", sum,
                hash);
    return false;
}

struct config *config_from_values(const struct config_parts *parts, const char *hash, GError **error)
{
    const size_t n = CONFIG_SHARED_FIELDS;
    struct config *config = g_malloc0(sizeof *config + n * (sizeof *config->values + sizeof *config->applies));
    config->values = (const struct config_value **)(void *)(config + 1);
    config->applies = (bool *)(config->values + n);
    config->derived = g_ptr_array_new_with_free_func(value_free);
    config->carried.tree = json_deep_copy(parts->values);
    config->carried.hashed = json_deep_copy(parts->hashed);
    config->carried.origins = json_deep_copy(parts->origins);
    config->carried.roles = json_deep_copy(parts->roles);
    config->carried.digests = json_deep_copy(parts->digests);
    config->carried.files = g_strdupv((char **)(uintptr_t)parts->files);
    if (take_values(config, error) && has_the_least(config, error) && check_hash(config, hash, error) &&
        check_hashed(config, error)) {
        g_strlcpy(config->hash, hash, sizeof config->hash);
        return config;
    }
    config_free(config);
    return NULL;
}
