/* SPDX-License-Identifier: MIT */
/* From the struct to the file's tree and back. */
#include "exchange/private.h"

#include <string.h>

void exchange_clear(struct exchange *x)
{
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        exchange_types[row->type].clear(exchange_member(x, row));
}

/* --- Writing -------------------------------------------------------------------------------------------------------- */

static json_t *member_json(const struct exchange *x, const struct exchange_row *row, GError **error)
{
    json_t *value = exchange_types[row->type].write(exchange_member(x, row));
    if (!value)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: it holds text that is not UTF-8", row->place);
    else if (json_is_null(value) && row->flags & EXCHANGE_REQUIRED)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: it was not set", row->place);
    else
        return value;
    json_decref(value);
    return NULL;
}

json_t *exchange_json(const struct exchange *x, GError **error)
{
    g_autoptr(json_t) root = json_pack("{s:s}", "schema", EXCHANGE_SCHEMA);
    for (const struct exchange_row *row = exchange_rows; row->name; row++) {
        json_t *value = member_json(x, row, error);
        if (!value) {
            g_prefix_error(error, "the exchange file cannot be written: ");
            return NULL;
        }
        if (json_is_null(value))
            json_decref(value);
        else
            jsonx_set_at(root, row->place, value);
    }
    return g_steal_pointer(&root);
}

json_t *exchange_context(const struct exchange *x)
{
    static const char section[] = "context.";
    json_t *context = json_object();
    for (const struct exchange_row *row = exchange_rows; row->name; row++) {
        json_t *value = g_str_has_prefix(row->place, section) ? member_json(x, row, NULL) : NULL;
        if (value && !json_is_null(value))
            json_object_set(context, row->place + strlen(section), value);
        json_decref(value);
    }
    return context;
}

/* --- Reading -------------------------------------------------------------------------------------------------------- */

static bool is_section(const char *name)
{
    size_t length = strlen(name);
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        if (!strncmp(row->place, name, length) && row->place[length] == '.')
            return true;
    return false;
}

static bool is_row(const char *place)
{
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        if (!strcmp(row->place, place))
            return true;
    return false;
}

static bool refuse_unknown(const char *place, GError **error)
{
    struct suggest suggest = {.word = place};
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        suggest_offer(&suggest, row->place);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: no such member%s%s%s", place,
                suggest.best ? "; did you mean '" : "", suggest.best ? suggest.best : "", suggest.best ? "'?" : "");
    return false;
}

static bool check_section(const json_t *value, const char *place, GError **error)
{
    if (!json_is_object(value))
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: expected an object, found %s", place,
                    jsonx_type_name(value));
    return json_is_object(value);
}

/* Every name of the object is a row or a section of rows. */
static bool check_names(const json_t *object, const char *prefix, GError **error)
{
    const char *name;
    const json_t *value;
    jsonx_foreach(object, name, value) {
        g_autofree char *place = g_strconcat(prefix, name, NULL);
        g_autofree char *below = g_strconcat(place, ".", NULL);
        if (is_row(place) || !strcmp(place, "schema"))
            continue;
        if (!is_section(place))
            return refuse_unknown(place, error);
        if (!check_section(value, place, error) || !check_names(value, below, error))
            return false;
    }
    return true;
}

static bool read_member(const json_t *tree, struct exchange *ret, const struct exchange_row *row, GError **error)
{
    const json_t *value = jsonx_at(tree, row->place), *found;
    g_autofree char *where = NULL;
    if (!value && !(row->flags & EXCHANGE_REQUIRED))
        return true;
    if (!value)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s is missing", row->place);
    else if (!exchange_types[row->type].read(exchange_member(ret, row), value, &where, &found))
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s%s: expected %s, found %s", row->place, where ? where : "",
                    exchange_types[row->type].expects, jsonx_type_name(found));
    else
        return true;
    return false;
}

static bool read_tree(const json_t *tree, struct exchange *ret, GError **error)
{
    const char *schema = json_string_value(json_object_get(tree, "schema"));
    if (!schema || strcmp(schema, EXCHANGE_SCHEMA) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "this is not an exchange file of this version (" EXCHANGE_SCHEMA ")");
        return false;
    }
    for (const struct exchange_row *row = exchange_rows; row->name; row++)
        if (!read_member(tree, ret, row, error))
            return false;
    return check_names(tree, "", error);
}

bool exchange_parse(const char *name, const json_t *tree, struct exchange *ret, GError **error)
{
    *ret = (struct exchange){0};
    if (read_tree(tree, ret, error))
        return true;
    g_prefix_error(error, "%s: ", name);
    exchange_clear(ret);
    return false;
}

bool exchange_read(const char *path, struct exchange *ret, GError **error)
{
    *ret = (struct exchange){0};
    g_autoptr(json_t) tree = jsonx_load(path, LIMIT_EXCHANGE_BYTES, error);
    return tree && exchange_parse(path, tree, ret, error);
}
