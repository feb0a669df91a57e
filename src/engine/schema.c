/* SPDX-License-Identifier: MIT */
/* The reply to schema: the options the installed engine takes, read into rows and held to what a row may say. */
#include "engine/private.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [ENGINE_INTEGER] = "integer", [ENGINE_NUMBER] = "number", [ENGINE_NUMBERS] = "numbers",
    [ENGINE_BOOLEAN] = "boolean", [ENGINE_STRING] = "string", [ENGINE_LIST] = "list",
    [ENGINE_MAPPING] = "mapping", [ENGINE_ANY] = "any",
};
G_STATIC_ASSERT(G_N_ELEMENTS(type_names) == ENGINE_TYPE_COUNT);

const char *engine_type_name(enum engine_type type)
{
    return type_names[type];
}

static bool is_numeric(enum engine_type type)
{
    return type == ENGINE_INTEGER || type == ENGINE_NUMBER || type == ENGINE_NUMBERS;
}

G_GNUC_PRINTF(2, 3) static bool bad(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s", text);
    return false;
}

static bool read_type(const json_t *row, enum engine_type *ret, GError **error)
{
    const char *word = NULL;
    if (!jsonx_get_string(row, "type", true, &word, error))
        return false;
    for (int i = 0; i < ENGINE_TYPE_COUNT; i++) {
        if (strcmp(type_names[i], word))
            continue;
        *ret = (enum engine_type)i;
        return true;
    }
    g_autoptr(GString) words = g_string_new(NULL);
    for (int i = 0; i < ENGINE_TYPE_COUNT; i++)
        g_string_append_printf(words, "%s%s", i ? ", " : "", type_names[i]);
    return bad(error, "type '%s' is none of %s", word, words->str);
}

static bool read_bounds(const json_t *row, struct engine_option *o, GError **error)
{
    o->min = -INFINITY;
    o->max = INFINITY;
    if (!jsonx_get_real(row, "min", false, &o->min, error) || !jsonx_get_real(row, "max", false, &o->max, error))
        return false;
    if (!is_numeric(o->type) && (isfinite(o->min) || isfinite(o->max)))
        return bad(error, "'min' and 'max' are of numbers, and it is %s", type_names[o->type]);
    return o->min <= o->max || bad(error, "'min' %g lies above 'max' %g", o->min, o->max);
}

static bool read_choices(const json_t *row, struct engine_option *o, GError **error)
{
    json_t *choices = NULL;
    if (!jsonx_get_array(row, "choices", false, &choices, error))
        return false;
    o->choices = choices;
    return !choices || json_array_size(choices) > 0 || bad(error, "'choices' has none");
}

/* --- Values ----------------------------------------------------------------------------------------------------- */

static bool is_of_type(const json_t *value, enum engine_type type)
{
    switch (type) {
    case ENGINE_INTEGER:
        return json_is_integer(value);
    case ENGINE_NUMBER:
        return json_is_number(value);
    case ENGINE_BOOLEAN:
        return json_is_boolean(value);
    case ENGINE_STRING:
        return json_is_string(value);
    case ENGINE_LIST:
        return json_is_array(value);
    case ENGINE_MAPPING:
        return json_is_object(value);
    default:
        return true;
    }
}

static bool is_within(const struct engine_option *o, const json_t *number)
{
    return json_is_number(number) && json_number_value(number) >= o->min && json_number_value(number) <= o->max;
}

static bool is_chosen(const struct engine_option *o, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(o->choices); i++)
        if (json_equal(json_array_get(o->choices, i), value))
            return true;
    return !o->choices;
}

static bool are_within(const struct engine_option *o, const json_t *value)
{
    size_t n = json_array_size(value);
    for (size_t i = 0; i < n; i++)
        if (!is_within(o, json_array_get(value, i)))
            return false;
    return n > 0 || is_within(o, value);
}

static bool fits(const struct engine_option *o, const json_t *value)
{
    return is_of_type(value, o->type) && is_chosen(o, value) && (!is_numeric(o->type) || are_within(o, value));
}

/* --- Rows ------------------------------------------------------------------------------------------------------- */

static bool read_option(const json_t *row, struct engine_option *o, GError **error)
{
    if (!read_type(row, &o->type, error) || !read_bounds(row, o, error) || !read_choices(row, o, error) ||
        !jsonx_get_string(row, "unit", false, &o->unit, error) ||
        !jsonx_get_string(row, "help", false, &o->help, error))
        return false;
    o->initial = json_object_get(row, "default");
    if (!o->initial)
        return bad(error, "it has no default (null is one)");
    if (json_is_null(o->initial) || fits(o, o->initial))
        return true;
    g_autofree char *text = jsonx_dump(o->initial, JSONX_COMPACT);
    return bad(error, "its default %s is none of the values it allows", text);
}

static bool read_options(const json_t *fields, struct engine_schema *ret, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *row;
    ret->options = g_new0(struct engine_option, MAX(json_array_size(fields), 1));
    json_array_foreach (fields, i, row) {
        struct engine_option *o = &ret->options[ret->n++];
        if (!jsonx_get_string(row, "name", true, &o->name, error)) {
            g_prefix_error(error, "field %zu: ", i);
            return false;
        }
        if (!g_hash_table_add(seen, (char *)(uintptr_t)o->name))
            return bad(error, "field '%s' stands there twice", o->name);
        if (!read_option(row, o, error)) {
            g_prefix_error(error, "field '%s': ", o->name);
            return false;
        }
    }
    return true;
}

bool engine_schema(struct engine *engine, int64_t deadline_ns, struct engine_schema *ret, GError **error)
{
    *ret = (struct engine_schema){.reply = wire_call(engine, "schema", NULL, deadline_ns, error)};
    if (!ret->reply)
        return false;
    GError *detail = NULL;
    json_t *fields = NULL;
    if (jsonx_get_array(ret->reply, "fields", true, &fields, &detail) && read_options(fields, ret, &detail))
        return true;
    engine_schema_clear(ret);
    return wire_bad_reply(engine, "schema", detail, error);
}

void engine_schema_clear(struct engine_schema *schema)
{
    json_decref(schema->reply);
    g_free(schema->options);
    *schema = (struct engine_schema){0};
}

const struct engine_option *engine_schema_find(const struct engine_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n; i++)
        if (!strcmp(schema->options[i].name, name))
            return &schema->options[i];
    return NULL;
}
