/* SPDX-License-Identifier: MIT */
#include "workload/private.h"

#include <string.h>
#include <sys/stat.h>

/* The place of a digest: named by everything that changes when the file does. A file that was just written might change
 * again within the granularity of its times, so it is not kept. */
static char *place_of(const struct stat *st)
{
    if (clock_wall_ns() / NS_PER_S - st->st_mtim.tv_sec < 2)
        return NULL;
    g_autofree char *identity = g_strdup_printf(
        "%lld:%lld:%lld:%lld.%09ld:%lld.%09ld", (long long)st->st_dev, (long long)st->st_ino,
        (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
        (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    g_autofree char *name = g_compute_checksum_for_string(G_CHECKSUM_SHA256, identity, -1);
    return g_build_filename(g_get_user_cache_dir(), "llem", "digests", name, NULL);
}

static char *kept_digest(const char *place)
{
    size_t length;
    g_autofree char *text = place ? file_read(place, 64, &length, NULL) : NULL;
    return text && length == 64 && strspn(text, "0123456789abcdef") == 64 ? g_steal_pointer(&text)
                                                                          : NULL;
}

/* A digest that cannot be kept is computed again next time. */
static void keep_digest(const char *place, const char *digest)
{
    g_autofree char *dir = g_path_get_dirname(place);
    if (file_make_dirs(dir, NULL))
        file_write_durable(place, digest, strlen(digest), NULL);
}

char *workload_file_digest(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        file_error(error, "cannot read", path);
        return NULL;
    }
    g_autofree char *place = place_of(&st);
    char *digest = kept_digest(place);
    if (digest)
        return digest;
    digest = file_sha256(path, error);
    if (digest && place)
        keep_digest(place, digest);
    return digest;
}
