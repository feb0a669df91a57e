/* SPDX-License-Identifier: MIT */
/* Power and energy of a board as the driver shows them, in either scope. */
#include "sim/script.h"

#include <math.h>

bool sim_usage_is_average(const struct sim_device *device)
{
    return device->architecture >= NVML_ARCH_AMPERE && device->capability != 80;
}

nvml_return sim_power_mw(struct sim_device *device, bool average, int64_t now_ns, unsigned *ret)
{
    if (average ? !device->has_average : !device->has_instant)
        return NVML_NOT_SUPPORTED;
    double watts = sim_sensor_read_w(device->board, average ? &device->average : &device->instant, now_ns);
    *ret = (unsigned)MAX(0, floor(watts * 1e3 + 0.5));
    return NVML_OK;
}

/* Of the module: the GPU's, and what CPU and memory drew since the epoch until the counter was updated. */
nvml_return sim_energy_mj(struct sim_device *device, bool of_module, int64_t epoch_ns, int64_t now_ns,
                          unsigned long long *ret)
{
    if (!device->counter)
        return NVML_NOT_SUPPORTED;
    *ret = (unsigned long long)floor(sim_counting_read_j(device->counter, now_ns) * 1e3 + 0.5);
    if (of_module) {
        int64_t at_ns = MAX(epoch_ns, sim_counting_update_ns(device->counter, now_ns));
        *ret += (unsigned long long)(device->module_w * 1e3 * clock_seconds(at_ns - epoch_ns));
    }
    return NVML_OK;
}

nvml_return sim_energy_field(struct sim_device *device, unsigned scope, int64_t epoch_ns, int64_t now_ns,
                             unsigned long long *ret)
{
    bool gpu = scope == NVML_SCOPE_GPU, module = scope == NVML_SCOPE_MODULE;
    if (!device->module)
        return gpu ? sim_energy_mj(device, false, epoch_ns, now_ns, ret) : NVML_NOT_SUPPORTED;
    if ((!gpu && !module) || (gpu && device->module_gpu_counter == SIM_GPU_COUNTER_NONE))
        return NVML_NOT_SUPPORTED;
    bool of_module = module || device->module_gpu_counter == SIM_GPU_COUNTER_MODULE;
    return sim_energy_mj(device, of_module, epoch_ns, now_ns, ret);
}
