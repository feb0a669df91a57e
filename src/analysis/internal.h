/* SPDX-License-Identifier: MIT */
/* Inside of the room: how a frame keeps its runs. Texts are kept once and known by number; 0 is none. */
#pragma once

#include "analysis/analysis.h"

#define FRAME_FLAGS_MAX 64

struct texts {
    GHashTable *numbers; /* text → number */
    GPtrArray *list;     /* number → text, which the table owns; [0] is NULL */
};

/* What a quantity is, but for its numbers: few differ. */
struct frame_origin {
    uint32_t status, reason, method, sensor;
};

struct frame_interval {
    double low, high;
};

struct frame_row {
    double value[METRIC_COUNT];
    uint32_t origin[METRIC_COUNT]; /* index of frame->origins */
    struct frame_interval *intervals; /* of the metrics that have one (few do), and behind them which: uint32_t */
    uint32_t n_intervals;
    uint32_t key[FRAME_KEY_COUNT];
    uint64_t flags; /* bit i: frame->flags[i] */
    double statistical, systematic;
    double start_c; /* temperature when the work began, of the hottest board, else of the CPU; NaN: nobody shows it */
    uint32_t systematic_source, outside, sources;
    uint32_t beside; /* scopes that have joules although none is the run's */
    int32_t differs_at; /* first position at which its answers are not those of the first of its group; -1: none */
    uint32_t state, message, warnings;
    uint32_t cell;
    int group; /* -1: it has no record */
    int index, cycle;
    bool has_record, calibrated;
    uint32_t n_levels;
    uint32_t levels[]; /* by axis; axes that came later have none */
};

struct frame {
    GPtrArray *rows; /* struct frame_row * */
    struct texts texts;
    GArray *origins; /* struct frame_origin */
    GHashTable *origin_numbers;
    GPtrArray *axes;       /* char * */
    GHashTable *cells;     /* text of all levels → number + 1 */
    GPtrArray *cell_runs;  /* GArray of size_t, by cell */
    GPtrArray *flags;      /* char *, at most FRAME_FLAGS_MAX */
    GPtrArray *flag_words; /* char *, their meanings */
    GHashTable *groups;    /* GBytes of the keys → number + 1 */
    GPtrArray *answers;    /* char *, by group: output_columns of its first run that has them; NULL: none has */
};

/* Of which metrics the intervals are. */
static inline uint32_t *frame_interval_metrics(const struct frame_row *row)
{
    return (uint32_t *)(void *)(row->intervals + row->n_intervals);
}

uint32_t texts_number(struct texts *texts, const char *text);
/* NULL: 0. */
const char *texts_at(const struct texts *texts, uint32_t number);

static inline const struct frame_row *frame_row(const struct frame *frame, size_t run)
{
    return g_ptr_array_index(frame->rows, run);
}

/* The group of a run that has just been added with a record, a new one where no run has its keys. */
int groups_add(struct frame *frame, size_t run);
/* The first run of the same engine as a run that has a record. */
size_t groups_engine_head(const struct frame *frame, size_t run);
/* The value of a key of a record as text; NULL: it has none. New string. */
char *key_text(const json_t *record, enum frame_key key);
/* The estimate of the scope that counts, or NULL. */
static inline const json_t *primary_scope(const json_t *record)
{
    return json_array_get(jsonx_at(record, "energy.scopes"), 0);
}
