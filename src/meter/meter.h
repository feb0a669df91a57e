/* SPDX-License-Identifier: MIT */
/*
 * meter: the sensors. One file per source (nvml, rapl, hwmon, modelled, replay) behind one ops table; the sampler that
 * reads them on absolute deadlines (sampler.h); the trace file; the start-up characterisation.
 *
 * A source offers channels. A channel is one quantity of one device ("nvml:GPU-…:energy"), says its scope, unit, wrap
 * and the status its values carry, or why it is absent in words a user can act on. Readings are raw integers of the
 * sensor with a bracket of monotonic time; a reading that failed carries a status and never a number.
 *
 * Calling sequence:
 *   meter_open() → meter_channel_at() … → sampler_new() → sampler_start() → sampler_mark() … sampler_series()
 *   → sampler_stop() → sampler_free() → meter_close()
 *
 * Ownership: everything reached through a struct meter belongs to it and lives until meter_close(). Threading: open and
 * close from one thread; meter_read() with disjoint rates may run in two threads at once (the sampler does that);
 * meter_set_engine_pids() and meter_gpu_memory() from any thread. Errors: METER, CONFIG (bad option), DATA (trace).
 */
#pragma once

#include "base/base.h"

#include <stddef.h>
#include <sys/types.h>

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

/* Keys of the prior table (room energy): gain and offset uncertainty per sensor class. */
#define METER_CLASS_NVIDIA     "nvidia" /* data-centre and workstation boards */
#define METER_CLASS_GEFORCE    "nvidia.geforce"
#define METER_CLASS_RAPL       "rapl.intel" /* server parts from Haswell-EP on: measured at the regulators */
#define METER_CLASS_RAPL_MODEL "rapl.intel.model" /* older and client parts, and processors without a row */
#define METER_CLASS_RAPL_AMD   "rapl.amd"
#define METER_CLASS_HWMON      "hwmon"
#define METER_CLASS_MODELLED   "modelled"
#define METER_CLASS_NONE       "none" /* not an energy or power channel */

#define METER_SCOPE_GPU      "GPU board"
#define METER_SCOPE_MODULE   "GPU module" /* CPU, memory and GPU of one module (Grace Hopper) */
#define METER_SCOPE_MIG      "GPU board (parent of MIG)"
#define METER_SCOPE_PACKAGE  "CPU package"
#define METER_SCOPE_DRAM     "DRAM"
#define METER_SCOPE_PLATFORM "platform (psys)" /* contains the package: never added to it */
#define METER_SCOPE_ENGINE   "CPU cores of the engine"

/* What draws power for the same work and is not in a scope, in words; said wherever a scope is shown. Static. */
const char *meter_scope_outside(const char *scope);

#define METER_PLAUSIBLE_SHARE 1.5 /* short excursions above a power limit are real */

