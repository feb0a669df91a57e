/* SPDX-License-Identifier: MIT */
/*
 * GGUF, version 2 and 3: "GGUF", u32 version, u64 tensors, u64 pairs; the pairs (key, type, value); the tensor table
 * (name, dimensions, type, offset); padding; the data. All little-endian. The format is specified in ggml's
 * docs/gguf.md. Only what stands before the data is read; every length is checked before it is used.
 */
#include "workload/private.h"

#include "workload/ggml_types.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};
/* Bytes of a scalar; 0 where the length stands in the file. */
static const uint8_t gguf_scalar_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct reader {
    const uint8_t *bytes;
    size_t length; /* bytes in memory */
    size_t at;
    int64_t file_bytes; /* bytes the file has */
    const char *name;
    bool want_more; /* ran past what is in memory, but not past the file: no error is set */
    GError **error;

    GHashTable *integers; /* key → boxed int64: integers, true and false; arrays of integers by their rounded mean */
    GHashTable *strings;  /* key → text: string pairs */
    int64_t n_token_strings;

    GHashTable *tensor_names;
    int64_t n_params, weights_bytes, data_end; /* data_end: relative to the start of the data */
    int64_t bytes_of_type[64];
    char last_tensor[80];
    bool has_output, has_gate, has_double_up;
    int64_t d_ffn_up; /* rows of blk.0.ffn_up */
};

G_GNUC_PRINTF(3, 4) static bool fail(struct reader *r, enum llem_error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(r->error, LLEM_ERROR, code, "%s: byte %zu: %s", r->name, r->at, text);
    return false;
}

/* True if n more bytes are in memory; otherwise asks for more, or says that the file ends. */
static bool need(struct reader *r, uint64_t n)
{
    if (n <= r->length - r->at)
        return true;
    if ((int64_t)r->length < r->file_bytes && n <= (uint64_t)r->file_bytes - r->at) {
        r->want_more = true;
        return false;
    }
    return fail(r, LLEM_ERROR_DATA,
                "the file ends (after %" G_GINT64_FORMAT " bytes) inside its header: it is "
                "truncated or damaged; get it again",
                r->file_bytes);
}

static bool read_uint(struct reader *r, int width, uint64_t *ret)
{
    if (!need(r, (uint64_t)width))
        return false;
    uint64_t value = 0;
    for (int i = 0; i < width; i++)
        value |= (uint64_t)r->bytes[r->at + (size_t)i] << (8 * i);
    r->at += (size_t)width;
    *ret = value;
    return true;
}

/* Borrowed bytes of a string of at most max; *ret_length may be 0. */
static bool read_string(struct reader *r, uint64_t max, const char *what, const char **ret, size_t *ret_length)
{
    uint64_t length;
    if (!read_uint(r, 8, &length))
        return false;
    if (length > max) {
        r->at -= 8;
        return fail(r, LLEM_ERROR_DATA,
                    "%s of %" G_GUINT64_FORMAT " bytes (at most %" G_GUINT64_FORMAT "): the header is damaged",
                    what, length, max);
    }
    if (!need(r, length))
        return false;
    *ret = (const char *)r->bytes + r->at;
    *ret_length = (size_t)length;
    r->at += (size_t)length;
    return true;
}

