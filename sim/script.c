/* SPDX-License-Identifier: MIT */
/* Reads a script: JSON → devices with boards, sensors, counters, faults. Unknown keys are errors. */
#include "sim/script.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_SCRIPT "{\"devices\": [{\"load\": [{\"type\": \"constant\", \"watts\": 115}]}]}"

struct reader {
    struct sim_script *script;
    const char *folder; /* of the script: relative paths start there */
    GError **error;
    bool ok;
};

static void fail(struct reader *reader, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void fail(struct reader *reader, const char *format, ...)
{
    if (!reader->ok)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(reader->error, LLEM_ERROR, LLEM_ERROR_CONFIG, text);
    reader->ok = false;
}

static void check_keys(struct reader *reader, json_t *object, const char *what, const char *const *known)
{
    const char *key;
    json_t *value;
    if (object && !json_is_object(object))
        fail(reader, "%s must be an object, found %s", what, jsonx_type_name(object));
    json_object_foreach(object, key, value)
        if (!g_strv_contains(known, key))
            fail(reader, "%s has no member '%s'", what, key);
}
#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static double real(struct reader *reader, json_t *object, const char *key, double otherwise)
{
    double value = otherwise;
    if (reader->ok && object && !jsonx_get_real(object, key, false, &value, reader->error))
        reader->ok = false;
    return value;
}

static bool flag(struct reader *reader, json_t *object, const char *key, bool otherwise)
{
    bool value = otherwise;
    if (reader->ok && object && !jsonx_get_bool(object, key, false, &value, reader->error))
        reader->ok = false;
    return value;
}

static const char *text(struct reader *reader, json_t *object, const char *key, const char *otherwise)
{
    const char *value = otherwise;
    if (reader->ok && object && !jsonx_get_string(object, key, false, &value, reader->error))
        reader->ok = false;
    return value;
}

static int64_t ms(struct reader *reader, json_t *object, const char *key, double otherwise)
{
    return (int64_t)(real(reader, object, key, otherwise) * 1e6);
}

/* Seconds after the epoch → absolute; absent: never (or `otherwise` when that is finite). */
static int64_t moment(struct reader *reader, json_t *object, const char *key, double otherwise_s, bool never)
{
    if (!json_object_get(object, key) && never)
        return SIM_NEVER;
    return reader->script->epoch_ns + (int64_t)(real(reader, object, key, otherwise_s) * 1e9);
}

static unsigned milli(struct reader *reader, json_t *object, const char *key, double otherwise)
{
    return (unsigned)(real(reader, object, key, otherwise) * 1000.0 + 0.5);
}

static char *beside(const struct reader *reader, const char *path)
{
    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(reader->folder, path, NULL);
}

/* --- loads -------------------------------------------------------------------------------------------------------------------- */

static void load_steps(struct reader *reader, json_t *load, struct sim_trace *trace)
{
    json_t *points = json_object_get(load, "points"), *point;
    size_t index;
    int64_t last_ns = sim_trace_end_ns(trace);
    double watts = 0;
    bool first = true;
    if (!json_is_array(points) || !json_array_size(points))
        fail(reader, "a load of type steps needs points: [[seconds, watts], …]");
    json_array_foreach(points, index, point) {
        if (json_array_size(point) != 2 || !json_is_number(json_array_get(point, 0)) ||
            !json_is_number(json_array_get(point, 1))) {
            fail(reader, "point %zu of a load is not [seconds, watts]", index + 1);
            return;
        }
        int64_t t_ns = reader->script->epoch_ns + (int64_t)(json_number_value(json_array_get(point, 0)) * 1e9);
        if (!first && t_ns <= last_ns)
            fail(reader, "point %zu of a load is not after the one before", index + 1);
        if (!first || t_ns > last_ns)
            sim_trace_append(trace, t_ns - last_ns, first ? json_number_value(json_array_get(point, 1)) : watts);
        watts = json_number_value(json_array_get(point, 1));
        last_ns = MAX(last_ns, t_ns);
        first = false;
    }
    sim_trace_append(trace, 1, watts);
}

/* "seconds,watts" a line; a first line that is not numbers is a header. */
static void load_csv(struct reader *reader, json_t *load, struct sim_trace *trace)
{
    const char *path = text(reader, load, "path", NULL);
    if (!path) {
        fail(reader, "a load of type csv needs a path");
        return;
    }
    g_autofree char *full = beside(reader, path);
    g_autofree char *content = reader->ok ? file_read(full, LIMIT_RESULT_BYTES, NULL, reader->error) : NULL;
    if (!content) {
        reader->ok = false;
        return;
    }
    g_auto(GStrv) lines = g_strsplit(content, "\n", -1);
    g_autoptr(json_t) points = json_array();
    for (size_t i = 0; lines[i]; i++) {
        double t, watts;
        g_auto(GStrv) cells = g_strsplit(g_strstrip(lines[i]), ",", 2);
        if (!cells[0] || !cells[1])
            continue;
        if (num_parse_real(cells[0], &t, NULL) && num_parse_real(cells[1], &watts, NULL))
            json_array_append_new(points, json_pack("[ff]", t, watts));
        else if (i > 0)
            fail(reader, "%s:%zu: not 'seconds,watts'", full, i + 1);
    }
    g_autoptr(json_t) wrapped = json_pack("{sO}", "points", points);
    load_steps(reader, wrapped, trace);
}

static struct sim_trace *new_trace(const struct reader *reader)
{
    return sim_trace_new(reader->script->epoch_ns);
}

static void add_cpu_load(struct reader *reader, json_t *load, struct sim_device *device)
{
    const char *path = text(reader, load, "pid_file", NULL), *program = text(reader, load, "program", NULL);
    if (!path == !program) {
        fail(reader, "a load of type cpu needs either a pid_file or a program");
        return;
    }
    struct sim_live *live = g_new0(struct sim_live, 1);
    live->trace = new_trace(reader);
    sim_trace_append(live->trace, 1, 0);
    live->pid_file = path ? beside(reader, path) : NULL;
    live->program = g_strdup(program);
    live->watts_per_core = real(reader, load, "watts_per_core", 100);
    live->seen = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_ptr_array_add(device->lives, live);
    sim_board_add(device->board, live->trace);
}

static void add_load(struct reader *reader, json_t *load, struct sim_device *device)
{
    const char *type = text(reader, load, "type", "");
    double watts = real(reader, load, "watts", 0);
    struct sim_rng rng = {(uint64_t)real(reader, load, "seed", 1)};
    check_keys(reader, load, "a load", KEYS("type", "watts", "points", "from_s", "to_s", "period_ms", "duty", "low_w",
                                            "seed", "scale", "tau_ms", "step_ms", "path", "pid_file", "program", "watts_per_core"));
    int64_t from_ns = moment(reader, load, "from_s", 0, false), to_ns = moment(reader, load, "to_s", 3600, false);
    if (!reader->ok)
        return;
    if (!strcmp(type, "cpu")) {
        add_cpu_load(reader, load, device);
        return;
    }
    if (!strcmp(type, "wander")) {
        sim_board_add(device->board,
                      sim_wander_new(reader->script->epoch_ns, ms(reader, load, "step_ms", 20), watts,
                                     ms(reader, load, "tau_ms", 200), (uint64_t)real(reader, load, "seed", 1)));
        return;
    }
    struct sim_trace *trace = new_trace(reader);
    if (!strcmp(type, "constant"))
        sim_trace_append(trace, 1, watts);
    else if (!strcmp(type, "steps"))
        load_steps(reader, load, trace);
    else if (!strcmp(type, "csv"))
        load_csv(reader, load, trace);
    else if (!strcmp(type, "steady"))
        sim_load_steady(trace, from_ns, to_ns, watts);
    else if (!strcmp(type, "square"))
        sim_load_square(trace, from_ns, to_ns, MAX(1, ms(reader, load, "period_ms", 1000)),
                        real(reader, load, "duty", 0.5), watts, real(reader, load, "low_w", 0));
    else if (!strcmp(type, "llm"))
        sim_load_llm(trace, from_ns, to_ns, real(reader, load, "scale", 1), &rng);
    else if (!strcmp(type, "tail"))
        sim_load_tail(trace, from_ns, watts, ms(reader, load, "tau_ms", 1000));
    else
        fail(reader, "no load of type '%s'; there are: constant, steps, csv, steady, square, llm, tail, wander, cpu", type);
    sim_board_add(device->board, trace);
}

/* --- sensors ------------------------------------------------------------------------------------------------------------------ */

#define SENSOR_KEYS \
    "period_ms", "window_ms", "phase_ms", "delay_ms", "rise_ms", "jitter_ms", "gain", "offset_w", "quantum_w", \
        "noise_w", "seed"

static struct sim_sensor read_sensor(struct reader *reader, json_t *object, struct sim_sensor otherwise)
{
    struct sim_sensor s = {
        .period_ns = ms(reader, object, "period_ms", (double)otherwise.period_ns * 1e-6),
        .window_ns = ms(reader, object, "window_ms", (double)otherwise.window_ns * 1e-6),
        .phase_ns = reader->script->epoch_ns + ms(reader, object, "phase_ms", 0),
        .delay_ns = ms(reader, object, "delay_ms", (double)otherwise.delay_ns * 1e-6),
        .rise_ns = ms(reader, object, "rise_ms", (double)otherwise.rise_ns * 1e-6),
        .jitter_ns = ms(reader, object, "jitter_ms", 0),
        .gain = real(reader, object, "gain", otherwise.gain),
        .offset_w = real(reader, object, "offset_w", otherwise.offset_w),
        .quantum_w = real(reader, object, "quantum_w", 0.001),
        .noise_w = real(reader, object, "noise_w", otherwise.noise_w),
        .seed = (uint64_t)real(reader, object, "seed", 1),
    };
    if (s.period_ns < 0 || s.window_ns < 0 || s.delay_ns < 0 || s.rise_ns < 0 || s.jitter_ns < 0 ||
        (s.jitter_ns && 2 * s.jitter_ns >= s.period_ns))
        fail(reader, "a sensor's times must not be negative, and its jitter must be under half its period");
    return s;
}

static void read_counter(struct reader *reader, json_t *object, double quantum_j, struct sim_device *device)
{
    check_keys(reader, object, "counter",
               KEYS("source", "reset_s", "stuck_s", "glitch_s", "glitch_j", SENSOR_KEYS));
    const char *source = text(reader, object, "source", "truth");
    bool average = !strcmp(source, "average");
    struct sim_sensor base = average ? device->average : device->instant;
    struct sim_counter counter = {
        .source = !strcmp(source, "truth") ? SIM_COUNTER_TRUTH : SIM_COUNTER_DUTY,
        .sensor = read_sensor(reader, object, base),
        .quantum_j = quantum_j,
        .reset_ns = moment(reader, object, "reset_s", 0, true),
        .stuck_ns = moment(reader, object, "stuck_s", 0, true),
        .glitch_ns = moment(reader, object, "glitch_s", 0, true),
        .glitch_j = real(reader, object, "glitch_j", 1),
    };
    if (strcmp(source, "truth") != 0 && strcmp(source, "duty") != 0 && !average)
        fail(reader, "counter: source must be truth, duty or average, found '%s'", source);
    if (reader->ok)
        device->counter = sim_counting_new(device->board, &counter);
}

static void read_sensors(struct reader *reader, json_t *object, struct sim_device *device)
{
    /* As measured on Hopper boards (arXiv 2312.02741): instant 100/25 ms, average 100/1000 ms, about 50 ms late. */
    const struct sim_sensor instant = {.period_ns = 100 * NS_PER_MS, .window_ns = 25 * NS_PER_MS,
                                       .delay_ns = 50 * NS_PER_MS, .gain = 1};
    struct sim_sensor average = instant;
    average.window_ns = NS_PER_S;
    json_t *i = json_object_get(object, "instant"), *a = json_object_get(object, "average"),
           *c = json_object_get(object, "counter");
    device->has_instant = !json_is_false(i);
    device->has_average = !json_is_false(a);
    i = json_is_object(i) ? i : NULL;
    a = json_is_object(a) ? a : NULL;
    check_keys(reader, i, "instant", KEYS(SENSOR_KEYS));
    check_keys(reader, a, "average", KEYS(SENSOR_KEYS));
    device->instant = read_sensor(reader, i, instant);
    device->average = read_sensor(reader, a, average);
    if (!json_is_false(c))
        read_counter(reader, json_is_object(c) ? c : NULL, 0.001, device);
}

/* --- devices ------------------------------------------------------------------------------------------------------------------ */

static void clear_process(gpointer data)
{
    g_free(((struct sim_process *)data)->pid_file);
}

static void read_steps(struct reader *reader, json_t *object, const char *key, GArray *to)
{
    json_t *steps = json_object_get(object, key), *step;
    size_t index;
    json_array_foreach(steps, index, step) {
        struct sim_memory_step s = {
            .from_ns = reader->script->epoch_ns + (int64_t)(json_number_value(json_array_get(step, 0)) * 1e9),
            .used_bytes = (uint64_t)json_number_value(json_array_get(step, 1)) * MIB};
        if (json_array_size(step) != 2)
            fail(reader, "%s is a list of [seconds, MiB]", key);
        g_array_append_val(to, s);
    }
}

static enum sim_process_kind kind_of(struct reader *reader, const char *name)
{
    static const char *const names[SIM_PROCESS_KINDS] = {
        [SIM_COMPUTE] = "compute", [SIM_GRAPHICS] = "graphics", [SIM_MPS] = "mps"};
    for (int i = 0; i < SIM_PROCESS_KINDS; i++)
        if (!strcmp(names[i], name))
            return (enum sim_process_kind)i;
    fail(reader, "no kind of process '%s'; there are: compute, graphics, mps", name);
    return SIM_COMPUTE;
}

static void read_memory(struct reader *reader, json_t *object, struct sim_device *device)
{
    device->memory_total = (uint64_t)real(reader, object, "memory_total_mib", 81559) * MIB;
    device->memory_reserved = (uint64_t)real(reader, object, "memory_reserved_mib", 551) * MIB;
    device->v2_counts_reserved = flag(reader, object, "memory_v2_counts_reserved", false);
    read_steps(reader, object, "memory", device->memory);
    read_steps(reader, object, "memory_partition", device->partition);
    json_t *processes = json_object_get(object, "processes"), *process;
    size_t index;
    json_array_foreach(processes, index, process) {
        check_keys(reader, process, "a process",
                   KEYS("pid", "pid_file", "kind", "memory_mib", "from_s", "to_s", "holds", "drain_s"));
        const char *path = text(reader, process, "pid_file", NULL);
        struct sim_process p = {.pid = (uint32_t)real(reader, process, "pid", 0),
                                .pid_file = path ? beside(reader, path) : NULL,
                                .kind = kind_of(reader, text(reader, process, "kind", "compute")),
                                .holds = flag(reader, process, "holds", false),
                                .drain_ns = (int64_t)(real(reader, process, "drain_s", 0) * 1e9),
                                .memory_bytes = (uint64_t)real(reader, process, "memory_mib", 0) * MIB,
                                .from_ns = moment(reader, process, "from_s", 0, false),
                                .to_ns = moment(reader, process, "to_s", 0, true)};
        g_array_append_val(device->processes, p);
    }
    device->process_stride = (unsigned)real(reader, object, "process_stride", 24);
    if (device->process_stride != 24 && device->process_stride != 32)
        fail(reader, "process_stride must be 24 or 32");
}

static unsigned architecture_of(struct reader *reader, const char *name, unsigned *ret_capability)
{
    static const struct {
        const char *name;
        unsigned id, capability;
    } rows[] = {{"pascal", NVML_ARCH_PASCAL, 61}, {"volta", NVML_ARCH_VOLTA, 70},   {"turing", NVML_ARCH_TURING, 75},
                {"ga100", NVML_ARCH_AMPERE, 80},  {"ampere", NVML_ARCH_AMPERE, 86}, {"ada", NVML_ARCH_ADA, 89},
                {"hopper", NVML_ARCH_HOPPER, 90}, {"blackwell", NVML_ARCH_BLACKWELL, 100},
                {"unknown", NVML_ARCH_UNKNOWN, 130}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].name, name)) {
            *ret_capability = rows[i].capability;
            return rows[i].id;
        }
    fail(reader, "no architecture '%s'", name);
    return 0;
}

