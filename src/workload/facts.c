/* SPDX-License-Identifier: MIT */
/* What a model's file or folder says of it, whatever it is. */
#include "workload/gguf.h"
#include "workload/private.h"

bool workload_facts_parse_gguf(const void *bytes, size_t length, int64_t file_bytes, const char *name,
                               struct workload_facts *ret, GError **error)
{
    bool more;
    g_autoptr(owned_gguf) head = gguf_head_parse(bytes, length, file_bytes, name, &more, error);
    if (!head && more)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the header is longer than the %zu bytes given", name,
                    length);
    return head && gguf_head_facts(head, name, ret, error);
}

bool workload_facts_read(const char *path, struct workload_facts *ret, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return facts_read_hf(path, ret, error);
    g_autoptr(owned_gguf) head = gguf_head_read(path, error);
    return head && gguf_head_add_parts(head, path, error) && gguf_head_facts(head, path, ret, error);
}
