/* SPDX-License-Identifier: MIT */
/*
 * answer: what the answer of a worker in the place of runs (llem-worker --probe), or its failure, comes to. Pure: what
 * it said, what was asked for, and how much it matters go in; a verdict and words come out.
 */
#pragma once

#include "preflight/preflight.h"

/* How much a run needs boards. */
enum answer_need { ANSWER_NEVER, ANSWER_MAY, ANSWER_NEEDS };

struct answer {
    const json_t *found;    /* NULL: it said nothing */
    const GError *error;    /* NULL: it ended as it should */
    const char *const *asked; /* UUIDs of the boards that the place was given, as far as NULL; NULL: none */
    enum answer_need need;
    const char *image_glibc; /* what the image's own loader says of itself, where the worker could not start; or NULL */
};

/* Each fills in verdict, text and, where there is one, hint (new strings). Where the answer has nothing to say on a
 * subject because the worker never got so far, the verdict is PREFLIGHT_ABSENT: another finding says why. */
struct answer_verdict {
    enum preflight_verdict verdict;
    char *text, *hint;
};
void answer_verdict_clear(struct answer_verdict *verdict);

/* Did the worker start and end there? */
void answer_start(const struct answer *answer, struct answer_verdict *ret);
/* The C library of the place, against what worker and engine need: both numbers. */
void answer_glibc(const struct answer *answer, struct answer_verdict *ret);
/* The engine, and its version. */
void answer_engine(const struct answer *answer, struct answer_verdict *ret);
/* The boards that are visible are those that were asked for. */
void answer_boards(const struct answer *answer, struct answer_verdict *ret);
/* CUDA starts there. */
void answer_cuda(const struct answer *answer, struct answer_verdict *ret);
/* What nvidia-smi says there: evidence. */
void answer_smi(const struct answer *answer, struct answer_verdict *ret);

/* The newest "GLIBC_2.34" that a text names, as "2.34"; NULL: none. New string. */
char *answer_needed_glibc(const char *text);
