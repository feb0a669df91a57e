/* SPDX-License-Identifier: MIT */
/* Checks are rows: each asked once about each distinct thing, told by its severity, and each of ours made to fail. */
#include "preflight/rows.h"

#include <string.h>

/* --- Files ---------------------------------------------------------------------------------------------------------- */

struct scene {
    struct diag *diag;
    struct config_file *file;
    struct config *config;
};

static struct scene scene_new(const char *text)
{
    struct scene s = {.diag = diag_new()};
    s.file = config_file_parse("t.yaml", text, strlen(text), "/", NULL, s.diag);
    g_autofree char *said = diag_render(s.diag, false);
    g_assert_cmpstr(said, ==, "");
    s.config = config_file_resolve(s.file, NULL, 0, s.diag);
    return s;
}

static void scene_clear(struct scene *s)
{
    config_free(s->config);
    config_file_free(s->file);
    diag_free(s->diag);
}

#define SCENE(name, text) __attribute__((cleanup(scene_clear))) struct scene name = scene_new(text)

/* --- Once a thing ---------------------------------------------------------------------------------------------------- */

static int probes; /* how often count() was asked */

/* Two things of a cell: its n, and whether it is even. */
static char *count_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    int64_t n = config ? config_int(config, FIELD_N) : 7;
    return nth == 0 ? g_strdup_printf("n %d", (int)n) : nth == 1 ? g_strdup(n % 2 ? "odd" : "even") : NULL;
}

/* 3 is refused, odd numbers lack something. */
static void count(const struct preflight_question *q, struct preflight_finding *ret)
{
    probes++;
    if (!strcmp(q->about, "n 3"))
        preflight_find(ret, PREFLIGHT_REFUSES, NULL, "3 is refused");
    else if (!strcmp(q->about, "odd"))
        preflight_find(ret, PREFLIGHT_LACKS, NULL, "odd numbers lack something");
}

static void fail(const struct preflight_question *q, struct preflight_finding *ret)
{
    preflight_find(ret, PREFLIGHT_FAILS, config_place(q->config, FIELD_N), "nothing can be run");
    ret->hint = g_strdup("do something");
}

static const struct preflight_check counting[] = {
    {.id = "count", .why = "to count", .remedy = "none", .key = count_key, .probe = count},
    {.id = "slow", .why = "to count", .remedy = "none", .thorough = true, .key = count_key, .probe = count},
    {0},
};
static const struct preflight_check failing[] = {{.id = "fail", .key = count_key, .probe = fail}, {0}};
static const struct preflight_check *const counting_tables[] = {counting, NULL};
static const struct preflight_check *const failing_tables[] = {counting, failing, NULL};

static void test_once_a_thing(void)
{
    const struct preflight_options quick = {0}, thorough = {.thorough = true};
    const struct preflight_finding *const *findings;
    SCENE(three, "model: m\nn: 3\n");
    SCENE(five, "model: m\nn: 5\n");
    g_autoptr(owned_preflight) p = preflight_new_with(&quick, counting_tables);
    probes = 0;
    for (int i = 0; i < 10; i++) {
        preflight_look(p, three.config);
        preflight_look(p, five.config);
    }
    g_assert_cmpint(probes, ==, 3); /* n 3, odd, n 5 */
    g_assert_cmpint((int)preflight_findings(p, &findings), ==, 3);
    g_assert_cmpstr(findings[2]->about, ==, "n 5");
    g_assert_cmpint(findings[2]->verdict, ==, PREFLIGHT_OK);
    g_autoptr(owned_preflight) all = preflight_new_with(&thorough, counting_tables);
    preflight_look_at_machine(all);
    g_assert_cmpint(probes, ==, 7); /* two rows of two things */
}

/* What a cell is refused for is an error only where no other can run. */
static void test_severities(void)
{
    const struct preflight_options options = {0};
    SCENE(three, "model: m\nn: 3\n");
    SCENE(four, "model: m\nn: 4\n");
    struct {
        const struct config *cells[2];
        const struct preflight_check *const *tables;
        size_t errors, warnings;
    } rows[] = {
        {{three.config, three.config}, counting_tables, 1, 1},
        {{three.config, four.config}, counting_tables, 0, 2},
        {{four.config, four.config}, counting_tables, 0, 0},
        {{four.config, four.config}, failing_tables, 1, 0}, /* the same message at the same place is kept once */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(owned_preflight) p = preflight_new_with(&options, rows[i].tables);
        g_autoptr(owned_diag) diag = diag_new();
        for (size_t k = 0; k < 2; k++)
            preflight_look(p, rows[i].cells[k]);
        preflight_report(p, diag);
        g_assert_cmpint((int)diag_errors(diag), ==, (int)rows[i].errors);
        g_assert_cmpint((int)diag_warnings(diag), ==, (int)rows[i].warnings);
    }
}

/* --- Each of ours made to fail --------------------------------------------------------------------------------------- */

