/* SPDX-License-Identifier: MIT */
#include "gguf_writer.h"

#include <stdbool.h>

#define WIDTH  64
#define FFN    96
#define LAYERS 2
#define VOCAB  512

static const struct {
    const char *name;
    uint64_t in, out; /* out 0: a norm */
} per_layer[] = {
    {"attn_norm", WIDTH, 0},  {"attn_q", WIDTH, 64},      {"attn_k", WIDTH, 32},
    {"attn_v", WIDTH, 32},    {"attn_output", 64, WIDTH}, {"ffn_norm", WIDTH, 0},
    {"ffn_gate", WIDTH, FFN}, {"ffn_up", WIDTH, FFN},     {"ffn_down", FFN, WIDTH},
};

static void put_shape(struct gguf_writer *w)
{
    gguf_put_string(w, "general.architecture", "llama");
    gguf_put_string(w, "general.name", "tiny");
    gguf_put_string(w, "general.license", "mit");
    gguf_put_u32(w, "general.file_type", 0);
    gguf_put_u32(w, "llama.context_length", 2048);
    gguf_put_u32(w, "llama.embedding_length", WIDTH);
    gguf_put_u32(w, "llama.block_count", LAYERS);
    gguf_put_u32(w, "llama.feed_forward_length", FFN);
    gguf_put_u32(w, "llama.attention.head_count", 2);
    gguf_put_u32(w, "llama.attention.head_count_kv", 1);
}

GByteArray *gguf_tiny_llama(void)
{
    static const char *const no_words[32] = {"", "", "", "", "", "", "", "", "", "", "",
                                             "", "", "", "", "", "", "", "", "", "", "",
                                             "", "", "", "", "", "", "", "", "", ""};
    struct gguf_writer w;
    gguf_writer_init(&w);
    put_shape(&w);
    gguf_put_strings(&w, "tokenizer.ggml.tokens", no_words, 32);
    gguf_put_tensor(&w, "token_embd.weight", WIDTH, 32, 0, NULL, WIDTH * 32 * 4);
    gguf_put_tensor(&w, "output_norm.weight", WIDTH, 0, 0, NULL, WIDTH * 4);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (size_t i = 0; i < G_N_ELEMENTS(per_layer); i++) {
            g_autofree char *name = g_strdup_printf("blk.%d.%s.weight", layer, per_layer[i].name);
            gguf_put_tensor(&w, name, per_layer[i].in, per_layer[i].out, 0, NULL,
                            per_layer[i].in * MAX(per_layer[i].out, 1) * 4);
        }
    }
    return gguf_writer_finish(&w);
}

/* A vocabulary of the SentencePiece kind: unknown, begin, end, the 256 bytes, words that no text has. */
static void put_vocabulary(struct gguf_writer *w, uint32_t eos)
{
    enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };
    char *words[VOCAB];
    int32_t types[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        bool is_byte = i >= 3 && i < 259;
        words[i] = is_byte ? g_strdup_printf("<0x%02X>", i - 3)
                           : g_strdup_printf(i < 3 ? "<%d>" : "w%d", i);
        types[i] = is_byte ? BYTE : i == 0 ? UNKNOWN : i < 3 ? CONTROL : NORMAL;
    }
    gguf_put_string(w, "tokenizer.ggml.model", "llama");
    gguf_put_strings(w, "tokenizer.ggml.tokens", (const char *const *)words, VOCAB);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", types, VOCAB);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", eos);
    for (int i = 0; i < VOCAB; i++)
        g_free(words[i]);
}

/* Uniform in ±0.3 for matrices, 1 for norms. New memory. */
static float *weights(uint32_t *state, uint64_t n, bool norm)
{
    float *values = g_new(float, n);
    for (uint64_t i = 0; i < n; i++) {
        *state = *state * 1664525 + 1013904223; /* a linear congruential generator: any will do */
        values[i] = norm ? 1 : ((float)(*state >> 8) / 8388608 - 1) * 0.3f;
    }
    return values;
}

static void put_weights(struct gguf_writer *w, uint32_t *state, const char *name, uint64_t in,
                        uint64_t out)
{
    uint64_t n = in * MAX(out, 1);
    g_autofree float *values = weights(state, n, out == 0);
    gguf_put_tensor(w, name, in, out, 0, values, n * 4);
}

GByteArray *gguf_running_llama(uint32_t seed, uint32_t eos)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    put_shape(&w);
    gguf_put_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_put_u32(&w, "llama.rope.dimension_count", 32);
    gguf_put_u32(&w, "llama.vocab_size", VOCAB);
    put_vocabulary(&w, eos);
    put_weights(&w, &seed, "token_embd.weight", WIDTH, VOCAB);
    put_weights(&w, &seed, "output_norm.weight", WIDTH, 0);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (size_t i = 0; i < G_N_ELEMENTS(per_layer); i++) {
            g_autofree char *name = g_strdup_printf("blk.%d.%s.weight", layer, per_layer[i].name);
            put_weights(&w, &seed, name, per_layer[i].in, per_layer[i].out);
        }
    }
    return gguf_writer_finish(&w);
}
