/* SPDX-License-Identifier: MIT */
#include "base/variables.h"

#include <glib.h>

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
