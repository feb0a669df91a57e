/* SPDX-License-Identifier: MIT */
/* Where engines are, which of the same name counts, and the descriptors that were read. */
#include "backend/internal.h"

#include <string.h>

#define DESCRIPTOR "engine.json"

char **backend_search_path(void)
{
    g_autoptr(GPtrArray) folders = g_ptr_array_new();
    g_auto(GStrv) named = g_strsplit(g_getenv("LLEM_ENGINES_PATH") ? g_getenv("LLEM_ENGINES_PATH") : "", ":", -1);
    for (char **folder = named; *folder; folder++)
        if (**folder)
            g_ptr_array_add(folders, g_canonicalize_filename(*folder, NULL));
    g_ptr_array_add(folders, g_build_filename(g_get_user_config_dir(), "llem", "engines", NULL));
    char *installed = backend_installed_folder();
    if (installed)
        g_ptr_array_add(folders, installed);
    g_ptr_array_add(folders, NULL);
    return (char **)g_ptr_array_steal(folders, NULL);
}

/* --- Which there are ------------------------------------------------------------------------------------------------ */

static void found_free(void *data)
{
    struct backend_found *found = data;
    g_free(found->name);
    g_free(found->folder);
    g_strfreev(found->hides);
    g_free(found);
}

static struct backend_found *found_of(const GPtrArray *all, const char *name)
{
    for (unsigned i = 0; i < all->len; i++) {
        struct backend_found *found = all->pdata[i];
        if (!strcmp(found->name, name))
            return found;
    }
    return NULL;
}

static void hide(struct backend_found *found, const char *folder)
{
    size_t n = g_strv_length(found->hides);
    found->hides = g_renew(char *, found->hides, n + 2);
    found->hides[n] = g_strdup(folder);
    found->hides[n + 1] = NULL;
}

static bool has_descriptor(const char *folder)
{
    g_autofree char *file = g_build_filename(folder, DESCRIPTOR, NULL);
    return g_file_test(file, G_FILE_TEST_EXISTS);
}

static void add_engine(GPtrArray *all, const char *parent, const char *name)
{
    g_autofree char *folder = g_build_filename(parent, name, NULL);
    if (!read_is_name(name, false) || !has_descriptor(folder))
        return;
    struct backend_found *found = found_of(all, name);
    if (found && strcmp(found->folder, folder) && !g_strv_contains((const char *const *)found->hides, folder)) {
        hide(found, folder);
    } else if (!found) {
        found = g_new0(struct backend_found, 1);
        found->name = g_strdup(name);
        found->folder = g_steal_pointer(&folder);
        found->hides = g_new0(char *, 1);
        g_ptr_array_add(all, found);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct backend_found *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

GPtrArray *backend_search(void)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(found_free);
    g_auto(GStrv) folders = backend_search_path();
    for (char **folder = folders; *folder; folder++) {
        GDir *dir = g_dir_open(*folder, 0, NULL);
        const char *name;
        while (dir && all->len < LIMIT_BACKEND_ROWS && (name = g_dir_read_name(dir)))
            add_engine(all, *folder, name);
        if (dir)
            g_dir_close(dir);
    }
    g_ptr_array_sort(all, by_name);
    return all;
}

char **backend_names(void)
{
    g_autoptr(GPtrArray) all = backend_search();
    char **names = g_new0(char *, all->len + 1);
    for (unsigned i = 0, n = 0; i < all->len; i++) {
        const struct backend_found *found = all->pdata[i];
        if (!backend_name_is_reserved(found->name))
            names[n++] = g_strdup(found->name);
    }
    return names;
}

/* The descriptor that counts for a name, or NULL. New string. */
static char *find_file(const char *name)
{
    g_auto(GStrv) folders = read_is_name(name, false) ? backend_search_path() : NULL;
    for (char **folder = folders; folder && *folder; folder++) {
        g_autofree char *file = g_build_filename(*folder, name, DESCRIPTOR, NULL);
        if (g_file_test(file, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&file);
    }
    return NULL;
}

bool backend_exists(const char *name)
{
    g_autofree char *file = backend_name_is_reserved(name) ? NULL : find_file(name);
    return file != NULL;
}

/* --- Reading, once ---------------------------------------------------------------------------------------------------- */

static bool unknown(const char *name, GError **error)
{
    g_auto(GStrv) names = backend_names();
    struct suggest near = {.word = name};
    for (char **known = names; *known; known++)
        suggest_offer(&near, *known);
    g_autofree char *list = g_strjoinv(", ", names);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "no backend is called '%s'%s%s%s; there are %s", name,
                near.best ? "; did you mean '" : "", near.best ? near.best : "", near.best ? "'?" : "",
                *list ? list : "none here");
    return false;
}

static struct backend *load(const char *file, GError **error)
{
    g_autoptr(owned_diag) diag = diag_new();
    struct backend *backend = backend_load(file, diag);
    if (!backend)
        diag_fail(diag, error);
    return backend;
}

/* What was read, by name and by what the search depends on: a plan asks for every cell, and looks at no folder
 * again. */
static GMutex lock;
static GHashTable *loaded;

static struct backend *recall(const char *key)
{
    g_mutex_lock(&lock);
    struct backend *backend = loaded ? g_hash_table_lookup(loaded, key) : NULL;
    g_mutex_unlock(&lock);
    return backend;
}

/* Keeps it; another thread may have been quicker, and then its copy is the one. */
static const struct backend *keep(char *key, struct backend *backend)
{
    g_mutex_lock(&lock);
    if (!loaded)
        loaded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct backend *first = g_hash_table_lookup(loaded, key);
    if (first)
        g_free(key);
    else
        g_hash_table_insert(loaded, key, backend);
    g_mutex_unlock(&lock);
    if (first)
        backend_free(backend);
    return first ? first : backend;
}

const struct backend *backend_find(const char *name, GError **error)
{
    const char *named = g_getenv("LLEM_ENGINES_PATH");
    g_autofree char *key = g_strdup_printf("%s\n%s", name, named ? named : "");
    struct backend *backend = recall(key);
    if (backend)
        return backend;
    g_autofree char *file = find_file(name);
    backend = file ? load(file, error) : NULL;
    if (!file)
        unknown(name, error);
    return backend ? keep(g_steal_pointer(&key), backend) : NULL;
}
