/* SPDX-License-Identifier: MIT */
/* Internal to cli: the energy of each scope over a stretch of time that was watched, by room energy. */
#pragma once

#include "meter/meter.h"

#define WATCHED_NO_PROCESS "no process named (--pid)" /* what the model alone waits for */

struct watched;

/* Begins a stretch now, as soon as the sensors have shown what its joules need: a tenth of a second, at most one.
 * Both are borrowed, the sampler has been started. */
struct watched *watched_begin(struct meter *meter, struct sampler *sampler);
/* Ends the stretch now; reads on, as long at most, until the sensors have shown its end. */
void watched_end(struct watched *watched);
/* Print it on stdout: a table with remarks, or {"scopes": […]} in one line. Warnings go to stderr. */
void watched_print_table(const struct watched *watched);
void watched_print_json(const struct watched *watched);
void watched_free(struct watched *watched);
typedef struct watched owned_watched; /* for g_autoptr(owned_watched) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_watched, watched_free)
