/* SPDX-License-Identifier: MIT */
/* Files enter the hash by content, a model in parts by that of all of them. A folder is the canonical list of its
 * files: {"relative/name": "sha256", …}. */
#include "config/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_FILES 10000 /* more is no model folder */
#define FOLDER_DEPTH 8

/* --- Folders ------------------------------------------------------------------------------------------------------ */

static bool add_folder(json_t *list, const char *root, const char *relative, int depth, GError **error);

static bool add_entry(json_t *list, const char *root, const char *relative, int depth, GError **error)
{
    g_autofree char *path = g_build_filename(root, relative, NULL);
    struct stat st;
    if (stat(path, &st) != 0)
        return file_error(error, "cannot read", path);
    if (S_ISDIR(st.st_mode))
        return add_folder(list, root, relative, depth + 1, error);
    g_autofree char *digest = S_ISREG(st.st_mode) ? file_sha256_cached(path, error) : g_strdup("");
    if (!digest)
        return false;
    json_object_set_new(list, relative, json_string(digest));
    return true;
}

static bool add_folder(json_t *list, const char *root, const char *relative, int depth, GError **error)
{
    g_autofree char *path = g_build_filename(root, relative, NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    if (!dir)
        return file_error(error, "cannot list", path);
    bool ok = true;
    const char *name;
    while (ok && (name = g_dir_read_name(dir))) {
        if (*name == '.') /* caches and version control are no part of the model */
            continue;
        g_autofree char *child = *relative ? g_build_filename(relative, name, NULL) : g_strdup(name);
        if (depth > FOLDER_DEPTH || json_object_size(list) >= FOLDER_FILES) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s holds too many files or folders for a model", root);
            ok = false;
        } else if (!g_utf8_validate(child, -1, NULL)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s holds a file whose name is not UTF-8", root);
            ok = false;
        } else {
            ok = add_entry(list, root, child, depth, error);
        }
    }
    g_dir_close(dir);
    return ok;
}

char *digest_of_path(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        file_error(error, "cannot open", path);
        return NULL;
    }
    if (!S_ISDIR(st.st_mode))
        return workload_model_sha256(path, error);
    g_autoptr(json_t) list = json_object();
    return add_folder(list, path, "", 1, error) ? jsonx_sha256(list) : NULL;
}
