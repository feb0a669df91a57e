/* SPDX-License-Identifier: MIT */
/* Records in: what is kept of a run. */
#include "analysis/internal.h"

#include <math.h>
#include <string.h>

/* --- Figures ----------------------------------------------------------------------------------------------------------- */

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
    uint32_t metrics[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct quantity q = record ? result_metric_of(record, i) : quantity_absent(NULL);
        row->value[i] = q.value;
        row->origin[i] = origin_number(frame, &q);
        if (q.status == QUANTITY_ABSENT || (isnan(q.low) && isnan(q.high)))
            continue;
        metrics[row->n_intervals] = (uint32_t)i;
        found[row->n_intervals++] = (struct frame_interval){q.low, q.high};
    }
    size_t n = row->n_intervals;
    row->intervals = g_malloc(n * (sizeof found[0] + sizeof metrics[0]));
    if (n > 0) {
        memcpy(row->intervals, found, n * sizeof found[0]);
        memcpy(frame_interval_metrics(row), metrics, n * sizeof metrics[0]);
    }
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

/* "GPU board, GPU module": scopes of sensors that gave joules where none of them is the run's energy. NULL: none did,
 * or one is. New string. */
static char *beside_text(const json_t *record)
{
    const json_t *scopes = jsonx_at(record, "energy.scopes");
    if (json_is_string(jsonx_at(record, "energy.scope")))
        return NULL;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const json_t *scope = json_array_get(scopes, i);
        const char *status = json_string_value(jsonx_at(scope, "joules.status"));
        if (!g_strcmp0(status, quantity_status_name(QUANTITY_MEASURED)) ||
            !g_strcmp0(status, quantity_status_name(QUANTITY_SIMULATED)))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "",
                                   json_string_value(json_object_get(scope, "scope")));
    }
    return g_string_free(text, text->len == 0);
}

/* --- Doubts ------------------------------------------------------------------------------------------------------------ */

static void take_flags(struct frame *frame, struct frame_row *row, const json_t *record)
{
    const json_t *meanings = json_object_get(record, "flag_meanings");
    const char *flag;
    const json_t *value;
    jsonx_foreach(meanings, flag, value) {
        const char *meaning = json_string_value(value);
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

static void add_axes(struct frame *frame, const json_t *levels)
{
    const char *path;
    const json_t *level;
    jsonx_foreach(levels, path, level)
        frame_add_axis(frame, path);
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

/* Of a run's boards; of another's that is hot nothing follows. Without boards the CPU's. */
static double start_temperature(const json_t *record)
{
    const json_t *own = jsonx_at(record, "machine.boards"), *gpus = jsonx_at(record, "machine.gpus");
    const json_t *cpu = jsonx_at(record, "machine.cpu.start.temperature_c");
    double hottest = NAN;
    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const json_t *gpu = json_array_get(gpus, i), *celsius = json_object_get(gpu, "temperature_start_c");
        if (json_is_number(celsius) && json_is_true(json_object_get(gpu, "ours")))
            hottest = fmax(hottest, json_number_value(celsius));
    }
    return json_array_size(own) == 0 && json_is_number(cpu) ? json_number_value(cpu) : hottest;
}

/* --- A run ------------------------------------------------------------------------------------------------------------- */

static void take_record(struct frame *frame, struct frame_row *row, const json_t *record)
{
    g_autofree char *sources = sources_text(record), *warnings = warnings_text(record);
    g_autofree char *beside = beside_text(record);
    row->has_record = true;
    row->sources = texts_number(&frame->texts, sources);
    row->beside = texts_number(&frame->texts, beside);
    row->warnings = texts_number(&frame->texts, warnings);
    for (int i = 0; i < FRAME_KEY_COUNT; i++) {
        g_autofree char *text = key_text(record, i);
        row->key[i] = texts_number(&frame->texts, text);
    }
    row->start_c = start_temperature(record);
    take_parts(frame, row, record);
    take_flags(frame, row, record);
}

/* Where its answers begin to differ from those of its group: a study has as many answers as runs, so that only one a
 * group is kept. */
static void take_answers(struct frame *frame, struct frame_row *row, const json_t *record)
{
    const char *own = json_string_value(jsonx_at(record, "workload.output_columns"));
    size_t at = 0;
    if (!own || row->group < 0)
        return;
    while (frame->answers->len <= (guint)row->group)
        g_ptr_array_add(frame->answers, NULL);
    const char *first = frame->answers->pdata[row->group];
    if (!first) {
        frame->answers->pdata[row->group] = g_strdup(own);
        return;
    }
    while (own[at] && own[at] == first[at])
        at++;
    if (own[at] || first[at])
        row->differs_at = (int32_t)(at / RESULT_COLUMN_DIGITS);
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
    row->statistical = row->systematic = row->start_c = NAN;
    row->differs_at = -1;
    take_levels(frame, row, run->levels);
    take_metrics(frame, row, record);
    if (record)
        take_record(frame, row, record);
    g_ptr_array_add(frame->rows, row);
    row->group = record ? groups_add(frame, frame_count(frame) - 1) : -1;
    take_answers(frame, row, record);
}
