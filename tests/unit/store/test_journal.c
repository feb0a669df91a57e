/* SPDX-License-Identifier: MIT */
/* The journal: what is written is read, a torn last line is nothing, a damaged one is told, one llem writes at a
 * time. */
#include "help.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOUR_RUNS                                                                                                      \
    "model: m\nbackend: sim\nsweep: {sim.threads: [1, 2, 3, 4]}\nexecution: {n_cycles: 1, order: sequential}\n"

static void test_transitions_are_read_back(void)
{
    g_auto(owned_made) made = make(FOUR_RUNS);
    g_autoptr(GError) error = NULL;
    struct store *store = made.store;
    store_run_warn(store, 0, "something");
    store_run_warn(store, 0, "and \xff more");
    run_to_the_end(store, 0, STORE_OK);
    run_to_the_end(store, 1, STORE_FAILED);
    const struct store_end refused = {.state = STORE_REFUSED, .message = "no such model"};
    g_assert_true(store_run_end(store, 2, &refused, &error));
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    const enum store_state states[] = {STORE_OK, STORE_FAILED, STORE_REFUSED, STORE_PLANNED};
    const char *const messages[] = {NULL, "it broke", "no such model", NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        g_assert_cmpint(store_run(back, i)->state, ==, states[i]);
        g_assert_cmpstr(store_run(back, i)->message, ==, messages[i]);
        g_assert_cmpstr(store_run(back, i)->folder, ==, store_run(store, i)->folder);
        g_assert_cmpint(store_run(back, i)->attempts, ==, i < 2);
        g_assert_null(store_run(back, i)->exchange);
    }
    g_assert_cmpstr(store_run(back, 0)->warning, ==, "something; and \xef\xbf\xbd more");
    g_assert_cmpint(store_run(back, 0)->wall_ns, ==, 5);
    g_assert_null(store_doubts(back)[0]);
    g_autoptr(json_t) record = store_run_record(back, 0, &error);
    g_assert_nonnull(record);
    g_assert_null(store_run_record(back, 1, NULL)); /* an error record is not a result */
    g_assert_null(store_run_record(back, 2, NULL));
}

/* The line that ends a run holds the figures of the table; with them no record is read. */
static void test_figures_are_in_the_journal(void)
{
    g_auto(owned_made) made = make(FOUR_RUNS);
    run_to_the_end(made.store, 0, STORE_OK);
    run_to_the_end(made.store, 1, STORE_FAILED);
    g_autofree char *record = g_build_filename(store_run(made.store, 0)->folder, "result.json", NULL);
    g_assert_cmpint(unlink(record), ==, 0);
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    g_autoptr(json_t) figures = store_run_figures(back, 0);
    g_assert_cmpfloat(json_number_value(jsonx_at(figures, "metrics.output_tokens_per_s.value")), ==, 5.5);
    g_assert_cmpstr(json_string_value(json_object_get(figures, "scope")), ==, "GPU boards");
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(figures, "flags"), 0)), ==, "gap");
    g_assert_null(jsonx_at(figures, "metrics.flops"));
    g_assert_null(store_run_figures(back, 1));
}

/* What was done to a journal of four lines (two runs, begun and ended), and what is made of it. The run folders are
 * away, so that the journal alone speaks. */
static const struct {
    const char *name;
    size_t line;           /* the line that is meant, from 0 */
    const char *from, *to; /* to NULL: cut off before it */
    enum store_state first, second;
    const char *doubt; /* NULL: none */
} cases[] = {
    {"whole", 0, "\"run\"", "\"run\"", STORE_OK, STORE_FAILED, NULL},
    {"torn last line", 3, "\"state\"", NULL, STORE_OK, STORE_LOST, NULL},
    {"without its last newline", 3, "\n", NULL, STORE_OK, STORE_LOST, NULL},
    {"nothing left", 0, "{", NULL, STORE_PLANNED, STORE_PLANNED, NULL},
    {"a state changed", 1, "\"ok\"", "\"failed\"", STORE_LOST, STORE_FAILED,
     "line 2 of journal.jsonl is not heeded: its checksum does not match"},
    {"a checksum changed", 3, "\"sum\":\"", "\"sum\":\"x", STORE_OK, STORE_LOST, "line 4 of journal.jsonl is not heeded: it has no"},
    {"lines glued together", 2, "}\n", "}", STORE_OK, STORE_PLANNED, "line 3 of journal.jsonl is not heeded: its checksum"},
    {"a hole", 1, "{", "\n{", STORE_OK, STORE_FAILED, "line 2 of journal.jsonl is not heeded: it has no checksum"},
};

