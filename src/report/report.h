/* SPDX-License-Identifier: MIT */
/*
 * report: what a study says, from its records alone. Reads results, never live objects.
 *
 * Calling sequence: fill a struct report_study from run folders, then report_table().
 * Ownership: everything handed in is borrowed during the call; returned text is new. Threading: no state.
 */
#pragma once

#include "base/base.h"
#include "store/store.h"

struct report_run {
    int index, cycle;
    const json_t *levels;  /* {"axis path": level}; the same keys in the same order in every run; may be empty */
    const json_t *record;  /* a loaded result, or NULL */
    enum store_state state;
    const char *message;   /* why, where it is not ok */
};

struct report_study {
    const char *name;
    int n_cycles;
    const struct report_run *runs;
    size_t n_runs;
};

/* The table with its notes: what the energy column is, why it is not measured and what would give a measured value,
 * which runs failed and why. width 0: unlimited. Every line ends in a newline. */
char *report_table(const struct report_study *study, size_t width);

/* One run: what was run, its figures with interval, status and origin, what is absent and why, flags and warnings; of a
 * failed run what went wrong. name is its folder's, record a loaded result or error record. width as above. */
char *report_record(const char *name, const json_t *record, size_t width);