static bool is_integer(uint64_t type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

static int64_t as_signed(uint64_t type, uint64_t raw)
{
    switch (type) {
    case GGUF_I8:
        return (int8_t)raw;
    case GGUF_I16:
        return (int16_t)raw;
    case GGUF_I32:
        return (int32_t)raw;
    default:
        return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
    }
}

static void keep_integer(struct reader *r, const char *key, int64_t value)
{
    int64_t *boxed = g_new(int64_t, 1);
    *boxed = value;
    g_hash_table_replace(r->integers, g_strdup(key), boxed);
}

/* An array: strings are skipped, integers kept as their mean (per-layer head counts), the rest skipped. */
static bool read_array(struct reader *r, const char *key)
{
    uint64_t type, n;
    if (!read_uint(r, 4, &type) || !read_uint(r, 8, &n))
        return false;
    if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY)
        return fail(r, LLEM_ERROR_DATA, "'%s' is an array of type %" G_GUINT64_FORMAT ", which GGUF does not have",
                    key, type);
    if (type == GGUF_STRING) {
        if (n > (uint64_t)r->file_bytes / 8) /* each has at least its length */
            return fail(r, LLEM_ERROR_DATA, "'%s' claims %" G_GUINT64_FORMAT " strings: the header is damaged", key,
                        n);
        for (uint64_t i = 0; i < n; i++) {
            const char *text;
            size_t length;
            if (!read_string(r, LIMIT_GGUF_STRING, "a string", &text, &length))
                return false;
        }
        if (!strcmp(key, "tokenizer.ggml.tokens"))
            r->n_token_strings = (int64_t)n;
        return true;
    }
    uint64_t width = gguf_scalar_bytes[type];
    if (n > (uint64_t)r->file_bytes / width)
        return fail(r, LLEM_ERROR_DATA, "'%s' claims %" G_GUINT64_FORMAT " elements: the header is damaged", key, n);
    if (!need(r, n * width))
        return false;
    if (!is_integer(type) || n == 0 || n > LIMIT_GGUF_LAYERS) {
        r->at += (size_t)(n * width);
        return true;
    }
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t raw = 0;
        if (!read_uint(r, (int)width, &raw))
            return false;
        sum += (double)as_signed(type, raw);
    }
    double mean = sum / (double)n;
    if (mean >= 0 && mean < 1e15)
        keep_integer(r, key, (int64_t)(mean + 0.5));
    return true;
}

static bool read_pair(struct reader *r)
{
    const char *text;
    size_t length;
    uint64_t type, raw = 0;
    if (!read_string(r, LIMIT_GGUF_KEY, "a key", &text, &length))
        return false;
    g_autofree char *key = g_strndup(text, length);
    if (length == 0 || strlen(key) != length || !g_utf8_validate(key, -1, NULL))
        return fail(r, LLEM_ERROR_DATA, "a key that is not text: the header is damaged");
    if (g_hash_table_contains(r->integers, key) || g_hash_table_contains(r->strings, key))
        return fail(r, LLEM_ERROR_DATA, "the key '%s' occurs twice", key);
    if (!read_uint(r, 4, &type))
        return false;
    if (type >= GGUF_TYPE_COUNT)
        return fail(r, LLEM_ERROR_DATA, "'%s' has type %" G_GUINT64_FORMAT ", which GGUF does not have", key, type);
    if (type == GGUF_ARRAY)
        return read_array(r, key);
    if (type == GGUF_STRING) {
        if (!read_string(r, LIMIT_GGUF_STRING, key, &text, &length))
            return false;
        g_autofree char *value = g_strndup(text, length);
        g_hash_table_replace(r->strings, g_steal_pointer(&key), g_utf8_make_valid(value, -1));
        return true;
    }
    if (!read_uint(r, gguf_scalar_bytes[type], &raw))
        return false;
    if (is_integer(type) || type == GGUF_BOOL)
        keep_integer(r, key, as_signed(type, raw));
    return true;
}

static void note_tensor(struct reader *r, const char *name, const uint64_t dims[4])
{
    if (!strcmp(name, "output.weight"))
        r->has_output = true;
    if (g_str_has_suffix(name, ".ffn_gate.weight") ||
        g_str_has_suffix(name, ".ffn_gate_exps.weight") ||
        g_str_has_suffix(name, ".ffn_gate_up_exps.weight"))
        r->has_gate = true;
    if (!strcmp(name, "blk.0.ffn_up.weight"))
        r->d_ffn_up = (int64_t)dims[1];
}

