/* SPDX-License-Identifier: MIT */
/* Internal to cli: who runs the runs, for `llem run`, `llem plan` and `llem doctor`. */
#pragma once

#include "dispatch/dispatch.h"
#include "sweep/sweep.h"

/* Who runs what of a plan (NULL: of no study), with the worker that is there; where there is none, with the place it
 * should be at: its own check says so. What is wrong is said on stderr; then NULL. study: its name, or NULL. */
struct dispatch *cli_dispatch_new(const struct plan *plan, const char *study);
