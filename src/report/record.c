/* SPDX-License-Identifier: MIT */
/* One run for people: what was run, every figure with its interval, status and origin, what is absent and why. */
#include "report/report.h"

#include "result/result.h"

#include <libsmartcols.h>
#include <math.h>
#include <string.h>

/* --- What was run ------------------------------------------------------------------------------------------------- */

static const char *text_at(const json_t *record, const char *path)
{
    return json_string_value(jsonx_at(record, path));
}

static void add_engine(GString *out, const json_t *record)
{
    const char *name = text_at(record, "engine.name"), *version = text_at(record, "engine.version");
    const char *adapter = text_at(record, "engine.adapter"), *revision = text_at(record, "engine.adapter_version");
    if (name)
        g_string_append_printf(out, "  engine  %s%s%s (adapter %s %s)\n", name, version ? " " : "",
                               version ? version : "",
                               adapter ? adapter : "?", revision ? revision : "?");
}

static void add_head(GString *out, const char *name, const json_t *record)
{
    const char *class = text_at(record, "class"), *study = text_at(record, "identity.study");
    const char *hash = text_at(record, "identity.config_hash"), *model = text_at(record, "config.model");
    const char *backend = text_at(record, "config.backend");
    const char *state = !class ? "ok" : !strcmp(class, llem_error_name(LLEM_ERROR_INTERRUPTED))
                        ? "interrupted" : "failed";
    g_string_append_printf(out, "%s: %s%s%s\n", name, state, class ? ", " : "", class ? class : "");
    if (model && backend)
        g_string_append_printf(out, "  model   %s on %s\n", model, backend);
    add_engine(out, record);
    if (hash)
        g_string_append_printf(out, "  config  %s%s%s\n", hash, study ? ", study " : "", study ? study : "");
    if (json_is_true(json_object_get(record, "simulated")))
        g_string_append(out, "  SIMULATED: made with simulated sensors or a simulated engine, to test llem\n");
}

/* The fields that somebody wrote, each with its place. */
static void add_written(GString *out, const json_t *record)
{
    const json_t *config = json_object_get(record, "config"), *origins = json_object_get(record, "origins");
    const char *path;
    const json_t *origin;
    size_t width = 0, n = 0;
    jsonx_foreach(origins, path, origin)
        if (g_strcmp0(json_string_value(origin), "default") && jsonx_at(config, path))
            width = MAX(width, strlen(path));
    jsonx_foreach(origins, path, origin) {
        const json_t *value = jsonx_at(config, path);
        if (!value || !g_strcmp0(json_string_value(origin), "default"))
            continue;
        g_autofree char *text = jsonx_dump(value, JSONX_COMPACT);
        g_string_append_printf(out, "%s  %-*s  %-20s  # %s\n", n++ ? "" : "\nConfiguration, without what is a default:\n",
                               (int)width, path, text, json_string_value(origin));
    }
}

/* --- Figures ------------------------------------------------------------------------------------------------------ */

/* Counts in full, all else with three digits. New string. */
static char *value_text(const struct quantity *q, const char *unit)
{
    bool counts = !strcmp(unit, "1") || !strcmp(unit, "token");
    return counts && q->value == floor(q->value) ? g_strdup_printf("%.0f", q->value) : num_format_3(q->value);
}

/* "[low, high]", or "" where no interval is stated. New string. */
static char *interval_text(const struct quantity *q)
{
    if (!isfinite(q->low) || !isfinite(q->high))
        return g_strdup("");
    g_autofree char *low = num_format_3(q->low), *high = num_format_3(q->high);
    return g_strdup_printf("[%s, %s]", low, high);
}

/* How a figure came about: method, sensor, doubts of its own (texts, or NULL). New string. */
static char *how_text(const struct quantity *q, const json_t *doubts)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    if (q->method)
        g_ptr_array_add(parts, (void *)(uintptr_t)q->method);
    if (q->sensor)
        g_ptr_array_add(parts, (void *)(uintptr_t)q->sensor);
    for (size_t i = 0; i < json_array_size(doubts); i++)
        if (json_is_string(json_array_get(doubts, i)))
            g_ptr_array_add(parts, (void *)(uintptr_t)json_string_value(json_array_get(doubts, i)));
    g_ptr_array_add(parts, NULL);
    return g_strjoinv(", ", (char **)parts->pdata);
}

static void add_figure(struct libscols_table *table, const struct result_metric_row *row, const struct quantity *q,
                       const json_t *doubts)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    g_autofree char *how = how_text(q, doubts);
    scols_line_set_data(line, 0, row->id);
    scols_line_refer_data(line, 1, value_text(q, row->unit));
    scols_line_refer_data(line, 2, interval_text(q));
    scols_line_set_data(line, 3, strcmp(row->unit, "1") ? row->unit : "");
    scols_line_set_data(line, 4, quantity_status_name(q->status));
    scols_line_set_data(line, 5, how);
}

static void add_figures(GString *out, const json_t *record, size_t width)
{
    static const struct {
        const char *name;
        int flags;
    } columns[] = {{"FIGURE", 0}, {"VALUE", SCOLS_FL_RIGHT}, {"INTERVAL", 0},
                   {"UNIT", 0},   {"STATUS", 0},             {"HOW", SCOLS_FL_TRUNC}};
    struct libscols_table *table = scols_new_table();
    scols_table_set_termforce(table, width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
    if (width)
        scols_table_set_termwidth(table, width);
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        scols_table_new_column(table, columns[i].name, 0, columns[i].flags);
    const json_t *doubts = jsonx_at(record, "energy.stretch_flags");
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct quantity q = result_metric_of(record, i);
        if (q.status != QUANTITY_ABSENT)
            add_figure(table, result_metric_row(i), &q, json_object_get(doubts, result_metric_row(i)->id));
    }
    char *text = NULL;
    scols_print_table_to_string(table, &text);
    g_string_append_printf(out, "\n%s\nAn interval is one of 95 %%; of a modelled value it is the range that was stated for it.\n",
                           text ? text : "");
    free(text);
    scols_unref_table(table);
}

