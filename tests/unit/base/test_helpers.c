/* SPDX-License-Identifier: MIT */
/* What the rooms share: random numbers of a seed, remembered digests, JSON Schemas, structs as JSON. */
#include "base/base.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

/* The first outputs of SplitMix64 for the seed 1234567, as its authors' reference code gives them. */
static void test_random_reference(void)
{
    static const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                        UINT64_C(16408922859458223821)};
    uint64_t state = 1234567;
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpuint(random_next(&state), ==, expected[i]);
}

static void test_random_ranges(void)
{
    uint64_t state = 42;
    size_t counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        counts[random_below(&state, G_N_ELEMENTS(counts))]++;
        double u = random_uniform(&state);
        g_assert_true(u >= 0 && u < 1);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) { /* 10,000 expected, five sigma is 463 */
        g_assert_cmpuint(counts[i], >, 9500);
        g_assert_cmpuint(counts[i], <, 10500);
    }
}

/* Each of the 24 orders of 4 elements comes about equally often, and elements stay whole. */
static void test_shuffle(void)
{
    struct pair {
        int a, twice;
    };
    size_t seen[256] = {0};
    uint64_t state = 7;
    for (int round = 0; round < 24000; round++) {
        struct pair list[4] = {{0, 0}, {1, 2}, {2, 4}, {3, 6}};
        random_shuffle(list, 4, sizeof *list, &state);
        unsigned code = 0;
        for (int i = 0; i < 4; i++) {
            g_assert_cmpint(list[i].twice, ==, 2 * list[i].a);
            code = code * 4 + (unsigned)list[i].a;
        }
        seen[code]++;
    }
    size_t orders = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(seen); i++) {
        orders += seen[i] > 0;
        g_assert_true(seen[i] == 0 || (seen[i] > 840 && seen[i] < 1160));
    }
    g_assert_cmpuint(orders, ==, 24);
    random_shuffle(NULL, 0, 8, &state); /* nothing to do */
}

static void write_large(const char *path, char fill, size_t length)
{
    g_autofree char *data = g_malloc(length);
    memset(data, fill, length);
    g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
}

/* The digest is that of the content, whatever the cache holds: a file that is replaced is read again. */
static void test_digest_follows_the_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-digest-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "weights", NULL);
    g_assert_true(g_setenv("XDG_CACHE_HOME", dir, TRUE));
    for (char fill = 'a'; fill < 'd'; fill++) {
        write_large(path, fill, 17 << 20);
        for (int again = 0; again < 2; again++) {
            g_autofree char *cached = file_sha256_cached(path, NULL), *plain = file_sha256(path, NULL);
            g_assert_cmpstr(cached, ==, plain);
        }
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *missing = g_build_filename(dir, "none", NULL);
    g_assert_null(file_sha256_cached(missing, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    g_assert_nonnull(strstr(error->message, missing));
    g_assert_true(file_remove_tree(dir, NULL));
}

/* A file that is older than its file system's clock ticks is read once: the note of its state answers afterwards. */
static void test_digest_is_remembered(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-digest-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "weights", NULL),
        *notes = g_build_filename(dir, "llem", "digests", NULL);
    write_large(path, 'x', 17 << 20);
    sleep(3);
    g_autofree char *digest = file_sha256_cached(path, NULL);
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);
    g_autofree char *cache = g_build_filename(g_get_user_cache_dir(), "llem", "digests", key, NULL);
    g_autofree char *text = file_read(cache, 4096, NULL, NULL);
    g_assert_nonnull(text);
    g_assert_nonnull(strstr(text, digest));
    g_autofree char *lie = g_strdup(text), *zeros = g_strnfill(64, '0');
    memcpy(strstr(lie, digest), zeros, 64);
    g_assert_true(g_file_set_contents(cache, lie, -1, NULL));
    g_autofree char *noted = file_sha256_cached(path, NULL);
    g_assert_cmpstr(noted, ==, zeros); /* the file was not read again */
    write_large(path, 'y', 17 << 20);
    g_autofree char *fresh = file_sha256_cached(path, NULL), *plain = file_sha256(path, NULL);
    g_assert_cmpstr(fresh, ==, plain);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* A lock counts whoever holds it, and ends with its descriptor. */
static void test_locked_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-lock-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL), *link = g_build_filename(dir, "link", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(symlink(path, link), ==, 0);
    g_assert_false(file_is_locked(path, NULL));
    g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
    g_assert_true(file_is_locked(path, NULL));
    g_assert_false(file_is_locked(link, NULL));
    close(fd);
    g_assert_false(file_is_locked(path, NULL));
    g_assert_true(file_remove_tree(dir, NULL));
    g_assert_false(file_is_locked(path, NULL));
}