static void spoil(const struct store *store, size_t line, const char *from, const char *to)
{
    g_autofree char *path = path_in(store, "journal.jsonl"), *text = content_of(store, "journal.jsonl");
    char *at = text;
    while (line--)
        at = strchr(at, '\n') + 1;
    at = strstr(at, from);
    *at = 0;
    g_autofree char *whole = to ? g_strconcat(text, to, at + strlen(from), NULL) : g_strdup(text);
    g_assert_true(g_file_set_contents(path, whole, -1, NULL));
}

static void test_damaged_journals(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(owned_made) made = make(FOUR_RUNS);
        run_to_the_end(made.store, 0, STORE_OK);
        run_to_the_end(made.store, 1, STORE_FAILED);
        g_assert_true(file_remove_tree(store_run(made.store, 0)->folder, NULL));
        g_assert_true(file_remove_tree(store_run(made.store, 1)->folder, NULL));
        spoil(made.store, cases[i].line, cases[i].from, cases[i].to);
        g_autoptr(owned_store) back = reopen(&made, STORE_READ);
        const char *doubt = store_doubts(back)[0];
        if (store_run(back, 0)->state != cases[i].first || store_run(back, 1)->state != cases[i].second ||
            (doubt != NULL) != (cases[i].doubt != NULL) || (doubt && !g_str_has_prefix(doubt, cases[i].doubt)))
            g_error("%s: %s, %s, %s", cases[i].name, store_state_name(store_run(back, 0)->state),
                    store_state_name(store_run(back, 1)->state), doubt ? doubt : "no doubt");
    }
}

/* Lines that are whole, and yet none of this study: each is told and not heeded. */
static void test_lines_of_another_kind(void)
{
    static const struct {
        const char *line, *doubt;
    } lines[] = {
        {"{\"run\": 5, \"cell\": 0, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\"}", "the study has no run of its number"},
        {"{\"run\": \"1\", \"cell\": 0, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\"}", "member 'run': expected an integer"},
        {"{\"run\": 1, \"cell\": 1, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\"}", "its run is of another cell or cycle"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 2, \"state\": \"ok\", \"utc\": \"\"}", "its run is of another cell or cycle"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 1, \"state\": \"so so\", \"utc\": \"\"}", "its state is none of this version's"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 1, \"utc\": \"\"}", "member 'state'"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\", \"folder\": \"../x\"}", "it names a folder outside"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\", \"attempts\": -1}", "no run was begun that often"},
        {"{\"run\": 1, \"cell\": 0, \"cycle\": 1, \"state\": \"ok\", \"utc\": \"\", \"figures\": 1}", "member 'figures'"},
    };
    g_auto(owned_made) made = make(FOUR_RUNS);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        g_assert_true(journal_append(made.store->journal, jsonx_parse(lines[i].line, -1, "line", NULL), NULL));
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    g_assert_cmpint(store_run(back, 0)->state, ==, STORE_PLANNED);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *doubt = g_strdup_printf("line %zu of journal.jsonl is not heeded: %s", i + 1, lines[i].doubt);
        g_assert_nonnull(store_doubts(back)[i]);
        if (!g_str_has_prefix(store_doubts(back)[i], doubt))
            g_error("%s", store_doubts(back)[i]);
    }
}

