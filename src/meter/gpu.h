/* SPDX-License-Identifier: MIT */
/* GPUs: which there are, facts for environment.json, and memory for the memory gate. Part of the room meter. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct meter;

/* {"driver_version", "nvml_version", "cuda_version", "devices": [{"uuid", "name", "pci", "vbios", "power_limit_mw",
 * …}]} or {"absent": "reason"}. A fact the driver refuses is null with "…_reason". New reference. */
json_t *meter_gpu_facts(struct meter *meter);

/* A board, or an instance of one that is divided (MIG). Strings live as long as the meter. */
struct meter_gpu_board {
    const char *uuid, *name;
    unsigned number;    /* of the board, as the driver and its tools count: by its place on the bus */
    const char *parent; /* of an instance: the UUID of its board; NULL: a board */
    bool divided;       /* a board that programs do not work on as a whole: they are given its instances */
    bool simulated;
};
/* In the driver's order, the instances of a board behind it. New array of struct meter_gpu_board. */
GArray *meter_gpu_boards(const struct meter *meter);
/* Why there is none. Borrowed. */
const char *meter_gpu_reason(const struct meter *meter);

/* What the environment leaves to programs. */
struct meter_gpu_visible {
    const char *variable; /* NULL: it does not say */
    GPtrArray *boards;    /* UUIDs, borrowed from the meter, in the order of the variable */
    const char *doubt;    /* NULL, or why another board may have been meant, or none is left */
    bool refused;         /* which boards it means cannot be told: none is taken, and no run may take others */
};
void meter_gpu_visible(const struct meter *meter, struct meter_gpu_visible *ret);
void meter_gpu_visible_clear(struct meter_gpu_visible *visible);
typedef struct meter_gpu_visible owned_gpu_visible; /* for g_auto(owned_gpu_visible) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_gpu_visible, meter_gpu_visible_clear)
/* "NAME=value" for the environment of a program that is to have these boards (UUIDs) and no other, a text for every
 * kind of board that can be given so; none of them: it has no board. New vector. */
char **meter_gpu_settings(const char *const *boards);

#define METER_GPU_PIDS_MAX 256
struct meter_gpu_memory {
    int64_t total_bytes, used_bytes, free_bytes; /* -1: the driver does not say */
    int64_t reserved_bytes; /* -1: the driver only has the old call, whose used includes the reserved part */
    bool pids_known;        /* false: the process list is unreadable; see pids_reason */
    size_t pid_count;
    pid_t pids[METER_GPU_PIDS_MAX]; /* of the host's pid namespace */
    int64_t pid_bytes[METER_GPU_PIDS_MAX]; /* -1: unknown */
    char pids_reason[160];
};
bool meter_gpu_memory(struct meter *meter, const char *uuid, struct meter_gpu_memory *ret, GError **error);

/* Everything that is known of who holds memory of a board or instance. Bytes are -1 where the driver does not say. */
struct meter_gpu_holder {
    pid_t pid; /* of the host's pid namespace */
    int64_t bytes;
};
struct meter_gpu_use {
    int64_t total_bytes;
    int64_t reserved_bytes; /* what the driver keeps for itself */
    /* In use without the reserved part, as the newer call says: with drivers that keep accounts by control group it is
     * of the caller's own partition alone. */
    int64_t partition_bytes;
    int64_t whole_bytes;  /* in use, the reserved part among it, as the older call says: of the whole board */
    bool holders_known;   /* false: the lists of processes cannot be read; see holders_reason */
    size_t holder_count;  /* compute, graphics and MPS processes, each once */
    struct meter_gpu_holder holders[METER_GPU_PIDS_MAX];
    char partition_reason[160], whole_reason[160], holders_reason[160];
};
bool meter_gpu_use(struct meter *meter, const char *uuid, struct meter_gpu_use *ret, GError **error);
