/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Positions a sequence gets when nobody said how long requests will be. */
#define CONTEXT_WITHOUT_LENGTHS 2048

/* --- The model -------------------------------------------------------------------------------------------------- */

/* libllama's reader of a file it cannot take says little; ours says what and where. */
static bool read_facts(struct adapter *a, struct llamacpp *l, const struct adapter_load *load)
{
    g_autoptr(GError) error = NULL;
    if (!load->model_path)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: 'model_path' is missing: the path of a GGUF file");
    if (!g_file_test(load->model_path, G_FILE_TEST_EXISTS))
        return adapter_fail(a, ADAPTER_LOAD_FAILED, "there is no model file %s", load->model_path);
    if (!workload_facts_read(load->model_path, &l->facts, &error))
        return adapter_fail(a, ADAPTER_LOAD_FAILED, "%s", error->message);
    if (l->facts.format != WORKLOAD_FORMAT_GGUF)
        return adapter_fail(a, ADAPTER_LOAD_FAILED, "%s is a folder; llama.cpp reads GGUF files",
                            load->model_path);
    l->path = g_strdup(load->model_path);
    l->sha256 = workload_model_sha256(load->model_path, &error);
    return l->sha256 || adapter_fail(a, ADAPTER_LOAD_FAILED, "%s", error->message);
}

/* Fails a load: for memory where the log tells of some that was refused. */
static bool fail_load(struct adapter *a, const char *what)
{
    static const char *const signs[] = {"failed to allocate", "unable to allocate",
                                        "out of memory"};
    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++)
        if (library_log_said(signs[i]))
            return adapter_fail_oom(a, "%s: %s", what, library_log_errors());
    return adapter_fail(a, ADAPTER_LOAD_FAILED, "%s: %s", what, library_log_errors());
}

static bool on_progress(float progress, void *state)
{
    (void)progress;
    return !llamacpp_abort(state);
}

static bool look_around(struct adapter *a, struct llamacpp *l, const struct adapter_load *load,
                        const struct load_options *o, struct fit_room *room)
{
    l->device_free_bytes = o->n_gpu_layers != 0 ? library_gpu_free_bytes() : -1;
    fit_look(&l->facts, o->n_gpu_layers, o->offload_kqv, l->device_free_bytes, room);
    return (o->n_ctx > 0 || fit_length(a, &l->facts, load)) &&
           fit_memory(a, room, l->facts.weights_bytes, -1, 0);
}

/* One share for each device that libllama can have; NULL: none were given, or false was said of them. Those beyond the
 * GPUs that are there would be dropped without a word, and the rest shared out as nobody asked for. */
static bool take_shares(struct adapter *a, const struct load_options *o, float **ret)
{
    size_t most = llama_max_devices(), gpus = library_gpus();
    double sum = 0;
    *ret = NULL;
    if (o->tensor_split.n == 0)
        return true;
    if (o->tensor_split.n > most)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: tensor_split has %zu shares; libllama has %zu devices at most",
                            o->tensor_split.n, most);
    if (gpus > 0 && o->tensor_split.n > gpus)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: tensor_split has %zu shares, and libllama finds %zu GPU%s: write "
                            "a share for each", o->tensor_split.n, gpus, gpus == 1 ? "" : "s");
    *ret = g_new0(float, most);
    for (size_t i = 0; i < o->tensor_split.n; i++) {
        (*ret)[i] = (float)o->tensor_split.values[i];
        sum += o->tensor_split.values[i];
    }
    return sum > 0 || adapter_fail(a, ADAPTER_BAD_VALUE, "load: tensor_split gives no GPU a share");
}

static bool load_model(struct adapter *a, struct llamacpp *l, const struct load_options *o)
{
    struct llama_model_params params = llama_model_default_params();
    g_autofree float *shares = NULL;
    if (!take_shares(a, o, &shares))
        return false;
    params.tensor_split = shares;
    params.n_gpu_layers = (int32_t)o->n_gpu_layers;
    params.split_mode = (enum llama_split_mode)o->split_mode;
    params.main_gpu = (int32_t)o->main_gpu;
    params.load_mode = (enum llama_load_mode)o->load_mode;
    params.lazy_mode = (enum llama_lazy_mode)o->lazy_mode;
    params.use_extra_bufts = o->use_extra_bufts;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = l;
    library_log_reset();
    l->model = llama_model_load_from_file(l->path, params);
    if (l->model)
        return true;
    return !l->stop && fail_load(a, "libllama cannot load the model");
}

/* Positions for n_parallel requests of the lengths asked for. */
static int64_t wanted_context(const struct llamacpp *l, const struct adapter_load *load,
                              const struct load_options *o)
{
    if (o->n_ctx > 0)
        return o->n_ctx;
    int64_t each = load->max_input_tokens + load->max_output_tokens;
    if (load->max_input_tokens == 0 || load->max_output_tokens == 0)
        each = MIN(CONTEXT_WITHOUT_LENGTHS, MAX(llama_model_n_ctx_train(l->model), 1));
    return (each + 255) / 256 * 256 *
           o->n_parallel; /* libllama gives a sequence multiples of 256 */
}

