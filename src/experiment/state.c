/* SPDX-License-Identifier: MIT */
#include "experiment/state.h"

#include <math.h>
#include <sched.h>
#include <string.h>

#define CPUS_READ 64 /* at most: each read may wake a CPU */
#define FACT_MAX  4096
#define BACK_NS   NS_PER_S /* how far back a reading may lie that still tells the state at a moment */

/* --- CPUs -------------------------------------------------------------------------------------------------------- */

static char *cpu_fact(const char *sysroot, int cpu, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/sys/devices/system/cpu/cpu%d/%s", sysroot, cpu, name);
    char *text = file_read(path, FACT_MAX, NULL, NULL);
    return text ? g_strstrip(text) : NULL;
}

static void add_governor(struct cpu_state *state, const char *governor)
{
    g_auto(GStrv) known = g_strsplit(state->governors, ", ", -1);
    if (g_strv_contains((const char *const *)known, governor))
        return;
    if (state->governors[0])
        g_strlcat(state->governors, ", ", sizeof state->governors);
    g_strlcat(state->governors, governor, sizeof state->governors);
}

static void add_cpu(const char *sysroot, int cpu, struct cpu_state *state, double *sum_hz, size_t *n)
{
    g_autofree char *khz = cpu_fact(sysroot, cpu, "cpufreq/scaling_cur_freq");
    g_autofree char *governor = cpu_fact(sysroot, cpu, "cpufreq/scaling_governor");
    g_autofree char *events = cpu_fact(sysroot, cpu, "thermal_throttle/core_throttle_count");
    int64_t value;
    if (khz && num_parse_int(khz, 1, INT64_MAX / 1000, &value, NULL)) {
        double hz = 1e3 * (double)value;
        state->least_hz = *n ? fmin(state->least_hz, hz) : hz;
        state->most_hz = *n ? fmax(state->most_hz, hz) : hz;
        *sum_hz += hz;
        (*n)++;
    }
    if (governor)
        add_governor(state, governor);
    if (events && num_parse_int(events, 0, INT64_MAX / 2, &value, NULL))
        state->throttled = MAX(0, state->throttled) + value;
}

void cpu_state_take(const struct engine_loaded *loaded, struct cpu_state *ret)
{
    const char *root = g_getenv("LLEM_SYSROOT");
    *ret = (struct cpu_state){.mean_hz = NAN, .least_hz = NAN, .most_hz = NAN, .throttled = -1,
                              .temperature_c = meter_cpu_temperature(root ? root : "")};
    cpu_set_t allowed;
    double sum_hz = 0;
    size_t n = 0;
    pid_t pid = loaded->n_pids > 0 ? (pid_t)loaded->pids[0] : 0;
    if (sched_getaffinity(pid, sizeof allowed, &allowed) != 0)
        return;
    ret->cpus = (size_t)CPU_COUNT(&allowed);
    for (int cpu = 0, read = 0; cpu < CPU_SETSIZE && read < CPUS_READ; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        add_cpu(root ? root : "", cpu, ret, &sum_hz, &n);
        read++;
    }
    if (n > 0)
        ret->mean_hz = sum_hz / (double)n;
}

static json_t *cpu_state_json(const struct cpu_state *state)
{
    json_t *tree = json_object();
    static const char none[] = "the kernel shows no clock of these CPUs";
    jsonx_set_real(tree, "clock_mean_hz", state->mean_hz, none);
    jsonx_set_real(tree, "clock_least_hz", state->least_hz, none);
    jsonx_set_real(tree, "clock_most_hz", state->most_hz, none);
    jsonx_set_real(tree, "temperature_c", state->temperature_c,
                   "no chip of the kernel's hardware monitoring shows the temperature of a CPU package here (coretemp, "
                   "k10temp; usual in virtual machines and containers)");
    return tree;
}

json_t *cpu_states_json(const struct cpu_state *start, const struct cpu_state *end)
{
    bool counted = start->throttled >= 0 && end->throttled >= start->throttled;
    json_t *tree = json_object();
    if (end->cpus > 0)
        json_object_set_new(tree, "cpus", json_integer((json_int_t)end->cpus));
    else
        jsonx_set_null(tree, "cpus", "the kernel does not say which CPUs the engine may use");
    json_object_set_new(tree, "governors", end->governors[0] ? json_string(end->governors) : json_null());
    json_object_set_new(tree, "start", cpu_state_json(start));
    json_object_set_new(tree, "end", cpu_state_json(end));
    jsonx_set_real(tree, "thermal_events", counted ? (double)(end->throttled - start->throttled) : NAN,
                   "the kernel does not count thermal events of these CPUs");
    return tree;
}

/* --- boards ------------------------------------------------------------------------------------------------------ */

/* The first and the last reading of a channel in the time before a moment that still tells its state. False: none. */
static bool readings_before(const struct sensors *sensors, size_t channel, int64_t at_ns, double *ret_first,
                            double *ret_last)
{
    g_autoptr(GArray) points = sampler_series(sensors->sampler, channel, at_ns - BACK_NS, at_ns);
    bool any = false;
    for (guint k = 0; k < points->len; k++) {
        const struct meter_point *p = &g_array_index(points, struct meter_point, k);
        if (p->status != METER_READ_OK || p->first_ns > at_ns)
            continue;
        *ret_last = (double)p->raw * sensors->own.channels[channel]->scale;
        *ret_first = any ? *ret_first : *ret_last;
        any = true;
    }
    return any;
}

static bool is_of(const struct meter_channel *c, const char *uuid, enum meter_kind kind)
{
    return c->kind == kind && meter_channel_of_board(c) && !strcmp(c->device, uuid);
}

/* The reading of a board's first channel of a kind at a moment; NaN: none of late. */
static double reading_at(const struct sensors *sensors, const char *uuid, enum meter_kind kind, int64_t at_ns)
{
    double first = NAN, last = NAN;
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++)
        if (is_of(sensors->own.channels[i], uuid, kind) && readings_before(sensors, i, at_ns, &first, &last))
            return last;
    return NAN;
}

/* Each reason for lower clocks has a counter of its own, and they overlap: the one that counted most. */
static double throttled_before(const struct sensors *sensors, const char *uuid, int64_t at_ns)
{
    double first = NAN, last = NAN, most = NAN;
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++)
        if (is_of(sensors->own.channels[i], uuid, METER_THROTTLE) &&
            readings_before(sensors, i, at_ns, &first, &last))
            most = isnan(most) ? last - first : fmax(most, last - first);
    return most;
}

void board_state_add(const struct sensors *sensors, const struct energy_window *window, const char *uuid, json_t *tree)
{
    static const char none[] = "the driver gave no reading of it there";
    const struct {
        const char *temperature, *clock, *throttled;
        int64_t at_ns;
    } moments[] = {{"temperature_start_c", "clock_start_hz", "throttled_start_s", window->guard_from_ns},
                   {"temperature_end_c", "clock_end_hz", "throttled_end_s", window->t1_ns}};
    for (size_t i = 0; i < G_N_ELEMENTS(moments); i++) {
        int64_t at_ns = moments[i].at_ns;
        jsonx_set_real(tree, moments[i].temperature, reading_at(sensors, uuid, METER_TEMPERATURE, at_ns), none);
        jsonx_set_real(tree, moments[i].clock, reading_at(sensors, uuid, METER_CLOCK, at_ns), none);
        jsonx_set_real(tree, moments[i].throttled, throttled_before(sensors, uuid, at_ns), none);
    }
}
