/* SPDX-License-Identifier: MIT */
/*
 * Processes: what the runner and the engine client both need to be sure that nothing is left running.
 * Descendants are found by parentage in /proc, not by name: engine children rename themselves and change session.
 * After an intermediate process died its children hang below the nearest subreaper, so call proc_become_subreaper()
 * before the first spawn.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* PR_SET_CHILD_SUBREAPER: orphaned descendants become children of this process. */
bool proc_become_subreaper(void);
/* A pidfd (poll it for the end of the process), or -1 with errno (ENOSYS before Linux 5.3). */
int proc_pidfd(pid_t pid);
/* True if this process has no child at all, not even a dead one. For a subreaper: no descendant either, so that the
 * usual end of a run costs one system call instead of a walk through /proc. */
bool proc_childless(void);
/* All living (not zombie) descendants of pid, pid itself left out. New array of pid_t. */
GArray *proc_descendants(pid_t pid);

struct proc_entry {
    pid_t pid, parent, group, session;
    char state; /* 'Z': ended, not reaped */
    int64_t major_faults; /* pages that came from a disk */
    int64_t start_ticks;  /* since boot: with the pid it names a process for good */
};
/* /proc/PID/stat. False: there is no such process. */
bool proc_read(pid_t pid, struct proc_entry *ret);
/* Every process there is, in one walk through /proc: for those who ask several questions of one moment. New array. */
GArray *proc_snapshot(void);
GArray *proc_descendants_in(const GArray *snapshot, pid_t pid);
/* Sends a signal to every descendant of pid. Returns how many it was sent to. */
int proc_signal_descendants(pid_t pid, int signal_number);
/* The pids of roots and all that hang below them: with roots = proc_descendants(getpid()) taken before a spawn, what is
 * not the spawned one's although it is below this process. New array of pid_t. */
GArray *proc_below_in(const GArray *snapshot, const GArray *roots);
/* Reaps children of this process that have ended, without waiting; keep (0: none) is left alone. */
void proc_reap(pid_t keep);
/* The living descendants of this process but spared (pids; NULL: none) and those below them. New array of pid_t. */
GArray *proc_leftovers(const GArray *spared);
/* Kills (SIGKILL, again for those that fork meanwhile) and reaps the leftovers until none is left or the deadline
 * passes. Returns those still there; new array of pid_t. */
GArray *proc_kill_leftovers(const GArray *spared, int64_t deadline_ns);
/* The same for those that find() finds at each look; a new array of pid_t. */
GArray *proc_kill_found(GArray *(*find)(const void *data), const void *data, int64_t deadline_ns);
/* CPU time of a process so far; -1 where it is not there. */
int64_t proc_cpu_ns(pid_t pid);
/* The value of the first "KEY : value" line of a /proc file's text, the whole key: "model" is not "model name". NULL:
 * none. New string. */
char *proc_value(const char *text, const char *key);
/* "exit status 3", "killed by signal 9 (Killed)". New string. */
char *proc_describe_status(int wait_status);
