/* SPDX-License-Identifier: MIT */
/* Which runs may be compared, and what is averaged. */
#include "analysis/internal.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>

static const GArray *runs_of(const struct frame *frame, size_t cell)
{
    return g_ptr_array_index(frame->cell_runs, cell);
}

/* The first run of a cell that has a record stands for it. Called for cells that have one. */
static const struct frame_row *cell_head(const struct frame *frame, size_t cell)
{
    const GArray *runs = runs_of(frame, cell);
    guint i = 0;
    while (i + 1 < runs->len && !frame_has_record(frame, g_array_index(runs, size_t, i)))
        i++;
    return frame_row(frame, g_array_index(runs, size_t, i));
}

size_t groups_engine_head(const struct frame *frame, size_t run)
{
    uint32_t own = frame_row(frame, run)->key[FRAME_KEY_ENGINE];
    for (size_t i = 0; i < run; i++)
        if (frame_has_record(frame, i) && frame_row(frame, i)->key[FRAME_KEY_ENGINE] == own)
            return i;
    return run;
}

/* What a key says of the run for its group: its value; of a factor, the value where it is not that of its cell. */
static uint32_t key_of(const struct frame *frame, size_t run, int key)
{
    uint32_t value = frame_row(frame, run)->key[key];
    switch (frame_key_row(key)->rule) {
    case FRAME_FACTOR:
        return value == cell_head(frame, frame_cell(frame, run))->key[key] ? UINT32_MAX : value;
    case FRAME_ENGINE:
        return value == frame_row(frame, groups_engine_head(frame, run))->key[key] ? UINT32_MAX : value;
    case FRAME_WARN:
        return 0;
    default:
        return value;
    }
}

static GBytes *keys_of(const struct frame *frame, size_t run)
{
    uint32_t keys[FRAME_KEY_COUNT];
    for (int k = 0; k < FRAME_KEY_COUNT; k++)
        keys[k] = key_of(frame, run, k);
    return g_bytes_new(keys, sizeof keys);
}

/* Heads come before the runs they stand for, so that a run's group is known when it is added. */
int groups_add(struct frame *frame, size_t run)
{
    GBytes *keys = keys_of(frame, run);
    int group = GPOINTER_TO_INT(g_hash_table_lookup(frame->groups, keys)) - 1;
    if (group >= 0) {
        g_bytes_unref(keys);
        return group;
    }
    group = (int)g_hash_table_size(frame->groups);
    g_hash_table_insert(frame->groups, keys, GINT_TO_POINTER(group + 1));
    return group;
}

int frame_group(const struct frame *frame, size_t run)
{
    return frame_row(frame, run)->group;
}

int frame_difference(const struct frame *frame, size_t a, size_t b)
{
    if (!frame_has_record(frame, a) || !frame_has_record(frame, b))
        return -1;
    for (int k = 0; k < FRAME_KEY_COUNT; k++)
        if (key_of(frame, a, k) != key_of(frame, b, k))
            return k;
    return -1;
}

/* The values of a cell's runs in a group, all of one status; false: there is none, or some run is without. */
static bool values_of(const struct frame *frame, size_t cell, int group, enum result_metric metric, GArray *ret,
                      struct quantity *ret_first)
{
    const GArray *runs = runs_of(frame, cell);
    for (guint i = 0; i < runs->len; i++) {
        size_t run = g_array_index(runs, size_t, i);
        if (frame_group(frame, run) != group)
            continue;
        struct quantity q = frame_metric(frame, run, metric);
        if (ret->len == 0)
            *ret_first = q;
        if (q.status == QUANTITY_ABSENT || q.status != ret_first->status)
            return false;
        g_array_append_val(ret, q.value);
    }
    return ret->len > 0;
}

struct quantity frame_mean(const struct frame *frame, size_t cell, int group, enum result_metric metric)
{
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(double));
    struct quantity first = {0};
    if (group < 0 || !values_of(frame, cell, group, metric, values, &first))
        return quantity_absent("not every run of the cell in this group has it");
    const double *x = (const double *)(void *)values->data;
    struct quantity q = quantity_of(first.status, stats_mean(x, values->len), "mean over runs", first.sensor);
    if (values->len > 1) {
        struct stats_interval t = stats_t_interval(x, values->len, STATS_LEVEL);
        q.low = t.low;
        q.high = t.high;
    }
    return q;
}
