/* SPDX-License-Identifier: MIT */
/* A table: the shared rows, and the options of some engines as their descriptors have them. */
#include "config/internal.h"

#include <string.h>

/* --- Rows --------------------------------------------------------------------------------------------------------- */

static unsigned path_flags(const struct backend_option *option)
{
    if (option->path_kind == BACKEND_PATH_NONE)
        return 0;
    return CONFIG_PATH | CONFIG_CONTENT | (option->path_kind == BACKEND_PATH_FILE ? CONFIG_NO_FOLDER : 0);
}

static struct config_field row_of(const struct backend *engine, const struct backend_option *option)
{
    return (struct config_field){
        .path = option->path,
        .type = (enum config_type)option->type,
        .flags = (option->hashed ? CONFIG_HASHED : 0) | (option->sweepable ? CONFIG_SWEEP : 0) | path_flags(option),
        .unit = option->unit,
        .initial = option->initial,
        .min = option->min,
        .max = option->max,
        .choices = option->choices,
        .help = option->help,
        .option = option,
        .engine = engine,
    };
}

static size_t count_rows(const struct config_table *table)
{
    size_t n = CONFIG_SHARED_FIELDS, of_runner = 0;
    const struct backend_option *unused;
    while (config_runner_rows[of_runner].name)
        of_runner++;
    for (unsigned e = 0; e < table->engines->len; e++)
        n += backend_options(table->engines->pdata[e], &unused) + of_runner;
    return n;
}

static const char *keep_text(struct config_table *table, char *text)
{
    const char *kept = g_string_chunk_insert_const(table->strings, text);
    g_free(text);
    return kept;
}

/* Who runs the runs of an engine. */
static struct config_field *fill_runner_rows(struct config_table *table, const struct backend *engine,
                                             struct config_field *into)
{
    const char *name = backend_name(engine);
    for (const struct config_runner_row *row = config_runner_rows; row->name; row++)
        *into++ = (struct config_field){
            .path = keep_text(table, config_runner_path(name, row->name)),
            .type = row->type,
            .flags = CONFIG_USER,
            .min = row->min,
            .max = row->max,
            .choices = row->choices,
            .env = strcmp(row->name, RUNNER_USE) ? NULL : keep_text(table, config_runner_variable(name)),
            .help = row->help,
            .engine = engine,
            .form = row->form,
            .runner = row->name,
        };
    return into;
}

static void fill_rows(struct config_table *table)
{
    table->n = count_rows(table);
    table->rows = g_new0(struct config_field, table->n);
    table->info = g_new0(struct field_info, table->n);
    memcpy(table->rows, config_shared_rows, sizeof config_shared_rows);
    table->rows[FIELD_BACKEND].choices = table->names;
    size_t at = CONFIG_SHARED_FIELDS;
    for (unsigned e = 0; e < table->engines->len; e++) {
        const struct backend_option *options;
        size_t n = backend_options(table->engines->pdata[e], &options);
        for (size_t i = 0; i < n; i++)
            table->rows[at++] = row_of(table->engines->pdata[e], &options[i]);
    }
    struct config_field *next = &table->rows[at];
    for (unsigned e = 0; e < table->engines->len; e++)
        next = fill_runner_rows(table, table->engines->pdata[e], next);
}

/* --- Indexes ------------------------------------------------------------------------------------------------------ */

static void add_sections(struct config_table *table, const char *path)
{
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.'))
        g_hash_table_add(table->sections, g_strndup(path, (size_t)(dot - path)));
}

/* Where names stood that are none any more: they are looked at one by one. */
static void add_retired_sections(struct config_table *table, const struct backend *engine)
{
    const struct backend_retired *rows;
    size_t n = backend_retired_rows(engine, &rows);
    for (size_t i = 0; i < n; i++)
        if (!rows[i].value)
            add_sections(table, rows[i].path);
}

static int by_path(gconstpointer a, gconstpointer b, gpointer rows)
{
    const struct config_field *table = rows;
    return strcmp(table[*(const size_t *)a].path, table[*(const size_t *)b].path);
}

static void index_rows(struct config_table *table)
{
    table->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    table->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    table->sorted = g_new0(size_t, table->n);
    for (size_t i = 0; i < table->n; i++) {
        const char *path = table->rows[i].path;
        g_hash_table_insert(table->by_path, (void *)(uintptr_t)path, GSIZE_TO_POINTER(i + 1));
        add_sections(table, path);
        table->info[i].key_text = g_strdup_printf("\"%s\":", path);
        if (table->rows[i].flags & CONFIG_HASHED)
            table->sorted[table->n_sorted++] = i;
    }
    for (unsigned e = 0; e < table->engines->len; e++)
        add_retired_sections(table, table->engines->pdata[e]);
    g_qsort_with_data(table->sorted, (int)table->n_sorted, sizeof *table->sorted, by_path, table->rows);
}

