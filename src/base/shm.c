/* SPDX-License-Identifier: MIT */
#include "base/shm.h"

#include "base/clock.h"
#include "base/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PLACE "/dev/shm/"
#define SLACK_NS (20 * NS_PER_MS) /* the kernel counts the start of a process in ticks */

GHashTable *shm_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/* Calls each with every file of the place that a process maps. */
static void each_mapped(pid_t pid, void (*each)(const char *path, void *data), void *data)
{
    char name[32], line[4352];
    g_snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(name, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *path = strstr(line, " " PLACE);
        g_strchomp(line);
        if (path && !g_str_has_suffix(line, " (deleted)"))
            each(path + 1, data);
    }
    if (file)
        fclose(file);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* When a file was made, by the wall clock; -1: there is none. A file system that keeps no such time has that of the
 * last change, which is no earlier. */
static int64_t made_ns(const char *path)
{
    struct statx st;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_MTIME, &st) != 0)
        return -1;
    const struct statx_timestamp *at = st.stx_mask & STATX_BTIME ? &st.stx_btime : &st.stx_mtime;
    return at->tv_sec * NS_PER_S + at->tv_nsec;
}

struct noting {
    GHashTable *paths;
    int64_t since_ns;
};

static void note_made_since(const char *path, void *data)
{
    const struct noting *noting = data;
    if (made_ns(path) >= noting->since_ns)
        g_hash_table_add(noting->paths, g_strdup(path));
}

void shm_note(GHashTable *paths, pid_t pid)
{
    struct proc_entry process;
    if (!proc_read(pid, &process))
        return;
    int64_t began_ns = process.start_ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
    int64_t age_ns = now_ns(CLOCK_BOOTTIME) - began_ns;
    struct noting noting = {paths, now_ns(CLOCK_REALTIME) - age_ns - SLACK_NS};
    each_mapped(pid, note_made_since, &noting);
}

static void forget(const char *path, void *data)
{
    g_hash_table_remove(data, path);
}

static gboolean is_not_ours(gpointer path, gpointer value, gpointer data)
{
    struct stat st;
    (void)value, (void)data;
    return lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid();
}

int shm_sweep(GHashTable *paths)
{
    g_hash_table_foreach_remove(paths, is_not_ours, NULL);
    if (g_hash_table_size(paths) == 0) /* the usual end, without a walk through /proc */
        return 0;
    g_autoptr(GArray) snapshot = proc_snapshot();
    for (guint i = 0; i < snapshot->len; i++)
        each_mapped(g_array_index(snapshot, struct proc_entry, i).pid, forget, paths);
    GHashTableIter iter;
    gpointer path;
    int n = 0;
    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        n += unlink(path) == 0;
    g_hash_table_remove_all(paths);
    return n;
}
