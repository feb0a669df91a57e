/* SPDX-License-Identifier: MIT */
/* Internal to experiment: what else the machine did while the engine worked. */
#pragma once

#include "experiment/internal.h"

/* Names the boards whose energy is the run's: those on which the engine holds memory, else those CUDA_VISIBLE_DEVICES
 * names, else all (then flagged). Call it when the engine has loaded. */
void machine_bind_boards(struct experiment *x);
bool machine_board_is_bound(const struct experiment *x, const char *uuid);
/* CPU time used so far: of the whole machine, and of the engine and this process. */
struct machine_use machine_use_now(const struct experiment *x);
/* Notes who else holds memory of the run's boards now. Takes some milliseconds: outside of guards and window. */
void machine_see_strangers(struct experiment *x);
/* Flags and figures about other work during the measured block. */
void machine_report(struct experiment *x);
