/* SPDX-License-Identifier: MIT */
/* Internal to runner: the rows of runner.c, and what they need to be made. */
#pragma once

#include "runner/runner.h"

extern const struct runner_ops runner_local, runner_docker, runner_podman;
