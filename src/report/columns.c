/* SPDX-License-Identifier: MIT */
/* The columns of the table: rows, and what each kind shows of a run. */
#include "report/columns.h"

#include <math.h>
#include <string.h>

#define FIGURE(column_id, name, of, unit_scale) \
    {.id = column_id, .header = name, .kind = COLUMN_FIGURE, .metric = METRIC_##of, .scale = unit_scale}

/* In the usual order. Every figure of a record is a column too, under its own name. */
static const struct {
    struct column column;
    bool usual;
    const char *help;
} rows[] = {
    {{.id = "run", .header = "#", .kind = COLUMN_RUN}, true, "number of the run in the plan; sorting by it keeps the plan's order"},
    {{.id = "cycle", .header = "cycle", .kind = COLUMN_CYCLE}, true, "cycle of the run; usual where there are several"},
    {{.id = "levels", .kind = COLUMN_LEVELS, .left = true}, true, "what was varied, a column each"},
    {{.id = "group", .header = "group", .kind = COLUMN_GROUP}, false, "runs with the same letter may be compared"},
    {FIGURE("tokens_per_s", "tokens/s", OUTPUT_RATE, 1), true, "`output_tokens_per_s`"},
    {FIGURE("ttft_ms", "TTFT ms", TTFT_MEAN, 1e3), true, "`ttft_mean_s`"},
    {FIGURE("tpot_ms", "TPOT ms", TPOT_MEAN, 1e3), true, "`tpot_mean_s`"},
    {FIGURE("peak_mb", "peak MB", PEAK_MEMORY, 1), true, "`peak_memory_mb`"},
    {FIGURE("host_peak_mb", "peak MB (process)", HOST_MEMORY, 1), true, "`host_peak_memory_mb`; usual where an engine has no `peak_memory_mb`"},
    {FIGURE("cpu_s_token", "CPU s/token", CPU_OUTPUT, 1), true, "`cpu_s_per_output_token`; usual without a sensor"},
    {{.id = "j_token", .header = "J/token", .kind = COLUMN_ENERGY, .metric = METRIC_J_OUTPUT}, true, "`joules_per_output_token`"},
    {{.id = "readout", .header = "read-out 95%", .kind = COLUMN_STATISTICAL}, true, "what the readings of the one window left open; usual with a sensor"},
    {{.id = "syst", .header = "syst 95%", .kind = COLUMN_SYSTEMATIC}, true, "gain and offset of the sensor; usual with a sensor"},
    {{.id = "state", .header = "state", .kind = COLUMN_STATE, .left = true}, true, "`ok`, or what became of the run"},
};

/* --- Names ------------------------------------------------------------------------------------------------------------- */

/* The column of an id: a row, or any figure of a record. */
static bool find_column(const char *id, struct column *ret)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].column.id, id)) {
            *ret = rows[i].column;
            return true;
        }
    int metric = result_metric_from_id(id);
    if (metric < 0)
        return false;
    const char *name = result_metric_row(metric)->id;
    *ret = (struct column){.id = name, .header = name, .kind = COLUMN_FIGURE, .metric = metric, .scale = 1};
    return true;
}

static bool is_sortable(const struct column *column)
{
    return column->kind == COLUMN_RUN || column->kind == COLUMN_FIGURE || column->kind == COLUMN_ENERGY;
}

int columns_sort(const char *id)
{
    struct column column;
    if (!id || !find_column(id, &column))
        return METRIC_COUNT;
    return column.kind == COLUMN_RUN ? -1 : column.metric;
}

static bool refuse(const char *option, const char *id, bool sortable, GError **error)
{
    struct suggest suggest = {.word = id};
    g_autoptr(GString) all = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (sortable && !is_sortable(&rows[i].column))
            continue;
        suggest_offer(&suggest, rows[i].column.id);
        g_string_append_printf(all, "%s, ", rows[i].column.id);
    }
    for (int i = 0; i < METRIC_COUNT; i++)
        suggest_offer(&suggest, result_metric_row(i)->id);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "%s: %s '%s'%s%s%s; there are: %sand what 'llem result metrics' lists",
                option, sortable ? "nothing is sorted by" : "no column", id, suggest.best ? ": did you mean '" : "",
                suggest.best ? suggest.best : "", suggest.best ? "'?" : "", all->str);
    return false;
}

