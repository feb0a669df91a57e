/* SPDX-License-Identifier: MIT */
/* Documents with positions, and the diagnostics that point into them. */
#include "base/base.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct doc *parse(const char *text, struct diag *diag)
{
    return doc_parse("file.yaml", text, strlen(text), diag);
}

static char *rendered_errors(const char *text)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = parse(text, diag);
    g_assert_null(doc);
    g_assert_cmpuint(diag_errors(diag), >, 0);
    return diag_render(diag, false);
}

/* --- Scalars ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *yaml;
    const char *json; /* compact JSON of the value */
} scalars[] = {
    {"yes", "\"yes\""},
    {"on", "\"on\""},
    {"off", "\"off\""},
    {"012", "\"012\""},
    {"-012", "\"-012\""},
    {"0", "0"},
    {"-0", "0"},
    {"+7", "7"},
    {"12", "12"},
    {"0o14", "12"},
    {"0x1F", "31"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775808", "\"9223372036854775808\""},
    {"1.5", "1.5"},
    {"0.1", "0.1"},
    {".5", "0.5"},
    {"1.", "1.0"},
    {"1e3", "1000.0"},
    {"1e", "\"1e\""},
    {"1_000", "\"1_000\""},
    {".inf", "\".inf\""},
    {".nan", "\".nan\""},
    {"1e999", "\"1e999\""},
    {"true", "true"},
    {"False", "false"},
    {"null", "null"},
    {"~", "null"},
    {"\"\"", "\"\""},
    {"\"1\"", "\"1\""},
    {"'true'", "\"true\""},
    {"!!str 1", "\"1\""},
    {"1:30", "\"1:30\""},
    {"2026-11-25", "\"2026-11-25\""},
    {"0b11", "\"0b11\""},
    {".", "\".\""},
    {"-", "[null]"},
    {"\"\\u00e9\\t\"", "\"é\\t\""},
    {"|\n  a\n  b\n", "\"a\\nb\\n\""},
    {">\n  a\n  b\n", "\"a b\\n\""},
};

static void test_scalars(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scalars); i++) {
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_doc) doc = parse(scalars[i].yaml, diag);
        g_autofree char *said = diag_render(diag, false);
        g_assert_cmpstr(said, ==, "");
        g_autofree char *json = jsonx_dump(doc_root(doc)->json, JSONX_COMPACT);
        g_assert_cmpstr(json, ==, scalars[i].json);
    }
}

static void test_empty(void)
{
    static const char *const texts[] = {"", "\n\n", "# nothing\n", "---\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_doc) doc = parse(texts[i], diag);
        g_assert_true(json_is_null(doc_root(doc)->json));
    }
}

/* --- Positions -------------------------------------------------------------------------------------------------- */

static void test_positions(void)
{
    static const char text[] = "model: é # ä\n"
                               "sweep:\n"
                               "  precision: [fp16, bf16]\n"
                               "  a/b~c: 'x'\n";
    static const struct {
        const char *pointer;
        int line, column, end_column;
        bool plain;
    } rows[] = {
        {"/model", 1, 8, 9, true},          {"/sweep/precision", 3, 14, 26, false}, {"/sweep/precision/0", 3, 15, 19, true},
        {"/sweep/precision/1", 3, 21, 25, true}, {"/sweep/a~1b~0c", 4, 10, 13, false},
    };
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = parse(text, diag);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct doc_node *node = doc_at(doc, rows[i].pointer);
        g_assert_nonnull(node);
        g_assert_cmpint(node->at.line, ==, rows[i].line);
        g_assert_cmpint(node->at.column, ==, rows[i].column);
        g_assert_cmpint(node->at.end_column, ==, rows[i].end_column);
        g_assert_cmpint(node->plain, ==, rows[i].plain);
    }
    g_assert_null(doc_at(doc, "/sweep/precision/2"));
    g_assert_null(doc_at(doc, "/sweep/none"));
    g_assert_cmpint(doc_entry_of(doc_at(doc, "/sweep"), "precision")->key_at.column, ==, 3);
    g_assert_true(doc_at(doc, "") == doc_root(doc));
}

