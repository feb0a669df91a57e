/* SPDX-License-Identifier: MIT */
/* Writes small GGUF files for tests: a header of chosen pairs and tensors, and data of zeros. */
#pragma once

#include <glib.h>
#include <stdint.h>

struct gguf_writer {
    GByteArray *pairs, *tensors;
    uint64_t n_pairs, n_tensors, data_bytes;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_put_string(struct gguf_writer *w, const char *key, const char *value);
/* An array of u32, or of n empty strings when values is NULL. */
void gguf_put_array(struct gguf_writer *w, const char *key, const uint32_t *values, uint64_t n);
/* bytes: what its data takes; the next one starts at the next multiple of 32. */
void gguf_put_tensor(struct gguf_writer *w, const char *name, uint64_t rows, uint64_t columns,
                     uint32_t type, uint64_t bytes);
/* The whole file; frees the parts. */
GByteArray *gguf_writer_finish(struct gguf_writer *w);

/* A tiny llama: 2 layers, 4 heads, 2 kv heads, width 64, ffn 96, vocabulary 32, tied, f32. */
GByteArray *gguf_tiny_llama(void);
