/* SPDX-License-Identifier: MIT */
/* Internal to study: what the worker of a run is told, its prompts among it, so that it needs nothing but its exchange
 * file. */
#pragma once

#include "dispatch/dispatch.h"
#include "exchange/exchange.h"
#include "store/store.h"
#include "workload/workload.h"

/* Fills in all that follows from the run and its configuration: not the runner, and not who else is at work. False with
 * why the run cannot be done here. */
bool work_fill(const struct store *store, size_t run, const struct config *config, struct workload_library *library,
               const struct dispatch *dispatch, struct exchange *ret, GError **error);
