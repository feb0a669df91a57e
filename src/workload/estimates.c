/* SPDX-License-Identifier: MIT */
#include "workload/private.h"

#include "workload/ggml_types.h"

#include <string.h>

void workload_facts_clear(struct workload_facts *facts)
{
    g_free(facts->architecture);
    g_free(facts->name);
    g_free(facts->licence);
    g_free(facts->form);
    g_free(facts->layers);
    *facts = (struct workload_facts){0};
}

/* A number of each layer; NULL: all have the same. New reference. */
static json_t *by_layer(const struct workload_facts *facts, size_t member)
{
    bool same = true;
    json_t *list = json_array();
    for (int64_t i = 0; facts->layers && i < facts->n_layers; i++) {
        int64_t value = *(const int64_t *)(const void *)((const char *)&facts->layers[i] + member);
        same &= value == *(const int64_t *)(const void *)((const char *)&facts->layers[0] + member);
        json_array_append_new(list, json_integer(value));
    }
    if (!same)
        return list;
    json_decref(list);
    return NULL;
}

/* Numbers in which the layers differ are lists. */
static void add_layers(const struct workload_facts *facts, json_t *tree)
{
    static const struct {
        const char *name;
        size_t member;
    } rows[] = {
#define ROW(name) {#name, offsetof(struct workload_layer, name)}
        ROW(n_heads), ROW(n_kv_heads), ROW(head_dim_k), ROW(head_dim_v), ROW(d_ffn), ROW(window),
#undef ROW
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        json_t *list = by_layer(facts, rows[i].member);
        if (list)
            json_object_set_new(tree, rows[i].name, list);
    }
}

json_t *workload_facts_json(const struct workload_facts *facts)
{
    json_t *tree = json_object();
    const struct {
        const char *name;
        const char *value;
    } texts[] = {{"architecture", facts->architecture},
                 {"name", facts->name},
                 {"licence", facts->licence},
                 {"form", facts->form}};
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {
        {"n_layers", facts->n_layers},
        {"n_heads", facts->n_heads},
        {"n_kv_heads", facts->n_kv_heads},
        {"head_dim_k", facts->head_dim_k},
        {"head_dim_v", facts->head_dim_v},
        {"d_model", facts->d_model},
        {"d_ffn", facts->d_ffn},
        {"n_vocab", facts->n_vocab},
        {"context_length", facts->context_length},
        {"n_experts", facts->n_experts},
        {"n_experts_used", facts->n_experts_used},
        {"n_params", facts->n_params},
        {"weights_bytes", facts->weights_bytes},
        {"file_bytes", facts->file_bytes},
        {"n_files", facts->n_files},
    };
    json_object_set_new(tree, "format", json_string(facts->format == WORKLOAD_FORMAT_GGUF ? "gguf" : "hf"));
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        if (texts[i].value)
            json_object_set_new(tree, texts[i].name, json_string(texts[i].value));
    for (size_t i = 0; i < G_N_ELEMENTS(integers); i++)
        if (integers[i].value)
            json_object_set_new(tree, integers[i].name, json_integer(integers[i].value));
    if (facts->layers && facts->n_layers && facts->layers[0].window)
        json_object_set_new(tree, "window", json_integer(facts->layers[0].window));
    add_layers(facts, tree);
    if (facts->latent_cache)
        json_object_set_new(tree, "latent_cache", json_true());
    json_object_set_new(tree, "gated_mlp", json_boolean(facts->gated_mlp));
    json_object_set_new(tree, "tied_embeddings", json_boolean(facts->tied_embeddings));
    return tree;
}

/* Layer i as it is told, or as all are. */
static struct workload_layer layer_of(const struct workload_facts *f, int64_t i)
{
    return f->layers ? f->layers[i]
                     : (struct workload_layer){.n_heads = f->n_heads,
                                               .n_kv_heads = f->n_kv_heads,
                                               .head_dim_k = f->head_dim_k,
                                               .head_dim_v = f->head_dim_v,
                                               .d_ffn = f->d_ffn};
}

/* How often a layer counts, and how many there are to look at. */
static int64_t different_layers(const struct workload_facts *f, double *ret_times)
{
    *ret_times = f->layers ? 1 : (double)f->n_layers;
    return f->layers ? f->n_layers : MIN(f->n_layers, 1);
}

/* Operations that every processed token costs in a layer, whatever its context: projections and MLP. */
static double linear_flops_per_token(const struct workload_facts *f, const struct workload_layer *l)
{
    double d = (double)f->d_model, q = (double)l->n_heads, kv = (double)l->n_kv_heads;
    double head_k = (double)l->head_dim_k, head_v = (double)l->head_dim_v;
    if (l->multiplied > 0)
        return 2 * l->multiplied;
    double qkv = 2 * d * (q * head_k + kv * head_k + kv * head_v);
    double out = 2 * q * head_v * d;
    double mlp = (f->gated_mlp ? 6 : 4) * d * (double)l->d_ffn;
    if (f->n_experts > 0)
        mlp = mlp * (double)MAX(f->n_experts_used, 1) + 2 * d * (double)f->n_experts;
    return qkv + out + mlp;
}

