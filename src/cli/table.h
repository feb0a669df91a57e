/* SPDX-License-Identifier: MIT */
/* Internal to cli: the table of a study from its folder, for `llem run` and `llem show`. */
#pragma once

#include "store/store.h"

/* What --sort and --columns say; NULL: not given. */
struct cli_table_options {
    char *sort, *columns;
};
/* Their rows, for the options of a command. */
#define CLI_TABLE_OPTIONS(options)                                                                                         \
    {"sort", 0, 0, G_OPTION_ARG_STRING, &(options).sort,                                                                   \
     "Sort the table by this column, best first (default: j_token where measured, else tokens_per_s; run: as planned)",    \
     "COLUMN"},                                                                                                            \
    {"columns", 0, 0, G_OPTION_ARG_STRING, &(options).columns,                                                             \
     "Columns of the table, separated by commas: names of docs/results.md, or figures of 'llem result metrics'",               \
     "LIST"}

/* Says on stderr which column is not there. False: exit code 2. */
bool cli_table_check(const struct cli_table_options *options);
/* Prints the table on stdout, and on stderr what of the study's journal could not be heeded. */
void cli_print_study(const struct store *store, const struct cli_table_options *options);
/* The second of them alone, for who prints no table. */
void cli_print_doubts(const struct store *store);
/* True if a folder is a run's, as 'llem show' takes it. */
bool cli_is_run(const char *folder);
/* Columns of the terminal that stdout is; 0: it is none, lines may be of any length. */
size_t cli_terminal_width(void);
