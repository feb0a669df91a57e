/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the steady state of load that keeps requests in flight, or begins with all of them. */
#pragma once

#include "engine/engine.h"

struct steady {
    int64_t t0_ns, t1_ns; /* both 0: there was none */
    int64_t tokens_out;   /* put out after t0 and no later than t1 */
    const char *reason;   /* why there was none */
};

/* Begins when as many requests as are let in at once all have their first token, ends when fewer are left than that: of
 * several batches the longest. */
struct steady steady_find(const struct engine_generation *generation, size_t at_once);
/* Of load that hands over all requests at once: while all of them are under way, each past its first token. Of several
 * batches the longest. computed_at_once: as many as the engine says it computes together; 0: it does not say. */
struct steady steady_of_all(const struct engine_generation *generation, size_t computed_at_once);
