/* SPDX-License-Identifier: MIT */
/*
 * The simulated NVML: the exported functions. One lock around everything, so that it is as threadsafe as NVML says it
 * is. LLEM_NVML_SIM names the script; without it there is one idle board. See sim/README.md.
 */
#include "sim/script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define OTHERWISE "/etc/llem-nvml-sim.json" /* the script where LLEM_NVML_SIM is not set */
#define SAMPLES_NS (10 * NS_PER_S) /* what the driver's ring of power samples holds */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim_script *script;
static unsigned users; /* nvmlInit calls */
static GHashTable *calls; /* name → count */

/* --- entering and leaving a call ------------------------------------------------------------------------------------------------ */

static nvml_return fault_of(const char *call, int field, int device)
{
    int64_t now_ns = sim_script_now_ns(script);
    for (unsigned i = 0; i < script->faults->len; i++) {
        struct sim_fault *f = &g_array_index(script->faults, struct sim_fault, i);
        bool about = f->field == field && (!f->call || !strcmp(f->call, call)) && (f->call || f->field >= 0);
        if (!about || (f->device >= 0 && f->device != device) || now_ns < f->from_ns || now_ns >= f->to_ns)
            continue;
        if (f->every > 1 && ++f->seen % f->every != 0)
            continue;
        return f->code;
    }
    return NVML_OK;
}

/* Takes the lock. On anything but OK the lock is free again. */
static nvml_return enter(const char *call)
{
    pthread_mutex_lock(&lock);
    nvml_return code = NVML_OK;
    if (!script) {
        code = NVML_UNINITIALIZED;
    } else {
        unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(calls, call));
        g_hash_table_insert(calls, (gpointer)(uintptr_t)call, GUINT_TO_POINTER(count + 1));
        sim_script_wait(script);
        fputs(script->prints_always, stdout);
        code = fault_of(call, -1, -2);
    }
    if (code != NVML_OK)
        pthread_mutex_unlock(&lock);
    return code;
}

