/* SPDX-License-Identifier: MIT */
/*
 * analysis: the records of many runs side by side. A frame holds of each run its figures, its levels, what makes it
 * comparable, and its doubts, in less than 2.5 kB; records go in one by one and need not be kept. On it stand the
 * groups of runs that may be compared, the order of a table, and the notes that belong below it.
 *
 * Calling sequence: frame_new() → frame_add() for each run, in the order of the plan → frame_group(), frame_mean(),
 * frame_order(), frame_notes(), in any order → frame_free().
 * Ownership: what is handed in is borrowed during the call. Strings that come out belong to the frame; arrays are new.
 * Threading: one thread at a time.
 */
#pragma once

#include "result/result.h"

struct frame;

struct frame_run {
    int index, cycle;
    const json_t *levels; /* {"axis path": level}; NULL or empty: nothing was varied */
    const char *state;    /* "ok", "failed", "lost", … */
    const char *message;  /* why, where the state is not "ok"; else NULL */
};

struct frame *frame_new(void);
void frame_free(struct frame *frame);
typedef struct frame owned_frame;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_frame, frame_free)

/* Names an axis before its runs come, so that axes have the order of the plan; else the order in which they appear. */
void frame_add_axis(struct frame *frame, const char *path);
/* record: a loaded result; NULL: there is none. */
void frame_add(struct frame *frame, const struct frame_run *run, const json_t *record);

/* --- What is in it (runs are numbered from 0, as they were added) ---------------------------------------------------- */

size_t frame_count(const struct frame *frame);
int frame_index(const struct frame *frame, size_t run); /* as handed in: how people are told of it */
int frame_cycle(const struct frame *frame, size_t run);
const char *frame_state(const struct frame *frame, size_t run);
bool frame_has_record(const struct frame *frame, size_t run);
/* Axes of all runs, in the order in which they came. */
size_t frame_axes(const struct frame *frame);
const char *frame_axis(const struct frame *frame, size_t axis);
/* The level as text; NULL: the run has none on this axis. */
const char *frame_level(const struct frame *frame, size_t run, size_t axis);
/* Runs with the same levels are of one cell; numbered from 0. */
size_t frame_cell(const struct frame *frame, size_t run);
/* Absent where there is no record. */
struct quantity frame_metric(const struct frame *frame, size_t run, enum result_metric metric);
/* Half-widths of the 95 % intervals of the energy that counts, relative to it; NaN: none is stated (a model has a
 * range). */
struct frame_parts {
    double statistical, systematic;
    const char *source; /* of the systematic part, or NULL */
    bool calibrated;
};
struct frame_parts frame_parts(const struct frame *frame, size_t run);

/* --- What may be compared -------------------------------------------------------------------------------------------- */

enum frame_rule {
    FRAME_REFUSE,  /* runs that differ are not compared */
    FRAME_FACTOR,  /* a sweep may vary it: runs of different cells may differ, runs of one cell not */
    FRAME_ENGINE,  /* it comes with the engine, which a sweep may vary: runs of different engines may differ */
    FRAME_UNSWEPT, /* a factor that no sweep can vary yet: runs that differ are not compared */
    FRAME_WARN,    /* runs that differ are compared, with a word about it */
};
const char *frame_rule_name(enum frame_rule rule); /* "refuse", … */

/* A build with further rows (unit.rows: a row is all there is to add) has them here. */
#ifndef FRAME_MORE_KEYS
#define FRAME_MORE_KEYS(X)
#endif

