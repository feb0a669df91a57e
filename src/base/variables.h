/* SPDX-License-Identifier: MIT */
/* Environment variables by their names alone. Threading: any thread. */
#pragma once

#include <stdbool.h>

/* A name that says of its value that nobody may read it: one of its words is TOKEN, KEY, SECRET, PASSWORD, … */
bool variables_is_secret(const char *name);
