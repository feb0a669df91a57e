/* SPDX-License-Identifier: MIT */
/*
 * Inside of the simulators of NVML and RAPL: the script (docs: sim/README.md) as structs. Every time in a script is
 * seconds after its epoch; here everything is absolute ns of the script's clock.
 */
#pragma once

#include "base/base.h"
#include "meter/nvml_abi.h"
#include "sim/model.h"

enum sim_process_kind { SIM_COMPUTE, SIM_GRAPHICS, SIM_MPS, SIM_PROCESS_KINDS };

struct sim_process {
    uint32_t pid;
    char *pid_file; /* NULL, or where the pid stands; not listed while there is none */
    enum sim_process_kind kind;
    uint64_t memory_bytes;
    int64_t from_ns, to_ns;
    bool holds;       /* its memory is in use, and it is listed only while it lives */
    int64_t drain_ns; /* how long what it held takes to become free when it has ended */
    int64_t gone_ns;  /* when it was first seen to have ended; 0: it was not */
    bool seen;
};

struct sim_memory_step {
    int64_t from_ns;
    uint64_t used_bytes;
};

/* Power that follows the CPU time of a process group, or of a program's processes. */
struct sim_live {
    struct sim_trace *trace; /* owned by the board */
    char *pid_file;          /* with a process group; NULL: by program */
    char *program;           /* last part of the command's path */
    GDir *processes;         /* how far those were looked through that may run it */
    double watts_per_core;
    int64_t scanned_ns; /* when /proc was last looked through */
    GHashTable *seen;   /* pid → int64_t: CPU time last seen, kept when the process has ended */
    double cpu_s;       /* sum when the trace was last extended */
};

/* On a module: whether the driver has a counter of the GPU alone. */
enum sim_gpu_counter { SIM_GPU_COUNTER_NONE, SIM_GPU_COUNTER_OWN, SIM_GPU_COUNTER_MODULE };

struct sim_device {
    char *name, *uuid, *pci, *vbios;
    unsigned index, architecture, capability;
    unsigned limit_mw, default_limit_mw, min_limit_mw, max_limit_mw;
    double throttled_share; /* of the time since the epoch, for heat (HW thermal) */
    double cools_c_per_s; /* from temperature_c at the epoch */
    unsigned temperature_c, memory_temperature_c, utilisation, clock_mhz, max_clock_mhz, memory_clock_mhz;
    bool mig, ecc, persistence, module;
    double module_w;        /* what the CPU and memory of the module draw */
    int module_gpu_counter; /* enum sim_gpu_counter: what field 83 of the GPU's scope shows there */
    unsigned process_stride;
    uint64_t memory_total, memory_reserved;
    int64_t lost_ns; /* SIM_NEVER */
    GArray *memory;    /* struct sim_memory_step, in order */
    GArray *partition; /* struct sim_memory_step: what the newer call says of it; empty: the same */
    bool v2_counts_reserved;
    GArray *processes; /* struct sim_process */
    struct sim_device *parent; /* of an instance: its board, which owns it; NULL: a board */
    GPtrArray *instances;      /* struct sim_device */
    struct sim_board *board;   /* NULL: of an instance */
    GPtrArray *lives; /* struct sim_live */
    bool has_instant, has_average;
    struct sim_sensor instant, average;
    struct sim_counting *counter; /* NULL: none */
};

struct sim_fault {
    char *call;   /* NULL: any */
    int field;    /* -1: not about a field */
    int device;   /* -1: any */
    nvml_return code;
    int64_t from_ns, to_ns;
    unsigned every; /* 0 or 1: each call; n: every n-th */
    unsigned seen;
};

struct sim_script {
    char *driver_version, *nvml_version;
    char *prints;        /* on standard output, when it is started */
    char *prints_always; /* the same, in every call */
    int cuda_version;
    volatile _Atomic int64_t *clock; /* NULL: CLOCK_MONOTONIC */
    int64_t epoch_ns;
    int64_t latency_ns, latency_jitter_ns, stall_ns;
    int64_t latency_low_ns, latency_high_ns; /* drawn evenly in the logarithm; both 0: nothing */
    bool latency_spins;
    unsigned stall_every;
    struct sim_rng latency_rng;
    GPtrArray *devices;  /* struct sim_device */
    GPtrArray *packages; /* struct sim_device that have a name, loads and a counter alone */
    GArray *faults;     /* struct sim_fault */
};

/* path NULL: one idle board. Errors: DATA, CONFIG, IO. */
struct sim_script *sim_script_load(const char *path, GError **error);
void sim_script_free(struct sim_script *script);
int64_t sim_script_now_ns(const struct sim_script *script);
/* Lasts as long as a call is to take. */
void sim_script_wait(struct sim_script *script);
/* Extends the traces that follow CPU time up to now. */
void sim_live_update(struct sim_device *device, int64_t now_ns);
void sim_live_free(struct sim_live *live);

/* nvmlDeviceGetPowerUsage shows the average. */
bool sim_usage_is_average(const struct sim_device *device);
nvml_return sim_power_mw(struct sim_device *device, bool average, int64_t now_ns, unsigned *ret);
nvml_return sim_energy_mj(struct sim_device *device, bool of_module, int64_t epoch_ns, int64_t now_ns,
                          unsigned long long *ret);
/* Field 83 in a scope. */
nvml_return sim_energy_field(struct sim_device *device, unsigned scope, int64_t epoch_ns, int64_t now_ns,
                             unsigned long long *ret);
