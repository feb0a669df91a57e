/* SPDX-License-Identifier: MIT */
#include "experiment/flags.h"

static const struct {
    const char *id, *meaning;
} rows[FLAG_COUNT] = {
#define X(code, id, meaning) [FLAG_##code] = {id, meaning},
    FLAG_ROWS(X)
#undef X
};

void flag_raise(struct result *r, enum flag flag)
{
    result_flag(r, rows[flag].id, rows[flag].meaning);
}