static nvml_return leave(nvml_return code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

static struct sim_device *device_of(nvml_device handle)
{
    for (unsigned i = 0; i < script->devices->len; i++) {
        struct sim_device *device = script->devices->pdata[i];
        if ((const void *)device == (const void *)handle)
            return device;
        for (unsigned k = 0; k < device->instances->len; k++)
            if ((const void *)device->instances->pdata[k] == (const void *)handle)
                return device->instances->pdata[k];
    }
    return NULL;
}

/* What an instance answers itself; the rest is its board's. */
static bool instance_answers(const char *call)
{
    static const char *const own[] = {"nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo",
                                      "nvmlDeviceGetMemoryInfo_v2",
                                      "nvmlDeviceGetComputeRunningProcesses_v3",
                                      "nvmlDeviceGetComputeRunningProcesses_v2",
                                      "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", NULL};
    return g_strv_contains(own, call);
}

static nvml_return enter_device(const char *call, nvml_device handle, struct sim_device **ret)
{
    nvml_return code = enter(call);
    if (code != NVML_OK)
        return code;
    struct sim_device *device = device_of(handle);
    if (!device)
        return leave(NVML_INVALID_ARGUMENT);
    int64_t now_ns = sim_script_now_ns(script);
    if (now_ns >= device->lost_ns)
        return leave(NVML_GPU_IS_LOST);
    if (device->parent && !instance_answers(call))
        return leave(NVML_NOT_SUPPORTED);
    code = fault_of(call, -1, (int)device->index);
    if (code != NVML_OK)
        return leave(code);
    sim_live_update(device, now_ns);
    *ret = device;
    return NVML_OK;
}

static nvml_return give_text(const char *text, char *to, unsigned bytes)
{
    if (!to || strlen(text) >= bytes)
        return leave(to ? NVML_INSUFFICIENT_SIZE : NVML_INVALID_ARGUMENT);
    g_strlcpy(to, text, bytes);
    return leave(NVML_OK);
}

/* Defines an exported call on a device. The body runs under the lock, sees `device` and `now_ns`, sets `code`. */
#define DEVICE_CALL(name, parameters, ...)                                                        \
    EXPORT nvml_return name parameters;                                                            \
    EXPORT nvml_return name parameters                                                             \
    {                                                                                              \
        struct sim_device *device;                                                                 \
        nvml_return code = enter_device(__func__, handle, &device);                                \
        if (code != NVML_OK)                                                                       \
            return code;                                                                           \
        int64_t now_ns = sim_script_now_ns(script);                                                \
        (void)now_ns;                                                                              \
        __VA_ARGS__ return leave(code);                                                                   \
    }

#define DEVICE_NUMBER(name, expression)                                                            \
    DEVICE_CALL(name, (nvml_device handle, unsigned *ret), {                                       \
        if (ret)                                                                                   \
            *ret = (unsigned)(expression);                                                         \
        else                                                                                       \
            code = NVML_INVALID_ARGUMENT;                                                          \
    })

#define DEVICE_PAIR(name, first, second, when)                                                     \
    DEVICE_CALL(name, (nvml_device handle, unsigned *a, unsigned *b), {                            \
        if (!(when)) {                                                                             \
            code = NVML_NOT_SUPPORTED;                                                             \
        } else {                                                                                   \
            *a = (unsigned)(first);                                                                \
            *b = (unsigned)(second);                                                               \
        }                                                                                          \
    })

/* --- library --------------------------------------------------------------------------------------------------------------------- */

EXPORT nvml_return nvmlInitWithFlags(unsigned flags);
EXPORT nvml_return nvmlInit_v2(void);
EXPORT nvml_return nvmlInit(void);
EXPORT nvml_return nvmlShutdown(void);

/* Who has the library open, and when: a line each time a process opens it first or closes it last. */
static void note(const char *what)
{
    const char *path = getenv("LLEM_NVML_SIM_LOG");
    int file = path && *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (file < 0)
        return;
    dprintf(file, "%" PRId64 " %d %s\n", clock_mono_ns(), (int)getpid(), what);
    close(file);
}

EXPORT nvml_return nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    pthread_mutex_lock(&lock);
    nvml_return code = NVML_OK;
    if (!script) {
        g_autoptr(GError) error = NULL;
        const char *path = getenv("LLEM_NVML_SIM");
        if (!path || !*path) /* a container that was told nothing gets its boards from whoever put the library there */
            path = access(OTHERWISE, R_OK) == 0 ? OTHERWISE : NULL;
        script = sim_script_load(path, &error);
        if (!script) { /* NVML has no channel for such words, and the user of a simulator wrote the script */
            fprintf(stderr, "libllem-nvml-sim: %s\n", error->message);
            pthread_mutex_unlock(&lock);
            return NVML_UNKNOWN;
        }
        calls = g_hash_table_new(g_str_hash, g_str_equal);
    }
    fputs(script->prints, stdout);
    code = fault_of("nvmlInit_v2", -1, -2);
    users += code == NVML_OK;
    if (users == 1 && code == NVML_OK)
        note("open");
    if (!users) {
        g_clear_pointer(&calls, g_hash_table_unref);
        g_clear_pointer(&script, sim_script_free);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT nvml_return nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

EXPORT nvml_return nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

EXPORT nvml_return nvmlShutdown(void)
{
    pthread_mutex_lock(&lock);
    nvml_return code = users ? NVML_OK : NVML_UNINITIALIZED;
    if (users && --users == 0) {
        note("close");
        g_clear_pointer(&calls, g_hash_table_unref);
        g_clear_pointer(&script, sim_script_free);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT const char *nvmlErrorString(nvml_return code);
EXPORT const char *nvmlErrorString(nvml_return code)
{
    static const struct {
        nvml_return code;
        const char *text;
    } rows[] = {
        {NVML_OK, "Success"},
        {NVML_UNINITIALIZED, "Uninitialized"},
        {NVML_INVALID_ARGUMENT, "Invalid Argument"},
        {NVML_NOT_SUPPORTED, "Not Supported"},
        {NVML_NO_PERMISSION, "Insufficient Permissions"},
        {NVML_NOT_FOUND, "Not Found"},
        {NVML_INSUFFICIENT_SIZE, "Insufficient Size"},
        {NVML_DRIVER_NOT_LOADED, "Driver Not Loaded"},
        {NVML_FUNCTION_NOT_FOUND, "Function Not Found"},
        {NVML_GPU_IS_LOST, "GPU is lost"},
        {NVML_OPERATING_SYSTEM, "The operating system has blocked the request"},
        {NVML_LIB_RM_VERSION_MISMATCH, "RM has detected an NVML/RM version mismatch."},
        {NVML_ARGUMENT_VERSION_MISMATCH, "Argument version mismatch"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].code == code)
            return rows[i].text;
    return "Unknown Error";
}

#define SYSTEM_TEXT(name, text)                                                                    \
    EXPORT nvml_return name(char *to, unsigned bytes);                                             \
    EXPORT nvml_return name(char *to, unsigned bytes)                                              \
    {                                                                                              \
        nvml_return code = enter(__func__);                                                        \
        return code != NVML_OK ? code : give_text(text, to, bytes);                                \
    }
SYSTEM_TEXT(nvmlSystemGetDriverVersion, script->driver_version)
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, script->nvml_version)

#define SYSTEM_NUMBER(name, type, expression)                                                      \
    EXPORT nvml_return name(type *ret);                                                            \
    EXPORT nvml_return name(type *ret)                                                             \
    {                                                                                              \
        nvml_return code = enter(__func__);                                                        \
        if (code != NVML_OK)                                                                       \
            return code;                                                                           \
        *ret = (type)(expression);                                                                 \
        return leave(NVML_OK);                                                                     \
    }
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion, int, script->cuda_version)
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion_v2, int, script->cuda_version)
SYSTEM_NUMBER(nvmlDeviceGetCount_v2, unsigned, script->devices->len)
SYSTEM_NUMBER(nvmlDeviceGetCount, unsigned, script->devices->len)

/* --- finding devices ------------------------------------------------------------------------------------------------------------ */

static nvml_return find(const char *call, unsigned index, const char *uuid, const char *pci, nvml_device *ret)
{
    nvml_return code = enter(call);
    if (code != NVML_OK)
        return code;
    for (unsigned i = 0; i < script->devices->len; i++) {
        struct sim_device *device = script->devices->pdata[i];
        bool match = uuid ? !strcmp(uuid, device->uuid) : pci ? !g_ascii_strcasecmp(pci, device->pci) : i == index;
        if (!match)
            continue;
        if (sim_script_now_ns(script) >= device->lost_ns)
            return leave(NVML_GPU_IS_LOST);
        memcpy(ret, &device, sizeof device);
        return leave(NVML_OK);
    }
    return leave(uuid || pci ? NVML_NOT_FOUND : NVML_INVALID_ARGUMENT);
}

#define FIND_CALL(name, parameter, index, uuid, pci)                                               \
    EXPORT nvml_return name(parameter, nvml_device *ret);                                          \
    EXPORT nvml_return name(parameter, nvml_device *ret)                                           \
    {                                                                                              \
        return find(__func__, index, uuid, pci, ret);                                              \
    }
FIND_CALL(nvmlDeviceGetHandleByIndex_v2, unsigned index, index, NULL, NULL)
FIND_CALL(nvmlDeviceGetHandleByIndex, unsigned index, index, NULL, NULL)
FIND_CALL(nvmlDeviceGetHandleByUUID, const char *uuid, 0, uuid, NULL)
FIND_CALL(nvmlDeviceGetHandleByPciBusId_v2, const char *pci, 0, NULL, pci)

#define DEVICE_TEXT(name, text)                                                                    \
    EXPORT nvml_return name(nvml_device handle, char *to, unsigned bytes);                         \
    EXPORT nvml_return name(nvml_device handle, char *to, unsigned bytes)                          \
    {                                                                                              \
        struct sim_device *device;                                                                 \
        nvml_return code = enter_device(__func__, handle, &device);                                \
        return code != NVML_OK ? code : give_text(text, to, bytes);                                \
    }
DEVICE_TEXT(nvmlDeviceGetName, device->name)
DEVICE_TEXT(nvmlDeviceGetUUID, device->uuid)
DEVICE_TEXT(nvmlDeviceGetVbiosVersion, device->vbios)
DEVICE_TEXT(nvmlDeviceGetSerial, "0000000000000")

DEVICE_CALL(nvmlDeviceGetPciInfo_v3, (nvml_device handle, struct nvml_pci *ret), {
    *ret = (struct nvml_pci){.bus = device->index + 1, .device_id = 0x233010de, .subsystem_id = 0x16c110de};
    g_strlcpy(ret->bus_id, device->pci, sizeof ret->bus_id);
    g_strlcpy(ret->bus_id_legacy, strlen(device->pci) > 4 ? device->pci + 4 : device->pci, sizeof ret->bus_id_legacy);
})
DEVICE_NUMBER(nvmlDeviceGetIndex, device->index)
DEVICE_NUMBER(nvmlDeviceGetMinorNumber, device->index)
DEVICE_NUMBER(nvmlDeviceGetArchitecture, device->architecture)
DEVICE_NUMBER(nvmlDeviceGetBrand, 14) /* NVIDIA */
DEVICE_NUMBER(nvmlDeviceGetBoardId, device->index + 1)
DEVICE_CALL(nvmlDeviceGetCudaComputeCapability, (nvml_device handle, int *major, int *minor), {
    *major = (int)device->capability / 10;
    *minor = (int)device->capability % 10;
})

/* --- power and energy ----------------------------------------------------------------------------------------------------------- */

DEVICE_CALL(nvmlDeviceGetPowerUsage, (nvml_device handle, unsigned *ret),
            { code = sim_power_mw(device, sim_usage_is_average(device), now_ns, ret); })
DEVICE_CALL(nvmlDeviceGetTotalEnergyConsumption, (nvml_device handle, unsigned long long *ret), {
    code = sim_energy_mj(device, device->module, script->epoch_ns, now_ns, ret);
})

static nvml_return field_value(struct sim_device *device, struct nvml_field_value *field, int64_t now_ns)
{
    nvml_return code = fault_of("nvmlDeviceGetFieldValues", (int)field->field_id, (int)device->index);
    unsigned number = 0;
    unsigned long long big = 0;
    if (code != NVML_OK)
        return code;
    field->value_type = NVML_VALUE_UINT;
    switch (field->field_id) {
    case NVML_FI_ENERGY:
        code = sim_energy_field(device, field->scope_id, script->epoch_ns, now_ns, &big);
        field->value_type = NVML_VALUE_ULLONG;
        field->value.ull = big;
        return code;
    case NVML_FI_POWER_AVERAGE:
    case NVML_FI_POWER_INSTANT:
        if (field->scope_id != NVML_SCOPE_GPU && !(device->module && field->scope_id == NVML_SCOPE_MODULE))
            return NVML_NOT_SUPPORTED;
        code = sim_power_mw(device, field->field_id == NVML_FI_POWER_AVERAGE, now_ns, &number);
        number += field->scope_id == NVML_SCOPE_MODULE ? (unsigned)(device->module_w * 1e3) : 0;
        break;
    case NVML_FI_MEMORY_TEMP:
        number = device->memory_temperature_c;
        break;
    case NVML_FI_THROTTLE_SW_POWER:
    case NVML_FI_THROTTLE_SYNC_BOOST:
    case NVML_FI_THROTTLE_SW_THERMAL:
    case NVML_FI_THROTTLE_HW_THERMAL:
    case NVML_FI_THROTTLE_POWER_BRAKE:
        field->value_type = NVML_VALUE_ULLONG;
        field->value.ull = 0;
        if (field->field_id == NVML_FI_THROTTLE_HW_THERMAL)
            field->value.ull =
                (unsigned long long)(device->throttled_share * (double)(now_ns - script->epoch_ns));
        return NVML_OK;
    default:
        return NVML_NOT_SUPPORTED;
    }
    field->value.ull = 0;
    field->value.ui = number;
    return code;
}

DEVICE_CALL(nvmlDeviceGetFieldValues, (nvml_device handle, int count, struct nvml_field_value *values), {
    for (int i = 0; i < count; i++) {
        values[i].timestamp_us = clock_wall_ns() / NS_PER_US;
        values[i].latency_us = 0;
        values[i].status = field_value(device, &values[i], now_ns);
    }
})

/* The driver's ring: the updates of the instant sensor in the last ten seconds, newer than last_seen. */
static nvml_return power_samples(struct sim_device *device, unsigned long long last_seen_us, int *type,
                                 unsigned *count, struct nvml_sample *samples, int64_t now_ns)
{
    struct clock_anchor anchor = {.mono_ns = now_ns, .wall_ns = clock_wall_ns()};
    int64_t index, period_ns = device->instant.period_ns;
    if (!device->has_instant || period_ns <= 0)
        return NVML_NOT_SUPPORTED;
    *type = NVML_VALUE_UINT;
    unsigned capacity = samples ? *count : 0, found = 0;
    for (int64_t t_ns = now_ns - SAMPLES_NS; t_ns <= now_ns; t_ns += period_ns) {
        int64_t update_ns = sim_sensor_update_ns(&device->instant, t_ns, &index);
        uint64_t us = (uint64_t)(clock_anchor_wall_ns(&anchor, update_ns) / NS_PER_US);
        if (us <= last_seen_us)
            continue;
        if (found < capacity) {
            unsigned mw = 0;
            sim_power_mw(device, false, update_ns, &mw);
            samples[found] = (struct nvml_sample){.timestamp_us = us, .value.ui = mw};
        }
        found++;
    }
    *count = samples ? MIN(found, capacity) : found;
    return found ? NVML_OK : NVML_NOT_FOUND;
}

DEVICE_CALL(nvmlDeviceGetSamples,
            (nvml_device handle, unsigned type, unsigned long long last_seen_us, int *value_type, unsigned *count,
             struct nvml_sample *samples),
            {
                code = type == 0 ? power_samples(device, last_seen_us, value_type, count, samples, now_ns)
                                 : NVML_NOT_SUPPORTED;
            })

/* --- limits, clocks, modes ------------------------------------------------------------------------------------------------------ */

DEVICE_NUMBER(nvmlDeviceGetPowerManagementLimit, device->limit_mw)
DEVICE_NUMBER(nvmlDeviceGetEnforcedPowerLimit, device->limit_mw)
DEVICE_NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, device->default_limit_mw)
DEVICE_NUMBER(nvmlDeviceGetPowerManagementMode, 1)
DEVICE_PAIR(nvmlDeviceGetPowerManagementLimitConstraints, device->min_limit_mw, device->max_limit_mw, true)
DEVICE_PAIR(nvmlDeviceGetEccMode, device->ecc, device->ecc, true)
DEVICE_PAIR(nvmlDeviceGetMigMode, device->mig, device->mig, device->capability == 80 || device->capability >= 90)
DEVICE_NUMBER(nvmlDeviceGetPersistenceMode, device->persistence)
DEVICE_NUMBER(nvmlDeviceGetComputeMode, 0)
DEVICE_NUMBER(nvmlDeviceGetPerformanceState, 0)
DEVICE_NUMBER(nvmlDeviceGetDisplayActive, 0)
DEVICE_NUMBER(nvmlDeviceGetDisplayMode, 0)
DEVICE_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 5)
DEVICE_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 16)
DEVICE_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
DEVICE_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, 16)
DEVICE_PAIR(nvmlDeviceGetEncoderUtilization, 0, 100000, true)
DEVICE_PAIR(nvmlDeviceGetDecoderUtilization, 0, 100000, true)
DEVICE_CALL(nvmlDeviceGetFanSpeed, (nvml_device handle, unsigned *ret), {
    *ret = 0;
    code = NVML_NOT_SUPPORTED; /* such boards have no fan of their own */
})
DEVICE_CALL(nvmlDeviceGetPcieThroughput, (nvml_device handle, unsigned counter, unsigned *ret), {
    *ret = 0 * counter;
})

