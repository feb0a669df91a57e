/* SPDX-License-Identifier: MIT */
/* Descriptors of engines: what is read, what is refused and where, and which of several engines of a name counts. */
#include "backend/backend.h"

#include "base/install.h"

#include "version.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* --- Ours ---------------------------------------------------------------------------------------------------------- */

static const char *const ours[] = {"llamacpp", "pytorch", "sim", "vllm"};

static void test_ours(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *path = g_build_filename(LLEM_SOURCE_DIR, "engines", ours[i], "engine.json", NULL);
        g_autofree char *sha256 = file_sha256(path, NULL);
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_backend) backend = backend_load(path, diag);
        g_autofree char *said = diag_render(diag, false);
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpstr(backend_name(backend), ==, ours[i]);
        g_assert_cmpstr(backend_digest(backend), ==, sha256);
        g_assert_true(*backend_summary(backend) && *backend_remedy(backend));
    }
}

static void test_none(void)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_assert_null(backend_load("/nonexistent/toy/engine.json", diag));
    g_assert_cmpuint(diag_errors(diag), ==, 1);
}

/* --- What is read ---------------------------------------------------------------------------------------------------- */

#define HEAD                                                                                                 \
    "{\"format\": 1, \"name\": \"toy\", \"summary\": \"a toy\", \"protocol\": 1, \"hash_version\": 3,\n" \
    " \"remedy\": \"none\", \"model\": {\"takes\": \"none\"}"

static struct backend *parse(const char *text, char **ret_said)
{
    g_autoptr(owned_diag) diag = diag_new();
    struct backend *backend = backend_parse("engine.json", text, strlen(text), "/engines/toy", diag);
    g_assert_cmpint(backend != NULL, ==, diag_errors(diag) == 0);
    *ret_said = diag_render(diag, false);
    return backend;
}

/* The corpus of the fuzz target: every member there is. */
static struct backend *toy(void)
{
    g_autofree char *text = NULL, *said = NULL;
    g_assert_true(g_file_get_contents(LLEM_SOURCE_DIR "/tests/fuzz/corpus/backend/toy", &text, NULL, NULL));
    struct backend *backend = parse(text, &said);
    g_assert_cmpstr(said, ==, "");
    return backend;
}

static void test_head(void)
{
    g_autoptr(owned_backend) b = toy();
    g_assert_cmpstr(backend_title(b), ==, "toy");
    g_assert_cmpstr(backend_variable(b), ==, "LLEM_ENGINE_TOY");
    g_assert_cmpstr(backend_folder(b), ==, "/engines/toy");
    g_assert_cmpstr(backend_env(b)[0], ==, "A=/engines/toy");
    g_assert_null(backend_env(b)[1]);
    g_assert_true(g_str_has_prefix(backend_caches(b)[0], "/") && g_str_has_suffix(backend_caches(b)[0], "/c"));
    g_assert_null(backend_files(b)[0]);
    g_assert_cmpuint(backend_modes(b), ==, BACKEND_MODE_BATCH | BACKEND_MODE_IN_FLIGHT);
    g_assert_cmpuint(backend_where(b), ==, BACKEND_REMOTE);
    g_assert_cmpstr(backend_python(b)->import, ==, "toy");
    g_assert_null(backend_image(b)->recipe);
    g_assert_cmpint(backend_model(b)->takes, ==, BACKEND_TAKES_GGUF);
    g_assert_cmpstr(backend_model(b)->quantization, ==, "toy.q");
}

/* The name that `backend_image_for()` comes to, or what it says. New string. */
static char *image_for(const struct backend *b, int host_cuda)
{
    g_autoptr(GError) error = NULL;
    const struct backend_build *build = backend_image_for(b, host_cuda, &error);
    if (build)
        return backend_image_name(b, build);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    return g_strdup(error->message);
}

