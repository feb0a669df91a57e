/* SPDX-License-Identifier: MIT */
/* How GGUF files store numbers: rows of facts, private to this room (and compared with libggml by a test). */
#pragma once

#include <stdint.h>

/* A tensor type: values per block and bytes per block. Source: ggml.h and ggml.c of ggml 0.25. */
struct ggml_type_row {
    uint32_t id;
    const char *name;
    int64_t block_values;
    int64_t block_bytes;
};

/* NULL for an id this program does not know. */
const struct ggml_type_row *ggml_type_by_id(uint32_t id);
const struct ggml_type_row *ggml_type_by_name(const char *name);
/* The name of a general.file_type ("q4_1"), or NULL. Source: enum llama_ftype in llama.h. */
const char *ggml_file_type_name(int64_t file_type);