static void device_free(gpointer data)
{
    struct sim_device *device = data;
    sim_counting_free(device->counter);
    if (device->board)
        sim_board_free(device->board);
    g_ptr_array_unref(device->lives);
    g_ptr_array_unref(device->instances);
    g_array_unref(device->memory);
    g_array_unref(device->partition);
    g_array_unref(device->processes);
    g_free(device->name);
    g_free(device->uuid);
    g_free(device->pci);
    g_free(device->vbios);
    g_free(device);
}

static struct sim_device *device_new(unsigned index)
{
    struct sim_device *device = g_new0(struct sim_device, 1);
    device->index = index;
    device->lives = g_ptr_array_new_with_free_func((GDestroyNotify)sim_live_free);
    device->instances = g_ptr_array_new_with_free_func(device_free);
    device->memory = g_array_new(FALSE, FALSE, sizeof(struct sim_memory_step));
    device->partition = g_array_new(FALSE, FALSE, sizeof(struct sim_memory_step));
    device->processes = g_array_new(FALSE, FALSE, sizeof(struct sim_process));
    g_array_set_clear_func(device->processes, clear_process);
    return device;
}

/* An instance has memory and processes of its own, and no sensor. */
static void add_instance(struct reader *reader, json_t *object, struct sim_device *parent)
{
    struct sim_device *instance = device_new(parent->index);
    unsigned number = parent->instances->len;
    g_ptr_array_add(parent->instances, instance);
    check_keys(reader, object, "an instance",
               KEYS("name", "uuid", "memory_total_mib", "memory_reserved_mib", "memory", "memory_partition",
                    "memory_v2_counts_reserved", "processes", "process_stride"));
    g_autofree char *uuid = g_strdup_printf("MIG-%08u-0000-4000-8000-%012u", number + 1, parent->index);
    g_autofree char *name = g_strdup_printf("%s MIG 1g.10gb", parent->name);
    instance->parent = parent;
    instance->name = g_strdup(text(reader, object, "name", name));
    instance->uuid = g_strdup(text(reader, object, "uuid", uuid));
    instance->lost_ns = parent->lost_ns;
    read_memory(reader, object, instance);
}