/* Operations per attended position: one product with a key and one with a value, per query head. */
static double attention_flops_per_position(const struct workload_layer *l)
{
    return l->n_kv_heads ? 2 * (double)l->n_heads * (double)(l->head_dim_k + l->head_dim_v) : 0;
}

/* Positions attended to by the tokens at positions 1 to n together: each to itself and those before it, within a
 * window. */
static double attended(double n, double window)
{
    double ramp = window > 0 ? MIN(n, window) : n;
    return ramp * (ramp + 1) / 2 + (n - ramp) * window;
}

static const char *flops_lack(const struct workload_facts *f, int64_t n_input, int64_t n_output)
{
    if (n_input < 1 || n_output < 1)
        return "no tokens";
    if (f->flops_reason)
        return f->flops_reason;
    if (!f->n_layers || !f->n_heads || !f->d_model || !f->head_dim_k || !f->head_dim_v)
        return "the model's file does not tell its layers and heads";
    if (!f->d_ffn || !f->n_vocab)
        return "the model's file does not tell the width of its MLP or the size of its vocabulary";
    return NULL;
}

bool workload_flops_estimate(const struct workload_facts *f, int64_t n_input, int64_t n_output,
                             struct workload_flops *ret, const char **ret_reason)
{
    *ret_reason = flops_lack(f, n_input, n_output);
    if (*ret_reason)
        return false;
    double n = (double)n_input,
           m = (double)(n_output - 1); /* the first output token comes out of the prefill */
    double logits = 2 * (double)f->n_vocab * (double)f->d_model, times;
    *ret = (struct workload_flops){.prefill = logits, .decode = m * logits};
    int64_t layers = different_layers(f, &times);
    for (int64_t i = 0; i < layers; i++) {
        struct workload_layer l = layer_of(f, i);
        double linear = times * linear_flops_per_token(f, &l), attention = times * attention_flops_per_position(&l);
        double before = attended(n, (double)l.window);
        ret->prefill += n * linear + before * attention;
        /* Output token i (from 1) is computed from the token before it, which attends to n + i positions. */
        ret->decode += m * linear + (attended(n + m, (double)l.window) - before) * attention;
    }
    ret->total = ret->prefill + ret->decode;
    return true;
}

/* Bytes of n values stored as a type, whole blocks; -1 when unknown or too large. */
static int64_t stored_bytes(int64_t n, const char *type_name)
{
    const struct ggml_type_row *type = ggml_type_by_name(type_name);
    int64_t bytes;
    if (!type || n < 0 ||
        __builtin_mul_overflow(n / type->block_values + (n % type->block_values != 0),
                               type->block_bytes, &bytes))
        return -1;
    return bytes;
}

/* Bytes of n_tokens rows of heads × width, in `times` layers; -1 as stored_bytes(). */
static int64_t cached_bytes(int64_t n_tokens, int64_t heads, int64_t width, int64_t times, const char *type_name)
{
    int64_t rows, values, all;
    if (__builtin_mul_overflow(n_tokens, heads, &rows) || __builtin_mul_overflow(rows, width, &values) ||
        __builtin_mul_overflow(values, times, &all))
        return -1;
    return stored_bytes(all, type_name);
}

int64_t workload_kv_bytes(const struct workload_facts *f, int64_t n_tokens, const char *type_k, const char *type_v,
                          bool flash_attention)
{
    int64_t sum = 0;
    if (f->kv_reason || !f->n_layers || !f->n_kv_heads || !f->head_dim_k || n_tokens < 0)
        return -1;
    int64_t n = f->layers ? f->n_layers : 1, times = f->layers ? 1 : f->n_layers, widest = 0;
    for (int64_t i = 0; i < n; i++) {
        struct workload_layer l = layer_of(f, i);
        int64_t width;
        if (__builtin_mul_overflow(l.n_kv_heads, l.head_dim_v, &width))
            return -1;
        widest = MAX(widest, width);
    }
    for (int64_t i = 0; i < n; i++) {
        struct workload_layer l = layer_of(f, i);
        int64_t values = f->latent_cache ? 0 : flash_attention ? l.n_kv_heads * l.head_dim_v : widest;
        int64_t k = cached_bytes(n_tokens, l.n_kv_heads, l.head_dim_k, times, type_k);
        int64_t v = cached_bytes(n_tokens, values, 1, times, type_v);
        if (k < 0 || v < 0 || __builtin_add_overflow(sum, k, &sum) || __builtin_add_overflow(sum, v, &sum))
            return -1;
    }
    return sum;
}

int64_t workload_weights_bytes(const struct workload_facts *f, const char *form)
{
    if (f->form && !g_ascii_strcasecmp(f->form, form) && f->weights_bytes > 0)
        return f->weights_bytes;
    return f->n_params > 0 ? stored_bytes(f->n_params, form) : -1;
}
