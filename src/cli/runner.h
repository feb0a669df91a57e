/* SPDX-License-Identifier: MIT */
/* Internal to cli: who runs the runs, for `llem run`, `llem plan` and `llem doctor`. */
#pragma once

#include "runner/runner.h"

/* The default runner with the worker that is there; where there is none, with the place it should be at: its own check
 * says so. */
struct runner *cli_runner_new(void);