static int gpu_counter_of(struct reader *reader, const char *name)
{
    static const char *const names[] = {"none", "own", "module"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(names[i], name))
            return (int)i;
    fail(reader, "module_gpu_counter must be none, own or module, found '%s'", name);
    return SIM_GPU_COUNTER_NONE;
}

static void add_device(struct reader *reader, json_t *object, unsigned index)
{
    struct sim_device *device = device_new(index);
    g_ptr_array_add(reader->script->devices, device);
    device->board = sim_board_new(reader->script->epoch_ns);
    check_keys(reader, object, "a device",
               KEYS("name", "uuid", "pci", "vbios", "architecture", "capability", "power_limit_w", "power_limit_min_w",
                    "power_limit_max_w", "temperature_c", "cools_c_per_s", "memory_temperature_c", "utilisation", "clock_mhz",
                    "throttled_share",
                    "max_clock_mhz", "memory_clock_mhz", "mig", "ecc", "persistence", "module", "module_w",
                    "module_gpu_counter", "process_stride",
                    "memory_total_mib", "memory_reserved_mib", "memory", "memory_partition",
                    "memory_v2_counts_reserved", "processes", "instances", "lost_s", "load", "instant", "average",
                    "counter"));
    g_autofree char *uuid = g_strdup_printf("GPU-00000000-0000-4000-8000-%012u", index);
    g_autofree char *pci = g_strdup_printf("00000000:%02X:00.0", index + 1);
    device->name = g_strdup(text(reader, object, "name", "NVIDIA H100 80GB HBM3"));
    device->uuid = g_strdup(text(reader, object, "uuid", uuid));
    device->pci = g_strdup(text(reader, object, "pci", pci));
    device->vbios = g_strdup(text(reader, object, "vbios", "96.00.74.00.01"));
    device->architecture =
        architecture_of(reader, text(reader, object, "architecture", "hopper"), &device->capability);
    device->capability = (unsigned)real(reader, object, "capability", device->capability);
    device->limit_mw = device->default_limit_mw = milli(reader, object, "power_limit_w", 700);
    device->min_limit_mw = milli(reader, object, "power_limit_min_w", 200);
    device->max_limit_mw = milli(reader, object, "power_limit_max_w", 700);
    device->temperature_c = (unsigned)real(reader, object, "temperature_c", 45);
    device->cools_c_per_s = real(reader, object, "cools_c_per_s", 0);
    device->memory_temperature_c = (unsigned)real(reader, object, "memory_temperature_c", 50);
    device->utilisation = (unsigned)real(reader, object, "utilisation", 0);
    device->throttled_share = real(reader, object, "throttled_share", 0);
    device->clock_mhz = (unsigned)real(reader, object, "clock_mhz", 1980);
    device->max_clock_mhz = (unsigned)real(reader, object, "max_clock_mhz", 1980);
    device->memory_clock_mhz = (unsigned)real(reader, object, "memory_clock_mhz", 2619);
    device->mig = flag(reader, object, "mig", false);
    device->ecc = flag(reader, object, "ecc", true);
    device->persistence = flag(reader, object, "persistence", true);
    device->module = flag(reader, object, "module", false);
    device->module_w = real(reader, object, "module_w", 150);
    device->module_gpu_counter = gpu_counter_of(reader, text(reader, object, "module_gpu_counter", "none"));
    device->lost_ns = moment(reader, object, "lost_s", 0, true);
    read_memory(reader, object, device);
    json_t *instances = json_object_get(object, "instances"), *instance;
    json_t *loads = json_object_get(object, "load"), *load;
    size_t at;
    json_array_foreach(instances, at, instance)
        add_instance(reader, instance, device);
    device->mig = device->mig || device->instances->len > 0;
    json_array_foreach(loads, at, load)
        add_load(reader, load, device);
    read_sensors(reader, object, device);
}