static void test_aliases_and_merge(void)
{
    static const char text[] = "base: &base {a: 1, b: 2}\n"
                               "more: &more\n  b: 3\n  c: 4\n"
                               "one: {<<: *base, a: 9}\n"
                               "two:\n  <<: [*more, *base]\n"
                               "copy: *base\n"
                               "text: {'<<': 5}\n";
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = parse(text, diag);
    g_autofree char *said = diag_render(diag, false);
    g_assert_cmpstr(said, ==, "");
    g_autofree char *json = jsonx_dump(doc_root(doc)->json, JSONX_CANONICAL);
    g_assert_cmpstr(json, ==,
                    "{\"base\":{\"a\":1,\"b\":2},\"copy\":{\"a\":1,\"b\":2},\"more\":{\"b\":3,\"c\":4},"
                    "\"one\":{\"a\":9,\"b\":2},\"text\":{\"<<\":5},\"two\":{\"a\":1,\"b\":3,\"c\":4}}");
    /* What came in by a merge points to where it is written. */
    const struct doc_entry *entry = doc_entry_of(doc_at(doc, "/two"), "c");
    g_assert_true(entry->merged);
    g_assert_cmpint(entry->value->at.line, ==, 4);
    g_assert_true(doc_at(doc, "/copy") == doc_at(doc, "/base"));
}

static void test_json_is_yaml(void)
{
    static const char text[] = "{\n\t\"a\": [1, 2.5, "
                               "\"\\u00e9\\/\\ud83d\\ude00\", true, null],\n\t\"b\":{\"c\":\"\\\\ud83d\"}}";
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = doc_parse("x.json", text, strlen(text), diag);
    g_autofree char *said = diag_render(diag, false);
    g_assert_cmpstr(said, ==, "");
    g_autoptr(json_t) direct = jsonx_parse(text, -1, "x.json", NULL);
    g_assert_true(json_equal(doc_root(doc)->json, direct));
}

/* A tree through doc_from_json, and the same tree printed and parsed, are the same document. */
static void test_from_json(void)
{
    static const char text[] = "{\"a\":[1,2.5,\"x\",true,null],\"b\":{\"c\":\"1\"},\"d\":{},\"e\":[]}";
    g_autoptr(json_t) tree = jsonx_parse(text, -1, "t", NULL);
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) made = doc_from_json("t", tree, diag);
    g_autoptr(owned_doc) read = doc_parse("t", text, strlen(text), diag);
    static const char *const pointers[] = {"", "/a", "/a/0", "/a/1", "/a/2", "/a/3", "/a/4", "/b/c", "/d", "/e"};
    for (size_t i = 0; i < G_N_ELEMENTS(pointers); i++) {
        const struct doc_node *x = doc_at(made, pointers[i]), *y = doc_at(read, pointers[i]);
        g_assert_cmpint(x->kind, ==, y->kind);
        g_assert_true(json_equal(x->json, y->json));
        g_assert_cmpuint(x->size, ==, y->size);
        g_assert_cmpuint(x->n, ==, y->n);
        g_assert_cmpstr(x->raw, ==, y->raw);
    }
}