static void test_image(void)
{
    static const struct {
        int host_cuda;
        const char *says;
    } rows[] = {
        {13000, "ghcr.io/llenergymeasure/toy:" LLEM_VERSION "-cuda13"},
        {13020, "ghcr.io/llenergymeasure/toy:" LLEM_VERSION "-cuda13"},
        {14000, "ghcr.io/llenergymeasure/toy:" LLEM_VERSION "-cuda13"},
        {12000, "ghcr.io/llenergymeasure/toy:" LLEM_VERSION "-cuda12"}, /* by minor-version compatibility */
        {12090, "ghcr.io/llenergymeasure/toy:" LLEM_VERSION "-cuda12"},
        {11080, "no published image of toy runs on a driver of CUDA 11.8; write docker:IMAGE, an image of an older CUDA"},
        {0, "which image of toy to use depends on the NVIDIA driver, and this machine has none; write docker:IMAGE"},
    };
    g_autoptr(owned_backend) b = toy();
    g_assert_cmpuint(backend_image(b)->n_builds, ==, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = image_for(b, rows[i].host_cuda);
        g_assert_cmpstr(name, ==, rows[i].says);
    }
    g_autofree char *remedy = backend_image_remedy(b, rows[3].says);
    g_assert_cmpstr(remedy, ==, "build it with docker/build.py toy --cuda 12 (of the sources of llem), or use the image it "
                                "starts from as it is: docker:u:2");
    g_assert_null(backend_image_remedy(b, "u:2"));
    g_autofree char *text = g_strconcat(HEAD, "}", NULL), *said = NULL;
    g_autoptr(owned_backend) none = parse(text, &said);
    g_autofree char *says = image_for(none, 13000);
    g_assert_cmpstr(says, ==, "no image is published for toy; write docker:IMAGE, an image that has the engine in it");
    g_assert_null(backend_image_remedy(none, rows[0].says));
}

