/* SPDX-License-Identifier: MIT */
/* What a sensor offers: channels, what is known of their scopes and classes, readings and points. Part of the room
 * meter. */
#pragma once

#include "base/base.h"

/* What a channel counts. Values of cumulative kinds matter only as differences. */
#define METER_KIND_ROWS(X)                                                                         \
    X(ENERGY, "energy", "J", true)               /* cumulative energy */                           \
    X(POWER_INSTANT, "power_instant", "W", false) /* mean over the sensor's own window */          \
    X(POWER_AVERAGE, "power_average", "W", false) /* mean over about 1 s */                        \
    X(THROTTLE, "throttle", "s", true)           /* cumulative time a limit held the clocks down */ \
    X(TEMPERATURE, "temperature", "degC", false)                                                   \
    X(MEMORY_USED, "memory_used", "B", false)    /* device memory allocated, by all processes */   \
    X(UTILISATION, "utilisation", "1", false)    /* share of time a kernel was resident, 0…1 */    \
    X(CLOCK, "clock", "Hz", false)                                                                 \
    X(PROCESSES, "processes", "1", false)        /* compute processes on the device */             \
    X(CPU_TIME, "cpu_time", "s", true)           /* CPU time of a group of processes */

enum meter_kind {
#define X(kind, name, unit, cumulative) METER_##kind,
    METER_KIND_ROWS(X)
#undef X
        METER_KIND_COUNT
};

const char *meter_kind_name(enum meter_kind kind);
const char *meter_kind_unit(enum meter_kind kind); /* SI unit of raw × scale */
bool meter_kind_cumulative(enum meter_kind kind);

/* How often a channel is read. FAST and MEDIUM by the sampler's thread, SLOW by a second one. */
enum meter_rate {
    METER_FAST = 1 << 0,   /* every tick */
    METER_MEDIUM = 1 << 1, /* every tenth tick */
    METER_SLOW = 1 << 2,   /* every slow tick (100 ms by default) */
};
#define METER_SLOW_STEP_NS (100 * NS_PER_MS) /* the default of sampler_options.slow_step_ns */
#define METER_ALL_RATES (METER_FAST | METER_MEDIUM | METER_SLOW)

/* What is assumed of a class of sensors nobody calibrated, and how they count. Each source's file has the rows of its
 * own classes. Standard uncertainties, normal. */
struct meter_class {
    const char *name;  /* "nvidia.geforce" */
    double gain_u;     /* relative */
    double offset_u_w; /* W */
    bool model_based;  /* the "sensor" is the maker's model of the device */
    bool sees_all;     /* its counters are registers that count all the time: nothing can beat with them */
    const char *source; /* where the figures come from, in words */
};
#define METER_CLASS_NONE "none" /* the class of channels that give no joules; it has no row */
/* Rows of all sources, in their order; NULL past the end. */
const struct meter_class *meter_class_at(size_t index);
/* NULL: no source has such a class. */
const struct meter_class *meter_class_find(const char *name);

#define METER_SCOPE_GPU      "GPU board"
#define METER_SCOPE_MODULE   "GPU module" /* CPU, memory and GPU of one module (Grace Hopper) */
#define METER_SCOPE_UNCLEAR  "GPU board or module" /* a counter that agrees with neither, or with both */
#define METER_SCOPE_MIG      "GPU board (parent of MIG)"
#define METER_SCOPE_INSTANCE "GPU instance (MIG)"
#define METER_SCOPE_PACKAGE  "CPU package"
#define METER_SCOPE_DRAM     "DRAM"
#define METER_SCOPE_PLATFORM "platform (psys)" /* contains the package: never added to it */
#define METER_SCOPE_ENGINE   "CPU cores of the engine"

/* What a scope is of. */
enum meter_device {
    METER_DEVICE_OTHER,
    METER_DEVICE_BOARD,   /* an accelerator */
    METER_DEVICE_INSTANCE, /* a part of an accelerator, which no sensor can measure */
    METER_DEVICE_MODULE,  /* an accelerator with CPU and memory beside it, counted as one */
    METER_DEVICE_PACKAGE, /* a CPU */
    METER_DEVICE_MODEL,   /* nothing: a model of what the engine used */
};

/* Which scope is *the* energy of a run: the least number of those there are. */
enum meter_preference {
    METER_COUNTS_FIRST = 1,     /* and its successors, in the order of the rows */
    METER_COUNTS_IF_NAMED = 50, /* what it covers is not known here: only where its source was asked for by name */
    METER_COUNTS_LAST = 90,     /* a model, where no sensor is */
    METER_COUNTS_NEVER = 100,   /* a part of another scope, or more than the run's work */
};

struct meter_scope {
    const char *name;
    enum meter_device device;
    int preference;      /* enum meter_preference, and numbers between */
    const char *outside; /* what draws power for the same work and is not in it; said wherever a scope is shown */
};
/* Never NULL: scopes without a row have the row of the unknown, whose name is NULL. */
const struct meter_scope *meter_scope_find(const char *name);
/* A scope of accelerators: it counts only where the engine works on one. */
static inline bool meter_scope_of_boards(const struct meter_scope *scope)
{
    return scope->device == METER_DEVICE_BOARD || scope->device == METER_DEVICE_MODULE ||
           scope->device == METER_DEVICE_INSTANCE;
}

#define METER_PLAUSIBLE_SHARE 1.5 /* choice: short excursions above a power limit are real */