static nvml_return clock_of(const struct sim_device *device, unsigned type, unsigned core_mhz, unsigned *ret)
{
    if (type > NVML_CLOCK_VIDEO)
        return NVML_INVALID_ARGUMENT;
    *ret = type == NVML_CLOCK_MEM ? device->memory_clock_mhz : core_mhz;
    return NVML_OK;
}
DEVICE_CALL(nvmlDeviceGetClockInfo, (nvml_device handle, unsigned type, unsigned *ret),
            { code = clock_of(device, type, device->clock_mhz, ret); })
DEVICE_CALL(nvmlDeviceGetMaxClockInfo, (nvml_device handle, unsigned type, unsigned *ret),
            { code = clock_of(device, type, device->max_clock_mhz, ret); })
DEVICE_CALL(nvmlDeviceGetApplicationsClock, (nvml_device handle, unsigned type, unsigned *ret),
            { code = clock_of(device, type, device->clock_mhz, ret); })
DEVICE_CALL(nvmlDeviceGetCurrentClocksEventReasons, (nvml_device handle, unsigned long long *ret), { *ret = 1; })
DEVICE_CALL(nvmlDeviceGetCurrentClocksThrottleReasons, (nvml_device handle, unsigned long long *ret), { *ret = 1; })

/* In whole degrees, as drivers say it; it cools no further than room temperature. */
static unsigned temperature_c(const struct sim_device *device, int64_t now_ns)
{
    double cooled_c = device->cools_c_per_s * (double)(now_ns - script->epoch_ns) * 1e-9;
    return (unsigned)fmax(device->temperature_c - cooled_c, fmin(device->temperature_c, 20));
}

