/* SPDX-License-Identifier: MIT */
/*
 * A number or a reason. Every figure llem reports is one of these: it was measured, modelled or simulated, or it is
 * absent and says why. A zeroed struct is "absent" without a reason, which quantity_json() refuses: no figure can
 * become a silent 0.
 */
#pragma once

#include <jansson.h>

/* W per busy core of the CPU-time model where nobody states a range: thermal design power over cores of current parts,
 * from EPYC 9754 (360 W / 128 = 2.8 W) to Core i9-13900K (253 W / 24 = 10.5 W), with a margin. */
#define MODELLED_LOW_W  2.5
#define MODELLED_HIGH_W 12

enum quantity_status {
    QUANTITY_ABSENT = 0,
    QUANTITY_MEASURED,
    QUANTITY_MODELLED,  /* from a model with stated assumptions, never from a sensor of the quantity */
    QUANTITY_SIMULATED, /* from a simulated sensor: tests only */
    QUANTITY_STATUS_COUNT
};

/* Strings are borrowed: static, or owned by whoever owns the struct. */
struct quantity {
    enum quantity_status status;
    double value;       /* meaningless when absent */
    double low, high;   /* 95 % interval of the value; both NaN when none is stated */
    const char *reason; /* absent: why, and what to do about it; else NULL or a remark */
    const char *method; /* how it was obtained, e.g. "padded_counter"; NULL when there is nothing to say */
    const char *sensor; /* which sensor or source; NULL when none */
};

const char *quantity_status_name(enum quantity_status status);
int quantity_status_from_name(const char *name); /* or -1 */

struct quantity quantity_absent(const char *reason);
struct quantity quantity_of(enum quantity_status status, double value, const char *method, const char *sensor);
/* A value with something to say of it. */
struct quantity quantity_remarked(enum quantity_status status, double value, const char *method, const char *remark);

/* {"status": …, "value": …|null, "low":…, "high":…, "reason": …, "method": …, "sensor": …}; members that say nothing
 * are left out. A value that is not finite becomes absent with that as its reason. */
json_t *quantity_json(const struct quantity *q);
/* Reads one back; strings stay borrowed from the tree. False when the tree is not a quantity. */
int quantity_from_json(const json_t *tree, struct quantity *ret);
