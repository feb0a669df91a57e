/* SPDX-License-Identifier: MIT */
/* Records in, columns out: what is kept of each run. */
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

static uint32_t origin_number(struct frame *frame, const struct quantity *q)
{
    struct frame_origin origin = {(uint32_t)q->status, texts_number(&frame->texts, q->reason),
                                  texts_number(&frame->texts, q->method), texts_number(&frame->texts, q->sensor)};
    gpointer found;
    if (g_hash_table_lookup_extended(frame->origin_numbers, &origin, NULL, &found))
        return GPOINTER_TO_UINT(found);
    uint32_t number = frame->origins->len;
    g_array_append_val(frame->origins, origin);
    g_hash_table_insert(frame->origin_numbers, g_memdup2(&origin, sizeof origin), GUINT_TO_POINTER(number));
    return number;
}

static void take_metrics(struct frame *frame, struct frame_row *row, const json_t *record)
{
    struct frame_interval found[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct quantity q = record ? result_metric_of(record, i) : quantity_absent(NULL);
        row->value[i] = q.value;
        row->origin[i] = origin_number(frame, &q);
        if (q.status != QUANTITY_ABSENT && !(isnan(q.low) && isnan(q.high)))
            found[row->n_intervals++] = (struct frame_interval){(uint32_t)i, q.low, q.high};
    }
    row->intervals = g_memdup2(found, row->n_intervals * sizeof found[0]);
}

static void row_free(gpointer data)
{
    struct frame_row *row = data;
    g_free(row->intervals);
    g_free(row);
}

/* --- Energy ------------------------------------------------------------------------------------------------------------ */

static void take_parts(struct frame *frame, struct frame_row *row, const json_t *record)
{
    const json_t *scope = primary_scope(record);
    struct quantity q;
    row->statistical = row->systematic = NAN;
    row->outside = texts_number(&frame->texts, json_string_value(json_object_get(scope, "outside")));
    if (!scope || !quantity_from_json(json_object_get(scope, "joules"), &q) || q.status == QUANTITY_ABSENT ||
        q.status == QUANTITY_MODELLED || q.value == 0)
        return;
    jsonx_get_real(scope, "statistical_half_width_j", false, &row->statistical, NULL);
    jsonx_get_real(scope, "systematic_half_width_j", false, &row->systematic, NULL);
    row->statistical /= fabs(q.value);
    row->systematic /= fabs(q.value);
    const json_t *calibration = jsonx_at(scope, "systematic.calibration");
    const json_t *source = calibration ? json_object_get(calibration, "method") : jsonx_at(scope, "systematic.source");
    row->calibrated = calibration != NULL;
    row->systematic_source = texts_number(&frame->texts, json_string_value(source));
}

/* Sources and channels that gave nothing, a line each: "NAME\tWHY". NULL: no source was asked for. New string. */
static char *sources_text(const json_t *record)
{
    const json_t *sources = jsonx_at(record, "energy.sources");
    if (!json_array_size(sources))
        return NULL;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i), *absent = json_object_get(source, "absent");
        const char *name = json_string_value(json_object_get(source, "name"));
        const char *reason = json_string_value(json_object_get(source, "reason"));
        if (name && reason && !json_is_true(json_object_get(source, "open")))
            g_string_append_printf(text, "%s\t%s\n", name, reason);
        for (size_t k = 0; k < json_array_size(absent); k++) {
            const json_t *channel = json_array_get(absent, k);
            const char *id = json_string_value(json_object_get(channel, "id"));
            const char *why = json_string_value(json_object_get(channel, "reason"));
            g_string_append_printf(text, "%s\t%s\n", id ? id : "", why ? why : "");
        }
    }
    return g_string_free(text, FALSE);
}

/* --- Doubts ------------------------------------------------------------------------------------------------------------ */