/* Where the journal was damaged the run folders say the rest. */
static void test_folders_say_what_the_journal_does_not(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(owned_made) made = make(FOUR_RUNS);
        run_to_the_end(made.store, 0, STORE_OK);
        run_to_the_end(made.store, 1, STORE_FAILED);
        spoil(made.store, cases[i].line, cases[i].from, cases[i].to);
        g_autoptr(owned_store) back = reopen(&made, STORE_READ);
        g_assert_cmpint(store_run(back, 0)->state, ==, STORE_OK);
        g_assert_cmpint(store_run(back, 1)->state, ==, STORE_FAILED);
        g_assert_cmpstr(store_run(back, 1)->message, ==, "it broke");
        g_autoptr(json_t) figures = store_run_figures(back, 0);
        g_assert_cmpfloat(json_number_value(jsonx_at(figures, "metrics.output_tokens_per_s.value")), ==, 5.5);
    }
}

/* Who goes on with a study begins behind the last whole line. */
static void test_a_torn_line_is_cut_off_before_the_next(void)
{
    g_auto(owned_made) made = make(FOUR_RUNS);
    run_to_the_end(made.store, 0, STORE_OK);
    spoil(made.store, 1, "\"state\"", NULL);
    g_clear_pointer(&made.store->journal, journal_close);
    g_autoptr(owned_store) again = reopen(&made, STORE_WRITE);
    run_to_the_end(again, 1, STORE_FAILED);
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    g_assert_null(store_doubts(back)[0]);
    g_assert_cmpint(store_run(back, 0)->state, ==, STORE_OK);
    g_assert_cmpint(store_run(back, 1)->state, ==, STORE_FAILED);
}

static void test_a_run_is_done_again(void)
{
    g_auto(owned_made) made = make(FOUR_RUNS);
    g_autoptr(GError) error = NULL;
    run_to_the_end(made.store, 0, STORE_FAILED);
    g_assert_true(store_run_plan_again(made.store, 0, &error));
    g_autoptr(owned_store) planned = reopen(&made, STORE_READ);
    g_assert_cmpint(store_run(planned, 0)->state, ==, STORE_PLANNED);
    g_assert_null(store_run(planned, 0)->message);
    run_to_the_end(made.store, 0, STORE_OK);
    g_autoptr(owned_store) back = reopen(&made, STORE_READ);
    g_assert_cmpint(store_run(back, 0)->state, ==, STORE_OK);
    g_assert_cmpint(store_run(back, 0)->attempts, ==, 2);
    g_assert_true(g_str_has_suffix(store_run(back, 0)->folder, "_2")); /* the first attempt's folder stays */
    spoil(made.store, 4, "\"state\"", NULL);                            /* its second end */
    g_autoptr(owned_store) torn = reopen(&made, STORE_READ);
    g_assert_cmpint(store_run(torn, 0)->state, ==, STORE_OK);
}

/* Two llem in one folder: the second is refused, a reader sees that one is at work. */
static void test_one_writer(void)
{
    g_auto(owned_made) made = make(FOUR_RUNS);
    g_autoptr(GError) error = NULL;
    g_assert_true(store_run_begin(made.store, 0, "/nowhere/.exchange-1", &error));
    g_assert_null(store_open(store_folder(made.store), STORE_WRITE, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "another llem is at work in"));
    g_autoptr(owned_store) reader = reopen(&made, STORE_READ);
    g_assert_true(store_is_at_work(reader));
    g_assert_cmpint(store_run(reader, 0)->state, ==, STORE_RUNNING);
    g_clear_pointer(&made.store->journal, journal_close);
    g_autoptr(owned_store) after = reopen(&made, STORE_READ);
    g_assert_false(store_is_at_work(after));
    g_assert_cmpint(store_run(after, 0)->state, ==, STORE_LOST);
}

void add_journal_tests(void)
{
    g_test_add_func("/store/journal/transitions are read back", test_transitions_are_read_back);
    g_test_add_func("/store/journal/figures", test_figures_are_in_the_journal);
    g_test_add_func("/store/journal/damaged", test_damaged_journals);
    g_test_add_func("/store/journal/lines of another kind", test_lines_of_another_kind);
    g_test_add_func("/store/journal/folders say the rest", test_folders_say_what_the_journal_does_not);
    g_test_add_func("/store/journal/torn line", test_a_torn_line_is_cut_off_before_the_next);
    g_test_add_func("/store/journal/again", test_a_run_is_done_again);
    g_test_add_func("/store/journal/one writer", test_one_writer);
}
