/* SPDX-License-Identifier: MIT */
/* What is refused, and in which words: errors to answer with, keys that do not exist, members of messages. */
#include "common/adapter_private.h"

#include <string.h>

static void note_failure(struct adapter *a, const char *error_class, char *message, bool oom)
{
    g_clear_pointer(&a->fail_message, g_free);
    g_clear_pointer(&a->unknown_keys, json_decref);
    a->fail_class = error_class;
    a->fail_message = message;
    a->fail_oom = oom;
    if (!g_utf8_validate(message, -1, NULL)) {
        a->fail_message = g_utf8_make_valid(message, -1);
        g_free(message);
    }
}

bool adapter_fail(struct adapter *a, const char *error_class, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_failure(a, g_intern_string(error_class), g_strdup_vprintf(format, args), false);
    va_end(args);
    return false;
}

bool adapter_fail_oom(struct adapter *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_failure(a, ADAPTER_OUT_OF_MEMORY, g_strdup_vprintf(format, args), true);
    va_end(args);
    return false;
}

bool adapter_refuse_keys(struct adapter *a, json_t *unknown, const char *part)
{
    if (json_array_size(unknown) == 0) {
        json_decref(unknown);
        return true;
    }
    g_autoptr(GString) names = g_string_new(NULL);
    size_t i;
    json_t *name;
    json_array_foreach (unknown, i, name) {
        g_string_append_printf(names, "%s'%s'", i ? ", " : "", json_string_value(name));
    }
    adapter_fail(a, ADAPTER_UNKNOWN_KEY, "%s: there is no %s", part, names->str);
    a->unknown_keys = unknown;
    return false;
}

bool adapter_check_keys(struct adapter *a, const json_t *object, const char *part, const char *const *names)
{
    json_t *unknown = json_array();
    const char *key;
    const json_t *value;
    jsonx_foreach(object, key, value) {
        if (!g_strv_contains(names, key))
            json_array_append_new(unknown, json_string(key));
    }
    return adapter_refuse_keys(a, unknown, part);
}

/* --- Types ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *article;
} type_names[] = {
    [ADAPTER_INTEGER] = {"integer", "an integer"},
    [ADAPTER_NUMBER] = {"number", "a number"},
    [ADAPTER_NUMBERS] = {"numbers", "a number or a list of numbers"},
    [ADAPTER_BOOLEAN] = {"boolean", "a boolean"},
    [ADAPTER_STRING] = {"string", "a string"},
    [ADAPTER_LIST] = {"list", "a list"},
    [ADAPTER_MAPPING] = {"mapping", "a mapping"},
    [ADAPTER_ANY] = {"any", "anything"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(type_names) == ADAPTER_TYPE_COUNT);

const char *adapter_type_name(enum adapter_type type)
{
    return type_names[type].name;
}

static bool are_numbers(const json_t *value)
{
    size_t n = json_array_size(value);
    for (size_t i = 0; i < n; i++)
        if (!json_is_number(json_array_get(value, i)))
            return false;
    return n > 0 || json_is_number(value);
}

static bool is_of_type(const json_t *value, enum adapter_type type)
{
    switch (type) {
    case ADAPTER_INTEGER:
        return json_is_integer(value);
    case ADAPTER_NUMBER:
        return json_is_number(value);
    case ADAPTER_NUMBERS:
        return are_numbers(value);
    case ADAPTER_BOOLEAN:
        return json_is_boolean(value);
    case ADAPTER_STRING:
        return json_is_string(value);
    case ADAPTER_LIST:
        return json_is_array(value);
    case ADAPTER_MAPPING:
        return json_is_object(value);
    default:
        return true;
    }
}

bool adapter_check_type(struct adapter *a, const json_t *value, enum adapter_type type, const char *what)
{
    return is_of_type(value, type) || adapter_fail(a, ADAPTER_BAD_VALUE, "%s must be %s, not %s", what,
                                                   type_names[type].article, jsonx_type_name(value));
}

/* --- Members of messages ---------------------------------------------------------------------------------------- */

static bool check_member(struct adapter *a, const json_t *object, const char *part, const struct adapter_member *row)
{
    const json_t *value = json_object_get(object, row->name);
    if (!value || json_is_null(value))
        return !row->required || adapter_fail(a, ADAPTER_BAD_VALUE, "%s: '%s' is missing", part, row->name);
    g_autofree char *what = g_strdup_printf("%s: '%s'", part, row->name);
    return adapter_check_type(a, value, row->type, what);
}

bool adapter_check_members(struct adapter *a, const json_t *object, const char *part,
                           const struct adapter_member *rows, size_t n)
{
    g_autofree const char **names = g_new0(const char *, n + 3);
    for (size_t i = 0; i < n; i++)
        names[i] = rows[i].name;
    names[n] = "id";
    names[n + 1] = "type";
    if (!adapter_check_keys(a, object, part, names))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!check_member(a, object, part, &rows[i]))
            return false;
    return true;
}
