/* SPDX-License-Identifier: MIT */
/* Tables with commas, as RFC 4180 has them: a first row of names, quotes around what holds a comma, a quote or a line
 * feed. Each row becomes an object whose values are texts. */
#include "workload/private.h"

#include <string.h>

struct csv {
    const char *at, *end;
    int64_t line; /* of `at` */
};

/* One field, and what ended it: ',', '\n' or 0 for the end. NULL: a quote is not closed. New string. */
static char *next_field(struct csv *csv, int *ret_end)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool quoted = csv->at < csv->end && *csv->at == '"';
    csv->at += quoted;
    for (; csv->at < csv->end; csv->at++) {
        char c = *csv->at;
        csv->line += c == '\n' && quoted;
        if (quoted && c == '"' && csv->at + 1 < csv->end && csv->at[1] == '"')
            csv->at++;
        else if (quoted && c == '"') {
            quoted = false;
            continue;
        } else if (!quoted && (c == ',' || c == '\n'))
            break;
        bool ends_line = c == '\r' && (csv->at + 1 == csv->end || csv->at[1] == '\n');
        if (quoted || !ends_line)
            g_string_append_c(text, c);
    }
    if (quoted)
        return NULL;
    *ret_end = csv->at < csv->end ? *csv->at++ : 0;
    csv->line += *ret_end == '\n';
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The fields of a row, from csv->at on; NULL: a quote is not closed. */
static GPtrArray *next_row(struct csv *csv)
{
    g_autoptr(GPtrArray) row = g_ptr_array_new_with_free_func(g_free);
    int end = ',';
    while (end == ',') {
        char *field = next_field(csv, &end);
        if (!field)
            return NULL;
        g_ptr_array_add(row, field);
    }
    return g_steal_pointer(&row);
}

static bool is_blank_row(const GPtrArray *row)
{
    return row->len == 1 && !*(const char *)row->pdata[0];
}

/* The object of a row; NULL: a text is not UTF-8. */
static json_t *object_of(const GPtrArray *names, const GPtrArray *row)
{
    g_autoptr(json_t) object = json_object();
    for (guint i = 0; i < row->len; i++)
        if (json_object_set_new(object, names->pdata[i], json_string(row->pdata[i])) != 0)
            return NULL;
    return g_steal_pointer(&object);
}

/* Why a text is no table, whatever its rows; NULL: it may be one. New string. */
static char *refuse_text(const char *text, size_t length)
{
    if (memchr(text, 0, length))
        return g_strdup("a NUL byte is in it, which no text has");
    if (memchr(text, '\r', length) && !memchr(text, '\n', length))
        return g_strdup("its lines end in a carriage return alone; write it with line feeds");
    return NULL;
}

static char *refuse_names(const GPtrArray *names)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < names->len; i++)
        if (!g_hash_table_add(seen, names->pdata[i]))
            return g_strdup_printf("two columns have the name '%s'", (const char *)names->pdata[i]);
    return NULL;
}

bool csv_read(const char *text, size_t length, csv_row_fn *take, void *data, int64_t *ret_line, char **ret_why)
{
    struct csv csv = {.at = text, .end = text + length, .line = 1};
    g_autoptr(GPtrArray) names = next_row(&csv);
    *ret_line = 1;
    *ret_why = refuse_text(text, length);
    if (!*ret_why)
        *ret_why = names ? refuse_names(names) : g_strdup("a quote that begins here is not closed");
    while (names && !*ret_why && csv.at < csv.end) {
        *ret_line = csv.line;
        g_autoptr(GPtrArray) row = next_row(&csv);
        if (row && is_blank_row(row))
            continue;
        g_autoptr(json_t) object = row && row->len == names->len ? object_of(names, row) : NULL;
        if (!row)
            *ret_why = g_strdup("a quote that begins here is not closed");
        else if (row->len != names->len)
            *ret_why = g_strdup_printf("%u values, and the first row names %u", row->len, names->len);
        else if (!object)
            *ret_why = g_strdup("a value is not UTF-8");
        else
            take(object, *ret_line, data);
    }
    return !*ret_why;
}
