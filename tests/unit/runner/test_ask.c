/* SPDX-License-Identifier: MIT */
/* A question to a worker where runs would be: its answer, and every way in which there is none. */
#include "scene.h"

#define ANSWER "printf '{\"place\":{\"uid\":1}}' > $D/" HASH "_probe.json\n"

static void fill(struct exchange *x)
{
    *x = (struct exchange){.config_hash = g_strdup(HASH), .config = json_object(), .hashed = json_object(),
                           .origins = json_object(), .command = g_strsplit("engine", " ", -1), .cycle = 1};
    exchange_prompts_init(&x->prompts, 0);
    exchange_prompts_init(&x->warmup, 0);
}

static const struct {
    const char *script; /* NULL: there is no worker */
    bool ok, part;      /* an answer, or a part of one */
    int code;
    const char *said;
} rows[] = {
    {"[ \"$1\" = --probe ] || exit 9\n" ANSWER, true, true, -1, NULL},
    {ANSWER "echo 'no such library'; exit 3", false, true, LLEM_ERROR_WORKER_DIED, "exit status 3): no such library"},
    {"exit 0", false, false, LLEM_ERROR_WORKER_DIED, "exit status 0"},
    {"kill -9 $$", false, false, LLEM_ERROR_WORKER_DIED, "signal 9"},
    {"printf '{\"pl' > $D/" HASH "_probe.json", false, false, LLEM_ERROR_WORKER_DIED, "exit status 0"},
    {ANSWER "while :; do sleep 0.02; done", false, true, LLEM_ERROR_TIMEOUT, "the last it said was of 'place'"},
    {"trap '' TERM\nwhile :; do sleep 0.02; done", false, false, LLEM_ERROR_TIMEOUT, "of 'nothing'"},
    {NULL, false, false, LLEM_ERROR_MISSING, "/no/such/worker"},
};

static void test_answers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) found = NULL;
        g_auto(owned_exchange) x;
        g_autofree char *dir = g_dir_make_tmp("llem-ask-XXXXXX", NULL), *below = g_build_filename(dir, "x", NULL);
        g_autofree char *worker = rows[i].script ? scene_script(dir, rows[i].script) : g_strdup("/no/such/worker");
        g_autoptr(owned_runner) runner = runner_new(&(struct runner_options){.worker_path = worker}, &error);
        g_assert_no_error(error);
        fill(&x);
        g_assert_true(file_make_dirs(below, NULL));
        g_assert_cmpint(runner_ask(runner, &x, below, NS_PER_S / 2, -1, &found, &error), ==, rows[i].ok);
        g_assert_cmpint(found != NULL, ==, rows[i].part);
        g_assert_cmpint(error ? error->code : -1, ==, rows[i].code);
        if (rows[i].said && !strstr(error->message, rows[i].said))
            g_error("'%s' is not in: %s", rows[i].said, error->message);
        g_assert_cmpint(rmdir(below), ==, 0); /* nothing is left */
        g_assert_true(file_remove_tree(dir, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    proc_become_subreaper();
    g_test_add_func("/ask/answers", test_answers);
    return g_test_run();
}
