/* SPDX-License-Identifier: MIT */
/* Where this program is installed, and what lies beside it: the build folder and an installed tree look alike. */
#pragma once

#include <glib.h>

/* The folder of the running program; NULL where /proc does not say. New string. */
char *install_folder(void);
/* The first of places (NULL-terminated, relative to install_folder()) that is there and passes test, made absolute;
 * NULL when none is. New string. */
char *install_find(const char *const *places, GFileTest test);
