/* SPDX-License-Identifier: MIT */
/* Looking things up in a table, and what its rows accept in words. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

int table_index(const struct config_table *table, const char *path)
{
    return (int)GPOINTER_TO_SIZE(g_hash_table_lookup(table->by_path, path)) - 1;
}

size_t table_at(const struct config_table *table, const char *path)
{
    int index = table_index(table, path);
    if (index < 0)
        g_error("config: no field '%s'", path);
    return (size_t)index;
}

bool table_is_section(const struct config_table *table, const char *path)
{
    return g_hash_table_contains(table->sections, path);
}

const struct backend *table_engine(const struct config_table *table, const char *name)
{
    for (unsigned i = 0; name && i < table->engines->len; i++)
        if (!strcmp(backend_name(table->engines->pdata[i]), name))
            return table->engines->pdata[i];
    return NULL;
}

const struct backend *table_section_engine(const struct config_table *table, const char *path)
{
    g_autofree char *first = g_strndup(path, strcspn(path, "."));
    return table_engine(table, first);
}

bool field_is_nullable(const struct config_field *row)
{
    return !row->initial && !(row->flags & CONFIG_REQUIRED);
}

const struct config_form *field_form(const struct config_field *row)
{
    return (row->flags & CONFIG_BOARDS) ? &config_form_board : (row->flags & CONFIG_RESULTS) ? &config_form_folder
                                                                                              : row->form;
}

const char *field_last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

char *field_passed_path(const struct backend *engine, const char *name)
{
    const char *section = "";
    if (!backend_passes_through(engine, &section))
        return NULL;
    return g_strdup_printf("%s.%s%s%s", backend_name(engine), section, *section ? "." : "", name);
}

size_t config_table_fields(const struct config_table *table, const struct config_field **ret)
{
    *ret = table->rows;
    return table->n;
}

const struct config_field *config_table_field(const struct config_table *table, const char *path)
{
    int index = table_index(table, path);
    return index < 0 ? NULL : &table->rows[index];
}

bool config_condition_holds(const struct backend_condition *condition, const char *canonical)
{
    if (condition->n == 0)
        return strcmp(canonical, "null") != 0;
    for (size_t i = 0; i < condition->n; i++)
        if (!strcmp(condition->values[i], canonical))
            return !condition->negated;
    return condition->negated;
}

/* --- Words ------------------------------------------------------------------------------------------------------ */

char *config_plain_words(const char *json)
{
    size_t length = strlen(json);
    return *json == '"' ? g_strndup(json + 1, length - 2) : g_strndup(json, length);
}

static char *number_text(double value)
{
    if (value == floor(value) && fabs(value) < 1e15)
        return g_strdup_printf("%.0f", value);
    char text[32];
    jsonx_format_real(value, text);
    return g_strdup(text);
}

static char *range_text(const struct config_field *row)
{
    g_autofree char *min = number_text(row->min);
    g_autofree char *max = number_text(row->max);
    bool low = isfinite(row->min), high = isfinite(row->max);
    if (low && high && !strcmp(min, max))
        return g_strdup_printf(", %s", min);
    if (low && high)
        return g_strdup_printf(" from %s to %s", min, max);
    if (low)
        return g_strdup_printf(" of at least %s", min);
    return high ? g_strdup_printf(" of at most %s", max) : g_strdup("");
}

static char *choices_text(const struct config_field *row)
{
    GString *out = g_string_new(row->choices[0].name && row->choices[1].name ? "one of " : "");
    for (const struct backend_choice *c = row->choices; c->name; c++)
        g_string_append_printf(out, "%s%s", c == row->choices ? "" : ", ", c->name);
    return g_string_free(out, FALSE);
}

/* The values of a row that has some though it is no choice. */
static char *allowed_text(const json_t *allowed)
{
    GString *out = g_string_new(json_array_size(allowed) > 1 ? "one of " : "");
    for (size_t i = 0; i < json_array_size(allowed); i++) {
        g_autofree char *value = jsonx_dump(json_array_get(allowed, i), JSONX_COMPACT);
        g_string_append_printf(out, "%s%s", i ? ", " : "", value);
    }
    return g_string_free(out, FALSE);
}

char *config_field_expects(const struct config_field *row)
{
    if (row->option && row->option->allowed)
        return allowed_text(row->option->allowed);
    g_autofree char *range = range_text(row);
    const char *form = field_form(row) ? field_form(row)->expects : "a text";
    switch (row->type) {
    case CONFIG_BOOL:
        return g_strdup("true or false");
    case CONFIG_INT:
        return g_strdup_printf("an integer%s", range);
    case CONFIG_REAL:
        return g_strdup_printf("a number%s", range);
    case CONFIG_TEXT:
        return g_strdup(form);
    case CONFIG_SPAN:
        return g_strdup_printf("[low, high], two numbers%s in ascending order", range);
    case CONFIG_INTS:
        return g_strdup_printf("a list of integers%s", range);
    case CONFIG_REALS:
        return g_strdup_printf("a number%s, or a list of such numbers", range);
    case CONFIG_TEXTS:
        return g_strdup_printf("%s, or a list of such", form);
    case CONFIG_MAP:
        return g_strdup("a mapping");
    case CONFIG_LIST:
        return g_strdup("a list");
    case CONFIG_ANY:
        return g_strdup("a value");
    case CONFIG_CHOICE:
        break;
    }
    return choices_text(row);
}