/* A package of RAPL: its counter alone, refreshed each millisecond in units of 2^-14 J, as server parts have it. */
static void add_package(struct reader *reader, json_t *object, unsigned index)
{
    struct sim_device *device = device_new(index);
    json_t *loads = json_object_get(object, "load"), *load, *counter = json_object_get(object, "counter");
    size_t at;
    g_ptr_array_add(reader->script->packages, device);
    device->board = sim_board_new(reader->script->epoch_ns);
    check_keys(reader, object, "a package", KEYS("name", "load", "counter"));
    check_keys(reader, counter, "counter", KEYS("reset_s", "stuck_s", "glitch_s", "glitch_j", SENSOR_KEYS));
    g_autofree char *name = g_strdup_printf("package-%u", index);
    device->name = g_strdup(text(reader, object, "name", name));
    device->instant = (struct sim_sensor){.period_ns = NS_PER_MS, .gain = 1}; /* what its counter is like unless told */
    json_array_foreach(loads, at, load)
        add_load(reader, load, device);
    if (reader->ok)
        read_counter(reader, counter, 0x1p-14, device);
}

/* --- faults and the whole ------------------------------------------------------------------------------------------------------ */

static nvml_return code_of(struct reader *reader, const char *name)
{
    static const struct {
        const char *name;
        nvml_return code;
    } rows[] = {
        {"NOT_SUPPORTED", NVML_NOT_SUPPORTED}, {"NO_PERMISSION", NVML_NO_PERMISSION},
        {"GPU_IS_LOST", NVML_GPU_IS_LOST},     {"UNKNOWN", NVML_UNKNOWN},
        {"FUNCTION_NOT_FOUND", NVML_FUNCTION_NOT_FOUND}, {"DRIVER_NOT_LOADED", NVML_DRIVER_NOT_LOADED},
        {"OPERATING_SYSTEM", NVML_OPERATING_SYSTEM}, {"LIB_RM_VERSION_MISMATCH", NVML_LIB_RM_VERSION_MISMATCH},
        {"INSUFFICIENT_SIZE", NVML_INSUFFICIENT_SIZE}, {"ARGUMENT_VERSION_MISMATCH", NVML_ARGUMENT_VERSION_MISMATCH},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].code;
    fail(reader, "no NVML return '%s'", name);
    return NVML_UNKNOWN;
}

