/* SPDX-License-Identifier: MIT */
/* The names records carry. */
#include "energy/energy.h"

static const struct {
    const char *name, *meaning;
} flags[] = {
#define X(flag, name, meaning) [ENERGY_FLAG_##flag] = {name, meaning},
    ENERGY_FLAG_ROWS(X)
#undef X
};

static const char *const methods[] = {
#define X(method, name) [ENERGY_METHOD_##method] = name,
    ENERGY_METHOD_ROWS(X)
#undef X
};

static const char *const coverages[] = {
#define X(from, name) [ENERGY_COVERAGE_##from] = name,
    ENERGY_COVERAGE_ROWS(X)
#undef X
};

G_STATIC_ASSERT(ENERGY_FLAG_COUNT <= 32);

const char *energy_flag_name(enum energy_flag flag)
{
    return (unsigned)flag < ENERGY_FLAG_COUNT ? flags[flag].name : "unknown";
}

const char *energy_flag_meaning(enum energy_flag flag)
{
    return (unsigned)flag < ENERGY_FLAG_COUNT ? flags[flag].meaning : "unknown";
}

const char *energy_method_name(enum energy_method method)
{
    return (unsigned)method < ENERGY_METHOD_COUNT ? methods[method] : "unknown";
}

const char *energy_coverage_name(enum energy_coverage from)
{
    return (unsigned)from < ENERGY_COVERAGE_COUNT ? coverages[from] : "unknown";
}
