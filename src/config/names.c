/* SPDX-License-Identifier: MIT */
/* Names and values people write that this version does not take, with what to write instead; and the presets. */
#include "config/internal.h"

#include <string.h>

static const struct retired_name retired_names[] = {
    {"tensorrt", "TensorRT-LLM is not in this version; the backends are pytorch, llamacpp, vllm and sim"},
    {"sglang", "SGLang is not in this version; the backends are pytorch, llamacpp, vllm and sim"},
    {"lora", "LoRA adapters are not in this version; merge the adapter into the model"},
    {"experiments", "lists of experiments are not in this version; use sweep"},
    {"base", "base files are not in this version; use YAML anchors and merge keys within one file"},
    {"runners", "choosing a runner per backend is not in this version; every run is local"},
    {"images", "container images are not in this version; every run is local"},
    {"version", "files have no version; delete this line"},
    {"output", "write output_dir: FOLDER"},

    {"model_name", "write model"},
    {"num_prompts", "write n"},
    {"n_prompts", "write n"},
    {"num_samples", "write n"},
    {"seed", "write random_seed (order of the data, sampling) or execution.seed (order of the runs)"},
    {"dtype", "write precision: fp32, fp16 or bf16"},
    {"max_new_tokens", "write max_output_tokens"},
    {"max_tokens", "write max_output_tokens"},
    {"batch_size", "the batch size belongs to the backend: pytorch.batch_size, llamacpp.n_parallel, "
                   "vllm.engine.max_num_seqs"},
    {"quantization", "quantisation belongs to the backend: llamacpp.quantization, pytorch.load_in_4bit, "
                     "vllm.engine.quantization"},
    {"n_cycles", "write execution.n_cycles"},

    {"execution.cycle_order", "write execution.order"},
    {"execution.shuffle_seed", "write execution.seed"},
    {"execution.experiment_timeout_seconds", "write limits.timeout_seconds (beside execution, not in it)"},
    {"execution.skip_preflight", "there is no preflight to skip in this version"},
    {"execution.max_consecutive_failures", "not in this version: every run is tried"},
    {"execution.circuit_breaker_cooldown_seconds", "not in this version: every run is tried"},
    {"execution.wall_clock_timeout_hours", "not in this version; limits.timeout_seconds bounds one run"},
    {"execution.stdout_silence_timeout_seconds", "not in this version; limits.timeout_seconds bounds one run"},
    {"execution.deduplicate_equivalent", "cells that do the same work are always run once"},

    {"warmup.convergence_detection", "the warm-up always looks at convergence; warmup.max_prompts bounds it"},
    {"warmup.window_size", "the window is warmup.n_warmup"},
    {"warmup.min_prompts", "the least number is warmup.n_warmup"},
    {"baseline.strategy", "not in this version: the baseline is always measured afresh"},
    {"baseline.cache_ttl_seconds", "not in this version: the baseline is always measured afresh"},
    {"baseline.validation_interval", "not in this version: the baseline is always measured afresh"},
    {"baseline.drift_threshold", "not in this version: the baseline is always measured afresh"},
    {"dataset.n", "write n, and the path of a .jsonl file as dataset"},
    {"decoder.max_new_tokens", "write max_output_tokens"},
    {"decoder.min_tokens", "write decoder.min_new_tokens"},

    {"llamacpp.mmap", "write load_mode: mmap, or load_mode: none"},
    {"llamacpp.use_mmap", "write load_mode: mmap, or load_mode: none"},
    {"llamacpp.mlock", "write load_mode: mlock or mmap+mlock"},
    {"llamacpp.use_mlock", "write load_mode: mlock or mmap+mlock"},
    {"llamacpp.n_seq_max", "write n_parallel"},
    {"llamacpp.batch_size", "write n_parallel (sequences decoded together)"},
    {"llamacpp.threads", "write n_threads"},
    {"llamacpp.cache_type_k", "write type_k"},
    {"llamacpp.cache_type_v", "write type_v"},
    {"llamacpp.flash_attention", "write flash_attn: off, on or auto"},

    {"pytorch.dtype", "write precision (not in a section): fp32, fp16 or bf16"},
    {"pytorch.num_processes", "it never had an effect; delete this line"},
    {"pytorch.sampling", "write decoder (not in a section)"},
    {"sim.token_ns", "write token_us"},
    {"sim.prefill_ns_per_token", "write prefill_us_per_token"},
    {"sim.memory_bytes", "write memory_mib"},

    {"vllm.dtype", "write precision (not in a section): fp32, fp16 or bf16"},
    {"vllm.beam_search", "beam search by vLLM is not in this version"},
    {"vllm.sampling.max_tokens", "write max_output_tokens (not in a section)"},
    {"vllm.sampling.min_tokens", "write decoder.min_new_tokens"},
    {"vllm.sampling.ignore_eos", "write decoder.ignore_eos"},
    {"vllm.sampling.temperature", "write decoder.temperature"},
    {"vllm.sampling.top_k", "write decoder.top_k"},
    {"vllm.sampling.top_p", "write decoder.top_p"},
    {"vllm.sampling.min_p", "write decoder.min_p"},
    {"vllm.sampling.repetition_penalty", "write decoder.repetition_penalty"},

    /* Arguments vLLM had once. */
    {"vllm.engine.swap_space", "vLLM removed it: it had no effect in the V1 engine. For host memory use "
                               "cpu_offload_gb (weights) or kv_offloading_size (KV cache)"},
    {"vllm.engine.speculative_model", "vLLM replaced it: write speculative_config: {model: …, "
                                      "num_speculative_tokens: …}"},
    {"vllm.engine.num_speculative_tokens", "vLLM replaced it: write speculative_config: {num_speculative_tokens: …}"},
    {"vllm.engine.ngram_prompt_lookup_max", "vLLM replaced it: write speculative_config: {method: ngram, "
                                            "prompt_lookup_max: …}"},
    {"vllm.engine.ngram_prompt_lookup_min", "vLLM replaced it: write speculative_config: {method: ngram, "
                                            "prompt_lookup_min: …}"},
    {"vllm.engine.device", "vLLM removed it: the device follows from the installed build"},
    {"vllm.engine.task", "vLLM replaced it by runner, and llem always generates"},
    {"vllm.engine.num_scheduler_steps", "vLLM removed it: the V1 engine has no multi-step scheduling; see "
                                        "async_scheduling"},
    {"vllm.engine.max_seq_len_to_capture", "vLLM replaced it: write max_cudagraph_capture_size"},
    {"vllm.engine.use_v2_block_manager", "vLLM removed it: there is one block manager"},
    {"vllm.engine.preemption_mode", "vLLM removed it: the V1 engine always recomputes"},
    {"vllm.engine.guided_decoding_backend", "vLLM replaced it by structured_outputs_config"},
    {"vllm.engine.max_num_partial_prefills", "vLLM removed it"},
    {"vllm.engine.calculate_kv_scales", "vLLM removed it: scales come from the checkpoint"},
    {"vllm.engine.disable_log_requests", "vLLM replaced it by enable_log_requests, which llem keeps off"},
    {"vllm.engine.attention", "vLLM replaced the block: write attention_backend and attention_config"},
    {"vllm.engine.flash_attn_version", "write attention_config: {flash_attn_version: …}"},
};