struct meter_channel {
    const char *id;     /* "nvml:GPU-…:energy", "rapl:package-0:energy" */
    const char *source; /* name of the source */
    const char *device; /* UUID of a GPU, "package-0", name of a hwmon chip */
    const char *label;  /* for people: "NVIDIA H100 80GB HBM3 #0" */
    const char *scope;  /* METER_SCOPE_… or the hwmon label; unlike scopes are never added */
    enum meter_kind kind;
    enum meter_rate rate;
    double scale;         /* raw × scale is in the kind's SI unit */
    const char *raw_unit; /* "mJ", "uJ", "ns", … */
    int64_t wrap;         /* modulus of a raw counter that wraps; 0: does not wrap */
    double max_power_w;   /* plausibility bound of a counter: METER_PLAUSIBLE_SHARE × limit, or a stated assumption; 0: unknown */
    int64_t refresh_ns;   /* update period assumed from the architecture; 0: unknown. Measure it. */
    int64_t window_ns;    /* averaging window assumed; 0: unknown */
    const char *sensor_class;    /* METER_CLASS_… */
    enum quantity_status status; /* what its values are; ABSENT: no values, see reason */
    const char *reason;          /* ABSENT: why, and what to do; otherwise NULL or a remark */
    double low_ratio, high_ratio; /* modelled: the interval is value × [low_ratio, high_ratio]; else both 1 */
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
    X(IMPLAUSIBLE, "implausible")     /* a counter rose faster than the device can draw */         \
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

struct sampler_mark; /* sampler.h */

struct meter_options {
    const char *sysroot;        /* prefix of /sys and /proc; NULL: $LLEM_SYSROOT or none */
    const char *const *sources; /* NULL-terminated names; NULL: every source that is not opt-in */
    const char *nvml_library;   /* NULL: $LLEM_NVML_LIBRARY, else libnvidia-ml.so.1 */
    const char *replay_path;    /* the trace `replay` plays */
    double modelled_low_w, modelled_high_w; /* W per busy core; both 0: MODELLED_…_W */
    int64_t stuck_check_ns;     /* how long a CPU counter may stand still at opening; 0: 50 ms */
};

struct meter;

/* What a source says of itself, for lists and help. */
struct meter_source_row {
    const char *name, *summary;
    bool opt_in;              /* used only when named: its figures need a decision of the user */
    const char *compiled_out; /* NULL, or why this build lacks it */
};
/* Row by index, in the order of preference; NULL past the end. */
const struct meter_source_row *meter_source_row_at(size_t index);

/* What became of a source at opening. */
struct meter_source_state {
    const struct meter_source_row *row;
    bool asked;         /* by name, or because it is not opt-in */
    bool open;
    const char *reason; /* not open: why and what to do; open: NULL or a remark */
};

/* Opens what is there. A source that is missing is not an error (its state says why); a bad option is. */
struct meter *meter_open(const struct meter_options *options, GError **error);
void meter_close(struct meter *meter);
typedef struct meter meter_handle; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(meter_handle, meter_close)

size_t meter_source_count(const struct meter *meter);
const struct meter_source_state *meter_source_at(const struct meter *meter, size_t index);
/* Channels of all open sources, absent ones included, in a stable order. */
size_t meter_channel_count(const struct meter *meter);
const struct meter_channel *meter_channel_at(const struct meter *meter, size_t index);
/* Index of an id, or -1. */
ssize_t meter_channel_find(const struct meter *meter, const char *id);

/* Reads the channels of the rates given, into readings[meter_channel_count()]; others become NONE. No allocation. */
void meter_read(struct meter *meter, unsigned rates, struct meter_reading *readings);
/* Reads one counter until its value changes: the reading lies within one read of the sensor's own tick. For sensors
 * that tick about every ms (RAPL). Returns false with the last reading when nothing changed for timeout_ns. */
bool meter_read_tick(struct meter *meter, size_t channel, int64_t timeout_ns, struct meter_reading *ret);
/* Names processes of the engine, whose CPU time `modelled` counts from now on. Those named before keep counting, with
 * what they had used when they ended. More than the maximum: every later reading is an ERROR, not a sum too small. */
#define METER_ENGINE_PIDS_MAX 256
void meter_set_engine_pids(struct meter *meter, const pid_t *pids, size_t count);

/* The difference of two readings of a counter, wrap handled. false sets *ret_status to why there is none. */
bool meter_counter_delta(const struct meter_channel *channel, const struct meter_reading *from,
                         const struct meter_reading *to, int64_t *ret_raw, enum meter_read_status *ret_status);

/* Slope of a counter between the first and the last edge among points, in the kind's SI unit a second (J/s = W).
 * false: fewer than two edges, or a point that is not OK between them. */
bool meter_points_rate(const struct meter_channel *channel, const GArray *points, double *ret);

/* {"sources": […], "channels": […]} as `llem meter --json` shows them. New reference. */
json_t *meter_json(const struct meter *meter);
json_t *meter_channel_json(const struct meter_channel *channel);

/* --- GPUs: facts for environment.json and for the memory gate ------------------------------------------------------- */

/* {"driver_version", "nvml_version", "cuda_version", "devices": [{"uuid", "name", "pci", "vbios", "power_limit_mw", …}]}
 * or {"absent": "reason"}. A fact the driver refuses is null with "…_reason". New reference. */
json_t *meter_gpu_facts(struct meter *meter);

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

/* --- Characterisation -------------------------------------------------------------------------------------------------- */

/* What was found about one channel by watching it (reference: sensors refresh by driver policy, so measure). */
struct meter_sensor {
    int64_t period_ns;     /* median gap between value changes; 0: fewer than 3 changes seen */
    int64_t period_p95_ns;
    int64_t read_p50_ns, read_p99_ns;
    double power_ratio;    /* counter slope ÷ mean of the power channel of the same device; NaN: no such pair */
    bool stuck, decreasing, implausible;
    bool usable;           /* none of the three, and it could be read */
    bool follows_average;  /* a counter that adds up the 1-s average: a run found that, watching cannot */
};

/* Polls every channel as fast as 1 ms allows for duration_ns. {"schema", "channels": {id: {…}}}; the key of a cache is
 * meter_characterisation_key(). New reference. */
json_t *meter_characterise(struct meter *meter, int64_t duration_ns);
/* Reads one channel's part back; false when the tree has none. */
bool meter_characterisation_get(const json_t *tree, const char *channel_id, struct meter_sensor *ret);
/* Writes what a run learned of a channel into its part; nothing when the tree has none. period_ns 0: as it was. */
void meter_characterisation_learn(json_t *tree, const char *channel_id, int64_t period_ns, bool follows_average);
/* Host, UUIDs and driver of all boards, names of the CPU sources. New string. */
char *meter_characterisation_key(struct meter *meter);
/* What was found about these sensors on this host within the last 30 days, from the user's cache folder; NULL: watch
 * them. Simulated sensors are never remembered: their script may change. New reference. */
json_t *meter_characterisation_load(struct meter *meter);
/* Keeps a finding, unless it says that some counter cannot be used: that is looked at afresh each time. A cache that
 * cannot be written is an error (IO) the caller may pass over: it only costs the watching. */
bool meter_characterisation_save(struct meter *meter, const json_t *tree, GError **error);

/* --- Self-consistency without an external meter ------------------------------------------------------------------------- */

/* A child process that burns CPU on demand, in a process group of its own. It dies with this process. */
struct meter_load;
struct meter_load *meter_load_new(GError **error);
void meter_load_free(struct meter_load *load);
pid_t meter_load_pid(const struct meter_load *load);
/* Uses cpu_ns of CPU time, without a pause. The times are the child's own stamps. */
bool meter_load_burn(struct meter_load *load, int64_t cpu_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns, GError **error);
/* Busy for the first half of every period, for duration_ns. */
bool meter_load_toggle(struct meter_load *load, int64_t period_ns, int64_t duration_ns, int64_t *ret_t0_ns,
                       int64_t *ret_t1_ns, GError **error);

struct meter_selftest_options {
    int64_t batch_ns; /* CPU time of one batch; 0: 50 ms. Grows to the slowest counter's period, at most 200 ms */
    int64_t guard_ns; /* idle before and after each window; 0: 600 ms. Grows to 10 periods of the slowest counter */
    int64_t observer_ns; /* one stretch with the sampler off or on; 0: 1 s */
};

/*
 * Checks every energy counter against itself under a load: E(k) of k = 1…16 batches has no intercept and no lack of
 * fit, windows add up, equal windows are equal, a quarter more work is found (positive control), and (sensors that
 * refresh slowly) whether the counter sees only the part of the time that its power sensor sees; then what the sampler
 * itself adds, idle and busy. Energies are above idle. It proves consistency, not accuracy: gain and offset of a sensor
 * cannot show here. Takes half a minute to a minute and a half. {"schema", "quiet", "load_cpu_share", "rows":
 * [{"channel", "check", "verdict": "pass|fail|undetermined|not_run", "value", "limit", "words"}]}; undetermined: over
 * its limit on a machine that was not quiet. New reference. Errors: UNSUPPORTED (no counter to test), METER, IO.
 */
json_t *meter_selftest(struct meter *meter, struct meter_load *load, const struct meter_selftest_options *options,
                       GError **error);

/* --- Recorded traces ---------------------------------------------------------------------------------------------------- */

/*
 * trace.csv.gz: t_mono_ns,t_wall_ns,read_ns,channel,value,status; one row a reading, at full rate. t is the middle of
 * the read and read_ns its length; value is raw. Rows of status "channel" carry a channel's description as JSON in
 * value; rows of channel "mark" carry a mark's name in value.
 */
struct meter_trace;
struct meter_trace *meter_trace_load(const char *path, GError **error);
void meter_trace_free(struct meter_trace *trace);
typedef struct meter_trace meter_trace_handle; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(meter_trace_handle, meter_trace_free)
size_t meter_trace_channel_count(const struct meter_trace *trace);
const struct meter_channel *meter_trace_channel_at(const struct meter_trace *trace, size_t index);
/* As sampler_series(). */
GArray *meter_trace_series(const struct meter_trace *trace, size_t channel, int64_t from_ns, int64_t to_ns);
size_t meter_trace_mark_count(const struct meter_trace *trace);
struct sampler_mark meter_trace_mark_at(const struct meter_trace *trace, size_t index);

#include "meter/sampler.h"
