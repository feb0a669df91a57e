/* SPDX-License-Identifier: MIT */
/* The rows of llama.cpp. Names are those of llama.h's parameter structs where it has one. */
#include "config/internal.h"

#include <math.h>

#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define L  CONFIG_LLAMACPP
#define ANY -INFINITY, INFINITY

static const struct config_choice quantizations[] = {
    {"q8_0", "8-bit blocks"},
    {"q4_1", "4-bit blocks with an offset"},
    {"q4_0", "4-bit blocks"},
    {0},
};

static const struct config_choice cache_types[] = {
    {"f32", NULL},  {"f16", NULL},  {"bf16", NULL}, {"q8_0", NULL}, {"q5_1", NULL},
    {"q5_0", NULL}, {"q4_1", NULL}, {"q4_0", NULL}, {"iq4_nl", NULL}, {0},
};

static const struct config_choice flash_attn[] = {
    {"off", "the plain kernels: the same token ids for every number of threads"},
    {"on", "required; an error where the engine cannot"},
    {"auto", "the engine decides; what it decided is in the record"},
    {0},
};

static const struct config_choice split_modes[] = {
    {"none", "one GPU"},
    {"layer", "layers spread over the GPUs"},
    {"row", "rows of the matrices spread over the GPUs"},
    {"tensor", "tensor parallelism"},
    {0},
};

static const struct config_choice load_modes[] = {
    {"auto", "as the devices suggest"},
    {"none", "read into memory"},
    {"mmap", "map the file"},
    {"mlock", "read, and keep from being swapped"},
    {"mmap+mlock", "map, and keep from being swapped"},
    {"dio", "direct I/O where available"},
    {0},
};

const struct config_field config_rows_llamacpp[] = {
    {"llamacpp.quantization", CONFIG_CHOICE, HS, L, NULL, NULL, ANY, quantizations, NULL,
     "Use a quantised file of the model instead of the one `precision` names; the two exclude each other."},
    {"llamacpp.n_threads", CONFIG_INT, HS, L, "threads", "1", 1, 512, NULL, NULL,
     "CPU threads of a decode step. Not more than there are free cores: the threads wait for each other spinning."},
    {"llamacpp.n_threads_batch", CONFIG_INT, HS, L, "threads", NULL, 1, 512, NULL, NULL,
     "CPU threads of prompt processing; unset: n_threads."},
    {"llamacpp.n_parallel", CONFIG_INT, HS, L, "sequences", "1", 1, 256, NULL, NULL,
     "Sequences decoded together in one step: the batch size."},
    {"llamacpp.n_ctx", CONFIG_INT, HS, L, "tokens", NULL, 1, LIMIT_CONTEXT, NULL, NULL,
     "Positions in the KV cache, shared by the sequences; unset: what max_input_tokens, max_output_tokens and "
     "n_parallel need."},
    {"llamacpp.n_batch", CONFIG_INT, HS, L, "tokens", NULL, 1, 1 << 20, NULL, NULL,
     "Most tokens handed to one decode call; unset: 2048, or the positions of the context where they are fewer."},
    {"llamacpp.n_ubatch", CONFIG_INT, HS, L, "tokens", NULL, 1, 1 << 20, NULL, NULL,
     "Most tokens computed at once; smaller is slower in the prompt and quicker to interrupt. Unset: 512, or n_batch "
     "where it is less."},
    {"llamacpp.type_k", CONFIG_CHOICE, HS, L, NULL, "\"f16\"", ANY, cache_types, NULL, "Type of the cached keys."},
    {"llamacpp.type_v", CONFIG_CHOICE, HS, L, NULL, "\"f16\"", ANY, cache_types, NULL,
     "Type of the cached values; a quantised one needs flash attention."},
    {"llamacpp.flash_attn", CONFIG_CHOICE, HS, L, NULL, "\"off\"", ANY, flash_attn, NULL,
     "Flash attention. Off by default: with it the tokens of long contexts can depend on the number of threads."},
    {"llamacpp.n_gpu_layers", CONFIG_INT, HS, L, "layers", "-1", -1, 10000, NULL, NULL,
     "Layers kept on the GPU; -1 is all of them where there is one. A number above 0 without a GPU is a substitution: an "
     "error unless allow_substitution is true."},
    {"llamacpp.split_mode", CONFIG_CHOICE, HS, L, NULL, "\"layer\"", ANY, split_modes, NULL,
     "How the model is spread over several GPUs."},
    {"llamacpp.main_gpu", CONFIG_INT, HS, L, NULL, "0", 0, 255, NULL, NULL,
     "The GPU that is used when split_mode is none."},
    {"llamacpp.offload_kqv", CONFIG_BOOL, HS, L, NULL, "true", ANY, NULL, NULL,
     "Keep the KV cache and its operations on the GPU."},
    {"llamacpp.op_offload", CONFIG_BOOL, HS, L, NULL, "true", ANY, NULL, NULL,
     "Compute large operations on a GPU though their weights are in the machine's memory."},
    {"llamacpp.kv_unified", CONFIG_BOOL, HS, L, NULL, "false", ANY, NULL, NULL,
     "One KV cache that all sequences share, instead of a part for each."},
    {"llamacpp.use_extra_bufts", CONFIG_BOOL, HS, L, NULL, "true", ANY, NULL, NULL,
     "Let weights be re-ordered in memory for the CPU's instructions: a quicker prompt, a slower load, and no mapping of "
     "those weights."},
    {"llamacpp.add_bos", CONFIG_BOOL, HS, L, NULL, NULL, ANY, NULL, NULL,
     "Put the special tokens in front of a prompt that the model's file asks for (a begin-of-text token); unset: none."},
    {"llamacpp.load_mode", CONFIG_CHOICE, HS, L, NULL, "\"mmap\"", ANY, load_modes, NULL, "How the file is loaded."},
    {0},
};
