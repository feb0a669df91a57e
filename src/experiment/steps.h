/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the steps of an engine over a stretch of work, from the stamps of its tokens. */
#pragma once

#include "engine/engine.h"

#define STEPS_MOST 10000 /* kept of one stretch: enough for any sensor to be met, and little of a record */

/* Appends to a GArray of int64_t, in ascending order, the stamps of one request behind another: of those at work
 * together the one that began first (the longer of two), whose steps are the engine's, then those that went on when it
 * had ended. So short requests one after the other leave no part of the work without steps. */
void steps_append(GArray *stamps, const struct engine_generation *g);