static void add_fault(struct reader *reader, json_t *object)
{
    check_keys(reader, object, "a fault", KEYS("call", "field", "device", "return", "from_s", "to_s", "every"));
    struct sim_fault fault = {
        .call = g_strdup(text(reader, object, "call", NULL)),
        .field = (int)real(reader, object, "field", -1),
        .device = (int)real(reader, object, "device", -1),
        .code = code_of(reader, text(reader, object, "return", "NOT_SUPPORTED")),
        .from_ns = moment(reader, object, "from_s", 0, false),
        .to_ns = moment(reader, object, "to_s", 0, true),
        .every = (unsigned)real(reader, object, "every", 1),
    };
    if (!json_object_get(object, "from_s"))
        fault.from_ns = INT64_MIN;
    g_array_append_val(reader->script->faults, fault);
}

static void fault_clear(gpointer data)
{
    g_free(((struct sim_fault *)data)->call);
}

static void map_clock(struct reader *reader, const char *path)
{
    g_autofree char *full = beside(reader, path);
    int fd = open(full, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, sizeof(int64_t)) != 0) {
        fail(reader, "clock: cannot open %s: %s", full, g_strerror(errno));
    } else {
        void *page = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
            fail(reader, "clock: cannot map %s: %s", full, g_strerror(errno));
        else
            reader->script->clock = page;
    }
    if (fd >= 0)
        close(fd);
}