static void test_bad_image(void)
{
    static const struct {
        const char *builds, *says;
    } rows[] = {
        {"[]", "at least one"},
        {"[{\"upstream\": \"u\"}]", "cuda"},
        {"[{\"upstream\": \"u\", \"cuda\": \"new\"}]", "a version such as"},
        {"[{\"upstream\": \"u\", \"cuda\": \"12-1\"}]", "a version such as"},
        {"[{\"upstream\": \"u\", \"cuda\": \"12.1\"}, {\"upstream\": \"v\", \"cuda\": \"12.8\"}]", "one of CUDA 12 already"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = NULL, *said = NULL;
        text = g_strconcat(HEAD, ", \"image\": {\"builds\": ", rows[i].builds, "}}", NULL);
        g_assert_null(parse(text, &said));
        if (!strstr(said, rows[i].says))
            g_error("%s says\n%s", rows[i].builds, said);
    }
}

static void test_options(void)
{
    g_autoptr(owned_backend) b = toy();
    const struct backend_option *options;
    g_assert_cmpuint(backend_options(b, &options), ==, 5);
    const struct backend_option *n = backend_option(b, "a.n"), *m = backend_option(b, "toy.a.m"),
        *q = backend_option(b, "q");
    g_assert_true(n == &options[0] && m == &options[1] && q == &options[2]);
    g_assert_cmpstr(n->path, ==, "toy.a.n");
    g_assert_cmpstr(n->initial, ==, "2");
    g_assert_true(n->min == 1 && isinf(n->max) && n->hashed && n->sweepable);
    g_assert_cmpstr(m->follows, ==, "toy.a.n");
    g_assert_cmpuint(m->n_when, ==, 1);
    g_assert_cmpstr(m->when[0].field, ==, "toy.q");
    g_assert_cmpstr(m->when[0].values[0], ==, "\"x\"");
    g_assert_cmpstr(m->when[0].values[1], ==, "null");
    g_assert_cmpstr(q->choices[1].help, ==, "z");
    g_assert_null(q->choices[2].name);
    g_assert_cmpstr(q->replaces, ==, "precision");
    /* A number of a real field is written as a real, whatever the file has. */
    g_assert_cmpstr(options[3].when[0].values[0], ==, "0.0");
    g_assert_true(options[3].when[0].negated);
    g_assert_cmpint(options[4].path_kind, ==, BACKEND_PATH_FILE);
    g_assert_null(backend_option(b, "toy.b"));
    g_assert_null(backend_option(b, "a"));
}

static void test_rules(void)
{
    g_autoptr(owned_backend) b = toy();
    const struct backend_rule *rules;
    g_assert_cmpuint(backend_rules(b, &rules), ==, 5);
    g_assert_cmpint(rules[0].kind, ==, BACKEND_NEEDS);
    g_assert_cmpstr(rules[0].b, ==, "precision");
    g_assert_cmpstr(rules[0].other_is->values[0], ==, "\"fp16\"");
    g_assert_cmpstr(rules[0].unless->field, ==, "toy.a.n");
    g_assert_cmpint(rules[1].kind, ==, BACKEND_HOLDS);
    g_assert_cmpstr(rules[1].b, ==, "toy.a.m");
    g_assert_cmpint(rules[2].kind, ==, BACKEND_WITHIN);
    g_assert_cmpint(rules[3].kind, ==, BACKEND_AT_LEAST);
    g_assert_cmpstr(rules[3].b, ==, "max_input_tokens");
    g_assert_cmpint(rules[4].kind, ==, BACKEND_PRESENT);
}

static void test_lists(void)
{
    g_autoptr(owned_backend) b = toy();
    const struct backend_option *const *options;
    g_assert_cmpuint(backend_role(b, ROLE_IN_FLIGHT, &options), ==, 1);
    g_assert_cmpstr(options[0]->name, ==, "a.n");
    g_assert_cmpuint(backend_role(b, ROLE_BATCH, &options), ==, 0);
    g_assert_cmpint(backend_context(b)->rounds_to, ==, 8);
    const struct backend_cannot *cannot;
    g_assert_cmpuint(backend_cannot(b, &cannot), ==, 1);
    g_assert_cmpstr(cannot[0].field, ==, "decoder.min_p");
    const char *section;
    g_assert_true(backend_passes_through(b, &section));
    g_assert_cmpstr(section, ==, "a");
    g_assert_nonnull(backend_passed_find(b, "z"));
    g_assert_cmpstr(backend_owned_find(b, "o")->note, ==, "n");
    g_assert_null(backend_owned_find(b, "z"));
    g_assert_cmpstr(backend_retired(b, "toy.old", NULL)->alias, ==, "toy.a.n");
    g_assert_cmpstr(backend_retired(b, "toy.q", "W")->text, ==, "t");
    g_assert_null(backend_retired(b, "toy.q", NULL));
}

/* JSON as others write it: tabs, no blanks at all, escapes. */
static void test_any_json(void)
{
    static const char *const texts[] = {
        "{\n\t\"format\":\t1, \"name\": \"toy\",\n\t\"summary\": \"it's: # a\\/b \\u00e9 \\ud83d\\ude00\", \"protocol\": 1,"
        "\r\n\t\"hash_version\": 1, \"remedy\": \"r\",\n\t\"model\": {\n\t\t\"takes\": \"none\"}}",
        "{\"format\":1,\"name\":\"toy\",\"summary\":\"it's: # a/b é 😀\",\"protocol\":1,\"hash_version\":1,\"remedy\":\"r\","
        "\"model\":{\"takes\":\"none\"}}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *said = NULL;
        g_autoptr(owned_backend) b = parse(texts[i], &said);
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpstr(backend_summary(b), ==, "it's: # a/b é 😀");
    }
}

/* --- What is refused ------------------------------------------------------------------------------------------------- */

#define OPTION "{\"name\": \"n\", \"type\": \"integer\", \"help\": \"h\""
#define ROWS(rows)  HEAD ",\n \"options\": [" rows "]}"
#define TWO         OPTION "}, {\"name\": \"t\", \"type\": \"string\", \"help\": \"h\"}"
#define RULES(rows) HEAD ", \"options\": [" TWO "],\n \"rules\": [" rows "]}"

static const struct {
    const char *name, *text, *said; /* a line of what is said */
} refused[] = {
    {"no-json", "{\"format\": 1,}", "engine.json:1:14: error: a comma stands before the closing }"},
    {"yaml", "format: 1\n", "engine.json:1:1: error: a text stands in double quotes, and a word is true, false or null"},
    {"a-list", "[1]", "engine.json:1:1: error: the descriptor: expected a mapping, found a list of 1"},
    {"twice", "{\"format\": 1,\n \"format\": 1}", "engine.json:2:2: error: the key 'format' is given twice"},
    {"missing", "{\"format\": 1}", "engine.json:1:1: error: the descriptor: 'name' is missing"},
    {"next-format", "{\"format\": 2}", "engine.json:1:12: error: format: 2 is not read by this version of llem, which reads 1"},
    {"next-protocol", "{\"protocol\": 2}", "engine.json:1:14: error: protocol: 2 is not spoken by this version of llem, which speaks 1"},
    {"other-folder", "{\"format\": 1, \"name\": \"tiny\"}", "engine.json:1:23: error: name: 'tiny', but its folder is called 'toy'"},
    {"unknown-member", HEAD ", \"option\": []}", "engine.json:2:48: error: the descriptor: there is no member 'option'"},
    {"wrong-type", HEAD ", \"title\": 7}", "engine.json:2:57: error: title: expected a text, found 7"},
    {"count", "{\"format\": \"1\"}", "engine.json:1:12: error: format: expected an integer of at least 1, found \"1\" (quoted text)"},
    {"word", HEAD ", \"modes\": [\"bach\"]}", "engine.json:2:58: error: modes: 'bach' is none of batch, in_flight"},
    {"python", HEAD ", \"python\": {\"variable\": \"P\"}}", "engine.json:2:58: error: python: 'least' is missing"},
    {"brace", HEAD ", \"command\": [\"{folder}/a\"]}", "engine.json:2:60: error: command: {folder} is not filled in; {dir}, {engines} and {python} are"},
    {"no-python", HEAD ", \"command\": [\"{python}\"]}", "engine.json:2:60: error: command: {python} needs the member 'python'"},
    {"brace-of-env", HEAD ", \"env\": {\"A\": \"{python}\"}}", "engine.json:2:61: error: {python} is not filled in here; {dir} and {engines} are"},
    {"secret", HEAD ", \"record_env\": [\"TOKENIZERS_PARALLELISM\", \"HF_TOKEN\"]}",
     "engine.json:2:89: error: record_env: the name 'HF_TOKEN' tells of a secret, and values are in every result"},
    {"no-words", HEAD ", \"command\": []}", "engine.json:2:59: error: command: an empty list of words"},

    {"option-member", ROWS(OPTION ", \"hlep\": 1}"), "engine.json:3:60: error: option: there is no member 'hlep'"},
    {"option-lacks", ROWS("{\"name\": \"n\", \"type\": \"integer\"}"), "engine.json:3:14: error: option: 'help' is missing"},
    {"option-type", ROWS("{\"name\": \"n\", \"type\": \"int\", \"help\": \"h\"}"),
     "engine.json:3:36: error: type: 'int' is none of boolean, integer, number, string, choice, span, integers, "
     "numbers, mapping, list, any"},
    {"option-name", ROWS("{\"name\": \"a b\", \"type\": \"integer\", \"help\": \"h\"}"),
     "engine.json:3:23: error: name: 'a b' is not made of letters, digits and '_', in parts separated by dots"},
    {"option-twice", ROWS(OPTION "},\n" OPTION "}"),
     "engine.json:4:10: error: name: 'n' is there already, as an option, a section or a shared field"},
    {"option-is-shared", ROWS("{\"name\": \"precision\", \"type\": \"string\", \"help\": \"h\"}"),
     "engine.json:3:23: error: name: 'precision' is there already, as an option, a section or a shared field"},
    {"option-is-section", ROWS(OPTION "},\n{\"name\": \"n.m\", \"type\": \"integer\", \"help\": \"h\"}"),
     "engine.json:4:10: error: name: 'n.m' is there already, as an option, a section or a shared field"},
    {"default", ROWS(OPTION ", \"default\": \"1\"}"),
     "engine.json:3:71: error: default: expected an integer, found \"1\" (quoted text)"},
    {"default-range", ROWS(OPTION ", \"range\": [1, 4], \"default\": 5}"),
     "engine.json:3:88: error: default: expected an integer within its range, found 5"},
    {"range", ROWS(OPTION ", \"range\": [4, 1]}"),
     "engine.json:3:69: error: range: expected [least, largest], numbers in ascending order or null"},
    {"range-of-text", ROWS("{\"name\": \"n\", \"type\": \"string\", \"help\": \"h\", \"range\": [0, 1]}"),
     "engine.json:3:68: error: range: type string has none"},
    {"no-choices", ROWS("{\"name\": \"n\", \"type\": \"choice\", \"help\": \"h\"}"),
     "engine.json:3:14: error: option: type choice needs 'choices'"},
    {"choices-twice", ROWS("{\"name\": \"n\", \"type\": \"choice\", \"help\": \"h\", \"choices\": [\"a\", \"a\"]}"),
     "engine.json:3:76: error: choices: 'a' is there twice"},
    {"default-choice", ROWS("{\"name\": \"n\", \"type\": \"choice\", \"help\": \"h\", \"choices\": [\"a\", \"b\"], \"default\": \"c\"}"),
     "engine.json:3:93: error: default: expected one of a, b, found \"c\" (quoted text)"},
    {"default-path", ROWS("{\"name\": \"n\", \"type\": \"string\", \"help\": \"h\", \"path\": \"file\", \"default\": \"a\"}"),
     "engine.json:3:86: error: default: a path of this machine is none for another"},
    {"default-since", ROWS(OPTION ", \"since\": \"2.0\", \"default\": 1}"),
     "engine.json:3:87: error: default: not every version has this option; say what is taken in engine_default"},
    {"since-until", ROWS(OPTION ", \"since\": \"0.10\", \"until\": \"0.9\"}"),
     "engine.json:3:14: error: option: since 0.10, and until 0.9"},
    {"path", ROWS(OPTION ", \"path\": \"file\"}"), "engine.json:3:14: error: option: 'path' needs type string"},
    {"when", ROWS(OPTION ", \"when\": {\"m\": 1}}"), "engine.json:3:69: error: when: there is no option or shared field 'm'"},
    {"when-type", ROWS(OPTION ", \"when\": {\"precision\": 1}}"), "engine.json:3:82: error: when: expected a text, found 1"},
    {"follows", ROWS(OPTION ", \"follows\": \"x\"}"), "engine.json:3:71: error: follows: there is no option 'x'"},
    {"follows-itself", ROWS(OPTION ", \"follows\": \"n\"}"),
     "engine.json:3:71: error: follows: n follows an option of its own type, and has no default"},
    {"follows-in-a-circle",
     ROWS(OPTION ", \"follows\": \"m\"}, {\"name\": \"m\", \"type\": \"integer\", \"help\": \"h\", \"follows\": \"n\"}"),
     "engine.json:3:71: error: follows: n follows itself by way of toy.m"},
    {"replaces-what-is-needed", ROWS(OPTION ", \"replaces\": \"random_seed\"}"),
     "engine.json:3:72: error: replaces: every run needs random_seed"},
    {"replaces", ROWS(OPTION ", \"replaces\": \"precison\"}"), "engine.json:3:72: error: replaces: there is no shared field 'precison'"},

    {"rule-option", RULES("{\"kind\": \"present\", \"option\": \"m\", \"other\": \"n\"}"),
     "engine.json:3:42: error: option: there is no option or shared field 'm'"},
    {"rule-kind", RULES("{\"kind\": \"need\", \"option\": \"n\"}"),
     "engine.json:3:21: error: kind: 'need' is none of needs, excludes, at_least, fits, present"},
    {"rule-lacks", RULES("{\"kind\": \"needs\", \"option\": \"n\", \"other\": \"t\"}"),
     "engine.json:3:12: error: rule: kind needs goes with 'other' and 'other_is'"},
    {"rule-too-much", RULES("{\"kind\": \"excludes\", \"option\": \"n\", \"other\": \"t\", \"within\": \"context\"}"),
     "engine.json:3:12: error: rule: kind excludes goes with 'other'"},
    {"rule-of-text", RULES("{\"kind\": \"at_least\", \"option\": \"n\", \"other\": \"t\"}"),
     "engine.json:3:12: error: rule at_least: it compares numbers; 'toy.t' is none"},
    {"rule-value", RULES("{\"kind\": \"present\", \"option\": \"n\", \"is\": [1, \"a\"], \"other\": \"t\"}"),
     "engine.json:3:57: error: is: expected an integer, found \"a\" (quoted text)"},
    {"rule-context", RULES("{\"kind\": \"fits\", \"option\": \"n\", \"within\": \"context\"}"),
     "engine.json:3:12: error: rule: 'within' needs the role context"},

    {"role", HEAD ", \"roles\": {\"threds\": \"n\"}}", "engine.json:2:58: error: roles: there is no member 'threds'"},
    {"role-option", HEAD ", \"roles\": {\"threads\": \"n\"}}", "engine.json:2:69: error: threads: there is no option 'n'"},
    {"role-twice", ROWS(OPTION "}], \"roles\": {\"batch\": [\"n\", \"n\"]}, \"owned\": ["),
     "engine.json:3:87: error: batch: 'n' is there twice"},
    {"role-type", ROWS("{\"name\": \"n\", \"type\": \"string\", \"help\": \"h\"}], \"roles\": {\"batch\": \"n\"}, \"owned\": ["),
     "engine.json:3:80: error: batch: 'n' is of type string; an integer is wanted"},
    {"quantization", "{\"format\": 1, \"model\": {\"takes\": \"gguf\", \"quantization\": \"q\"}}",
     "engine.json:1:58: error: quantization: there is no option 'q'"},
    {"cannot", HEAD ", \"cannot\": [{\"field\": \"decoder.topp\", \"why\": \"w\"}]}",
     "engine.json:2:69: error: field: there is no shared field 'decoder.topp'"},
    {"owned-twice", HEAD ", \"owned\": [{\"name\": \"a\", \"note\": \"b\"}, {\"name\": \"a\", \"note\": \"b\"}]}",
     "engine.json:2:86: error: argument 'a' is there already"},
    {"section", HEAD ", \"pass_through\": {\"section\": \"engine\"}}",
     "engine.json:2:76: error: section: no option has a name that begins with 'engine.'"},
    {"retired-option", ROWS(OPTION "}], \"retired\": [{\"name\": \"n\", \"text\": \"t\"}"),
     "engine.json:3:83: error: name: 'n' is an option; it cannot be retired"},
    {"retired-both", HEAD ", \"retired\": [{\"name\": \"n\", \"text\": \"t\", \"alias\": \"n\"}]}",
     "engine.json:2:60: error: retired: 'name', or 'option' and 'value'; and with it 'text' or 'alias', or with a name 'field'"},
    {"retired-value", ROWS(OPTION "}], \"retired\": [{\"option\": \"n\", \"value\": \"t\", \"text\": \"t\"}"),
     "engine.json:3:85: error: option: 'n' must be of type choice, the value none of its choices, an alias one of them"},
};

static void test_refused(const void *data)
{
    const char *const *row = data; /* name, text, said */
    g_autofree char *said = NULL;
    g_autoptr(owned_backend) backend = parse(row[1], &said);
    g_assert_null(backend);
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
    if (!g_strv_contains((const char *const *)lines, row[2]))
        g_error("'%s' is not in:\n%s", row[2], said);
}

/* What a misspelt name was to be is said below the message. */
static void test_suggests(void)
{
    static const struct {
        const char *text, *hint;
    } cases[] = {
        {HEAD ", \"option\": []}", "did you mean 'options'?"},
        {ROWS(OPTION ", \"replaces\": \"precison\"}"), "did you mean 'precision'?"},
        {RULES("{\"kind\": \"need\", \"option\": \"n\"}"), "did you mean 'needs'?"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *said = NULL;
        g_autoptr(owned_backend) backend = parse(cases[i].text, &said);
        g_assert_nonnull(strstr(said, cases[i].hint));
    }
}

/* All that is wrong is said at once. */
static void test_all_at_once(void)
{
    g_autofree char *said = NULL;
    g_autoptr(owned_backend) backend =
        parse("{\"format\": 1, \"name\": \"toy\",\n \"title\": 1,\n \"modes\": [],\n \"hash_version\": 0}", &said);
    static const char *const places[] = {"engine.json:1:1:", "engine.json:2:11:", "engine.json:3:11:",
                                         "engine.json:4:18:"};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
        g_assert_nonnull(strstr(said, places[i]));
}

static void test_bad_folders(void)
{
    static const char *const names[] = {"Toy", "7b", "a-b", "abcdefghijklmnopqrstuvwxyzabcdefg"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *text = g_strdup_printf("{\"format\": 1, \"name\": \"%s\"}", names[i]);
        g_autofree char *folder = g_build_filename("/engines", names[i], NULL);
        g_autoptr(owned_diag) diag = diag_new();
        g_assert_null(backend_parse("engine.json", text, strlen(text), folder, diag));
        g_autofree char *said = diag_render(diag, false);
        g_assert_nonnull(strstr(said, "is no name of an engine"));
    }
}

/* --- Where engines are ------------------------------------------------------------------------------------------------ */

static char *root; /* of the folders of these tests */

static void put(const char *where, const char *name, const char *text)
{
    g_autofree char *folder = g_build_filename(root, where, name, NULL);
    g_autofree char *file = g_build_filename(folder, "engine.json", NULL);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_true(!text || g_file_set_contents(file, text, -1, NULL));
}

/* A descriptor of a name, with more members. */
static void put_engine(const char *where, const char *name, const char *more)
{
    g_autofree char *text = g_strdup_printf("{\"format\": 1, \"name\": \"%s\", \"summary\": \"%s's\", \"protocol\": 1, "
                                            "\"hash_version\": 1, \"remedy\": \"ask\", \"model\": {\"takes\": \"none\"}%s}",
                                            name, where, more);
    put(where, name, text);
}

static const struct backend_found *found_of(const GPtrArray *all, const char *name)
{
    for (unsigned i = 0; i < all->len; i++)
        if (!strcmp(((const struct backend_found *)all->pdata[i])->name, name))
            return all->pdata[i];
    return NULL;
}

static void test_search(void)
{
    put_engine("first", "toy", "");
    put_engine("second", "toy", "");
    put_engine("second", "sim", "");
    put("first", "common", NULL); /* no engine.json: no engine */
    g_autofree char *path = g_strdup_printf("%s/first:%s/none:%s/second", root, root, root);
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
    g_autoptr(GPtrArray) all = backend_search();
    g_autofree char *first = g_build_filename(root, "first", "toy", NULL),
        *second = g_build_filename(root, "second", "toy", NULL);
    const struct backend_found *toy_found = found_of(all, "toy"), *sim = found_of(all, "sim");
    const struct backend_found *vllm = found_of(all, "vllm");
    g_assert_true(toy_found && sim && vllm);
    g_assert_cmpstr(toy_found->folder, ==, first);
    g_assert_cmpstr(toy_found->hides[0], ==, second);
    g_assert_null(toy_found->hides[1]);
    g_assert_null(found_of(all, "common"));
    g_assert_cmpstr(sim->hides[0], ==, LLEM_BINARY_DIR "/libexec/llem/engines/sim");
    g_assert_null(vllm->hides[0]);
    g_assert_true(backend_exists("toy") && !backend_exists("common") && !backend_exists("../first/toy"));
    g_autoptr(GError) error = NULL;
    const struct backend *b = backend_find("toy", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(backend_summary(b), ==, "first's");
    g_assert_true(backend_find("toy", NULL) == b);
    g_unsetenv("LLEM_ENGINES_PATH");
    g_assert_null(backend_find("toy", &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "no backend is called 'toy'; there are llamacpp, pytorch, sim, vllm");
}

/* Every configuration has a section `energy`: an engine of that name is shown as a mistake, and never taken for it. */
static void test_reserved(void)
{
    put_engine("reserved", "energy", "");
    g_autofree char *path = g_build_filename(root, "reserved", NULL);
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
    g_autoptr(GPtrArray) all = backend_search();
    g_auto(GStrv) names = backend_names();
    g_assert_nonnull(found_of(all, "energy"));
    g_assert_false(g_strv_contains((const char *const *)names, "energy") || backend_exists("energy"));
    g_autoptr(GError) error = NULL;
    g_assert_null(backend_find("energy", &error));
    g_assert_nonnull(strstr(error->message, "engine.json:1:1: error: no engine can be called 'energy'"));
    g_unsetenv("LLEM_ENGINES_PATH");
}

/* One engine is read without looking into another's descriptor. */
static void test_reads_one(void)
{
    put("third", "broken", "{");
    put_engine("third", "fine", "");
    g_autofree char *path = g_build_filename(root, "third", NULL);
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
    g_assert_nonnull(backend_find("fine", NULL));
    g_autoptr(GError) error = NULL;
    g_assert_null(backend_find("broken", &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "third/broken/engine.json:1:"));
    g_unsetenv("LLEM_ENGINES_PATH");
}

/* --- Commands ----------------------------------------------------------------------------------------------------------- */

static void write_program(const char *path)
{
    g_assert_true(g_file_set_contents(path, "#!/bin/sh\n", -1, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
}

static void test_command(void)
{
    put_engine("commands", "own", ", \"command\": [\"{dir}/run\", \"--at={dir}\", "
                                  "\"--with={engines}/python\"]");
    put_engine("commands", "snake", ", \"python\": {\"least\": \"3.9\", \"variable\": \"LLEM_TEST_PYTHON\"}, "
                                    "\"command\": [\"{python}\", \"{dir}/run\"]");
    put_engine("commands", "bare", "");
    g_autofree char *path = g_build_filename(root, "commands", NULL);
    g_autofree char *run = g_build_filename(path, "own", "run", NULL),
        *script = g_build_filename(path, "snake", "run", NULL);
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
    const struct backend *own = backend_find("own", NULL), *snake = backend_find("snake", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(backend_command(own, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_assert_nonnull(strstr(error->message, "is not there: ask, or name it in LLEM_ENGINE_OWN"));
    g_clear_error(&error);

    write_program(run);
    g_auto(GStrv) argv = backend_command(own, &error);
    g_autofree char *at = g_strdup_printf("--at=%s/own", path);
    g_assert_cmpstr(argv[0], ==, run);
    g_assert_cmpstr(argv[1], ==, at);
    g_autofree char *here = install_folder();
    g_autofree char *with = g_canonicalize_filename("../libexec/llem/engines/python", here);
    g_assert_cmpstr(argv[2] + strlen("--with="), ==, with);
    g_assert_cmpstr(backend_program(own, (const char *const *)argv), ==, run);

    write_program(script);
    g_setenv("LLEM_TEST_PYTHON", "/bin/sh", TRUE);
    g_auto(GStrv) python = backend_command(snake, &error);
    g_assert_cmpstr(python[0], ==, "/bin/sh");
    g_assert_cmpstr(backend_program(snake, (const char *const *)python), ==, script);
    g_setenv("LLEM_TEST_PYTHON", "/nonexistent/python", TRUE);
    g_assert_null(backend_command(snake, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_assert_nonnull(strstr(error->message, "LLEM_TEST_PYTHON"));
    g_clear_error(&error);

    g_assert_null(backend_command(backend_find("bare", NULL), &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_clear_error(&error);
    g_setenv("LLEM_ENGINE_BARE", run, TRUE);
    g_auto(GStrv) named = backend_command(backend_find("bare", NULL), &error);
    g_assert_cmpstr(named[0], ==, run);
    g_setenv("LLEM_ENGINE_BARE", "/nonexistent/adapter", TRUE);
    g_assert_null(backend_command(backend_find("bare", NULL), &error));
    g_assert_nonnull(strstr(error->message, "LLEM_ENGINE_BARE names '/nonexistent/adapter'"));
    g_unsetenv("LLEM_ENGINE_BARE");
    g_unsetenv("LLEM_ENGINES_PATH");
}

/* An interpreter is asked for its version and for the modules it lacks. */
static void test_python(void)
{
    static const struct {
        const char *name, *version, *said; /* version NULL: the interpreter fails; said NULL: it will do */
    } cases[] = {
        {"new", "3.12.1", NULL},
        {"exact", "3.10.0", NULL},
        {"old", "3.9.18", "is Python 3.9.18; 3.10 is the least. Name another in LLEM_TEST_PYTHON"},
        {"none", NULL, "is no Python that works: No such thing; name another in LLEM_TEST_PYTHON"},
        {"without", "3.11.2 toyengine", "has no toyengine; ask, or name another interpreter in LLEM_TEST_PYTHON"},
    };
    put_engine("pythons", "snake", ", \"python\": {\"least\": \"3.10\", \"variable\": \"LLEM_TEST_PYTHON\", "
                                   "\"import\": \"toyengine\"}");
    g_autofree char *path = g_build_filename(root, "pythons", NULL);
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
    const struct backend *b = backend_find("snake", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *python = g_build_filename(path, cases[i].name, NULL);
        g_autofree char *text = cases[i].version ? g_strdup_printf("#!/bin/sh\necho %s\n", cases[i].version)
                                                 : g_strdup("#!/bin/sh\necho No such thing >&2\nexit 1\n");
        g_assert_true(g_file_set_contents(python, text, -1, NULL));
        g_assert_cmpint(chmod(python, 0755), ==, 0);
        g_setenv("LLEM_TEST_PYTHON", python, TRUE);
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(backend_check_python(b, &error), ==, cases[i].said == NULL);
        if (cases[i].said)
            g_assert_nonnull(strstr(error->message, cases[i].said));
    }
    g_unsetenv("LLEM_TEST_PYTHON");
    g_unsetenv("LLEM_ENGINES_PATH");
}

/* Every member and word of the format stands on its page. */
static void test_page(void)
{
    g_autofree char *page = NULL;
    g_assert_true(g_file_get_contents(LLEM_SOURCE_DIR "/docs/engine-descriptor.md", &page, NULL, NULL));
    for (enum backend_type type = BACKEND_BOOL; type <= BACKEND_MAP; type++) {
        g_autofree char *word = g_strdup_printf("`%s`", backend_type_name(type));
        g_assert_nonnull(strstr(page, word));
    }
    for (enum backend_role role = 0; role < ROLE_COUNT; role++) {
        g_autofree char *word = g_strdup_printf("| `%s` |", backend_role_name(role));
        g_assert_nonnull(strstr(page, word));
    }
    for (const struct backend_shared_field *field = backend_shared; field->path; field++) {
        g_autofree char *word = g_strdup_printf("`%s`", field->path);
        g_assert_nonnull(strstr(page, word));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = g_dir_make_tmp("llem-backend-XXXXXX", NULL);
    g_autofree char *config = g_build_filename(root, "config", NULL);
    g_setenv("XDG_CONFIG_HOME", config, TRUE);
    g_test_add_func("/backend/ours", test_ours);
    g_test_add_func("/backend/none", test_none);
    g_test_add_func("/backend/head", test_head);
    g_test_add_func("/backend/image", test_image);
    g_test_add_func("/backend/bad-image", test_bad_image);
    g_test_add_func("/backend/options", test_options);
    g_test_add_func("/backend/rules", test_rules);
    g_test_add_func("/backend/lists", test_lists);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *path = g_strconcat("/backend/refused/", refused[i].name, NULL);
        g_test_add_data_func(path, &refused[i], test_refused);
    }
    g_test_add_func("/backend/any-json", test_any_json);
    g_test_add_func("/backend/suggests", test_suggests);
    g_test_add_func("/backend/all-at-once", test_all_at_once);
    g_test_add_func("/backend/bad-folders", test_bad_folders);
    g_test_add_func("/backend/search", test_search);
    g_test_add_func("/backend/reserved", test_reserved);
    g_test_add_func("/backend/reads-one", test_reads_one);
    g_test_add_func("/backend/command", test_command);
    g_test_add_func("/backend/python", test_python);
    g_test_add_func("/backend/page", test_page);
    int failed = g_test_run();
    g_assert_true(file_remove_tree(root, NULL));
    g_free(root);
    return failed;
}
