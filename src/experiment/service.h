/* SPDX-License-Identifier: MIT */
/* Internal to experiment: token and latency metrics of a measured window, from the engine's token stamps alone. */
#pragma once

#include "engine/engine.h"
#include "result/result.h"

/* Sets the tokens, latency and throughput rows and window_s. All times are the adapter's own stamps; status is what
 * they are: measured, or simulated where the engine is scripted. */
void service_metrics(struct result *r, const struct engine_generation *g, enum quantity_status status);
/* All gaps between successive tokens, ns; gaps inside a merged chunk are left out. New array of int64_t. */
GArray *service_token_gaps(const struct engine_generation *g);
/* When a request was admitted: the engine's scheduled stamp, else the release of its batch. */
int64_t service_admitted_ns(const struct engine_generation *g, const struct engine_request *request);
