/* SPDX-License-Identifier: MIT */
/* Internal to experiment: which boards of the machine are the run's, and what else it did while the engine worked. */
#pragma once

#include "experiment/internal.h"

struct machine *machine_new(void);
void machine_free(struct machine *machine);
/* Names the boards whose energy is the run's: those it was given; where nobody chose (given NULL) those on which the
 * engine holds memory, else those the environment leaves to it (meter_gpu_visible()), else all. Call it when the engine
 * has loaded. */
void machine_bind_boards(struct machine *machine, struct meter *meter, const struct engine_loaded *loaded,
                         char *const *given);
/* Their devices, ended by NULL; NULL: the run works on none. Borrowed. */
const char *const *machine_boards(const struct machine *machine);
/* Nothing said which of several boards: the energy is of all of them. */
bool machine_boards_assumed(const struct machine *machine);
/* CPU time used so far: of the whole machine, and of the engine and this process. */
struct machine_use machine_use_now(const struct engine_loaded *loaded);
/* Notes who else holds memory of the run's boards now. Takes some milliseconds: outside of guards and window. */
void machine_see_strangers(struct machine *machine, struct meter *meter, const struct engine_loaded *loaded);
/* Flags and figures about other work during the measured block. */
void machine_report(const struct experiment *x, struct result *r);
