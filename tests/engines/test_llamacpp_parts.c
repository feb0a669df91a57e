/* SPDX-License-Identifier: MIT */
/* The adapter's parts that need no model, and the room's table of types against the real ggml. */
#include "llamacpp/llamacpp.h"

#include "workload/ggml_types.h"

#include <math.h>
#include <string.h>

static int32_t largest_simply(const float *values, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* Every length, the largest at every place, equals among them: always the first of the largest. */
static void test_largest_logit(void)
{
    float values[100];
    for (int32_t n = 1; n <= 100; n++) {
        for (int round = 0; round < 50; round++) {
            for (int32_t i = 0; i < n; i++)
                values[i] = (float)g_test_rand_int_range(-20, 20) / 4;
            g_assert_cmpint(largest_logit(values, n), ==, largest_simply(values, n));
        }
        for (int32_t at = 0; at < n; at++) {
            for (int32_t i = 0; i < n; i++)
                values[i] = i == at ? -1.0f : -2.0f;
            g_assert_cmpint(largest_logit(values, n), ==, at);
        }
    }
}

static void test_largest_logit_not_finite(void)
{
    float values[40];
    for (int i = 0; i < 40; i++)
        values[i] = NAN;
    g_assert_cmpint(largest_logit(values, 40), ==, -1);
    values[7] = 1;
    g_assert_cmpint(largest_logit(values, 40), ==, 7);
    values[9] = INFINITY;
    g_assert_cmpint(largest_logit(values, 40), ==, -1);
}

static void test_names(void)
{
    const struct adapter_choice *const tables[] = {names_flash_attention, names_load_mode,
                                             names_split_mode, names_kv_type, names_file_type};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        for (const struct adapter_choice *row = tables[i]; row->name; row++) {
            g_assert_cmpint(name_value(tables[i], row->name, -99), ==, row->value);
            g_assert_cmpstr(name_of(tables[i], row->value), ==, row->name);
        }
    g_assert_cmpint(name_value(names_kv_type, "q3", -99), ==, -99);
    g_assert_cmpint(name_value(names_kv_type, NULL, -99), ==, -99);
    g_assert_null(name_of(names_kv_type, 12345));
    g_autofree char *list = name_list(names_flash_attention);
    g_assert_cmpstr(list, ==, "off, on, auto");
    for (const struct adapter_choice *row = names_load_mode; row->name; row++)
        g_assert_cmpint(row->value, >=, -1);
}

/* The bound of the row is libllama's own. */
static void test_bounds(void)
{
    for (const struct adapter_option *row = llamacpp_options; row->name; row++)
        if (!strcmp(row->name, "n_parallel"))
            g_assert_cmpfloat(row->max, ==, (double)llama_max_parallel_sequences());
}

/* What the GGUF reader believes of ggml's types is what ggml says. */
static void test_ggml_types(void)
{
    int n_known = 0;
    for (int id = 0; id < GGML_TYPE_COUNT; id++) {
        const struct ggml_type_row *row = ggml_type_by_id((uint32_t)id);
        if (ggml_blck_size((enum ggml_type)id) == 0) { /* a number that is no longer a type */
            g_assert_null(row);
            continue;
        }
        g_assert_nonnull(row);
        g_assert_cmpint(row->block_values, ==, ggml_blck_size((enum ggml_type)id));
        g_assert_cmpint(row->block_bytes, ==, (int64_t)ggml_type_size((enum ggml_type)id));
        g_assert_true(!g_ascii_strcasecmp(row->name, ggml_type_name((enum ggml_type)id)));
        n_known++;
    }
    g_assert_cmpint(n_known, >=, 30);
    for (const struct adapter_choice *row = names_file_type; row->name; row++)
        g_assert_cmpstr(ggml_file_type_name(row->value), ==, row->name);
}

static void test_library(void)
{
    g_assert_cmpstr(library_mismatch(), ==, "");
    g_autoptr(json_t) versions = library_versions();
    g_assert_cmpuint(strlen(json_string_value(json_object_get(versions, "libllama_sha256"))), ==, 64);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/llamacpp/largest-logit", test_largest_logit);
    g_test_add_func("/llamacpp/largest-logit/not-finite", test_largest_logit_not_finite);
    g_test_add_func("/llamacpp/names", test_names);
    g_test_add_func("/llamacpp/bounds", test_bounds);
    g_test_add_func("/llamacpp/ggml-types", test_ggml_types);
    g_test_add_func("/llamacpp/library", test_library);
    return g_test_run();
}
