/* SPDX-License-Identifier: MIT */
/* Internal to experiment: environment variables that change the work. */
#pragma once

#include "experiment/internal.h"

/* Adds to the environment those that belong to runtimes which engines are built on, as the adapter has them:
 * `variables` with the values of those known to hold no secret, `variables_not_shown` with the names of the others.
 * given: what the adapter is given besides ours (an object of texts). */
void variables_record(json_t *given, json_t *environment);
/* What the adapter has of a name; NULL: nothing. New string. */
char *variables_value(json_t *given, const char *name);
/* Its values are known to be numbers, switches or devices. */
bool variables_is_shown(const char *name);
