/* SPDX-License-Identifier: MIT */
/* An engine is started here and asked for its options. That takes seconds where it imports a framework, so that a good
 * end is remembered: by the interpreter and its packages, by the adapter and by its descriptor. A bad end is asked for
 * again each time, for somebody will be mending it. */
#include "dispatch/internal.h"

#include "engine/engine.h"

#include <string.h>
#include <sys/stat.h>

#define REMEMBERED_NS (24 * 3600 * NS_PER_S)

/* A file by what it is now. */
static void add_file(GString *key, const char *path)
{
    struct stat st = {0};
    if (stat(path, &st) != 0)
        return;
    g_string_append_printf(key, "%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                           "\n", path, (guint64)st.st_dev, (guint64)st.st_ino, (gint64)st.st_size,
                           (gint64)st.st_ctim.tv_sec);
}

/* Installing something changes the folder of an environment's packages: site-packages beside the interpreter. */
static void add_packages(GString *key, const char *python)
{
    g_autofree char *bin = g_path_get_dirname(python);
    g_autofree char *lib = g_build_filename(bin, "..", "lib", NULL);
    g_autoptr(GDir) dir = g_dir_open(lib, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        static const char *const folders[] = {"site-packages", "dist-packages"};
        for (size_t i = 0; g_str_has_prefix(name, "python") && i < G_N_ELEMENTS(folders); i++) {
            g_autofree char *packages = g_build_filename(lib, name, folders[i], NULL);
            add_file(key, packages);
        }
    }
}

/* The file that says of this engine, as it is, that it started. New string; NULL: it cannot be told. */
static char *note_path(const struct backend *backend, const char *const *argv)
{
    g_autoptr(GString) key = g_string_new(NULL);
    g_autofree char *program = file_sha256_cached(backend_program(backend, argv), NULL);
    const char *override = g_getenv(backend_variable(backend));
    g_autofree char *python = backend_python(backend) && !(override && *override) ? backend_find_python(backend, NULL)
                                                                                  : NULL;
    if (!program)
        return NULL;
    g_string_append_printf(key, "%s\n%s\n", backend_digest(backend), program);
    for (const char *const *word = argv; *word; word++)
        g_string_append_printf(key, "%s\n", *word);
    add_file(key, argv[0]);
    if (python) {
        add_file(key, python);
        add_packages(key, python);
    }
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key->str, -1);
    return g_build_filename(g_get_user_cache_dir(), "llem", "starts", sum, NULL);
}

static bool is_noted(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return false;
    int64_t age_ns = clock_wall_ns() - ((int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
    return age_ns >= 0 && age_ns < REMEMBERED_NS;
}

/* Best effort: without a cache folder it is started again the next time. */
static void note(const struct backend *backend, const char *path)
{
    g_autofree char *folder = path ? g_path_get_dirname(path) : NULL;
    g_autofree char *text = g_strdup_printf("%s\n", backend_name(backend));
    if (folder && file_make_dirs(folder, NULL))
        file_write_durable(path, text, strlen(text), NULL);
}

static bool start(const struct backend *backend, const char *const *argv, int64_t limit_ns, GError **error)
{
    const struct engine_options options = {.argv = argv, .env = backend_env(backend), .interrupt_fd = -1};
    struct engine *engine = engine_start(&options, error);
    struct engine_identity identity = {0};
    struct engine_schema schema = {0};
    int64_t until_ns = clock_mono_ns() + limit_ns;
    bool ok = engine && engine_hello(engine, until_ns, &identity, error) &&
              engine_schema(engine, until_ns, &schema, error);
    engine_schema_clear(&schema);
    engine_identity_clear(&identity);
    engine_free(engine);
    return ok;
}

bool start_check(const struct backend *backend, int64_t limit_ns, GError **error)
{
    g_auto(GStrv) argv = backend_command(backend, error);
    if (!argv)
        return false;
    g_autofree char *path = note_path(backend, (const char *const *)argv);
    if (is_noted(path))
        return true;
    if (!backend_check_python(backend, error) || !start(backend, (const char *const *)argv, limit_ns, error))
        return false;
    note(backend, path);
    return true;
}
