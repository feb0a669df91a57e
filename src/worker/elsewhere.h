/* SPDX-License-Identifier: MIT */
/*
 * What the worker does where its parent can neither redirect its output nor have the kernel tell it of its death, as in
 * a container. Each is asked for by a variable that names a file; without them nothing happens.
 *
 * Calling sequence: elsewhere_begin() at the top of main(), after interrupt_open(), before anything is written.
 */
#pragma once

/* Standard output and error go on to the end of this file. */
#define ELSEWHERE_LOG "LLEM_WORKER_LOG"
/* The parent holds a lock (flock) on this file for as long as the worker is to work. The kernel drops it when the
 * parent dies, and the parent drops it to have the worker stop: the worker then takes it for a SIGTERM. */
#define ELSEWHERE_LOCK "LLEM_OWNER_LOCK"

void elsewhere_begin(void);
