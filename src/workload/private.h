/* SPDX-License-Identifier: MIT */
/* Between the files of this room. */
#pragma once

#include "workload/workload.h"

/* Why the rules of the estimates do not fit a model. */
#define WORKLOAD_RECURRENT_FLOPS "layers of this model are recurrent; the operations of their state have no rule here"
#define WORKLOAD_RECURRENT_KV    "layers of this model keep a state instead of keys and values of every position"
#define WORKLOAD_WINDOW_FLOPS "the model has a sliding window, and its file does not tell which layers look through it"

/* Where data sets lie that come with llem, and their list. New string. */
char *workload_data_folder(void);
/* The file beside a form made here in which its SHA-256 is noted. New string. */
char *workload_form_note(const char *path);
/* What a text is that begins like this, where another was to be: "a pointer of Git LFS …", with what to do. NULL: not
 * known. */
const char *workload_recognise(const char *text, size_t length);
bool facts_read_hf(const char *folder, struct workload_facts *ret, GError **error);
/* False, with an error (DATA), for a model's folder whose config.json or weights are something else, or cut off. */
bool hf_is_sound(const char *folder, GError **error);
/* The same from the text of a config.json. */
bool facts_parse_hf(const char *text, size_t length, const char *name, struct workload_facts *ret,
                    GError **error);
/* Layers and reasons from a config.json whose other facts are known. */
bool facts_add_hf_layers(const json_t *config, const char *name, struct workload_facts *facts, GError **error);
