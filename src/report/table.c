/* SPDX-License-Identifier: MIT */
#include "report/report.h"

#include "result/result.h"

#include <libsmartcols.h>
#include <math.h>
#include <string.h>

struct column {
    const char *header;
    int metric;
    double scale; /* of the metric's unit, for people */
};

/* One row per figure column of the table. The energy column comes after them: its heading carries its status. */
static const struct column columns[] = {
    {"tokens/s", METRIC_OUTPUT_RATE, 1},
    {"TTFT ms", METRIC_TTFT_MEAN, 1e3},
    {"TPOT ms", METRIC_TPOT_MEAN, 1e3},
    {"peak MB", METRIC_PEAK_MEMORY, 1},
};

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static char *level_text(const json_t *level)
{
    if (json_is_string(level))
        return g_strdup(json_string_value(level));
    return level ? jsonx_dump(level, JSONX_COMPACT) : g_strdup("-");
}

/* In how many runs the energy has each status. */
struct statuses {
    size_t n[QUANTITY_STATUS_COUNT];
    bool sensors; /* some energy is of a sensor: its uncertainty has two parts, never blended in print */
    int common; /* the one all runs with energy share; -1: none has energy; -2: they differ */
    const char *scope;  /* of the first run with energy, or NULL */
    bool scopes_differ; /* unlike scopes are not compared: each row says its own */
};

static const char *scope_of(const json_t *record)
{
    const char *scope = json_string_value(jsonx_at(record, "energy.scope"));
    return scope ? scope : "unknown scope";
}

static struct statuses energy_statuses(const struct report_study *study)
{
    struct statuses s = {.common = -1};
    for (size_t i = 0; i < study->n_runs; i++) {
        if (!study->runs[i].record)
            continue;
        int status = (int)result_metric_of(study->runs[i].record, METRIC_J_OUTPUT).status;
        s.n[status]++;
        if (status == QUANTITY_ABSENT)
            continue;
        const char *scope = scope_of(study->runs[i].record);
        s.common = s.common == -1 || s.common == status ? status : -2;
        s.sensors = s.sensors || status != QUANTITY_MODELLED;
        s.scopes_differ = s.scopes_differ || (s.scope && strcmp(s.scope, scope) != 0);
        s.scope = s.scope ? s.scope : scope;
    }
    return s;
}

static char *energy_header(int status)
{
    return status >= 0 ? g_strdup_printf("J/token (%s)", quantity_status_name(status)) : g_strdup("J/token");
}

static char *figure(const json_t *record, const struct column *column)
{
    struct quantity q = record ? result_metric_of(record, column->metric) : quantity_absent(NULL);
    return q.status == QUANTITY_ABSENT ? g_strdup("-") : num_format_3(q.value * column->scale);
}

/* " [low, high]" with as many decimals as the value was printed with; "" without an interval. */
static char *interval_text(const struct quantity *q, const char *value)
{
    if (!isfinite(q->low) || !isfinite(q->high))
        return g_strdup("");
    const char *point = strchr(value, '.');
    if (strchr(value, 'e')) {
        g_autofree char *low = num_format_3(q->low), *high = num_format_3(q->high);
        return g_strdup_printf(" [%s, %s]", low, high);
    }
    int decimals = point ? (int)strlen(point + 1) : 0;
    return g_strdup_printf(" [%.*f, %.*f]", decimals, q->low, decimals, q->high);
}

/* The parts of the uncertainty of the scope that counts, relative to its energy; NaN: none is stated. A model has its
 * stated range instead. */
struct parts {
    double statistical, systematic;
    const char *source; /* of the systematic part, or NULL */
    bool calibrated;
};

static const json_t *primary_scope(const json_t *record)
{
    return json_array_get(jsonx_at(record, "energy.scopes"), 0);
}

