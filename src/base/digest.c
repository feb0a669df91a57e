/* SPDX-License-Identifier: MIT */
#include "base/digest.h"

#include "base/clock.h"
#include "base/file.h"

#include <string.h>
#include <sys/stat.h>

#define REMEMBER_BYTES (16 << 20) /* reading less is quick enough */

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

/* Notes a digest if the file is still what it was before it was read. */
static void note_if_unchanged(const char *path, const char *state, const char *digest)
{
    struct stat after;
    if (stat(path, &after) != 0)
        return;
    int64_t changed_ns = (int64_t)after.st_ctim.tv_sec * NS_PER_S + after.st_ctim.tv_nsec;
    g_autofree char *still = state_of(&after);
    if (!strcmp(state, still) && clock_wall_ns() - changed_ns > SETTLED_NS)
        note(path, state, digest);
}

char *file_sha256_cached(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        file_error(error, "cannot read", path);
        return NULL;
    }
    if (st.st_size < REMEMBER_BYTES)
        return file_sha256(path, error);
    g_autofree char *state = state_of(&st);
    char *digest = recall(path, state);
    if (digest)
        return digest;
    digest = file_sha256(path, error);
    if (digest)
        note_if_unchanged(path, state, digest);
    return digest;
}