/* Elements and bytes of a tensor; false when they do not fit an int64 or its type does not divide its rows. */
static bool tensor_size(const uint64_t dims[4], const struct ggml_type_row *type, int64_t *ret_n, int64_t *ret_bytes)
{
    int64_t n = 1;
    for (int i = 0; i < 4; i++)
        if (dims[i] > INT64_MAX || __builtin_mul_overflow(n, (int64_t)dims[i], &n))
            return false;
    *ret_n = n;
    return dims[0] % (uint64_t)type->block_values == 0 &&
           !__builtin_mul_overflow(n / type->block_values, type->block_bytes, ret_bytes);
}

static bool read_tensor(struct reader *r, int64_t alignment)
{
    const char *text;
    size_t length;
    uint64_t n_dims, dims[4] = {1, 1, 1, 1}, type_id, offset;
    if (!read_string(r, 63, "a tensor's name", &text, &length))
        return false;
    g_autofree char *name = g_strndup(text, length);
    if (strlen(name) != length || !g_utf8_validate(name, -1, NULL))
        return fail(r, LLEM_ERROR_DATA, "a tensor's name that is not text: the header is damaged");
    if (!read_uint(r, 4, &n_dims))
        return false;
    if (n_dims > 4)
        return fail(r, LLEM_ERROR_DATA, "tensor '%s' has %" G_GUINT64_FORMAT " dimensions (at most 4)", name, n_dims);
    for (uint64_t i = 0; i < n_dims; i++)
        if (!read_uint(r, 8, &dims[i]))
            return false;
    if (!read_uint(r, 4, &type_id) || !read_uint(r, 8, &offset))
        return false;
    const struct ggml_type_row *type = ggml_type_by_id((uint32_t)type_id);
    if (!type)
        return fail(r, LLEM_ERROR_UNSUPPORTED,
                    "tensor '%s' has type %" G_GUINT64_FORMAT ", which this version does not know", name, type_id);
    int64_t n, bytes, end;
    if (!tensor_size(dims, type, &n, &bytes))
        return fail(r, LLEM_ERROR_DATA, "the size of tensor '%s' cannot be right", name);
    if (offset > INT64_MAX || (int64_t)offset % alignment ||
        __builtin_add_overflow((int64_t)offset, bytes, &end) ||
        __builtin_add_overflow(r->n_params, n, &r->n_params) ||
        __builtin_add_overflow(r->weights_bytes, bytes, &r->weights_bytes))
        return fail(r, LLEM_ERROR_DATA, "the place of tensor '%s' cannot be right", name);
    note_tensor(r, name, dims);
    if (end > r->data_end) {
        r->data_end = end;
        g_strlcpy(r->last_tensor, name, sizeof r->last_tensor);
    }
    r->bytes_of_type[type_id] += bytes;
    if (!g_hash_table_add(r->tensor_names, g_steal_pointer(&name)))
        return fail(r, LLEM_ERROR_DATA, "a tensor's name occurs twice");
    return true;
}

static int64_t integer(struct reader *r, const char *architecture, const char *key, int64_t otherwise)
{
    g_autofree char *full =
        architecture ? g_strdup_printf("%s.%s", architecture, key) : g_strdup(key);
    const int64_t *value = g_hash_table_lookup(r->integers, full);
    return value && *value >= 0 ? *value : otherwise;
}

/* The file's type by its own word, else the type most of its bytes have. */
static const char *form_name(struct reader *r)
{
    const char *name = ggml_file_type_name(integer(r, NULL, "general.file_type", -1));
    if (name)
        return name;
    size_t most = 0;
    for (size_t i = 1; i < G_N_ELEMENTS(r->bytes_of_type); i++)
        if (r->bytes_of_type[i] > r->bytes_of_type[most])
            most = i;
    return ggml_type_by_id((uint32_t)most)->name;
}

/* True if the file rules out every token around a text. What it does not say follows from the kind of its tokenizer;
 * these two kinds end no text by themselves. */
static bool adds_no_special(struct reader *r)
{
    const char *kind = g_hash_table_lookup(r->strings, "tokenizer.ggml.model");
    return integer(r, NULL, "tokenizer.ggml.add_bos_token", 1) == 0 && kind &&
           (!strcmp(kind, "gpt2") || !strcmp(kind, "llama")) &&
           integer(r, NULL, "tokenizer.ggml.add_eos_token", 0) == 0 &&
           integer(r, NULL, "tokenizer.ggml.add_sep_token", 0) == 0;
}

