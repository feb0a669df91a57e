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

static void add_row(json_t *root, const struct exchange_row *row)
{
    bool required = row->flags & EXCHANGE_REQUIRED;
    const char *dot = strchr(row->place, '.');
    g_autofree char *section = dot ? g_strndup(row->place, (size_t)(dot - row->place)) : NULL;
    json_t *schema = exchange_types[row->type].schema();
    json_object_set_new(schema, "description", json_string(row->meaning));
    schema_add(section ? schema_below(root, section, required) : root, dot ? dot + 1 : row->place, schema, required);
}

json_t *exchange_schema(void)
{
    json_t *root = schema_document("llem exchange file: what a worker is told");
    schema_add(root, "schema", json_pack("{s:s}", "const", EXCHANGE_SCHEMA), true);
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
                               row->flags & EXCHANGE_PATH      ? ", path of the host"
                               : row->flags & EXCHANGE_GUESSES ? ", may hold paths of the host"
                                                               : "",
                               row->who, row->meaning);
}
