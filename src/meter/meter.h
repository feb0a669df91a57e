/* SPDX-License-Identifier: MIT */
/*
 * meter: the sensors. One file per source behind one ops table, its row in base/sources.h. This header opens the
 * sources and reads them; with it come
 *   channel.h  what a sensor offers: channels, scopes, classes, readings, points
 *   sampler.h  the threads that read the channels on absolute deadlines
 *   gpu.h      facts and memory of boards
 *   sensor.h   the start-up characterisation
 *   selftest.h counters against themselves, and the load for it
 *   recording.h recorded traces
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
 * meter_read_one(), meter_set_engine_pids() and meter_gpu_memory() from any thread at any time. While a sampler runs,
 * who wants a reading of a moment asks it (sampler_ticks()).
 * Errors: METER, CONFIG (bad option), DATA (trace).
 */
#pragma once

#include "meter/channel.h"

#include <stddef.h>
#include <sys/types.h>

/* A sysroot that has a file of this name is a simulator's: no value from below it is called measured. */
#define METER_SIMULATED_ROOT "llem-simulated"

struct meter_options {
    const char *sysroot;        /* prefix of /sys and /proc; NULL: $LLEM_SYSROOT or none */
    const char *const *sources; /* NULL-terminated names; NULL: those with SOURCE_BY_AUTO */
    const char *library;        /* of a source that reads one, instead of the one it looks for itself; NULL: that one */
    const char *replay_path;    /* the trace that is played again */
    double modelled_low_w, modelled_high_w; /* W per busy core; both 0: MODELLED_…_W */
    int64_t stuck_check_ns;     /* how long a CPU counter may stand still at opening; 0: 50 ms */
};

struct meter;

/* A row of base/sources.h. */
struct meter_source_row {
    const char *name, *summary;
    unsigned flags; /* enum source_flags; without SOURCE_BY_AUTO it is used only when named */
};
/* Row by index, in the order of preference; NULL past the end. */
const struct meter_source_row *meter_source_row_at(size_t index);
/* The first row that has one of these flags; NULL: none. */
const struct meter_source_row *meter_source_row_with(unsigned flags);
/* Names for meter_options.sources, NULL-terminated: of the rows that have one of these flags, and `named` unless it is
 * NULL, SOURCE_NONE or SOURCE_AUTO (which stands for SOURCE_BY_AUTO). New array of static strings and `named`. */
const char **meter_sources_asked(const char *named, unsigned flags);
/* Takes the sources that have one of these flags out of such a list, or all the others. */
void meter_sources_drop(const char **list, unsigned flags);
void meter_sources_keep(const char **list, unsigned flags);

/* What became of a source at opening. */
struct meter_source_state {
    const struct meter_source_row *row;
    bool asked;         /* by name, or because nobody named any and it has SOURCE_BY_AUTO */
    bool open;
    const char *reason; /* not open: why and what to do; open: NULL or a remark */
};

/* Of the hottest CPU package, °C, by the first source that shows it; NaN: none does. sysroot: "" or a folder. */
double meter_cpu_temperature(const char *sysroot);

/* Opens what is there. A source that is missing is not an error (its state says why); a bad option is. */
struct meter *meter_open(const struct meter_options *options, GError **error);
void meter_close(struct meter *meter);
typedef struct meter owned_meter; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_meter, meter_close)

size_t meter_source_count(const struct meter *meter);
const struct meter_source_state *meter_source_at(const struct meter *meter, size_t index);
/* Channels of all open sources, absent ones included, in a stable order. */
size_t meter_channel_count(const struct meter *meter);
const struct meter_channel *meter_channel_at(const struct meter *meter, size_t index);
/* Index of an id, or -1. */
ssize_t meter_channel_find(const struct meter *meter, const char *id);

/* Reads the channels of the rates given, into readings[meter_channel_count()]; others become NONE. No allocation. */
void meter_read(struct meter *meter, unsigned rates, struct meter_reading *readings);
/* Reads one channel alone. Any thread, also while others read the same one. No allocation. */
void meter_read_one(struct meter *meter, size_t channel, struct meter_reading *ret);
/* Names processes of the engine, whose CPU time a model counts from now on. Those named before keep counting, with
 * what they had used when they ended. More than the maximum: every later reading is an ERROR, not a sum too small. */
#define METER_ENGINE_PIDS_MAX 256
void meter_set_engine_pids(struct meter *meter, const pid_t *pids, size_t count);

/* {"sources": […], "channels": […]} as `llem meter --json` shows them. New reference. */
json_t *meter_json(const struct meter *meter);
json_t *meter_channel_json(const struct meter_channel *channel);
/* The inverse. Texts are borrowed from tree. A member "rate" counts where there is one. Errors: DATA. */
bool meter_channel_parse(const json_t *tree, struct meter_channel *ret, GError **error);

#include "meter/gpu.h"
#include "meter/recording.h"
#include "meter/sampler.h"
#include "meter/selftest.h"
#include "meter/sensor.h"
