/* SPDX-License-Identifier: MIT */
/* The interpreter of an adapter that is a Python program: which it is. */
#include "backend/internal.h"

char *backend_find_python(const struct backend *b, GError **error)
{
    const char *named = b->has_python ? g_getenv(b->python.variable) : NULL;
    char *made = NULL;
    if (!(named && *named) && (!backend_environment(b, &made, error) || made))
        return made;
    char *found = g_find_program_in_path(named && *named ? named : "python3");
    if (!found)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s: there is no interpreter %s%s%s", b->name,
                    named && *named ? named : "python3", b->has_python ? "; name one in " : "",
                    b->has_python ? b->python.variable : "");
    return found;
}

bool backend_check_python(const struct backend *b, GError **error)
{
    const char *instead = g_getenv(b->variable);
    if (!b->has_python || (instead && *instead))
        return true;
    g_autofree char *python = backend_find_python(b, error);
    return python && python_fits(b, python, error);
}
