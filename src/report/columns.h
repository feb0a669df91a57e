/* SPDX-License-Identifier: MIT */
/* Inside of the room: the columns of the table. */
#pragma once

#include "report/report.h"

/* What a cell of the table is made from. */
enum column_kind {
    COLUMN_RUN,
    COLUMN_CYCLE,
    COLUMN_LEVELS, /* stands for one column an axis */
    COLUMN_GROUP,
    COLUMN_FIGURE,
    COLUMN_ENERGY, /* J/token: its heading carries its status, a model's value its range */
    COLUMN_STATISTICAL,
    COLUMN_SYSTEMATIC,
    COLUMN_STATE,
};

struct column {
    const char *id, *header;
    enum column_kind kind;
    int metric;   /* of figures */
    double scale; /* of the metric's unit, for people */
    int axis;     /* of levels */
    bool left;
};

/* The columns of a table, by the options or the usual ones that say something of these runs. New array of struct
 * column. */
GArray *columns_of(const struct frame *frame, const struct report_options *options);
/* The metric that an id sorts by; METRIC_COUNT: the usual order; -1: the order of the plan. */
int columns_sort(const char *id);
/* What stands in a column. New string. */
char *column_text(const struct column *column, const struct frame *frame, const struct frame_energy *energy,
                  size_t run);
char *column_header(const struct column *column, const struct frame_energy *energy);
