/* SPDX-License-Identifier: MIT */
#include "base/variables.h"

#include <glib.h>
#include <string.h>

bool variables_is_secret(const char *name)
{
    static const char *const telling[] = {"AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "KEYS", "PASS", "PASSWD",
                                          "PASSWORD", "SECRET", "SECRETS", "TOKEN", "TOKENS", NULL};
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_auto(GStrv) words = g_strsplit(upper, "_", -1);
    for (char **word = words; *word; word++)
        if (g_strv_contains(telling, *word))
            return true;
    return false;
}

char *variables_entry_name(const char *entry)
{
    return g_strndup(entry, strcspn(entry, "="));
}

/* "12", "-1", "0.5", "0-31", "128k", "4GiB". */
static bool is_number(const char *word)
{
    word += *word == '-' || *word == '+';
    size_t digits = strspn(word, "0123456789.-"), unit = strspn(word + digits, "kKmMgGtTiIbB"), points = 0;
    for (size_t i = 0; i < digits; i++)
        points += word[i] == '.';
    return digits > 0 && points <= 1 && unit <= 3 && !word[digits + unit]; /* with more points it is an address */
}

bool variables_may_show(const char *entry, const char *value)
{
    static const char *const switches[] = {"", "true", "false", "on", "off", "yes", "no", "auto", "none", "all",
                                           "default", "enable", "disable", "enabled", "disabled", NULL};
    const char *listed = strchr(entry, '=');
    g_auto(GStrv) words = g_strsplit(listed ? listed + 1 : "", "|", -1);
    g_auto(GStrv) parts = g_strsplit_set(value, ",;:| ", -1);
    if (g_strv_contains((const char *const *)words, "*"))
        return true;
    for (char **part = parts; *part; part++) {
        g_autofree char *lower = g_ascii_strdown(*part, -1);
        if (!is_number(*part) && !g_strv_contains(switches, lower) &&
            !g_strv_contains((const char *const *)words, *part))
            return false;
    }
    return true;
}
