/* SPDX-License-Identifier: MIT */
/* Paths of the host become those that hold where the worker is: the one place that does it. */
#include "exchange/private.h"

#include <string.h>

/* How much of a path a row of the map stands for: the length of its host path, or 0. */
static size_t covered(const struct exchange_path *row, const char *path)
{
    size_t length = strlen(row->host);
    while (length > 1 && row->host[length - 1] == '/')
        length--;
    bool below = !strncmp(row->host, path, length) && (path[length] == '/' || path[length] == '\0' || length == 1);
    return below ? length : 0;
}

/* What a path of the host is called inside; NULL: nothing of it is there. New string. */
static char *inside_of(const struct exchange_map *map, const char *path)
{
    const struct exchange_path *best = NULL;
    size_t length = 0;
    for (size_t i = 0; i < map->n; i++)
        if (covered(&map->paths[i], path) > length) {
            best = &map->paths[i];
            length = covered(best, path);
        }
    return best ? g_build_filename(best->inside, path + length, NULL) : NULL;
}

static char *map_path(const struct exchange_map *map, const char *path, const char *place, GError **error)
{
    char *inside = inside_of(map, path);
    if (!inside)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER, "%s: %s is in none of the folders that the worker can see",
                    place, path);
    return inside;
}

static bool map_text(const struct exchange_map *map, char **text, const char *place, GError **error)
{
    char *inside = *text ? map_path(map, *text, place, error) : NULL;
    if (*text && !inside)
        return false;
    g_free(*text);
    *text = inside;
    return true;
}

/* Of a command the words that are absolute paths. */
static bool map_words(const struct exchange_map *map, char **words, const char *place, GError **error)
{
    for (; words && *words; words++)
        if (g_path_is_absolute(*words) && !map_text(map, words, place, error))
            return false;
    return true;
}

/* A text that may be a path, or several as PATH has them: what lies in a folder of the map goes with it, all else
 * stays. New string. */
static char *map_guess(const struct exchange_map *map, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    for (char **part = parts; *part; part++) {
        char *inside = g_path_is_absolute(*part) ? inside_of(map, *part) : NULL;
        if (!inside)
            continue;
        g_free(*part);
        *part = inside;
    }
    return g_strjoinv(":", parts);
}

/* The same of a value, and of those within a list or an object. New reference. */
static json_t *map_guesses(const struct exchange_map *map, json_t *value)
{
    const char *text = json_string_value(value), *name;
    g_autofree char *inside = text ? map_guess(map, text) : NULL;
    json_t *item;
    size_t i;
    json_object_foreach(value, name, item)
        json_object_set_new(value, name, map_guesses(map, item));
    json_array_foreach(value, i, item)
        json_array_set_new(value, i, map_guesses(map, item));
    return inside ? json_string(inside) : json_incref(value);
}

/* A field that is no text may hold some: mappings that are handed on as they are. */
static bool map_field(const struct exchange_map *map, json_t *fields, const char *file, const char *place,
                      GError **error)
{
    json_t *value = jsonx_at(fields, file);
    if (!json_is_string(value)) {
        json_decref(map_guesses(map, value));
        return true;
    }
    g_autofree char *whole = g_strconcat(place, ".", file, NULL);
    g_autofree char *inside = map_path(map, json_string_value(value), whole, error);
    if (inside)
        jsonx_set_at(fields, file, json_string(inside));
    return inside != NULL;
}

static bool map_fields(const struct exchange_map *map, json_t *fields, char *const *files, const char *place,
                       GError **error)
{
    for (; files && *files; files++)
        if (!map_field(map, fields, *files, place, error))
            return false;
    return true;
}

static bool map_member(struct exchange *x, const struct exchange_row *row, const struct exchange_map *map,
                       GError **error)
{
    void *member = exchange_member(x, row);
    if (row->flags & EXCHANGE_FIELDS)
        return map_fields(map, *(json_t **)member, x->files, row->place, error);
    if (row->flags & EXCHANGE_GUESSES)
        json_decref(map_guesses(map, *(json_t **)member));
    if (!(row->flags & EXCHANGE_PATH))
        return true;
    return row->type == EXCHANGE_STRINGS ? map_words(map, *(char ***)member, row->place, error)
                                         : map_text(map, member, row->place, error);
}

bool exchange_map_paths(struct exchange *x, const struct exchange_map *map, GError **error)
{
    for (const struct exchange_row *row = exchange_rows; map && row->name; row++)
        if (!map_member(x, row, map, error))
            return false;
    return true;
}
