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
/* Which rows a document has. */
typedef bool result_parts_filter(const struct result_part_row *row);
/* Of result.json: all. */
bool result_parts_all(const struct result_part_row *row);
/* A record in the making. */
struct result {
    json_t *root;
    json_t *warnings, *flags; /* borrowed from root */
    struct quantity metrics[METRIC_COUNT];
    bool set[METRIC_COUNT];
    struct result_value parts[PART_COUNT];
    GStringChunk *strings; /* keeps the words of quantities alive as long as the record */
};
/* A figure with its unit. New reference. */
json_t *result_metric_json(const struct result *r, enum result_metric metric);

/* Adds the parts to a document, in the order of the rows. */
void result_parts_write(json_t *root, const struct result_value *values, result_parts_filter *takes);

/* Adds properties and required members of the parts to a document's schema, and what they refer to. */
void result_parts_schema(json_t *root, json_t *defs, result_parts_filter *takes);
/* --- documents of this room ---------------------------------------------------------------------------------------- */

/* What every document begins with, for its schema; NULL $defs are made. */
json_t *result_document_schema(const char *title, const char *schema);
/* Flags, what they mean, warnings. */
void result_doubts_schema(json_t *root);
/* A figure by its row. */
json_t *result_metric_schema(enum result_metric metric);

/* Doubts that joining raises. X(code, flag, meaning) */
#define RESULT_FLAG_ROWS(X)                                                                                            \
    X(HOST_ENERGY_UNUSABLE, "host_energy_unusable",                                                                    \
      "host_energy.json beside the result is damaged or not of this run: its figures are not in here")                 \
    X(HOST_ENERGY_MISSING, "host_energy_missing",                                                                      \
      "sensors of the host were read beside the worker, and host_energy.json, which has the figures, is not there")

/* Joins host_energy.json where it lies in the folder; what is wrong with it is said in the record. */
void result_host_join_file(json_t *record, const char *run_dir);

/* For people. Static. */
const char *result_part_type_name(enum result_part_type type);
