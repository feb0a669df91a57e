/* SPDX-License-Identifier: MIT */
/* The options of llama.cpp. Ranges and defaults are those of engine.json; `llem engine check llamacpp` compares. */
#include "llamacpp/llamacpp.h"

#define AT(member) offsetof(struct load_options, member)

const struct adapter_option llamacpp_options[] = {
    {"quantization", ADAPTER_STRING, "null", ADAPTER_NO_RANGE, names_quantization, NULL, AT(quantization),
     "the quantised weights the file must hold; null: whatever it holds"},
    {"n_threads", ADAPTER_INTEGER, "1", 1, 512, NULL, "threads", AT(n_threads), "threads that compute single tokens"},
    {"n_threads_batch", ADAPTER_INTEGER, "null", 1, 512, NULL, "threads", AT(n_threads_batch),
     "threads that compute prompts; null: as n_threads"},
    {"n_parallel", ADAPTER_INTEGER, "1", 1, SEQUENCES_MAX, NULL, "sequences", AT(n_parallel),
     "sequences computed together; more requests of a batch wait for the next wave"},
    {"n_ctx", ADAPTER_INTEGER, "null", 1, LIMIT_CONTEXT, NULL, "tokens", AT(n_ctx),
     "positions of all sequences together; null: what the longest requests need"},
    {"n_batch", ADAPTER_INTEGER, "null", 1, LIMIT_PROMPT_TOKENS, NULL, "tokens", AT(n_batch),
     "most tokens in one call of llama_decode; null: 2048, or the context where it is smaller"},
    {"n_ubatch", ADAPTER_INTEGER, "null", 1, LIMIT_PROMPT_TOKENS, NULL, "tokens", AT(n_ubatch),
     "most tokens computed at once, longer calls are cut; null: 512, or n_batch where it is less"},
    {"type_k", ADAPTER_STRING, "\"f16\"", ADAPTER_NO_RANGE, names_kv_type, NULL, AT(type_k), "how keys are cached"},
    {"type_v", ADAPTER_STRING, "\"f16\"", ADAPTER_NO_RANGE, names_kv_type, NULL, AT(type_v),
     "how values are cached; a quantised type needs flash_attn: on"},
    {"flash_attn", ADAPTER_STRING, "\"off\"", ADAPTER_NO_RANGE, names_flash_attention, NULL, AT(flash_attention),
     "fused attention; auto: llama.cpp decides"},
    {"n_gpu_layers", ADAPTER_INTEGER, "-1", -1, 10000, NULL, "layers", AT(n_gpu_layers),
     "layers on GPUs; -1: all where there is one"},
    {"split_mode", ADAPTER_STRING, "\"layer\"", ADAPTER_NO_RANGE, names_split_mode, NULL, AT(split_mode),
     "how a model is split over GPUs"},
    {"main_gpu", ADAPTER_INTEGER, "0", 0, 255, NULL, NULL, AT(main_gpu),
     "the GPU that holds everything when split_mode is none"},
    {"tensor_split", ADAPTER_NUMBERS, "null", 0, INFINITY, NULL, NULL, AT(tensor_split),
     "share of the model for each GPU; null: by their free memory"},
    {"offload_kqv", ADAPTER_BOOLEAN, "true", ADAPTER_NO_RANGE, NULL, NULL, AT(offload_kqv),
     "the KV cache and attention on the GPU too"},
    {"op_offload", ADAPTER_BOOLEAN, "true", ADAPTER_NO_RANGE, NULL, NULL, AT(op_offload),
     "large operations on host tensors on the GPU"},
    {"kv_unified", ADAPTER_BOOLEAN, "false", ADAPTER_NO_RANGE, NULL, NULL, AT(kv_unified),
     "one cache for all sequences instead of one part each"},
    {"swa_full", ADAPTER_BOOLEAN, "true", ADAPTER_NO_RANGE, NULL, NULL, AT(swa_full),
     "layers with a sliding window cache every position too"},
    {"use_extra_bufts", ADAPTER_BOOLEAN, "true", ADAPTER_NO_RANGE, NULL, NULL, AT(use_extra_bufts),
     "weights may be re-ordered in memory for the CPU's instructions"},
    {"add_bos", ADAPTER_BOOLEAN, "false", ADAPTER_NO_RANGE, NULL, NULL, AT(add_bos),
     "the tokenizer puts the model's own special tokens around a prompt"},
    {"load_mode", ADAPTER_STRING, "\"mmap\"", ADAPTER_NO_RANGE, names_load_mode, NULL, AT(load_mode),
     "how weights get into memory"},
    {"lazy_mode", ADAPTER_STRING, "\"auto\"", ADAPTER_NO_RANGE, names_lazy_mode, NULL, AT(lazy_mode),
     "whether rows of tensors that the architecture marks are read on demand"},
    {0},
};

bool options_read(struct adapter *a, const struct adapter_load *load, struct load_options *o)
{
    /* libllama's own, which it cuts to the context */
    *o = (struct load_options){.quantization = -1, .n_batch = 2048, .n_ubatch = 512};
    adapter_read_options(a, load, o);
    if (o->n_threads_batch == 0)
        o->n_threads_batch = o->n_threads;
    if (o->n_batch < o->n_parallel)
        return adapter_fail(a, ADAPTER_BAD_VALUE,
                            "load: n_batch (%" G_GINT64_FORMAT ") must be at least n_parallel (%" G_GINT64_FORMAT
                            "): every sequence puts one token into a call", o->n_batch, o->n_parallel);
    if (ggml_is_quantized((enum ggml_type)o->type_v) && o->flash_attention == LLAMA_FLASH_ATTN_TYPE_DISABLED)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: type_v %s needs flash_attn: on",
                            name_of(names_kv_type, o->type_v));
    return true;
}
