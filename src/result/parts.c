/* SPDX-License-Identifier: MIT */
/* The named parts of the record beside its figures: what stands where, of which type. Schema and documentation come
 * from these rows; every record of the tests is held to the schema, so that rows and code cannot part. */
#include "result/parts.h"

#include <string.h>

const struct result_part_row result_parts[PART_COUNT] = {
#define ROW(id, path, type, need, meaning) [PART_##id] = {path, RESULT_##type, RESULT_##need, meaning},
#include "result/parts.def"
#undef ROW
};

bool result_part_is_estimate(const struct result_part_row *row)
{
    return g_str_has_prefix(row->path, "estimate.");
}

bool result_part_may_be_null(const struct result_part_row *row)
{
    return row->type == RESULT_REAL || row->type == RESULT_LIST_OR_NULL || row->type == RESULT_STRETCH;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

/* The object that holds the last name of a row's path, made when it is not there. Borrowed, as *ret_name. */
static json_t *holder_of(json_t *root, const struct result_part_row *row, const char **ret_name)
{
    json_t *object = root;
    const char *name = row->path;
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        g_autofree char *key = g_strndup(name, (size_t)(dot - name));
        if (!json_object_get(object, key))
            json_object_set_new(object, key, json_object());
        object = json_object_get(object, key);
    }
    *ret_name = name;
    return object;
}

bool result_parts_all(const struct result_part_row *row)
{
    return row != NULL;
}

void result_parts_write(json_t *root, const struct result_value *values, result_parts_filter *takes)
{
    for (int i = 0; i < PART_COUNT; i++) {
        const struct result_part_row *row = &result_parts[i];
        const struct result_value *v = &values[i];
        if (!takes(row) || result_part_is_estimate(row) || (row->need == RESULT_OPTIONAL && !v->value && !v->reason))
            continue;
        const char *name;
        json_t *object = holder_of(root, row, &name);
        if (v->value)
            json_object_set(object, name, v->value);
        else
            jsonx_set_null(object, name, v->reason ? v->reason : "not collected");
    }
}

/* Rows stand below this path. */
static bool is_section(const char *path)
{
    g_autofree char *below = g_strconcat(path, ".", NULL);
    for (int i = 0; i < PART_COUNT; i++)
        if (g_str_has_prefix(result_parts[i].path, below))
            return true;
    return false;
}

/* A row, or why one is null. */
static bool is_row(const char *path)
{
    for (int i = 0; i < PART_COUNT; i++) {
        const struct result_part_row *row = &result_parts[i];
        const char *rest = g_str_has_prefix(path, row->path) ? path + strlen(row->path) : "no";
        if (!*rest || (!strcmp(rest, "_reason") && result_part_may_be_null(row)))
            return true;
    }
    return false;
}

static void check_members(const json_t *tree, const char *prefix)
{
    const char *name;
    const json_t *value;
    jsonx_foreach(tree, name, value) {
        g_autofree char *path = g_strdup_printf("%s.%s", prefix, name);
        if (is_section(path))
            check_members(value, path);
        else if (!is_row(path))
            g_error("%s is no row of result/parts.def", path);
    }
}

json_t *result_estimate(json_t *tree)
{
    check_members(tree, "estimate");
    for (int i = 0; i < PART_COUNT; i++) {
        const struct result_part_row *row = &result_parts[i];
        if (!result_part_is_estimate(row) || row->need == RESULT_OPTIONAL ||
            jsonx_at(tree, row->path + strlen("estimate.")))
            continue;
        const char *name;
        struct result_part_row below = *row;
        below.path += strlen("estimate.");
        json_t *object = holder_of(tree, &below, &name);
        jsonx_set_null(object, name, "not collected");
    }
    return tree;
}

/* --- schema ------------------------------------------------------------------------------------------------------ */

static json_t *type_schema(enum result_part_type type)
{
    switch (type) {
    case RESULT_TEXT: return schema_typed("string", false);
    case RESULT_TEXT_OR_NULL: return schema_typed("string", true);
    case RESULT_INTEGER: return schema_typed("integer", false);
    case RESULT_BOOLEAN: return schema_typed("boolean", false);
    case RESULT_OBJECT: return schema_typed("object", false);
    case RESULT_LIST: return schema_typed("array", false);
    case RESULT_LIST_OR_NULL: return schema_typed("array", true);
    case RESULT_REAL: return schema_typed("number", true);
    case RESULT_STRETCH: return schema_any_of(schema_reference("stretch"), schema_typed("null", false));
    case RESULT_QUANTITY: return schema_reference("quantity");
    default: return schema_list_of(schema_reference("estimate"), 0, 0);
    }
}

/* Null needs its reason beside it. */
static void add_reason(json_t *object, const char *name)
{
    g_autofree char *why = g_strconcat(name, "_reason", NULL);
    schema_add(object, why, schema_typed("string", false), false);
    json_t *rules = json_object_get(object, "allOf");
    if (!rules) {
        rules = json_array();
        json_object_set_new(object, "allOf", rules);
    }
    json_t *is_null = json_pack("{s:{s:{s:s}}, s:[s]}", "properties", name, "type", "null", "required", name);
    json_array_append_new(rules, json_pack("{s:o, s:{s:[s]}}", "if", is_null, "then", "required", why));
}

static void add_row(json_t *root, const struct result_part_row *row)
{
    g_auto(GStrv) names = g_strsplit(row->path, ".", -1);
    bool optional = row->need == RESULT_OPTIONAL;
    json_t *object = root;
    size_t i = 0;
    for (; names[i + 1]; i++)
        object = schema_below(object, names[i], !(i == 0 && optional));
    json_t *schema = type_schema(row->type);
    json_object_set_new(schema, "description", json_string(row->meaning));
    schema_add(object, names[i], schema, !optional);
    if (result_part_may_be_null(row))
        add_reason(object, names[i]);
}

void result_parts_schema(json_t *root, json_t *defs, result_parts_filter *takes)
{
    json_t *rows = schema_object(), *estimates = schema_object();
    const char *name;
    json_t *value;
    for (int i = 0; i < PART_COUNT; i++) {
        bool of_estimate = result_part_is_estimate(&result_parts[i]);
        if (of_estimate || takes(&result_parts[i]))
            add_row(of_estimate ? estimates : rows, &result_parts[i]);
    }
    json_object_foreach(json_object_get(rows, "properties"), name, value)
        json_object_set(json_object_get(root, "properties"), name, value);
    json_array_extend(json_object_get(root, "required"), json_object_get(rows, "required"));
    json_object_set(defs, "estimate", json_object_get(json_object_get(estimates, "properties"), "estimate"));
    json_object_set_new(defs, "stretch",
                        json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s,s], s:b}", "type", "object", "properties",
                                  "t0_ns", "type", "integer", "t1_ns", "type", "integer", "required", "t0_ns",
                                  "t1_ns", "additionalProperties", 0));
    json_decref(rows);
    json_decref(estimates);
}

const char *result_part_type_name(enum result_part_type type)
{
    switch (type) {
    case RESULT_TEXT: return "text";
    case RESULT_TEXT_OR_NULL: return "text or null";
    case RESULT_INTEGER: return "integer";
    case RESULT_BOOLEAN: return "true or false";
    case RESULT_OBJECT: return "object";
    case RESULT_LIST: return "list";
    case RESULT_LIST_OR_NULL: return "list, or null and reason";
    case RESULT_REAL: return "number, or null and reason";
    case RESULT_STRETCH: return "t0_ns and t1_ns, or null and reason";
    case RESULT_QUANTITY: return "figure";
    default: return "list of estimates";
    }
}
