/* SPDX-License-Identifier: MIT */
/* The rows agree with one another and with what is made from them. */
#include "config/internal.h"
#include "help.h"

#include <math.h>
#include <string.h>

static void test_rows(void)
{
    g_autoptr(owned_config_table) table = whole_table();
    const struct config_field *rows;
    size_t n = config_table_fields(table, &rows);
    g_assert_cmpuint(n, >, CONFIG_SHARED_FIELDS);
    for (size_t i = 0; i < n; i++) {
        const struct config_field *row = &rows[i];
        g_assert_true(config_table_field(table, row->path) == row); /* paths are unique */
        if (i < CONFIG_SHARED_FIELDS)
            g_assert_cmpstr(config_shared_rows[i].path, ==, row->path); /* the id is the index */
        g_assert_false(table_is_section(table, row->path));
        g_assert_true(g_str_has_suffix(row->help, "."));
        g_assert_true(row->type != CONFIG_CHOICE || row->choices);
        g_assert_true(!row->choices || row->type == CONFIG_CHOICE || (row->flags & CONFIG_NAMED));
        g_assert_true(row->min <= row->max);
        g_assert_true((row->engine != NULL) == (i >= CONFIG_SHARED_FIELDS));
        g_assert_true(row->runner || table_section_engine(table, row->path) == row->engine);
        g_assert_true(!row->runner || g_str_has_prefix(row->path, "runners."));
        /* What is swept is work, and work is hashed; a preset is hashed through what it stands for. */
        if ((row->flags & CONFIG_SWEEP) && i != FIELD_DECODER_PRESET)
            g_assert_true(row->flags & CONFIG_HASHED);
        if (row->flags & CONFIG_STUDY)
            g_assert_false(row->flags & (CONFIG_HASHED | CONFIG_SWEEP));
        g_autofree char *expects = config_field_expects(row);
        g_assert_true(*expects);
    }
}

/* Descriptors may name these shared fields: they are rows, of the type that is said. */
static void test_shared_fields_of_descriptors(void)
{
    for (const struct backend_shared_field *field = backend_shared; field->path; field++) {
        size_t i = 0;
        while (i < CONFIG_SHARED_FIELDS && strcmp(config_shared_rows[i].path, field->path))
            i++;
        g_assert_cmpuint(i, <, CONFIG_SHARED_FIELDS);
        bool text = config_shared_rows[i].type == CONFIG_CHOICE && field->type == BACKEND_TEXT;
        g_assert_true(text || (int)config_shared_rows[i].type == (int)field->type);
    }
}

/* No engine's section can be called as a section or field that every configuration has. */
static void test_reserved_names(void)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++) {
        g_auto(GStrv) parts = g_strsplit(config_shared_rows[i].path, ".", 2);
        if (!backend_name_is_reserved(parts[0]))
            g_error("'%s' is missing in backend_name_is_reserved()", parts[0]);
    }
    g_assert_true(backend_name_is_reserved("sweep"));
}

static void test_presets_name_choices(void)
{
    const struct backend_choice *choices = config_shared_rows[FIELD_DECODER_PRESET].choices;
    for (const struct shared_preset *row = config_presets; row->preset; row++) {
        bool known = false;
        for (const struct backend_choice *c = choices; c->name; c++)
            known = known || !strcmp(c->name, row->preset);
        g_assert_true(known);
    }
}

/* A member of an object, or of the object that a short form may stand for. */
static json_t *member_of(json_t *schema, const char *name)
{
    json_t *found = json_object_get(json_object_get(schema, "properties"), name), *other;
    size_t i;
    json_array_foreach (json_object_get(schema, "anyOf"), i, other)
        found = found ? found : json_object_get(json_object_get(other, "properties"), name);
    return found;
}

/* Every field can be found in the schema of both kinds of file, with its default. */
static void test_schema(void)
{
    g_autoptr(owned_config_table) table = whole_table();
    g_autoptr(json_t) experiment = config_schema(table, false), study = config_schema(table, true);
    const struct config_field *rows;
    size_t n = config_table_fields(table, &rows);
    for (size_t i = 0; i < n; i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].path, ".", -1);
        json_t *at = study, *in_experiment = experiment;
        for (char **p = parts; *p; p++) {
            at = member_of(at, *p);
            in_experiment = member_of(in_experiment, *p);
        }
        g_assert_nonnull(at);
        g_assert_true((in_experiment != NULL) == !g_str_has_prefix(rows[i].path, "execution."));
        g_assert_true((rows[i].initial != NULL) == (json_object_get(at, "default") != NULL));
        json_t *sweep = jsonx_at(study, "properties.sweep.properties");
        g_assert_true((json_object_get(sweep, rows[i].path) != NULL) == !!(rows[i].flags & CONFIG_SWEEP));
    }
}

static void test_reference_is_current(void)
{
    static const char path[] = LLEM_SOURCE_DIR "/docs/configuration.md";
    g_autoptr(owned_config_table) table = whole_table();
    g_autofree char *made = config_reference(table);
    g_autofree char *kept = NULL;
    g_file_get_contents(path, &kept, NULL, NULL);
    if (g_strcmp0(made, kept) && g_getenv("LLEM_UPDATE_GOLDEN")) {
        g_assert_true(g_file_set_contents(path, made, -1, NULL));
        return;
    }
    if (g_strcmp0(made, kept))
        g_error("docs/configuration.md is not current: run this test with LLEM_UPDATE_GOLDEN=1");
}

void add_rows_tests(void)
{
    g_test_add_func("/config/rows", test_rows);
    g_test_add_func("/config/shared fields of descriptors", test_shared_fields_of_descriptors);
    g_test_add_func("/config/presets", test_presets_name_choices);
    g_test_add_func("/config/reserved-names", test_reserved_names);
    g_test_add_func("/config/schema", test_schema);
    g_test_add_func("/config/reference", test_reference_is_current);
}
