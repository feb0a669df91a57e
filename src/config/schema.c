/* SPDX-License-Identifier: MIT */
/* JSON Schema of the files, for editors: completion, help and errors while typing. What llem itself checks goes
 * further (rules between fields, files, did-you-mean); the schema never refuses what llem takes. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

static json_t *bound(double value, bool integer)
{
    return integer ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *number(const struct config_field *row, bool integer)
{
    json_t *schema = schema_typed(integer ? "integer" : "number", false);
    if (isfinite(row->min))
        json_object_set_new(schema, "minimum", bound(row->min, integer));
    if (isfinite(row->max))
        json_object_set_new(schema, "maximum", bound(row->max, integer));
    return schema;
}

static json_t *choices(const struct config_field *row)
{
    json_t *schema = json_object(), *list = json_array();
    for (const struct backend_choice *c = row->choices; c->name; c++)
        json_array_append_new(list, json_string(c->name));
    json_object_set_new(schema, "enum", list);
    return schema;
}

static json_t *text(void)
{
    json_t *types = json_array(), *schema = json_object(); /* a name may look like a number */
    json_array_append_new(types, json_string("string"));
    json_array_append_new(types, json_string("number"));
    json_object_set_new(schema, "type", types);
    return schema;
}

/* Of a data set: the file, and which member of a record is the prompt. */
static json_t *file_and_prompt(void)
{
    json_t *object = schema_object();
    schema_add(object, "path", text(), true);
    schema_add(object, "prompt", text(), true);
    return object;
}

static json_t *bare(const struct config_field *row)
{
    switch (row->type) {
    case CONFIG_BOOL:
        return schema_typed("boolean", false);
    case CONFIG_INT:
        return number(row, true);
    case CONFIG_REAL:
        return number(row, false);
    case CONFIG_CHOICE:
        return choices(row);
    case CONFIG_SPAN:
        return schema_list_of(number(row, false), 2, 2);
    case CONFIG_INTS:
        return schema_list_of(number(row, true), 1, 0);
    case CONFIG_REALS:
        return schema_any_of(number(row, false), schema_list_of(number(row, false), 1, 0));
    case CONFIG_MAP:
        return schema_typed("object", false);
    case CONFIG_LIST:
        return schema_typed("array", false);
    case CONFIG_ANY:
        return json_object();
    case CONFIG_TEXTS:
        return schema_any_of(text(), schema_list_of(text(), 1, 0));
    case CONFIG_TEXT:
        break;
    }
    return (row->flags & CONFIG_DATA) ? schema_any_of(text(), file_and_prompt()) : text();
}

static json_t *value_schema(const struct config_field *row)
{
    json_t *schema = bare(row);
    if (field_is_nullable(row))
        schema = schema_any_of(schema, schema_typed("null", false));
    return schema;
}

static json_t *field_schema(const struct config_field *row)
{
    json_t *schema = value_schema(row);
    g_autofree char *help = row->unit ? g_strdup_printf("%s [%s]", row->help, row->unit) : g_strdup(row->help);
    json_object_set_new(schema, "description", json_string(help));
    if (row->initial)
        json_object_set_new(schema, "default", jsonx_parse(row->initial, -1, row->path, NULL));
    return schema;
}

static void place(json_t *root, const char *path, json_t *schema)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    json_t *section = root;
    char **p = parts;
    for (; p[1]; p++)
        section = schema_below(section, *p, false);
    schema_add(section, *p, schema, false);
}

static json_t *sweep_schema(const struct config_table *table)
{
    json_t *sweep = schema_object();
    json_t *properties = json_object_get(sweep, "properties");
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        if (!(row->flags & CONFIG_SWEEP))
            continue;
        json_t *axis = schema_any_of(schema_list_of(value_schema(row), 1, 0), value_schema(row));
        json_object_set_new(axis, "description", json_string(row->help));
        json_object_set_new(properties, row->path, axis);
    }
    json_object_set_new(sweep, "description",
                        json_string("Fields and the values each is to take; every combination is a cell."));
    /* Nested spelling (llamacpp: {n_threads: [1, 2]}) is left to llem. */
    json_object_set_new(sweep, "additionalProperties", schema_typed("object", false));
    return sweep;
}

/* A text may stand for a whole section of runners. */
static void allow_short_forms(json_t *root)
{
    json_t *sections = jsonx_at(root, "properties.runners.properties"), *section;
    const char *engine;
    void *next;
    json_object_foreach_safe(sections, next, engine, section) {
        json_t *use = jsonx_at(section, "properties." RUNNER_USE);
        json_object_set_new(sections, engine, schema_any_of(json_deep_copy(use), json_incref(section)));
    }
}

json_t *config_schema(const struct config_table *table, bool study)
{
    json_t *root = schema_document(study ? "llem study file" : "llem experiment file");
    json_t *required = json_array();
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        if (!study && g_str_has_prefix(row->path, "execution."))
            continue;
        place(root, row->path, field_schema(row));
        if ((row->flags & CONFIG_REQUIRED) && !study) /* a study may sweep it */
            json_array_append_new(required, json_string(row->path));
    }
    allow_short_forms(root);
    if (study)
        json_object_set_new(json_object_get(root, "properties"), "sweep", sweep_schema(table));
    json_object_set_new(root, "required", required);
    return root;
}