static void test_schema(void)
{
    g_autoptr(json_t) root = schema_document("a title");
    schema_add(root, "n", schema_typed("integer", true), true);
    schema_add(schema_below(root, "inner", false), "list", schema_list_of(schema_reference("x"), 1, 2), false);
    g_assert_true(schema_below(root, "inner", true) == json_object_get(json_object_get(root, "properties"), "inner"));
    schema_below(root, "inner", false); /* stays required */
    g_autofree char *text = jsonx_dump(root, JSONX_COMPACT);
    g_assert_cmpstr(text, ==,
                    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"a title\",\"type\":"
                    "\"object\",\"properties\":{\"n\":{\"type\":[\"integer\",\"null\"]},\"inner\":{\"type\":\"object\","
                    "\"properties\":{\"list\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/x\"},\"minItems\":1,"
                    "\"maxItems\":2}},\"additionalProperties\":false}},\"additionalProperties\":false,\"required\":"
                    "[\"n\",\"inner\"]}");
}

struct thing {
    int64_t count;
    double share, unknown;
    bool ready;
    const char *name, *remark;
};
static const struct member_row thing_rows[] = {
    MEMBER(struct thing, count, "count", MEMBER_REQUIRED),
    MEMBER(struct thing, share, "share", MEMBER_REQUIRED),
    MEMBER_OR(struct thing, unknown, "unknown", "nobody looked"),
    MEMBER(struct thing, ready, "ready", MEMBER_REQUIRED),
    MEMBER(struct thing, name, "name", MEMBER_REQUIRED),
    MEMBER(struct thing, remark, "remark", MEMBER_OPTIONAL),
};

/* What is written is read back; what is missing or of another type is named. */
static void test_members(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{\"count\":1,\"share\":0.5,\"ready\":true,\"name\":\"a\"}", NULL},
        {"{\"count\":1,\"ready\":true,\"name\":\"a\"}", "share"},
        {"{\"count\":\"1\",\"share\":0.5,\"ready\":true,\"name\":\"a\"}", "count"},
        {"{\"count\":1,\"share\":0.5,\"ready\":true,\"name\":\"a\",\"remark\":7}", "remark"},
    };
    const struct thing written = {.count = INT64_C(1) << 60, .share = 0.1, .unknown = NAN, .ready = true, .name = "x"};
    struct thing back = {.unknown = 3};
    g_autoptr(json_t) tree = json_object();
    members_write(tree, &written, thing_rows, G_N_ELEMENTS(thing_rows));
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    g_assert_cmpstr(text, ==, "{\"count\":1152921504606846976,\"share\":0.1,\"unknown\":null,\"unknown_reason\":\"nobody looked\","
                              "\"ready\":true,\"name\":\"x\",\"remark\":null}");
    g_assert_true(members_read(tree, &back, thing_rows, G_N_ELEMENTS(thing_rows), NULL));
    g_assert_true(back.count == written.count && back.share == written.share && back.ready && !strcmp(back.name, "x"));
    g_assert_true(back.unknown == 3 && !back.remark); /* null leaves it as it was */
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) read = jsonx_parse(cases[i].text, -1, "case", NULL);
        g_assert_true(members_read(read, &back, thing_rows, G_N_ELEMENTS(thing_rows), &error) == !cases[i].error);
        if (cases[i].error)
            g_assert_nonnull(strstr(error->message, cases[i].error));
    }
}

static void test_install(void)
{
    static const char *const there[] = {"nowhere", "../tests/test_base_helpers", NULL},
        *const none[] = {"nowhere", NULL};
    g_autofree char *found = install_find(there, G_FILE_TEST_IS_EXECUTABLE), *self = install_folder();
    g_autofree char *expected = g_build_filename(self, "test_base_helpers", NULL);
    g_assert_cmpstr(found, ==, expected);
    g_assert_null(install_find(none, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/random/reference", test_random_reference);
    g_test_add_func("/random/ranges", test_random_ranges);
    g_test_add_func("/random/shuffle", test_shuffle);
    g_test_add_func("/digest/follows_the_file", test_digest_follows_the_file);
    g_test_add_func("/digest/is_remembered", test_digest_is_remembered);
    g_test_add_func("/file/locked", test_locked_file);
    g_test_add_func("/schema", test_schema);
    g_test_add_func("/members", test_members);
    g_test_add_func("/install", test_install);
    return g_test_run();
}