static void fill_facts(struct reader *r, const char *architecture, struct workload_facts *facts)
{
    *facts = (struct workload_facts){
        .format = WORKLOAD_FORMAT_GGUF,
        .architecture = g_strdup(architecture),
        .name = g_strdup(g_hash_table_lookup(r->strings, "general.name")),
        .licence = g_strdup(g_hash_table_lookup(r->strings, "general.license")),
        .form = g_strdup(form_name(r)),
        .n_layers = integer(r, architecture, "block_count", 0),
        .n_heads = integer(r, architecture, "attention.head_count", 0),
        .d_model = integer(r, architecture, "embedding_length", 0),
        .d_ffn = integer(r, architecture, "feed_forward_length", 0),
        .context_length = integer(r, architecture, "context_length", 0),
        .n_vocab = integer(r, architecture, "vocab_size", r->n_token_strings),
        .n_experts = integer(r, architecture, "expert_count", 0),
        .n_experts_used = integer(r, architecture, "expert_used_count", 0),
        .tied_embeddings = !r->has_output,
        .adds_no_special = adds_no_special(r),
        .n_params = r->n_params,
        .weights_bytes = r->weights_bytes,
        .file_bytes = r->file_bytes,
    };
    facts->n_kv_heads = integer(r, architecture, "attention.head_count_kv", facts->n_heads);
    int64_t head = facts->n_heads > 0 ? facts->d_model / facts->n_heads : 0;
    facts->head_dim_k = integer(r, architecture, "attention.key_length", head);
    facts->head_dim_v = integer(r, architecture, "attention.value_length", head);
    if (facts->n_experts > 0)
        facts->d_ffn = integer(r, architecture, "expert_feed_forward_length", facts->d_ffn);
    /* A gate fused with the up projection shows as twice the rows. */
    facts->gated_mlp = r->has_gate || (facts->d_ffn > 0 && r->d_ffn_up / 2 == facts->d_ffn && r->d_ffn_up % 2 == 0);
}

static bool read_prologue(struct reader *r, uint64_t *ret_tensors, uint64_t *ret_pairs)
{
    uint64_t version;
    if (r->file_bytes < 4 || (r->length >= 4 && memcmp(r->bytes, "GGUF", 4)))
        return fail(r, LLEM_ERROR_DATA, "not a GGUF file (it does not begin with GGUF)");
    if (!need(r, 4))
        return false;
    r->at = 4;
    if (!read_uint(r, 4, &version))
        return false;
    if (version != 2 && version != 3)
        return fail(r, LLEM_ERROR_UNSUPPORTED, "GGUF version %" G_GUINT64_FORMAT "%s; 2 and 3 are read", version,
                    version && (version & 0xffffff) == 0 ? " (a big-endian file)" : "");
    if (!read_uint(r, 8, ret_tensors) || !read_uint(r, 8, ret_pairs))
        return false;
    if (*ret_tensors > LIMIT_GGUF_TENSORS || *ret_pairs > LIMIT_GGUF_PAIRS)
        return fail(r, LLEM_ERROR_LIMIT,
                    "%" G_GUINT64_FORMAT " tensors and %" G_GUINT64_FORMAT " metadata pairs (at "
                    "most %d and %d): the header is damaged",
                    *ret_tensors, *ret_pairs, LIMIT_GGUF_TENSORS, LIMIT_GGUF_PAIRS);
    return true;
}

static bool check_end(struct reader *r, int64_t alignment)
{
    int64_t data_start = ((int64_t)r->at + alignment - 1) / alignment * alignment;
    int64_t end;
    if (r->data_end == 0 || (!__builtin_add_overflow(data_start, r->data_end, &end) && end <= r->file_bytes))
        return true;
    g_set_error(r->error, LLEM_ERROR, LLEM_ERROR_DATA,
                "%s: the file has %" G_GINT64_FORMAT
                " bytes, but its tensor '%s' ends at byte %" G_GINT64_FORMAT
                ": it is truncated; get it again",
                r->name, r->file_bytes, r->last_tensor, data_start + r->data_end);
    return false;
}

