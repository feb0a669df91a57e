/* SPDX-License-Identifier: MIT */
/* A Hugging Face folder: config.json for the shapes, the heads of *.safetensors for exact sizes. */
#include "workload/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The names under which configurations store the same fact, first hit wins. */
static const struct {
    size_t offset;
    const char *names[6];
} rows[] = {
#define AT(member) offsetof(struct workload_facts, member)
    {AT(n_layers), {"num_hidden_layers", "n_layer", "num_layers", "n_layers"}},
    {AT(n_heads), {"num_attention_heads", "n_head", "n_heads"}},
    {AT(n_kv_heads), {"num_key_value_heads", "num_kv_heads", "n_head_kv"}},
    {AT(head_dim_k), {"head_dim", "d_kv"}},
    {AT(d_model), {"hidden_size", "n_embd", "d_model"}},
    {AT(d_ffn), {"moe_intermediate_size", "intermediate_size", "n_inner", "ffn_dim"}},
    {AT(n_vocab), {"vocab_size"}},
    {AT(context_length),
     {"max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length"}},
    {AT(n_experts), {"num_local_experts", "num_experts", "n_routed_experts"}},
    {AT(n_experts_used), {"num_experts_per_tok", "num_experts_per_token"}},
#undef AT
};

/* Families whose MLP has two matrices; every other one in use gates. */
static const char *const plain_mlp[] = {
    "gpt2", "gpt_neo",    "gpt_neox",    "gptj",    "opt", "bloom",          "falcon",
    "phi",  "starcoder2", "gpt_bigcode", "codegen", "mpt", "stablelm_alpha", "biogpt"};

static bool read_integers(const json_t *config, struct workload_facts *facts, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int64_t *to = (int64_t *)(void *)((char *)facts + rows[i].offset);
        for (size_t k = 0; k < G_N_ELEMENTS(rows[i].names) && rows[i].names[k] && *to == 0; k++) {
            if (!jsonx_get_int(config, rows[i].names[k], false, to, error)) {
                g_prefix_error(error, "%s: ", name);
                return false;
            }
        }
        if (*to < 0 || *to > INT64_C(1) << 40) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: %s is %" G_GINT64_FORMAT ", which cannot be right",
                        name, rows[i].names[0], *to);
            return false;
        }
    }
    return true;
}

static const char *short_dtype(const char *dtype)
{
    static const char *const names[][2] = {{"float32", "f32"},   {"float16", "f16"},
                                           {"bfloat16", "bf16"}, {"F32", "f32"},
                                           {"F16", "f16"},       {"BF16", "bf16"}};
    for (size_t i = 0; dtype && i < G_N_ELEMENTS(names); i++)
        if (!strcmp(names[i][0], dtype))
            return names[i][1];
    return dtype;
}

static const char *text_at(const json_t *root, const char *path)
{
    return json_string_value(jsonx_at(root, path));
}

static const char *dtype_of(const json_t *root, const json_t *config)
{
    const char *quantized = text_at(root, "quantization_config.quant_method");
    if (quantized)
        return quantized;
    const char *const paths[] = {"dtype", "torch_dtype"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        const char *dtype = text_at(config, paths[i]);
        dtype = dtype ? dtype : text_at(root, paths[i]);
        if (dtype)
            return short_dtype(dtype);
    }
    return NULL;
}

bool facts_parse_hf(const char *text, size_t length, const char *name, struct workload_facts *ret, GError **error)
{
    g_autoptr(json_t) root = jsonx_parse(text, (gssize)length, name, error);
    if (!root)
        return false;
    if (!json_is_object(root)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: expected an object, found %s", name,
                    jsonx_type_name(root));
        return false;
    }
    /* Models that also see or hear keep the language model's shapes one level down. */
    json_t *nested = json_object_get(root, "text_config");
    const json_t *config = json_is_object(nested) ? nested : root;
    struct workload_facts facts = {.format = WORKLOAD_FORMAT_HF};
    if (!read_integers(config, &facts, name, error))
        return false;
    if (facts.n_layers == 0 || facts.d_model == 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s: not a language model's configuration (no num_hidden_layers or hidden_size)", name);
        return false;
    }
    if (facts.n_kv_heads == 0)
        facts.n_kv_heads = json_is_true(json_object_get(config, "multi_query")) ? 1 : facts.n_heads;
    if (facts.head_dim_k == 0 && facts.n_heads > 0)
        facts.head_dim_k = facts.d_model / facts.n_heads;
    facts.head_dim_v = facts.head_dim_k;
    const char *type = text_at(config, "model_type");
    facts.gated_mlp = true;
    for (size_t i = 0; type && i < G_N_ELEMENTS(plain_mlp); i++)
        if (!strcmp(plain_mlp[i], type))
            facts.gated_mlp = false;
    if (facts.d_ffn == 0 && !facts.gated_mlp)
        facts.d_ffn = 4 * facts.d_model;
    if (!facts_add_hf_layers(config, name, &facts, error))
        return false;
    json_t *tied = json_object_get(root, "tie_word_embeddings");
    facts.tied_embeddings = tied ? json_is_true(tied) : type && !strcmp(type, "gpt2");
    const char *class =
        json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    facts.architecture = g_strdup(class ? class : type);
    facts.form = g_strdup(dtype_of(root, config));
    *ret = facts;
    return true;
}