static void take_flags(struct frame *frame, struct frame_row *row, const json_t *record)
{
    const json_t *meanings = json_object_get(record, "flag_meanings");
    for (void *at = json_object_iter((json_t *)(uintptr_t)meanings); at;
         at = json_object_iter_next((json_t *)(uintptr_t)meanings, at)) {
        const char *flag = json_object_iter_key(at), *meaning = json_string_value(json_object_iter_value(at));
        guint number;
        if (!g_ptr_array_find_with_equal_func(frame->flags, flag, g_str_equal, &number)) {
            number = frame->flags->len;
            if (number == FRAME_FLAGS_MAX)
                continue; /* there are fewer rows of flags than that: a record that nobody's llem wrote */
            g_ptr_array_add(frame->flags, g_strdup(flag));
            g_ptr_array_add(frame->flag_words, g_strdup(meaning ? meaning : ""));
        }
        row->flags |= UINT64_C(1) << number;
    }
}

/* Each warning in a line; NULL: there is none. New string. */
static char *warnings_text(const json_t *record)
{
    const json_t *warnings = json_object_get(record, "warnings");
    if (!json_array_size(warnings))
        return NULL;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *warning = json_string_value(json_array_get(warnings, i));
        g_string_append_printf(text, "%s%s", i ? "\n" : "", warning ? warning : "");
    }
    return g_string_free(text, FALSE);
}

/* --- Levels ------------------------------------------------------------------------------------------------------------ */

void frame_add_axis(struct frame *frame, const char *path)
{
    if (!g_ptr_array_find_with_equal_func(frame->axes, path, g_str_equal, NULL))
        g_ptr_array_add(frame->axes, g_strdup(path));
}

static void add_axes(struct frame *frame, const json_t *levels)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)levels); at;
         at = json_object_iter_next((json_t *)(uintptr_t)levels, at))
        frame_add_axis(frame, json_object_iter_key(at));
}

static char *level_text(const json_t *level)
{
    return json_is_string(level) ? g_strdup(json_string_value(level)) : level ? jsonx_dump(level, JSONX_COMPACT) : NULL;
}

static void take_levels(struct frame *frame, struct frame_row *row, const json_t *levels)
{
    for (uint32_t i = 0; i < row->n_levels; i++) {
        g_autofree char *text = level_text(json_object_get(levels, g_ptr_array_index(frame->axes, i)));
        row->levels[i] = texts_number(&frame->texts, text);
    }
    char *cell = levels ? jsonx_dump(levels, JSONX_CANONICAL) : g_strdup("{}");
    uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(frame->cells, cell));
    if (!number) {
        number = g_hash_table_size(frame->cells) + 1;
        g_hash_table_insert(frame->cells, cell, GUINT_TO_POINTER(number));
        g_ptr_array_add(frame->cell_runs, g_array_new(FALSE, FALSE, sizeof(size_t)));
    } else {
        g_free(cell);
    }
    row->cell = number - 1;
    size_t run = frame_count(frame);
    g_array_append_val((GArray *)g_ptr_array_index(frame->cell_runs, row->cell), run);
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
    g_clear_pointer(&frame->groups, g_array_unref);
    texts_close(&frame->texts);
    g_free(frame);
}

static void take_record(struct frame *frame, struct frame_row *row, const json_t *record)
{
    g_autofree char *sources = sources_text(record), *warnings = warnings_text(record);
    row->has_record = true;
    row->sources = texts_number(&frame->texts, sources);
    row->warnings = texts_number(&frame->texts, warnings);
    for (int i = 0; i < FRAME_KEY_COUNT; i++) {
        g_autofree char *text = key_text(record, i);
        row->key[i] = texts_number(&frame->texts, text);
    }
    take_parts(frame, row, record);
    take_flags(frame, row, record);
}

void frame_add(struct frame *frame, const struct frame_run *run, const json_t *record)
{
    add_axes(frame, run->levels);
    uint32_t n_levels = frame->axes->len;
    struct frame_row *row = g_malloc0(sizeof *row + n_levels * sizeof row->levels[0]);
    row->n_levels = n_levels;
    row->index = run->index;
    row->cycle = run->cycle;
    row->state = texts_number(&frame->texts, run->state);
    row->message = texts_number(&frame->texts, run->message);
    row->statistical = row->systematic = NAN;
    take_levels(frame, row, run->levels);
    take_metrics(frame, row, record);
    if (record)
        take_record(frame, row, record);
    g_ptr_array_add(frame->rows, row);
    g_clear_pointer(&frame->groups, g_array_unref);
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
        if (row->intervals[i].metric == metric) {
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
