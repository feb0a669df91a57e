/* SPDX-License-Identifier: MIT */
/* What the tests of the store share. */
#pragma once

#include "store/internal.h"

/* A study of the scripted engine in a folder of its own. */
struct made {
    char *dir;             /* for results, and whatever a test puts beside them */
    struct config_file *file;
    struct plan *plan;
    struct store *store;
};

/* text: a study file. */
struct made make(const char *text);
void made_clear(struct made *made);
typedef struct made owned_made;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_made, made_clear)

/* The store read anew, while it may be open for writing elsewhere; asserts that it can be. */
struct store *reopen(const struct made *made, enum store_access access);
/* An exchange folder in the study with a whole result (or an error record of this class). New string. */
char *exchange_with_result(const struct store *store, size_t run, const char *error_class);
/* A run from its begin to its end. */
void run_to_the_end(struct store *store, size_t run, enum store_state state);
char *path_in(const struct store *store, const char *name);
char *content_of(const struct store *store, const char *name);

void add_journal_tests(void);
void add_folder_tests(void);
void add_fault_tests(void);