int64_t sim_script_now_ns(const struct sim_script *script)
{
    return script->clock ? atomic_load(script->clock) : clock_mono_ns();
}

void sim_script_wait(struct sim_script *script)
{
    int64_t wait_ns = script->latency_ns;
    if (script->latency_jitter_ns)
        wait_ns += (int64_t)(sim_rng_uniform(&script->latency_rng) * (double)script->latency_jitter_ns);
    if (script->latency_high_ns)
        wait_ns += (int64_t)((double)script->latency_low_ns *
                             pow((double)script->latency_high_ns / (double)script->latency_low_ns,
                                 sim_rng_uniform(&script->latency_rng)));
    static unsigned count;
    if (script->stall_every && ++count % script->stall_every == 0)
        wait_ns += script->stall_ns;
    int64_t until_ns = clock_mono_ns() + wait_ns;
    if (wait_ns > 0 && script->latency_spins)
        while (clock_mono_ns() < until_ns)
            continue;
    else if (wait_ns > 0)
        clock_sleep_until_ns(until_ns);
}

static void read_script(struct reader *reader, json_t *tree)
{
    struct sim_script *script = reader->script;
    check_keys(reader, tree, "the script", KEYS("driver_version", "nvml_version", "cuda_version", "clock", "epoch_ns",
                                                "latency", "devices", "packages", "faults", "prints",
                                                "prints_always"));
    const char *clock = text(reader, tree, "clock", NULL);
    if (clock)
        map_clock(reader, clock);
    int64_t epoch_ns = clock ? 0 : clock_mono_ns();
    if (reader->ok && !jsonx_get_int(tree, "epoch_ns", false, &epoch_ns, reader->error))
        reader->ok = false;
    script->epoch_ns = epoch_ns;
    script->driver_version = g_strdup(text(reader, tree, "driver_version", "580.65.06"));
    script->nvml_version = g_strdup(text(reader, tree, "nvml_version", "13.580.65.06"));
    script->prints = g_strdup(text(reader, tree, "prints", ""));
    script->prints_always = g_strdup(text(reader, tree, "prints_always", ""));
    script->cuda_version = (int)real(reader, tree, "cuda_version", 13000);
    json_t *latency = json_object_get(tree, "latency"), *item;
    check_keys(reader, latency, "latency",
               KEYS("base_us", "jitter_us", "low_us", "high_us", "spin", "stall_ms", "stall_every"));
    script->latency_ns = (int64_t)(real(reader, latency, "base_us", 0) * 1e3);
    script->latency_jitter_ns = (int64_t)(real(reader, latency, "jitter_us", 0) * 1e3);
    script->latency_low_ns = (int64_t)(real(reader, latency, "low_us", 0) * 1e3);
    script->latency_high_ns = (int64_t)(real(reader, latency, "high_us", 0) * 1e3);
    script->latency_spins = flag(reader, latency, "spin", false);
    if (script->latency_high_ns && !(script->latency_low_ns > 0 && script->latency_low_ns <= script->latency_high_ns))
        fail(reader, "latency: low_us must be above 0 and at most high_us");
    script->stall_ns = ms(reader, latency, "stall_ms", 0);
    script->stall_every = (unsigned)real(reader, latency, "stall_every", 0);
    size_t index;
    json_array_foreach(json_object_get(tree, "devices"), index, item)
        add_device(reader, item, (unsigned)index);
    json_array_foreach(json_object_get(tree, "packages"), index, item)
        add_package(reader, item, (unsigned)index);
    json_array_foreach(json_object_get(tree, "faults"), index, item)
        add_fault(reader, item);
}

