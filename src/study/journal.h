/* SPDX-License-Identifier: MIT */
/* Internal to study: an append-only file of JSON lines, each on disk before the call returns. */
#pragma once

#include "base/base.h"

struct journal;

struct journal *journal_open(const char *path, GError **error);
/* Takes over the reference. One write, one fsync, whatever the size of the study. */
bool journal_append(struct journal *journal, json_t *line, GError **error);
void journal_close(struct journal *journal);
