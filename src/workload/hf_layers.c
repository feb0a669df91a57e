/* SPDX-License-Identifier: MIT */
/* What a config.json says of single layers: windows, latent attention; and of what has no rule here. */
#include "workload/private.h"

#include <string.h>

static int64_t integer(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    int64_t found = json_is_integer(value) ? json_integer_value(value) : 0;
    return found > 0 && found <= INT64_C(1) << 32 ? found : 0;
}

/* --- What has no rule ------------------------------------------------------------------------------------------------ */

static bool lists(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!g_strcmp0(json_string_value(json_array_get(list, i)), word))
            return true;
    return false;
}

static bool is_recurrent(const json_t *config)
{
    static const char *const keys[] = {"mamba_d_state", "ssm_cfg", "ssm_state_size", "state_size", "attn_layer_period",
                                       "hybrid_override_pattern", "layers_block_type", "linear_num_key_heads",
                                       "linear_attn_config", "conv_L_cache", "attention_hidden_size", "block_types"};
    static const char *const kinds[] = {"linear_attention", "conv", "recurrent", "mamba"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (json_object_get(config, keys[i]))
            return true;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (lists(json_object_get(config, "layer_types"), kinds[i]))
            return true;
    return false;
}

static bool find_strange(const json_t *config, struct workload_facts *facts)
{
    if (is_recurrent(config)) {
        facts->flops_reason = WORKLOAD_RECURRENT_FLOPS;
        facts->kv_reason = WORKLOAD_RECURRENT_KV;
    } else if (json_is_true(json_object_get(config, "is_encoder_decoder"))) {
        facts->flops_reason = "the model has an encoder, whose operations have another rule";
        facts->kv_reason = "the model has an encoder, whose positions are cached by another rule";
    } else if (integer(config, "index_topk")) {
        facts->flops_reason = "each token of this model attends to positions that an index picks";
        facts->kv_reason = "this model caches an index beside keys and values";
    } else if (integer(config, "attention_chunk_size")) {
        facts->flops_reason = "the model attends to chunks of positions, which have no rule here";
    }
    return facts->flops_reason != NULL;
}

/* --- Windows --------------------------------------------------------------------------------------------------------- */

enum { FULL, WINDOWED, UNTOLD };

static int kind_of_layer(const json_t *config, int64_t i)
{
    static const char *const all[] = {"mistral", "mixtral", "phi3", "starcoder2", NULL};
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const char *word = json_string_value(json_array_get(json_object_get(config, "layer_types"), (size_t)i));
    int64_t period = integer(config, "sliding_window_pattern");
    const json_t *most = json_object_get(config, "max_window_layers");
    if (word)
        return !strcmp(word, "sliding_attention") ? WINDOWED : !strcmp(word, "full_attention") ? FULL : UNTOLD;
    if (period)
        return (i + 1) % period ? WINDOWED : FULL;
    if (json_is_integer(most))
        return i >= json_integer_value(most) ? WINDOWED : FULL;
    if (!g_strcmp0(type, "gemma2"))
        return i % 2 ? FULL : WINDOWED;
    return type && g_strv_contains(all, type) ? WINDOWED : UNTOLD;
}

static void add_windows(const json_t *config, struct workload_facts *facts)
{
    int64_t window = integer(config, "sliding_window");
    if (!window || json_is_false(json_object_get(config, "use_sliding_window")))
        return;
    for (int64_t i = 0; i < facts->n_layers; i++) {
        int kind = kind_of_layer(config, i);
        if (kind == UNTOLD)
            facts->flops_reason = WORKLOAD_WINDOW_FLOPS;
        facts->layers[i].window = kind == WINDOWED ? window : 0;
    }
}

/* --- Latent attention ------------------------------------------------------------------------------------------------- */

/* Keys and values of all heads come out of one narrow vector; a part of each key is made beside it. */
static void add_latent(const json_t *config, struct workload_facts *facts)
{
    double rank = (double)integer(config, "kv_lora_rank"), q_rank = (double)integer(config, "q_lora_rank");
    int64_t plain = integer(config, "qk_nope_head_dim"), turned = integer(config, "qk_rope_head_dim"),
            value = integer(config, "v_head_dim");
    double d = (double)facts->d_model, heads = (double)facts->n_heads, key = (double)(plain + turned);
    facts->kv_reason = "how latent keys and values are cached is the engine's choice";
    if (!plain || !turned || !value || !heads) {
        facts->flops_reason = "its config.json does not tell the widths of its latent attention";
        return;
    }
    double queries = q_rank > 0 ? d * q_rank + q_rank * heads * key : d * heads * key;
    double attention = queries + d * (rank + (double)turned) + rank * heads * (double)(plain + value) +
                       heads * (double)value * d;
    double used = (double)(MAX(facts->n_experts_used, 1) + integer(config, "n_shared_experts"));
    for (int64_t i = 0; i < facts->n_layers; i++) {
        struct workload_layer *layer = &facts->layers[i];
        bool dense = !facts->n_experts || i < integer(config, "first_k_dense_replace");
        double mlp = dense ? 3 * d * (double)integer(config, "intermediate_size")
                           : 3 * d * (double)facts->d_ffn * used + d * (double)facts->n_experts;
        layer->head_dim_k = plain + turned;
        layer->head_dim_v = value;
        layer->n_kv_heads = facts->n_heads;
        layer->multiplied = attention + mlp;
    }
}

bool facts_add_hf_layers(const json_t *config, const char *name, struct workload_facts *facts, GError **error)
{
    if (facts->n_layers > LIMIT_GGUF_LAYERS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: %" G_GINT64_FORMAT " layers cannot be right", name,
                    facts->n_layers);
        return false;
    }
    facts->layers = g_new0(struct workload_layer, (size_t)facts->n_layers + 1);
    for (int64_t i = 0; i < facts->n_layers; i++)
        facts->layers[i] = (struct workload_layer){.n_heads = facts->n_heads,
                                                   .n_kv_heads = facts->n_kv_heads,
                                                   .head_dim_k = facts->head_dim_k,
                                                   .head_dim_v = facts->head_dim_v,
                                                   .d_ffn = facts->d_ffn};
    if (find_strange(config, facts))
        return true;
    if (integer(config, "kv_lora_rank"))
        add_latent(config, facts);
    add_windows(config, facts);
    return true;
}
