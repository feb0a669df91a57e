/* SPDX-License-Identifier: MIT */
/* The rows of vLLM, audited against the EngineArgs of VLLM_AUDITED_VERSION (vllm_args.c has the whole list). Unset: the
 * engine's own default, which the reference page shows from the audit. */
#include "config/internal.h"

#include <math.h>

#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define H  CONFIG_HASHED
#define V  CONFIG_VLLM
#define ANY -INFINITY, INFINITY
#define COUNT 1, INFINITY

static const struct config_choice kv_cache_dtypes[] = {
    {"auto", NULL}, {"float16", NULL}, {"bfloat16", NULL}, {"fp8", NULL}, {"fp8_e4m3", NULL}, {"fp8_e5m2", NULL},
    {"fp8_inc", NULL}, {"fp8_ds_mla", NULL}, {"nvfp4", NULL}, {"nvfp4_ds_mla", NULL}, {"nvfp4_4over6", NULL},
    {"turboquant_k8v4", NULL}, {"turboquant_4bit_nc", NULL}, {"turboquant_k3v4_nc", NULL},
    {"turboquant_3bit_nc", NULL}, {"ultraquant_4bit", NULL}, {"int4_per_token_head", NULL},
    {"int8_per_token_head", NULL}, {"fp8_per_token_head", NULL}, {0},
};
static const struct config_choice load_formats[] = {
    {"auto", "from the files"}, {"safetensors", NULL}, {"pt", NULL}, {"gguf", NULL}, {"bitsandbytes", NULL},
    {"sharded_state", NULL}, {"dummy", "random weights: for tests of speed"}, {0},
};
static const struct config_choice schedulings[] = {{"fcfs", "first come, first served"}, {"priority", NULL}, {0}};
static const struct config_choice executors[] = {{"mp", NULL}, {"ray", NULL}, {"uni", NULL}, {"external_launcher", NULL},
                                                 {0}};
static const struct config_choice performance_modes[] = {{"balanced", NULL}, {"interactivity", NULL},
                                                         {"throughput", NULL}, {0}};
static const struct config_choice offloads[] = {{"native", NULL}, {"lmcache", NULL}, {0}};
static const struct config_choice hashes[] = {{"sha256", NULL}, {"sha256_cbor", NULL}, {"xxhash", NULL},
                                              {"xxhash_cbor", NULL}, {0}};
static const struct config_choice placements[] = {{"linear", NULL}, {"round_robin", NULL}, {0}};
static const struct config_choice mamba_dtypes[] = {{"auto", NULL}, {"float32", NULL}, {"float16", NULL},
                                                    {"bfloat16", NULL}, {0}};

