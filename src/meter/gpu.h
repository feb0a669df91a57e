/* SPDX-License-Identifier: MIT */
/* GPUs: facts for environment.json, and memory for the memory gate. Part of the room meter. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct meter;

/* {"driver_version", "nvml_version", "cuda_version", "devices": [{"uuid", "name", "pci", "vbios", "power_limit_mw",
 * …}]} or {"absent": "reason"}. A fact the driver refuses is null with "…_reason". New reference. */
json_t *meter_gpu_facts(struct meter *meter);

/* Those among the boards (devices, ended by NULL) that the environment leaves to programs; none: it does not say. New
 * vector. */
char **meter_gpu_visible(const struct meter *meter, char *const *boards);

#define METER_GPU_PIDS_MAX 256
struct meter_gpu_memory {
    int64_t total_bytes, used_bytes, free_bytes;
    int64_t reserved_bytes; /* -1: the driver only has the old call, whose used includes the reserved part */
    bool pids_known;        /* false: the process list is unreadable; see pids_reason */
    size_t pid_count;
    pid_t pids[METER_GPU_PIDS_MAX]; /* of the host's pid namespace */
    int64_t pid_bytes[METER_GPU_PIDS_MAX]; /* -1: unknown */
    char pids_reason[160];
};
bool meter_gpu_memory(struct meter *meter, const char *uuid, struct meter_gpu_memory *ret, GError **error);
