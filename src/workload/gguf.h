/* SPDX-License-Identifier: MIT */
/*
 * Internal to workload: what the heads of a GGUF model say.
 *
 *   gguf.c        one file → struct gguf
 *   gguf_parts.c  the files of a model that comes in parts, together
 *   gguf_facts.c  struct gguf → facts
 *   facts.c       asks them for the facts of a path
 *
 * ggml has functions that begin with gguf_ and may be in the same process: ours begin with gguf_head_.
 */
#pragma once

#include "workload/workload.h"

struct gguf {
    GHashTable *integers; /* key → boxed int64: integers, true and false */
    GHashTable *arrays;   /* key → struct gguf_array: of these, where there are at most LIMIT_GGUF_LAYERS */
    GHashTable *strings;  /* key → text */
    int64_t n_token_strings;

    GHashTable *tensor_names;
    int64_t n_params, weights_bytes, file_bytes;
    int64_t n_files; /* 0: nobody has looked for further parts */
    int64_t bytes_of_type[64];
    bool has_output, has_gate;
    int64_t d_ffn_up; /* rows of blk.0.ffn_up */
    int64_t d_norm;   /* width of a layer's norm; 0: none was seen */
    GArray *matrices; /* of struct gguf_matrices, by layer */
};

/* Elements of a layer's matrices. */
struct gguf_matrices {
    double plain, experts;
};

struct gguf_array {
    size_t at; /* byte of the file at which it begins */
    GArray *values; /* of int64_t */
};

void gguf_head_free(struct gguf *head);
typedef struct gguf owned_gguf; /* for g_autoptr(owned_gguf) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_gguf, gguf_head_free)

/* From memory that holds (the head of) a file. NULL: an error, or *ret_more: the memory does not hold the whole head,
 * nothing else is wrong, and no error is set. */
struct gguf *gguf_head_parse(const void *bytes, size_t length, int64_t file_bytes, const char *name, bool *ret_more,
                        GError **error);
struct gguf *gguf_head_read(const char *path, GError **error);
/* The integer of a key ("split.no"), of an architecture's ("block_count" of "llama") or of the file (NULL); otherwise
 * where it is not there or negative. */
int64_t gguf_head_integer(const struct gguf *head, const char *architecture, const char *key, int64_t otherwise);

/* All parts of a model from its first, which is read already: counted together in head. */
bool gguf_head_add_parts(struct gguf *head, const char *path, GError **error);

/* name: of the file, for messages. */
bool gguf_head_facts(const struct gguf *head, const char *name, struct workload_facts *ret, GError **error);
