/* SPDX-License-Identifier: MIT */
/* Locks of files (flock), with every answer told apart: held by another is not the same as no locks here. */
#pragma once

#include <stdbool.h>

enum file_lock {
    FILE_LOCK_TAKEN,
    FILE_LOCK_HELD,        /* another process has it */
    FILE_LOCK_REFUSED,     /* there are none: the file system, the kernel or a limit says no; errno says which */
    FILE_LOCK_INTERRUPTED, /* a signal that ends programs waits (base/interrupt.h) */
};

/* Asks for the lock without waiting for whoever has it. Where the file system itself does not answer (a server that is
 * gone), a waiting SIGINT, SIGTERM or SIGHUP ends the call within a fifth of a second, blocked or not. */
enum file_lock file_lock_try(int fd, bool shared);
/* True if somebody holds a lock on the file now; false where it is not there, or a link. *ret_told, which may be NULL:
 * false where that cannot be told, with errno. */
bool file_is_locked(const char *path, bool *ret_told);
