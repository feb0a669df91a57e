/* SPDX-License-Identifier: MIT */
/* Internal to preflight: the rows of checks, and what a probe is given. */
#pragma once

#include "backend/backend.h"
#include "preflight/preflight.h"
#include "workload/workload.h"

/* A thing that a check asks about. */
struct preflight_question {
    struct preflight *preflight;
    const struct config *config; /* the first cell that asks; NULL: asked of the machine */
    const char *about;           /* the key */
};

struct preflight_check {
    const char *id;     /* "engine.adapter" */
    const char *why;    /* what goes wrong without it */
    const char *remedy; /* what to do, where the probe has nothing more exact to say */
    bool thorough;      /* takes its time: asked by `llem doctor` alone */
    bool evidence;      /* shown, and no verdict: it is neither an error nor a warning */
    /* The nth thing that the check asks about for a configuration (NULL: of the machine); equal keys are one thing.
     * Words for people, since findings show them. NULL: nothing (more). New string. */
    char *(*key)(struct preflight *p, const struct config *config, size_t nth);
    /* Fills in verdict, text and, where it can, hint and place; what it is given is OK without a text. */
    void (*probe)(const struct preflight_question *q, struct preflight_finding *ret);
};

/* Tables ended by {0}, in the order of asking. */
extern const struct preflight_check preflight_store_rows[];
extern const struct preflight_check preflight_runner_rows[];
extern const struct preflight_check preflight_engine_rows[];
extern const struct preflight_check preflight_work_rows[];
extern const struct preflight_check preflight_sensor_rows[];
extern const struct preflight_check preflight_boards_rows[];
extern const struct preflight_check preflight_container_rows[];
extern const struct preflight_check preflight_gpu_rows[];
/* The tables themselves, ended by NULL. A test puts its own in their place. */
extern const struct preflight_check *const preflight_tables[];
/* Those with rows that refuse a cell for what it says itself, whatever the machine is like. */
extern const struct preflight_check *const preflight_cell_tables[];

/* With other tables than preflight_tables. */
struct preflight *preflight_new_with(const struct preflight_options *options,
                                     const struct preflight_check *const *tables);

/* Asks the rows of some tables about a cell, up to the first finding that refuses it; NULL: none does. */
const struct preflight_finding *preflight_first_refusal(struct preflight *p,
                                                        const struct preflight_check *const *tables,
                                                        const struct config *config);

const struct preflight_options *preflight_options_of(const struct preflight *p);
/* What ends a probe that takes long; -1: nothing. */
int preflight_interrupt_fd(const struct preflight *p);
/* Room for what place.c keeps, NULL at first, and how it is freed. */
void **preflight_places(struct preflight *p, GDestroyNotify free);
/* The folder that is there already on the way to one that may not be. New string. */
char *preflight_nearest_folder(const char *path);
/* The data sets read so far. */
struct workload_library *preflight_library(struct preflight *p);

/* What a model's name comes to, looked up once: its file is read for it. */
struct preflight_model {
    GError *error; /* or NULL */
    char *path;    /* or NULL: the engine makes its own */
    int64_t context_length;
    bool adds_no_special; /* its tokenizer puts no tokens around a text */
};
const struct preflight_model *preflight_model(struct preflight *p, const struct config *config);
/* "m.gguf for llamacpp, precision bf16": the same for cells that need the same model. New string. */
char *preflight_model_name(const struct config *config);
/* The engine of a cell; NULL where it is not there, which is a finding of its own. */
const struct backend *preflight_backend(const struct config *config);

/* Sets verdict, place (NULL: none) and text of a finding. */
void preflight_find(struct preflight_finding *ret, enum preflight_verdict verdict, const struct diag_span *at,
                    const char *format, ...) G_GNUC_PRINTF(4, 5);
