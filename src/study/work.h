/* SPDX-License-Identifier: MIT */
/* Internal to study: the prompts of a run, picked here so that the worker needs nothing but its exchange file. */
#pragma once

#include "config/config.h"
#include "exchange/exchange.h"
#include "workload/workload.h"

/* The data sets read so far, by path: a study reads each once. */
struct library;

struct library *library_new(void);
void library_free(struct library *library);
/* Fills in the work of an experiment: the n measured prompts in their order, and others for the warm-up. Errors: those of
 * the data set. */
bool library_work(struct library *library, const struct config *config, struct exchange *ret, GError **error);
/* The file or folder of the experiment's model; path NULL where the engine makes its own. Errors: as
 * workload_model_resolve(). */
bool work_model(const struct config *config, struct workload_resolved *ret, GError **error);