/* --- Errors ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *yaml;
    const char *begins; /* of the rendering */
    const char *holds;  /* anywhere in it, or NULL */
} errors[] = {
    {"tab", "a:\n\tb: 1\n", "file.yaml:2:1: error: a tab is used for indentation", "YAML indents with spaces"},
    {"quote", "a: \"text\nb: 1\n", "file.yaml:1:4: error: this quote is never closed", NULL},
    {"apostrophe", "a: 'text\nb: 1\n", "file.yaml:1:4: error: this quote is never closed", NULL},
    {"bracket", "a: [1, 2\nb: 3\n", "file.yaml:1:4: error: this '[' is not closed properly", "noticed in line 2"},
    {"brace", "a: {x: 1\nb: 3\n", "file.yaml:1:4: error: this '{' is not closed properly", NULL},
    {"mapping values", "a: b: c\n", "file.yaml:1:5: error: a ':' cannot stand here", "quote a value"},
    {"no colon", "a: 1\nbee\nc: 2\n", "file.yaml:2:1: error: expected 'key: value'", NULL},
    {"glued key", "model:sim\nbackend: sim\n", "file.yaml:1:1: error: expected 'key: value'", "a colon and a space"},
    {"glued key below", "a:\n  b:c\n\n  d: 1\n", "file.yaml:2:1: error: expected 'key: value'", NULL},
    {"behind the end", "a: [1,\n", "file.yaml:1:7: error: expected a value here", "1 | a: [1,"},
    {"mark", "\xef\xbb\xbf" "a: @b\n", "file.yaml:1:4: error: a value cannot begin with '@'", NULL},
    {"indent", "a: 1\n  b: 2\n", "file.yaml:2:4: error: a ':' cannot stand here", "indentation"},
    {"outdent", "a:\n    b: 1\n  c: 2\n", "file.yaml:3:3: error: this does not fit the lines above it", NULL},
    {"at sign", "a: @b\n", "file.yaml:1:4: error: a value cannot begin with '@'", "put it in quotes"},
    {"list in line", "a: - b\n", "file.yaml:1:4: error: a list item cannot begin here", NULL},
    {"escape", "a: \"C:\\models\"\n", "file.yaml:1:7: error: this backslash sequence is unknown", "single quotes"},
    {"twice", "a: 1\nb: 2\na: 3\nb: 4\n", "file.yaml:3:1: error: the key 'a' is given twice",
     "file.yaml:4:1: error: the key 'b' is given twice"},
    {"cycle", "a: &x [*x]\n", "file.yaml:1:8: error: the alias *x stands inside of its own anchor", NULL},
    {"unknown alias", "a: *x\nb: *y\n", "file.yaml:1:4: error: the alias *x has no anchor &x above it",
     "file.yaml:2:4: error: the alias *y"},
    {"key is a list", "? [a]\n: 1\n", "file.yaml:1:3: error: a list cannot be a key", NULL},
    {"tag", "a: !!binary aGk=\n", "file.yaml:1:4: error: the tag !!binary is not taken here", NULL},
    {"two documents", "a: 1\n---\nb: 2\n", "file.yaml:2:1: error: a second document begins here", NULL},
    {"merge of a scalar", "a: {<<: 3}\n", "file.yaml:1:9: error: '<<' takes a mapping", NULL},
    {"utf-8", "a: 1\nb: x\xc3(\n", "file.yaml:2:5: error: the byte 0xc3 is not valid UTF-8", "save the file as UTF-8"},
    {"control", "a: 1\nbé: \x01\n", "file.yaml:2:5: error: a control character (byte 0x01)", NULL},
    {"utf-16", "\xff\xfe" "a", "file.yaml:1:1: error: this file is UTF-16", NULL},
    {"nul", "a: \"\\0\"\n", "file.yaml:1:4: error: a text cannot hold", NULL},
};

static void test_errors(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autofree char *text = rendered_errors(errors[i].yaml);
        if (!g_str_has_prefix(text, errors[i].begins) || (errors[i].holds && !strstr(text, errors[i].holds))) {
            g_test_message("%s:\n%s", errors[i].name, text);
            g_test_fail();
        }
    }
}

static void test_depth(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < LIMIT_DOC_DEPTH; i++)
        g_string_append_c(text, '[');
    for (int i = 0; i < LIMIT_DOC_DEPTH; i++)
        g_string_append_c(text, ']');
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = parse(text->str, diag);
    g_assert_nonnull(doc);
    g_string_prepend(text, "[");
    g_string_append(text, "]");
    g_autofree char *said = rendered_errors(text->str);
    g_assert_true(g_str_has_prefix(said, "file.yaml:1:65: error: nested deeper than 64 levels"));
}

static void test_alias_bomb(void)
{
    g_autoptr(GString) text = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 30; i++) {
        g_string_append_printf(text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            g_string_append_printf(text, "*a%d%s", i - 1, j < 9 ? ", " : "]\n");
    }
    g_autofree char *said = rendered_errors(text->str);
    g_assert_nonnull(strstr(said, "more than 500000 values once its aliases are expanded"));
}

static void test_merge_bomb(void)
{
    g_autoptr(GString) text = g_string_new("a0: &a0 {k: [x, x, x, x, x, x, x, x, x, x]}\n");
    for (int i = 1; i < 12; i++) {
        g_string_append_printf(text, "a%d: &a%d {", i, i);
        for (int j = 0; j < 10; j++)
            g_string_append_printf(text, "k%d: {<<: *a%d}%s", j, i - 1, j < 9 ? ", " : "}\n");
    }
    g_autofree char *said = rendered_errors(text->str);
    g_assert_nonnull(strstr(said, "more than 500000 values"));
}

/* --- Diagnostics ------------------------------------------------------------------------------------------------ */

