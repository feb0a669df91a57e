/* SPDX-License-Identifier: MIT */
/* Power that follows the CPU time of a process group, or of every process of one program. The pid file holds the
 * group's number; while it is missing or nothing is found the power stands at 0 over the other loads. */
#include "sim/script.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SCAN_NS    INT64_C(200000000) /* how often new processes of the group are looked for */
#define EXTEND_NS  INT64_C(1000000)   /* shortest piece of power */
#define LOOK_NS    INT64_C(4000000)   /* how often some processes are looked at for their program … */
#define LOOKS      4 /* … and how many: all of them at once would be a gap between readings */

void sim_live_free(struct sim_live *live)
{
    g_hash_table_unref(live->seen);
    if (live->processes)
        g_dir_close(live->processes);
    g_free(live->pid_file);
    g_free(live->program);
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

/* Counted from when it was found. */
static void follow(struct sim_live *live, int pid)
{
    int64_t used;
    if (g_hash_table_contains(live->seen, GINT_TO_POINTER(pid)) || !cpu_time(pid, &used))
        return;
    int64_t *row = g_new(int64_t, 2);
    row[0] = row[1] = used;
    g_hash_table_insert(live->seen, GINT_TO_POINTER(pid), row);
}

/* By the last part of the first word, or of the second: that is the program where an interpreter runs it. */
static bool runs(const char *pid, const char *program)
{
    size_t length = 0;
    g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid);
    g_autofree char *words = file_read(path, LIMIT_RESULT_BYTES, &length, NULL);
    const char *word = words;
    for (int i = 0; word && i < 2 && word < words + length; i++, word += strlen(word) + 1) {
        g_autofree char *name = g_path_get_basename(word);
        if (!strcmp(name, program))
            return true;
    }
    return false;
}

/* Some more processes, round and round. */
static void look_on(struct sim_live *live)
{
    if (!live->processes)
        live->processes = g_dir_open("/proc", 0, NULL);
    for (int i = 0; live->processes && i < LOOKS;) {
        const char *name = g_dir_read_name(live->processes);
        int64_t pid;
        if (!name) {
            g_dir_rewind(live->processes);
            return;
        }
        if (!num_parse_int(name, 1, INT32_MAX, &pid, NULL))
            continue;
        i++;
        if (runs(name, live->program))
            follow(live, (int)pid);
    }
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
        int64_t pid;
        struct proc_entry entry;
        if (num_parse_int(name, 1, INT32_MAX, &pid, NULL) && proc_read((pid_t)pid, &entry) && entry.group == group)
            follow(live, (int)pid);
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
        if (now_ns - live->scanned_ns < (live->program ? LOOK_NS : SCAN_NS))
            continue;
        live->scanned_ns = now_ns;
        if (live->program)
            look_on(live);
        else
            scan(live);
    }
}
