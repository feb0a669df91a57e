/* SPDX-License-Identifier: MIT */
/* The rows as a table, and what is made from them for readers: JSON Schema and documentation. */
#include "exchange/private.h"

#include <string.h>

const struct exchange_row exchange_rows[] = {
#define X(type, member, place, flags, who, meaning)                                                                    \
    {EXCHANGE_##type, #member, offsetof(struct exchange, member), place, flags, who, meaning},
    EXCHANGE_MEMBERS(X)
#undef X
    {0}};

static json_t *closed_object(void)
{
    return json_pack("{s:s, s:{}, s:[], s:b}", "type", "object", "properties", "required", "additionalProperties", 0);
}

/* The schema of the object that a place lies in, and the last part of the place. */
static json_t *parent_of(json_t *root, const char *place, const char **ret_name)
{
    const char *dot = strchr(place, '.');
    *ret_name = dot ? dot + 1 : place;
    if (!dot)
        return root;
    g_autofree char *section = g_strndup(place, (size_t)(dot - place));
    json_t *properties = json_object_get(root, "properties"), *parent = json_object_get(properties, section);
    if (!parent) {
        parent = closed_object();
        json_object_set_new(properties, section, parent);
    }
    return parent;
}

static void require(json_t *schema, const char *name)
{
    json_t *required = json_object_get(schema, "required");
    size_t i;
    json_t *have;
    json_array_foreach(required, i, have) {
        if (!strcmp(json_string_value(have), name))
            return;
    }
    json_array_append_new(required, json_string(name));
}

static void add_row(json_t *root, const struct exchange_row *row)
{
    const char *name;
    json_t *parent = parent_of(root, row->place, &name), *schema = exchange_types[row->type].schema();
    json_object_set_new(schema, "description", json_string(row->meaning));
    json_object_set_new(json_object_get(parent, "properties"), name, schema);
    if (!(row->flags & EXCHANGE_REQUIRED))
        return;
    require(parent, name);
    if (parent != root) {
        g_autofree char *section = g_strndup(row->place, strcspn(row->place, "."));
        require(root, section);
    }
}

json_t *exchange_schema(void)
{
    json_t *root = closed_object(), *head = json_pack("{s:s}", "const", EXCHANGE_SCHEMA);
    json_object_set_new(root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(root, "title", json_string("llem exchange file: what a worker is told"));
    json_object_set_new(json_object_get(root, "properties"), "schema", head);
    require(root, "schema");
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        add_row(root, row);
    return root;
}

void exchange_describe(GString *out)
{
    g_string_append(out, "| member | type | set by | meaning |\n|---|---|---|---|\n");
    g_string_append(out, "| `schema` | a string | – | `" EXCHANGE_SCHEMA "` |\n");
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        g_string_append_printf(out, "| `%s` | %s%s | %s | %s |\n", row->place, exchange_types[row->type].expects,
                               row->flags & EXCHANGE_PATH ? ", path of the host" : "", row->who, row->meaning);
}