DEVICE_CALL(nvmlDeviceGetTemperature, (nvml_device handle, unsigned sensor, unsigned *ret), {
    *ret = temperature_c(device, now_ns);
    code = sensor == 0 ? NVML_OK : NVML_INVALID_ARGUMENT;
})
DEVICE_CALL(nvmlDeviceGetTemperatureV, (nvml_device handle, struct nvml_temperature *ret), {
    code = ret->version == NVML_TEMPERATURE_V1 ? NVML_OK : NVML_ARGUMENT_VERSION_MISMATCH;
    ret->celsius = (int)temperature_c(device, now_ns);
})
DEVICE_CALL(nvmlDeviceGetTemperatureThreshold, (nvml_device handle, unsigned type, unsigned *ret), {
    *ret = type == 0 ? 92 : 87; /* shutdown, slowdown */
})
DEVICE_CALL(nvmlDeviceGetUtilizationRates, (nvml_device handle, struct nvml_utilisation *ret), {
    code = device->mig ? NVML_NOT_SUPPORTED : NVML_OK;
    *ret = (struct nvml_utilisation){.gpu = device->utilisation};
})
DEVICE_CALL(nvmlGpmQueryDeviceSupport, (nvml_device handle, unsigned *version_and_answer), {
    version_and_answer[1] = 0; /* {version, isSupportedDevice} */
})

