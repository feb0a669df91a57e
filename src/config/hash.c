/* SPDX-License-Identifier: MIT */
/* What is hashed of an experiment, and its hash. config.h says what it is made of. */
#include "config/internal.h"

#include <string.h>

/* What stands for a value in the hash. */
static const char *hashed_text(const struct config *config, size_t i)
{
    const struct config_value *value = config->values[i];
    bool pinned = value->pin && backend_model(config->engine)->takes != BACKEND_TAKES_FOLDER;
    return pinned ? value->pin : value->content ? value->content : value->canonical;
}

/* The value a field has when nobody writes it: its own default, or the value of the option it follows. */
static const struct config_value *unwritten_value(const struct config *config, size_t i)
{
    size_t follows = config->table->info[i].follows;
    return follows == NO_FIELD ? config->table->info[i].initial : config->values[follows];
}

/* True if it stands for the same as no value at all. */
static bool is_as_unwritten(const struct config *config, size_t i)
{
    const char *value = config->values[i]->canonical;
    const struct config_value *own = config->table->info[i].own;
    return !strcmp(value, unwritten_value(config, i)->canonical) || (own && !strcmp(value, own->canonical));
}

static bool is_hashed(const struct config *config, size_t i)
{
    const struct config_field *row = &config->table->rows[i];
    bool load = i == FIELD_LOAD_MODE || i == FIELD_LOAD_SIZE;
    if (!config->applies[i] || (row->flags & CONFIG_ENGINE)) /* the engine has a place of its own */
        return false;
    if (row->flags & CONFIG_BOARDS)
        return config_gpu_count(config) != (int64_t)json_array_size(config->values[i]->json);
    if (load && config_load_is_said(config))
        return false;
    return (row->flags & CONFIG_DATA) || !is_as_unwritten(config, i);
}

/* The canonical JSON of what is hashed, put together from the values' own canonical texts: a plan asks for every cell.
 * NULL when a file was not looked at. New string. */
static char *canonical_text(const struct config *config)
{
    const struct config_table *table = config->table;
    g_autoptr(GString) out = g_string_sized_new(1024);
    g_string_append_printf(out, "{\"backend\":{\"hash_version\":%" G_GINT64_FORMAT ",\"name\":\"%s\"},\"fields\":{",
                           backend_hash_version(config->engine), backend_name(config->engine));
    bool first = true;
    for (size_t s = 0; s < table->n_sorted; s++) {
        size_t i = table->sorted[s];
        if (!is_hashed(config, i))
            continue;
        if (config->values[i]->unknown)
            return NULL;
        g_string_append_printf(out, "%s%s%s", first ? "" : ",", table->info[i].key_text, hashed_text(config, i));
        first = false;
    }
    g_string_append_printf(out, "},\"hash_version\":%d,\"schema\":%d}", CONFIG_HASH_VERSION, CONFIG_HASH_SCHEMA);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

void config_compute_hash(struct config *config)
{
    g_autofree char *text = canonical_text(config);
    g_autofree char *sum = text ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1) : NULL;
    if (sum)
        g_strlcpy(config->hash, sum, sizeof config->hash);
}

const char *config_hash(const struct config *config)
{
    return *config->hash ? config->hash : NULL;
}

json_t *config_hashed(const struct config *config)
{
    if (config->carried.hashed)
        return json_deep_copy(config->carried.hashed);
    g_autofree char *text = canonical_text(config);
    return text ? jsonx_parse(text, -1, "hashed", NULL) : NULL;
}
