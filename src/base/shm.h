/* SPDX-License-Identifier: MIT */
/*
 * Shared memory that processes leave in /dev/shm when they are killed: it stays there, and in memory, until somebody
 * removes it. Note what a process has while it lives; sweep when it is gone.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The files of /dev/shm noted so far: a set of paths. Free with g_hash_table_unref(). */
GHashTable *shm_new(void);
/* Notes what a process has mapped of what was made since it began: a file that was there before is not its own. */
void shm_note(GHashTable *paths, pid_t pid);
/* Removes what was noted, is this user's, and no process maps any more; forgets all. How many files were removed. */
int shm_sweep(GHashTable *paths);
