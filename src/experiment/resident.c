/* SPDX-License-Identifier: MIT */
#include "experiment/resident.h"

#include <fcntl.h>
#include <unistd.h>

#define PROC_BYTES (64 << 10)

/* "Pss:  1234 kB" of a file of a process, added to a sum that is -1 once one is not known. */
static void add_kb(int64_t pid, const char *file, const char *key, int64_t *sum)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/%s", pid, file);
    size_t length;
    g_autofree char *text = file_read(path, PROC_BYTES, &length, NULL);
    g_autofree char *value = text ? proc_value(text, key) : NULL;
    *sum = value && *sum >= 0 ? *sum + g_ascii_strtoll(value, NULL, 10) * 1024 : -1;
}

struct resident resident_take(const struct engine_loaded *loaded)
{
    struct resident r = {0};
    for (size_t i = 0; i < loaded->n_pids; i++) {
        add_kb(loaded->pids[i], "status", "VmRSS", &r.rss_bytes);
        add_kb(loaded->pids[i], "status", "VmHWM", &r.peak_bytes);
        add_kb(loaded->pids[i], "smaps_rollup", "Pss", &r.pss_bytes);
    }
    return r;
}

/* Writing 5 sets VmHWM back to what is resident now (proc(5)). */
static bool restart_peak(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/clear_refs", pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "5", 1) == 1;
    if (fd >= 0)
        close(fd);
    return ok;
}

bool resident_restart_peaks(const struct engine_loaded *loaded)
{
    bool ok = loaded->n_pids > 0;
    for (size_t i = 0; i < loaded->n_pids; i++)
        ok = restart_peak(loaded->pids[i]) && ok;
    return ok;
}
