/* SPDX-License-Identifier: MIT */
/* Internal to result: the rows of the record's parts. */
#pragma once

#include "result/result.h"

enum result_part_type {
    RESULT_TEXT,
    RESULT_TEXT_OR_NULL,
    RESULT_INTEGER,
    RESULT_BOOLEAN,
    RESULT_OBJECT, /* of someone else's making: an adapter, a driver */
    RESULT_LIST,
    RESULT_LIST_OR_NULL, /* a list, or null with the reason in NAME_reason */
    RESULT_REAL,         /* a number, or null with the reason in NAME_reason */
    RESULT_STRETCH,      /* {t0_ns, t1_ns}, or null with the reason in NAME_reason */
    RESULT_QUANTITY,
    RESULT_ESTIMATES, /* a list of the objects that the rows `estimate.*` describe */
};

enum result_part_need {
    RESULT_REQUIRED,
    RESULT_OPTIONAL, /* left out where it says nothing; in the first name of a path: the whole part is */
};

struct result_part_row {
    const char *path;
    enum result_part_type type;
    enum result_part_need need;
    const char *meaning;
};
extern const struct result_part_row result_parts[PART_COUNT];

/* A row of the objects of energy.scopes, not of the record itself. */
bool result_part_is_estimate(const struct result_part_row *row);
/* Null is a value of it, with the reason beside it. */
bool result_part_may_be_null(const struct result_part_row *row);

/* What stands in a part: a value, or null and why; neither: it was never put. */
struct result_value {
    json_t *value;
    const char *reason;
};
/* Adds the parts to a record, in the order of the rows. */
void result_parts_write(json_t *root, const struct result_value *values);

/* Adds properties and required members of the parts to a document's schema, and what they refer to. */
void result_parts_schema(json_t *root, json_t *defs);
/* For people. Static. */
const char *result_part_type_name(enum result_part_type type);
