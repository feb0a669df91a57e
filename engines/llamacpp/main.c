/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include "version.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct adapter_field schema[] = {
    {"quantization", "string", "null",
     "the quantised weights the file must hold; null: whatever it holds"},
    {"n_ctx", "integer", "0",
     "positions of all sequences together; 0: what the longest requests need"},
    {"n_parallel", "integer", "1",
     "sequences computed together; more requests of a batch wait for the next wave"},
    {"n_threads", "integer", "1", "threads that compute single tokens"},
    {"n_threads_batch", "integer", "null", "threads that compute prompts; null: as n_threads"},
    {"n_batch", "integer", "null",
     "most tokens in one call of llama_decode; null: 2048, or the context where it is smaller"},
    {"n_ubatch", "integer", "null",
     "most tokens computed at once, longer calls are cut; null: 512, or n_batch where it is less"},
    {"type_k", "string", "\"f16\"",
     "how keys are cached: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl"},
    {"type_v", "string", "\"f16\"", "how values are cached; a quantised type needs flash_attn: on"},
    {"flash_attn", "string", "\"off\"", "fused attention: off, on, auto (llama.cpp decides)"},
    {"n_gpu_layers", "integer", "-1", "layers on GPUs; -1: all where there is one"},
    {"split_mode", "string", "\"layer\"",
     "how a model is split over GPUs: none, layer, row, tensor"},
    {"main_gpu", "integer", "0", "the GPU that holds everything when split_mode is none"},
    {"offload_kqv", "boolean", "true", "the KV cache and attention on the GPU too"},
    {"op_offload", "boolean", "true", "large operations on host tensors on the GPU"},
    {"load_mode", "string", "\"mmap\"",
     "how weights get into memory: auto, none, mmap, mlock, mmap+mlock, dio"},
    {"kv_unified", "boolean", "false", "one cache for all sequences instead of one part each"},
    {"use_extra_bufts", "boolean", "true", "weights may be re-ordered in memory for the CPU's instructions"},
    {"add_bos", "boolean", "false",
     "the tokenizer puts the model's own special tokens before a prompt"},
    {0},
};

static bool on_hello(struct adapter *a, void *state, json_t *reply)
{
    (void)state;
    const char *mismatch = library_mismatch();
    if (*mismatch)
        return adapter_fail(a, "LibraryMismatch", "%s", mismatch);
    json_object_set_new(reply, "engine_version", json_string(llama_version()));
    json_object_set_new(reply, "libraries", library_versions());
    return true;
}

/* Writing 5 to clear_refs sets VmHWM back to what is resident now (proc(5)); kernels without it say so by failing. */
static bool restart_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, "5", 1) == 1;
    close(fd);
    return ok;
}

static bool on_reset(struct adapter *a, void *state, bool *prefix_cache, bool *peak_memory)
{
    (void)a;
    struct llamacpp *l = state;
    if (*prefix_cache) /* every wave starts from an empty cache anyway */
        llama_memory_clear(llama_get_memory(l->context), false);
    if (*peak_memory)
        *peak_memory = l->device_free_bytes < 0 && restart_peak();
    return true;
}

static bool on_memory(struct adapter *a, void *state, json_t *figures)
{
    (void)a;
    llamacpp_add_figures(state, figures);
    return true;
}

static void on_close(struct adapter *a, void *state)
{
    (void)a;
    llamacpp_unload(state);
}

static const struct adapter_ops ops = {
    .adapter = "llem-engine-llamacpp",
    .adapter_version = LLEM_VERSION,
    .engine = "llama.cpp",
    .schema = schema,
    .hello = on_hello,
    .load = llamacpp_load,
    .tokenize = llamacpp_tokenize,
    .reset = on_reset,
    .prepare = llamacpp_prepare,
    .generate = llamacpp_generate,
    .memory = on_memory,
    .close = on_close,
};

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "--quantize"))
        return quantize_main(argv[2], argv[3], argv[4]);
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("llem-engine-llamacpp " LLEM_VERSION " (llama.cpp %s, ggml %s)\n", llama_version(),
               ggml_version());
        const char *mismatch = library_mismatch();
        if (*mismatch)
            fprintf(stderr, "llem-engine-llamacpp: %s\n", mismatch);
        return *mismatch ? 1 : 0;
    }
    struct llamacpp state = {0};
    return adapter_main(&ops, &state);
}