bool report_options_check(const struct report_options *options, GError **error)
{
    struct column column;
    g_auto(GStrv) ids = g_strsplit(options->columns ? options->columns : "", ",", -1);
    if (options->columns && !*ids)
        return refuse("--columns", "", false, error);
    for (char **id = ids; *id; id++)
        if (!find_column(g_strstrip(*id), &column))
            return refuse("--columns", *id, false, error);
    if (options->sort && (!find_column(options->sort, &column) || !is_sortable(&column)))
        return refuse("--sort", options->sort, true, error);
    return true;
}

char *report_reference(void)
{
    GString *out = g_string_new("\n## Columns\n\nOf the table of `llem run` and `llem show`. `--columns` takes their names, "
                                "separated by commas, and those of the figures\nabove; `--sort` one that is a figure, or `run`.\n\n"
                                "| column | heading | shows |\n|---|---|---|\n");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *header = rows[i].column.header;
        g_string_append_printf(out, "| `%s` | %s | %s%s |\n", rows[i].column.id,
                               header ? header : "the last part of each path",
                               rows[i].help, rows[i].usual ? "" : "; only when it is asked for");
    }
    return g_string_free(out, FALSE);
}

/* --- The columns of a table -------------------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static void add_column(GArray *columns, const struct column *column, const struct frame *frame)
{
    if (column->kind != COLUMN_LEVELS) {
        g_array_append_val(columns, *column);
        return;
    }
    for (size_t i = 0; i < frame_axes(frame); i++) {
        struct column level = *column;
        level.axis = (int)i;
        level.header = last_part(frame_axis(frame, i));
        g_array_append_val(columns, level);
    }
}

static bool has_cycles(const struct frame *frame)
{
    for (size_t i = 0; i < frame_count(frame); i++)
        if (frame_cycle(frame, i) > 1)
            return true;
    return false;
}

static bool has(const struct frame *frame, size_t run, enum result_metric metric)
{
    return metric != METRIC_COUNT && frame_has_record(frame, run) &&
           frame_metric(frame, run, metric).status != QUANTITY_ABSENT;
}

/* True if some run has a figure, and not another one (METRIC_COUNT: whatever it has). */
static bool some_has(const struct frame *frame, enum result_metric metric, enum result_metric lacking)
{
    for (size_t i = 0; i < frame_count(frame); i++)
        if (has(frame, i, metric) && !has(frame, i, lacking))
            return true;
    return false;
}

/* Memory of an engine that keeps no account of it is that of its processes, in a column of its own. */
static bool figure_is_of_use(const struct column *column, const struct frame *frame, bool sensors)
{
    bool of_processes = some_has(frame, METRIC_HOST_MEMORY, METRIC_PEAK_MEMORY);
    switch (column->metric) {
    case METRIC_CPU_OUTPUT: return !sensors;
    case METRIC_HOST_MEMORY: return of_processes;
    case METRIC_PEAK_MEMORY: return !of_processes || some_has(frame, METRIC_PEAK_MEMORY, METRIC_COUNT);
    default: return true;
    }
}

/* True if a usual column says something of these runs. */
static bool is_of_use(const struct column *column, const struct frame *frame, bool sensors)
{
    switch (column->kind) {
    case COLUMN_CYCLE: return has_cycles(frame);
    case COLUMN_STATISTICAL:
    case COLUMN_SYSTEMATIC: return sensors;
    case COLUMN_FIGURE: return figure_is_of_use(column, frame, sensors);
    default: return true;
    }
}

