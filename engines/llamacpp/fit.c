/* SPDX-License-Identifier: MIT */
/* Refuses a load that does not fit the model or the memory, before anything large is allocated: a cache that fills the
 * machine takes more down than this process, and libllama asks nobody. */
#include "llamacpp/llamacpp.h"

#include <string.h>

bool fit_length(struct adapter *a, const struct workload_facts *facts, const struct adapter_load *load)
{
    int64_t need = load->max_input_tokens + load->max_output_tokens - 1;
    if (load->max_input_tokens == 0 || load->max_output_tokens == 0 || facts->context_length == 0 ||
        need <= facts->context_length)
        return true;
    return adapter_fail(
        a, ADAPTER_BAD_VALUE,
        "load: max_input_tokens %" G_GINT64_FORMAT " and max_output_tokens %" G_GINT64_FORMAT
        " need %" G_GINT64_FORMAT " positions; the model was trained for %" G_GINT64_FORMAT
        ". Lower one of them, or set llamacpp.n_ctx to go beyond what it was trained for",
        load->max_input_tokens, load->max_output_tokens, need, facts->context_length);
}

/* MemAvailable of /proc/meminfo, or -1. */
static int64_t available_bytes(void)
{
    static const char name[] = "MemAvailable:";
    size_t length;
    g_autofree char *text = file_read("/proc/meminfo", 1 << 16, &length, NULL);
    const char *at = text ? strstr(text, name) : NULL;
    return at ? g_ascii_strtoll(at + strlen(name), NULL, 10) * 1024 : -1;
}

void fit_look(const struct workload_facts *facts, int64_t n_gpu_layers, bool offload_kqv,
              int64_t gpu_free_bytes, struct fit_room *ret)
{
    *ret = (struct fit_room){-1, "memory"};
    if (gpu_free_bytes < 0) {
        ret->bytes = available_bytes();
    } else if (offload_kqv && (n_gpu_layers < 0 || n_gpu_layers > facts->n_layers)) {
        ret->bytes = gpu_free_bytes;
        ret->what = "GPU memory";
    } /* parts here and there: libllama's own refusal has to do */
}

bool fit_memory(struct adapter *a, const struct fit_room *room, int64_t weights_bytes,
                int64_t kv_bytes, int64_t positions)
{
    int64_t need = weights_bytes + MAX(kv_bytes, 0);
    if (room->bytes < 0 || need <= room->bytes)
        return true;
    g_autofree char *weights = num_format_bytes(weights_bytes);
    g_autofree char *available = num_format_bytes(room->bytes);
    if (kv_bytes <= 0)
        return adapter_fail_oom(a, "the weights need %s; %s of %s are free", weights, available, room->what);
    g_autofree char *cache = num_format_bytes(kv_bytes);
    return adapter_fail_oom(
        a,
        "the weights (%s) and a KV cache of %" G_GINT64_FORMAT
        " positions (%s) do not fit: %s of %s are free. Lower max_output_tokens, "
        "max_input_tokens, llamacpp.n_parallel or llamacpp.n_ctx",
        weights, positions, cache, available, room->what);
}
