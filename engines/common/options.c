/* SPDX-License-Identifier: MIT */
/* The options of a load: what the rows say of them, for the schema message, for every value, and for its place. */
#include "common/adapter_private.h"

#include <string.h>

static const struct adapter_option *option_find(const struct adapter *a, const char *name)
{
    for (const struct adapter_option *row = a->ops->options; row && row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

/* True if there are options below this name: "cache" of "cache.blocks". */
static bool is_section(const struct adapter *a, const char *name)
{
    size_t length = strlen(name);
    for (const struct adapter_option *row = a->ops->options; row && row->name; row++)
        if (!strncmp(row->name, name, length) && row->name[length] == '.')
            return true;
    return false;
}

json_t *adapter_option_defaults(const struct adapter_option *rows)
{
    json_t *defaults = json_object();
    for (const struct adapter_option *row = rows; row && row->name; row++) {
        g_autoptr(GError) error = NULL;
        json_t *value = jsonx_parse(row->initial, -1, row->name, &error);
        if (!value)
            g_error("options: %s", error->message);
        json_object_set_new(defaults, row->name, value);
    }
    return defaults;
}

/* --- The schema message ----------------------------------------------------------------------------------------- */

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

static void set_bound(json_t *object, const char *name, enum adapter_type type, double bound)
{
    if (!isfinite(bound))
        return;
    json_t *number = type == ADAPTER_INTEGER ? json_integer((json_int_t)bound) : jsonx_real(bound);
    json_object_set_new(object, name, number);
}

json_t *adapter_option_json(const struct adapter_option *row, json_t *initial)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(row->name));
    json_object_set_new(object, "type", json_string(adapter_type_name(row->type)));
    json_object_set(object, "default", initial);
    if (row->type == ADAPTER_INTEGER || row->type == ADAPTER_NUMBER || row->type == ADAPTER_NUMBERS) {
        set_bound(object, "min", row->type, row->min);
        set_bound(object, "max", row->type, row->max);
    }
    if (row->choices) {
        json_t *choices = json_array();
        for (const struct adapter_choice *c = row->choices; c->name; c++)
            json_array_append_new(choices, json_string(c->name));
        json_object_set_new(object, "choices", choices);
    }
    set_text(object, "unit", row->unit);
    set_text(object, "help", row->help);
    return object;
}

/* --- Values ----------------------------------------------------------------------------------------------------- */

static const struct adapter_choice *choice_find(const struct adapter_choice *rows, const char *name)
{
    for (; rows->name; rows++)
        if (!strcmp(rows->name, name))
            return rows;
    return NULL;
}

static bool check_choice(struct adapter *a, const struct adapter_option *row, const char *text)
{
    if (choice_find(row->choices, text))
        return true;
    g_autoptr(GString) known = g_string_new(NULL);
    for (const struct adapter_choice *c = row->choices; c->name; c++)
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", c->name);
    return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option '%s': '%s' is none of %s", row->name, text, known->str);
}

static bool check_range(struct adapter *a, const struct adapter_option *row, const json_t *value)
{
    double number = json_number_value(value);
    if (number >= row->min && number <= row->max)
        return true;
    g_autofree char *text = jsonx_dump(value, JSONX_COMPACT);
    if (isinf(row->max))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option '%s' must be at least %.15g, not %s", row->name,
                            row->min, text);
    return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option '%s' must lie between %.15g and %.15g, not %s", row->name,
                        row->min, row->max, text);
}

static bool check_value(struct adapter *a, const struct adapter_option *row, const json_t *value)
{
    g_autofree char *what = g_strdup_printf("load: option '%s'", row->name);
    if (json_is_null(value)) /* as if it were not there */
        return true;
    if (!adapter_check_type(a, value, row->type, what))
        return false;
    if (json_is_string(value) && row->choices)
        return check_choice(a, row, json_string_value(value));
    if (json_is_number(value) && row->type != ADAPTER_ANY)
        return check_range(a, row, value);
    for (size_t i = 0; row->type == ADAPTER_NUMBERS && i < json_array_size(value); i++)
        if (!check_range(a, row, json_array_get(value, i)))
            return false;
    return true;
}

/* One level of the options; prefix: "" or "cache.". Names that do not exist are collected. */
static bool check_level(struct adapter *a, const json_t *options, const char *prefix, json_t *unknown)
{
    bool ok = true;
    const char *key;
    const json_t *value;
    jsonx_foreach(options, key, value) {
        g_autofree char *name = g_strconcat(prefix, key, NULL);
        const struct adapter_option *row = strchr(key, '.') ? NULL : option_find(a, name);
        if (row) {
            ok = ok && check_value(a, row, value);
        } else if (is_section(a, name) && json_is_object(value)) {
            g_autofree char *below = g_strconcat(name, ".", NULL);
            ok = check_level(a, value, below, unknown) && ok;
        } else {
            json_array_append_new(unknown, json_string(name));
        }
    }
    return ok;
}

bool adapter_check_options(struct adapter *a, const json_t *options)
{
    json_t *unknown = json_array();
    bool ok = check_level(a, options, "", unknown);
    if (json_array_size(unknown) > 0)
        return adapter_refuse_keys(a, unknown, "load: options");
    json_decref(unknown);
    return ok;
}

const json_t *adapter_option_value(struct adapter *a, const struct adapter_load *load, const char *name)
{
    const json_t *value = jsonx_at(load->options, name);
    if (value && !json_is_null(value))
        return value;
    value = json_object_get(a->defaults, name);
    if (!value)
        g_error("no option '%s' in the rows of %s", name, a->ops->adapter);
    return value;
}

/* --- Places ----------------------------------------------------------------------------------------------------- */

static void fill_numbers(const json_t *value, struct adapter_numbers *ret)
{
    ret->n = json_is_array(value) ? json_array_size(value) : 1;
    ret->values = g_new(double, ret->n);
    for (size_t i = 0; i < ret->n; i++)
        ret->values[i] = json_number_value(json_is_array(value) ? json_array_get(value, i) : value);
}

static void fill_text(const struct adapter_option *row, const char *text, void *place)
{
    const struct adapter_choice *choice = row->choices ? choice_find(row->choices, text) : NULL;
    if (choice)
        *(int *)place = choice->value;
    else if (!row->choices)
        *(const char **)place = text;
}

static void fill_place(const struct adapter_option *row, const json_t *value, void *place)
{
    switch (row->type) {
    case ADAPTER_INTEGER:
        *(int64_t *)place = json_integer_value(value);
        break;
    case ADAPTER_NUMBER:
        *(double *)place = json_number_value(value);
        break;
    case ADAPTER_NUMBERS:
        fill_numbers(value, place);
        break;
    case ADAPTER_BOOLEAN:
        *(bool *)place = json_is_true(value);
        break;
    case ADAPTER_STRING:
        fill_text(row, json_string_value(value), place);
        break;
    default:
        *(const json_t **)place = value;
        break;
    }
}

void adapter_read_options(struct adapter *a, const struct adapter_load *load, void *into)
{
    for (const struct adapter_option *row = a->ops->options; row && row->name; row++) {
        const json_t *value = adapter_option_value(a, load, row->name);
        if (!json_is_null(value))
            fill_place(row, value, (char *)into + row->at);
    }
}

void adapter_echo_options(struct adapter *a, const struct adapter_load *load, json_t *resolved)
{
    for (const struct adapter_option *row = a->ops->options; row && row->name; row++) {
        const json_t *value = adapter_option_value(a, load, row->name);
        if (!json_is_null(value))
            jsonx_set_at(resolved, row->name, json_incref((json_t *)(uintptr_t)value));
    }
}
