/* SPDX-License-Identifier: MIT */
/* Loading NVML: a table of symbols, newest name first. Unsuffixed names with another layout are rows of their own. */
#include "meter/nvml_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* "libnvidia-ml.so.1" is what drivers install; the plain name exists where their development files are. */
static const char *const library_names[] = {"libnvidia-ml.so.1", "libnvidia-ml.so"};

static bool open_library(struct nvml_api *api, const char *path, char **ret_reason)
{
    if (path) {
        api->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!api->library)
            *ret_reason = g_strdup_printf("cannot load %s (from LLEM_NVML_LIBRARY or an option): %s", path, dlerror());
        return api->library;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(library_names); i++) {
        api->library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
        if (api->library)
            return true;
        const char *why = dlerror();
        if (g_str_has_prefix(why, library_names[i])) /* it is this one that is not there, not one that it needs */
            continue;
        *ret_reason = g_strdup_printf("%s is there and cannot be loaded: %s", library_names[i], why);
        return false;
    }
    *ret_reason = g_strdup("libnvidia-ml.so.1 is not installed: there is no NVIDIA driver here. Install the driver; in "
                           "a container start it with --gpus; LLEM_NVML_LIBRARY names a library elsewhere");
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
    if (api->library)
        dlclose(api->library);
    memset(api, 0, sizeof *api);
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
