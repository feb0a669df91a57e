/* SPDX-License-Identifier: MIT */
/*
 * A model may come in parts, NAME-00001-of-00003.gguf and so on. Each says which it is of how many (split.no, from 0;
 * split.count), the first alone holds what is said of the model, and how many tensors it has in all
 * (split.tensors.count). Who loads a model is given its first part and takes the others from beside it.
 */
#include "workload/gguf.h"

#include <string.h>

#define PARTS_MAX 9999
#define TAIL      "-00001-of-00001.gguf" /* by its length */

/* The name of a part (from 0) of n with the prefix. New string. */
static char *part_path(const char *prefix, int64_t part, int64_t n)
{
    return g_strdup_printf("%s-%05d-of-%05d.gguf", prefix, (int)part + 1, (int)n);
}

/* What stands before "-00002-of-00003.gguf"; NULL where the name does not end so. New string. */
static char *prefix_of(const char *path, int64_t part, int64_t n)
{
    size_t length = strlen(path), tail = strlen(TAIL);
    g_autofree char *prefix = length > tail ? g_strndup(path, length - tail) : NULL;
    g_autofree char *whole = prefix ? part_path(prefix, part, n) : NULL;
    return whole && !strcmp(whole, path) ? g_steal_pointer(&prefix) : NULL;
}

G_GNUC_PRINTF(2, 3) static bool fail(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, LLEM_ERROR, LLEM_ERROR_DATA, text);
    return false;
}

/* The paths of all parts of a model; NULL after an error. New vector. */
static char **paths_of(const struct gguf *head, const char *path, GError **error)
{
    int64_t n = gguf_head_integer(head, NULL, "split.count", 1), no = gguf_head_integer(head, NULL, "split.no", 0);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    if (n <= 1) {
        g_ptr_array_add(paths, g_strdup(path));
    } else if (n > PARTS_MAX || no >= n) {
        fail(error, "%s: part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT ": the header is damaged", path, no + 1, n);
        return NULL;
    } else {
        g_autofree char *prefix = prefix_of(path, no, n);
        g_autofree char *first = prefix ? part_path(prefix, 0, n) : NULL;
        if (!prefix || no != 0) {
            fail(error, "%s is part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " of a model; %s%s", path, no + 1, n,
                 first ? "write the path of the first: " : "its name must end in -00001-of-0000N.gguf, and the others "
                 "must lie beside it", first ? first : "");
            return NULL;
        }
        for (int64_t i = 0; i < n; i++)
            g_ptr_array_add(paths, part_path(prefix, i, n));
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&paths), FALSE);
}

/* Counts a part's tensors with those of the others. */
static bool add_tensors(struct gguf *head, struct gguf *part, const char *path, GError **error)
{
    GHashTableIter iter;
    void *name;
    g_hash_table_iter_init(&iter, part->tensor_names);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        if (!g_hash_table_add(head->tensor_names, g_strdup(name)))
            return fail(error, "%s: its tensor '%s' is in an earlier part too: it is of another model", path,
                        (const char *)name);
    if (__builtin_add_overflow(head->n_params, part->n_params, &head->n_params) ||
        __builtin_add_overflow(head->weights_bytes, part->weights_bytes, &head->weights_bytes) ||
        __builtin_add_overflow(head->file_bytes, part->file_bytes, &head->file_bytes))
        return fail(error, "%s: the size of the parts cannot be right", path);
    for (size_t i = 0; i < G_N_ELEMENTS(head->bytes_of_type); i++)
        head->bytes_of_type[i] += part->bytes_of_type[i];
    if (head->matrices->len < part->matrices->len)
        g_array_set_size(head->matrices, part->matrices->len);
    for (guint i = 0; i < part->matrices->len; i++) {
        struct gguf_matrices *into = &g_array_index(head->matrices, struct gguf_matrices, i);
        into->plain += g_array_index(part->matrices, struct gguf_matrices, i).plain;
        into->experts += g_array_index(part->matrices, struct gguf_matrices, i).experts;
    }
    head->has_output |= part->has_output;
    head->has_gate |= part->has_gate;
    head->d_ffn_up = MAX(head->d_ffn_up, part->d_ffn_up);
    return true;
}

static bool add_part(struct gguf *head, const char *path, int64_t no, int64_t n, GError **error)
{
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return fail(error, "part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " of the model is missing: there is no %s",
                    no + 1, n, path);
    g_autoptr(owned_gguf) part = gguf_head_read(path, error);
    if (!part)
        return false;
    int64_t said = gguf_head_integer(part, NULL, "split.no", -1), of = gguf_head_integer(part, NULL, "split.count", 0);
    if (said < 0)
        return fail(error, "%s is no part of a model, but lies where part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                    " should be", path, no + 1, n);
    if (said != no || of != n)
        return fail(error, "%s says that it is part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                    ": it is of another model", path, said + 1, of);
    const char *architecture = g_hash_table_lookup(head->strings, "general.architecture");
    int64_t width = architecture ? gguf_head_integer(head, architecture, "embedding_length", 0) : 0;
    if (width && part->d_norm && part->d_norm != width)
        return fail(error, "%s: its layers are %" G_GINT64_FORMAT " wide, and those of the model %" G_GINT64_FORMAT
                    ": it is of another model", path, part->d_norm, width);
    return add_tensors(head, part, path, error);
}

bool gguf_head_add_parts(struct gguf *head, const char *path, GError **error)
{
    g_auto(GStrv) paths = paths_of(head, path, error);
    if (!paths)
        return false;
    int64_t n = g_strv_length(paths), all = gguf_head_integer(head, NULL, "split.tensors.count", -1);
    for (int64_t i = 1; i < n; i++)
        if (!add_part(head, paths[i], i, n, error))
            return false;
    guint have = g_hash_table_size(head->tensor_names);
    head->n_files = n;
    return n == 1 || all < 0 || have == all ||
           fail(error, "%s: its %" G_GINT64_FORMAT " parts hold %u tensors, and the model has %" G_GINT64_FORMAT
                ": one of them is of another model", path, n, have, all);
}

/* One of several by its name, so that its head is worth a look. */
static bool looks_like_part(const char *path)
{
    size_t length = strlen(path), tail = strlen(TAIL);
    return length > tail && g_str_has_suffix(path, ".gguf") && !strncmp(path + length - tail + 6, "-of-", 4);
}

char *workload_model_sha256(const char *path, GError **error)
{
    g_autoptr(owned_gguf) head = looks_like_part(path) ? gguf_head_read(path, NULL) : NULL;
    if (!head || gguf_head_integer(head, NULL, "split.count", 1) <= 1)
        return file_sha256_cached(path, error);
    g_auto(GStrv) paths = paths_of(head, path, error);
    g_autoptr(json_t) digests = json_array();
    int64_t n = paths ? g_strv_length(paths) : 0;
    for (int64_t i = 0; i < n; i++) {
        bool there = g_file_test(paths[i], G_FILE_TEST_EXISTS);
        g_autofree char *digest = there ? file_sha256_cached(paths[i], error) : NULL;
        if (!there)
            fail(error, "part %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " of the model is missing: there is no %s",
                 i + 1, n, paths[i]);
        if (!digest)
            return NULL;
        json_array_append_new(digests, json_string(digest));
    }
    return n ? jsonx_sha256(digests) : NULL;
}
