/* SPDX-License-Identifier: MIT */
/*
 * GGUF, version 2 and 3: "GGUF", u32 version, u64 tensors, u64 pairs; the pairs (key, type, value); the tensor table
 * (name, dimensions, type, offset); padding; the data. All little-endian. The format is specified in ggml's
 * docs/gguf.md. Only what stands before the data is read; every length is checked before it is used.
 */
#include "workload/gguf.h"

#include "workload/ggml_types.h"
#include "workload/private.h"

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
    struct gguf *head; /* what was read so far */
    int64_t data_end;  /* relative to the start of the data */
    char last_tensor[80];
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
    g_hash_table_replace(r->head->integers, g_strdup(key), boxed);
}

static void array_free(void *data)
{
    struct gguf_array *array = data;
    g_array_unref(array->values);
    g_free(array);
}

/* n elements of integers, of which there are enough in memory. */
static bool keep_array(struct reader *r, const char *key, uint64_t type, uint64_t n)
{
    struct gguf_array *array = g_new(struct gguf_array, 1);
    *array = (struct gguf_array){r->at, g_array_sized_new(FALSE, FALSE, sizeof(int64_t), (guint)n)};
    g_hash_table_replace(r->head->arrays, g_strdup(key), array);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t raw = 0;
        if (!read_uint(r, gguf_scalar_bytes[type], &raw))
            return false;
        int64_t value = as_signed(type, raw);
        g_array_append_val(array->values, value);
    }
    return true;
}

/* An array: integers are kept where there may be one for each layer, the rest is skipped. */
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
            r->head->n_token_strings = (int64_t)n;
        return true;
    }
    uint64_t width = gguf_scalar_bytes[type];
    if (n > (uint64_t)r->file_bytes / width)
        return fail(r, LLEM_ERROR_DATA, "'%s' claims %" G_GUINT64_FORMAT " elements: the header is damaged", key, n);
    if (!need(r, n * width))
        return false;
    if ((is_integer(type) || type == GGUF_BOOL) && n > 0 && n <= LIMIT_GGUF_LAYERS)
        return keep_array(r, key, type, n);
    r->at += (size_t)(n * width);
    return true;
}

static bool is_known(const struct gguf *head, const char *key)
{
    return g_hash_table_contains(head->integers, key) || g_hash_table_contains(head->strings, key) ||
           g_hash_table_contains(head->arrays, key);
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
    if (is_known(r->head, key))
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
        g_hash_table_replace(r->head->strings, g_steal_pointer(&key), g_utf8_make_valid(value, -1));
        return true;
    }
    if (!read_uint(r, gguf_scalar_bytes[type], &raw))
        return false;
    if (is_integer(type) || type == GGUF_BOOL)
        keep_integer(r, key, as_signed(type, raw));
    return true;
}

/* The layer of "blk.12.attn_q.weight"; -1: none. */
static int64_t layer_of(const char *name)
{
    if (!g_str_has_prefix(name, "blk.") || !g_ascii_isdigit(name[4]))
        return -1;
    guint64 layer = g_ascii_strtoull(name + 4, NULL, 10);
    return layer < LIMIT_GGUF_LAYERS ? (int64_t)layer : -1;
}

/* Counts a matrix that tokens are multiplied by: norms, biases and the like have one dimension. */
static void note_matrix(struct gguf *head, const char *name, const uint64_t dims[4])
{
    int64_t layer = layer_of(name);
    if (layer < 0 || dims[1] <= 1 || !g_str_has_suffix(name, ".weight") || strstr(name, "conv1d"))
        return;
    if (layer >= head->matrices->len)
        g_array_set_size(head->matrices, (guint)layer + 1);
    struct gguf_matrices *m = &g_array_index(head->matrices, struct gguf_matrices, (guint)layer);
    double n = (double)dims[0] * (double)dims[1] * (double)dims[2] * (double)dims[3];
    *(strstr(name, "_exps.") ? &m->experts : &m->plain) += n;
}

static void note_tensor(struct reader *r, const char *name, const uint64_t dims[4])
{
    if (!strcmp(name, "output.weight"))
        r->head->has_output = true;
    if (g_str_has_suffix(name, ".ffn_gate.weight") ||
        g_str_has_suffix(name, ".ffn_gate_exps.weight") ||
        g_str_has_suffix(name, ".ffn_gate_up_exps.weight"))
        r->head->has_gate = true;
    if (g_str_has_prefix(name, "blk.") &&
        (g_str_has_suffix(name, ".attn_norm.weight") || g_str_has_suffix(name, ".ffn_norm.weight")))
        r->head->d_norm = (int64_t)MIN(dims[0], INT64_MAX);
    if (!strcmp(name, "blk.0.ffn_up.weight"))
        r->head->d_ffn_up = (int64_t)dims[1];
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
        __builtin_add_overflow(r->head->n_params, n, &r->head->n_params) ||
        __builtin_add_overflow(r->head->weights_bytes, bytes, &r->head->weights_bytes))
        return fail(r, LLEM_ERROR_DATA, "the place of tensor '%s' cannot be right", name);
    note_tensor(r, name, dims);
    note_matrix(r->head, name, dims);
    if (end > r->data_end) {
        r->data_end = end;
        g_strlcpy(r->last_tensor, name, sizeof r->last_tensor);
    }
    r->head->bytes_of_type[type_id] += bytes;
    if (!g_hash_table_add(r->head->tensor_names, g_steal_pointer(&name)))
        return fail(r, LLEM_ERROR_DATA, "a tensor's name occurs twice");
    return true;
}

