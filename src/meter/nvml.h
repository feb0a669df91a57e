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
    bool module;              /* the driver has readings of a module that the board is a part of */
    const char *energy_scope; /* there, what the counter without a scope was found to be of; NULL: as its call says */
    unsigned number; /* the driver's index of the board */
    int parent;      /* of an instance: where its board is among these; -1: a board */
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
nvml_return nvml_memory_total(const struct nvml_api *api, nvml_device device, int64_t *ret);
nvml_return nvml_memory_used(const struct nvml_api *api, nvml_device device, int64_t *ret);
nvml_return nvml_process_count(const struct nvml_api *api, nvml_device device, int64_t *ret);
/* Some reading of module scope answers. */
bool nvml_is_module(const struct nvml *nvml, nvml_device device);
/* METER_SCOPE_… of a counter that is read so, by what agrees with it; NULL: readings of the module are the board's, so
 * there is none. Watches for a second or so. */
const char *nvml_energy_scope(const struct nvml *nvml, nvml_device device,
                              bool (*read)(const struct nvml *nvml, nvml_device device, double *ret_j));
/* Names of processes on a board, and everything that is known of its memory (nvml_memory.c). */
bool nvml_use_of(struct meter_source *source, const char *uuid, struct meter_gpu_use *ret, GError **error);
/* Which boards there are, and which of them a value of NVML_VARIABLE leaves (nvml_boards.c). */
#define NVML_VARIABLE "CUDA_VISIBLE_DEVICES"
void nvml_boards(struct meter_source *source, GArray *ret);
void nvml_visible(const GArray *boards, const char *value, struct meter_gpu_visible *ret);
/* NULL: no such board. */
const struct nvml_board *nvml_board_of(const struct nvml *nvml, const char *uuid);
json_t *nvml_facts(struct meter_source *source);
bool nvml_memory_of(struct meter_source *source, const char *uuid, struct meter_gpu_memory *ret, GError **error);
