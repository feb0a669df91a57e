/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the state of CPUs and boards that makes two runs of the same work unlike. */
#pragma once

#include "experiment/internal.h"

/* Clocks, governors and thermal events of the CPUs that the engine may use, now. A read for each: outside of the work.
 * $LLEM_SYSROOT stands before /sys, as for the sensors. */
void cpu_state_take(const struct engine_loaded *loaded, struct cpu_state *ret);
json_t *cpu_states_json(const struct cpu_state *start, const struct cpu_state *end);
/* Adds to a board's object its temperature, clock and throttling as warm-up and work left them. */
void board_state_add(const struct sensors *sensors, const struct energy_window *window, const char *uuid, json_t *tree);