/* code, id, where it stands in a record, rule, what differs in words ("… differ between runs"), why it matters */
#define FRAME_KEYS(X)                                                                                                  \
    X(SCHEMA, "schema", "schema", REFUSE, "the meaning of the figures",                                                \
      "measurand and denominators are those of the record's schema")                                                   \
    X(STATUS, "status", "metrics.joules_per_output_token.status", REFUSE, "the kinds of energy",                       \
      "measured, modelled and simulated energies are three different things, and none is a fourth")                    \
    X(SCOPE, "scope", "energy.scope", REFUSE, "the scopes of the energy", "unlike scopes are never added or compared")  \
    X(DEVICES, "devices", "machine.devices", REFUSE, "the kinds of devices that compute",                              \
      "a board's energy is all of the work's only where no part of it is done on the CPU")                             \
    X(BOARDS, "boards", "machine.boards, environment", REFUSE, "number or kind of boards",                             \
      "another board is another machine; without boards the processor counts")                                         \
    X(INPUT, "input", "workload.input_ids_sha256", REFUSE, "the token ids in", "equal work: the same input")           \
    X(OUTPUT, "output", "workload.output_tokens", REFUSE, "the tokens out", "equal work: the same number of tokens out") \
    X(COMPUTED, "computed", "metrics.tokens_in_computed", REFUSE, "the tokens computed",                               \
      "equal work: tokens of a prefix cache are not computed; per repeat")                                             \
    X(STOP, "stop", "config.decoder.ignore_eos", REFUSE, "the rule by which an answer ends", "equal work: the same end") \
    X(ORDER, "order", "config.dataset_order", REFUSE, "the order of the prompts", "neighbours share caches and batches") \
    X(SEED, "seed", "config.random_seed", REFUSE, "the seeds", "another seed is another sample")                       \
    X(LOAD, "load", "config.load", FACTOR, "the modes of load", "equal unless swept: what is computed together follows from it") \
    X(ENGINE, "engine", "engine.backend, engine.name", FACTOR, "the engines", "equal unless swept")                    \
    X(VERSION, "engine_version", "engine.version", ENGINE, "the versions of an engine", "no sweep varies them alone")  \
    X(ADAPTER, "adapter_version", "engine.adapter_version", ENGINE, "the versions of an adapter",                      \
      "no sweep varies them alone")                                                                                    \
    X(WEIGHTS, "weights", "config.model, model", FACTOR, "the weights", "equal unless swept")                          \
    X(PRECISION, "precision", "config.precision", FACTOR, "the precisions", "equal unless swept")                      \
    X(RESOLVED, "resolved", "engine.resolved", FACTOR, "the options as the engine resolved them",                      \
      "kernels, KV types and batch limits: equal unless swept, or following from what was")                            \
    X(SUBSTITUTED, "substituted", "engine.substitutions", FACTOR, "what the engine used instead", "equal unless swept") \
    X(POWER_LIMIT, "power_limit", "environment.gpus.devices[].power_limit_enforced_mw", UNSWEPT, "the power limits",   \
      "of the run's boards")                                                                                           \
    X(ECC, "ecc", "environment.gpus.devices[].ecc_mode", UNSWEPT, "the ECC modes", "of the run's boards")              \
    X(PERSISTENCE, "persistence", "environment.gpus.devices[].persistence_mode", UNSWEPT, "the persistence modes",     \
      "of the run's boards")                                                                                           \
    X(DRIVER, "driver", "environment.gpus.driver_version", UNSWEPT, "the drivers", "scheduling, clocks and sensors are its") \
    X(GOVERNOR, "governor", "environment.cpu.governor", UNSWEPT, "the CPU governors", "clocks of the host")            \
    X(CPU, "cpu", "environment.cpu.model", UNSWEPT, "the processors", "the host feeds the boards")                     \
    X(ALLOWED, "cpus_allowed", "environment.cpu.allowed", UNSWEPT, "the CPUs allowed", "pinning: other caches, other clocks") \
    X(QUOTA, "cpu_quota", "environment.cpu.quota_cpus", UNSWEPT, "the quotas of CPU time", "a quota holds the engine back")   \
    X(HUGEPAGES, "huge_pages", "environment.memory.transparent_hugepages", WARN, "the huge pages",                     \
      "how memory is mapped changes its speed")                                                                        \
    X(VARIABLES, "variables", "environment.variables", WARN, "the variables of runtimes",                              \
      "they change the work: see environment.variables")                                                               \
    X(UUID, "board", "machine.boards", WARN, "the boards themselves",                                                  \
      "the gain of a sensor cancels on one board only; between two of a kind both gains and the boards' spread (8 % "  \
      "unless measured) count")                                                                                        \
    X(THROTTLED, "throttled", "metrics.throttle_s", WARN, "the limits that held clocks down",                           \
      "a board that is throttled in one run only does the work at another point")                                      \
    X(METHOD, "method", "metrics.joules_per_output_token.method", WARN, "the estimators", "another estimator has other errors") \
    X(CLASS, "sensor_class", "energy.scopes[0].systematic.class", WARN, "the kinds of sensor", "another sensor has other errors") \
    X(ESTIMATOR, "estimator_version", "energy.estimator_version", WARN, "the versions of the estimator",               \
      "the same readings would give another number")                                                                   \
    X(CALIBRATION, "calibration", "energy.scopes[0].systematic.calibration", WARN, "the calibrations",                 \
      "what remains of the sensor's gain differs")                                                                     \
    X(ANSWER, "output_ids", "workload.output_ids_sha256", WARN, "the answers",                                         \
      "other token ids came out for the same work: quality may differ")                                                \
    FRAME_MORE_KEYS(X)

