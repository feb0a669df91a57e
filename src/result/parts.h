/* SPDX-License-Identifier: MIT */
/* Internal to result: the rows of the record's parts. */
#pragma once

#include "result/result.h"

enum result_part_type {
    PART_STRING,
    PART_STRING_OR_NULL,
    PART_INTEGER,
    PART_BOOLEAN,
    PART_OBJECT,    /* of someone else's making: an adapter, a driver */
    PART_ARRAY,
    PART_LIST,      /* an array, or null with the reason in NAME_reason */
    PART_REAL,      /* a number, or null with the reason in NAME_reason */
    PART_STRETCH,   /* {t0_ns, t1_ns}, or null with the reason in NAME_reason */
    PART_QUANTITY,
    PART_ESTIMATES, /* an array of the objects the rows of RESULT_ESTIMATE describe */
};
#define PART_OPTIONAL   64u /* left out where it says nothing; in the first name of a path: the whole part is */
#define RESULT_ESTIMATE "estimate."

struct result_part_row {
    const char *path;
    unsigned type;
    const char *meaning;
};
extern const struct result_part_row result_parts[]; /* ended by a NULL path */

/* Adds properties and required members of the parts to a document's schema, and what they refer to. */
void result_parts_schema(json_t *root, json_t *defs);
/* For people. Static. */
const char *result_part_type_name(unsigned type);
