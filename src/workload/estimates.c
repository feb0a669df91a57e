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
    *facts = (struct workload_facts){0};
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
    };
    json_object_set_new(tree, "format", json_string(facts->format == WORKLOAD_FORMAT_GGUF ? "gguf" : "hf"));
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        if (texts[i].value)
            json_object_set_new(tree, texts[i].name, json_string(texts[i].value));
    for (size_t i = 0; i < G_N_ELEMENTS(integers); i++)
        if (integers[i].value)
            json_object_set_new(tree, integers[i].name, json_integer(integers[i].value));
    json_object_set_new(tree, "gated_mlp", json_boolean(facts->gated_mlp));
    json_object_set_new(tree, "tied_embeddings", json_boolean(facts->tied_embeddings));
    return tree;
}

/* Operations that every processed token costs, whatever its context: projections and MLP of all layers. */
static double linear_flops_per_token(const struct workload_facts *f)
{
    double d = (double)f->d_model, q = (double)f->n_heads, kv = (double)f->n_kv_heads;
    double head_k = (double)f->head_dim_k, head_v = (double)f->head_dim_v;
    double qkv = 2 * d * (q * head_k + kv * head_k + kv * head_v);
    double out = 2 * q * head_v * d;
    double mlp = (f->gated_mlp ? 6 : 4) * d * (double)f->d_ffn;
    if (f->n_experts > 0)
        mlp = mlp * (double)MAX(f->n_experts_used, 1) + 2 * d * (double)f->n_experts;
    return (double)f->n_layers * (qkv + out + mlp);
}

/* Operations per attended position: one product with a key and one with a value, per query head and layer. */
static double attention_flops_per_position(const struct workload_facts *f)
{
    return 2 * (double)f->n_heads * (double)(f->head_dim_k + f->head_dim_v) * (double)f->n_layers;
}

bool workload_flops_estimate(const struct workload_facts *f, int64_t n_input, int64_t n_output,
                             struct workload_flops *ret, const char **ret_reason)
{
    *ret_reason = NULL;
    if (n_input < 1 || n_output < 1)
        *ret_reason = "no tokens";
    else if (!f->n_layers || !f->n_heads || !f->d_model || !f->head_dim_k || !f->head_dim_v)
        *ret_reason = "the model's file does not tell its layers and heads";
    else if (!f->d_ffn || !f->n_vocab)
        *ret_reason =
            "the model's file does not tell the width of its MLP or the size of its vocabulary";
    if (*ret_reason)
        return false;
    double n = (double)n_input,
           m = (double)(n_output - 1); /* the first output token comes out of the prefill */
    double linear = linear_flops_per_token(f), attention = attention_flops_per_position(f);
    double logits = 2 * (double)f->n_vocab * (double)f->d_model;
    ret->prefill = n * linear + n * (n + 1) / 2 * attention + logits;
    /* Output token i (from 1) is computed from the token before it, which attends to n + i positions. */
    ret->decode = m * (linear + logits) + (m * n + m * (m + 1) / 2) * attention;
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

int64_t workload_kv_bytes(const struct workload_facts *f, int64_t n_tokens, const char *type_k, const char *type_v)
{
    int64_t positions, rows, k, v, sum;
    if (!f->n_layers || !f->n_kv_heads || !f->head_dim_k || n_tokens < 0 ||
        __builtin_mul_overflow(f->n_layers, n_tokens, &positions) ||
        __builtin_mul_overflow(positions, f->n_kv_heads, &rows) ||
        __builtin_mul_overflow(rows, f->head_dim_k, &k) ||
        __builtin_mul_overflow(rows, f->head_dim_v, &v))
        return -1;
    int64_t bytes_k = stored_bytes(k, type_k), bytes_v = stored_bytes(v, type_v);
    return bytes_k < 0 || bytes_v < 0 || __builtin_add_overflow(bytes_k, bytes_v, &sum) ? -1 : sum;
}

int64_t workload_weights_bytes(const struct workload_facts *f, const char *form)
{
    if (f->form && !g_ascii_strcasecmp(f->form, form) && f->weights_bytes > 0)
        return f->weights_bytes;
    return f->n_params > 0 ? stored_bytes(f->n_params, form) : -1;
}
