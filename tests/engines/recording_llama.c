/* SPDX-License-Identifier: MIT */
/*
 * Preloaded before libllama: hands every call on, and writes what the engine was given into a file of its own in the
 * folder LLEM_TEST_RECORDING, a line "name value" each. The files' names sort by the order in which processes began.
 * With LLEM_TEST_NO_CLEAR_REFS the system has no /proc/self/clear_refs; with LLEM_TEST_CPU_IS_GPU every device is
 * a GPU.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <llama.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    static FILE *file;
    const char *folder = getenv("LLEM_TEST_RECORDING");
    if (!folder)
        return;
    if (!file) {
        char path[4096];
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(path, sizeof path, "%s/%012lld.%09ld-%d", folder, (long long)now.tv_sec, now.tv_nsec, (int)getpid());
        file = fopen(path, "w");
        if (!file)
            abort();
    }
    va_list args;
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fputc('\n', file);
    fflush(file);
}

/* The next function of that name, as a pointer of the type of the one that asks. */
#define NEXT(name) \
    union {                                            \
        void *object;                                  \
        __typeof__(&name) function;                    \
    } next = {dlsym(RTLD_NEXT, #name)};                \
    if (!next.object)                                  \
        abort()

int open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    if (getenv("LLEM_TEST_NO_CLEAR_REFS") && !strcmp(path, "/proc/self/clear_refs")) {
        errno = EACCES;
        return -1;
    }
    return next.function(path, flags, mode);
}

enum ggml_backend_dev_type ggml_backend_dev_type(ggml_backend_dev_t device)
{
    NEXT(ggml_backend_dev_type);
    return getenv("LLEM_TEST_CPU_IS_GPU") ? GGML_BACKEND_DEVICE_TYPE_GPU : next.function(device);
}

struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params p)
{
    NEXT(llama_model_load_from_file);
    note("model.path %s", path);
    note("model.n_gpu_layers %d", p.n_gpu_layers);
    note("model.split_mode %d", (int)p.split_mode);
    note("model.load_mode %d", (int)p.load_mode);
    note("model.lazy_mode %d", (int)p.lazy_mode);
    note("model.main_gpu %d", p.main_gpu);
    note("model.use_extra_bufts %d", p.use_extra_bufts);
    note("model.tensor_split %g %g", p.tensor_split ? p.tensor_split[0] : -1, p.tensor_split ? p.tensor_split[1] : -1);
    return next.function(path, p);
}

struct llama_context *llama_init_from_model(struct llama_model *model, struct llama_context_params p)
{
    NEXT(llama_init_from_model);
    note("context.n_ctx %u", p.n_ctx);
    note("context.n_batch %u", p.n_batch);
    note("context.n_ubatch %u", p.n_ubatch);
    note("context.n_seq_max %u", p.n_seq_max);
    note("context.n_threads %d", p.n_threads);
    note("context.n_threads_batch %d", p.n_threads_batch);
    note("context.flash_attn_type %d", (int)p.flash_attn_type);
    note("context.type_k %d", (int)p.type_k);
    note("context.type_v %d", (int)p.type_v);
    note("context.offload_kqv %d", p.offload_kqv);
    note("context.op_offload %d", p.op_offload);
    note("context.kv_unified %d", p.kv_unified);
    note("context.swa_full %d", p.swa_full);
    return next.function(model, p);
}

/* Both calls for a text, that for its length and that for its ids, have the same. */
int32_t llama_tokenize(const struct llama_vocab *vocab, const char *text, int32_t length, llama_token *tokens,
                       int32_t n_max, bool add_special, bool parse_special)
{
    NEXT(llama_tokenize);
    int32_t n = next.function(vocab, text, length, tokens, n_max, add_special, parse_special);
    if (tokens)
        note("tokenize.add_special %d", add_special);
    return n;
}

/* Tokens of the calls, so how the work was cut. */
int32_t llama_decode(struct llama_context *context, struct llama_batch batch)
{
    NEXT(llama_decode);
    note("decode.n_tokens %d", batch.n_tokens);
    return next.function(context, batch);
}

bool llama_vocab_is_eog(const struct llama_vocab *vocab, llama_token token)
{
    NEXT(llama_vocab_is_eog);
    note("generate.looks_for_end 1");
    return next.function(vocab, token);
}

struct llama_sampler *llama_sampler_init_penalties(int32_t n_vocab, int32_t last_n, float repeat, float freq,
                                                   float present)
{
    NEXT(llama_sampler_init_penalties);
    note("sampler.repeat %g", (double)repeat);
    return next.function(n_vocab, last_n, repeat, freq, present);
}

struct llama_sampler *llama_sampler_init_greedy(void)
{
    NEXT(llama_sampler_init_greedy);
    note("sampler.greedy 1");
    return next.function();
}

struct llama_sampler *llama_sampler_init_top_k(int32_t k)
{
    NEXT(llama_sampler_init_top_k);
    note("sampler.top_k %d", k);
    return next.function(k);
}

struct llama_sampler *llama_sampler_init_top_p(float p, size_t min_keep)
{
    NEXT(llama_sampler_init_top_p);
    note("sampler.top_p %g", (double)p);
    return next.function(p, min_keep);
}

struct llama_sampler *llama_sampler_init_min_p(float p, size_t min_keep)
{
    NEXT(llama_sampler_init_min_p);
    note("sampler.min_p %g", (double)p);
    return next.function(p, min_keep);
}

struct llama_sampler *llama_sampler_init_temp(float t)
{
    NEXT(llama_sampler_init_temp);
    note("sampler.temperature %g", (double)t);
    return next.function(t);
}

struct llama_sampler *llama_sampler_init_dist(uint32_t seed)
{
    NEXT(llama_sampler_init_dist);
    note("sampler.seed %u", seed);
    return next.function(seed);
}
