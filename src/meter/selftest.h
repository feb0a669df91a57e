/* SPDX-License-Identifier: MIT */
/* Self-consistency without an external meter, and the load for it. Part of the room meter. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct meter;

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
