/* SPDX-License-Identifier: MIT */
/* Internal to cli: the table of a study from its folder, for `llem run` and `llem show`. */
#pragma once

#include "store/store.h"

/* Prints the table on stdout, and on stderr what of the study's journal could not be heeded. */
void cli_print_study(const struct store *store);
/* Columns of the terminal that stdout is; 0: it is none, lines may be of any length. */
size_t cli_terminal_width(void);
