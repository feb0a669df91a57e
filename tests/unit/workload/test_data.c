/* SPDX-License-Identifier: MIT */
/* Data sets: reading with located errors, which prompts and in which order, prompts for the warm-up. */
#include "workload/workload.h"

#include <string.h>

static struct workload_dataset *parse(const char *text, GError **error)
{
    return workload_dataset_parse(text, strlen(text), "d.jsonl", error);
}

static char *join(const struct workload_prompts *prompts)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < prompts->n; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "", prompts->text[i]);
    return g_string_free(out, FALSE);
}

static char *select_joined(const struct workload_dataset *set, size_t n, enum workload_order order, uint64_t seed)
{
    g_auto(owned_prompts) prompts = {0};
    g_assert_true(workload_dataset_select(set, n, order, seed, &prompts, NULL));
    return join(&prompts);
}

static void test_columns(void)
{
    g_autoptr(owned_dataset) set =
        parse("{\"_provenance\": \"here\", \"_license\": \"x\"}\n"
              "{\"prompt\": \"a\"}\n\n"
              "{\"text\": \"b\", \"other\": 1}\r\n"
              "{\"instruction\": \"c\"}\n{\"input\": \"d\"}\n{\"question\": \"e\", \"_id\": 3}",
              NULL);
    g_assert_nonnull(set);
    g_assert_cmpuint(workload_dataset_size(set), ==, 5);
    g_assert_cmpstr(json_string_value(json_object_get(workload_dataset_provenance(set), "_provenance")), ==, "here");
    g_autofree char *all = select_joined(set, 5, WORKLOAD_ORDER_INTERLEAVED, 0);
    g_assert_cmpstr(all, ==, "a b c d e");
    g_auto(owned_prompts) prompts = {0};
    g_assert_true(workload_dataset_select(set, 2, WORKLOAD_ORDER_INTERLEAVED, 0, &prompts, NULL));
    g_assert_cmpint(prompts.line[0], ==, 2);
    g_assert_cmpint(prompts.line[1], ==, 4);
}