/* Setters that measuring tools call; what they set can be read back, and changes no power. */
DEVICE_CALL(nvmlDeviceSetPersistenceMode, (nvml_device handle, unsigned mode), { device->persistence = mode != 0; })
DEVICE_CALL(nvmlDeviceSetPowerManagementLimit, (nvml_device handle, unsigned mw), {
    if (mw < device->min_limit_mw || mw > device->max_limit_mw)
        code = NVML_INVALID_ARGUMENT;
    else
        device->limit_mw = mw;
})
DEVICE_CALL(nvmlDeviceSetGpuLockedClocks, (nvml_device handle, unsigned min_mhz, unsigned max_mhz), {
    code = min_mhz <= max_mhz ? NVML_OK : NVML_INVALID_ARGUMENT;
})
DEVICE_CALL(nvmlDeviceResetGpuLockedClocks, (nvml_device handle), {})
DEVICE_CALL(nvmlDeviceSetMemoryLockedClocks, (nvml_device handle, unsigned min_mhz, unsigned max_mhz), {
    code = min_mhz <= max_mhz ? NVML_OK : NVML_INVALID_ARGUMENT;
})
DEVICE_CALL(nvmlDeviceResetMemoryLockedClocks, (nvml_device handle), {})

/* --- memory and processes ------------------------------------------------------------------------------------------------------- */

