/* SPDX-License-Identifier: MIT */
/* The rows as one table, with what is looked up often worked out once. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

static const struct config_field *const groups[] = {
    config_rows_llamacpp, config_rows_pytorch, config_rows_vllm, config_rows_sim,
};

static const struct {
    unsigned bit;
    const char *name;
} backends[] = {
    {CONFIG_LLAMACPP, "llamacpp"},
    {CONFIG_PYTORCH, "pytorch"},
    {CONFIG_VLLM, "vllm"},
    {CONFIG_SIM, "sim"},
};

const char *backend_name_of_bit(unsigned bit)
{
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++)
        if (backends[i].bit == bit)
            return backends[i].name;
    return NULL;
}

unsigned backend_bit(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++)
        if (!strcmp(backends[i].name, name))
            return backends[i].bit;
    return 0;
}

const char *config_backend_name(unsigned bits)
{
    return backend_name_of_bit(bits);
}

static void copy_rows(struct field_table *table)
{
    table->n = CONFIG_SHARED_FIELDS;
    for (size_t g = 0; g < G_N_ELEMENTS(groups); g++)
        for (const struct config_field *row = groups[g]; row->path; row++)
            table->n++;
    table->rows = g_new0(struct config_field, table->n);
    memcpy(table->rows, config_shared_rows, sizeof config_shared_rows);
    table->rows[FIELD_PASSTHROUGH_KWARGS].backends = CONFIG_PYTORCH | CONFIG_VLLM;
    size_t at = CONFIG_SHARED_FIELDS;
    for (size_t g = 0; g < G_N_ELEMENTS(groups); g++)
        for (const struct config_field *row = groups[g]; row->path; row++)
            table->rows[at++] = *row;
}

static void add_sections(struct field_table *table, const char *path)
{
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.'))
        g_hash_table_add(table->sections, g_strndup(path, (size_t)(dot - path)));
}

/* Through the same reader as a file, so that a default written out is the same value. */
static struct config_value *initial_value(const struct config_field *row)
{
    if (!row->initial)
        return value_make(json_null(), LAYER_DEFAULT, "default");
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) json = jsonx_parse(row->initial, -1, row->path, &error);
    if (!json)
        g_error("a default: %s", error->message);
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = doc_from_json("default", json, diag);
    struct diag_span nowhere = {0};
    struct value_context context = {.layer = LAYER_DEFAULT, .at = &nowhere, .diag = diag};
    struct config_value *value = value_read(&context, row, doc_root(doc));
    if (!value) {
        g_autofree char *said = diag_render(diag, false);
        g_error("a default: %s", said);
    }
    value->note = "default";
    return value;
}

static int by_path(gconstpointer a, gconstpointer b, gpointer rows)
{
    const struct config_field *table = rows;
    return strcmp(table[*(const size_t *)a].path, table[*(const size_t *)b].path);
}

static void sort_hashed(struct field_table *table)
{
    size_t *sorted = g_new0(size_t, table->n);
    for (size_t i = 0; i < table->n; i++)
        if (table->rows[i].flags & CONFIG_HASHED)
            sorted[table->n_sorted++] = i;
    g_qsort_with_data(sorted, (int)table->n_sorted, sizeof *sorted, by_path, table->rows);
    table->sorted = sorted;
}

static struct field_table *make_table(void)
{
    struct field_table *table = g_new0(struct field_table, 1);
    copy_rows(table);
    table->info = g_new0(struct field_info, table->n);
    table->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    table->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        g_hash_table_insert(table->by_path, (void *)(uintptr_t)row->path, GSIZE_TO_POINTER(i + 1));
        add_sections(table, row->path);
        table->info[i].row = row;
        table->info[i].key_text = g_strdup_printf("\"%s\":", row->path);
        table->info[i].initial = initial_value(row);
        table->info[i].gates = gates_of(row->path);
    }
    sort_hashed(table);
    return table;
}

const struct field_table *field_table(void)
{
    static struct field_table *table;
    static gsize once;
    if (g_once_init_enter(&once)) {
        table = make_table();
        g_once_init_leave(&once, 1);
    }
    return table;
}

int field_index(const char *path)
{
    return (int)GPOINTER_TO_SIZE(g_hash_table_lookup(field_table()->by_path, path)) - 1;
}

size_t field_at(const char *path)
{
    int index = field_index(path);
    if (index < 0)
        g_error("config: no field '%s'", path);
    return (size_t)index;
}

bool field_is_nullable(const struct config_field *row)
{
    return !row->initial && !(row->flags & CONFIG_REQUIRED);
}

bool field_is_section(const char *path)
{
    return g_hash_table_contains(field_table()->sections, path);
}

unsigned field_section_backend(const char *path)
{
    g_autofree char *first = g_strndup(path, strcspn(path, "."));
    return backend_bit(first);
}

size_t config_fields(const struct config_field **ret)
{
    *ret = field_table()->rows;
    return field_table()->n;
}

const struct config_field *config_field(const char *path)
{
    int index = field_index(path);
    return index < 0 ? NULL : &field_table()->rows[index];
}

/* --- What a row accepts, in words ----------------------------------------------------------------------------- */

static char *number_text(double value)
{
    if (value == floor(value) && fabs(value) < 1e15)
        return g_strdup_printf("%.0f", value);
    char text[32];
    jsonx_format_real(value, text);
    return g_strdup(text);
}

static char *range_text(const struct config_field *row)
{
    g_autofree char *min = number_text(row->min);
    g_autofree char *max = number_text(row->max);
    bool low = isfinite(row->min), high = isfinite(row->max);
    if (low && high)
        return g_strdup_printf(" from %s to %s", min, max);
    if (low)
        return g_strdup_printf(" of at least %s", min);
    return high ? g_strdup_printf(" of at most %s", max) : g_strdup("");
}

char *config_field_expects(const struct config_field *row)
{
    g_autofree char *range = range_text(row);
    switch (row->type) {
    case CONFIG_BOOL:
        return g_strdup("true or false");
    case CONFIG_INT:
        return g_strdup_printf("an integer%s", range);
    case CONFIG_REAL:
        return g_strdup_printf("a number%s", range);
    case CONFIG_TEXT:
        return g_strdup("a text");
    case CONFIG_SPAN:
        return g_strdup_printf("[low, high], two numbers%s in ascending order", range);
    case CONFIG_INTS:
        return g_strdup_printf("a list of integers%s", range);
    case CONFIG_REALS:
        return g_strdup_printf("a number%s, or a list of such numbers", range);
    case CONFIG_MAP:
        return g_strdup("a mapping");
    case CONFIG_CHOICE:
        break;
    }
    GString *out = g_string_new(row->choices[1].name ? "one of " : "");
    for (const struct config_choice *c = row->choices; c->name; c++)
        g_string_append_printf(out, "%s%s", c == row->choices ? "" : ", ", c->name);
    return g_string_free(out, FALSE);
}