static void test_render(void)
{
    g_autoptr(owned_diag) diag = diag_new();
    static const char text[] = "n: many\nmodel: 日本\tx\n";
    diag_source(diag, "a.yaml", text, strlen(text));
    struct diag_span second = {"a.yaml", 2, 11, 2, 12}, first = {"a.yaml", 1, 4, 1, 8};
    diag_add(diag, DIAG_WARNING, &second, "odd");
    diag_add(diag, DIAG_ERROR, &first, "expected %s", "an integer");
    diag_hint(diag, "try 100");
    diag_add(diag, DIAG_ERROR, &first, "expected %s", "an integer"); /* once is enough */
    g_assert_cmpuint(diag_errors(diag), ==, 1);
    g_assert_cmpuint(diag_warnings(diag), ==, 1);
    g_autofree char *said = diag_render(diag, false);
    g_assert_cmpstr(said, ==,
                    "a.yaml:1:4: error: expected an integer\n"
                    "    1 | n: many\n"
                    "      |    ^~~~\n"
                    "      = try 100\n"
                    "a.yaml:2:11: warning: odd\n"
                    "    2 | model: 日本 x\n"
                    "      |             ^\n");
    g_autofree char *colour = diag_render(diag, true);
    g_assert_nonnull(strstr(colour, "\033[1;31merror:\033[0m"));
    g_autoptr(GError) error = NULL;
    g_assert_false(diag_fail(diag, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
}

static void test_render_long_line(void)
{
    g_autofree char *text = g_strnfill(5000, 'x');
    g_autoptr(owned_diag) diag = diag_new();
    diag_source(diag, "a", text, strlen(text));
    struct diag_span at = {"a", 1, 3000, 0, 0};
    diag_add(diag, DIAG_ERROR, &at, "here");
    g_autofree char *said = diag_render(diag, false);
    g_assert_cmpuint(strlen(said), <, 400);
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
    long quoted = g_utf8_strlen(lines[1], -1), caret = g_utf8_strlen(lines[2], -1);
    g_assert_cmpint(caret, <=, quoted);
    g_assert_true(g_str_has_suffix(lines[2], "^"));
}

static void test_limit(void)
{
    g_autoptr(owned_diag) diag = diag_new();
    for (int i = 0; i < LIMIT_DIAGNOSTICS + 7; i++)
        diag_add(diag, DIAG_ERROR, NULL, "problem %d", i);
    g_autofree char *said = diag_render(diag, false);
    g_assert_true(g_str_has_suffix(said, "… and 7 more\n"));
    g_assert_cmpuint(diag_errors(diag), ==, LIMIT_DIAGNOSTICS + 7);
}

static void test_suggest(void)
{
    static const char *const names[] = {"max_output_tokens", "max_input_tokens", "n", "model", "precision", "decoder"};
    static const struct {
        const char *word, *best;
    } rows[] = {
        {"max_output_token", "max_output_tokens"}, {"max_inptu_tokens", "max_input_tokens"},
        {"modle", "model"},                        {"Precision", "precision"},
        {"presicion", "precision"},                {"m", NULL},
        {"decode", "decoder"},                     {"batch", NULL},
        {"", NULL},                                {"num", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct suggest suggest = {.word = rows[i].word};
        for (size_t j = 0; j < G_N_ELEMENTS(names); j++)
            suggest_offer(&suggest, names[j]);
        g_assert_cmpstr(suggest.best, ==, rows[i].best);
    }
}

/* Random bytes never crash it, and always give either a document or a located error. */
static void test_random_text(void)
{
    static const char alphabet[] = "ab:-[]{},#&*!|>'\"%@`<~ \t\n\n  01.?\\\xc3\xa9";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20261125);
    for (int i = 0; i < 4000; i++) {
        char text[65];
        int length = g_rand_int_range(rand, 0, 64);
        for (int j = 0; j < length; j++)
            text[j] = alphabet[g_rand_int_range(rand, 0, sizeof alphabet - 1)];
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_doc) doc = doc_parse("r", text, (size_t)length, diag);
        g_assert_true((doc != NULL) == (diag_errors(diag) == 0));
        g_autofree char *said = diag_render(diag, false);
        g_assert_true(doc || strstr(said, "r:"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/doc/scalars", test_scalars);
    g_test_add_func("/doc/empty", test_empty);
    g_test_add_func("/doc/positions", test_positions);
    g_test_add_func("/doc/aliases and merge keys", test_aliases_and_merge);
    g_test_add_func("/doc/JSON is YAML", test_json_is_yaml);
    g_test_add_func("/doc/from JSON", test_from_json);
    g_test_add_func("/doc/errors", test_errors);
    g_test_add_func("/doc/depth", test_depth);
    g_test_add_func("/doc/alias bomb", test_alias_bomb);
    g_test_add_func("/doc/merge bomb", test_merge_bomb);
    g_test_add_func("/doc/random text", test_random_text);
    g_test_add_func("/diag/render", test_render);
    g_test_add_func("/diag/long line", test_render_long_line);
    g_test_add_func("/diag/limit", test_limit);
    g_test_add_func("/diag/did you mean", test_suggest);
    return g_test_run();
}
