/* SPDX-License-Identifier: MIT */
/* The rows of Hugging Face transformers. Unset: the library's own default. */
#include "config/internal.h"

#include <math.h>

#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define P  CONFIG_PYTORCH
#define ANY -INFINITY, INFINITY

static const struct config_choice attention[] = {
    {"sdpa", "torch's scaled_dot_product_attention"},
    {"flash_attention_2", "the flash-attn package, version 2"},
    {"flash_attention_3", "the flash-attn package, version 3"},
    {"eager", "plain matrix products"},
    {0},
};

static const struct config_choice compile_modes[] = {
    {"default", NULL}, {"reduce-overhead", NULL}, {"max-autotune", NULL}, {"max-autotune-no-cudagraphs", NULL}, {0},
};

static const struct config_choice dtypes[] = {{"float16", NULL}, {"bfloat16", NULL}, {"float32", NULL}, {0}};
static const struct config_choice quant_types[] = {{"nf4", NULL}, {"fp4", NULL}, {0}};
static const struct config_choice caches[] = {
    {"dynamic", NULL}, {"static", NULL}, {"offloaded", NULL}, {"offloaded_static", NULL}, {"sliding_window", NULL}, {0},
};
static const struct config_choice autocast[] = {{"float16", NULL}, {"bfloat16", NULL}, {0}};
static const struct config_choice tp_plans[] = {{"auto", NULL}, {0}};

const struct config_field config_rows_pytorch[] = {
    {"pytorch.batch_size", CONFIG_INT, HS, P, "prompts", "1", 1, LIMIT_PROMPTS, NULL, NULL, "Prompts in one batch."},
    {"pytorch.attn_implementation", CONFIG_CHOICE, HS, P, NULL, "\"sdpa\"", ANY, attention, NULL,
     "The attention kernel."},
    {"pytorch.torch_compile", CONFIG_BOOL, HS, P, NULL, "false", ANY, NULL, NULL,
     "Compile the model before the warm-up."},
    {"pytorch.torch_compile_mode", CONFIG_CHOICE, HS, P, NULL, "\"default\"", ANY, compile_modes, NULL,
     "Mode of torch.compile."},
    {"pytorch.torch_compile_backend", CONFIG_TEXT, HS, P, NULL, "\"inductor\"", ANY, NULL, NULL,
     "Backend of torch.compile."},
    {"pytorch.load_in_4bit", CONFIG_BOOL, HS, P, NULL, "false", ANY, NULL, NULL, "4-bit weights by bitsandbytes."},
    {"pytorch.load_in_8bit", CONFIG_BOOL, HS, P, NULL, "false", ANY, NULL, NULL, "8-bit weights by bitsandbytes."},
    {"pytorch.bnb_4bit_compute_dtype", CONFIG_CHOICE, HS, P, NULL, NULL, ANY, dtypes, NULL,
     "Type of the arithmetic on 4-bit weights."},
    {"pytorch.bnb_4bit_quant_type", CONFIG_CHOICE, HS, P, NULL, NULL, ANY, quant_types, NULL,
     "Type of the 4-bit weights."},
    {"pytorch.bnb_4bit_use_double_quant", CONFIG_BOOL, HS, P, NULL, NULL, ANY, NULL, NULL,
     "Quantise the scales of the 4-bit weights too."},
    {"pytorch.use_cache", CONFIG_BOOL, HS, P, NULL, "true", ANY, NULL, NULL, "Keep a KV cache."},
    {"pytorch.cache_implementation", CONFIG_CHOICE, HS, P, NULL, NULL, ANY, caches, NULL, "Kind of KV cache."},
    {"pytorch.num_beams", CONFIG_INT, HS, P, NULL, "1", 1, 1024, NULL, NULL, "Beams of beam search; 1 is none."},
    {"pytorch.early_stopping", CONFIG_BOOL, HS, P, NULL, NULL, ANY, NULL, NULL,
     "Stop beam search when enough candidates are complete."},
    {"pytorch.length_penalty", CONFIG_REAL, HS, P, NULL, NULL, ANY, NULL, NULL, "Length penalty of beam search."},
    {"pytorch.no_repeat_ngram_size", CONFIG_INT, HS, P, "tokens", NULL, 0, 1024, NULL, NULL,
     "N-grams of this length are not repeated; 0 is off."},
    {"pytorch.prompt_lookup_num_tokens", CONFIG_INT, HS, P, "tokens", NULL, 1, 1024, NULL, NULL,
     "Tokens guessed from the prompt (prompt lookup decoding)."},
    {"pytorch.device_map", CONFIG_TEXT, HS, P, NULL, NULL, ANY, NULL, NULL,
     "Where the parts of the model go, such as auto, balanced, cuda:0 or cpu."},
    {"pytorch.max_memory", CONFIG_MAP, CONFIG_HASHED, P, NULL, NULL, ANY, NULL, NULL,
     "Memory per device for device_map: {0: 20GiB, cpu: 64GiB}."},
    {"pytorch.low_cpu_mem_usage", CONFIG_BOOL, HS, P, NULL, NULL, ANY, NULL, NULL,
     "Load the weights without a second copy in memory."},
    {"pytorch.autocast_enabled", CONFIG_BOOL, HS, P, NULL, "false", ANY, NULL, NULL, "Generate under torch.autocast."},
    {"pytorch.autocast_dtype", CONFIG_CHOICE, HS, P, NULL, NULL, ANY, autocast, NULL, "Type of torch.autocast."},
    {"pytorch.tp_plan", CONFIG_CHOICE, HS, P, NULL, NULL, ANY, tp_plans, NULL, "Tensor parallelism."},
    {"pytorch.tp_size", CONFIG_INT, HS, P, "GPUs", NULL, 1, 1024, NULL, NULL, "GPUs of tensor parallelism."},
    {"pytorch.revision", CONFIG_TEXT, HS, P, NULL, NULL, ANY, NULL, NULL,
     "Revision of the model on its hub: a branch, tag or commit."},
    {"pytorch.trust_remote_code", CONFIG_BOOL, CONFIG_HASHED, P, NULL, "false", ANY, NULL, NULL,
     "Run the code that comes with the model. Only for models whose code you have read."},
    {0},
};
