/* SPDX-License-Identifier: MIT */
/* Internal to cli: the table of a study from its folder, for `llem run` and `llem show`. */
#pragma once

#include "study/study.h"

/* Prints the table on stdout. description is the tree of study.json. */
void cli_print_study(const json_t *description, const struct study_outcome *outcome);
/* Columns of the terminal that stdout is; 0: it is none, lines may be of any length. */
size_t cli_terminal_width(void);
