/* SPDX-License-Identifier: MIT */
/* Internal to experiment: whether the engine could go on working all the time. A thread looks ten times a second at
 * the state of its processes, the quota of its control group, the pressure on memory and the clocks; what that says of
 * the window is judged afterwards, together with the stamps of the tokens. */
#pragma once

#include "experiment/internal.h"

/* From before the guard until after it. */
struct watch *watch_begin(const struct engine_loaded *loaded);
void watch_end(struct watch *watch);
void watch_free(struct watch *watch); /* NULL is fine; ends it */
/* Pauses in the window, their flag, and what the host counted meanwhile. */
void watch_report(const struct block *block, struct result *r);
