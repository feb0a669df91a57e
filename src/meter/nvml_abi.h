/* SPDX-License-Identifier: MIT */
/*
 * The part of NVML's binary interface llem uses, declared here: nothing of NVIDIA's is needed to build. Numbers and
 * layouts are those of nvml.h as published with the driver (API version 13); sizes are asserted.
 * Shared by the source (src/meter/nvml*.c) and the simulator (sim/).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct nvml_device_handle *nvml_device;
typedef int nvml_return;

enum {
    NVML_OK = 0,
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_LIBRARY_NOT_FOUND = 12,
    NVML_FUNCTION_NOT_FOUND = 13,
    NVML_GPU_IS_LOST = 15,
    NVML_OPERATING_SYSTEM = 17,
    NVML_LIB_RM_VERSION_MISMATCH = 18,
    NVML_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_UNKNOWN = 999,
};

enum { /* field ids */
    NVML_FI_THROTTLE_SW_POWER = 74,
    NVML_FI_THROTTLE_SYNC_BOOST = 76,
    NVML_FI_MEMORY_TEMP = 82,
    NVML_FI_ENERGY = 83,
    NVML_FI_POWER_AVERAGE = 185,
    NVML_FI_POWER_INSTANT = 186,
    NVML_FI_THROTTLE_SW_THERMAL = 269,
    NVML_FI_THROTTLE_HW_THERMAL = 270,
    NVML_FI_THROTTLE_POWER_BRAKE = 271,
};

enum { NVML_SCOPE_GPU = 0, NVML_SCOPE_MODULE = 1 };

enum { NVML_VALUE_DOUBLE, NVML_VALUE_UINT, NVML_VALUE_ULONG, NVML_VALUE_ULLONG, NVML_VALUE_LLONG, NVML_VALUE_INT,
       NVML_VALUE_USHORT };

enum { NVML_ARCH_PASCAL = 4, NVML_ARCH_VOLTA, NVML_ARCH_TURING, NVML_ARCH_AMPERE, NVML_ARCH_ADA, NVML_ARCH_HOPPER,
       NVML_ARCH_BLACKWELL };
#define NVML_ARCH_UNKNOWN UINT32_MAX

enum { NVML_CLOCK_GRAPHICS, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_CLOCK_VIDEO };

#define NVML_NOT_AVAILABLE UINT64_MAX
#define NVML_UUID_BYTES    96
#define NVML_VERSION_BYTES 80
#define NVML_NAME_BYTES    96
#define NVML_VBIOS_BYTES   32

struct nvml_field_value {
    uint32_t field_id, scope_id;
    int64_t timestamp_us; /* wall clock */
    int64_t latency_us;
    int32_t value_type;
    nvml_return status;
    union {
        double d;
        uint32_t ui;
        uint64_t ull;
        int64_t ll;
        int32_t i;
        uint16_t us;
    } value;
};
_Static_assert(sizeof(struct nvml_field_value) == 40, "nvmlFieldValue_t");

struct nvml_memory {
    uint64_t total, free, used; /* used includes what the driver reserves */
};
_Static_assert(sizeof(struct nvml_memory) == 24, "nvmlMemory_t");

struct nvml_memory_v2 {
    uint32_t version;
    uint64_t total, reserved, free, used;
};
_Static_assert(sizeof(struct nvml_memory_v2) == 40, "nvmlMemory_v2_t");
#define NVML_MEMORY_V2 0x02000028u

struct nvml_process {
    uint32_t pid;
    uint64_t used_memory;
    uint32_t gpu_instance, compute_instance;
};
_Static_assert(sizeof(struct nvml_process) == 24, "nvmlProcessInfo_t (v2, v3)");

/* What drivers of the 535 series returned for a while under the same symbol. */
struct nvml_process_32 {
    struct nvml_process process;
    uint64_t protected_memory;
};
_Static_assert(sizeof(struct nvml_process_32) == 32, "nvmlProcessInfo_t of early R535");

struct nvml_pci {
    char bus_id_legacy[16];
    uint32_t domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
_Static_assert(sizeof(struct nvml_pci) == 68, "nvmlPciInfo_t (v3)");

struct nvml_temperature {
    uint32_t version, sensor;
    int32_t celsius;
};
_Static_assert(sizeof(struct nvml_temperature) == 12, "nvmlTemperature_t");
#define NVML_TEMPERATURE_V1 0x0100000cu

struct nvml_utilisation {
    uint32_t gpu, memory; /* percent */
};
_Static_assert(sizeof(struct nvml_utilisation) == 8, "nvmlUtilization_t");

struct nvml_sample {
    uint64_t timestamp_us;
    union {
        double d;
        uint32_t ui;
        uint64_t ull;
    } value;
};
_Static_assert(sizeof(struct nvml_sample) == 16, "nvmlSample_t");
