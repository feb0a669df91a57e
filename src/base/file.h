/* SPDX-License-Identifier: MIT */
/* Files: bounded reads, durable writes, digests. All paths in the file system's encoding. Errors: IO, LIMIT. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path of the user's: "~" and what stands below it are the home folder; "~name" is left as it is. New string. */
char *file_expand_home(const char *text);
/* False, with an error (CONFIG), where a device, pipe or socket is in the place of a file or folder: reading one may
 * never end. What is not there is none of them. */
bool file_is_readable_kind(const char *path, GError **error);
/* The whole file, NUL-terminated, if it is a regular file (or pipe) of at most max_bytes. New memory. */
char *file_read(const char *path, size_t max_bytes, size_t *ret_length, GError **error);
/* The last of what a file holds, as text; "" where there is none. New string. */
char *file_tail(const char *path, size_t bytes);
/* A complete file or none, that survives a power cut: temp file beside it, fsync, rename, fsync of the folder. */
bool file_write_durable(const char *path, const char *data, size_t length, GError **error);
/* mkdir -p with mode 0777 & ~umask. */
bool file_make_dirs(const char *path, GError **error);
/* Lower-case hex SHA-256 of the content. New string. */
char *file_sha256(const char *path, GError **error);
/* Who is told, once a second, how far the digest of a file that takes longer has got, and of its end (done is total).
 * For all of the process: set before any thread. */
typedef void file_follow_fn(const char *path, int64_t done, int64_t total);
void file_follow_sha256(file_follow_fn *follow);
/* Removes a folder and what is in it; symbolic links are removed, not followed. Missing is fine. */
bool file_remove_tree(const char *path, GError **error);
/* Fsyncs a folder, so that a rename in it survives a power cut. */
bool file_sync_dir(const char *path, GError **error);
/* Sets an LLEM_ERROR_IO "WHAT PATH: strerror" from errno. Always returns false, for "return file_error(…)". */
bool file_error(GError **error, const char *what, const char *path);
