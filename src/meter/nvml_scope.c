/* SPDX-License-Identifier: MIT */
/*
 * What the energy counter of a board is of. Where a GPU shares a module with a CPU and memory (Grace Hopper) the driver
 * has readings of both, and the call without a scope answers for the module. There the counter's slope is held against
 * readings whose scope the driver states.
 */
#include "meter/nvml.h"

#include <math.h>

#define POLL_NS  (5 * NS_PER_MS)   /* choice: a twentieth of a refresh */
#define WATCH_NS (700 * NS_PER_MS) /* choice: several refreshes of 100 ms, */
#define MOST_NS  (3 * NS_PER_S)    /* or three of whatever it is */
#define CHANGES  3                 /* choice: two gaps */
#define NEAR     0.1 /* idle, a module draws half as much again as its GPU and more */

static bool read_field(const struct nvml *nvml, nvml_device device, uint32_t id, uint32_t scope, double *ret)
{
    struct nvml_field_value field = {.field_id = id, .scope_id = scope};
    int64_t value = 0;
    bool ok = nvml->api.field_values && nvml->api.field_values(device, 1, &field) == NVML_OK &&
              field.status == NVML_OK && nvml_field_int(&field, &value);
    *ret = ok ? (double)value * 1e-3 : NAN;
    return ok;
}

/* The mean of power over the time of watching; NaN: there is none. */
struct power {
    double sum;
    int n;
};

static void see_power(const struct nvml *nvml, nvml_device device, uint32_t scope, struct power *power)
{
    double watts;
    if (!read_field(nvml, device, NVML_FI_POWER_INSTANT, scope, &watts) &&
        !read_field(nvml, device, NVML_FI_POWER_AVERAGE, scope, &watts))
        return;
    power->sum += watts;
    power->n++;
}

static double mean_of(const struct power *power)
{
    return power->n ? power->sum / power->n : NAN;
}

/* The slope of a counter between its first and its last change. */
struct slope {
    double first_j, last_j;
    int64_t first_ns, last_ns;
    int changes;
    double seen_j;
};

static void see_counter(struct slope *s, bool ok, double joules)
{
    if (!ok)
        return;
    if (s->seen_j > 0 && joules != s->seen_j) {
        int64_t now_ns = clock_mono_ns();
        if (s->changes++ == 0) {
            s->first_j = joules;
            s->first_ns = now_ns;
        }
        s->last_j = joules;
        s->last_ns = now_ns;
    }
    s->seen_j = joules;
}

static double watts_of(const struct slope *s)
{
    return s->changes >= CHANGES ? (s->last_j - s->first_j) / clock_seconds(s->last_ns - s->first_ns) : NAN;
}

static bool near(double watts, double reference)
{
    return fabs(watts - reference) <= NEAR * reference;
}

bool nvml_is_module(const struct nvml *nvml, nvml_device device)
{
    double value;
    return read_field(nvml, device, NVML_FI_ENERGY, NVML_SCOPE_MODULE, &value) ||
           read_field(nvml, device, NVML_FI_POWER_INSTANT, NVML_SCOPE_MODULE, &value) ||
           read_field(nvml, device, NVML_FI_POWER_AVERAGE, NVML_SCOPE_MODULE, &value);
}

const char *nvml_energy_scope(const struct nvml *nvml, nvml_device device,
                              bool (*read)(const struct nvml *nvml, nvml_device device, double *ret_j))
{
    struct slope counter = {0}, module = {0};
    struct power of_board = {0}, of_module = {0};
    int64_t began_ns = clock_mono_ns(), at_ns = began_ns;
    while (at_ns - began_ns < WATCH_NS || (counter.changes <= CHANGES && at_ns - began_ns < MOST_NS)) {
        double joules, all_j;
        see_counter(&counter, read(nvml, device, &joules), joules);
        see_counter(&module, read_field(nvml, device, NVML_FI_ENERGY, NVML_SCOPE_MODULE, &all_j), all_j);
        see_power(nvml, device, NVML_SCOPE_GPU, &of_board);
        see_power(nvml, device, NVML_SCOPE_MODULE, &of_module);
        clock_sleep_until_ns(at_ns + POLL_NS);
        at_ns = clock_mono_ns();
    }
    double watts = watts_of(&counter), board_w = mean_of(&of_board), module_w = watts_of(&module);
    module_w = isfinite(module_w) ? module_w : mean_of(&of_module);
    if (near(module_w, board_w)) /* this driver does not look at the scope */
        return NULL;
    bool board = near(watts, board_w), all = near(watts, module_w);
    return board == all ? METER_SCOPE_UNCLEAR : board ? METER_SCOPE_GPU : METER_SCOPE_MODULE;
}
