/* SPDX-License-Identifier: MIT */
/* Loading NVML: a table of symbols, newest name first. Unsuffixed names with another layout are rows of their own. */
#include "meter/nvml_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAID_BYTES 2048

struct symbol_row {
    size_t offset;
    bool required;
    const char *names[3]; /* same signature; the newest first */
};

#define ROW(member, required, ...) {offsetof(struct nvml_api, member), required, {__VA_ARGS__}}
static const struct symbol_row symbols[] = {
    ROW(init, true, "nvmlInit_v2", "nvmlInit"),
    ROW(shutdown, true, "nvmlShutdown"),
    ROW(error_string, false, "nvmlErrorString"),
    ROW(driver_version, false, "nvmlSystemGetDriverVersion"),
    ROW(nvml_version, false, "nvmlSystemGetNVMLVersion"),
    ROW(cuda_version, false, "nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"),
    ROW(count, true, "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"),
    ROW(by_index, true, "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"),
    ROW(uuid, true, "nvmlDeviceGetUUID"),
    ROW(name, false, "nvmlDeviceGetName"),
    ROW(vbios, false, "nvmlDeviceGetVbiosVersion"),
    ROW(pci, false, "nvmlDeviceGetPciInfo_v3"),
    ROW(architecture, false, "nvmlDeviceGetArchitecture"),
    ROW(brand, false, "nvmlDeviceGetBrand"),
    ROW(capability, false, "nvmlDeviceGetCudaComputeCapability"),
    ROW(field_values, false, "nvmlDeviceGetFieldValues"),
    ROW(power, false, "nvmlDeviceGetPowerUsage"),
    ROW(energy, false, "nvmlDeviceGetTotalEnergyConsumption"),
    ROW(memory_v2, false, "nvmlDeviceGetMemoryInfo_v2"),
    ROW(memory, false, "nvmlDeviceGetMemoryInfo"),
    ROW(temperature_v, false, "nvmlDeviceGetTemperatureV"),
    ROW(temperature, false, "nvmlDeviceGetTemperature"),
    ROW(utilisation, false, "nvmlDeviceGetUtilizationRates"),
    ROW(processes, false, "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"),
    ROW(graphics, false, "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"),
    ROW(mps, false, "nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2"),
    ROW(instances_most, false, "nvmlDeviceGetMaxMigDeviceCount"),
    ROW(instance, false, "nvmlDeviceGetMigDeviceHandleByIndex"),
    ROW(clock, false, "nvmlDeviceGetClockInfo"),
    ROW(max_clock, false, "nvmlDeviceGetMaxClockInfo"),
    ROW(limit, false, "nvmlDeviceGetPowerManagementLimit"),
    ROW(enforced_limit, false, "nvmlDeviceGetEnforcedPowerLimit"),
    ROW(default_limit, false, "nvmlDeviceGetPowerManagementDefaultLimit"),
    ROW(limit_range, false, "nvmlDeviceGetPowerManagementLimitConstraints"),
    ROW(persistence, false, "nvmlDeviceGetPersistenceMode"),
    ROW(ecc, false, "nvmlDeviceGetEccMode"),
    ROW(mig, false, "nvmlDeviceGetMigMode"),
    ROW(compute_mode, false, "nvmlDeviceGetComputeMode"),
    ROW(performance_state, false, "nvmlDeviceGetPerformanceState"),
    ROW(pcie_generation, false, "nvmlDeviceGetCurrPcieLinkGeneration"),
    ROW(pcie_width, false, "nvmlDeviceGetCurrPcieLinkWidth"),
    ROW(clock_reasons, false, "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
};
#undef ROW

/* --- what a library prints ------------------------------------------------------------------------------------------------- */

/* Standard output belongs to whoever reads our results: while a library is at work there it is a file in memory. */
struct quiet {
    int kept, heard;
};

static struct quiet quiet_begin(void)
{
    struct quiet quiet = {-1, -1};
    fflush(stdout);
    quiet.kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    quiet.heard = memfd_create("llem-library", MFD_CLOEXEC);
    if (quiet.kept >= 0 && quiet.heard >= 0)
        dup2(quiet.heard, STDOUT_FILENO);
    return quiet;
}

/* What was printed, passed on to standard error. New string, "" for nothing. */
static char *quiet_end(struct quiet quiet)
{
    char text[SAID_BYTES] = "";
    fflush(stdout);
    if (quiet.kept >= 0 && quiet.heard >= 0) {
        dup2(quiet.kept, STDOUT_FILENO);
        ssize_t n = pread(quiet.heard, text, sizeof text - 1, 0);
        if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
            errno = 0; /* nobody listens there */
    }
    if (quiet.kept >= 0)
        close(quiet.kept);
    if (quiet.heard >= 0)
        close(quiet.heard);
    return g_strdup(text);
}

nvml_return nvml_api_start(const struct nvml_api *api, char **ret_said)
{
    struct quiet quiet = quiet_begin();
    nvml_return code = api->init();
    *ret_said = quiet_end(quiet);
    return code;
}

static void *open_quietly(const char *name)
{
    struct quiet quiet = quiet_begin();
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    g_free(quiet_end(quiet));
    return library;
}

/* --- finding it ------------------------------------------------------------------------------------------------------------ */

/* "libnvidia-ml.so.1" is what drivers install; the plain name exists where their development files are. */
static const char *const library_names[] = {"libnvidia-ml.so.1", "libnvidia-ml.so"};

static bool open_library(struct nvml_api *api, const char *path, char **ret_reason)
{
    if (path) {
        api->library = open_quietly(path);
        if (!api->library)
            *ret_reason = g_strdup_printf("cannot load %s (from LLEM_NVML_LIBRARY or an option): %s", path, dlerror());
        return api->library;
    }
    g_autoptr(GString) tried = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(library_names); i++) {
        api->library = open_quietly(library_names[i]);
        if (api->library)
            return true;
        const char *why = dlerror();
        if (g_str_has_prefix(why, library_names[i])) { /* it is this one that is not there, not one that it needs */
            g_string_append_printf(tried, "%s%s", tried->len ? "; " : "", why);
            continue;
        }
        *ret_reason = g_strdup_printf("%s is there and cannot be loaded: %s", library_names[i], why);
        return false;
    }
    *ret_reason = g_strdup_printf("libnvidia-ml.so.1 is not installed: there is no NVIDIA driver here (%s). Install the "
                                  "driver; in a container start it with --gpus; LLEM_NVML_LIBRARY names a library "
                                  "elsewhere", tried->str);
    return false;
}

