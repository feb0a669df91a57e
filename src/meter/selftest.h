/* SPDX-License-Identifier: MIT */
/* Self-consistency without an external meter, and the load for it. Part of the room meter. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct meter;

#define METER_LOAD_PIDS_MAX 64
/* Something that works when it is told to: who makes another one than that of meter_load_new() begins its own struct
 * with this. */
struct meter_load {
    /* As much as takes about each_ns, so many times, back to back: equal numbers are equal work. The stamps are taken
     * where the work is done. */
    bool (*work)(struct meter_load *load, unsigned times, int64_t each_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                 GError **error);
    void (*end)(struct meter_load *load);
    const char *name;  /* "the CPU load": for messages */
    bool cpu_time;     /* each_ns is CPU time, to the ns, of one core; else the time it takes on an idle machine */
    pid_t pids[METER_LOAD_PIDS_MAX]; /* its processes; the first leads their process group */
    size_t n_pids;
};

/* A child process that burns CPU, in a process group of its own. It dies with this process. */
struct meter_load *meter_load_new(GError **error);
void meter_load_free(struct meter_load *load);
bool meter_load_work(struct meter_load *load, unsigned times, int64_t each_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                     GError **error);

struct meter_selftest_options {
    int64_t batch_ns; /* CPU time of one batch; 0: 50 ms. Grows to the slowest counter's period, at most 200 ms */
    int64_t guard_ns; /* idle before and after each window; 0: 600 ms. Grows to 10 periods of the slowest counter */
    int64_t observer_ns; /* one stretch with the sampler off or on; 0: 1 s */
};

/*
 * Checks every energy counter under a load, and, where a device has none, what its power sensor of unknown window sees:
 * whether it moves to the end, agrees with the power beside it, sees all of the time or a part of each period, and
 * adds up the 1-s average (each a row by its name: stuck, else lost, mis_scaled, duty_cycled, follows_average); E(k) of
 * k = 1…16 batches has no
 * intercept and no lack of fit, windows add up, equal windows are equal, a quarter more work is found (positive
 * control); then what the sampler itself adds, idle and busy. Energies of windows are above idle. It proves
 * consistency, not accuracy: gain and offset of a sensor cannot show here. Takes a minute or two. {"schema", "quiet",
 * "load_cpu_share", "rows": [{"channel", "check", "verdict": "pass|fail|undetermined|not_run", "value", "limit",
 * "words"}]}; undetermined: over its limit on a machine that was not quiet, or by a load that is no exact amount. New
 * reference. Errors: UNSUPPORTED (no counter to test), METER, IO, and those of the load.
 */
json_t *meter_selftest(struct meter *meter, struct meter_load *load, const struct meter_selftest_options *options,
                       GError **error);

/* --- what a self-test found ------------------------------------------------------------------------------------------ */

/*
 * Kept by device and driver in the user's cache folder, beside the characterisations, until the next self-test of that
 * device: a sensor that was shown to see all of the time is taken to do so, one that failed for the worst there is.
 * What was undetermined changes nothing. load: what it was done with, in words. Returns how many channels have a
 * verdict now; -1: it cannot be kept (IO).
 */
int meter_selftest_keep(struct meter *meter, const json_t *found, const char *load, GError **error);
/* Puts what was kept of the channels of a meter into their parts of a characterisation (meter_characterisation_get()
 * reads it back), and takes out what is no longer kept. */
void meter_selftest_recall(struct meter *meter, json_t *characterisation);
/* The verdict of a channel in what meter_selftest() found: METER_SEES_ALL, the name of the first check that failed, or
 * NULL: undetermined. Borrowed. */
const char *meter_selftest_verdict(const json_t *found, const char *channel_id);
