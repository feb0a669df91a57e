/* SPDX-License-Identifier: MIT */
/* A row is all there is to add: one more of each (rows.h), of which no other code knows, is written, read, described
 * and compared by. */
#include "analysis/analysis.h"
#include "result/result.h"
#include "store/store.h"

#include <string.h>

static struct exchange exchange(const char *more)
{
    return (struct exchange){.config_hash = g_strdup("0123456789abcdef"),
                             .config = json_pack("{s:s}", "model", "m"),
                             .hashed = json_object(),
                             .origins = json_object(),
                             .cycle = 1,
                             .more = g_strdup(more)};
}

/* A record in which the figure and the part stand, or neither was ever set. */
static json_t *record(double joules, const char *text)
{
    g_auto(owned_exchange) x = exchange("/host/more");
    g_autoptr(owned_result) r = result_new(&x);
    if (text) {
        result_set(r, METRIC_MORE, quantity_of(QUANTITY_MEASURED, joules, NULL, NULL));
        result_put_text(r, PART_MORE, text);
    }
    return result_json(r);
}

static void test_figure(void)
{
    g_autoptr(json_t) with = record(3, "a"), without = record(0, NULL);
    g_assert_cmpfloat(result_metric_of(with, METRIC_MORE).value, ==, 3);
    g_assert_cmpstr(result_metric_of(without, METRIC_MORE).reason, ==, "not collected");
    g_assert_cmpint(result_metric_from_id("more_j"), ==, METRIC_MORE);
    g_autoptr(owned_frame) frame = frame_new();
    frame_add(frame, &(struct frame_run){.index = 1, .cycle = 1, .state = "ok"}, with);
    g_assert_cmpfloat(frame_metric(frame, 0, METRIC_MORE).value, ==, 3);
}

static void test_part(void)
{
    g_autoptr(json_t) with = record(3, "a"), without = record(0, NULL);
    g_assert_cmpstr(json_string_value(jsonx_at(with, "more.text")), ==, "a");
    g_assert_true(json_is_null(jsonx_at(without, "more.text")));
    g_assert_cmpstr(json_string_value(jsonx_at(without, "more.text_reason")), ==, "not collected");
}

static void test_record_is_described(void)
{
    g_autoptr(json_t) schema = result_schema();
    g_autofree char *text = jsonx_dump(schema, JSONX_COMPACT), *page = result_reference();
    static const char *const words[] = {"a figure of the tests", "a part of the tests"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_assert_nonnull(strstr(text, words[i]));
        g_assert_nonnull(strstr(page, words[i]));
    }
}

/* Written, read, described, and, being a path, mapped. */
static void test_member(void)
{
    static const struct exchange_path paths[] = {{"/host", "/inside"}};
    static const struct exchange_map map = {paths, G_N_ELEMENTS(paths)};
    g_auto(owned_exchange) x = exchange("/host/more"), back = {0};
    g_autoptr(GError) error = NULL;
    x.command = g_strsplit("engine", " ", -1);
    exchange_prompts_init(&x.prompts, 0);
    exchange_prompts_init(&x.warmup, 0);
    g_autoptr(json_t) tree = exchange_json(&x, &error);
    g_assert_no_error(error);
    g_assert_true(exchange_parse("test", tree, &back, &error));
    g_assert_cmpstr(back.more, ==, "/host/more");
    g_assert_true(exchange_map_paths(&back, &map, &error));
    g_assert_cmpstr(back.more, ==, "/inside/more");
    g_autoptr(json_t) context = exchange_context(&x), schema = exchange_schema();
    g_assert_cmpstr(json_string_value(json_object_get(context, "more")), ==, "/host/more");
    g_assert_nonnull(jsonx_at(schema, "properties.context.properties.more"));
    g_autoptr(GString) page = g_string_new(NULL);
    exchange_describe(page);
    g_assert_nonnull(strstr(page->str, "a path of the tests"));
}

static void test_state(void)
{
    g_assert_cmpstr(store_state_name(STORE_MORE), ==, "more");
    g_assert_cmpint(store_state_from_name("more"), ==, STORE_MORE);
    g_autoptr(GString) page = g_string_new(NULL);
    store_describe_states(page);
    g_assert_nonnull(strstr(page->str, "a state of the tests"));
}

/* Runs that differ in it are of two groups, and a note says why. */
static void test_key(void)
{
    g_autoptr(owned_frame) frame = frame_new();
    for (int i = 0; i < 3; i++) {
        g_autoptr(json_t) run = record(3, i == 1 ? "b" : "a");
        frame_add(frame, &(struct frame_run){.index = i + 1, .cycle = i + 1, .state = "ok"}, run);
    }
    g_assert_cmpint(frame_difference(frame, 0, 1), ==, FRAME_KEY_MORE);
    g_assert_cmpint(frame_difference(frame, 0, 2), ==, -1);
    g_assert_cmpint(frame_group(frame, 1), !=, frame_group(frame, 0));
    g_autoptr(GPtrArray) notes = frame_notes(frame);
    bool told = false;
    for (guint i = 0; i < notes->len; i++)
        told |= strstr(((const struct frame_note *)notes->pdata[i])->text, "he texts of the tests differ") != NULL;
    g_assert_true(told);
    g_autofree char *page = frame_reference();
    g_assert_nonnull(strstr(page, "the texts of the tests"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rows/figure", test_figure);
    g_test_add_func("/rows/part", test_part);
    g_test_add_func("/rows/record is described", test_record_is_described);
    g_test_add_func("/rows/member of the exchange file", test_member);
    g_test_add_func("/rows/state", test_state);
    g_test_add_func("/rows/key", test_key);
    return g_test_run();
}