struct meter_channel {
    const char *id;     /* "nvml:GPU-…:energy", "rapl:package-0:energy" */
    const char *source; /* name of the source */
    const char *device; /* UUID of a GPU, "package-0", name of a hwmon chip */
    const char *label;  /* for people: "NVIDIA H100 80GB HBM3 #0" */
    const char *scope;  /* METER_SCOPE_… or a name of the source's own; unlike scopes are never added */
    enum meter_kind kind;
    enum meter_rate rate;
    double scale;         /* raw × scale is in the kind's SI unit */
    const char *raw_unit; /* "mJ", "uJ", "ns", … */
    int64_t wrap;         /* modulus of a raw counter that wraps; 0: does not wrap */
    /* plausibility bound of energy and power: METER_PLAUSIBLE_SHARE × limit, or a stated assumption; 0: unknown */
    double max_power_w;
    int64_t refresh_ns;   /* update period assumed from the architecture; 0: unknown. Measure it. */
    int64_t window_ns;    /* averaging window assumed; 0: unknown */
    int64_t part_ns;      /* of a moving average: how much of each refresh period it is made of; 0: unknown */
    const char *sensor_class;    /* name of a struct meter_class, or METER_CLASS_NONE */
    enum quantity_status status; /* what its values are; ABSENT: no values, see reason */
    const char *reason;          /* ABSENT: why, and what to do; otherwise NULL or a remark */
    double low_ratio, high_ratio; /* modelled: the interval is value × [low_ratio, high_ratio]; else both 1 */
};

/* True if a channel tells of an accelerator. */
static inline bool meter_channel_of_board(const struct meter_channel *channel)
{
    return meter_scope_of_boards(meter_scope_find(channel->scope));
}

/* From truth to reading: bounds that steps of power have left of a sensor's lag. */
struct meter_lag {
    int64_t ups, downs;            /* steps of power that said something */
    double delay_lo_s, delay_hi_s; /* until a reading begins to show a step */
    double extent_s;               /* until it shows all of it, by the step that told most */
};

/* Names of checks that others speak of. */
#define METER_CHECK_STUCK    "stuck"
#define METER_CHECK_LOST     "lost"
#define METER_CHECK_SCALE    "mis_scaled"
#define METER_CHECK_DUTY     "duty_cycled"
#define METER_CHECK_AVERAGE  "follows_average"
#define METER_CHECK_OBSERVER "observer" /* begins the names of those that are about the sampler */

#define METER_SEES_ALL "sees_all" /* the verdict of a sensor that failed nothing and sees the whole of each period */

/* What a self-test said of a sensor (meter_selftest_keep()). */
struct meter_proof {
    char verdict[32]; /* METER_SEES_ALL, the name of the check that failed, or "": nobody tested it */
    char date[16];    /* of the test, UTC */
    char load[160];   /* what it was done with */
    double share;     /* W/T as it was found, at most 1; NaN: it was not */
};

/* How a reading or point came out. Only OK carries a number to compute with. */
#define METER_READ_ROWS(X)                                                                         \
    X(NONE, "none")                   /* not read at this rate; never stored */                    \
    X(OK, "ok")                                                                                    \
    X(NOT_SUPPORTED, "not_supported") /* the sensor refuses the quantity */                        \
    X(NO_PERMISSION, "no_permission")                                                              \
    X(LOST, "lost")                   /* the device is gone: GPU_IS_LOST, the file vanished */     \
    X(ERROR, "error")                 /* any other failure */                                      \
    X(NOT_READY, "not_ready")         /* no value yet (modelled before it knows the engine) */     \
    X(BACKWARDS, "backwards")         /* a counter decreased: reset or glitch; breaks differences */ \
    X(IMPLAUSIBLE, "implausible")     /* more than the device can draw, or a share above 1: dropped */ \
    X(WRAP_AMBIGUOUS, "wrap_ambiguous") /* too long since the last read to exclude two wraps */

enum meter_read_status {
#define X(status, name) METER_READ_##status,
    METER_READ_ROWS(X)
#undef X
        METER_READ_COUNT
};

const char *meter_read_name(enum meter_read_status status);
int meter_read_from_name(const char *name); /* or -1 */

struct meter_reading {
    int64_t before_ns, after_ns; /* monotonic: the value was the sensor's at some moment between */
    int64_t raw;                 /* meaningless unless OK */
    enum meter_read_status status;
};

/*
 * One run of equal readings of a series. Counters are thereby edges with their brackets: the value changed between
 * lo_ns and first_ns. Raw values of wrapping counters are already unwrapped (monotone). Runs are broken where no
 * reading came for longer than five steps, so a gap shows as first_ns − lo_ns. For a status other than OK, raw is 0
 * (BACKWARDS, IMPLAUSIBLE, WRAP_AMBIGUOUS: the offending raw value, from which later points count on; any difference
 * across such a point is meaningless).
 */
struct meter_point {
    int64_t lo_ns;    /* last time the value before was seen (start of that read); first_ns for the very first */
    int64_t first_ns; /* first time this value was seen (end of that read) */
    int64_t last_ns;  /* last time this value was seen (start of that read), ≥ first_ns unless seen once */
    int64_t raw;
    enum meter_read_status status;
};

/* True if a reading of power or utilisation is possible: not below zero, not above max_power_w or 1. Counters are
 * judged by their differences. */
bool meter_plausible(const struct meter_channel *channel, int64_t reading);

/* The difference of two readings of a counter, wrap handled. false sets *ret_status to why there is none. */
bool meter_counter_delta(const struct meter_channel *channel, const struct meter_reading *from,
                         const struct meter_reading *to, int64_t *ret_raw, enum meter_read_status *ret_status);

/* Slope of a counter between the first and the last edge among points, in the kind's SI unit a second (J/s = W).
 * false: fewer than two edges, or a point that is not OK between them. */
bool meter_points_rate(const struct meter_channel *channel, const GArray *points, double *ret);