static struct parts energy_parts(const json_t *record)
{
    struct parts p = {NAN, NAN, NULL, false};
    const json_t *scope = primary_scope(record);
    struct quantity q;
    if (!scope || !quantity_from_json(json_object_get(scope, "joules"), &q) || q.status == QUANTITY_ABSENT ||
        q.status == QUANTITY_MODELLED || q.value == 0)
        return p;
    jsonx_get_real(scope, "statistical_half_width_j", false, &p.statistical, NULL);
    jsonx_get_real(scope, "systematic_half_width_j", false, &p.systematic, NULL);
    p.statistical /= fabs(q.value);
    p.systematic /= fabs(q.value);
    const json_t *calibration = jsonx_at(scope, "systematic.calibration");
    p.calibrated = calibration != NULL;
    p.source = json_string_value(p.calibrated ? json_object_get(calibration, "method") : jsonx_at(scope, "systematic.source"));
    return p;
}

/* "0.25 %"; "-" where none is stated. New string. */
static char *share_text(double share)
{
    if (!isfinite(share))
        return g_strdup("-");
    g_autofree char *text = share < 1 ? g_strdup_printf("%.2g", 100 * share) : num_format_3(100 * share);
    return g_strdup_printf("%s %%", text);
}

static char *energy_figure(const json_t *record, const struct statuses *s)
{
    struct quantity q = record ? result_metric_of(record, METRIC_J_OUTPUT) : quantity_absent(NULL);
    if (q.status == QUANTITY_ABSENT)
        return g_strdup(record ? "absent" : "-");
    g_autofree char *value = num_format_3(q.value);
    g_autofree char *range = q.status == QUANTITY_MODELLED ? interval_text(&q, value) : g_strdup("");
    const char *status = s->common == -2 ? quantity_status_name(q.status) : NULL;
    const char *scope = s->scopes_differ ? scope_of(record) : NULL;
    return g_strdup_printf("%s%s%s%s%s%s", value, range, status ? " " : "", status ? status : "",
                           scope ? ", " : "", scope ? scope : "");
}

static void put(struct libscols_line *line, size_t *at, char *text)
{
    scols_line_refer_data(line, (*at)++, text);
}

static const json_t *first_levels(const struct report_study *study)
{
    return study->n_runs ? study->runs[0].levels : NULL;
}