int64_t gguf_head_integer(const struct gguf *head, const char *architecture, const char *key, int64_t otherwise)
{
    g_autofree char *full = architecture ? g_strdup_printf("%s.%s", architecture, key) : g_strdup(key);
    const int64_t *value = g_hash_table_lookup(head->integers, full);
    return value && *value >= 0 ? *value : otherwise;
}

static bool read_prologue(struct reader *r, uint64_t *ret_tensors, uint64_t *ret_pairs)
{
    uint64_t version;
    if (r->file_bytes < 4 || (r->length >= 4 && memcmp(r->bytes, "GGUF", 4))) {
        const char *thing = workload_recognise((const char *)r->bytes, r->length);
        return thing ? fail(r, LLEM_ERROR_DATA, "not a GGUF file but %s", thing)
                     : fail(r, LLEM_ERROR_DATA, "not a GGUF file (it does not begin with GGUF)");
    }
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

static bool parse(struct reader *r)
{
    uint64_t n_tensors = 0, n_pairs = 0;
    if (!read_prologue(r, &n_tensors, &n_pairs))
        return false;
    for (uint64_t i = 0; i < n_pairs; i++)
        if (!read_pair(r))
            return false;
    int64_t alignment = gguf_head_integer(r->head, NULL, "general.alignment", 32);
    if (alignment < 8 || alignment > 65536 || (alignment & (alignment - 1)))
        return fail(r, LLEM_ERROR_DATA,
                    "general.alignment %" G_GINT64_FORMAT " is not a power of two from 8 to 65536", alignment);
    for (uint64_t i = 0; i < n_tensors; i++)
        if (!read_tensor(r, alignment))
            return false;
    return check_end(r, alignment);
}

void gguf_head_free(struct gguf *head)
{
    if (!head)
        return;
    g_hash_table_unref(head->integers);
    g_hash_table_unref(head->arrays);
    g_hash_table_unref(head->strings);
    g_hash_table_unref(head->tensor_names);
    g_array_unref(head->matrices);
    g_free(head);
}

struct gguf *gguf_head_parse(const void *bytes, size_t length, int64_t file_bytes, const char *name, bool *ret_more,
                        GError **error)
{
    g_autoptr(owned_gguf) head = g_new0(struct gguf, 1);
    head->integers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    head->arrays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, array_free);
    head->strings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    head->tensor_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    head->matrices = g_array_new(FALSE, TRUE, sizeof(struct gguf_matrices));
    head->file_bytes = file_bytes;
    struct reader r = {
        .bytes = bytes, .length = length, .file_bytes = file_bytes, .name = name, .error = error, .head = head};
    bool ok = parse(&r);
    *ret_more = r.want_more;
    return ok ? g_steal_pointer(&head) : NULL;
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

static struct gguf *read_fd(int fd, int64_t file_bytes, const char *path, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (int64_t want = 4 << 20;; want *= 4) {
        want = MIN(MIN(want, file_bytes), LIMIT_GGUF_HEADER);
        bool more;
        if (!read_up_to(fd, bytes, (size_t)want, path, error))
            return NULL;
        struct gguf *head = gguf_head_parse(bytes->data, bytes->len, file_bytes, path, &more, error);
        if (head || !more)
            return head;
        if (want == LIMIT_GGUF_HEADER) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s: the header is longer than %d MiB", path,
                        LIMIT_GGUF_HEADER >> 20);
            return NULL;
        }
    }
}

/* An open file of that path; -1 after an error. Not blocked by a pipe that nobody writes into. */
static int open_regular(const char *path, struct stat *ret, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret) != 0) {
        file_error(error, "cannot open", path);
    } else if (!S_ISREG(ret->st_mode)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s is neither a file nor a folder", path);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

struct gguf *gguf_head_read(const char *path, GError **error)
{
    struct stat st;
    int fd = open_regular(path, &st, error);
    if (fd < 0)
        return NULL;
    struct gguf *head = read_fd(fd, st.st_size, path, error);
    close(fd);
    return head;
}
