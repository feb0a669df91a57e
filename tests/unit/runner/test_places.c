/* SPDX-License-Identifier: MIT */
/* What a run takes into its container, and what its paths are called there. */
#include "runner/docker.h"
#include "runner/docker_links.h"

#include <string.h>
#include <unistd.h>

/* A machine of its own below a temporary folder: files, links, an engine, a home folder. */
struct machine {
    char *root;
    struct docker docker;
    struct docker_places *places;
    struct exchange x;
    GPtrArray *kept;
};

static const char *at(struct machine *m, const char *path)
{
    g_ptr_array_add(m->kept, g_build_filename(m->root, path, NULL));
    return g_ptr_array_index(m->kept, m->kept->len - 1);
}

static const char *put(struct machine *m, const char *path)
{
    const char *whole = at(m, path);
    g_autofree char *folder = g_path_get_dirname(whole);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_true(g_file_set_contents(whole, "x", 1, NULL));
    return whole;
}

static void put_link(struct machine *m, const char *path, const char *target)
{
    const char *whole = at(m, path);
    g_autofree char *folder = g_path_get_dirname(whole);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_cmpint(symlink(target, whole), ==, 0);
}

static void machine_open(struct machine *m)
{
    *m = (struct machine){.kept = g_ptr_array_new_with_free_func(g_free)};
    g_autofree char *dir = g_dir_make_tmp("llem-places-XXXXXX", NULL);
    m->root = g_canonicalize_filename(dir, NULL);
    m->docker.worker_path = g_strdup(put(m, "bin/llem-worker"));
    m->docker.container.engine = "toy";
    put(m, "engines/toy/adapter.py");
    m->docker.container.engine_folder = at(m, "engines/toy");
    m->x = (struct exchange){.config_hash = g_strdup("0123456789abcdef"), .config = json_object()};
    m->places = docker_places_new(&m->docker, m->x.config_hash);
}

static void machine_close(struct machine *m)
{
    docker_places_free(&m->places->shown);
    exchange_clear(&m->x);
    g_free(m->docker.worker_path);
    g_assert_true(file_remove_tree(m->root, NULL));
    g_free(m->root);
    g_ptr_array_unref(m->kept);
}

static void set_config(struct machine *m, json_t *config)
{
    json_decref(m->x.config);
    m->x.config = config;
}

static void fill(struct machine *m)
{
    g_autoptr(GError) error = NULL;
    docker_places_fill(m->places, &m->x, &error);
    g_assert_no_error(error);
}

/* The mount that a path inside lies in, and what that path is on this machine by it. New string; NULL: none. */
static char *host_of(const struct machine *m, const char *inside, bool *ret_writable)
{
    const struct container_mount *best = NULL;
    for (guint i = 0; i < m->places->mounts->len; i++) {
        const struct container_mount *mount = &g_array_index(m->places->mounts, struct container_mount, i);
        if (docker_is_below(inside, mount->inside) && (!best || strlen(mount->inside) > strlen(best->inside)))
            best = mount;
    }
    if (best && ret_writable)
        *ret_writable = best->writable;
    return best ? g_strconcat(best->host, inside + strlen(best->inside), NULL) : NULL;
}

/* A path of the exchange file as the worker sees it. New string. */
static char *mapped(const struct machine *m, const char *path)
{
    g_auto(owned_exchange) x = {.model_path = g_strdup(path)};
    g_autoptr(GError) error = NULL;
    exchange_map_paths(&x, &m->places->shown.map, &error);
    g_assert_no_error(error);
    return g_strdup(x.model_path);
}

/* What the worker opens under the mapped name is the same file, following links as they are inside. */
static void check_reaches(const struct machine *m, const char *path, const char *real)
{
    g_autofree char *inside = mapped(m, path);
    for (int hops = 0; hops < 10; hops++) {
        g_autofree char *host = host_of(m, inside, NULL);
        if (!host)
            g_error("%s is called %s, which is nowhere", path, inside);
        g_autofree char *text = g_file_read_link(host, NULL);
        if (!text) {
            g_assert_cmpstr(host, ==, real);
            return;
        }
        g_autofree char *folder = g_path_get_dirname(inside);
        g_free(inside);
        inside = g_canonicalize_filename(text, folder);
    }
    g_error("%s: links without end", path);
}