static void add_columns(struct libscols_table *table, const struct report_study *study, const struct statuses *s)
{
    const char *path;
    json_t *level;
    scols_table_new_column(table, "#", 0, SCOLS_FL_RIGHT);
    if (study->n_cycles > 1)
        scols_table_new_column(table, "cycle", 0, SCOLS_FL_RIGHT);
    json_object_foreach((json_t *)(uintptr_t)first_levels(study), path, level) {
        scols_table_new_column(table, last_part(path), 0, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        scols_table_new_column(table, columns[i].header, 0, SCOLS_FL_RIGHT);
    g_autofree char *energy = energy_header(s->common);
    scols_table_new_column(table, energy, 0, SCOLS_FL_RIGHT);
    if (s->sensors) {
        scols_table_new_column(table, "stat 95%", 0, SCOLS_FL_RIGHT);
        scols_table_new_column(table, "syst 95%", 0, SCOLS_FL_RIGHT);
    }
    scols_table_new_column(table, "state", 0, 0);
}

static void add_line(struct libscols_table *table, const struct report_study *study, const struct report_run *run,
                     const struct statuses *s)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    size_t at = 0;
    const char *path;
    json_t *unused;
    put(line, &at, g_strdup_printf("%d", run->index));
    if (study->n_cycles > 1)
        put(line, &at, g_strdup_printf("%d", run->cycle));
    json_object_foreach((json_t *)(uintptr_t)first_levels(study), path, unused) {
        put(line, &at, level_text(json_object_get(run->levels, path)));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        put(line, &at, figure(run->record, &columns[i]));
    put(line, &at, energy_figure(run->record, s));
    if (s->sensors) {
        struct parts p = energy_parts(run->record);
        put(line, &at, share_text(p.statistical));
        put(line, &at, share_text(p.systematic));
    }
    put(line, &at, g_strdup(store_state_name(run->state)));
}

static const json_t *any_record(const struct report_study *study)
{
    for (size_t i = 0; i < study->n_runs; i++)
        if (study->runs[i].record)
            return study->runs[i].record;
    return NULL;
}

/* Notes are told once, however many runs they hold for. */
static void note_once(GPtrArray *told, GString *out, const char *text)
{
    if (g_ptr_array_find_with_equal_func(told, text, g_str_equal, NULL))
        return;
    g_ptr_array_add(told, g_strdup(text));
    g_string_append_printf(out, "%s\n", text);
}

static void note_sources(const json_t *record, GString *out)
{
    const json_t *sources = jsonx_at(record, "energy.sources");
    size_t i;
    json_t *source;
    if (json_array_size(sources))
        g_string_append(out, "No sensor measured this. What was looked for, and what would give a measured value:\n");
    json_array_foreach(sources, i, source) {
        const char *name = json_string_value(json_object_get(source, "name"));
        const char *reason = json_string_value(json_object_get(source, "reason"));
        if (name && reason && !json_is_true(json_object_get(source, "open")))
            g_string_append_printf(out, "  %s: %s\n", name, reason);
        size_t k;
        json_t *channel;
        json_array_foreach(json_object_get(source, "absent"), k, channel)
            g_string_append_printf(out, "  %s: %s\n", json_string_value(json_object_get(channel, "id")),
                                   json_string_value(json_object_get(channel, "reason")));
    }
}

/* What the two parts are, and where the systematic one comes from: each source once. */
static void note_parts(const struct report_study *study, GString *out)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    g_string_append(out, "stat and syst are half-widths of 95 % intervals. stat: what the readings of this window leave "
                         "open. syst: gain and offset of the sensor, the same in every run on a board.\n");
    for (size_t i = 0; i < study->n_runs; i++) {
        struct parts p = energy_parts(study->runs[i].record);
        if (!p.source)
            continue;
        g_autofree char *text = p.calibrated ? g_strdup_printf("syst is what remains after calibration: %s", p.source)
                                             : g_strdup_printf("syst is an assumption, there is no calibration: %s", p.source);
        note_once(told, out, text);
    }
}

static void note_scope(const struct report_study *study, const struct statuses *s, GString *out)
{
    const char *outside = NULL;
    for (size_t i = 0; i < study->n_runs && !outside; i++)
        outside = json_string_value(json_object_get(primary_scope(study->runs[i].record), "outside"));
    g_string_append_printf(out, "J/token is energy over output tokens, scope: %s%s.\n", s->scope,
                           s->common == QUANTITY_MODELLED ? "; in brackets the range of the model's stated watts, the same "
                                                            "for every row: it cancels between rows"
                                                          : "");
    if (outside)
        g_string_append_printf(out, "Not in it: %s.\n", outside);
}

static void note_energy(const struct report_study *study, const struct statuses *s, GString *out)
{
    const json_t *record = any_record(study);
    if (!record)
        return;
    struct quantity q = result_metric_of(record, METRIC_ENERGY);
    if (s->n[QUANTITY_SIMULATED])
        g_string_append(out, "Energy is SIMULATED where it says so: it comes from a simulated sensor, not from this machine.\n");
    if (s->common == -2)
        g_string_append(out, "The runs' energies differ in kind (see each row): do not compare them.\n");
    if (s->scopes_differ)
        g_string_append(out, "The runs' energies have different scopes (see each row): do not compare them.\n");
    else if (s->common >= 0)
        note_scope(study, s, out);
    if (s->sensors)
        note_parts(study, out);
    if (q.reason)
        g_string_append_printf(out, "Energy: %s\n", q.reason);
    if (!s->n[QUANTITY_MEASURED] && !s->n[QUANTITY_SIMULATED])
        note_sources(record, out);
}

/* "1, 3, 4": the runs whose record carries a flag; NULL when none does. New string. */
static char *runs_with_flag(const struct report_study *study, const char *flag)
{
    GString *list = g_string_new(NULL);
    for (size_t i = 0; i < study->n_runs; i++)
        if (json_object_get(json_object_get(study->runs[i].record, "flag_meanings"), flag))
            g_string_append_printf(list, "%s%d", list->len ? ", " : "", study->runs[i].index);
    return g_string_free(list, FALSE);
}

/* What makes the work of two runs equal: token ids in, tokens out, tokens computed and not taken from a cache, per
 * repeat. New string. */
static char *work_of(const json_t *record)
{
    struct quantity computed = result_metric_of(record, METRIC_TOKENS_IN_COMPUTED);
    struct quantity repeats = result_metric_of(record, METRIC_REPEATS);
    const char *ids = json_string_value(jsonx_at(record, "workload.input_ids_sha256"));
    const json_t *out = jsonx_at(record, "workload.output_tokens");
    g_autofree char *counts = out ? jsonx_dump(out, JSONX_COMPACT) : g_strdup("");
    return g_strdup_printf("%s %s %.0f", ids ? ids : "", counts,
                           repeats.value > 0 ? computed.value / repeats.value : computed.value);
}

/* Runs whose work differs are shown in one table, but never as if they compared. */
static void note_work(const struct report_study *study, GString *out)
{
    g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) lists = g_ptr_array_new(); /* GString *, in the order of the first run */
    for (size_t i = 0; i < study->n_runs; i++) {
        if (!study->runs[i].record)
            continue;
        g_autofree char *work = work_of(study->runs[i].record);
        GString *list = g_hash_table_lookup(groups, work);
        if (!list) {
            list = g_string_new(NULL);
            g_ptr_array_add(lists, list);
            g_hash_table_insert(groups, g_steal_pointer(&work), list);
        }
        g_string_append_printf(list, "%s%d", list->len ? ", " : "", study->runs[i].index);
    }
    if (lists->len > 1)
        g_string_append(out, "Unequal work: token ids in, tokens out or tokens computed differ between runs ");
    for (guint i = 0; i < lists->len; i++) {
        GString *list = g_ptr_array_index(lists, i);
        if (lists->len > 1)
            g_string_append_printf(out, "%s%s", i ? " / " : "", list->str);
        g_string_free(list, TRUE);
    }
    if (lists->len > 1)
        g_string_append(out, ": do not compare their figures.\n");
}

