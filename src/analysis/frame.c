/* SPDX-License-Identifier: MIT */
/* The frame: what was kept of each run, and what it says. */
#include "analysis/internal.h"

#include <math.h>
#include <string.h>

/* --- Texts, each once -------------------------------------------------------------------------------------------------- */

static void texts_open(struct texts *texts)
{
    texts->numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    texts->list = g_ptr_array_new();
    g_ptr_array_add(texts->list, NULL);
}

static void texts_close(struct texts *texts)
{
    g_ptr_array_unref(texts->list);
    g_hash_table_unref(texts->numbers);
}

uint32_t texts_number(struct texts *texts, const char *text)
{
    if (!text)
        return 0;
    uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(texts->numbers, text));
    if (number)
        return number;
    char *own = g_strdup(text);
    number = texts->list->len;
    g_ptr_array_add(texts->list, own);
    g_hash_table_insert(texts->numbers, own, GUINT_TO_POINTER(number));
    return number;
}

const char *texts_at(const struct texts *texts, uint32_t number)
{
    return g_ptr_array_index(texts->list, number);
}

/* --- Figures ----------------------------------------------------------------------------------------------------------- */

static guint origin_hash(gconstpointer data)
{
    const struct frame_origin *o = data;
    return ((o->status * 31 + o->reason) * 31 + o->method) * 31 + o->sensor;
}

static gboolean origin_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(struct frame_origin)) == 0;
}

static void row_free(gpointer data)
{
    struct frame_row *row = data;
    g_free(row->intervals);
    g_free(row);
}

/* --- Levels ------------------------------------------------------------------------------------------------------------ */

void frame_add_axis(struct frame *frame, const char *path)
{
    if (!g_ptr_array_find_with_equal_func(frame->axes, path, g_str_equal, NULL))
        g_ptr_array_add(frame->axes, g_strdup(path));
}

/* --- The frame --------------------------------------------------------------------------------------------------------- */

struct frame *frame_new(void)
{
    struct frame *frame = g_new0(struct frame, 1);
    texts_open(&frame->texts);
    frame->rows = g_ptr_array_new_with_free_func(row_free);
    frame->origins = g_array_new(FALSE, FALSE, sizeof(struct frame_origin));
    frame->origin_numbers = g_hash_table_new_full(origin_hash, origin_equal, g_free, NULL);
    frame->axes = g_ptr_array_new_with_free_func(g_free);
    frame->cells = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    frame->cell_runs = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    frame->answers = g_ptr_array_new_with_free_func(g_free);
    frame->groups = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    frame->flags = g_ptr_array_new_with_free_func(g_free);
    frame->flag_words = g_ptr_array_new_with_free_func(g_free);
    return frame;
}

void frame_free(struct frame *frame)
{
    if (!frame)
        return;
    g_ptr_array_unref(frame->rows);
    g_array_unref(frame->origins);
    g_hash_table_unref(frame->origin_numbers);
    g_ptr_array_unref(frame->axes);
    g_hash_table_unref(frame->cells);
    g_ptr_array_unref(frame->cell_runs);
    g_ptr_array_unref(frame->flags);
    g_ptr_array_unref(frame->flag_words);
    g_hash_table_unref(frame->groups);
    g_ptr_array_unref(frame->answers);
    texts_close(&frame->texts);
    g_free(frame);
}

size_t frame_count(const struct frame *frame)
{
    return frame->rows->len;
}

int frame_index(const struct frame *frame, size_t run)
{
    return frame_row(frame, run)->index;
}

int frame_cycle(const struct frame *frame, size_t run)
{
    return frame_row(frame, run)->cycle;
}

const char *frame_state(const struct frame *frame, size_t run)
{
    return texts_at(&frame->texts, frame_row(frame, run)->state);
}

bool frame_has_record(const struct frame *frame, size_t run)
{
    return frame_row(frame, run)->has_record;
}

size_t frame_axes(const struct frame *frame)
{
    return frame->axes->len;
}

const char *frame_axis(const struct frame *frame, size_t axis)
{
    return g_ptr_array_index(frame->axes, axis);
}

const char *frame_level(const struct frame *frame, size_t run, size_t axis)
{
    const struct frame_row *row = frame_row(frame, run);
    return axis < row->n_levels ? texts_at(&frame->texts, row->levels[axis]) : NULL;
}

size_t frame_cell(const struct frame *frame, size_t run)
{
    return frame_row(frame, run)->cell;
}

struct quantity frame_metric(const struct frame *frame, size_t run, enum result_metric metric)
{
    const struct frame_row *row = frame_row(frame, run);
    const struct frame_origin *origin = &g_array_index(frame->origins, struct frame_origin, row->origin[metric]);
    struct quantity q = {.status = (enum quantity_status)origin->status, .value = row->value[metric], .low = NAN,
                         .high = NAN, .reason = texts_at(&frame->texts, origin->reason),
                         .method = texts_at(&frame->texts, origin->method),
                         .sensor = texts_at(&frame->texts, origin->sensor)};
    for (uint32_t i = 0; i < row->n_intervals; i++)
        if (frame_interval_metrics(row)[i] == metric) {
            q.low = row->intervals[i].low;
            q.high = row->intervals[i].high;
        }
    return q;
}

struct frame_parts frame_parts(const struct frame *frame, size_t run)
{
    const struct frame_row *row = frame_row(frame, run);
    return (struct frame_parts){row->statistical, row->systematic, texts_at(&frame->texts, row->systematic_source),
                                row->calibrated};
}

const char *frame_key_text(const struct frame *frame, size_t run, enum frame_key key)
{
    return texts_at(&frame->texts, frame_row(frame, run)->key[key]);
}

const char *frame_scope(const struct frame *frame, size_t run)
{
    const char *scope = frame_key_text(frame, run, FRAME_KEY_SCOPE);
    return scope ? scope : "unknown scope";
}

struct frame_energy frame_energy(const struct frame *frame)
{
    struct frame_energy e = {.status = QUANTITY_ABSENT};
    for (size_t i = 0; i < frame_count(frame); i++) {
        if (!frame_has_record(frame, i))
            continue;
        enum quantity_status status = frame_metric(frame, i, METRIC_J_OUTPUT).status;
        e.n[status]++;
        if (status == QUANTITY_ABSENT)
            continue;
        const char *scope = frame_scope(frame, i);
        e.kinds_differ = e.kinds_differ || (e.status != QUANTITY_ABSENT && e.status != status);
        e.status = e.status == QUANTITY_ABSENT ? status : e.status;
        e.sensors = e.sensors || status != QUANTITY_MODELLED;
        e.scopes_differ = e.scopes_differ || (e.scope && strcmp(e.scope, scope) != 0);
        e.scope = e.scope ? e.scope : scope;
    }
    if (e.kinds_differ)
        e.status = QUANTITY_ABSENT;
    return e;
}
