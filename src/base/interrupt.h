/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C and SIGTERM as a file descriptor. Call interrupt_open() at the top of main(), before any thread or child:
 * the signals are blocked for good and wait in a signalfd. Whoever waits for something polls the descriptor too; it
 * stays readable until interrupt_take() takes a signal off it, so a library that only polls leaves the signal to the
 * one who decides. A child must get its signals back before exec: interrupt_reset_child(), which spawn.h sees to.
 */
#pragma once

#include <stdbool.h>

/* Blocks SIGINT, SIGTERM and SIGHUP (SIGPIPE and SIGXFSZ are ignored) and returns a non-blocking, close-on-exec
 * signalfd, or -1. A signal that this process was started to ignore (nohup, a script's `cmd &`) stays ignored. */
int interrupt_open(void);
/* A write beyond the limit of a process on the length of a file fails with EFBIG instead of ending it by SIGXFSZ. */
void interrupt_ignore_file_limit(void);
/* Takes one waiting signal off; its number, or 0 when none waits. fd -1 is fine: 0. */
int interrupt_take(int fd);
/* True if a signal waits; it is not taken. */
bool interrupt_pending(int fd);
/* The same for who has no descriptor: SIGINT, SIGTERM or SIGHUP is blocked and waits. */
bool interrupt_waits(void);
/* Between fork and exec: unblocks every signal and restores SIGPIPE, SIGXFSZ, SIGCHLD (a child must learn how its own
 * children end) and SIGTERM, by which a parent ends its child whatever it was told to ignore itself.
 * Async-signal-safe. */
void interrupt_reset_child(void);
