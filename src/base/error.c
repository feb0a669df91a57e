/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} rows[LLEM_ERROR_COUNT] = {
#define X(code, name, exit_code) [LLEM_ERROR_##code] = {name, exit_code},
    LLEM_ERROR_ROWS(X)
#undef X
};

GQuark llem_error_quark(void)
{
    return g_quark_from_static_string("llem-error-quark");
}

const char *llem_error_name(int code)
{
    return code >= 0 && code < LLEM_ERROR_COUNT ? rows[code].name : "InternalError";
}

int llem_error_from_name(const char *name)
{
    for (int i = 0; i < LLEM_ERROR_COUNT; i++)
        if (!strcmp(rows[i].name, name))
            return i;
    return -1;
}

int llem_error_exit_code(const GError *error)
{
    if (!error)
        return LLEM_EXIT_OK;
    if (error->domain != LLEM_ERROR || error->code < 0 || error->code >= LLEM_ERROR_COUNT)
        return LLEM_EXIT_FAILED;
    return rows[error->code].exit_code;
}