/* 0: there is none at the moment. */
static uint32_t pid_of(const struct sim_process *p)
{
    if (!p->pid_file)
        return p->pid;
    g_autofree char *text = file_read(p->pid_file, 64, NULL, NULL);
    int64_t pid = 0;
    return text && num_parse_int(g_strstrip(text), 1, INT32_MAX, &pid, NULL) ? (uint32_t)pid : 0;
}

/* The pid under which it is listed; 0: it is not. One that holds memory and is named by a file is there as long as it
 * lives. */
static uint32_t listed_pid(const struct sim_process *p, int64_t now_ns)
{
    uint32_t pid = now_ns >= p->from_ns && now_ns < p->to_ns ? pid_of(p) : 0;
    bool dead = p->holds && p->pid_file && pid && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return dead ? 0 : pid;
}

/* What is in use for a process: all of it while it is there, ever less for a while after it ended. */
static uint64_t held_by(struct sim_process *p, int64_t now_ns)
{
    if (!p->holds)
        return 0;
    if (listed_pid(p, now_ns)) {
        p->seen = true;
        p->gone_ns = 0;
        return p->memory_bytes;
    }
    if (!p->seen)
        return 0;
    p->gone_ns = p->gone_ns ? p->gone_ns : now_ns;
    double left = p->drain_ns > 0 ? 1 - (double)(now_ns - p->gone_ns) / (double)p->drain_ns : 0;
    return left > 0 ? (uint64_t)((double)p->memory_bytes * left) : 0;
}