/* Runs whose work began at temperatures further apart than this are compared with a word about it. */
#define FRAME_START_SPAN_K 5

enum frame_key {
#define X(code, id, path, rule, words, why) FRAME_KEY_##code,
    FRAME_KEYS(X)
#undef X
        FRAME_KEY_COUNT
};
struct frame_key_row {
    const char *id, *path;
    enum frame_rule rule;
    const char *words, *why;
};
const struct frame_key_row *frame_key_row(enum frame_key key);
/* The value of a key as text, a long one by its digest; NULL: the record has none. */
const char *frame_key_text(const struct frame *frame, size_t run, enum frame_key key);
/* The group of runs a run may be compared with, numbered from 0 in the order of their first runs; -1: it has no
 * record. */
int frame_group(const struct frame *frame, size_t run);
/* The first key for which two runs are in different groups; -1: they are in one, or one of them has no record. */
int frame_difference(const struct frame *frame, size_t a, size_t b);
/* The mean of a metric over the runs of one cell in one group, which is all that is ever averaged: absent unless each
 * of them has it with the same status. low and high are those of the runs' spread (95 %, Student's t), NaN below
 * two. */
struct quantity frame_mean(const struct frame *frame, size_t cell, int group, enum result_metric metric);

/* --- Tables ---------------------------------------------------------------------------------------------------------- */

/* What the energies of the runs are. */
struct frame_energy {
    size_t n[QUANTITY_STATUS_COUNT]; /* runs by status of joules_per_output_token */
    bool sensors;                    /* some energy is of a sensor: its uncertainty has two parts, never blended */
    bool kinds_differ;               /* not all energies have one status */
    enum quantity_status status;     /* the one all runs with energy share; ABSENT: there is none, or they differ */
    const char *scope;               /* of the first run with energy, or NULL */
    bool scopes_differ;
};
struct frame_energy frame_energy(const struct frame *frame);
/* The scope of a run's energy in words. */
const char *frame_scope(const struct frame *frame, size_t run);

/* Runs in the order of a table, best first; new array of size_t. Groups stay together, in them cells, by their means;
 * runs without the figure are last, as they were added. metric METRIC_COUNT: by J/token where it is measured or
 * simulated, else by tokens/s. A modelled figure is never sorted on: its runs count as without it. */
GArray *frame_order(const struct frame *frame, int metric);

/* What is to be said below a table. */
struct frame_note {
    const char *kind; /* "scope", "unequal_work", "flag", … */
    const char *name; /* of a flag or source; else NULL */
    GArray *runs;     /* int: the indices it holds for; empty: for all */
    char *text;       /* one sentence or more for people, without the runs unless they are its subject */
};
/* New array of struct frame_note *, in the order in which they are told; free with g_ptr_array_unref(). */
GPtrArray *frame_notes(const struct frame *frame);
/* A note as one line: name, runs and text as they belong together. New string. */
char *frame_note_line(const struct frame_note *note);

/* The section of docs/results.md on what is compared. New string. */
char *frame_reference(void);
