/* SPDX-License-Identifier: MIT */
/*
 * A whole run of the accuracy harness: boards that nature.h draws are loaded, warmed up and work in one or more
 * repeats, and the product's own account of a run (room account) makes its figures of what a virtual sampler saw. The
 * boards carry a calibration that says that gain and offset are right: what is left of the intervals is the statistical
 * part.
 */
#pragma once

#include "accuracy/trial.h"

/* id, name, what it is held to, what its errors are a share of */
#define FIGURE_ROWS(X)                                                                                                \
    X(ENERGY, "energy", "the energy of the work")                                                                    \
    X(NET, "net", "what of it is above the idle board")                                                              \
    X(TAIL, "tail", "what is drawn after the work above the level at the end of the guard")                           \
    X(LOAD, "load", "the energy of a window without guards: loading")                                       \
    X(WARMUP, "warm-up", "the same of the warm-up")

enum figure {
#define X(id, name, words) FIGURE_##id,
    FIGURE_ROWS(X)
#undef X
        FIGURE_COUNT
};
extern const char *const figure_names[FIGURE_COUNT], *const figure_words[FIGURE_COUNT];

/* id, name, boards, repeats */
#define SHAPE_ROWS(X)                                                                                                 \
    X(ONE, "one board", 1, 1)                                                                                        \
    X(FOUR, "four boards", 4, 1)                                                                                     \
    X(REPEATS, "four repeats with pauses", 1, 4)

enum shape {
#define X(id, name, boards, repeats) SHAPE_##id,
    SHAPE_ROWS(X)
#undef X
        SHAPE_COUNT
};
extern const char *const shape_names[SHAPE_COUNT];

struct figure_found {
    struct quantity found; /* its reason is not kept */
    double truth_j;
};
struct run_outcome {
    struct figure_found figures[FIGURE_COUNT];
};
void run_trial(const struct trial *trial, enum shape shape, struct run_outcome *ret);
