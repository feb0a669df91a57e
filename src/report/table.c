/* SPDX-License-Identifier: MIT */
/* The table of a study: a line a run, and the notes below it. */
#include "report/columns.h"

#include <libsmartcols.h>
#include <string.h>

static GArray *order_of(const struct frame *frame, const struct report_options *options)
{
    int metric = columns_sort(options->sort);
    if (metric >= 0)
        return frame_order(frame, metric);
    GArray *order = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t i = 0; i < frame_count(frame); i++)
        g_array_append_val(order, i);
    return order;
}

static struct libscols_table *table_new(size_t width)
{
    struct libscols_table *table = scols_new_table();
    scols_table_set_column_separator(table, "  ");
    /* The library would look at descriptor 1, which need not be where the text goes. */
    scols_table_set_termforce(table, width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
    if (width)
        scols_table_set_termwidth(table, width);
    return table;
}

static void add_header(struct libscols_table *table, const GArray *columns, const struct frame_energy *energy)
{
    for (guint i = 0; i < columns->len; i++) {
        const struct column *column = &g_array_index(columns, struct column, i);
        g_autofree char *header = column_header(column, energy);
        scols_table_new_column(table, header, 0, column->left ? 0 : SCOLS_FL_RIGHT);
    }
}

/* Takes the text over. What nobody sees is written out before its width is counted. */
static void set_cell(struct libscols_line *line, size_t i, char *text)
{
    g_autofree char *cell = text;
    scols_line_refer_data(line, i, visible_text(cell ? cell : ""));
}

static void add_line(struct libscols_table *table, const GArray *columns, const struct frame *frame,
                     const struct frame_energy *energy, size_t run)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    for (guint i = 0; i < columns->len; i++)
        set_cell(line, i, column_text(&g_array_index(columns, struct column, i), frame, energy, run));
}

/* Breaks lines longer than width at spaces; what follows is indented a little more than the line. */
static void append_wrapped(GString *out, const char *line, size_t width)
{
    size_t indent = strspn(line, " ") + 2, used = 0;
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    for (char **word = words; *word; word++) {
        size_t length = (size_t)g_utf8_strlen(*word, -1);
        bool first = word == words;
        if (!first && width && used + 1 + length > width) {
            g_string_append_printf(out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (!first) {
            g_string_append_c(out, ' ');
            used++;
        }
        g_string_append(out, *word);
        used += length;
    }
    g_string_append_c(out, '\n');
}

static void append_notes(GString *out, const struct frame *frame, size_t width)
{
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    for (guint i = 0; i < notes->len; i++) {
        g_autofree char *text = frame_note_line(g_ptr_array_index(notes, i));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
            append_wrapped(out, *line, width);
    }
}

char *report_table(const struct frame *frame, const struct report_options *options)
{
    struct frame_energy energy = frame_energy(frame);
    struct libscols_table *table = table_new(options->width);
    g_autoptr(GArray) columns = columns_of(frame, options);
    g_autoptr(GArray) order = order_of(frame, options);
    add_header(table, columns, &energy);
    for (guint i = 0; i < order->len; i++)
        add_line(table, columns, frame, &energy, g_array_index(order, size_t, i));
    char *text = NULL;
    GString *out = g_string_new(NULL);
    if (scols_print_table_to_string(table, &text) == 0)
        g_string_append(out, text);
    free(text);
    scols_unref_table(table);
    if (out->len && out->str[out->len - 1] != '\n')
        g_string_append_c(out, '\n');
    g_string_append_c(out, '\n');
    append_notes(out, frame, options->width);
    return g_string_free(out, FALSE);
}
