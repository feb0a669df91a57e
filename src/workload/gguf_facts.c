/* SPDX-License-Identifier: MIT */
#include "workload/gguf.h"

#include "workload/ggml_types.h"
#include "workload/private.h"

#include <string.h>

/* The file's type by its own word, else the type most of its bytes have. */
static const char *form_name(const struct gguf *head)
{
    const char *name = ggml_file_type_name(gguf_head_integer(head, NULL, "general.file_type", -1));
    if (name)
        return name;
    size_t most = 0;
    for (size_t i = 1; i < G_N_ELEMENTS(head->bytes_of_type); i++)
        if (head->bytes_of_type[i] > head->bytes_of_type[most])
            most = i;
    return ggml_type_by_id((uint32_t)most)->name;
}

/* True if the file rules out every token around a text. What it does not say follows from the kind of its tokenizer;
 * these two kinds end no text by themselves. */
static bool adds_no_special(const struct gguf *head)
{
    const char *kind = g_hash_table_lookup(head->strings, "tokenizer.ggml.model");
    return gguf_head_integer(head, NULL, "tokenizer.ggml.add_bos_token", 1) == 0 && kind &&
           (!strcmp(kind, "gpt2") || !strcmp(kind, "llama")) &&
           gguf_head_integer(head, NULL, "tokenizer.ggml.add_eos_token", 0) == 0 &&
           gguf_head_integer(head, NULL, "tokenizer.ggml.add_sep_token", 0) == 0;
}

/* --- Layers -------------------------------------------------------------------------------------------------------- */

struct shape {
    const struct gguf *head;
    const char *architecture, *name;
    int64_t n_blocks; /* layers in the file */
};

static bool fail(const struct shape *s, size_t at, GError **error, const char *key, const char *what)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: byte %zu: '%s.%s' %s: the header is damaged", s->name, at,
                s->architecture, key, what);
    return false;
}

static const struct gguf_array *array_of(const struct shape *s, const char *key)
{
    g_autofree char *full = g_strdup_printf("%s.%s", s->architecture, key);
    return g_hash_table_lookup(s->head->arrays, full);
}

static int64_t element(const struct gguf_array *array, int64_t i)
{
    return g_array_index(array->values, int64_t, (guint)i);
}

/* True if a key is absent, a single value, or one for each layer, none below 0. */
static bool check_array(const struct shape *s, const char *key, GError **error)
{
    const struct gguf_array *array = array_of(s, key);
    for (int64_t i = 0; array && i < array->values->len; i++)
        if (element(array, i) < 0)
            return fail(s, array->at, error, key, "holds a number below 0");
    if (!array || array->values->len == s->n_blocks)
        return true;
    g_autofree char *what = g_strdup_printf("has %u elements for %" G_GINT64_FORMAT " layers", array->values->len,
                                            s->n_blocks);
    return fail(s, array->at, error, key, what);
}

/* The value of a key for a layer. */
static int64_t of_layer(const struct shape *s, const char *key, int64_t i, int64_t otherwise)
{
    const struct gguf_array *array = array_of(s, key);
    return array ? element(array, i) : gguf_head_integer(s->head, s->architecture, key, otherwise);
}

/* Where the file does not say which layers look through the window: every nth does not, the last of n or the first. As
 * llama.cpp has it for these architectures. */
static const struct {
    const char *architecture;
    int64_t period;
    bool first;
} windows[] = {{"gemma2", 2, false}, {"gemma3", 6, false}, {"gpt-oss", 2, false},     {"cohere2", 4, false},
               {"olmo2", 4, false},  {"plamo3", 8, false}, {"smallthinker", 4, true}};

#define PATTERN "attention.sliding_window_pattern"

/* -1: the file does not tell. */
static int64_t window_period(const struct shape *s, bool *ret_first)
{
    int64_t period = gguf_head_integer(s->head, s->architecture, PATTERN, -1);
    *ret_first = false;
    for (size_t i = 0; i < G_N_ELEMENTS(windows); i++) {
        if (strcmp(windows[i].architecture, s->architecture) != 0)
            continue;
        *ret_first = windows[i].first;
        period = period < 0 ? windows[i].period : period;
    }
    return period;
}

