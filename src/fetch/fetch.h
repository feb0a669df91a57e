/* SPDX-License-Identifier: MIT */
/*
 * fetch: bringing things to this machine with pip, or with a program that makes them, one at a time and whole.
 *
 * Calling sequence: fetch_apart() locks a folder, empties a work folder in it and calls back; the work asks
 * fetch_python() for an interpreter with pip, runs what it needs by fetch_run(), and puts the result in place itself.
 *
 * Ownership: strings returned are the caller's. Threading: none of its own; waits for what it runs.
 * Errors: as named by the caller (fetch_run), MISSING (no Python with pip), IO (the folder, the lock).
 */
#pragma once

#include "base/base.h"

/* Who is told each step in words; a pointer to it may be NULL. */
struct fetch_voice {
    void (*say)(const char *line, void *data);
    void *data;
};
void fetch_tell(const struct fetch_voice *voice, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Runs a command to its end, without the variables that lead Python and pip to packages elsewhere. An error of `code`
 * begins with `what` and quotes the last lines it said. */
bool fetch_run(const char *const *argv, enum llem_error_code code, const char *what, GError **error);
/* The same; what it printed (the last 16 KiB), or NULL. New string. */
char *fetch_ask(const char *const *argv, enum llem_error_code code, const char *what, GError **error);

/* The option by which a Python runs nothing of the folder it is called in, nor of the user's packages. */
#define FETCH_ALONE "-I"
/* $LLEM_PYTHON, else python3. Borrowed. */
const char *fetch_python_name(void);
/* A Python with pip: that one, else a fresh environment of it in the folder `work`. New string. */
char *fetch_python(const char *work, GError **error);

/* Calls work() with an empty folder within `dir`, which is made and locked: another pull of `what` is waited for. The
 * folder is removed afterwards. */
bool fetch_apart(const char *dir, const char *what, const struct fetch_voice *voice,
                 bool (*work)(const char *folder, void *data, GError **error), void *data, GError **error);
