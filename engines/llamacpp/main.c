/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include "version.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
    if (*prefix_cache) /* whoever begins starts from an empty sequence anyway */
        llama_memory_clear(llama_get_memory(l->context), false);
    if (*peak_memory)
        l->used_peak = 0;
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

/* By the shapes that the file tells: libllama's interface does not say how large a cache is. */
static const char *const computed[] = {"kv_cache_bytes", "kv_used_peak_bytes", NULL};

static const struct adapter_ops ops = {
    .adapter = "llem-engine-llamacpp",
    .adapter_version = LLEM_VERSION,
    .engine = "llama.cpp",
    .options = llamacpp_options,
    .hello = on_hello,
    .load = llamacpp_load,
    .tokenize = llamacpp_tokenize,
    .reset = on_reset,
    .prepare = llamacpp_prepare,
    .joins = true,
    .generate = llamacpp_generate,
    .memory = on_memory,
    .computed = computed,
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