/* Each doubt once, with the runs it holds for. */
static void note_flags(const struct report_study *study, GString *out)
{
    g_autoptr(json_t) told = json_object();
    for (size_t i = 0; i < study->n_runs; i++) {
        const char *flag;
        json_t *meaning;
        json_object_foreach(json_object_get(study->runs[i].record, "flag_meanings"), flag, meaning) {
            if (json_object_get(told, flag) || !strcmp(flag, "uncalibrated")) /* note_parts() says it, with the source */
                continue;
            json_object_set(told, flag, meaning);
            g_autofree char *runs = runs_with_flag(study, flag);
            g_string_append_printf(out, "%s (%s %s): %s\n", flag, strchr(runs, ',') ? "runs" : "run", runs,
                                   json_string_value(meaning));
        }
    }
}

static void note_runs(const struct report_study *study, GString *out)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < study->n_runs; i++) {
        const struct report_run *run = &study->runs[i];
        size_t k;
        json_t *warning;
        if (run->message) {
            g_autofree char *text = g_strdup_printf("Run %d %s: %s", run->index, store_state_name(run->state), run->message);
            note_once(told, out, text);
        }
        json_array_foreach(json_object_get(run->record, "warnings"), k, warning) {
            g_autofree char *text = g_strdup_printf("Warning: %s", json_string_value(warning));
            note_once(told, out, text);
        }
    }
}

/* Breaks lines longer than width at spaces; what follows is indented a little more than the line. */
static void append_wrapped(GString *out, const char *text, size_t width)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line && (line[1] || **line); line++) {
        size_t indent = strspn(*line, " ") + 2, used = 0;
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
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
}

char *report_table(const struct report_study *study, size_t width)
{
    struct statuses statuses = energy_statuses(study);
    struct libscols_table *table = scols_new_table();
    scols_table_set_column_separator(table, "  ");
    if (width)
        scols_table_set_termwidth(table, width);
    else
        scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    add_columns(table, study, &statuses);
    for (size_t i = 0; i < study->n_runs; i++)
        add_line(table, study, &study->runs[i], &statuses);
    char *text = NULL;
    GString *out = g_string_new(NULL);
    if (scols_print_table_to_string(table, &text) == 0)
        g_string_append(out, text);
    free(text);
    scols_unref_table(table);
    if (out->len && out->str[out->len - 1] != '\n')
        g_string_append_c(out, '\n');
    g_string_append_c(out, '\n');
    g_autoptr(GString) notes = g_string_new(NULL);
    note_energy(study, &statuses, notes);
    note_work(study, notes);
    note_flags(study, notes);
    note_runs(study, notes);
    append_wrapped(out, notes->str, width);
    return g_string_free(out, FALSE);
}
