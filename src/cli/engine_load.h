/* SPDX-License-Identifier: MIT */
/* Any engine as a load for tests of sensors. */
#pragma once

#include "meter/meter.h"

struct engine_load_options {
    const char *engine;      /* its name: "llamacpp" */
    const char *model_path;  /* NULL: it needs none */
    const char *precision;   /* NULL: the adapter's default */
    char *const *settings;   /* KEY=VALUE, NULL-terminated; or NULL */
};

/* Starts the engine and loads the model. Its work is one request after another of so many output tokens each, told by
 * the engine's own stamps. Errors: those of the rooms backend and engine, USAGE (settings), UNSUPPORTED (too slow to be
 * switched on and off). */
struct meter_load *engine_load_new(const struct engine_load_options *options, GError **error);
