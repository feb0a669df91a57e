/* SPDX-License-Identifier: MIT */
/*
 * experiment: the orchestrator of ONE experiment; what llem-worker is. Knows one configuration, one engine, the
 * sensors of this machine, and nothing of studies.
 *
 * It goes through the phases of the table in experiment.c in order: configuration, sensors, idle before the engine,
 * engine start, load, tokenize, warm-up, idle with the engine loaded, the measured window between its guards, memory,
 * engine stop, estimate. Beside its configuration file it leaves {hash}_result.json or {hash}_error.json, and
 * trace.csv.gz, environment.json, engine.log, progress.jsonl. A result is complete or absent.
 *
 * Calling sequence: block the signals (interrupt_open()), become a subreaper, experiment_run(). Threading: one at a
 * time in a process; it starts the sampler's threads.
 */
#pragma once

#include "base/base.h"

/* False when the experiment failed: error says why, and an error record was written if that was possible. */
bool experiment_run(const char *config_path, int interrupt_fd, GError **error);

/* What a worker finds where it is (llem-worker --probe), as one JSON object that is printed. config_path: the exchange
 * file, of which the engine is looked at too; the answer lies beside it as {hash}_probe.json, written again after each
 * part, so that something is known of a place where something else hangs. NULL: there is no engine to look at.
 * Errors: those of the exchange file and of writing. */
bool experiment_probe(const char *config_path, int interrupt_fd, GError **error);
/* Prints "CODE VERSION" of the CUDA driver as programs find it; nothing where there is none. What experiment_probe()
 * starts, since a driver that is not in order may end or hold whoever asks it. */
void experiment_probe_cuda(void);