static void test_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"prompt\": \"a\"}\n{\"prompt\": \"b\"\n", "d.jsonl:2:"},
        {"{\"prompt\": \"a\"}\n[1]\n", "d.jsonl:2:1: error: expected an object"},
        {"{\"promt\": \"a\"}\n", "d.jsonl:1:1: error: no prompt"},
        {"{\"instruction\": \"a\", \"input\": \"b\"}\n",
         "d.jsonl:1:1: error: 'instruction' and 'input' could both be the prompt: say which, in a study as  dataset: {"},
        {"{\"prompt\": 3}\n", "d.jsonl:1:1: error: 'prompt': expected text, found an integer"},
        {"{\"prompt\": \"\"}\n", "an empty string"},
        {"{\"prompt\": \"a\", \"prompt\": \"b\"}\n", "d.jsonl:1:"},
        {"{\"prompt\": \"\xff\"}\n", "d.jsonl:1:"},
        {"{}\n", "d.jsonl:1:1: error: no prompt"},
        {"{prompt: 1}\n", "d.jsonl:1:2: error: a key stands in double quotes"},
        {"{\"prompt\": hello}\n", "error: a text stands in double quotes"},
        {"{\"prompt\": \"a\n", "error: a quote is never closed"},
        {"{\"prompt\": \"a\"\n", "error: the object is not closed"},
        {"{\"prompt\": \"a\"} b\n", "error: there is more behind the end of the value"},
        {"{\"prompt\": \"a\", }\n", "error: a comma stands before the closing }"},
        {"{\"prompt\": \"a\" \"b\"}\n", "error: a ',' or the closing } is missing"},
        {"{\"prompt\": \"\\q\"}\n", "error: JSON does not know this backslash sequence"},
        {"Hello\n", "d.jsonl has 1 line that is no prompt\nd.jsonl:1:1: error: a line holds one JSON object"},
        {"Hello\n", "has one JSON object a line, such as {\"prompt\": \"Hello\"}"},
        {"", "no prompts in it"},
        {"{\"_provenance\": \"only\"}\n", "no prompts in it"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].text);
        g_assert_null(parse(cases[i].text, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
}

/* Some editors put a mark before UTF-8. */
static void test_byte_order_mark(void)
{
    g_autoptr(owned_dataset) set = parse("\xef\xbb\xbf{\"prompt\": \"a\"}\n", NULL);
    g_assert_nonnull(set);
    g_assert_cmpuint(workload_dataset_size(set), ==, 1);
}

/* All bad lines are told at once, and a flood of them is cut. */
static void test_errors_at_once(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < LIMIT_DIAGNOSTICS + 7; i++)
        g_string_append(text, "[]\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(parse(text->str, &error));
    g_assert_nonnull(strstr(error->message, "d.jsonl:1:1:"));
    g_assert_nonnull(strstr(error->message, "d.jsonl:50:1:"));
    g_assert_null(strstr(error->message, "d.jsonl:51:1:"));
    g_assert_nonnull(strstr(error->message, "and 7 more lines"));
}

static const char mixed[] =
    "{\"prompt\": \"a1\", \"source\": \"a\"}\n{\"prompt\": \"a2\", \"source\": \"a\"}\n"
    "{\"prompt\": \"a3\", \"source\": \"a\"}\n{\"prompt\": \"b1\", \"source\": \"b\"}\n"
    "{\"prompt\": \"b2\", \"source\": \"b\"}\n{\"prompt\": \"c1\", \"source\": \"c\"}\n";

static void test_orders(void)
{
    g_autoptr(owned_dataset) set = parse(mixed, NULL);
    g_autofree char *interleaved = select_joined(set, 6, WORKLOAD_ORDER_INTERLEAVED, 0);
    g_autofree char *grouped = select_joined(set, 6, WORKLOAD_ORDER_GROUPED, 0);
    g_assert_cmpstr(interleaved, ==, "a1 b1 c1 a2 b2 a3");
    g_assert_cmpstr(grouped, ==, "a1 a2 a3 b1 b2 c1");
    g_autofree char *some = select_joined(set, 4, WORKLOAD_ORDER_GROUPED, 0);
    g_assert_cmpstr(some, ==, "a1 a2 b1 c1");

    g_autoptr(owned_dataset) plain = parse(
        "{\"prompt\": \"ccc\"}\n{\"prompt\": \"a\"}\n{\"prompt\": \"bb\"}\n{\"prompt\": \"x\"}\n",
        NULL);
    g_autofree char *file_order = select_joined(plain, 4, WORKLOAD_ORDER_INTERLEAVED, 0);
    g_autofree char *by_length = select_joined(plain, 4, WORKLOAD_ORDER_GROUPED, 0);
    g_assert_cmpstr(file_order, ==, "ccc a bb x");
    g_assert_cmpstr(by_length, ==, "a x bb ccc");
    for (int i = 0; i < WORKLOAD_ORDER_COUNT; i++)
        g_assert_cmpint(workload_order_from_name(workload_order_name((enum workload_order)i)), ==, i);
    g_assert_cmpint(workload_order_from_name("sorted"), ==, -1);
}

static struct workload_dataset *numbered(int n)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < n; i++)
        g_string_append_printf(text, "{\"prompt\": \"p%d %0*d\"}\n", i, 1 + i * 37 % 50, 0);
    return parse(text->str, NULL);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The order changes the order and never the set; a seed is one permutation on every machine. */
static void test_order_is_not_work(void)
{
    g_autoptr(owned_dataset) set = numbered(40);
    g_autofree char *expected = NULL;
    for (int order = 0; order < WORKLOAD_ORDER_COUNT; order++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            g_auto(owned_prompts) prompts = {0};
            g_assert_true(workload_dataset_select(set, 20, (enum workload_order)order, seed, &prompts, NULL));
            qsort(prompts.text, prompts.n, sizeof *prompts.text, compare_text);
            g_autofree char *sorted = join(&prompts);
            if (!expected)
                expected = g_strdup(sorted);
            g_assert_cmpstr(sorted, ==, expected);
        }
    }
    g_autofree char *one = select_joined(set, 20, WORKLOAD_ORDER_SHUFFLED, 42);
    g_autofree char *again = select_joined(set, 20, WORKLOAD_ORDER_SHUFFLED, 42);
    g_autofree char *other = select_joined(set, 20, WORKLOAD_ORDER_SHUFFLED, 43);
    g_assert_cmpstr(one, ==, again);
    g_assert_cmpstr(one, !=, other);
    g_autoptr(owned_dataset) five = parse("{\"prompt\":\"0\"}\n{\"prompt\":\"1\"}\n{\"prompt\":"
                                             "\"2\"}\n{\"prompt\":\"3\"}\n{\"prompt\":\"4\"}",
                                             NULL);
    g_autofree char *frozen = select_joined(five, 5, WORKLOAD_ORDER_SHUFFLED, 42);
    g_assert_cmpstr(frozen, ==, "1 2 0 4 3");
}

