/* SPDX-License-Identifier: MIT */
/* Inside of the room: the NVML source, between its channels (nvml.c) and its facts and memory (nvml_facts.c). */
#pragma once

#include "meter/nvml_api.h"
#include "meter/source.h"

struct nvml_board {
    nvml_device device;
    char uuid[NVML_UUID_BYTES], name[NVML_NAME_BYTES];
    unsigned architecture;
    int capability; /* major × 10 + minor; 0: unknown */
    double limit_w; /* enforced; 0: unknown */
    bool mig, geforce;
    size_t first_channel, end_channel;
};

struct nvml {
    struct meter_source head;
    struct nvml_api api;
    bool initialised;
    struct nvml_board *boards;
    unsigned board_count;
    GArray *readers; /* how each channel is read, parallel to the channels */
};

nvml_return nvml_temperature_c(const struct nvml_api *api, nvml_device device, int64_t *ret);
nvml_return nvml_memory_used(const struct nvml_api *api, nvml_device device, int64_t *ret);
nvml_return nvml_process_count(const struct nvml_api *api, nvml_device device, int64_t *ret);
void nvml_visible(char *const *boards, GPtrArray *ret); /* by CUDA_VISIBLE_DEVICES */
json_t *nvml_facts(struct meter_source *source);
bool nvml_memory_of(struct meter_source *source, const char *uuid, struct meter_gpu_memory *ret, GError **error);
