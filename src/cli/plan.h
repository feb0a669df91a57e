/* SPDX-License-Identifier: MIT */
/* A file of the user on the command line: read with its overrides, planned, shown, and looked at for what this machine
 * lacks. */
#pragma once

#include "study/study.h"

#include <stdio.h>

/* Reads and plans; says on stderr what is wrong. *ret_file is the caller's too, whatever is returned. overrides:
 * NULL-terminated "field=value". NULL: exit code 2. */
struct plan *cli_plan_load(const char *path, const char *const *overrides, struct config_file **ret_file);
/* One line; whole: and one a cell, and those left out. */
void cli_plan_print(const struct config_file *file, const struct plan *plan, bool whole, FILE *to);
/* output_dir, or NULL where nobody wrote it. New string. */
char *cli_plan_results(const struct plan *plan);
/* Says on stderr what the plan would not find on this machine. False: it cannot be run (exit code 2). results: the folder
 * they would go to, or NULL: not looked at. */
bool cli_plan_preflight(const struct plan *plan, const char *results);
