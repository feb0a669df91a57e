/* SPDX-License-Identifier: MIT */
/* Power that follows the CPU time of a process group. The pid file holds the group's number; while it is missing or
 * the group is empty the power stands at 0 over the other loads. */
#include "sim/script.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SCAN_NS    INT64_C(200000000) /* how often new processes of the group are looked for */
#define EXTEND_NS  INT64_C(1000000)   /* shortest piece of power */

void sim_live_free(struct sim_live *live)
{
    g_hash_table_unref(live->seen);
    g_free(live->pid_file);
    g_free(live);
}

static bool cpu_time(int pid, int64_t *ret)
{
    clockid_t clock;
    struct timespec ts;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return false;
    *ret = ts.tv_sec * NS_PER_S + ts.tv_nsec;
    return true;
}

/* Process group of /proc/PID/stat; -1 when it cannot be read. The name in brackets may hold anything. */
static int group_of(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/stat", pid);
    g_autofree char *text = file_read(path, 4096, NULL, NULL);
    const char *after = text ? strrchr(text, ')') : NULL;
    g_auto(GStrv) words = after ? g_strsplit(after, " ", 5) : NULL; /* ")", state, parent, group, the rest */
    int64_t group;
    if (!words || g_strv_length(words) < 5 || !num_parse_int(words[3], 0, INT32_MAX, &group, NULL))
        return -1;
    return (int)group;
}

static void scan(struct sim_live *live)
{
    g_autofree char *text = file_read(live->pid_file, 64, NULL, NULL);
    int64_t group;
    if (!text || !num_parse_int(g_strstrip(text), 1, INT32_MAX, &group, NULL))
        return;
    GDir *dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        int64_t pid, used;
        if (!num_parse_int(name, 1, INT32_MAX, &pid, NULL) || group_of(name) != group ||
            g_hash_table_contains(live->seen, GINT_TO_POINTER((int)pid)) || !cpu_time((int)pid, &used))
            continue;
        int64_t *row = g_new(int64_t, 2);
        row[0] = row[1] = used; /* counted from when it was found */
        g_hash_table_insert(live->seen, GINT_TO_POINTER((int)pid), row);
    }
    if (dir)
        g_dir_close(dir);
}

static double group_cpu_s(struct sim_live *live)
{
    GHashTableIter iter;
    gpointer pid, data;
    int64_t sum = 0;
    g_hash_table_iter_init(&iter, live->seen);
    while (g_hash_table_iter_next(&iter, &pid, &data)) {
        int64_t now, *row = data;
        if (cpu_time(GPOINTER_TO_INT(pid), &now) && now > row[1])
            row[1] = now;
        sum += row[1] - row[0];
    }
    return (double)sum * 1e-9;
}

void sim_live_update(struct sim_device *device, int64_t now_ns)
{
    for (unsigned i = 0; i < device->lives->len; i++) {
        struct sim_live *live = device->lives->pdata[i];
        int64_t since_ns = now_ns - sim_trace_end_ns(live->trace);
        if (since_ns < EXTEND_NS)
            continue;
        double cpu_s = group_cpu_s(live);
        sim_trace_append(live->trace, since_ns,
                         live->watts_per_core * (cpu_s - live->cpu_s) / ((double)since_ns * 1e-9));
        live->cpu_s = cpu_s;
        if (now_ns - live->scanned_ns >= SCAN_NS) {
            live->scanned_ns = now_ns;
            scan(live);
        }
    }
}
