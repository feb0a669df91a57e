/* SPDX-License-Identifier: MIT */
/* What an installed engine says that it takes (`schema` of the engine protocol), read into rows and held to what a row
 * may say. */
#include "backend/backend.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [REPORTED_INTEGER] = "integer", [REPORTED_NUMBER] = "number", [REPORTED_NUMBERS] = "numbers",
    [REPORTED_BOOLEAN] = "boolean", [REPORTED_STRING] = "string", [REPORTED_LIST] = "list",
    [REPORTED_MAPPING] = "mapping", [REPORTED_ANY] = "any",
};
G_STATIC_ASSERT(G_N_ELEMENTS(type_names) == REPORTED_COUNT);

const char *backend_reported_type_name(enum backend_reported_type type)
{
    return type_names[type];
}

static bool is_numeric(enum backend_reported_type type)
{
    return type == REPORTED_INTEGER || type == REPORTED_NUMBER || type == REPORTED_NUMBERS;
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

static bool read_type(const json_t *row, enum backend_reported_type *ret, GError **error)
{
    const char *word = NULL;
    if (!jsonx_get_string(row, "type", true, &word, error))
        return false;
    for (int i = 0; i < REPORTED_COUNT; i++) {
        if (strcmp(type_names[i], word))
            continue;
        *ret = (enum backend_reported_type)i;
        return true;
    }
    g_autoptr(GString) words = g_string_new(NULL);
    for (int i = 0; i < REPORTED_COUNT; i++)
        g_string_append_printf(words, "%s%s", i ? ", " : "", type_names[i]);
    return bad(error, "type '%s' is none of %s", word, words->str);
}

static bool read_bounds(const json_t *row, struct backend_reported *o, GError **error)
{
    o->min = -INFINITY;
    o->max = INFINITY;
    if (!jsonx_get_real(row, "min", false, &o->min, error) || !jsonx_get_real(row, "max", false, &o->max, error))
        return false;
    if (!is_numeric(o->type) && (isfinite(o->min) || isfinite(o->max)))
        return bad(error, "'min' and 'max' are of numbers, and it is %s", type_names[o->type]);
    return o->min <= o->max || bad(error, "'min' %g lies above 'max' %g", o->min, o->max);
}

static bool read_choices(const json_t *row, struct backend_reported *o, GError **error)
{
    json_t *choices = NULL;
    if (!jsonx_get_array(row, "choices", false, &choices, error))
        return false;
    o->choices = choices;
    return !choices || json_array_size(choices) > 0 || bad(error, "'choices' has none");
}

/* --- Values ----------------------------------------------------------------------------------------------------- */

static bool is_of_type(const json_t *value, enum backend_reported_type type)
{
    switch (type) {
    case REPORTED_INTEGER:
        return json_is_integer(value);
    case REPORTED_NUMBER:
        return json_is_number(value);
    case REPORTED_BOOLEAN:
        return json_is_boolean(value);
    case REPORTED_STRING:
        return json_is_string(value);
    case REPORTED_LIST:
        return json_is_array(value);
    case REPORTED_MAPPING:
        return json_is_object(value);
    default:
        return true;
    }
}

static bool is_within(const struct backend_reported *o, const json_t *number)
{
    return json_is_number(number) && json_number_value(number) >= o->min && json_number_value(number) <= o->max;
}

static bool is_chosen(const struct backend_reported *o, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(o->choices); i++)
        if (json_equal(json_array_get(o->choices, i), value))
            return true;
    return !o->choices;
}

static bool are_within(const struct backend_reported *o, const json_t *value)
{
    size_t n = json_array_size(value);
    for (size_t i = 0; i < n; i++)
        if (!is_within(o, json_array_get(value, i)))
            return false;
    return n > 0 || is_within(o, value);
}

static bool fits(const struct backend_reported *o, const json_t *value)
{
    return is_of_type(value, o->type) && is_chosen(o, value) && (!is_numeric(o->type) || are_within(o, value));
}

/* --- Rows ------------------------------------------------------------------------------------------------------- */

static bool read_option(const json_t *row, struct backend_reported *o, GError **error)
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
    o->min = -INFINITY; /* what an engine takes by itself it takes: then it is the bounds that say too much */
    o->max = INFINITY;
    o->contradicts = fits(o, o->initial);
    if (o->contradicts)
        return true;
    g_autofree char *text = jsonx_dump(o->initial, JSONX_COMPACT);
    return bad(error, "its default %s is none of the values it allows", text);
}

static bool read_rows(const json_t *fields, struct backend_reported *rows, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *row;
    json_array_foreach (fields, i, row) {
        struct backend_reported *o = &rows[i];
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

struct backend_reported *backend_reported_read(const json_t *fields, size_t *ret_n, GError **error)
{
    *ret_n = json_array_size(fields);
    struct backend_reported *rows = g_new0(struct backend_reported, MAX(*ret_n, 1));
    if (read_rows(fields, rows, error))
        return rows;
    g_free(rows);
    return NULL;
}

const struct backend_reported *backend_reported_find(const struct backend_reported *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}
