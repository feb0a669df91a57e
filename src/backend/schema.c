/* SPDX-License-Identifier: MIT */
/* What an installed engine said that it takes, in a file of its own for as long as the engine is the same: a file with
 * the sum of what is in it, read strictly or not at all. */
#include "backend/internal.h"

#include <string.h>
#include <sys/stat.h>

#define FORMAT 1
#define ADAPTER_DEPTH 3 /* of folders within that of an adapter */

/* --- Which engine it is ------------------------------------------------------------------------------------------- */

/* A file by what it is now. */
static void add_file(GString *key, const char *path)
{
    struct stat st = {0};
    if (stat(path, &st) != 0)
        return;
    g_string_append_printf(key, "%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                           ".%09ld\n", path, (guint64)st.st_dev, (guint64)st.st_ino, (gint64)st.st_size,
                           (gint64)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static void add_regular(GString *key, const char *path)
{
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        add_file(key, path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What lies in a folder, sorted. */
static GPtrArray *list_folder(const char *folder)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && paths->len < LIMIT_BACKEND_ROWS && (name = g_dir_read_name(dir));)
        g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
    g_ptr_array_sort(paths, by_name);
    return paths;
}

/* The files of a folder, and of the folders in it down to a depth; what an interpreter keeps there of its own changes
 * with every start. */
static void add_folder(GString *key, const char *folder, int depth)
{
    g_autoptr(GPtrArray) paths = list_folder(folder);
    for (unsigned i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];
        add_regular(key, path);
        if (depth > 0 && g_file_test(path, G_FILE_TEST_IS_DIR) && !g_str_has_suffix(path, "/__pycache__"))
            add_folder(key, path, depth - 1);
    }
}

/* An adapter may be several files, and the modules that it imports lie in folders beside it. */
static void add_adapter(GString *key, const struct backend *backend)
{
    add_folder(key, backend_folder(backend), ADAPTER_DEPTH);
    for (const char *const *file = backend_files(backend); *file; file++) {
        add_regular(key, *file);
        add_folder(key, *file, ADAPTER_DEPTH);
    }
}

/* What lies where modules are looked for: names, and of files and of what an installer writes beside each package how
 * they are now. The time of a folder that is imported from changes with what an interpreter keeps in it. */
static void add_place(GString *key, const char *folder)
{
    g_autoptr(GPtrArray) paths = list_folder(folder);
    add_regular(key, folder);
    for (unsigned i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];
        bool of_installer = g_str_has_suffix(path, ".dist-info") || g_str_has_suffix(path, ".egg-info");
        if (g_str_has_suffix(path, "/__pycache__"))
            continue;
        if (of_installer || g_file_test(path, G_FILE_TEST_IS_REGULAR))
            add_file(key, path);
        else
            g_string_append_printf(key, "%s\n", path);
    }
}

/* Where the interpreter looks for modules, and the folders of those that the engine is. */
static void add_packages(GString *key, const struct backend *backend, const char *python)
{
    const char *said = python_places(backend, python);
    g_auto(GStrv) places = g_strsplit(said ? said : "", "\n", -1);
    for (char **place = places; *place; place++)
        if (**place)
            add_place(key, *place);
}

/* What runs on this machine: the program, and the interpreter with its packages where there is one. */
static void add_here(GString *key, const struct backend *backend, const char *const *argv)
{
    const char *override = g_getenv(backend_variable(backend));
    g_autofree char *python = backend_python(backend) && !(override && *override) ? backend_find_python(backend, NULL)
                                                                                  : NULL;
    for (const char *const *word = argv; *word; word++)
        g_string_append_printf(key, "%s\n", *word);
    add_file(key, argv[0]);
    if (!python)
        return;
    add_file(key, python);
    add_packages(key, backend, python);
}

char *backend_schema_path(const struct backend *backend, const struct backend_place *place)
{
    const char *python = place && place->python ? place->python : "python3";
    g_auto(GStrv) argv = place ? backend_command_elsewhere(backend, python, NULL) : backend_command(backend, NULL);
    const char *const *words = (const char *const *)argv;
    g_autofree char *program = words ? file_sha256_cached(backend_program(backend, words), NULL) : NULL;
    if (!program)
        return NULL;
    g_autoptr(GString) key = g_string_new(NULL);
    g_string_append_printf(key, "%s\n%s\n", backend_digest(backend), program);
    add_adapter(key, backend);
    if (place)
        g_string_append_printf(key, "%s\n%s\n", place->image_id, python);
    else
        add_here(key, backend, words);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key->str, -1);
    g_autofree char *name = g_strconcat(sum, ".json", NULL);
    return g_build_filename(g_get_user_cache_dir(), "llem", "schemas", name, NULL);
}

