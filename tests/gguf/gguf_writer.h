/* SPDX-License-Identifier: MIT */
/* Writes small GGUF files for tests: a header of chosen pairs and tensors, and their data. */
#pragma once

#include <glib.h>
#include <stdint.h>

struct gguf_writer {
    GByteArray *pairs, *tensors, *data;
    uint64_t n_pairs, n_tensors;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_writer *w, const char *key, float value);
void gguf_put_string(struct gguf_writer *w, const char *key, const char *value);
/* An array of u32 or i32 (the same bytes), or of n strings. */
void gguf_put_u32s(struct gguf_writer *w, const char *key, const uint32_t *values, uint64_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *values, uint64_t n);
void gguf_put_strings(struct gguf_writer *w, const char *key, const char *const *values,
                      uint64_t n);
/* columns 0: one dimension. bytes: what its data takes, data NULL: zeros. The next one starts at a multiple of 32. */
void gguf_put_tensor(struct gguf_writer *w, const char *name, uint64_t rows, uint64_t columns,
                     uint32_t type, const void *data, uint64_t bytes);
/* The whole file; frees the parts. */
GByteArray *gguf_writer_finish(struct gguf_writer *w);

/* A tiny llama that only a reader of headers can use: 2 layers, 2 heads, 1 kv head, width 64, ffn 96, vocabulary 32,
 * tied, f32, all weights zero. */
GByteArray *gguf_tiny_llama(void);

/* A tiny llama that runs: 2 layers, 2 heads, 1 kv head, width 64, ffn 96, tied, f32, random weights by the seed, a
 * vocabulary of 512 with every byte a token. eos: which token ends a text. */
GByteArray *gguf_running_llama(uint32_t seed, uint32_t eos);
