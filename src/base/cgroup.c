/* SPDX-License-Identifier: MIT */
#include "base/cgroup.h"

#include "base/file.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

#define TEXT_BYTES (1 << 20)
#define MOUNT      "/sys/fs/cgroup"

char *cgroup_system_text(const char *path)
{
    const char *root = g_getenv("LLEM_SYSROOT");
    g_autofree char *full = g_strconcat(root ? root : "", path, NULL);
    return file_read(full, TEXT_BYTES, NULL, NULL);
}

char *cgroup_text(const char *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    return cgroup_system_text(path);
}

int64_t cgroup_number_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (!strncmp(at, name, n) && at[n] == ' ')
            return g_ascii_strtoll(at + n, NULL, 10);
    return -1;
}

int64_t cgroup_number(const char *folder, const char *file, const char *name)
{
    g_autofree char *text = cgroup_text(folder, file);
    return text ? cgroup_number_of(text, name) : -1;
}

/* The folder and those above it. In a container the path may be the host's, and the mount is all that is seen. */
static char **folders_up(const char *mount, const char *path)
{
    GPtrArray *folders = g_ptr_array_new();
    g_autofree char *at = g_strconcat(mount, path, NULL);
    if (g_str_has_suffix(at, "/"))
        at[strlen(at) - 1] = '\0';
    while (strlen(at) >= strlen(mount)) {
        g_ptr_array_add(folders, g_strdup(at));
        *strrchr(at, '/') = '\0';
    }
    g_ptr_array_add(folders, NULL);
    return (char **)g_ptr_array_free(folders, FALSE);
}

/* A row of /proc/self/cgroup is NUMBER:CONTROLLERS:PATH; that of version 2 names no controllers. A controller that
 * another row names is not in version 2. */
void cgroup_find(const char *controller, struct cgroup *ret)
{
    g_autofree char *rows = cgroup_system_text("/proc/self/cgroup");
    g_auto(GStrv) lines = g_strsplit(rows ? rows : "", "\n", -1);
    *ret = (struct cgroup){0};
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        if (g_strv_length(parts) < 3 || ret->version == 1)
            continue;
        g_auto(GStrv) controllers = g_strsplit(parts[1], ",", -1);
        bool unified = !*parts[1], named = g_strv_contains((const char *const *)controllers, controller);
        if (!unified && !named)
            continue;
        g_autofree char *mount = named ? g_strconcat(MOUNT "/", controller, NULL) : g_strdup(MOUNT);
        cgroup_clear(ret);
        *ret = (struct cgroup){named ? 1 : 2, folders_up(mount, parts[2])};
    }
}

void cgroup_clear(struct cgroup *group)
{
    g_clear_pointer(&group->folders, g_strfreev);
    group->version = 0;
}

/* "max 100000" or "20000 100000" of version 2; two files, the first -1 without a quota, of version 1. */
static double quota_of(const struct cgroup *group, const char *folder)
{
    int64_t quota = -1, period = -1;
    if (group->version == 2) {
        g_autofree char *text = cgroup_text(folder, "cpu.max");
        g_auto(GStrv) words = g_strsplit(text ? g_strchomp(text) : "", " ", 2);
        if (g_strv_length(words) != 2 || !num_parse_int(words[0], 0, INT64_MAX, &quota, NULL) ||
            !num_parse_int(words[1], 1, INT64_MAX, &period, NULL))
            return NAN;
    } else {
        g_autofree char *first = cgroup_text(folder, "cpu.cfs_quota_us");
        g_autofree char *second = cgroup_text(folder, "cpu.cfs_period_us");
        if (!first || !second || !num_parse_int(g_strchomp(first), 0, INT64_MAX, &quota, NULL) ||
            !num_parse_int(g_strchomp(second), 1, INT64_MAX, &period, NULL))
            return NAN;
    }
    return (double)quota / (double)period;
}

double cgroup_cpus(const struct cgroup *group)
{
    double least = NAN;
    for (char **folder = group->folders; folder && *folder; folder++)
        least = fmin(least, quota_of(group, *folder));
    return least;
}