const struct config_field config_rows_vllm[] = {
    {"vllm.engine.quantization", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Method of the quantised weights (awq, gptq, fp8, bitsandbytes, …); unset: what the checkpoint says."},
    {"vllm.engine.quantization_config", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL,
     "Options of the quantisation."},
    {"vllm.engine.load_format", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, load_formats, NULL,
     "Format of the weight files."},
    {"vllm.engine.model_impl", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Which code of the model: auto, vllm, transformers."},
    {"vllm.engine.hf_overrides", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL,
     "Values that replace those of the model's config.json."},
    {"vllm.engine.revision", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL, "Revision of the model on its hub."},
    {"vllm.engine.tokenizer_revision", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Revision of the tokenizer on its hub."},
    {"vllm.engine.trust_remote_code", CONFIG_BOOL, H, V, NULL, "false", ANY, NULL, NULL,
     "Run the code that comes with the model. Only for models whose code you have read."},
    {"vllm.engine.max_model_len", CONFIG_INT, HS, V, "tokens", NULL, COUNT, NULL, NULL,
     "Longest prompt and answer together; unset: what the model was made for."},
    {"vllm.engine.enforce_eager", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "No CUDA graphs and no compilation."},
    {"vllm.engine.disable_sliding_window", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Attend to the whole context even where the model has a window."},
    {"vllm.engine.disable_cascade_attn", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "No cascade attention over shared prefixes."},

    {"vllm.engine.block_size", CONFIG_INT, HS, V, "tokens", NULL, COUNT, NULL, NULL, "Tokens per KV cache block."},
    {"vllm.engine.gpu_memory_utilization", CONFIG_REAL, HS, V, NULL, NULL, 0, 1, NULL, NULL,
     "Fraction of the whole device the engine may take."},
    {"vllm.engine.kv_cache_memory_bytes", CONFIG_INT, HS, V, "bytes", NULL, COUNT, NULL, NULL,
     "Size of the KV cache, instead of gpu_memory_utilization: the reproducible way."},
    {"vllm.engine.kv_cache_dtype", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, kv_cache_dtypes, NULL,
     "Type of the KV cache."},
    {"vllm.engine.enable_prefix_caching", CONFIG_BOOL, HS, V, NULL, "false", ANY, NULL, NULL,
     "Reuse the cache of shared prompt beginnings. Off by default (the engine's default is on), so that every cell "
     "computes its whole prompts."},
    {"vllm.engine.prefix_caching_hash_algo", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, hashes, NULL,
     "Hash of the prefix cache."},
    {"vllm.engine.num_gpu_blocks_override", CONFIG_INT, HS, V, "blocks", NULL, COUNT, NULL, NULL,
     "Number of KV cache blocks."},
    {"vllm.engine.kv_offloading_size", CONFIG_REAL, HS, V, "GiB", NULL, 0, INFINITY, NULL, NULL,
     "Host memory for KV cache that leaves the GPU."},
    {"vllm.engine.kv_offloading_backend", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, offloads, NULL,
     "Who moves that cache."},
    {"vllm.engine.cpu_offload_gb", CONFIG_REAL, HS, V, "GiB", NULL, 0, INFINITY, NULL, NULL,
     "Weights kept in host memory, per GPU."},
    {"vllm.engine.offload_group_size", CONFIG_INT, HS, V, "layers", NULL, 0, INFINITY, NULL, NULL,
     "Layers per group of the prefetching offload; 0 is off."},
    {"vllm.engine.offload_num_in_group", CONFIG_INT, HS, V, "layers", NULL, COUNT, NULL, NULL,
     "Layers of a group that are offloaded."},
    {"vllm.engine.offload_prefetch_step", CONFIG_INT, HS, V, "layers", NULL, 0, INFINITY, NULL, NULL,
     "How many layers ahead weights are fetched."},
    {"vllm.engine.mamba_cache_dtype", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, mamba_dtypes, NULL,
     "Type of the state of Mamba layers."},

    {"vllm.engine.max_num_seqs", CONFIG_INT, HS, V, "sequences", NULL, COUNT, NULL, NULL,
     "Most sequences in one step: the effective batch size. The engine's default depends on the device."},
    {"vllm.engine.max_num_batched_tokens", CONFIG_INT, HS, V, "tokens", NULL, COUNT, NULL, NULL,
     "Most tokens in one step. The engine's default depends on the device."},
    {"vllm.engine.enable_chunked_prefill", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Split long prompts over several steps."},
    {"vllm.engine.long_prefill_token_threshold", CONFIG_INT, HS, V, "tokens", NULL, 0, INFINITY, NULL, NULL,
     "Prompts longer than this count as long."},
    {"vllm.engine.async_scheduling", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Schedule the next step while the GPU works."},
    {"vllm.engine.stream_interval", CONFIG_INT, HS, V, "tokens", NULL, COUNT, NULL, NULL,
     "Tokens per streamed chunk; above 1 single token times cannot be seen."},
    {"vllm.engine.scheduling_policy", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, schedulings, NULL,
     "Order of the requests."},

    {"vllm.engine.tensor_parallel_size", CONFIG_INT, HS, V, "GPUs", NULL, COUNT, NULL, NULL,
     "GPUs every layer is split over."},
    {"vllm.engine.pipeline_parallel_size", CONFIG_INT, HS, V, "GPUs", NULL, COUNT, NULL, NULL,
     "Groups of layers on different GPUs."},
    {"vllm.engine.data_parallel_size", CONFIG_INT, HS, V, "replicas", NULL, COUNT, NULL, NULL,
     "Copies of the model."},
    {"vllm.engine.decode_context_parallel_size", CONFIG_INT, HS, V, "GPUs", NULL, COUNT, NULL, NULL,
     "GPUs the context is split over in decode."},
    {"vllm.engine.enable_expert_parallel", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Spread experts over the GPUs instead of splitting them."},
    {"vllm.engine.expert_placement_strategy", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, placements, NULL,
     "How experts are spread."},
    {"vllm.engine.distributed_executor_backend", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, executors, NULL,
     "Who starts the worker processes."},
    {"vllm.engine.disable_custom_all_reduce", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "NCCL's all-reduce instead of the engine's own."},
    {"vllm.engine.enable_dbo", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL, "Dual batch overlap."},
    {"vllm.engine.numa_bind", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL, "Bind the workers to NUMA nodes."},

    {"vllm.engine.optimization_level", CONFIG_INT, HS, V, NULL, NULL, 0, 3, NULL, NULL,
     "0 starts quickest; 1 compiles with piecewise graphs; 2 adds full graphs; 3 is 2 today."},
    {"vllm.engine.performance_mode", CONFIG_CHOICE, HS, V, NULL, NULL, ANY, performance_modes, NULL,
     "What the defaults aim at; throughput doubles the two batch limits."},
    {"vllm.engine.compilation_config", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL,
     "Options of the compilation, such as mode, cudagraph_mode and custom_ops."},
    {"vllm.engine.cudagraph_capture_sizes", CONFIG_INTS, HS, V, "tokens", NULL, COUNT, NULL, NULL,
     "Batch sizes CUDA graphs are captured for."},
    {"vllm.engine.max_cudagraph_capture_size", CONFIG_INT, HS, V, "tokens", NULL, 0, INFINITY, NULL, NULL,
     "Largest such batch size."},
    {"vllm.engine.attention_backend", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL,
     "The attention kernel: FLASH_ATTN, FLASHINFER, TRITON_ATTN, FLEX_ATTENTION, …; unset: the engine chooses."},
    {"vllm.engine.attention_config", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL,
     "Options of the attention kernel, such as flash_attn_version and use_trtllm_attention."},
    {"vllm.engine.kernel_config", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL, "Options of the other kernels."},
    {"vllm.engine.moe_backend", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL, "The kernel of routed experts."},
    {"vllm.engine.linear_backend", CONFIG_TEXT, HS, V, NULL, NULL, ANY, NULL, NULL, "The kernel of linear layers."},
    {"vllm.engine.enable_flashinfer_autotune", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Tune FlashInfer's kernels at start."},
    {"vllm.engine.enable_cumem_allocator", CONFIG_BOOL, HS, V, NULL, NULL, ANY, NULL, NULL,
     "Allocate through CUDA's virtual memory."},
    {"vllm.engine.speculative_config", CONFIG_MAP, H, V, NULL, NULL, ANY, NULL, NULL,
     "Speculative decoding: {method: ngram, num_speculative_tokens: 4, …}."},

    {"vllm.sampling.presence_penalty", CONFIG_REAL, HS, V, NULL, NULL, -2, 2, NULL, NULL,
     "Taken from the scores of tokens that occurred."},
    {"vllm.sampling.frequency_penalty", CONFIG_REAL, HS, V, NULL, NULL, -2, 2, NULL, NULL,
     "Taken from the scores of tokens for each time they occurred."},
    {"vllm.sampling.n", CONFIG_INT, HS, V, "answers", NULL, 1, 1024, NULL, NULL, "Answers per prompt."},
    {0},
};
