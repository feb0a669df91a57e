/* SPDX-License-Identifier: MIT */
/*
 * The monotonic clock of two processes. A moment of the one is a moment of the other where they run on the same boot of
 * one kernel (a container with a kernel of its own does not), and in one time namespace, or in two that are not shifted
 * against each other.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct timebase {
    char boot[64], space[64];  /* boot id and time namespace, as the kernel names them; "": it does not */
    int64_t mono_ns, wall_ns;  /* both clocks at one moment */
};

/* Of this process, now. */
struct timebase timebase_take(void);
/* UNSUPPORTED where moments of `there` (the other process, at any earlier time) are not those of `here`: why, by how
 * much, and what to do. */
bool timebase_check(const struct timebase *there, const struct timebase *here, GError **error);

/* New reference. */
json_t *timebase_json(const struct timebase *base);
/* Errors: DATA. */
bool timebase_parse(const json_t *tree, struct timebase *ret, GError **error);
