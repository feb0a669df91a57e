/* SPDX-License-Identifier: MIT */
/*
 * report: what a study says, for people. Reads frames (room analysis) and records, never live objects.
 *
 * Calling sequence: fill a frame from run folders, then report_table().
 * Ownership: everything handed in is borrowed during the call; returned text is new. Threading: no state.
 */
#pragma once

#include "analysis/analysis.h"

struct report_options {
    const char *columns; /* ids separated by commas; NULL: the usual ones */
    const char *sort;    /* an id of a column; NULL: the usual order */
    size_t width;        /* of a line; 0: unlimited */
};

/* False: a column is not known, or nothing can be sorted by it (USAGE, with what there is). */
bool report_options_check(const struct report_options *options, GError **error);
/* The section of docs/results.md on columns. New string. */
char *report_reference(void);

/* The table with its notes: what the energy column is, why it is not measured and what would give a measured value,
 * what may not be compared, which runs failed and why. Options must have passed the check. Every line ends in a
 * newline. */
char *report_table(const struct frame *frame, const struct report_options *options);

/* One run: what was run, its figures with interval, status and origin, what is absent and why, flags and warnings; of a
 * failed run what went wrong. name is its folder's, record a loaded result or error record. width as above. */
char *report_record(const char *name, const json_t *record, size_t width);