/* Adds a safetensors file's tensors: u64 length of a JSON head, {name: {"dtype", "shape", "data_offsets"}}. */
static bool add_safetensors_head(const json_t *head, const char *path, struct workload_facts *facts, GError **error)
{
    json_t *object = json_incref((json_t *)(uintptr_t)head);
    const char *name;
    json_t *tensor, *extent;
    bool ok = true;
    json_object_foreach (object, name, tensor) {
        if (!strcmp(name, "__metadata__"))
            continue;
        json_t *offsets = json_object_get(tensor, "data_offsets"),
               *shape = json_object_get(tensor, "shape");
        int64_t from = json_integer_value(json_array_get(offsets, 0)),
                to = json_integer_value(json_array_get(offsets, 1));
        int64_t n = 1;
        size_t i;
        ok = json_is_array(shape) && from >= 0 && from <= to;
        json_array_foreach (shape, i, extent) {
            ok = ok && json_integer_value(extent) >= 0 &&
                 !__builtin_mul_overflow(n, json_integer_value(extent), &n);
        }
        ok = ok && !__builtin_add_overflow(facts->n_params, n, &facts->n_params) &&
             !__builtin_add_overflow(facts->weights_bytes, to - from, &facts->weights_bytes);
        if (!ok) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: tensor '%s' has no sound shape and data_offsets",
                        path, name);
            break;
        }
    }
    json_decref(object);
    return ok;
}

static bool read_exactly(int fd, void *to, size_t n, off_t at)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = pread(fd, (char *)to + have, n - have, at + (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static bool add_safetensors_fd(int fd, const char *path, struct workload_facts *facts, GError **error)
{
    uint64_t length = 0;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return file_error(error, "cannot read", path);
    g_autofree char *text = NULL;
    if (read_exactly(fd, &length, sizeof length, 0)) {
        length = GUINT64_FROM_LE(length);
        if (length <= (uint64_t)st.st_size && length <= LIMIT_SAFETENSORS_HEAD) {
            text = g_malloc(length + 1);
            if (!read_exactly(fd, text, length, sizeof length))
                g_clear_pointer(&text, g_free);
        }
    }
    if (!text) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: not a safetensors file, or truncated", path);
        return false;
    }
    g_autoptr(json_t) head = jsonx_parse(text, (gssize)length, path, error);
    if (!head)
        return false;
    int64_t before = facts->weights_bytes;
    if (!add_safetensors_head(head, path, facts, error))
        return false;
    if (facts->weights_bytes - before + (int64_t)length + 8 > st.st_size) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s: the file has %" G_GINT64_FORMAT " bytes, fewer than its "
                    "tensors: it is truncated; get it again",
                    path, (int64_t)st.st_size);
        return false;
    }
    facts->file_bytes += st.st_size;
    return true;
}

/* Weights of the older form are not read here; that they are something else is seen all the same. */
static bool is_weights(const char *path, GError **error)
{
    char begin[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", path);
    ssize_t n = pread(fd, begin, sizeof begin, 0);
    const char *thing = n > 0 ? workload_recognise(begin, (size_t)n) : NULL;
    bool archive = n >= 4 && !memcmp(begin, "PK\003\004", 4); /* as torch.save writes it */
    g_auto(owned_facts) facts = {0};
    bool ok = archive || !thing;
    if (!ok)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: no weights but %s", path, thing);
    else if (g_str_has_suffix(path, ".safetensors"))
        ok = add_safetensors_fd(fd, path, &facts, error);
    close(fd);
    return ok;
}

static bool is_config(const char *path, GError **error)
{
    size_t length;
    g_autofree char *text = file_read(path, LIMIT_CONFIG_BYTES, &length, error);
    const char *thing = text ? workload_recognise(text, length) : NULL;
    if (thing)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: no configuration but %s", path, thing);
    g_autoptr(json_t) root = text && !thing ? jsonx_parse(text, (gssize)length, path, error) : NULL;
    return root != NULL;
}

bool hf_is_sound(const char *folder, GError **error)
{
    g_autofree char *config = g_build_filename(folder, "config.json", NULL);
    g_autoptr(GDir) dir = is_config(config, error) ? g_dir_open(folder, 0, error) : NULL;
    const char *name;
    bool ok = dir != NULL;
    while (ok && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_suffix(name, ".safetensors") || g_str_has_suffix(name, ".bin"))
            ok = is_weights(path, error);
    }
    return ok;
}

bool facts_read_hf(const char *folder, struct workload_facts *ret, GError **error)
{
    g_autofree char *config = g_build_filename(folder, "config.json", NULL);
    if (!g_file_test(config, G_FILE_TEST_EXISTS)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s: not a model's folder (it has no config.json)", folder);
        return false;
    }
    size_t length;
    g_autofree char *text = file_read(config, LIMIT_CONFIG_BYTES, &length, error);
    if (!text || !facts_parse_hf(text, length, config, ret, error))
        return false;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    bool ok = true;
    while (ok && dir && (name = g_dir_read_name(dir))) {
        if (!g_str_has_suffix(name, ".safetensors"))
            continue;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ok = fd >= 0 ? add_safetensors_fd(fd, path, ret, error)
                     : file_error(error, "cannot open", path);
        if (fd >= 0)
            close(fd);
    }
    if (!ok)
        workload_facts_clear(ret);
    return ok;
}