static void test_too_few(void)
{
    g_autoptr(owned_dataset) set = parse("{\"prompt\": \"a\"}", NULL);
    struct workload_prompts none = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(workload_dataset_select(set, 2, WORKLOAD_ORDER_INTERLEAVED, 0, &none, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "2 prompts asked for, the data set has 1"));
}

static void check_disjoint(const struct workload_prompts *measured, const struct workload_prompts *warmup)
{
    for (size_t i = 0; i < warmup->n; i++)
        for (size_t k = 0; k < measured->n; k++)
            g_assert_cmpstr(warmup->text[i], !=, measured->text[k]);
}

static void test_warmup(void)
{
    g_autoptr(owned_dataset) set = numbered(60);
    g_auto(owned_prompts) measured = {0}, warmup = {0};
    g_assert_true(workload_dataset_select(set, 30, WORKLOAD_ORDER_SHUFFLED, 1, &measured, NULL));
    g_assert_true(workload_dataset_warmup(set, &measured, 10, &warmup, NULL));
    g_assert_cmpuint(warmup.n, ==, 10);
    g_assert_cmpuint(warmup.n_variants, ==, 0);
    check_disjoint(&measured, &warmup);
    size_t sum_measured = 0, sum_warmup = 0;
    for (size_t i = 0; i < 30; i++)
        sum_measured += strlen(measured.text[i]);
    for (size_t i = 0; i < 10; i++)
        sum_warmup += strlen(warmup.text[i]);
    g_assert_cmpfloat_with_epsilon((double)sum_warmup / 10, (double)sum_measured / 30, 5);
}

/* A file that is used up, repeats included: variants of the measured prompts. */
static void test_warmup_used_up(void)
{
    g_autoptr(owned_dataset) set =
        parse("{\"prompt\": \"one two three\"}\n{\"prompt\": \"word\"}\n{\"prompt\": \"x x\"}\n"
              "{\"prompt\": \"word\"}\n",
              NULL);
    g_auto(owned_prompts) measured = {0}, warmup = {0};
    g_assert_true(workload_dataset_select(set, 3, WORKLOAD_ORDER_INTERLEAVED, 0, &measured, NULL));
    g_assert_true(workload_dataset_warmup(set, &measured, 4, &warmup, NULL));
    g_assert_cmpuint(warmup.n_variants, ==, 4);
    check_disjoint(&measured, &warmup);
    for (size_t i = 0; i < warmup.n; i++)
        g_assert_cmpuint(strlen(warmup.text[i]), >, 0);
}

static void test_shipped(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = workload_dataset_path("llem-mix", &error);
    g_assert_no_error(error);
    g_autoptr(owned_dataset) set = workload_dataset_open(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(workload_dataset_size(set), ==, 1000);
    g_assert_cmpstr(json_string_value(json_object_get(workload_dataset_provenance(set), "_provenance")), ==,
                    "llem-mix: composed by tools/llem_mix.py");
    g_autofree char *sum = file_sha256(path, NULL);
    g_assert_cmpstr(workload_dataset_sha256(set), ==, sum);
    g_auto(owned_prompts) measured = {0}, warmup = {0};
    g_assert_true(workload_dataset_select(set, 1000, WORKLOAD_ORDER_INTERLEAVED, 0, &measured, NULL));
    g_assert_true(workload_dataset_warmup(set, &measured, 5, &warmup, NULL));
    g_assert_cmpuint(warmup.n_variants, ==, 5);
    check_disjoint(&measured, &warmup);
}

static void test_paths(void)
{
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"nowhere.jsonl", "the data set nowhere.jsonl is not there"},
        {"alpaca", "unknown data set 'alpaca': expected llem-mix"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(workload_dataset_path(cases[i].name, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workload/dataset/columns", test_columns);
    g_test_add_func("/workload/dataset/errors", test_errors);
    g_test_add_func("/workload/dataset/byte-order-mark", test_byte_order_mark);
    g_test_add_func("/workload/dataset/errors-at-once", test_errors_at_once);
    g_test_add_func("/workload/dataset/orders", test_orders);
    g_test_add_func("/workload/dataset/order-is-not-work", test_order_is_not_work);
    g_test_add_func("/workload/dataset/too-few", test_too_few);
    g_test_add_func("/workload/dataset/warmup", test_warmup);
    g_test_add_func("/workload/dataset/warmup-used-up", test_warmup_used_up);
    g_test_add_func("/workload/dataset/shipped", test_shipped);
    g_test_add_func("/workload/dataset/paths", test_paths);
    return g_test_run();
}
