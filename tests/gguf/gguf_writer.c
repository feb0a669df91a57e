/* SPDX-License-Identifier: MIT */
#include "gguf_writer.h"

#include <string.h>

static void put_uint(GByteArray *to, uint64_t value, unsigned width)
{
    uint64_t little = GUINT64_TO_LE(value);
    g_byte_array_append(to, (const uint8_t *)&little, width);
}

static void put_text(GByteArray *to, const char *text)
{
    put_uint(to, strlen(text), 8);
    g_byte_array_append(to, (const uint8_t *)text, (unsigned)strlen(text));
}

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){g_byte_array_new(), g_byte_array_new(), g_byte_array_new(), 0, 0};
}

static void put_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    put_text(w->pairs, key);
    put_uint(w->pairs, type, 4);
    w->n_pairs++;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    put_key(w, key, 4);
    put_uint(w->pairs, value, 4);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(w, key, 6);
    put_uint(w->pairs, bits, 4);
}

void gguf_put_string(struct gguf_writer *w, const char *key, const char *value)
{
    put_key(w, key, 8);
    put_text(w->pairs, value);
}

static void put_array_head(struct gguf_writer *w, const char *key, uint32_t type, uint64_t n)
{
    put_key(w, key, 9);
    put_uint(w->pairs, type, 4);
    put_uint(w->pairs, n, 8);
}

void gguf_put_u32s(struct gguf_writer *w, const char *key, const uint32_t *values, uint64_t n)
{
    put_array_head(w, key, 4, n);
    for (uint64_t i = 0; i < n; i++)
        put_uint(w->pairs, values[i], 4);
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *values, uint64_t n)
{
    put_array_head(w, key, 5, n);
    for (uint64_t i = 0; i < n; i++)
        put_uint(w->pairs, (uint32_t)values[i], 4);
}

void gguf_put_strings(struct gguf_writer *w, const char *key, const char *const *values, uint64_t n)
{
    put_array_head(w, key, 8, n);
    for (uint64_t i = 0; i < n; i++)
        put_text(w->pairs, values[i]);
}

static void put_zeros(GByteArray *to, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        put_uint(to, 0, 1);
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, uint64_t rows, uint64_t columns,
                     uint32_t type, const void *data, uint64_t bytes)
{
    put_text(w->tensors, name);
    put_uint(w->tensors, columns ? 2 : 1, 4);
    put_uint(w->tensors, rows, 8);
    if (columns)
        put_uint(w->tensors, columns, 8);
    put_uint(w->tensors, type, 4);
    put_uint(w->tensors, w->data->len, 8);
    if (data)
        g_byte_array_append(w->data, data, (unsigned)bytes);
    else
        put_zeros(w->data, bytes);
    put_zeros(w->data, -w->data->len % 32);
    w->n_tensors++;
}

GByteArray *gguf_writer_finish(struct gguf_writer *w)
{
    GByteArray *file = g_byte_array_new();
    g_byte_array_append(file, (const uint8_t *)"GGUF", 4);
    put_uint(file, 3, 4);
    put_uint(file, w->n_tensors, 8);
    put_uint(file, w->n_pairs, 8);
    g_byte_array_append(file, w->pairs->data, w->pairs->len);
    g_byte_array_append(file, w->tensors->data, w->tensors->len);
    put_zeros(file, -file->len % 32);
    g_byte_array_append(file, w->data->data, w->data->len);
    g_byte_array_unref(w->pairs);
    g_byte_array_unref(w->tensors);
    g_byte_array_unref(w->data);
    return file;
}