static bool looks_through_window(const struct shape *s, int64_t i)
{
    bool first;
    if (array_of(s, PATTERN))
        return element(array_of(s, PATTERN), i) != 0;
    int64_t period = window_period(s, &first);
    return period == 0 || (period > 0 && (first ? i % period != 0 : i % period < period - 1));
}

/* Elements by which a token is multiplied: of the experts, as many as it is sent to. */
static double multiplied(const struct gguf *head, const struct workload_facts *facts, int64_t i)
{
    if (i >= head->matrices->len)
        return 0;
    const struct gguf_matrices *m = &g_array_index(head->matrices, struct gguf_matrices, (guint)i);
    return m->plain + (facts->n_experts ? m->experts * (double)facts->n_experts_used / (double)facts->n_experts : 0);
}

static void fill_layer(const struct shape *s, const struct workload_facts *facts, int64_t i, struct workload_layer *ret)
{
    int64_t window = gguf_head_integer(s->head, s->architecture, "attention.sliding_window", 0);
    bool windowed = window > 0 && looks_through_window(s, i);
    *ret = (struct workload_layer){
        .n_heads = of_layer(s, "attention.head_count", i, 0),
        .d_ffn = of_layer(s, "feed_forward_length", i, 0),
        .head_dim_k = facts->head_dim_k,
        .head_dim_v = facts->head_dim_v,
        .window = windowed ? window : 0,
        .multiplied = multiplied(s->head, facts, i),
    };
    ret->n_kv_heads = of_layer(s, "attention.head_count_kv", i, ret->n_heads);
    if (windowed) {
        ret->head_dim_k = gguf_head_integer(s->head, s->architecture, "attention.key_length_swa", ret->head_dim_k);
        ret->head_dim_v = gguf_head_integer(s->head, s->architecture, "attention.value_length_swa", ret->head_dim_v);
    }
    if (facts->n_experts > 0)
        ret->d_ffn = gguf_head_integer(s->head, s->architecture, "expert_feed_forward_length", ret->d_ffn);
}

static bool fill_layers(const struct shape *s, struct workload_facts *facts, GError **error)
{
    static const char *const keys[] = {"attention.head_count", "attention.head_count_kv", "feed_forward_length",
                                       PATTERN};
    if (s->n_blocks > LIMIT_GGUF_LAYERS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: %" G_GINT64_FORMAT " layers: the header is damaged",
                    s->name, s->n_blocks);
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (!check_array(s, keys[i], error))
            return false;
    facts->layers = g_new0(struct workload_layer, (size_t)facts->n_layers + 1);
    for (int64_t i = 0; i < facts->n_layers; i++) {
        struct workload_layer *layer = &facts->layers[i];
        fill_layer(s, facts, i, layer);
        facts->n_heads = MAX(facts->n_heads, layer->n_heads);
        facts->n_kv_heads = MAX(facts->n_kv_heads, layer->n_kv_heads);
        facts->d_ffn = MAX(facts->d_ffn, layer->d_ffn);
    }
    return true;
}

/* --- What the rules of the estimates do not fit ---------------------------------------------------------------------- */

/* True if the architecture has a key that begins so. */
static bool has_keys(const struct shape *s, const char *beginning)
{
    g_autofree char *full = g_strdup_printf("%s.%s", s->architecture, beginning);
    GHashTableIter iter;
    void *key;
    g_hash_table_iter_init(&iter, s->head->integers);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (g_str_has_prefix(key, full))
            return true;
    return false;
}

static const struct {
    const char *key, *flops, *kv; /* reasons; NULL: the rule fits */
} strange[] = {
    {"ssm.", WORKLOAD_RECURRENT_FLOPS, WORKLOAD_RECURRENT_KV},
    {"wkv.", WORKLOAD_RECURRENT_FLOPS, WORKLOAD_RECURRENT_KV},
    {"kda.", WORKLOAD_RECURRENT_FLOPS, WORKLOAD_RECURRENT_KV},
    {"shortconv.", WORKLOAD_RECURRENT_FLOPS, WORKLOAD_RECURRENT_KV},
    {"token_shift_count", WORKLOAD_RECURRENT_FLOPS, WORKLOAD_RECURRENT_KV},
    {"attention.indexer.", "each token of this model attends to positions that an index picks",
     "this model caches an index beside keys and values"},
    {"attention.shared_kv_layers", "later layers of this model use the keys and values of earlier ones",
     "later layers of this model use the keys and values of earlier ones"},
    {"decoder_block_count", "the model has an encoder, whose operations have another rule",
     "the model has an encoder, whose positions are cached by another rule"},
    {"attention.chunk_size", "the model attends to chunks of positions, which have no rule here", NULL},
};

