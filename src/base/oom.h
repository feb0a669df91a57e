/* SPDX-License-Identifier: MIT */
/*
 * Tells a child that the kernel's OOM killer took from another: SIGKILL does not say who sent it, the kernel's counters
 * do.
 * Take oom_count() before the child is started; after a death by SIGKILL ask oom_has_struck().
 * $LLEM_SYSROOT stands before /proc and /sys, as for the sensors.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct oom_count {
    int64_t ours;   /* kills among the processes of our memory cgroup; -1: it does not count them */
    int64_t system; /* kills since boot; -1: not readable */
};

struct oom_count oom_count(void);
/* A kill since then in our cgroup; anywhere, where our cgroup does not count. False when nothing counts. */
bool oom_has_struck(const struct oom_count *since);
/* What is there and what to do: "16.0 GiB is all that …; take a smaller model, …". New string. */
char *oom_advice(void);
