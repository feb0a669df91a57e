/* SPDX-License-Identifier: MIT */
#include "cli/settings.h"

bool settings_add(json_t *options, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);
    if (!parts[0] || !*parts[0] || !parts[1]) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "--option %s: KEY=VALUE is wanted", text);
        return false;
    }
    json_t *value = jsonx_parse(parts[1], -1, "option", NULL);
    if (!value)
        value = json_string(parts[1]);
    if (!value) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "--option %s: the value is not UTF-8", parts[0]);
        return false;
    }
    jsonx_set_at(options, parts[0], value);
    return true;
}

bool settings_add_all(json_t *options, char *const *texts, GError **error)
{
    for (char *const *text = texts; text && *text; text++)
        if (!settings_add(options, *text, error))
            return false;
    return true;
}
