/* SPDX-License-Identifier: MIT */
/*
 * The control group of this process, and so of what it starts: versions 1 and 2. $LLEM_SYSROOT stands before /proc and
 * /sys, as for the sensors.
 *
 * Calling sequence: cgroup_find("memory", &group), cgroup_number() and cgroup_text() of its folders, cgroup_clear().
 * Threading: any thread.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

struct cgroup {
    int version;    /* 1 or 2; 0: there is none that has the controller */
    char **folders; /* "/sys/fs/cgroup/user.slice/run.scope", then those above as far as the mount; ended by NULL */
};

/* Where a controller ("cpu", "memory") counts this process. */
void cgroup_find(const char *controller, struct cgroup *ret);
void cgroup_clear(struct cgroup *group);
typedef struct cgroup owned_cgroup; /* for g_auto(owned_cgroup) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_cgroup, cgroup_clear)
/* CPUs that the tightest quota of CPU time from a "cpu" group up lets it use; NaN: there is none. */
double cgroup_cpus(const struct cgroup *group);
/* What a file of a folder says; NULL: there is none. New string. */
char *cgroup_text(const char *folder, const char *file);
/* The number behind a name at the start of a line ("oom_kill 3"), of a text or of a file; -1: none. */
int64_t cgroup_number_of(const char *text, const char *name);
int64_t cgroup_number(const char *folder, const char *file, const char *name);
/* A file below the root of the system, by its absolute path; NULL: it cannot be read. New string. */
char *cgroup_system_text(const char *path);