static bool parse(struct reader *r, struct workload_facts *ret)
{
    uint64_t n_tensors = 0, n_pairs = 0;
    if (!read_prologue(r, &n_tensors, &n_pairs))
        return false;
    for (uint64_t i = 0; i < n_pairs; i++)
        if (!read_pair(r))
            return false;
    int64_t alignment = integer(r, NULL, "general.alignment", 32);
    if (alignment < 8 || alignment > 65536 || (alignment & (alignment - 1)))
        return fail(r, LLEM_ERROR_DATA,
                    "general.alignment %" G_GINT64_FORMAT " is not a power of two from 8 to 65536", alignment);
    for (uint64_t i = 0; i < n_tensors; i++)
        if (!read_tensor(r, alignment))
            return false;
    const char *architecture = g_hash_table_lookup(r->strings, "general.architecture");
    if (!architecture || strlen(architecture) > 64)
        return fail(r, LLEM_ERROR_DATA, "the header names no architecture (general.architecture)");
    if (!check_end(r, alignment))
        return false;
    fill_facts(r, architecture, ret);
    return true;
}

/* ret_more: the head in memory does not hold the whole header; nothing else is wrong. */
static bool parse_head(const void *bytes, size_t length, int64_t file_bytes, const char *name,
                       struct workload_facts *ret, bool *ret_more, GError **error)
{
    g_autoptr(GHashTable) integers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) strings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct reader r = {.bytes = bytes,
                       .length = length,
                       .file_bytes = file_bytes,
                       .name = name,
                       .error = error,
                       .integers = integers,
                       .strings = strings,
                       .tensor_names = names};
    bool ok = parse(&r, ret);
    *ret_more = r.want_more;
    return ok;
}

bool workload_facts_parse_gguf(const void *bytes, size_t length, int64_t file_bytes, const char *name,
                               struct workload_facts *ret, GError **error)
{
    bool more;
    if (parse_head(bytes, length, file_bytes, name, ret, &more, error))
        return true;
    if (more)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the header is longer than the %zu bytes given", name,
                    length);
    return false;
}

/* Reads [*length, want) of the file behind what is in the buffer. */
static bool read_up_to(int fd, GByteArray *head, size_t want, const char *path, GError **error)
{
    size_t have = head->len;
    g_byte_array_set_size(head, (guint)want);
    while (have < want) {
        ssize_t n = pread(fd, head->data + have, want - have, (off_t)have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(error, "cannot read", path);
        if (n == 0) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: became shorter while it was read", path);
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

static bool read_gguf_fd(int fd, int64_t file_bytes, const char *path, struct workload_facts *ret, GError **error)
{
    g_autoptr(GByteArray) head = g_byte_array_new();
    for (int64_t want = 4 << 20;; want *= 4) {
        want = MIN(MIN(want, file_bytes), LIMIT_GGUF_HEADER);
        bool more;
        if (!read_up_to(fd, head, (size_t)want, path, error))
            return false;
        if (parse_head(head->data, head->len, file_bytes, path, ret, &more, error))
            return true;
        if (!more)
            return false;
        if (want == LIMIT_GGUF_HEADER) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s: the header is longer than %d MiB", path,
                        LIMIT_GGUF_HEADER >> 20);
            return false;
        }
    }
}

bool workload_facts_read(const char *path, struct workload_facts *ret, GError **error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", path);
    bool ok;
    if (fstat(fd, &st) != 0) {
        ok = file_error(error, "cannot read", path);
    } else if (S_ISDIR(st.st_mode)) {
        ok = facts_read_hf(path, ret, error);
    } else if (!S_ISREG(st.st_mode)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s is neither a file nor a folder", path);
        ok = false;
    } else {
        ok = read_gguf_fd(fd, st.st_size, path, ret, error);
    }
    close(fd);
    return ok;
}
