/* SPDX-License-Identifier: MIT */
/* Internal to cli: who runs the runs, for `llem run`, `llem plan` and `llem doctor`. */
#pragma once

#include "dispatch/dispatch.h"
#include "sweep/sweep.h"

#include <stdio.h>

/* Who runs what of a plan (NULL: of no study), with the worker that is there; where there is none, with the place it
 * should be at: its own check says so. What is wrong is said on stderr; then NULL. study: its name, or NULL. */
struct dispatch *cli_dispatch_new(const struct plan *plan, const char *study);
/* The same without starting engines to see whether they start. */
struct dispatch *cli_dispatch_new_unsettled(const struct plan *plan, const char *study);
/* The same for whoever looks at the machine, and says of each engine whether it starts. */
struct dispatch *cli_dispatch_new_to_look(const struct plan *plan, const char *study);
/* The same of one configuration, whose engine is not started here to see. */
struct dispatch *cli_dispatch_new_of(const struct config *config);
/* One line an engine: its runner, its image, who chose it. */
void cli_dispatch_print(const struct dispatch *dispatch, FILE *to);
/* The same as a list. New reference. */
json_t *cli_dispatch_json(const struct dispatch *dispatch);
