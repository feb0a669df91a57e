/* SPDX-License-Identifier: MIT */
/* The words of the enums, from their rows. */
#include "meter/meter.h"

#include <string.h>

static const struct {
    const char *name, *unit;
    bool cumulative;
} kinds[METER_KIND_COUNT] = {
#define X(kind, kind_name, kind_unit, kind_cumulative) \
    [METER_##kind] = {kind_name, kind_unit, kind_cumulative},
    METER_KIND_ROWS(X)
#undef X
};

static const char *const reads[METER_READ_COUNT] = {
#define X(status, name) [METER_READ_##status] = name,
    METER_READ_ROWS(X)
#undef X
};

const char *meter_kind_name(enum meter_kind kind)
{
    return kinds[kind].name;
}

const char *meter_kind_unit(enum meter_kind kind)
{
    return kinds[kind].unit;
}

bool meter_kind_cumulative(enum meter_kind kind)
{
    return kinds[kind].cumulative;
}

const char *meter_read_name(enum meter_read_status status)
{
    return reads[status];
}

int meter_read_from_name(const char *name)
{
    for (int i = 0; i < METER_READ_COUNT; i++)
        if (!strcmp(reads[i], name))
            return i;
    return -1;
}
