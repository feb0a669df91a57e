/* SPDX-License-Identifier: MIT */
/* Options of an engine as words of the command line. */
#pragma once

#include "base/base.h"

/* KEY=VALUE into the options of a `load`, dotted keys nested; VALUE is JSON where it parses, else text. Error:
 * USAGE. */
bool settings_add(json_t *options, const char *text, GError **error);
/* All of a NULL-terminated vector, which may be NULL. */
bool settings_add_all(json_t *options, char *const *texts, GError **error);