/* Bytes of a cache, or -1 where not every layer caches every position. */
static int64_t cache_bytes(const struct llamacpp *l, int64_t positions, const struct load_options *o,
                           bool flash_attention)
{
    bool windows = !o->swa_full && llama_model_n_swa(l->model) > 0;
    bool plain = !llama_model_is_recurrent(l->model) && !llama_model_is_hybrid(l->model) && !windows;
    return plain ? workload_kv_bytes(&l->facts, positions, name_of(names_kv_type, o->type_k),
                                     name_of(names_kv_type, o->type_v), flash_attention)
                 : -1;
}

static bool make_context(struct adapter *a, struct llamacpp *l, const struct adapter_load *load,
                         const struct load_options *o, const struct fit_room *room)
{
    struct llama_context_params params = llama_context_default_params();
    int64_t positions = wanted_context(l, load, o);
    if (!fit_memory(a, room, l->facts.weights_bytes, cache_bytes(l, positions, o, false), positions))
        return false;
    params.n_ctx = (uint32_t)MIN(positions, UINT32_MAX);
    params.n_batch = (uint32_t)o->n_batch;
    params.n_ubatch = (uint32_t)o->n_ubatch;
    params.n_seq_max = (uint32_t)o->n_parallel;
    params.n_threads = (int32_t)o->n_threads;
    params.n_threads_batch = (int32_t)o->n_threads_batch;
    params.flash_attn_type = (enum llama_flash_attn_type)o->flash_attention;
    params.type_k = (enum ggml_type)o->type_k;
    params.type_v = (enum ggml_type)o->type_v;
    params.offload_kqv = o->offload_kqv;
    params.op_offload = o->op_offload;
    params.kv_unified = o->kv_unified;
    params.swa_full = o->swa_full;
    params.no_perf = true;
    params.abort_callback = llamacpp_abort;
    params.abort_callback_data = l;
    library_log_reset_errors();
    l->context = llama_init_from_model(l->model, params);
    return l->context || fail_load(a, "libllama cannot make a context");
}

static bool check_lengths(struct adapter *a, const struct llamacpp *l, const struct adapter_load *load)
{
    int64_t most = load->max_input_tokens + load->max_output_tokens - 1;
    if (load->max_input_tokens > 0 && load->max_output_tokens > 0 && most > l->n_ctx_seq)
        return adapter_fail(
            a, ADAPTER_BAD_VALUE,
            "load: n_ctx %" G_GINT64_FORMAT " gives each of %" G_GINT64_FORMAT
            " sequences %" G_GINT64_FORMAT
            " positions; max_input_tokens and max_output_tokens need %" G_GINT64_FORMAT
            ". Raise llamacpp.n_ctx or leave it out",
            l->n_ctx, l->n_seq_max, l->n_ctx_seq, most);
    return true;
}

/* --- What came of it -------------------------------------------------------------------------------------------- */

/* "auto" is settled while the context is made; the log alone tells how. */
static const char *flash_attention_used(const struct load_options *o)
{
    if (o->flash_attention != LLAMA_FLASH_ATTN_TYPE_AUTO)
        return name_of(names_flash_attention, o->flash_attention);
    if (library_log_said("Flash Attention enabled"))
        return "on";
    return library_log_said("Flash Attention not supported") ? "off" : "auto";
}

static void read_back(struct llamacpp *l, const struct load_options *o)
{
    l->vocab = llama_model_get_vocab(l->model);
    l->n_vocab = llama_vocab_n_tokens(l->vocab);
    l->n_ctx = llama_n_ctx(l->context);
    l->n_ctx_seq = llama_n_ctx_seq(l->context);
    l->n_batch = llama_n_batch(l->context);
    l->n_seq_max = llama_n_seq_max(l->context);
    l->kv_unified = o->kv_unified;
    l->add_bos = o->add_bos;
    g_strlcpy(l->type_k, name_of(names_kv_type, o->type_k), sizeof l->type_k);
    g_strlcpy(l->type_v, name_of(names_kv_type, o->type_v), sizeof l->type_v);
    bool flash = !strcmp(flash_attention_used(o), "on");
    l->kv_bytes = llama_get_memory(l->context) ? cache_bytes(l, l->n_ctx, o, flash) : -1;
    l->batch = llama_batch_init((int32_t)l->n_batch, 0, 1);
}

