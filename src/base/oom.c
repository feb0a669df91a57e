/* SPDX-License-Identifier: MIT */
#include "base/oom.h"

#include "base/file.h"
#include "base/num.h"

#include <string.h>

#define TEXT_BYTES (1 << 20)
#define CGROUPS    "/sys/fs/cgroup"

/* The two hierarchies a process may have its memory in. */
static const struct hierarchy {
    const char *row;    /* how its row of /proc/self/cgroup goes on after the number */
    const char *mount;  /* below CGROUPS */
    const char *events; /* the file with a row "oom_kill N" */
    const char *limit;  /* bytes, or something beyond any memory */
} hierarchies[] = {
    {":memory:", "/memory", "memory.oom_control", "memory.limit_in_bytes"}, /* version 1: if it has memory, it has all */
    {"::", "", "memory.events", "memory.max"},
};

static char *read_below(const char *path)
{
    const char *root = g_getenv("LLEM_SYSROOT");
    g_autofree char *full = g_strconcat(root ? root : "", path, NULL);
    return file_read(full, TEXT_BYTES, NULL, NULL);
}

/* The number behind a name at the start of a line ("oom_kill 3", "MemTotal:  8 kB"), or -1. */
static int64_t number_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (!strncmp(at, name, n) && at[n] == ' ')
            return g_ascii_strtoll(at + n, NULL, 10);
    return -1;
}

static int64_t number_in(const char *path, const char *name)
{
    g_autofree char *text = read_below(path);
    return text ? number_of(text, name) : -1;
}

/* Our folder in a hierarchy: "/sys/fs/cgroup/user.slice/…". NULL when we have none there. New string. */
static char *folder_in(const struct hierarchy *h, const char *rows)
{
    g_auto(GStrv) lines = g_strsplit(rows, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *after = *line + strspn(*line, "0123456789");
        if (g_str_has_prefix(after, h->row))
            return g_strconcat(CGROUPS, h->mount, after + strlen(h->row), NULL);
    }
    return NULL;
}

/* Goes one folder up; false above the mount. */
static bool climb(const struct hierarchy *h, char *folder)
{
    *strrchr(folder, '/') = '\0';
    return strlen(folder) >= strlen(CGROUPS) + strlen(h->mount);
}

/* Of the nearest folder that counts: in a container the path may be the host's, and the mount is all that is seen. */
static int64_t kills_in(const struct hierarchy *h, const char *folder)
{
    g_autofree char *at = g_strdup(folder);
    int64_t kills;
    do {
        g_autofree char *path = g_build_filename(at, h->events, NULL);
        kills = number_in(path, "oom_kill");
    } while (kills < 0 && climb(h, at));
    return kills;
}

/* The tightest limit from a folder up: a container sets it on itself, a service manager on a slice above. */
static int64_t limit_in(const struct hierarchy *h, const char *folder)
{
    g_autofree char *at = g_strdup(folder);
    int64_t least = INT64_MAX;
    do {
        g_autofree char *path = g_build_filename(at, h->limit, NULL);
        g_autofree char *text = read_below(path);
        if (text && g_ascii_isdigit(text[0]))
            least = MIN(least, g_ascii_strtoll(text, NULL, 10));
    } while (climb(h, at));
    return least;
}

struct oom_count oom_count(void)
{
    struct oom_count count = {-1, number_in("/proc/vmstat", "oom_kill")};
    g_autofree char *rows = read_below("/proc/self/cgroup");
    for (size_t i = 0; rows && count.ours < 0 && i < G_N_ELEMENTS(hierarchies); i++) {
        g_autofree char *folder = folder_in(&hierarchies[i], rows);
        count.ours = folder ? kills_in(&hierarchies[i], folder) : -1;
    }
    return count;
}

bool oom_has_struck(const struct oom_count *since)
{
    struct oom_count now = oom_count();
    if (since->ours >= 0 && now.ours >= 0)
        return now.ours > since->ours;
    return since->system >= 0 && now.system > since->system;
}

char *oom_advice(void)
{
    static const char what[] = "take a smaller model or quantisation, a shorter context or a smaller batch";
    int64_t total = number_in("/proc/meminfo", "MemTotal:"), limit = INT64_MAX;
    g_autofree char *rows = read_below("/proc/self/cgroup");
    for (size_t i = 0; rows && i < G_N_ELEMENTS(hierarchies); i++) {
        g_autofree char *folder = folder_in(&hierarchies[i], rows);
        limit = folder ? MIN(limit, limit_in(&hierarchies[i], folder)) : limit;
    }
    bool limited = total < 0 ? limit < INT64_MAX : limit < total * 1024;
    if (!limited && total < 0)
        return g_strdup(what);
    g_autofree char *size = num_format_bytes(limited ? limit : total * 1024);
    return g_strdup_printf("%s is all that %s; %s", size,
                           limited ? "the memory limit of its cgroup allows" : "this machine has", what);
}
