/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-Z. A program whose children live in groups and sessions of their own is stopped by it alone, and they work on;
 * so it takes the signal itself, stops them, stops, and tells them afterwards how long it was away.
 *
 * Calling sequence of the parent:  suspend_hold()      from now on SIGTSTP waits in suspend_fd()
 *                                  suspend_pending()   … one came: stop the children, then
 *                                  suspend_now()       stops this process until it is continued; for how long that was
 *                                  suspend_tell(pid, away_ns)   continues a child
 *                                  suspend_release()   Ctrl-Z does again what it does by default
 * Of a child:                      suspend_listen()    at the top of main(), before any thread
 *                                  suspend_told_ns()   how long it was stopped so far
 *                                  suspend_clock_ns()  for deadlines: stands still while it is stopped
 *
 * A child that is continued by somebody else (kill -CONT) was told nothing: its clock went on.
 * Threading: one thread of the process; suspend_told_ns() and suspend_clock_ns() any thread. Of the threads of a child
 * only the one that keeps deadlines may take signals: it is told before it goes on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls may be nested. Where SIGTSTP is ignored it stays so. */
void suspend_hold(void);
void suspend_release(void);
/* Readable when one waits; -1: nobody holds it. Borrowed until the last suspend_release(). */
int suspend_fd(void);
bool suspend_pending(void);
/* As Ctrl-Z does: nothing happens where nobody could continue this process. How long it was stopped. */
int64_t suspend_now(void);
void suspend_tell(pid_t pid, int64_t away_ns);

void suspend_listen(void);
int64_t suspend_told_ns(void);
/* CLOCK_MONOTONIC less that. */
int64_t suspend_clock_ns(void);
