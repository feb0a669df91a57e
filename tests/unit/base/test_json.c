/* SPDX-License-Identifier: MIT */
/* JSON as it is written and read: shortest numbers, integers of 64 bits, one form of each document. */
#include "base/base.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void test_shortest_reals(void)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1e+15"},
        {123456789012345, "123456789012345.0"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e22, "1e+22"},
        {1e-7, "1e-07"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {4.9406564584124654e-324, "5e-324"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char text[32];
        jsonx_format_real(rows[i].value, text);
        g_assert_cmpstr(text, ==, rows[i].text);
        g_assert_true(g_ascii_strtod(text, NULL) == rows[i].value);
    }
}

/* Whatever is written is read back as the same number. */
static void test_every_real_comes_back(void)
{
    uint64_t state = 12;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random_next(&state);
        double value, read;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        g_autoptr(json_t) tree = json_pack("[f]", value);
        g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
        g_autoptr(json_t) again = jsonx_parse(text, -1, "text", NULL);
        read = json_real_value(json_array_get(again, 0));
        g_assert_cmpmem(&read, sizeof read, &value, sizeof value);
    }
}

static void test_documents(void)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"{\"b\": 1, \"a\": [1.50, -0, 1e2]}", "{\"a\":[1.5,0,100.0],\"b\":1}"},
        {"[9223372036854775807, -9223372036854775808]", "[9223372036854775807,-9223372036854775808]"},
        {"\"a\\u0001\\n\\u00e9\\ud83d\\ude00/\"", "\"a\\u0001\\né😀/\""},
        {"{\"1.50\": \"2.50e3 and -0.10\"}", "{\"1.50\":\"2.50e3 and -0.10\"}"}, /* digits in texts are no numbers */
        {"\"\\\"1.50\\\\\"", "\"\\\"1.50\\\\\""},
        {"null", "null"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) tree = jsonx_parse(rows[i].text, -1, "text", &error);
        g_assert_no_error(error);
        g_autofree char *canonical = jsonx_dump(tree, JSONX_CANONICAL);
        g_assert_cmpstr(canonical, ==, rows[i].canonical);
        g_autoptr(json_t) again = jsonx_parse(canonical, -1, "canonical", &error);
        g_autofree char *twice = jsonx_dump(again, JSONX_CANONICAL);
        g_assert_cmpstr(twice, ==, canonical);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{\"a\": 1, \"a\": 2}", "text:1:10: a key is given twice"}, {"[1, ]", "text:1:5"},   {"{\"a\": NaN}", "text:1:"},
        {"[9223372036854775808]", "text:1:"},  {"[1e999]", "text:1:"}, {"", "text:1:"},
        {"[1] 2", "text:1:5"},                 {"'a'", "text:1:"},     {"[01]", "text:1:"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(jsonx_parse(rows[i].text, -1, "text", &error));
        g_assert_nonnull(error);
        if (!g_str_has_prefix(error->message, rows[i].message))
            g_error("%s: %s", rows[i].text, error->message);
    }
}

static void test_no_number_is_null_with_its_reason(void)
{
    g_autoptr(json_t) tree = json_object();
    jsonx_set_real(tree, "a", NAN, "nobody measured it");
    jsonx_set_real(tree, "b", INFINITY, "divided by nothing");
    jsonx_set_real(tree, "c", 0.5, "not needed");
    g_autofree char *text = jsonx_dump(tree, JSONX_CANONICAL);
    g_assert_cmpstr(text, ==,
                    "{\"a\":null,\"a_reason\":\"nobody measured it\",\"b\":null,\"b_reason\":\"divided by nothing\","
                    "\"c\":0.5}");
}

/* --- Text on a terminal ---------------------------------------------------------------------------------------- */

static void test_visible(void)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"plain, with\ttab and\nline", "plain, with\ttab and\nline"},
        {"\x1b[2J\a\b\r", "\\u001b[2J\\u0007\\u0008\\u000d"},
        {"\xc2\x9b""31m", "\\u009b31m"},
        {"a\xe2\x80\xae""b\xe2\x80\x8b\xef\xbb\xbf", "a\\u202eb\\u200b\\ufeff"},
        {"\xf3\xa0\x81\x81", "\\udb40\\udc41"},
        {"模型 über नमस्ते \xc2\xa0.", "模型 über नमस्ते \xc2\xa0."},
        {"\xff\x80 cut \xe2\x80", "\\xff\\x80 cut \\xe2\\x80"},
        {"\\u001b", "\\u001b"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = visible_text(rows[i].text);
        g_assert_cmpstr(shown, ==, rows[i].shown);
        g_autofree char *twice = visible_text(shown);
        g_assert_cmpstr(twice, ==, shown);
    }
}

/* A JSON text stays the document that it is. */
static void test_visible_json(void)
{
    g_autoptr(json_t) tree = json_pack("{s:s}", "a", "\x1b \xc2\x9b \xe2\x80\xae \xf3\xa0\x81\x81 \"");
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    g_autofree char *shown = visible_text(text);
    g_autoptr(json_t) again = jsonx_parse(shown, -1, "shown", NULL);
    g_assert_true(json_equal(tree, again));
    g_assert_cmpstr(shown, !=, text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/shortest", test_shortest_reals);
    g_test_add_func("/json/every-real", test_every_real_comes_back);
    g_test_add_func("/json/documents", test_documents);
    g_test_add_func("/json/refused", test_refused);
    g_test_add_func("/json/null-with-reason", test_no_number_is_null_with_its_reason);
    g_test_add_func("/visible/text", test_visible);
    g_test_add_func("/visible/json", test_visible_json);
    return g_test_run();
}
