/* SPDX-License-Identifier: MIT */
/* One resolved experiment: made from layers and settings, hashed, read. */
#include "config/internal.h"

#include <string.h>

/* --- Hash ------------------------------------------------------------------------------------------------------- */

/* {"fields":{"path":value,…},"schema":1}: canonical JSON, put together from the values' own canonical texts. False when
 * a file's digest is not known. */
static bool canonical_text(const struct config *config, GString *out)
{
    const struct field_table *table = field_table();
    g_string_append(out, "{\"fields\":{");
    bool first = true;
    for (size_t s = 0; s < table->n_sorted; s++) {
        size_t i = table->sorted[s];
        if (!config->applies[i])
            continue;
        if (!config->values[i]->canonical)
            return false;
        if (!first)
            g_string_append_c(out, ',');
        first = false;
        g_string_append(out, table->info[i].key_text);
        g_string_append(out, config->values[i]->canonical);
    }
    g_string_append_printf(out, "},\"schema\":%d}", CONFIG_HASH_SCHEMA);
    return true;
}

static void compute_hash(struct config *config)
{
    g_autoptr(GString) text = g_string_sized_new(4096);
    if (!canonical_text(config, text))
        return;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *)text->str, (gssize)text->len);
    memcpy(config->hash, g_checksum_get_string(sum), 16);
}

const char *config_hash(const struct config *config)
{
    return *config->hash ? config->hash : NULL;
}

/* --- Making ----------------------------------------------------------------------------------------------------- */

struct config *config_new(const struct layers *layers, const struct config_setting *settings, size_t n,
                          struct diag *diag)
{
    const struct field_table *table = field_table();
    struct config *config = g_malloc0(sizeof *config + table->n * (sizeof *config->values + sizeof *config->applies));
    config->values = (const struct config_value **)(void *)(config + 1);
    config->applies = (bool *)(config->values + table->n);
    memcpy(config->values, layers->values, table->n * sizeof *config->values);
    for (size_t i = 0; i < n; i++)
        config->values[settings[i].field - table->rows] = settings[i].value;
    if (!config_settle(config, diag) || !config_check_rules(config, diag)) {
        config_free(config);
        return NULL;
    }
    compute_hash(config);
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
    config_file_free(config->owner);
    g_free(config);
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

bool config_has(const struct config *config, enum config_field_id id)
{
    return config->applies[id];
}

static const struct config_value *value_of(const struct config *config, enum config_field_id id, unsigned types)
{
    const struct config_field *row = &field_table()->rows[id];
    if (!(types & 1u << row->type))
        g_error("config: field '%s' is read as another type", row->path);
    if (!config->applies[id])
        g_error("config: field '%s' has no value here; ask config_has() first", row->path);
    return config->values[id];
}

bool config_bool(const struct config *config, enum config_field_id id)
{
    return json_is_true(value_of(config, id, 1u << CONFIG_BOOL)->json);
}

int64_t config_int(const struct config *config, enum config_field_id id)
{
    return json_integer_value(value_of(config, id, 1u << CONFIG_INT)->json);
}

double config_real(const struct config *config, enum config_field_id id)
{
    return json_real_value(value_of(config, id, 1u << CONFIG_REAL)->json);
}

int64_t config_ns(const struct config *config, enum config_field_id id)
{
    int64_t unit_ns = !strcmp(field_table()->rows[id].unit, "ms") ? NS_PER_MS : NS_PER_S;
    return (int64_t)(config_real(config, id) * (double)unit_ns);
}

const char *config_string(const struct config *config, enum config_field_id id)
{
    return json_string_value(value_of(config, id, 1u << CONFIG_TEXT | 1u << CONFIG_CHOICE)->json);
}

void config_span(const struct config *config, enum config_field_id id, double *ret_low, double *ret_high)
{
    const json_t *pair = value_of(config, id, 1u << CONFIG_SPAN)->json;
    *ret_low = json_real_value(json_array_get(pair, 0));
    *ret_high = json_real_value(json_array_get(pair, 1));
}

json_t *config_json(const struct config *config, enum config_field_id id)
{
    return value_of(config, id, ~0u)->json;
}

const struct diag_span *config_place(const struct config *config, enum config_field_id id)
{
    return value_place(config->values[id]);
}

const char *config_digest(const struct config *config, enum config_field_id id)
{
    return config->values[id]->digest;
}

/* --- By path ---------------------------------------------------------------------------------------------------- */

json_t *config_value_at(const struct config *config, const char *path)
{
    int index = field_index(path);
    return index >= 0 && config->applies[index] ? config->values[index]->json : NULL;
}

char *config_origin_at(const struct config *config, const char *path)
{
    return value_origin(config->values[field_at(path)]);
}

const struct diag_span *config_place_at(const struct config *config, const char *path)
{
    int index = field_index(path);
    return index >= 0 ? value_place(config->values[index]) : NULL;
}

/* --- Whole ------------------------------------------------------------------------------------------------------ */

json_t *config_tree(const struct config *config)
{
    const struct field_table *table = field_table();
    json_t *tree = json_object();
    for (size_t i = 0; i < table->n; i++)
        if (config->applies[i])
            jsonx_set_at(tree, table->rows[i].path, json_deep_copy(config->values[i]->json));
    return tree;
}

json_t *config_origins(const struct config *config)
{
    const struct field_table *table = field_table();
    json_t *origins = json_object();
    for (size_t i = 0; i < table->n; i++) {
        if (!config->applies[i])
            continue;
        g_autofree char *origin = value_origin(config->values[i]);
        g_autofree char *valid = g_utf8_make_valid(origin, -1);
        json_object_set_new(origins, table->rows[i].path, json_string(valid));
    }
    return origins;
}
