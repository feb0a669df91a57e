/* SPDX-License-Identifier: MIT */
#include "cli/columns.h"

#include "cli/cli.h"
#include "cli/table.h"

#include <glib.h>
#include <libsmartcols.h>
#include <stdio.h>

enum { LEAST_WORDS = 24 }; /* a column narrower than this would be harder to read than a line that runs over */

struct cli_columns {
    const struct cli_column *columns;
    size_t n;
    GPtrArray *cells; /* n a row */
};

struct cli_columns *cli_columns_new(const struct cli_column *columns, size_t n)
{
    struct cli_columns *table = g_new(struct cli_columns, 1);
    *table = (struct cli_columns){columns, n, g_ptr_array_new_with_free_func(g_free)};
    return table;
}

void cli_columns_row(struct cli_columns *table, const char *const *cells)
{
    for (size_t i = 0; i < table->n; i++)
        g_ptr_array_add(table->cells, g_strdup(cells[i] ? cells[i] : ""));
}

static size_t widest_cell(const struct cli_columns *table, size_t column)
{
    long widest = g_utf8_strlen(table->columns[column].name, -1);
    for (size_t i = column; i < table->cells->len; i += table->n)
        widest = MAX(widest, g_utf8_strlen(table->cells->pdata[i], -1));
    return (size_t)widest;
}

/* What the terminal has left for the last column; 0: any width will do. */
static size_t room_for_words(const struct cli_columns *table)
{
    size_t terminal = cli_terminal_width(), others = table->n - 1; /* a blank behind each */
    for (size_t i = 0; i + 1 < table->n; i++)
        others += widest_cell(table, i);
    return terminal >= others + LEAST_WORDS ? terminal - others : 0;
}

/* Breaks a text into lines between words. New string. */
static char *break_words(const char *text, size_t width)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t used = 0;
    for (char **word = words; *word; word++) {
        size_t length = (size_t)g_utf8_strlen(*word, -1);
        bool fits = used + 1 + length <= width;
        if (word != words)
            g_string_append_c(out, fits ? ' ' : '\n');
        g_string_append(out, *word);
        used = word != words && fits ? used + 1 + length : length;
    }
    return g_string_free(out, FALSE);
}

static void add_column(struct libscols_table *out, const struct cli_column *column)
{
    struct libscols_column *added =
        scols_table_new_column(out, column->name, 0,
                               column->kind == CLI_RIGHT   ? SCOLS_FL_RIGHT
                               : column->kind == CLI_WORDS ? SCOLS_FL_WRAP
                                                           : 0);
    if (column->kind != CLI_WORDS)
        return;
    scols_column_set_safechars(added, "\n");
    scols_column_set_wrapfunc(added, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
}

void cli_columns_print(struct cli_columns *table)
{
    struct libscols_table *out = scols_new_table();
    size_t room = room_for_words(table), width = cli_terminal_width();
    scols_table_set_stream(out, cli_out());
    scols_table_set_termforce(out, width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
    if (width)
        scols_table_set_termwidth(out, width);
    for (size_t i = 0; i < table->n; i++)
        add_column(out, &table->columns[i]);
    for (size_t i = 0; i < table->cells->len; i++) {
        struct libscols_line *line = i % table->n == 0 ? scols_table_new_line(out, NULL)
                                                       : scols_table_get_line(out, i / table->n);
        bool words = room && table->columns[i % table->n].kind == CLI_WORDS;
        const char *cell = table->cells->pdata[i];
        scols_line_refer_data(line, i % table->n, words ? break_words(cell, room) : g_strdup(cell));
    }
    scols_print_table(out);
    scols_unref_table(out);
    g_ptr_array_unref(table->cells);
    g_free(table);
}
