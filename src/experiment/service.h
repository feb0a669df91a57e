/* SPDX-License-Identifier: MIT */
/* Internal to experiment: token and latency metrics of a measured window, from the engine's token stamps alone. */
#pragma once

#include "engine/engine.h"
#include "experiment/steady.h"
#include "result/result.h"

/* When the batch of a request was released. */
int64_t service_released_ns(const struct engine_generation *g, const struct engine_request *request);

/* The latencies of one request, by the stamps of its tokens; NaN: it has none. */
struct service_times {
    double ttft_s, prefill_s, tpot_s, latency_s;
};
struct service_times service_times(const struct engine_generation *g, const struct engine_request *request);

/* Sets the tokens, latency and throughput rows and window_s. All times are the adapter's own stamps; status is what
 * they are: measured, or simulated where the engine is scripted. pause_ns: what the meter put between repeats, which
 * is in no rate. */
void service_metrics(struct result *r, const struct engine_generation *g, const struct steady *steady,
                     int64_t pause_ns, enum quantity_status status);
