/* SPDX-License-Identifier: MIT */
/* What stands in the hash for what a value leads to, so that a hash is of the work and not of its name. */
#include "config/internal.h"

/* {"prompts": …, "sources": …}: digests, the second where the data set has sources. */
static bool take_data(struct config_value *value, GError **error)
{
    g_autoptr(json_t) pinned = workload_named_identity(json_string_value(value->json));
    if (pinned) { /* the same whether it is here or not */
        value->content = jsonx_dump(pinned, JSONX_CANONICAL);
        return true;
    }
    g_autofree char *path = workload_dataset_path(json_string_value(value->json), error);
    g_autoptr(owned_dataset) dataset = path ? workload_dataset_open(path, error) : NULL;
    if (!dataset)
        return false;
    g_autoptr(json_t) identity = workload_dataset_identity(dataset);
    value->content = jsonx_dump(identity, JSONX_CANONICAL);
    return true;
}

static bool take_file(struct config_value *value, GError **error)
{
    value->digest = digest_of_path(value->file, error);
    if (value->digest)
        value->content = g_strdup_printf("{\"sha256\":\"%s\"}", value->digest);
    return value->digest != NULL;
}

static void take_pin(struct config_value *value)
{
    const struct workload_model *model = workload_catalogue_find(json_string_value(value->json));
    const char *pin = model ? workload_model_pin(model) : NULL;
    if (pin)
        value->pin = g_strdup_printf("{\"pin\":\"%s\"}", pin);
}

bool content_take(const struct config_field *row, struct config_value *value, GError **error)
{
    if (!value_is_set(value))
        return true;
    if (row->flags & CONFIG_DATA)
        return take_data(value, error);
    if (value->file)
        return !(row->flags & CONFIG_CONTENT) || take_file(value, error);
    if (row->flags & CONFIG_MODEL)
        take_pin(value);
    return true;
}