const char *retired_name_message(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(retired_names); i++)
        if (!strcmp(retired_names[i].path, path))
            return retired_names[i].message;
    return NULL;
}

static const struct {
    const char *path;
    const char *text;
    const char *message;
} retired_values[] = {
    {"backend", "tensorrt", "TensorRT-LLM is not in this version"},
    {"backend", "tensorrt_llm", "TensorRT-LLM is not in this version"},
    {"backend", "trtllm", "TensorRT-LLM is not in this version"},
    {"backend", "sglang", "SGLang is not in this version"},
    {"backend", "transformers", "write pytorch"},
    {"backend", "torch", "write pytorch"},
    {"backend", "hf", "write pytorch"},
    {"backend", "llama.cpp", "write llamacpp"},
    {"backend", "llama_cpp", "write llamacpp"},
    {"energy.backend", "zeus", "NVIDIA energy is read directly: write nvml or auto"},
    {"energy.backend", "codecarbon", "estimates from a model of the machine are asked for with energy.modelled: true"},
    {"precision", "float32", "write fp32"},
    {"precision", "float16", "write fp16"},
    {"precision", "half", "write fp16"},
    {"precision", "f16", "write fp16"},
    {"precision", "f32", "write fp32"},
    {"precision", "bfloat16", "write bf16"},
    {"precision", "int8", "quantisation belongs to the backend: llamacpp.quantization, pytorch.load_in_8bit, "
                          "vllm.engine.quantization"},
    {"precision", "int4", "quantisation belongs to the backend: llamacpp.quantization, pytorch.load_in_4bit, "
                          "vllm.engine.quantization"},
    {"precision", "fp8", "quantisation belongs to the backend: vllm.engine.quantization"},
    {"precision", "q8_0", "write llamacpp.quantization: q8_0"},
    {"precision", "q4_0", "write llamacpp.quantization: q4_0"},
    {"precision", "q4_1", "write llamacpp.quantization: q4_1"},
    {"llamacpp.quantization", "q4_k_m", "k-quants are not offered by name; give the GGUF file as model"},
    {"llamacpp.quantization", "q6_k", "k-quants are not offered by name; give the GGUF file as model"},
    {"llamacpp.quantization", "f16", "write precision: fp16, without quantization"},
    {"llamacpp.quantization", "none", "leave quantization out (or write null in a sweep): precision picks the file"},
    {"execution.order", "random", "write shuffled"},
    {"execution.order", "shuffle", "write shuffled"},
};

const char *retired_value_message(const char *path, const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(retired_values); i++)
        if (!strcmp(retired_values[i].path, path) && !g_ascii_strcasecmp(retired_values[i].text, text))
            return retired_values[i].message;
    return NULL;
}

const struct preset_row preset_rows[] = {
    {"deterministic", "decoder.temperature", "0.0"},
    {"deterministic", "decoder.do_sample", "false"},
    {"standard", "decoder.temperature", "1.0"},
    {"standard", "decoder.do_sample", "true"},
    {"standard", "decoder.top_p", "0.95"},
    {"creative", "decoder.temperature", "0.8"},
    {"creative", "decoder.do_sample", "true"},
    {"creative", "decoder.top_p", "0.9"},
    {"creative", "decoder.repetition_penalty", "1.1"},
    {"factual", "decoder.temperature", "0.3"},
    {"factual", "decoder.do_sample", "true"},
    {0},
};
