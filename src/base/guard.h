/* SPDX-License-Identifier: MIT */
/*
 * A guard: a process that sleeps until this one is gone, however it went, and then ends what it left running. The
 * kernel tells a child that its parent died; it tells no grandchild, and one that is deaf to SIGTERM hears nothing.
 *
 * What is guarded is known by a mark in its environment, which is inherited: parentage is lost when a parent dies. A
 * process that clears its environment, or another user's, is not found.
 *
 *     guard = guard_new();                        before the first process is started that is to be guarded
 *     … .env = {guard_variable(guard), NULL} …    "LLEM_GUARD=…"
 *     guard_free(guard);                          when all of them have ended
 *
 * When this process is gone, those that are guarded have GUARD_PATIENCE_S for an end of their own while the first of
 * them (guard_first()) lives, which ends the others; without it they are asked (SIGTERM), and after GUARD_GRACE_S
 * killed.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define GUARD_PATIENCE_S 60
#define GUARD_GRACE_S    5

struct guard;

/* NULL where no process can be started: then nobody guards. */
struct guard *guard_new(void);
/* Borrowed. */
const char *guard_variable(const struct guard *guard);
/* Whom to wait for; 0: nobody. */
void guard_first(struct guard *guard, pid_t pid);
void guard_free(struct guard *guard);
/* The living processes of this user that are guarded by it, its own left out. New array of pid_t. */
GArray *guard_marked(const struct guard *guard);
