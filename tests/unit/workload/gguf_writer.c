/* SPDX-License-Identifier: MIT */
#include "gguf_writer.h"

#include <string.h>

static void put_uint(GByteArray *to, uint64_t value, guint width)
{
    uint64_t little = GUINT64_TO_LE(value);
    g_byte_array_append(to, (const guint8 *)&little, width);
}

static void put_text(GByteArray *to, const char *text)
{
    put_uint(to, strlen(text), 8);
    g_byte_array_append(to, (const guint8 *)text, (guint)strlen(text));
}

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){.pairs = g_byte_array_new(), .tensors = g_byte_array_new()};
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    put_text(w->pairs, key);
    put_uint(w->pairs, 4, 4);
    put_uint(w->pairs, value, 4);
    w->n_pairs++;
}

void gguf_put_string(struct gguf_writer *w, const char *key, const char *value)
{
    put_text(w->pairs, key);
    put_uint(w->pairs, 8, 4);
    put_text(w->pairs, value);
    w->n_pairs++;
}

void gguf_put_array(struct gguf_writer *w, const char *key, const uint32_t *values, uint64_t n)
{
    put_text(w->pairs, key);
    put_uint(w->pairs, 9, 4);
    put_uint(w->pairs, values ? 4 : 8, 4);
    put_uint(w->pairs, n, 8);
    for (uint64_t i = 0; i < n; i++)
        put_uint(w->pairs, values ? values[i] : 0, values ? 4 : 8);
    w->n_pairs++;
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, uint64_t rows, uint64_t columns,
                     uint32_t type, uint64_t bytes)
{
    put_text(w->tensors, name);
    put_uint(w->tensors, columns ? 2 : 1, 4);
    put_uint(w->tensors, rows, 8);
    if (columns)
        put_uint(w->tensors, columns, 8);
    put_uint(w->tensors, type, 4);
    put_uint(w->tensors, w->data_bytes, 8);
    w->data_bytes += (bytes + 31) / 32 * 32;
    w->n_tensors++;
}

GByteArray *gguf_writer_finish(struct gguf_writer *w)
{
    GByteArray *file = g_byte_array_new();
    g_byte_array_append(file, (const guint8 *)"GGUF", 4);
    put_uint(file, 3, 4);
    put_uint(file, w->n_tensors, 8);
    put_uint(file, w->n_pairs, 8);
    g_byte_array_append(file, w->pairs->data, w->pairs->len);
    g_byte_array_append(file, w->tensors->data, w->tensors->len);
    while (file->len % 32)
        put_uint(file, 0, 1);
    for (uint64_t i = 0; i < w->data_bytes; i++)
        put_uint(file, 0, 1);
    g_byte_array_unref(w->pairs);
    g_byte_array_unref(w->tensors);
    return file;
}

GByteArray *gguf_tiny_llama(void)
{
    static const struct {
        const char *name;
        uint64_t in, out;
    } per_layer[] = {
        {"attn_norm", 64, 0}, {"attn_q", 64, 64},      {"attn_k", 64, 32},
        {"attn_v", 64, 32},   {"attn_output", 64, 64}, {"ffn_norm", 64, 0},
        {"ffn_gate", 64, 96}, {"ffn_up", 64, 96},      {"ffn_down", 96, 64},
    };
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_put_string(&w, "general.architecture", "llama");
    gguf_put_string(&w, "general.name", "tiny");
    gguf_put_string(&w, "general.license", "mit");
    gguf_put_u32(&w, "general.file_type", 0);
    gguf_put_u32(&w, "llama.context_length", 128);
    gguf_put_u32(&w, "llama.embedding_length", 64);
    gguf_put_u32(&w, "llama.block_count", 2);
    gguf_put_u32(&w, "llama.feed_forward_length", 96);
    gguf_put_u32(&w, "llama.attention.head_count", 4);
    gguf_put_u32(&w, "llama.attention.head_count_kv", 2);
    gguf_put_array(&w, "tokenizer.ggml.tokens", NULL, 32);
    gguf_put_tensor(&w, "token_embd.weight", 64, 32, 0, 64 * 32 * 4);
    gguf_put_tensor(&w, "output_norm.weight", 64, 0, 0, 64 * 4);
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < G_N_ELEMENTS(per_layer); i++) {
            g_autofree char *name = g_strdup_printf("blk.%d.%s.weight", layer, per_layer[i].name);
            gguf_put_tensor(&w, name, per_layer[i].in, per_layer[i].out, 0,
                            per_layer[i].in * MAX(per_layer[i].out, 1) * 4);
        }
    }
    return gguf_writer_finish(&w);
}