static uint64_t step_at(const GArray *steps, int64_t now_ns)
{
    uint64_t used = 0;
    for (unsigned i = 0; i < steps->len; i++) {
        const struct sim_memory_step *s = &g_array_index(steps, struct sim_memory_step, i);
        if (s->from_ns <= now_ns)
            used = s->used_bytes;
    }
    return used;
}

static uint64_t memory_used(const struct sim_device *device, int64_t now_ns)
{
    uint64_t used = step_at(device->memory, now_ns);
    for (unsigned i = 0; i < device->processes->len; i++)
        used += held_by(&g_array_index(device->processes, struct sim_process, i), now_ns);
    return used;
}

DEVICE_CALL(nvmlDeviceGetMemoryInfo, (nvml_device handle, struct nvml_memory *ret), {
    uint64_t used = memory_used(device, now_ns) + device->memory_reserved;
    *ret = (struct nvml_memory){.total = device->memory_total, .used = used, .free = device->memory_total - used};
})
DEVICE_CALL(nvmlDeviceGetMemoryInfo_v2, (nvml_device handle, struct nvml_memory_v2 *ret), {
    uint64_t used = device->partition->len ? step_at(device->partition, now_ns) : memory_used(device, now_ns);
    if (ret->version != NVML_MEMORY_V2)
        code = NVML_ARGUMENT_VERSION_MISMATCH;
    else
        *ret = (struct nvml_memory_v2){.version = ret->version, .total = device->memory_total,
                                       .reserved = device->memory_reserved,
                                       .used = used + (device->v2_counts_reserved ? device->memory_reserved : 0),
                                       .free = device->memory_total - device->memory_reserved - used};
})

DEVICE_NUMBER(nvmlDeviceGetMaxMigDeviceCount, 7)
DEVICE_CALL(nvmlDeviceGetMigDeviceHandleByIndex, (nvml_device handle, unsigned index, nvml_device *ret), {
    if (index < device->instances->len)
        memcpy(ret, &device->instances->pdata[index], sizeof *ret);
    else
        code = NVML_NOT_FOUND;
})
DEVICE_CALL(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, (nvml_device handle, nvml_device *ret), {
    if (device->parent)
        memcpy(ret, &device->parent, sizeof *ret);
    else
        code = NVML_INVALID_ARGUMENT;
})

