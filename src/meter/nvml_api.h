/* SPDX-License-Identifier: MIT */
/* Inside of the room: the NVML library, loaded, as function pointers. NULL where the library lacks a symbol. */
#pragma once

#include "meter/nvml_abi.h"

#include <glib.h>
#include <stdbool.h>

struct nvml_api {
    void *library;
    bool simulated; /* it is our simulator */

    nvml_return (*init)(void);
    nvml_return (*shutdown)(void);
    const char *(*error_string)(nvml_return code);
    nvml_return (*driver_version)(char *text, unsigned bytes);
    nvml_return (*nvml_version)(char *text, unsigned bytes);
    nvml_return (*cuda_version)(int *ret);
    nvml_return (*count)(unsigned *ret);
    nvml_return (*by_index)(unsigned index, nvml_device *ret);
    nvml_return (*uuid)(nvml_device device, char *text, unsigned bytes);
    nvml_return (*name)(nvml_device device, char *text, unsigned bytes);
    nvml_return (*vbios)(nvml_device device, char *text, unsigned bytes);
    nvml_return (*pci)(nvml_device device, struct nvml_pci *ret);
    nvml_return (*architecture)(nvml_device device, unsigned *ret);
    nvml_return (*brand)(nvml_device device, unsigned *ret);
    nvml_return (*capability)(nvml_device device, int *major, int *minor);
    nvml_return (*field_values)(nvml_device device, int count, struct nvml_field_value *values);
    nvml_return (*power)(nvml_device device, unsigned *mw);
    nvml_return (*energy)(nvml_device device, unsigned long long *mj);
    nvml_return (*memory_v2)(nvml_device device, struct nvml_memory_v2 *ret);
    nvml_return (*memory)(nvml_device device, struct nvml_memory *ret);
    nvml_return (*temperature_v)(nvml_device device, struct nvml_temperature *ret);
    nvml_return (*temperature)(nvml_device device, unsigned sensor, unsigned *celsius);
    nvml_return (*utilisation)(nvml_device device, struct nvml_utilisation *ret);
    nvml_return (*processes)(nvml_device device, unsigned *count, struct nvml_process *infos);
    nvml_return (*graphics)(nvml_device device, unsigned *count, struct nvml_process *infos);
    nvml_return (*mps)(nvml_device device, unsigned *count, struct nvml_process *infos);
    nvml_return (*instances_most)(nvml_device device, unsigned *ret);
    nvml_return (*instance)(nvml_device device, unsigned index, nvml_device *ret);
    nvml_return (*clock)(nvml_device device, unsigned type, unsigned *mhz);
    nvml_return (*max_clock)(nvml_device device, unsigned type, unsigned *mhz);
    nvml_return (*limit)(nvml_device device, unsigned *mw);
    nvml_return (*enforced_limit)(nvml_device device, unsigned *mw);
    nvml_return (*default_limit)(nvml_device device, unsigned *mw);
    nvml_return (*limit_range)(nvml_device device, unsigned *min_mw, unsigned *max_mw);
    nvml_return (*persistence)(nvml_device device, unsigned *mode);
    nvml_return (*ecc)(nvml_device device, unsigned *current, unsigned *pending);
    nvml_return (*mig)(nvml_device device, unsigned *current, unsigned *pending);
    nvml_return (*compute_mode)(nvml_device device, unsigned *mode);
    nvml_return (*performance_state)(nvml_device device, unsigned *state);
    nvml_return (*pcie_generation)(nvml_device device, unsigned *ret);
    nvml_return (*pcie_width)(nvml_device device, unsigned *ret);
    nvml_return (*clock_reasons)(nvml_device device, unsigned long long *mask);
};

/* Loads the library (path NULL: the usual names). false with a reason in words to act on. */
bool nvml_api_load(struct nvml_api *api, const char *path, char **ret_reason);
/* Starts the library. What it prints on standard output goes to standard error, and to ret_said: new string. */
nvml_return nvml_api_start(const struct nvml_api *api, char **ret_said);
/* True if it is not the driver's library but the one of the CUDA toolkit to link against, by its place or by what it
 * said when it was started. */
bool nvml_api_is_stub(const struct nvml_api *api, const char *said);
void nvml_api_unload(struct nvml_api *api);
/* The file that was loaded: "libnvidia-ml.so.580.65.06", by which drivers name their version. New string. */
char *nvml_api_file(const struct nvml_api *api);
/* The value of a field that is a whole number, whatever its type; false: it is none. */
bool nvml_field_int(const struct nvml_field_value *field, int64_t *ret);
/* The library's own words for a code, or "NVML error N". Borrowed from the library or a static buffer per thread. */
const char *nvml_api_error(const struct nvml_api *api, nvml_return code);