/* --- Writing ------------------------------------------------------------------------------------------------------- */

bool backend_schema_save(const char *path, const struct backend *backend, const char *version, const char *image,
                         const json_t *fields, GError **error)
{
    if (json_array_size(fields) > LIMIT_BACKEND_ROWS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s says that it takes %zu parameters; %d are the most",
                    backend_name(backend), json_array_size(fields), LIMIT_BACKEND_ROWS);
        return false;
    }
    g_autoptr(json_t) tree = json_object();
    json_object_set_new(tree, "format", json_integer(FORMAT));
    json_object_set_new(tree, "backend", json_string(backend_name(backend)));
    json_object_set_new(tree, "version", version ? json_string(version) : json_null());
    json_object_set_new(tree, "image", image ? json_string(image) : json_null());
    json_object_set_new(tree, "fields", json_deep_copy(fields));
    g_autofree char *sum = jsonx_sha256(tree);
    json_object_set_new(tree, "sum", json_string(sum));
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    if (strlen(text) > LIMIT_SCHEMA_BYTES) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "what %s says that it takes is longer than %d bytes",
                    backend_name(backend), LIMIT_SCHEMA_BYTES);
        return false;
    }
    g_autofree char *folder = g_path_get_dirname(path);
    return file_make_dirs(folder, error) && file_write_durable(path, text, strlen(text), error);
}

/* --- Reading ------------------------------------------------------------------------------------------------------- */

static bool bad(const char *name, const char *why, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: %s", name, why);
    return false;
}

/* True if it is as it was written: the sum of all its other members. */
static bool is_whole(const char *name, const json_t *tree, GError **error)
{
    const char *stated;
    if (!json_is_object(tree))
        return bad(name, "it is no object", error);
    if (!jsonx_get_string(tree, "sum", true, &stated, error))
        return false;
    g_autoptr(json_t) rest = json_copy((json_t *)(uintptr_t)tree);
    json_object_del(rest, "sum");
    g_autofree char *sum = jsonx_sha256(rest);
    return !g_strcmp0(sum, stated) || bad(name, "it was changed: its sum is another", error);
}

static bool has_only(const char *name, const json_t *tree, GError **error)
{
    static const char *const members[] = {"format", "backend", "version", "image", "fields", "sum", NULL};
    const char *key;
    const json_t *value;
    jsonx_foreach(tree, key, value)
        if (!g_strv_contains(members, key))
            return bad(name, "it has a member that this version does not know", error);
    return true;
}

static bool take(const char *name, struct backend_schema *s, GError **error)
{
    int64_t format = 0;
    json_t *fields = NULL;
    if (!is_whole(name, s->tree, error) || !has_only(name, s->tree, error) ||
        !jsonx_get_int(s->tree, "format", true, &format, error))
        return false;
    if (format != FORMAT)
        return bad(name, "it is of another version of llem", error);
    if (!jsonx_get_string(s->tree, "backend", true, &s->backend, error) ||
        !jsonx_get_string(s->tree, "version", false, &s->version, error) ||
        !jsonx_get_string(s->tree, "image", false, &s->image, error) ||
        !jsonx_get_array(s->tree, "fields", true, &fields, error))
        return false;
    if (json_array_size(fields) > LIMIT_BACKEND_ROWS)
        return bad(name, "it has more parameters than an engine may have", error);
    s->fields = fields;
    s->rows = backend_reported_read(fields, &s->n, error);
    return s->rows != NULL;
}

struct backend_schema *backend_schema_parse(const char *name, const char *text, size_t length, GError **error)
{
    if (length > LIMIT_SCHEMA_BYTES) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s: longer than %d bytes", name, LIMIT_SCHEMA_BYTES);
        return NULL;
    }
    json_t *tree = jsonx_parse(text, (gssize)length, name, error);
    if (!tree)
        return NULL;
    struct backend_schema *schema = g_new0(struct backend_schema, 1);
    schema->tree = tree;
    if (take(name, schema, error))
        return schema;
    backend_schema_free(schema);
    return NULL;
}

struct backend_schema *backend_schema_load(const char *path, GError **error)
{
    size_t length;
    g_autofree char *text = file_read(path, LIMIT_SCHEMA_BYTES, &length, error);
    return text ? backend_schema_parse(path, text, length, error) : NULL;
}

void backend_schema_free(struct backend_schema *schema)
{
    if (!schema)
        return;
    json_decref(schema->tree);
    g_free(schema->rows);
    g_free(schema);
}
