/* SPDX-License-Identifier: MIT */
/* Environment variables: which of them anybody may read. Threading: any thread. */
#pragma once

#include <stdbool.h>

/* A name that says of its value that nobody may read it: one of its words is TOKEN, KEY, SECRET, PASSWORD, … */
bool variables_is_secret(const char *name);

/* An entry of an engine's list of variables to record is NAME, NAME=WORD|WORD…, or NAME=* (any value). New string. */
char *variables_entry_name(const char *entry);
/* A value that may be read by anybody: numbers, switches, lists of them, and the words of its entry. */
bool variables_may_show(const char *entry, const char *value);