static void find_strange(const struct shape *s, struct workload_facts *facts)
{
    bool first;
    for (size_t i = 0; i < G_N_ELEMENTS(strange); i++) {
        if (!has_keys(s, strange[i].key))
            continue;
        facts->flops_reason = facts->flops_reason ? facts->flops_reason : strange[i].flops;
        facts->kv_reason = facts->kv_reason ? facts->kv_reason : strange[i].kv;
    }
    if (facts->flops_reason)
        return;
    if (gguf_head_integer(s->head, s->architecture, "attention.causal", 1) == 0)
        facts->flops_reason = "every token of this model attends to all others, before and behind it";
    else if (gguf_head_integer(s->head, s->architecture, "attention.sliding_window", 0) > 0 && !array_of(s, PATTERN) &&
             window_period(s, &first) < 0)
        facts->flops_reason = WORKLOAD_WINDOW_FLOPS;
}

/* --- Facts ----------------------------------------------------------------------------------------------------------- */

static bool fill_facts(const struct shape *s, struct workload_facts *facts, GError **error)
{
    const struct gguf *head = s->head;
    const char *architecture = s->architecture;
    *facts = (struct workload_facts){
        .format = WORKLOAD_FORMAT_GGUF,
        .architecture = g_strdup(architecture),
        .name = g_strdup(g_hash_table_lookup(head->strings, "general.name")),
        .licence = g_strdup(g_hash_table_lookup(head->strings, "general.license")),
        .form = g_strdup(form_name(head)),
        .n_layers = s->n_blocks - gguf_head_integer(head, architecture, "nextn_predict_layers", 0),
        .n_heads = gguf_head_integer(head, architecture, "attention.head_count", 0),
        .d_model = gguf_head_integer(head, architecture, "embedding_length", 0),
        .context_length = gguf_head_integer(head, architecture, "context_length", 0),
        .n_vocab = gguf_head_integer(head, architecture, "vocab_size", head->n_token_strings),
        .n_experts = gguf_head_integer(head, architecture, "expert_count", 0),
        .n_experts_used = gguf_head_integer(head, architecture, "expert_used_count", 0),
        .tied_embeddings = !head->has_output,
        .adds_no_special = adds_no_special(head),
        .n_params = head->n_params,
        .weights_bytes = head->weights_bytes,
        .file_bytes = head->file_bytes,
        .n_files = head->n_files,
    };
    facts->n_layers = MAX(facts->n_layers, 0);
    const struct gguf_array *heads = array_of(s, "attention.head_count");
    for (int64_t i = 0; heads && i < heads->values->len; i++)
        facts->n_heads = MAX(facts->n_heads, element(heads, i));
    int64_t width = facts->n_heads > 0 ? facts->d_model / facts->n_heads : 0;
    facts->head_dim_k = gguf_head_integer(head, architecture, "attention.key_length", width);
    facts->head_dim_v = gguf_head_integer(head, architecture, "attention.value_length", width);
    facts->latent_cache = gguf_head_integer(head, architecture, "attention.key_length_mla", 0) > 0 &&
                          gguf_head_integer(head, architecture, "attention.value_length_mla", 0) > 0;
    find_strange(s, facts);
    if (!fill_layers(s, facts, error)) {
        workload_facts_clear(facts);
        return false;
    }
    /* A gate fused with the up projection shows as twice the rows. */
    facts->gated_mlp =
        head->has_gate || (facts->d_ffn > 0 && head->d_ffn_up / 2 == facts->d_ffn && head->d_ffn_up % 2 == 0);
    return true;
}

bool gguf_head_facts(const struct gguf *head, const char *name, struct workload_facts *ret, GError **error)
{
    const char *architecture = g_hash_table_lookup(head->strings, "general.architecture");
    if (!architecture || strlen(architecture) > 64) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the header names no architecture (general.architecture)",
                    name);
        return false;
    }
    const struct shape shape = {head, architecture, name, gguf_head_integer(head, architecture, "block_count", 0)};
    return fill_facts(&shape, ret, error);
}
