/* SPDX-License-Identifier: MIT */
/* Internal to study: an append-only file of JSON lines, each on disk before the call returns. While it is open its
 * writer holds an advisory lock on it: a reader can tell a study at work from one that was killed. */
#pragma once

#include "study/study.h"

struct journal;

struct journal *journal_open(const char *path, GError **error);
/* Takes over the reference. One write, one fsync, whatever the size of the study. */
bool journal_append(struct journal *journal, json_t *line, GError **error);
void journal_close(struct journal *journal);
/* Whether somebody has it open for writing. */
bool journal_is_being_written(const char *path);

/* Why a run failed, for behind the name of its state: "interrupted" is not said twice; NULL: that says it
 * all. Borrowed. */
const char *message_of_failure(const GError *failure);
/* What a run's failure makes of the run. */
enum study_state state_of_failure(const GError *failure);
