/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the room. */
#pragma once

#include "config/config.h"

/* A study from text, which must be right. */
struct config_file *parse_ok(const char *text, const struct config_file_options *options);
/* The one experiment of a text that must be right. *ret_study must be freed after it. */
struct config *config_of(const char *text, const char *const *overrides, struct config_file **ret_study);
/* The hash of the one experiment of a text that must be right. */
char *hash_of(const char *text);
/* The rendering of what is wrong with a text that must be wrong. */
char *errors_of(const char *text);
/* A temporary file with this content. New path. */
char *temp_file(const char *suffix, const char *content);

/* A folder of engines with one of them, NAME/engine.json; LLEM_ENGINES_PATH names it before ours until
 * engines_away(). */
void engine_there(const char *name, const char *json);
void engines_away(void);
/* A table with every engine there is, whose descriptors must be in order. */
struct config_table *whole_table(void);

void add_engine_tests(void);
void add_rows_tests(void);
void add_hash_tests(void);
void add_message_tests(void);