static nvml_return list_processes(const struct sim_device *device, enum sim_process_kind kind, unsigned *count,
                                  void *infos, int64_t now_ns)
{
    unsigned capacity = *count, found = 0;
    for (unsigned i = 0; i < device->processes->len; i++) {
        const struct sim_process *p = &g_array_index(device->processes, struct sim_process, i);
        uint32_t pid = p->kind == kind ? listed_pid(p, now_ns) : 0;
        if (pid == 0)
            continue;
        struct nvml_process_32 entry = {.process = {.pid = pid, .used_memory = p->memory_bytes,
                                                    .gpu_instance = UINT32_MAX, .compute_instance = UINT32_MAX}};
        if (infos && found < capacity)
            memcpy((char *)infos + (size_t)found * device->process_stride, &entry, device->process_stride);
        found++;
    }
    *count = found;
    return found > capacity ? NVML_INSUFFICIENT_SIZE : NVML_OK;
}

#define PROCESS_CALL(name, kind)                                                                   \
    DEVICE_CALL(name, (nvml_device handle, unsigned *count, struct nvml_process *infos),           \
                { code = list_processes(device, kind, count, infos, now_ns); })
PROCESS_CALL(nvmlDeviceGetComputeRunningProcesses_v3, SIM_COMPUTE)
PROCESS_CALL(nvmlDeviceGetComputeRunningProcesses_v2, SIM_COMPUTE)
PROCESS_CALL(nvmlDeviceGetGraphicsRunningProcesses_v3, SIM_GRAPHICS)
PROCESS_CALL(nvmlDeviceGetGraphicsRunningProcesses_v2, SIM_GRAPHICS)
PROCESS_CALL(nvmlDeviceGetMPSComputeRunningProcesses_v3, SIM_MPS)

DEVICE_CALL(nvmlDeviceGetProcessUtilization,
            (nvml_device handle, void *samples, unsigned *count, unsigned long long last_seen_us), {
                (void)samples;
                (void)last_seen_us;
                *count = 0;
                code = NVML_NOT_FOUND;
            })

/* --- what only a simulator has --------------------------------------------------------------------------------------------------- */

EXPORT int llem_nvml_sim_version(void);
EXPORT double llem_nvml_sim_energy_j(unsigned device, int64_t t0_ns, int64_t t1_ns);
EXPORT int64_t llem_nvml_sim_now_ns(void);
EXPORT unsigned llem_nvml_sim_calls(const char *name);

/* Marks the library as a simulator: llem calls every value from it `simulated`. */
EXPORT int llem_nvml_sim_version(void)
{
    return 1;
}

/* The oracle: exact ∫ P dt over [t0, t1] of the script's clock; NaN before nvmlInit or without such a device. */
EXPORT double llem_nvml_sim_energy_j(unsigned device, int64_t t0_ns, int64_t t1_ns)
{
    double energy_j = NAN;
    pthread_mutex_lock(&lock);
    if (script && device < script->devices->len)
        energy_j = sim_board_energy_j(((struct sim_device *)script->devices->pdata[device])->board, t0_ns, t1_ns);
    pthread_mutex_unlock(&lock);
    return energy_j;
}

EXPORT int64_t llem_nvml_sim_now_ns(void)
{
    pthread_mutex_lock(&lock);
    int64_t now_ns = script ? sim_script_now_ns(script) : -1;
    pthread_mutex_unlock(&lock);
    return now_ns;
}

/* How often a function was called since nvmlInit. */
EXPORT unsigned llem_nvml_sim_calls(const char *name)
{
    pthread_mutex_lock(&lock);
    unsigned count = calls ? GPOINTER_TO_UINT(g_hash_table_lookup(calls, name)) : 0;
    pthread_mutex_unlock(&lock);
    return count;
}
