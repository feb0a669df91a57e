/* SPDX-License-Identifier: MIT */
/* Internal to study: studies that measure at the same time know of each other. Each holds a lock on a file of its own,
 * PID.lock in a folder of the user's (llem-studies in the runtime folder); the kernel drops it when its holder dies. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct study_lock;

/* Says that a study is at work. */
struct study_lock *study_lock_new(void);
/* True if another study of this user is at work now, with its pid; never where there is no place for the files. */
bool study_lock_is_elsewhere(struct study_lock *lock, pid_t *ret_pid);
void study_lock_free(struct study_lock *lock);
