/* SPDX-License-Identifier: MIT */
/* Checks of where results go. */
#include "preflight/rows.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

char *preflight_nearest_folder(const char *path)
{
    char *at = g_canonicalize_filename(path, NULL);
    while (access(at, F_OK) != 0 && errno == ENOENT && strcmp(at, "/")) {
        char *parent = g_path_get_dirname(at);
        g_free(at);
        at = parent;
    }
    return at;
}

/* There is one results folder a study. */
static char *results_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)config;
    return nth == 0 ? g_strdup(preflight_options_of(p)->results_dir) : NULL;
}

static void probe_results(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autofree char *folder = preflight_nearest_folder(q->about);
    const char *why = NULL;
    if (access(folder, F_OK) != 0)
        why = g_strerror(errno);
    else if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        why = g_strerror(ENOTDIR);
    else if (access(folder, W_OK | X_OK) != 0)
        why = g_strerror(errno);
    if (!why) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "can be written");
        return;
    }
    bool own = q->config && config_has(q->config, FIELD_OUTPUT_DIR) &&
               !strcmp(config_string(q->config, FIELD_OUTPUT_DIR), q->about);
    preflight_find(ret, PREFLIGHT_FAILS, own ? config_place(q->config, FIELD_OUTPUT_DIR) : NULL,
                   "results cannot be written to %s: %s: %s", q->about, folder, why);
    ret->hint = g_strdup("name another folder with  llem run -o DIR  or  output_dir");
}

static void probe_space(const struct preflight_question *q, struct preflight_finding *ret)
{
    enum { LEAST_MIB = 256 };
    g_autofree char *folder = preflight_nearest_folder(q->about);
    struct statvfs st;
    if (statvfs(folder, &st) != 0) {
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "%s: %s", folder, g_strerror(errno));
        return;
    }
    int64_t bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
    g_autofree char *free_text = num_format_bytes(bytes);
    preflight_find(ret, bytes < LEAST_MIB * 1024 * 1024 ? PREFLIGHT_LACKS : PREFLIGHT_OK, NULL, "%s free", free_text);
}

const struct preflight_check preflight_store_rows[] = {
    {.id = "store.results",
     .why = "every run leaves its record and its samples there",
     .remedy = "name another folder with  llem run -o DIR  or  output_dir",
     .key = results_key,
     .probe = probe_results},
    {.id = "store.space",
     .why = "a full disk loses the runs that do not fit",
     .remedy = "free some space, or name a folder on another disk with  llem run -o DIR",
     .key = results_key,
     .probe = probe_space},
    {0},
};
