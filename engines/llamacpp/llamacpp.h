/* SPDX-License-Identifier: MIT */
/*
 * llem-engine-llamacpp: the adapter of llama.cpp, against libllama's public C interface alone. Between its files:
 *
 *   main.c      the ops of common/adapter.h, the command line
 *   options.c   the options it takes, a row each; rules between them
 *   library.c   which libllama this is: versions, struct sizes, back ends; its log
 *   load.c      options → model and context, what came of them
 *   fit.c       refuses what does not fit the model or the memory
 *   generate.c  prompts → tokens with stamps
 *   choose.c    the next token from the logits
 *   quantize.c  one form of a model from another
 *   names.c     names of options ↔ values of libllama; pure
 *
 * One thread; libllama's own worker threads live inside its calls.
 */
#pragma once

#include "common/adapter.h"
#include "workload/workload.h"

#include <llama.h>

#define SEQUENCES_MAX 256 /* libllama's own bound */

/* How the next token is chosen; the decoder's members, resolved. */
struct sampling {
    bool do_sample; /* false: the largest logit, whatever the rest says but for the penalty */
    double temperature, top_p, min_p, repetition_penalty;
    int64_t top_k; /* 0: all */
    uint32_t seed;
};

struct llamacpp {
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    int32_t n_vocab;
    struct workload_facts facts; /* of the file */
    char *path, *sha256;
    bool add_bos;

    /* read back from the context */
    int64_t n_ctx, n_ctx_seq, n_batch, n_seq_max;
    bool kv_unified;
    int64_t kv_bytes;  /* -1: not known */
    int64_t used_peak; /* most positions of the cache that requests under way held at once */
    char type_k[16], type_v[16];
    int64_t device_free_bytes; /* of all GPUs before loading; -1: there is none in use */

    struct sampling sampling;
    struct llama_sampler **samplers; /* one a sequence; NULL: the largest logit */
    struct llama_batch batch;        /* room for n_batch tokens */

    /* while a request is under way */
    struct adapter *adapter;
    int64_t next_poll_ns;
    bool stop;
};

/* --- library.c -------------------------------------------------------------------------------------------------- */

/* "" when libllama is the one this program was built for; else what differs, in words. Borrowed. */
const char *library_mismatch(void);
/* Loads the back ends beside libllama, once; sends its log to stderr. False after adapter_fail(). */
bool library_start(struct adapter *adapter);
/* {"llama": …, "ggml": …, "libllama_sha256": …}. New reference. */
json_t *library_versions(void);
/* File name of the CPU back end that is in use ("libggml-cpu.so"), or NULL. New string. */
char *library_cpu_backend(void);
/* [{"name", "description", "type", "memory_bytes"}]. New reference. */
json_t *library_devices(void);
/* How many GPUs it finds. */
size_t library_gpus(void);
/* Free memory of all GPUs, and what of them is in use by anyone; -1 without one. */
int64_t library_gpu_free_bytes(void);
int64_t library_gpu_used_bytes(void);
/* Forgets what the log said (all of it, or only that something was an error); then what it said since: its warnings and
 * errors (borrowed, at most about 2 kB), whether any line held a text. */
void library_log_reset(void);
void library_log_reset_errors(void);
const char *library_log_errors(void);
bool library_log_said(const char *text);

/* --- options.c -------------------------------------------------------------------------------------------------- */

/* The options of a load; choices by libllama's values. */
struct load_options {
    int quantization; /* -1: whatever the file holds */
    int64_t n_ctx;    /* 0: what the longest requests need */
    int64_t n_parallel, n_threads, n_threads_batch, n_batch, n_ubatch, n_gpu_layers, main_gpu;
    int type_k, type_v, flash_attention, load_mode, lazy_mode, split_mode;
    bool offload_kqv, op_offload, kv_unified, swa_full, use_extra_bufts, add_bos;
    struct adapter_numbers tensor_split; /* n 0: not given */
};
extern const struct adapter_option llamacpp_options[];
/* False after adapter_fail(): two of them exclude each other. */
bool options_read(struct adapter *adapter, const struct adapter_load *load, struct load_options *ret);

/* --- load.c ----------------------------------------------------------------------------------------------------- */

bool llamacpp_load(struct adapter *adapter, void *state, const struct adapter_load *load, json_t *reply);
void llamacpp_unload(struct llamacpp *l);
void llamacpp_add_figures(const struct llamacpp *l, json_t *figures);

/* --- fit.c ------------------------------------------------------------------------------------------------------ */

/* True if the longest request lies within what the model was trained for. False after adapter_fail(). */
bool fit_length(struct adapter *adapter, const struct workload_facts *facts, const struct adapter_load *load);
/* The memory that weights and cache will lie in, as it is before a load; -1: not known. */
struct fit_room {
    int64_t bytes;
    const char *what;
};
/* gpu_free_bytes -1: nothing goes to a GPU. */
void fit_look(const struct workload_facts *facts, int64_t n_gpu_layers, bool offload_kqv, int64_t gpu_free_bytes,
              struct fit_room *ret);
/* True if it suffices; kv_bytes -1: not known (yet). False after adapter_fail_oom() with the numbers. */
bool fit_memory(struct adapter *adapter, const struct fit_room *room, int64_t weights_bytes, int64_t kv_bytes,
                int64_t positions);

/* --- choose.c --------------------------------------------------------------------------------------------------- */

/* Reads the decoder's members. False after adapter_fail(). */
bool sampling_read(struct adapter *adapter, const struct adapter_load *load, struct sampling *ret);
void sampling_resolved(const struct sampling *sampling, json_t *resolved);
/* A chain of libllama's samplers, or NULL where the largest logit is meant. */
struct llama_sampler *sampling_chain(const struct sampling *sampling, int32_t n_vocab);
/* Makes a chain ready for a request: the seed from its start, the prompt's last tokens before the penalty's eyes. */
void sampling_restart(const struct sampling *sampling, struct llama_sampler *chain, const int32_t *prompt, size_t n);
/* The index of the largest of n values, the first of equals; -1 when it is not finite. */
int32_t largest_logit(const float *logits, int32_t n);

/* --- generate.c ------------------------------------------------------------------------------------------------- */

/* True if the model's own rule puts special tokens around a text. */
bool llamacpp_adds_special(const struct llamacpp *l);
bool llamacpp_tokenize(struct adapter *adapter, void *state, const char *text, const struct adapter_tokenize *how,
                       GArray *ids);
bool llamacpp_prepare(struct adapter *adapter, void *state, struct adapter_batch *batch, bool *quiescent);
bool llamacpp_generate(struct adapter *adapter, void *state, struct adapter_batch *batch);
/* Called by libllama between the nodes of a graph: true to give up. */
bool llamacpp_abort(void *state);

/* --- quantize.c ------------------------------------------------------------------------------------------------- */

/* SOURCE → TARGET (complete or absent) in the form of that name. An exit status. */
int quantize_main(const char *source, const char *target, const char *form);

/* --- names.c ---------------------------------------------------------------------------------------------------- */

extern const struct adapter_choice names_flash_attention[], names_load_mode[], names_lazy_mode[], names_split_mode[],
    names_kv_type[], names_quantization[], names_file_type[]; /* each ended by a row without a name */

/* The row's value, or fallback. */
int name_value(const struct adapter_choice *rows, const char *name, int fallback);
/* The row's name, or NULL. */
const char *name_of(const struct adapter_choice *rows, int value);
/* "off, on, auto". New string. */
char *name_list(const struct adapter_choice *rows);