static void test_the_engine_and_the_worker(void)
{
    struct machine m;
    machine_open(&m);
    const char *const files[] = {put(&m, "lib/libx.so"), at(&m, "engines/toy"), NULL};
    m.docker.container.files = files;
    m.x.command = g_strsplit("python3 -u", " ", -1);
    m.x.command = g_realloc(m.x.command, 6 * sizeof(char *));
    m.x.command[2] = g_strdup(at(&m, "engines/toy/adapter.py"));
    m.x.command[3] = g_strdup("/opt/venv/bin/python");
    m.x.command[4] = g_strdup(put(&m, "elsewhere/tool"));
    m.x.command[5] = NULL;
    fill(&m);
    g_autoptr(GError) error = NULL;
    exchange_map_paths(&m.x, &m.places->shown.map, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(m.x.command[0], ==, "python3");
    g_assert_cmpstr(m.x.command[2], ==, "/opt/llem/engines/toy/adapter.py");
    g_assert_cmpstr(m.x.command[3], ==, "/opt/venv/bin/python"); /* the image's */
    g_assert_cmpstr(m.x.command[4], ==, "/opt/llem/files/1/tool");
    bool writable = true;
    g_autofree char *worker = host_of(&m, "/opt/llem/bin/llem-worker", &writable);
    g_assert_cmpstr(worker, ==, m.docker.worker_path);
    g_assert_false(writable);
    g_autofree char *library = host_of(&m, "/opt/llem/files/0/libx.so", &writable);
    g_assert_cmpstr(library, ==, files[0]);
    g_assert_false(writable);
    machine_close(&m);
}

/* Files of a hub's cache are links out of their folder; parts of a model stand beside each other. */
static void test_models_behind_links(void)
{
    struct machine m;
    machine_open(&m);
    const char *blob = put(&m, "hub/models--a/blobs/1"), *other = put(&m, "hub/models--a/blobs/2");
    put_link(&m, "hub/models--a/snapshots/rev/model.gguf", "../../blobs/1");
    put_link(&m, "hub/models--a/snapshots/rev/more/tokenizer.json", "../../../blobs/2");
    put_link(&m, "hub/models--a/snapshots/rev/gone", "../../blobs/3");
    const char *away = put(&m, "store/away");
    put_link(&m, "hub/models--a/snapshots/rev/away", away);
    m.x.model_path = g_strdup(at(&m, "hub/models--a/snapshots/rev"));
    fill(&m);
    check_reaches(&m, at(&m, "hub/models--a/snapshots/rev/model.gguf"), blob);
    check_reaches(&m, at(&m, "hub/models--a/snapshots/rev/more/tokenizer.json"), other);
    check_reaches(&m, at(&m, "hub/models--a/snapshots/rev/away"), away);
    machine_close(&m);
}

static void test_one_file_and_parts(void)
{
    struct machine m;
    machine_open(&m);
    const char *whole = put(&m, "models/m.gguf"), *second = put(&m, "parts/p-00002-of-00002.gguf");
    const char *first = put(&m, "parts/p-00001-of-00002.gguf"), *target = put(&m, "far/t.gguf");
    put(&m, "models/secret");
    put_link(&m, "models/link.gguf", target);
    set_config(&m, json_pack("{s:s, s:{s:s}, s:{s:s, s:[s]}}", "model", whole, "llm", "draft", first, "more", "mode",
                             "/no_think", "lora", at(&m, "models/link.gguf")));
    m.x.files = g_strsplit("model llm.draft more", " ", -1);
    m.x.model_path = g_strdup(whole);
    fill(&m);
    check_reaches(&m, whole, whole);
    check_reaches(&m, first, first);
    check_reaches(&m, second, second);
    check_reaches(&m, at(&m, "models/link.gguf"), target);
    g_auto(owned_exchange) x = {.model_path = g_strdup(at(&m, "models/secret"))};
    g_assert_false(exchange_map_paths(&x, &m.places->shown.map, NULL)); /* beside what was named, and not named */
    machine_close(&m);
}

/* What is not there is named; links that would need half of the machine are refused. */
static void test_what_cannot_be_taken(void)
{
    struct machine m;
    g_autoptr(GError) error = NULL;
    machine_open(&m);
    m.x.model_path = g_strdup(at(&m, "models/none.gguf"));
    g_assert_false(docker_places_fill(m.places, &m.x, &error));
    g_assert_nonnull(strstr(error->message, "models/none.gguf"));
    g_clear_error(&error);
    machine_close(&m);
    machine_open(&m);
    put(&m, "models/real/a");
    put_link(&m, "models/real/tmp", "../../../../../../../../../../../../tmp");
    m.x.model_path = g_strdup(at(&m, "models/real"));
    g_assert_false(docker_places_fill(m.places, &m.x, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED);
    machine_close(&m);
}

static void test_users_mounts(void)
{
    static const char *const bad[] = {"data:/data",    "./data:/data", "/tmp:data", "/tmp:/data:rx",
                                      "/tmp:/a:rw:z", "",             "~/x"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct machine m;
        g_autoptr(GError) error = NULL;
        machine_open(&m);
        const char *const mounts[] = {bad[i], NULL};
        m.docker.container.mounts = mounts;
        g_assert_false(docker_places_fill(m.places, &m.x, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
        machine_close(&m);
    }
    struct machine m;
    bool writable = false;
    machine_open(&m);
    const char *model = put(&m, "data/m.gguf"), *far = put(&m, "far/m.gguf");
    put_link(&m, "data/link.gguf", far);
    g_autofree char *mount = g_strconcat(at(&m, "data"), ":/data:rw", NULL);
    const char *const mounts[] = {mount, NULL};
    m.docker.container.mounts = mounts;
    m.x.model_path = g_strdup(model);
    set_config(&m, json_pack("{s:s}", "draft", at(&m, "data/link.gguf")));
    m.x.files = g_strsplit("draft", " ", -1);
    fill(&m);
    g_autofree char *inside = mapped(&m, model), *host = host_of(&m, "/data/x", &writable);
    g_assert_cmpstr(inside, ==, "/data/m.gguf");
    g_assert_true(writable);
    check_reaches(&m, at(&m, "data/link.gguf"), far); /* the user's mount alone would not reach it */
    machine_close(&m);
}

static bool has(GPtrArray *list, const char *text)
{
    return g_ptr_array_find_with_equal_func(list, text, g_str_equal, NULL);
}

static void test_caches(void)
{
    struct machine m;
    bool writable = false;
    machine_open(&m);
    put(&m, "warm/file");
    put(&m, "hf/hub/file");
    g_autofree char *usual = g_build_filename(g_get_home_dir(), ".cache/huggingface", NULL);
    const char *const caches[] = {at(&m, "warm"), at(&m, "cold"), usual, NULL};
    m.docker.container.caches = caches;
    g_setenv("HF_HOME", at(&m, "hf"), TRUE);
    fill(&m);
    g_unsetenv("HF_HOME");
    g_assert_cmpstr(json_string_value(json_object_get(m.x.caches, caches[0])), ==, "warm");
    g_assert_cmpstr(json_string_value(json_object_get(m.x.caches, caches[1])), ==, "cold");
    g_assert_cmpstr(json_string_value(json_object_get(m.x.caches, "/llem/home/.cache/huggingface")), ==, "warm");
    g_assert_true(g_file_test(caches[1], G_FILE_TEST_IS_DIR));
    g_autofree char *host = host_of(&m, "/llem/home/.cache/huggingface/hub", &writable);
    g_assert_cmpstr(host, ==, at(&m, "hf/hub"));
    g_assert_true(writable);
    g_assert_true(has(m.places->env, "HF_HOME=/llem/home/.cache/huggingface"));
    g_assert_true(has(m.places->home, ".cache/llem"));
    machine_close(&m);
}

/* Secrets are in no argument; what the image says of boards is not believed. */
static void test_environment(void)
{
    struct machine m;
    g_auto(GStrv) env = NULL, secrets = NULL;
    machine_open(&m);
    const char *const environment[] = {"A=1", "FROM_HERE", "NOT_SET", "MINE=2", NULL}, *const mine[] = {"MINE", NULL};
    const char *const record[] = {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", NULL};
    m.docker.container.environment = environment;
    m.docker.container.secrets = mine;
    m.docker.container.record_env = record;
    g_setenv("FROM_HERE", "here", TRUE);
    g_setenv("HF_TOKEN", "hf_secret", TRUE);
    g_setenv("OMP_NUM_THREADS", "3", TRUE);
    g_setenv("CUDA_VISIBLE_DEVICES", "1", TRUE);
    docker_environment(&m.docker, m.places, "0123456789abcdef", true, &env, &secrets);
    const char *const *shown = (const char *const *)env, *const *hidden = (const char *const *)secrets;
    g_assert_true(g_strv_contains(shown, "LLEM_CONFIG_PATH=/run/llem/0123456789abcdef_config.json"));
    g_assert_true(g_strv_contains(shown, "LLEM_OWNER_LOCK=/run/llem/owner.lock"));
    g_assert_true(g_strv_contains(shown, "HOME=/llem/home"));
    g_assert_true(g_strv_contains(shown, "NVIDIA_VISIBLE_DEVICES=void"));
    g_assert_true(g_strv_contains(shown, "A=1"));
    g_assert_true(g_strv_contains(hidden, "HF_TOKEN=hf_secret"));
    g_assert_true(g_strv_contains(hidden, "MINE=2"));
    g_assert_true(g_strv_contains(hidden, "FROM_HERE=here"));
    g_assert_true(g_strv_contains(hidden, "OMP_NUM_THREADS=3"));
    g_autofree char *all = g_strjoinv("\n", env), *rest = g_strjoinv("\n", secrets);
    g_assert_null(strstr(all, "hf_secret"));
    g_assert_null(strstr(rest, "CUDA_VISIBLE_DEVICES"));
    g_assert_null(strstr(rest, "NOT_SET"));
    m.x.record_env = g_strsplit("OMP_NUM_THREADS HF_TOKEN LAST", " ", -1);
    fill(&m);
    g_autofree char *recorded = g_strjoinv(" ", m.x.record_env);
    g_assert_cmpstr(recorded, ==, "OMP_NUM_THREADS LAST");
    machine_close(&m);
}

static void test_secrets_are_lines(void)
{
    g_autoptr(GError) error = NULL;
    char text[64] = "", *two[] = {(char[]){"A=1"}, (char[]){"B=2"}, NULL}, *torn[] = {(char[]){"KEY=a\nb"}, NULL};
    int fd = docker_secrets_open(two, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(fd, text, sizeof text - 1), ==, 8);
    g_assert_cmpstr(text, ==, "A=1\nB=2\n");
    close(fd);
    g_assert_cmpint(docker_secrets_open(torn, &error), ==, -1);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "KEY"));
    g_assert_null(strstr(error->message, "a\nb"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/places/engine-and-worker", test_the_engine_and_the_worker);
    g_test_add_func("/places/models-behind-links", test_models_behind_links);
    g_test_add_func("/places/one-file-and-parts", test_one_file_and_parts);
    g_test_add_func("/places/what-cannot-be-taken", test_what_cannot_be_taken);
    g_test_add_func("/places/users-mounts", test_users_mounts);
    g_test_add_func("/places/caches", test_caches);
    g_test_add_func("/places/environment", test_environment);
    g_test_add_func("/places/secrets-are-lines", test_secrets_are_lines);
    return g_test_run();
}
