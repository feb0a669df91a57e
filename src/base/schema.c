/* SPDX-License-Identifier: MIT */
#include "base/schema.h"

#include <string.h>

#include <glib.h>

json_t *schema_typed(const char *type, bool or_null)
{
    return or_null ? json_pack("{s:[s,s]}", "type", type, "null") : json_pack("{s:s}", "type", type);
}

json_t *schema_reference(const char *def)
{
    g_autofree char *path = g_strconcat("#/$defs/", def, NULL);
    return json_pack("{s:s}", "$ref", path);
}

json_t *schema_any_of(json_t *a, json_t *b)
{
    return json_pack("{s:[o,o]}", "anyOf", a, b);
}

json_t *schema_list_of(json_t *items, int min, int max)
{
    json_t *schema = json_pack("{s:s, s:o}", "type", "array", "items", items);
    if (min)
        json_object_set_new(schema, "minItems", json_integer(min));
    if (max)
        json_object_set_new(schema, "maxItems", json_integer(max));
    return schema;
}

json_t *schema_object(void)
{
    return json_pack("{s:s, s:{}, s:b}", "type", "object", "properties", "additionalProperties", 0);
}

static void require(json_t *object, const char *name)
{
    size_t i;
    json_t *have;
    if (!json_object_get(object, "required"))
        json_object_set_new(object, "required", json_array());
    json_t *names = json_object_get(object, "required");
    json_array_foreach(names, i, have) {
        if (!strcmp(json_string_value(have), name))
            return;
    }
    json_array_append_new(names, json_string(name));
}

void schema_add(json_t *object, const char *name, json_t *property, bool required)
{
    json_object_set_new(json_object_get(object, "properties"), name, property);
    if (required)
        require(object, name);
}

json_t *schema_below(json_t *object, const char *name, bool required)
{
    json_t *found = json_object_get(json_object_get(object, "properties"), name);
    if (!found) {
        found = schema_object();
        schema_add(object, name, found, false);
    }
    if (required)
        require(object, name);
    return found;
}

json_t *schema_document(const char *title)
{
    json_t *root = json_pack("{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title", title);
    json_t *object = schema_object();
    json_object_update(root, object);
    json_decref(object);
    return root;
}
