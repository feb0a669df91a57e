/* SPDX-License-Identifier: MIT */
/* Internal to study: one study at a time measures undisturbed. An advisory lock per user (llem-study.lock in the user's
 * runtime folder), which the kernel drops when its holder dies. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct study_lock;

struct study_lock *study_lock_new(void);
/* Takes the lock unless this study has it already; asked before every run, for the other may have ended since. True when
 * another study holds it: its pid (0: unknown). A machine without a place for the file never has another study. */
bool study_lock_is_elsewhere(struct study_lock *lock, pid_t *ret_pid);
void study_lock_free(struct study_lock *lock);
