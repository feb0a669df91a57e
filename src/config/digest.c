/* SPDX-License-Identifier: MIT */
/* Files enter the hash by content. A folder is the canonical list of its files: {"relative/name": "sha256", …}. */
#include "config/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define REMEMBER_BYTES (16 << 20) /* reading less is quick enough */
#define FOLDER_FILES 10000 /* more is no model folder */
#define FOLDER_DEPTH 8

/* --- Large files are read once ---------------------------------------------------------------------------------- */

/* What a file was when its digest was taken. Every write sets the change time, which no program can set back. */
static char *state_of(const struct stat *st)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                           ".%09ld %" G_GINT64_FORMAT ".%09ld",
                           (guint64)st->st_dev, (guint64)st->st_ino, (gint64)st->st_size, (gint64)st->st_mtim.tv_sec,
                           st->st_mtim.tv_nsec, (gint64)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

static char *note_path(const char *path)
{
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);
    return g_build_filename(g_get_user_cache_dir(), "llem", "digests", key, NULL);
}

/* The digest noted for a file in this state, or NULL. */
static char *recall(const char *path, const char *state)
{
    g_autofree char *note = note_path(path);
    g_autofree char *text = file_read(note, 4096, NULL, NULL);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 3) : NULL;
    bool known = lines && lines[0] && lines[1] && !strcmp(lines[0], state) && strlen(lines[1]) == 64;
    return known ? g_strdup(lines[1]) : NULL;
}

/* Best effort: without a cache folder the file is read again the next time. */
static void note(const char *path, const char *state, const char *digest)
{
    g_autofree char *file = note_path(path);
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *text = g_strdup_printf("%s\n%s\n", state, digest);
    if (file_make_dirs(folder, NULL))
        file_write_durable(file, text, strlen(text), NULL);
}

/* A file younger than this may still change within the same tick of the file system's clock. */
#define SETTLED_NS (2 * NS_PER_S)

static char *file_digest(const char *path, const struct stat *st, GError **error)
{
    if (st->st_size < REMEMBER_BYTES)
        return file_sha256(path, error);
    g_autofree char *state = state_of(st);
    char *digest = recall(path, state);
    if (digest)
        return digest;
    digest = file_sha256(path, error);
    int64_t changed_ns = (int64_t)st->st_ctim.tv_sec * NS_PER_S + st->st_ctim.tv_nsec;
    struct stat after;
    if (digest && stat(path, &after) == 0 && clock_wall_ns() - changed_ns > SETTLED_NS) {
        g_autofree char *still = state_of(&after);
        if (!strcmp(state, still))
            note(path, state, digest);
    }
    return digest;
}

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
    g_autofree char *digest = S_ISREG(st.st_mode) ? file_digest(path, &st, error) : g_strdup("");
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
        return file_digest(path, &st, error);
    g_autoptr(json_t) list = json_object();
    return add_folder(list, path, "", 1, error) ? jsonx_sha256(list) : NULL;
}