/* --- Defaults ----------------------------------------------------------------------------------------------------- */

/* Through the same reader as a file, so that a default written out is the same value. What it leads to is looked at
 * when a hash is wanted. */
static struct config_value *initial_value(const struct config_table *table, const struct config_field *row)
{
    if (!row->initial)
        return value_make(json_null(), LAYER_DEFAULT, "default");
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) json = jsonx_parse(row->initial, -1, row->path, &error);
    if (!json)
        g_error("a default: %s", error->message);
    if (row->flags & CONFIG_ENGINE) /* it may not be here; who needs it says so */
        return value_make(json_incref(json), LAYER_DEFAULT, "default");
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = doc_from_json("default", json, diag);
    struct diag_span nowhere = {0};
    struct value_context context = {
        .table = table, .layer = LAYER_DEFAULT, .folder = "/", .at = &nowhere, .skip_digests = true, .diag = diag};
    struct config_value *value = value_read(&context, row, doc_root(doc));
    if (!value) {
        g_autofree char *said = diag_render(diag, false);
        g_error("a default: %s", said);
    }
    value->note = "default";
    return value;
}

/* The same of what the engine takes by itself. NULL: nothing is known, or it is no value that could be written. */
static struct config_value *own_value(const struct config_table *table, const struct config_field *row)
{
    const char *own = row->option ? row->option->own : NULL;
    g_autoptr(json_t) json = own ? jsonx_parse(own, -1, row->path, NULL) : NULL;
    if (!json)
        return NULL;
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = doc_from_json("default", json, diag);
    struct diag_span nowhere = {0};
    struct value_context context = {
        .table = table, .layer = LAYER_DEFAULT, .folder = "/", .at = &nowhere, .skip_digests = true, .diag = diag};
    return doc ? value_read(&context, row, doc_root(doc)) : NULL;
}

/* --- Links between rows -------------------------------------------------------------------------------------------- */

static void add_gate(struct config_table *table, size_t field, const struct backend_condition *condition,
                     const struct backend *engine)
{
    struct field_info *info = &table->info[field];
    info->gates = g_renew(struct gate, info->gates, info->n_gates + 1);
    info->gates[info->n_gates++] = (struct gate){table_at(table, condition->field), *condition, engine};
}

static bool gate_covers(const struct shared_gate *gate, const char *path)
{
    if (g_str_has_suffix(gate->path, "."))
        return g_str_has_prefix(path, gate->path) && strcmp(path, gate->condition.field) != 0;
    return !strcmp(gate->path, path);
}

static void link_shared(struct config_table *table)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++)
        for (const struct shared_gate *gate = config_shared_gates; gate->path; gate++)
            if (gate_covers(gate, table->rows[i].path))
                add_gate(table, i, &gate->condition, NULL);
}

static const char *const unset[] = {"null", NULL};

/* What an option says of other fields. A field that it replaces has a meaning while the option is not set. */
static void link_option(struct config_table *table, size_t i)
{
    const struct backend_option *option = table->rows[i].option;
    struct field_info *info = &table->info[i];
    for (size_t w = 0; w < option->n_when; w++)
        add_gate(table, i, &option->when[w], table->rows[i].engine);
    if (option->follows) {
        info->follows = table_at(table, option->follows);
        info->follows_note = g_strdup_printf("follows %s", option->follows);
    }
    if (option->replaces) {
        info->replaces = table_at(table, option->replaces);
        struct backend_condition condition = {.field = option->path, .n = 1, .values = unset};
        add_gate(table, info->replaces, &condition, table->rows[i].engine);
    }
}

/* Whatever is said of containers has a meaning unless somebody wants none. */
static void link_runner(struct config_table *table, size_t i)
{
    static const char *const local[] = {"\"local\""};
    const struct config_field *row = &table->rows[i];
    if (!strcmp(row->runner, RUNNER_USE))
        return;
    g_autofree char *use = config_runner_path(backend_name(row->engine), RUNNER_USE);
    struct backend_condition condition = {
        .field = table->rows[table_at(table, use)].path, .negated = true, .n = 1, .values = local};
    add_gate(table, i, &condition, row->engine);
}

static void link_rows(struct config_table *table)
{
    for (size_t i = 0; i < table->n; i++)
        table->info[i].follows = table->info[i].replaces = NO_FIELD;
    link_shared(table);
    for (size_t i = CONFIG_SHARED_FIELDS; i < table->n; i++)
        if (table->rows[i].option)
            link_option(table, i);
        else
            link_runner(table, i);
}