GArray *columns_of(const struct frame *frame, const struct report_options *options)
{
    GArray *columns = g_array_new(FALSE, FALSE, sizeof(struct column));
    bool sensors = frame_energy(frame).sensors;
    g_auto(GStrv) ids = g_strsplit(options->columns ? options->columns : "", ",", -1);
    struct column column;
    for (char **id = ids; *id; id++)
        if (find_column(g_strstrip(*id), &column))
            add_column(columns, &column, frame);
    for (size_t i = 0; !*ids && i < G_N_ELEMENTS(rows); i++)
        if (rows[i].usual && is_of_use(&rows[i].column, frame, sensors))
            add_column(columns, &rows[i].column, frame);
    return columns;
}

/* --- What stands in them ----------------------------------------------------------------------------------------------- */

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

/* "0.25 %"; "-" where none is stated. New string. */
static char *share_text(double share)
{
    if (!isfinite(share))
        return g_strdup("-");
    g_autofree char *text = share < 1 ? g_strdup_printf("%.2g", 100 * share) : num_format_3(100 * share);
    return g_strdup_printf("%s %%", text);
}

static char *energy_text(const struct frame *frame, const struct frame_energy *e, size_t run)
{
    struct quantity q = frame_metric(frame, run, METRIC_J_OUTPUT);
    if (q.status == QUANTITY_ABSENT)
        return g_strdup(frame_has_record(frame, run) ? "absent" : "-");
    g_autofree char *value = num_format_3(q.value);
    g_autofree char *range = q.status == QUANTITY_MODELLED ? interval_text(&q, value) : g_strdup("");
    const char *status = e->kinds_differ ? quantity_status_name(q.status) : NULL;
    const char *scope = e->scopes_differ ? frame_scope(frame, run) : NULL;
    return g_strdup_printf("%s%s%s%s%s%s", value, range, status ? " " : "", status ? status : "", scope ? ", " : "",
                           scope ? scope : "");
}

/* Figures beside the usual ones say it when they are not measured. */
static char *figure_text(const struct column *column, const struct frame *frame, size_t run)
{
    struct quantity q = frame_metric(frame, run, (enum result_metric)column->metric);
    if (q.status == QUANTITY_ABSENT)
        return g_strdup("-");
    g_autofree char *value = num_format_3(q.value * column->scale);
    bool told = q.status == QUANTITY_MEASURED || column->id != result_metric_row(column->metric)->id;
    return told ? g_steal_pointer(&value) : g_strdup_printf("%s %s", value, quantity_status_name(q.status));
}

/* A, B, … Z, A1, B1, …; "-" for runs without a record. */
static char *group_text(int group)
{
    if (group < 0)
        return g_strdup("-");
    g_autofree char *round = group < 26 ? g_strdup("") : g_strdup_printf("%d", group / 26);
    return g_strdup_printf("%c%s", 'A' + group % 26, round);
}

char *column_text(const struct column *column, const struct frame *frame, const struct frame_energy *energy, size_t run)
{
    switch (column->kind) {
    case COLUMN_RUN: return g_strdup_printf("%d", frame_index(frame, run));
    case COLUMN_CYCLE: return g_strdup_printf("%d", frame_cycle(frame, run));
    case COLUMN_GROUP: return group_text(frame_group(frame, run));
    case COLUMN_FIGURE: return figure_text(column, frame, run);
    case COLUMN_ENERGY: return energy_text(frame, energy, run);
    case COLUMN_STATISTICAL: return share_text(frame_parts(frame, run).statistical);
    case COLUMN_SYSTEMATIC: return share_text(frame_parts(frame, run).systematic);
    case COLUMN_STATE: return g_strdup(frame_state(frame, run));
    default: break;
    }
    const char *level = frame_level(frame, run, (size_t)column->axis);
    return g_strdup(level ? level : "-");
}

char *column_header(const struct column *column, const struct frame_energy *energy)
{
    if (column->kind == COLUMN_ENERGY && energy->status != QUANTITY_ABSENT)
        return g_strdup_printf("%s (%s)", column->header, quantity_status_name(energy->status));
    return g_strdup(column->header);
}
