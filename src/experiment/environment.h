/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the machine a run took place on, for environment.json. */
#pragma once

#include "meter/meter.h"

/* Host, kernel, CPU, governor, clock source, memory, GPUs. A fact that cannot be read is null, with its reason beside
 * it ("…_reason"). New reference. */
json_t *environment_collect(struct meter *meter);
