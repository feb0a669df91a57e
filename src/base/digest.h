/* SPDX-License-Identifier: MIT */
/* SHA-256 of files that are read again and again: weights of gigabytes cost seconds. What was found is kept under
 * ${XDG_CACHE_HOME:-~/.cache}/llem/digests for as long as the file's device, inode, size and times stay the same. */
#pragma once

#include <glib.h>

/* Lower-case hex SHA-256 of the content, as file_sha256(); remembered where reading is slow. A file that changed while
 * it was read, or within the last ticks of its file system's clock, is never remembered. New string. Errors: IO. */
char *file_sha256_cached(const char *path, GError **error);