static void make_samplers(struct llamacpp *l)
{
    struct llama_sampler *first = sampling_chain(&l->sampling, l->n_vocab);
    if (!first)
        return;
    l->samplers = g_new(struct llama_sampler *, (size_t)l->n_seq_max);
    l->samplers[0] = first;
    for (int64_t i = 1; i < l->n_seq_max; i++)
        l->samplers[i] = sampling_chain(&l->sampling, l->n_vocab);
}

/* A number that was asked for and cut down without a word. */
static bool check_cut(struct adapter *a, const struct adapter_load *load, json_t *reply, const char *name,
                      int64_t used, const char *reason)
{
    const json_t *asked = adapter_option_value(a, load, name);
    if (json_is_null(asked) || json_integer_value(asked) <= used)
        return true;
    g_autofree char *requested = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(asked));
    g_autofree char *instead = g_strdup_printf("%" G_GINT64_FORMAT, used);
    return adapter_substitution(a, load, reply, name, requested, instead, reason);
}

/* What libllama replaces with no more than a line in its log. */
static bool check_substitutions(struct adapter *a, struct llamacpp *l,
                                const struct adapter_load *load, const struct load_options *o,
                                json_t *reply)
{
    if (o->n_gpu_layers > 0 && l->device_free_bytes < 0) {
        g_autofree char *layers = g_strdup_printf("%" G_GINT64_FORMAT " layers on a GPU", o->n_gpu_layers);
        if (!adapter_substitution(a, load, reply, "n_gpu_layers", layers, "all layers on the CPU",
                                  "libllama finds no GPU (built without CUDA, or no device)"))
            return false;
    }
    if (o->tensor_split.n > 0 && l->device_free_bytes < 0 &&
        !adapter_substitution(a, load, reply, "tensor_split", "shares of GPUs", "all of the model on the CPU",
                              "nothing of it is on a GPU"))
        return false;
    if (!check_cut(a, load, reply, "n_batch", l->n_batch, "libllama cuts it to n_ctx") ||
        !check_cut(a, load, reply, "n_ubatch", llama_n_ubatch(l->context), "libllama cuts it to n_batch"))
        return false;
    const char *form = name_of(names_quantization, o->quantization);
    if (form && g_ascii_strcasecmp(form, l->facts.form) != 0 &&
        !adapter_substitution(a, load, reply, "quantization", form, l->facts.form, "the file holds them"))
        return false;
    if (o->add_bos && !llamacpp_adds_special(l) &&
        !adapter_substitution(a, load, reply, "add_bos", "true", "no special tokens", "the model's file asks for none"))
        return false;
    bool lock = o->load_mode == LLAMA_LOAD_MODE_MLOCK || o->load_mode == LLAMA_LOAD_MODE_MMAP_MLOCK;
    if (lock && library_log_said("mlock"))
        return adapter_substitution(
            a, load, reply, "load_mode", name_of(names_load_mode, o->load_mode),
            "weights that are not locked in memory", "the system refused (see ulimit -l)");
    if (o->flash_attention == LLAMA_FLASH_ATTN_TYPE_ENABLED && library_log_said("forcing off"))
        return adapter_substitution(a, load, reply, "flash_attn", "on", "off", "this model cannot use it");
    return true;
}

/* The options as asked for, and in their place what the engine made of them. */
static void add_resolved(struct adapter *a, const struct llamacpp *l, const struct adapter_load *load,
                         const struct load_options *o, json_t *resolved)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {
        {"n_ctx", l->n_ctx},
        {"n_ctx_seq", l->n_ctx_seq},
        {"n_batch", l->n_batch},
        {"n_ubatch", llama_n_ubatch(l->context)},
        {"n_parallel", l->n_seq_max},
        {"n_threads", llama_n_threads(l->context)},
        {"n_threads_batch", llama_n_threads_batch(l->context)},
        {"n_gpu_layers", l->device_free_bytes < 0 ? 0 : o->n_gpu_layers},
    };
    adapter_echo_options(a, load, resolved);
    json_object_del(resolved, "quantization"); /* as "weights", by what the file holds */
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
        json_object_set_new(resolved, counts[i].name, json_integer(counts[i].value));
    json_object_set_new(resolved, "add_bos", json_boolean(o->add_bos && llamacpp_adds_special(l)));
    json_object_set_new(resolved, "weights", json_string(l->facts.form));
    json_object_set_new(resolved, "flash_attn", json_string(flash_attention_used(o)));
    sampling_resolved(&l->sampling, resolved);
}

static void add_facts(const struct llamacpp *l, json_t *facts)
{
    json_object_set_new(facts, "model_sha256", json_string(l->sha256));
    json_object_set_new(facts, "file_type", json_string(llama_ftype_name(llama_model_ftype(l->model))));
    json_object_set_new(facts, "model", workload_facts_json(&l->facts));
    json_object_set_new(facts, "n_params", json_integer((json_int_t)llama_model_n_params(l->model)));
    json_object_set_new(facts, "model_adds_bos", json_boolean(llama_vocab_get_add_bos(l->vocab)));
    json_object_set_new(facts, "cpu_features", json_string(llama_print_system_info()));
    json_object_set_new(facts, "devices", library_devices());
    g_autofree char *backend = library_cpu_backend();
    if (backend)
        json_object_set_new(facts, "cpu_backend", json_string(backend));
}