/* True if a field is there, and is a number where the rule compares numbers. */
static bool is_there(const struct config_table *table, const struct backend_rule *row, const char *path)
{
    int index = path ? table_index(table, path) : 0;
    bool compares = row->kind == BACKEND_AT_LEAST || row->kind == BACKEND_HOLDS || row->kind == BACKEND_WITHIN;
    if (index < 0 || !path || !compares)
        return index >= 0;
    return table->rows[index].type == CONFIG_INT || table->rows[index].type == CONFIG_REAL;
}

static void add_rule(struct config_table *table, const struct backend_rule *row, const struct backend *engine)
{
    if (row->installed && !(is_there(table, row, row->a) && is_there(table, row, row->b)))
        return;
    struct rule rule = {.row = row, .engine = engine, .a = table_at(table, row->a), .b = NO_FIELD, .unless = NO_FIELD};
    if (row->b)
        rule.b = table_at(table, row->b);
    if (row->unless)
        rule.unless = table_at(table, row->unless->field);
    g_array_append_val(table->rules, rule);
}

static void add_rules(struct config_table *table)
{
    table->rules = g_array_new(FALSE, FALSE, sizeof(struct rule));
    table->cannot = g_array_new(FALSE, FALSE, sizeof(struct cannot));
    for (const struct backend_rule *row = config_shared_rules; row->a; row++)
        add_rule(table, row, NULL);
    for (unsigned e = 0; e < table->engines->len; e++) {
        const struct backend *engine = table->engines->pdata[e];
        const struct backend_rule *rules;
        const struct backend_cannot *rows;
        size_t n = backend_rules(engine, &rules), m = backend_cannot(engine, &rows);
        for (size_t i = 0; i < n; i++)
            add_rule(table, &rules[i], engine);
        for (size_t i = 0; i < m; i++) {
            struct cannot cannot = {&rows[i], engine, table_at(table, rows[i].field)};
            g_array_append_val(table->cannot, cannot);
        }
    }
}

bool config_is_field(const char *path)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++)
        if (!strcmp(config_shared_rows[i].path, path))
            return true;
    g_autofree char *first = g_strndup(path, strcspn(path, "."));
    const struct backend *engine = backend_exists(first) ? backend_find(first, NULL) : NULL;
    return engine && backend_option(engine, path);
}

/* --- A table -------------------------------------------------------------------------------------------------------- */

/* The engines there are, with a summary where the descriptor is read anyway. */
static void name_engines(struct config_table *table)
{
    table->found = backend_names();
    size_t n = g_strv_length(table->found);
    table->names = g_new0(struct backend_choice, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct backend *engine = table_engine(table, table->found[i]);
        const char *summary = engine ? backend_summary(engine) : NULL;
        table->names[i] = (struct backend_choice){.name = table->found[i], .help = summary};
    }
}

struct config_table *table_build(GPtrArray *engines)
{
    struct config_table *table = g_new0(struct config_table, 1);
    table->engines = engines;
    table->strings = g_string_chunk_new(1024);
    table->elsewhere = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    table->advised = g_hash_table_new(NULL, NULL);
    name_engines(table);
    fill_rows(table);
    index_rows(table);
    for (size_t i = 0; i < table->n; i++) {
        table->info[i].initial = initial_value(table, &table->rows[i]);
        table->info[i].own = own_value(table, &table->rows[i]);
    }
    link_rows(table);
    add_rules(table);
    return table;
}

struct config_table *config_table_new(const char *const *names, struct diag *diag)
{
    g_auto(GStrv) all = names ? NULL : backend_names();
    GPtrArray *engines = g_ptr_array_new();
    for (const char *const *name = names ? names : (const char *const *)all; *name; name++) {
        g_autoptr(GError) error = NULL;
        const struct backend *engine = backend_find(*name, &error);
        if (engine)
            g_ptr_array_add(engines, (void *)(uintptr_t)engine);
        else
            diag_add(diag, DIAG_ERROR, NULL, "%s", error->message);
    }
    return table_build(engines);
}

void config_table_free(struct config_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n; i++) {
        g_free(table->info[i].key_text);
        g_free(table->info[i].follows_note);
        g_free(table->info[i].gates);
        value_free(table->info[i].initial);
        if (table->info[i].own)
            value_free(table->info[i].own);
    }
    g_free(table->info);
    g_free(table->rows);
    g_free(table->sorted);
    g_hash_table_unref(table->by_path);
    g_hash_table_unref(table->sections);
    g_ptr_array_unref(table->engines);
    g_array_unref(table->rules);
    g_array_unref(table->cannot);
    g_free(table->names);
    g_strfreev(table->found);
    g_string_chunk_free(table->strings);
    g_hash_table_unref(table->elsewhere);
    g_hash_table_unref(table->advised);
    g_free(table);
}