/* Adds the figures that share a reason as one line of it, in the order of the figures. */
static void add_reasons(GString *out, const json_t *record, bool absent, const char *title)
{
    g_autoptr(GPtrArray) reasons = g_ptr_array_new();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct quantity q = result_metric_of(record, i);
        guint at = 0;
        if ((q.status == QUANTITY_ABSENT) != absent || !q.reason)
            continue;
        while (at < reasons->len && strcmp(reasons->pdata[at], q.reason))
            at++;
        if (at == reasons->len) {
            g_ptr_array_add(reasons, (void *)(uintptr_t)q.reason);
            g_ptr_array_add(names, NULL);
        }
        char *before = names->pdata[at];
        names->pdata[at] = g_strconcat(before ? before : "", before ? ", " : "", result_metric_row(i)->id, NULL);
        g_free(before);
    }
    for (guint i = 0; i < reasons->len; i++)
        g_string_append_printf(out, "%s  %s\n      %s\n", i ? "" : title, (char *)reasons->pdata[i],
                               (char *)names->pdata[i]);
}

/* --- Doubts --------------------------------------------------------------------------------------------------------- */

/* ", statistical ± 0.25 %" of a value; "" where none is stated. New string. */
static char *share_text(const char *name, const json_t *scope, const char *member, double value)
{
    double half = NAN;
    jsonx_get_real(scope, member, false, &half, NULL);
    bool known = isfinite(half) && value != 0;
    return known ? g_strdup_printf(", %s ± %.2g %%", name, 100 * half / fabs(value)) : g_strdup("");
}

/* "123 J, statistical ± 0.25 %, systematic ± 2 %". A model has its range instead. New string. */
static char *energy_text(const json_t *scope, const struct quantity *q)
{
    if (q->status == QUANTITY_ABSENT)
        return g_strdup_printf("absent: %s", q->reason);
    g_autofree char *value = num_format_3(q->value);
    if (q->status == QUANTITY_MODELLED)
        return g_strdup_printf("%s J", value);
    g_autofree char *statistical = share_text("statistical", scope, "statistical_half_width_j", q->value);
    g_autofree char *systematic = share_text("systematic", scope, "systematic_half_width_j", q->value);
    return g_strdup_printf("%s J%s%s", value, statistical, systematic);
}

/* Unlike scopes are never added, so each has its line; the first is the run's. */
static void add_scopes(GString *out, const json_t *record)
{
    const json_t *scopes = jsonx_at(record, "energy.scopes");
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const json_t *scope = json_array_get(scopes, i);
        const char *name = text_at(scope, "scope"), *outside = text_at(scope, "outside");
        struct quantity q;
        if (!quantity_from_json(json_object_get(scope, "joules"), &q))
            continue;
        g_autofree char *energy = energy_text(scope, &q);
        g_string_append_printf(out, "%s  %s: %s\n", i ? "" : "\nEnergy by scope (energy_j is the first):\n",
                               name ? name : "unknown scope", energy);
        if (outside)
            g_string_append_printf(out, "      not in it: %s\n", outside);
    }
}

static void add_doubts(GString *out, const json_t *record)
{
    const json_t *flags = json_object_get(record, "flags"), *warnings = json_object_get(record, "warnings");
    for (size_t i = 0; i < json_array_size(flags); i++) {
        const char *flag = json_string_value(json_array_get(flags, i));
        const char *meaning = json_string_value(json_object_get(json_object_get(record, "flag_meanings"), flag));
        g_string_append_printf(out, "%s  %s: %s\n", i ? "" : "\nFlags:\n", flag, meaning ? meaning : "");
    }
    for (size_t i = 0; i < json_array_size(warnings); i++)
        g_string_append_printf(out, "%s  %s\n", i ? "" : "\nWarnings:\n",
                               json_string_value(json_array_get(warnings, i)));
}

/* --- A run that failed ---------------------------------------------------------------------------------------------- */

static void add_failure(GString *out, const json_t *record)
{
    const char *phase = text_at(record, "phase"), *engine = text_at(record, "engine_class");
    const json_t *log = json_object_get(record, "log_tail");
    const char *message = text_at(record, "message");
    g_string_append_printf(out, "\n%s\n", message ? message : "the record has no message");
    if (phase)
        g_string_append_printf(out, "  phase: %s\n", phase);
    if (engine)
        g_string_append_printf(out, "  the engine calls it: %s\n", engine);
    for (size_t i = 0; i < json_array_size(log); i++)
        g_string_append_printf(out, "%s  %s\n", i ? "" : "\nLast lines of the engine's log:\n",
                               json_string_value(json_array_get(log, i)));
}

char *report_record(const char *name, const json_t *record, size_t width)
{
    GString *out = g_string_new(NULL);
    add_head(out, name, record);
    if (text_at(record, "class")) {
        add_failure(out, record);
        add_written(out, record);
        return g_string_free(out, FALSE);
    }
    add_written(out, record);
    add_figures(out, record, width);
    add_reasons(out, record, false, "\nRemarks:\n");
    add_reasons(out, record, true, "\nAbsent, and why:\n");
    add_scopes(out, record);
    add_doubts(out, record);
    return g_string_free(out, FALSE);
}