static const struct {
    const char *id;
    const char *text; /* NULL: of the machine */
    enum preflight_verdict verdict;
    const char *said;
} cases[] = {
    {"store.results", "model: m\nbackend: sim\n", PREFLIGHT_FAILS, "results cannot be written to /dev/null/results"},
    {"runner.worker", "model: m\nbackend: sim\n", PREFLIGHT_FAILS, "/nonexistent/worker is not a program"},
    {"engine.adapter", "model: m\nbackend: llamacpp\n", PREFLIGHT_LACKS, "llamacpp"},
    {"engine.adapter", NULL, PREFLIGHT_ABSENT, "llamacpp"},
    {"engine.python", "model: m\nbackend: pytorch\n", PREFLIGHT_REFUSES, "there is no interpreter /nonexistent/python"},
    {"engine.python", NULL, PREFLIGHT_ABSENT, "there is no interpreter /nonexistent/python"},
    {"engine.start", "model: m\nbackend: sim\n", PREFLIGHT_REFUSES, ""},
    {"engine.start", NULL, PREFLIGHT_REFUSES, ""},
    {"engine.model", "model: smollm2-135m-instruct\nbackend: llamacpp\n", PREFLIGHT_LACKS, "llem model pull"},
    {"engine.model", "model: smollm2-135m-instrct\nbackend: llamacpp\n", PREFLIGHT_REFUSES, "did you mean"},
    {"engine.threads", "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 512}\n", PREFLIGHT_LACKS, "512 is more than"},
    {"work.dataset", "model: m\nbackend: sim\nn: 100000\n", PREFLIGHT_FAILS, "prompts asked for"},
    {"sensor.source", "model: m\nbackend: sim\nenergy: {backend: nvml}\n", PREFLIGHT_LACKS, "energy will be absent"},
    {"sensor.source", "model: m\nbackend: sim\nenergy: {backend: nvml, modelled: true}\n", PREFLIGHT_LACKS,
     "energy will be modelled"},
    {"sensor.source", NULL, PREFLIGHT_ABSENT, "/nonexistent/nvml.so"},
    {"sensor.any", "model: m\nbackend: sim\n", PREFLIGHT_LACKS, "no energy sensor was found"},
    {"sensor.any", NULL, PREFLIGHT_LACKS, "no energy sensor was found"},
};

/* A machine that has nothing. */
static void set_machine(void)
{
    static const char *const variables[][2] = {
        {"LLEM_ENGINES_PATH", LLEM_SOURCE_DIR "/engines"}, {"LLEM_NVML_LIBRARY", "/nonexistent/nvml.so"},
        {"LLEM_SYSROOT", "/nonexistent"},                  {"LLEM_MODELS_DIR", "/nonexistent/models"},
        {"LLEM_ENGINE_SIM", "/bin/false"},                 {"LLEM_PYTORCH_PYTHON", "/nonexistent/python"},
        {"LLEM_VLLM_PYTHON", "/nonexistent/python"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
        g_setenv(variables[i][0], variables[i][1], true);
}

/* The finding of a check that is not ok and says the words; NULL: there is none. */
static const struct preflight_finding *find(const struct preflight *p, const char *id, const char *said)
{
    const struct preflight_finding *const *findings;
    size_t n = preflight_findings(p, &findings);
    for (size_t i = 0; i < n; i++)
        if (findings[i]->verdict != PREFLIGHT_OK && !strcmp(findings[i]->id, id) && strstr(findings[i]->text, said))
            return findings[i];
    return NULL;
}

static void test_each_fails(void)
{
    const char *worker = "/nonexistent/worker";
    g_autoptr(owned_runner) runner = runner_new(&(struct runner_options){.worker_path = worker}, NULL);
    g_autoptr(owned_dispatch) d = dispatch_new(&(struct dispatch_options){.worker_path = worker, .only = runner});
    const struct preflight_options options = {.results_dir = "/dev/null/results", .dispatch = d, .thorough = true};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        SCENE(s, cases[i].text ? cases[i].text : "model: m\n");
        g_autoptr(owned_preflight) p = preflight_new(&options);
        if (cases[i].text)
            preflight_look(p, s.config);
        else
            preflight_look_at_machine(p);
        const struct preflight_finding *finding = find(p, cases[i].id, cases[i].said);
        if (!finding || finding->verdict != cases[i].verdict)
            g_error("row %zu, %s: %s", i, cases[i].id,
                    finding ? preflight_verdict_name(finding->verdict) : "not found");
    }
}

/* A machine without any engine fails, though none of them alone does. */
static void test_no_engine(void)
{
    const struct preflight_options options = {0};
    g_unsetenv("LLEM_ENGINE_SIM");
    g_autoptr(owned_preflight) p = preflight_new(&options);
    preflight_look_at_machine(p);
    const struct preflight_finding *finding = find(p, "engine.any", "no engine can be run here");
    g_assert_nonnull(finding);
    g_assert_cmpint(preflight_severity(p, finding), ==, DIAG_ERROR);
}

/* Every row says why it is there and what to do. */
static void test_rows_explain_themselves(void)
{
    for (const struct preflight_check *const *table = preflight_tables; *table; table++)
        for (const struct preflight_check *row = *table; row->id; row++) {
            g_assert_nonnull(row->key);
            g_assert_nonnull(row->probe);
            g_assert_true(*table == preflight_runner_rows || (row->why && row->remedy));
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_machine();
    g_test_add_func("/preflight/once", test_once_a_thing);
    g_test_add_func("/preflight/severities", test_severities);
    g_test_add_func("/preflight/fails", test_each_fails);
    g_test_add_func("/preflight/no_engine", test_no_engine);
    g_test_add_func("/preflight/rows", test_rows_explain_themselves);
    return g_test_run();
}