struct sim_script *sim_script_load(const char *path, GError **error)
{
    g_autoptr(json_t) tree = path ? jsonx_load(path, LIMIT_RESULT_BYTES, error)
                                  : jsonx_parse(DEFAULT_SCRIPT, -1, "default script", error);
    if (!tree)
        return NULL;
    struct sim_script *script = g_new0(struct sim_script, 1);
    script->devices = g_ptr_array_new_with_free_func(device_free);
    script->packages = g_ptr_array_new_with_free_func(device_free);
    script->faults = g_array_new(FALSE, FALSE, sizeof(struct sim_fault));
    g_array_set_clear_func(script->faults, fault_clear);
    g_autofree char *folder = path ? g_path_get_dirname(path) : g_strdup(".");
    struct reader reader = {.script = script, .folder = folder, .error = error, .ok = true};
    read_script(&reader, tree);
    if (reader.ok)
        return script;
    g_prefix_error(error, "%s: ", path ? path : "default script");
    sim_script_free(script);
    return NULL;
}

void sim_script_free(struct sim_script *script)
{
    if (!script)
        return;
    g_ptr_array_unref(script->devices);
    g_ptr_array_unref(script->packages);
    g_array_unref(script->faults);
    if (script->clock)
        munmap((void *)(uintptr_t)script->clock, sizeof(int64_t));
    g_free(script->driver_version);
    g_free(script->nvml_version);
    g_free(script->prints);
    g_free(script->prints_always);
    g_free(script);
}
