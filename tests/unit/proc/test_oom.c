/* SPDX-License-Identifier: MIT */
/* The kernel's counters of OOM kills, as files below a folder: cgroups of both versions, and none. */
#include "base/base.h"

#include <string.h>

static char *root;

static void put(const char *path, const char *text)
{
    g_autofree char *full = g_strconcat(root, path, NULL), *folder = g_path_get_dirname(full);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

struct scene {
    const char *name;
    const char *rows;               /* /proc/self/cgroup */
    const char *path;               /* of the cgroup's counter, NULL: none */
    const char *before, *after;     /* what it says */
    const char *limit_path, *limit; /* NULL: none */
    int system_after;               /* /proc/vmstat; 3 before */
    bool struck;
    const char *advice;
};

#define V2      "/sys/fs/cgroup/user.slice/run.scope"
#define V2_ROWS "0::/user.slice/run.scope\n"
#define V1_ROWS "9:name=systemd:/\n4:memory:/jobs/7\n3:cpuset:/\n0::/\n"
#define HAS_64  "64.0 GiB is all that this machine has"

static const struct scene scenes[] = {
    {"v2-ours", V2_ROWS, V2 "/memory.events", "low 0\noom 1\noom_kill 2\noom_group_kill 0\n",
     "low 0\noom 2\noom_kill 3\noom_group_kill 0\n", V2 "/memory.max", "8589934592\n", 4, true,
     "8.00 GiB is all that the memory limit of its cgroup allows"},
    {"v2-a-kill-elsewhere", V2_ROWS, V2 "/memory.events", "oom 1\noom_kill 2\n", "oom 1\noom_kill 2\n",
     V2 "/memory.max", "max\n", 4, false, HAS_64},
    {"v2-oom-without-a-kill", V2_ROWS, V2 "/memory.events", "oom 1\noom_kill 2\n", "oom 5\noom_kill 2\n", NULL, NULL, 3,
     false, HAS_64},
    {"v2-limit-of-the-slice", V2_ROWS, V2 "/memory.events", "oom_kill 0\n", "oom_kill 1\n",
     "/sys/fs/cgroup/user.slice/memory.max", "1073741824\n", 3, true, "1.00 GiB is all that the memory limit"},
    {"v1-ours", V1_ROWS, "/sys/fs/cgroup/memory/jobs/7/memory.oom_control",
     "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
     "/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n", 3, true, HAS_64},
    {"v1-only-the-mount-is-seen", V1_ROWS, "/sys/fs/cgroup/memory/memory.oom_control", "oom_kill 0\n", "oom_kill 1\n",
     "/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n", 3, true, "2.00 GiB is all that the memory limit"},
    {"root-cgroup", "0::/\n", NULL, NULL, NULL, NULL, NULL, 4, true, HAS_64},
    {"root-cgroup-spared", "0::/\n", NULL, NULL, NULL, NULL, NULL, 3, false, HAS_64},
};

static void test_scene(gconstpointer data)
{
    const struct scene *s = data;
    root = g_dir_make_tmp("llem-oom-XXXXXX", NULL);
    g_setenv("LLEM_SYSROOT", root, TRUE);
    put("/proc/self/cgroup", s->rows);
    put("/proc/vmstat", "nr_free 1\noom_kill 3\n");
    put("/proc/meminfo", "MemTotal:       67108864 kB\nMemFree: 1 kB\n");
    if (s->path)
        put(s->path, s->before);
    if (s->limit_path)
        put(s->limit_path, s->limit);
    struct oom_count before = oom_count();
    g_assert_false(oom_has_struck(&before));
    g_autofree char *vmstat = g_strdup_printf("nr_free 1\noom_kill %d\n", s->system_after);
    put("/proc/vmstat", vmstat);
    if (s->path)
        put(s->path, s->after);
    g_assert_cmpint(oom_has_struck(&before), ==, s->struck);
    g_autofree char *advice = oom_advice();
    if (!g_str_has_prefix(advice, s->advice))
        g_error("'%s' does not begin with '%s'", advice, s->advice);
    g_assert_nonnull(strstr(advice, "a shorter context"));
    g_assert_true(file_remove_tree(root, NULL));
    g_clear_pointer(&root, g_free);
}

/* A system that counts nothing: never a kill, and still advice. */
static void test_nothing_counts(void)
{
    g_setenv("LLEM_SYSROOT", "/nonexistent", TRUE);
    struct oom_count before = oom_count();
    g_assert_cmpint(before.ours, ==, -1);
    g_assert_cmpint(before.system, ==, -1);
    g_assert_false(oom_has_struck(&before));
    g_autofree char *advice = oom_advice();
    g_assert_true(g_str_has_prefix(advice, "take a smaller model"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++) {
        g_autofree char *path = g_strconcat("/oom/", scenes[i].name, NULL);
        g_test_add_data_func(path, &scenes[i], test_scene);
    }
    g_test_add_func("/oom/nothing-counts", test_nothing_counts);
    return g_test_run();
}
