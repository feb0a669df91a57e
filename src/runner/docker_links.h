/* SPDX-License-Identifier: MIT */
/* Internal to the runners that start containers: where the symbolic links of a folder lead. Pure but for the file
 * system. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* True for the folder itself too; whole names only. */
bool docker_is_below(const char *path, const char *folder);
/* What links at or below root lead to: outside of it by a relative text, and anywhere by an absolute one. Dead links
 * are left out. root has no link in it. New arrays of strings. */
void docker_links(const char *root, GPtrArray **ret_relative, GPtrArray **ret_absolute);
/* The deepest folder that root and all targets are below. New string. */
char *docker_common_folder(const char *root, const GPtrArray *targets);
