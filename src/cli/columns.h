/* SPDX-License-Identifier: MIT */
/* Internal to cli: text in columns. On a terminal the last column is broken between words, so that lines stay whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli_column {
    const char *name;
    enum { CLI_LEFT, CLI_RIGHT, CLI_WORDS /* long texts; the last column */ } kind;
};
struct cli_columns;

/* Rows are n cells. The array is borrowed. */
struct cli_columns *cli_columns_new(const struct cli_column *columns, size_t n);
/* Copies the cells; NULL is an empty one. */
void cli_columns_row(struct cli_columns *table, const char *const *cells);
/* Prints on stdout and lets go of it. */
void cli_columns_print(struct cli_columns *table);