bool nvml_api_load(struct nvml_api *api, const char *path, char **ret_reason)
{
    memset(api, 0, sizeof *api);
    if (!open_library(api, path, ret_reason))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++) {
        void *symbol = NULL;
        for (size_t n = 0; n < G_N_ELEMENTS(symbols[i].names) && symbols[i].names[n] && !symbol; n++)
            symbol = dlsym(api->library, symbols[i].names[n]);
        if (!symbol && symbols[i].required) {
            *ret_reason = g_strdup_printf("the NVML library lacks %s: it is older than llem can use, or not NVML",
                                          symbols[i].names[0]);
            nvml_api_unload(api);
            return false;
        }
        memcpy((char *)api + symbols[i].offset, &symbol, sizeof symbol);
    }
    api->simulated = dlsym(api->library, "llem_nvml_sim_version") != NULL;
    return true;
}

void nvml_api_unload(struct nvml_api *api)
{
    struct quiet quiet = quiet_begin();
    if (api->library)
        dlclose(api->library);
    g_free(quiet_end(quiet));
    memset(api, 0, sizeof *api);
}

/* The toolkit's library to link against lies in a folder of this name; where it was copied it says itself what it
 * is. */
#define STUB_FOLDER "/stubs/"
#define STUB_SAYS   "You should always run with libnvidia-ml.so"

bool nvml_api_is_stub(const struct nvml_api *api, const char *said)
{
    Dl_info info;
    void *function;
    memcpy(&function, &api->init, sizeof function);
    g_autofree char *real = dladdr(function, &info) ? realpath(info.dli_fname, NULL) : NULL;
    return strstr(said, STUB_SAYS) || (real && strstr(real, STUB_FOLDER));
}

char *nvml_api_file(const struct nvml_api *api)
{
    Dl_info info;
    void *function;
    memcpy(&function, &api->init, sizeof function);
    g_autofree char *real = dladdr(function, &info) ? realpath(info.dli_fname, NULL) : NULL;
    return real ? g_path_get_basename(real) : g_strdup("of an unknown name");
}

const char *nvml_api_error(const struct nvml_api *api, nvml_return code)
{
    static _Thread_local char buffer[32];
    const char *text = api->error_string ? api->error_string(code) : NULL;
    if (text)
        return text;
    snprintf(buffer, sizeof buffer, "NVML error %d", code);
    return buffer;
}

bool nvml_field_int(const struct nvml_field_value *field, int64_t *ret)
{
    switch (field->value_type) {
    case NVML_VALUE_UINT:
        *ret = field->value.ui;
        return true;
    case NVML_VALUE_ULONG:
    case NVML_VALUE_ULLONG:
        *ret = (int64_t)field->value.ull;
        return *ret >= 0;
    case NVML_VALUE_LLONG:
        *ret = field->value.ll;
        return true;
    case NVML_VALUE_INT:
        *ret = field->value.i;
        return true;
    case NVML_VALUE_USHORT:
        *ret = field->value.us;
        return true;
    case NVML_VALUE_DOUBLE:
        *ret = (int64_t)field->value.d;
        return true;
    default:
        return false;
    }
}
