/* SPDX-License-Identifier: MIT */
/* The words of the enums, from their rows; the scopes that several sources may have. */
#include "meter/source.h"

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

#define BEYOND "network, fans and the losses of the power supply"
const struct meter_scope meter_scopes[] = {
    {METER_SCOPE_GPU, METER_DEVICE_BOARD, METER_COUNTS_FIRST,
     "the host's CPUs and memory, other boards, switches between boards, " BEYOND},
    {METER_SCOPE_MODULE, METER_DEVICE_MODULE, METER_COUNTS_FIRST + 1, "other modules, switches between them, " BEYOND},
    {METER_SCOPE_UNCLEAR, METER_DEVICE_MODULE, METER_COUNTS_NEVER, "which of the two it counts is not known"},
    {METER_SCOPE_MIG, METER_DEVICE_BOARD, METER_COUNTS_FIRST + 2,
     "the host's CPUs and memory, other boards, " BEYOND "; other instances of the board are inside"},
    {METER_SCOPE_INSTANCE, METER_DEVICE_INSTANCE, METER_COUNTS_FIRST + 2,
     "the host's CPUs and memory, other instances of the board, " BEYOND},
    {METER_SCOPE_PACKAGE, METER_DEVICE_PACKAGE, METER_COUNTS_FIRST + 3,
     "memory where it is a scope of its own, boards, disks, " BEYOND "; other processes are inside"},
    {METER_SCOPE_DRAM, METER_DEVICE_OTHER, METER_COUNTS_NEVER,
     "the CPU packages, boards, disks, " BEYOND "; other processes are inside"},
    {METER_SCOPE_PLATFORM, METER_DEVICE_OTHER, METER_COUNTS_NEVER,
     "what the maker of the machine left out of psys; other processes are inside"},
    {METER_SCOPE_ENGINE, METER_DEVICE_MODEL, METER_COUNTS_LAST, "memory, uncore, boards, disks, " BEYOND},
    {0},
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
