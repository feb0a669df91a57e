/* SPDX-License-Identifier: MIT */
/* Reading the values of one resolved experiment, by id and by path. */
#include "config/internal.h"

#include <string.h>

/* --- Reading by id ---------------------------------------------------------------------------------------------- */

bool config_has(const struct config *config, enum config_field_id id)
{
    return config->applies[id];
}

static const struct config_value *value_of(const struct config *config, enum config_field_id id, unsigned types)
{
    const struct config_field *row = &config_shared_rows[id];
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
    int64_t unit_ns = !strcmp(config_shared_rows[id].unit, "ms") ? NS_PER_MS : NS_PER_S;
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

const struct diag_span *config_place(const struct config *config, enum config_field_id id)
{
    return value_place(config->values[id]);
}

const char *config_digest(const struct config *config, enum config_field_id id)
{
    return config->values[id]->digest;
}

/* --- Reading by path -------------------------------------------------------------------------------------------- */

json_t *config_value_at(const struct config *config, const char *path)
{
    if (config->carried.tree)
        return jsonx_at(config->carried.tree, path);
    int index = table_index(config->table, path);
    return index >= 0 && config->applies[index] ? config->values[index]->json : NULL;
}

char *config_origin_at(const struct config *config, const char *path)
{
    if (config->carried.origins)
        return g_strdup(json_string_value(json_object_get(config->carried.origins, path)));
    return value_origin(config->values[table_at(config->table, path)]);
}

const struct diag_span *config_place_at(const struct config *config, const char *path)
{
    int index = config->table ? table_index(config->table, path) : -1;
    return index >= 0 ? value_place(config->values[index]) : NULL;
}
