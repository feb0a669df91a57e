/* SPDX-License-Identifier: MIT */
/* The part of concurrent load in which as many requests as asked for were under way, by the stamps of their tokens. */
#include "experiment/steady.h"

#include <stdlib.h>

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Requests of one batch, next to each other. */
struct load_batch {
    const struct engine_request *requests;
    size_t n;
};

/* From when each of the first `at_once` has its first token, until fewer than `at_once` are left. */
static struct steady stretch_of(const struct load_batch *batch, size_t at_once)
{
    struct steady s = {0};
    if (batch->n <= at_once)
        return s;
    g_autofree int64_t *ends = g_new(int64_t, batch->n);
    for (size_t i = 0; i < batch->n; i++) {
        const struct engine_request *q = &batch->requests[i];
        ends[i] = q->stamps_ns[q->n_out - 1];
        if (i < at_once)
            s.t0_ns = MAX(s.t0_ns, q->stamps_ns[0]);
    }
    qsort(ends, batch->n, sizeof *ends, by_time);
    s.t1_ns = ends[batch->n - at_once];
    return s;
}

static int64_t tokens_in(const struct load_batch *batch, const struct steady *s)
{
    int64_t n = 0;
    for (size_t i = 0; i < batch->n; i++)
        for (size_t k = 0; k < batch->requests[i].n_out; k++)
            n += batch->requests[i].stamps_ns[k] > s->t0_ns && batch->requests[i].stamps_ns[k] <= s->t1_ns;
    return n;
}

/* All of a batch are under way from when the last of them has its first token, until the first of them ends. */
static struct steady stretch_of_all(const struct load_batch *batch)
{
    struct steady s = {.t1_ns = INT64_MAX};
    for (size_t i = 0; i < batch->n; i++) {
        const struct engine_request *q = &batch->requests[i];
        s.t0_ns = MAX(s.t0_ns, q->stamps_ns[0]);
        s.t1_ns = MIN(s.t1_ns, q->stamps_ns[q->n_out - 1]);
    }
    return s;
}

struct steady steady_of_all(const struct engine_generation *g, size_t computed_at_once)
{
    struct steady best = {0};
    struct load_batch batch = {0};
    for (size_t from = 0; from < g->n_requests; from += batch.n) {
        batch = (struct load_batch){&g->requests[from], 0};
        while (from + batch.n < g->n_requests && batch.requests[batch.n].batch == batch.requests[0].batch)
            batch.n++;
        if (computed_at_once > 0 && batch.n > computed_at_once)
            return (struct steady){.reason = "the engine computes fewer requests at once than there are: the others wait"};
        struct steady s = stretch_of_all(&batch);
        if (s.t1_ns - s.t0_ns <= best.t1_ns - best.t0_ns)
            continue;
        best = s;
        best.tokens_out = tokens_in(&batch, &best);
    }
    if (best.t1_ns <= best.t0_ns)
        best = (struct steady){.reason = "a request ended before each had its first token"};
    return best;
}

struct steady steady_find(const struct engine_generation *g, size_t at_once)
{
    struct steady best = {0};
    struct load_batch longest = {0}, batch = {0};
    for (size_t from = 0; from < g->n_requests; from += batch.n) {
        batch = (struct load_batch){&g->requests[from], 0};
        while (from + batch.n < g->n_requests && batch.requests[batch.n].batch == batch.requests[0].batch)
            batch.n++;
        struct steady s = stretch_of(&batch, at_once);
        if (s.t1_ns - s.t0_ns <= best.t1_ns - best.t0_ns)
            continue;
        best = s;
        longest = batch;
    }
    if (best.t1_ns > best.t0_ns)
        best.tokens_out = tokens_in(&longest, &best);
    else
        best = (struct steady){.reason = g->n_requests > at_once
                                             ? "the requests ran out before each of the first had its first token"
                                             : "all requests were in flight from the beginning: none waited to join"};
    return best;
}
