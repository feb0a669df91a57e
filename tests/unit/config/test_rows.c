/* SPDX-License-Identifier: MIT */
/* The rows agree with one another and with what is made from them. */
#include "config/internal.h"
#include "help.h"

#include <math.h>
#include <string.h>

static void test_rows(void)
{
    const struct config_field *rows;
    size_t n = config_fields(&rows);
    for (size_t i = 0; i < n; i++) {
        const struct config_field *row = &rows[i];
        g_assert_true(config_field(row->path) == row); /* paths are unique */
        if (i < CONFIG_SHARED_FIELDS)
            g_assert_cmpstr(config_shared_rows[i].path, ==, row->path); /* the id is the index */
        g_assert_false(field_is_section(row->path));
        g_assert_true(g_str_has_suffix(row->help, "."));
        g_assert_true(row->type != CONFIG_CHOICE || row->choices);
        g_assert_true(!row->choices || row->type == CONFIG_CHOICE || (row->flags & CONFIG_NAMED));
        g_assert_true(row->min <= row->max);
        g_assert_true(row->backends != 0);
        unsigned section = field_section_backend(row->path);
        g_assert_true(section == 0 || section == row->backends);
        /* What is swept is work, and work is hashed; a preset is hashed through what it stands for. */
        if ((row->flags & CONFIG_SWEEP) && strcmp(row->path, "decoder.preset"))
            g_assert_true(row->flags & CONFIG_HASHED);
        if (row->flags & CONFIG_STUDY)
            g_assert_false(row->flags & (CONFIG_HASHED | CONFIG_SWEEP));
        g_autofree char *expects = config_field_expects(row);
        g_assert_true(*expects);
    }
}

/* Every row vllm.engine.* is an argument of the audited version, and every argument said to have a row has one. */
static void test_vllm_audit(void)
{
    const struct config_field *rows;
    size_t n = config_fields(&rows), fields = 0, listed = 0, all = 0;
    static const char prefix[] = "vllm.engine.";
    for (size_t i = 0; i < n; i++) {
        if (!g_str_has_prefix(rows[i].path, prefix))
            continue;
        fields++;
        const struct vllm_arg *arg = vllm_arg_find(rows[i].path + strlen(prefix));
        g_assert_nonnull(arg);
        g_assert_cmpint(arg->treatment, ==, VLLM_FIELD);
    }
    for (const struct vllm_arg *arg = vllm_args; arg->name; arg++) {
        g_autofree char *path = g_strconcat(prefix, arg->name, NULL);
        all++;
        listed += arg->treatment == VLLM_FIELD;
        g_assert_true((arg->treatment == VLLM_OWNED) == (arg->note != NULL));
        g_assert_null(retired_name_message(path));
    }
    g_assert_cmpuint(fields, ==, listed);
    g_assert_cmpuint(all, ==, 257);
}

static void test_presets_name_fields(void)
{
    const struct config_field *preset = config_field("decoder.preset");
    for (const struct preset_row *row = preset_rows; row->preset; row++) {
        g_assert_nonnull(config_field(row->path));
        bool known = false;
        for (const struct config_choice *c = preset->choices; c->name; c++)
            known = known || !strcmp(c->name, row->preset);
        g_assert_true(known);
    }
}

/* Every field can be found in the schema of both kinds of file, with its default. */
static void test_schema(void)
{
    g_autoptr(json_t) experiment = config_schema(false), study = config_schema(true);
    const struct config_field *rows;
    size_t n = config_fields(&rows);
    for (size_t i = 0; i < n; i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].path, ".", -1);
        json_t *at = study, *in_experiment = experiment;
        for (char **p = parts; *p; p++) {
            at = json_object_get(json_object_get(at, "properties"), *p);
            in_experiment = json_object_get(json_object_get(in_experiment, "properties"), *p);
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
    g_autofree char *made = config_reference();
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
    g_test_add_func("/config/vllm audit", test_vllm_audit);
    g_test_add_func("/config/presets", test_presets_name_fields);
    g_test_add_func("/config/schema", test_schema);
    g_test_add_func("/config/reference", test_reference_is_current);
}
