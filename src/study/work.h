/* SPDX-License-Identifier: MIT */
/* Internal to study: the prompts of a run, picked here so that the worker needs nothing but its exchange file. */
#pragma once

#include "config/config.h"
#include "exchange/exchange.h"
#include "workload/workload.h"

/* Fills in the work of an experiment: the n measured prompts in their order, and others for the warm-up. Errors: those of
 * the data set. */
bool work_fill(struct workload_library *library, const struct config *config, struct exchange *ret, GError **error);