static void add_figure(json_t *figures, const char *name, int64_t bytes, const char *reason)
{
    json_object_set_new(figures, name, bytes >= 0 ? json_integer(bytes) : json_string(reason));
}

void llamacpp_add_figures(const struct llamacpp *l, json_t *figures)
{
    int64_t on_device = l->device_free_bytes >= 0 ? library_gpu_used_bytes() : -1;
    double used = l->kv_bytes < 0 ? -1 : (double)l->kv_bytes * (double)l->used_peak / (double)l->n_ctx;
    add_figure(figures, "weights_bytes", (int64_t)llama_model_size(l->model), NULL);
    add_figure(figures, "kv_cache_bytes", l->kv_bytes,
               l->facts.kv_reason ? l->facts.kv_reason : "not every layer of this model caches every position");
    add_figure(figures, "kv_used_peak_bytes", (int64_t)used,
               l->facts.kv_reason ? l->facts.kv_reason : "not every layer of this model caches every position");
    add_figure(figures, "rss_bytes", adapter_status_bytes("VmRSS:"), "/proc/self/status does not tell");
    add_figure(figures, "rss_peak_bytes", adapter_status_bytes("VmHWM:"), "/proc/self/status does not tell");
    add_figure(figures, "device_bytes", on_device, "nothing is on a GPU");
    add_figure(figures, "peak_bytes", -1,
               "llama.cpp keeps no account of what it allocates; host_peak_memory_mb is that of its process, with the pages "
               "of a mapped model file");
}

void llamacpp_unload(struct llamacpp *l)
{
    for (int64_t i = 0; l->samplers && i < l->n_seq_max; i++)
        llama_sampler_free(l->samplers[i]);
    g_clear_pointer(&l->samplers, g_free);
    if (l->batch.token)
        llama_batch_free(l->batch);
    g_clear_pointer(&l->context, llama_free);
    g_clear_pointer(&l->model, llama_model_free);
    workload_facts_clear(&l->facts);
    g_free(l->path);
    g_free(l->sha256);
    *l = (struct llamacpp){0};
}

/* Some layers stay on the CPU, or the attention over their KV cache does. The output is a layer more. */
static bool is_divided(const struct llamacpp *l, const struct load_options *o)
{
    bool all = o->n_gpu_layers < 0 || o->n_gpu_layers > l->facts.n_layers;
    return !all || !o->offload_kqv;
}

static bool load_all(struct adapter *a, struct llamacpp *l, const struct adapter_load *load,
                     const struct load_options *o, json_t *reply)
{
    struct fit_room room;
    if (!sampling_read(a, load, &l->sampling) || !read_facts(a, l, load) ||
        !look_around(a, l, load, o, &room) || !load_model(a, l, o) || !make_context(a, l, load, o, &room))
        return false;
    read_back(l, o);
    make_samplers(l);
    if (!check_lengths(a, l, load) || !check_substitutions(a, l, load, o, reply))
        return false;
    json_t *resolved = json_object(), *facts = json_object(), *figures = json_object();
    json_object_set_new(reply, "resolved", resolved);
    json_object_set_new(reply, "facts", facts);
    json_object_set_new(reply, "memory", figures);
    add_resolved(a, l, load, o, resolved);
    add_facts(l, facts);
    llamacpp_add_figures(l, figures);
    json_object_set_new(reply, "engine_version", json_string(llama_version()));
    bool on_gpu = l->device_free_bytes >= 0 && o->n_gpu_layers != 0;
    json_object_set_new(reply, "in_flight", json_integer(l->n_seq_max));
    json_object_set_new(reply, "device", json_string(on_gpu ? "gpu" : "cpu"));
    if (on_gpu && is_divided(l, o))
        json_object_set_new(reply, "devices", json_pack("[s, s]", "gpu", "cpu"));
    json_object_set_new(reply, "weights_bytes", json_integer((json_int_t)llama_model_size(l->model)));
    return true;
}

bool llamacpp_load(struct adapter *a, void *state, const struct adapter_load *load, json_t *reply)
{
    struct llamacpp *l = state;
    struct load_options o = {0};
    llamacpp_unload(l);
    l->adapter = a; /* a load can be stopped as well */
    bool ok = library_start(a) && options_read(a, load, &o) && load_all(a, l, load, &o, reply);
    g_free(o.tensor_split.values);
    l->adapter = NULL;
    if (!ok)
        llamacpp_unload(l);
    return ok;
}
