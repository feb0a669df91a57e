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
    *ret = (struct cpu_state){.mean_hz = NAN, .least_hz = NAN, .most_hz = NAN, .throttled = -1};
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
    return tree;
}

json_t *cpu_states_json(const struct cpu_state *start, const struct cpu_state *end)
{
    bool counted = start->throttled >= 0 && end->throttled >= start->throttled;
    json_t *tree = json_object();
    json_object_set_new(tree, "cpus", json_integer((json_int_t)end->cpus));
    json_object_set_new(tree, "governors", end->governors[0] ? json_string(end->governors) : json_null());
    json_object_set_new(tree, "start", cpu_state_json(start));
    json_object_set_new(tree, "end", cpu_state_json(end));
    jsonx_set_real(tree, "thermal_events", counted ? (double)(end->throttled - start->throttled) : NAN,
                   "the kernel does not count thermal events of these CPUs");
    return tree;
}

/* --- boards ------------------------------------------------------------------------------------------------------ */

/* The last reading of a board's channel at or before a moment; NaN: none of late. first: the one BACK_NS earlier. */
static double reading_at(const struct sensors *sensors, const char *uuid, enum meter_kind kind, int64_t at_ns,
                         double *ret_before)
{
    double last = NAN;
    *ret_before = NAN;
    for (size_t i = 0; i < sensors->own.energy.channel_count && isnan(last); i++) {
        const struct meter_channel *c = sensors->own.channels[i];
        if (c->kind != kind || !meter_channel_of_board(c) || strcmp(c->device, uuid) != 0)
            continue;
        g_autoptr(GArray) points = sampler_series(sensors->sampler, i, at_ns - BACK_NS, at_ns);
        for (guint k = 0; k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            if (p->status != METER_READ_OK || p->first_ns > at_ns)
                continue;
            last = (double)p->raw * c->scale;
            *ret_before = isnan(*ret_before) ? last : *ret_before;
        }
    }
    return last;
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
        double before;
        jsonx_set_real(tree, moments[i].temperature,
                       reading_at(sensors, uuid, METER_TEMPERATURE, at_ns, &before), none);
        jsonx_set_real(tree, moments[i].clock, reading_at(sensors, uuid, METER_CLOCK, at_ns, &before), none);
        double throttled = reading_at(sensors, uuid, METER_THROTTLE, at_ns, &before);
        jsonx_set_real(tree, moments[i].throttled, throttled - before, none);
    }
}
