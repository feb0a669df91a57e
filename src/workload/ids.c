/* SPDX-License-Identifier: MIT */
#include "workload/workload.h"

static void add_u32(GChecksum *sum, uint32_t value)
{
    uint32_t little = GUINT32_TO_LE(value);
    g_checksum_update(sum, (const guchar *)&little, sizeof little);
}

char *workload_ids_sha256(const int32_t *const *ids, const size_t *n_ids, size_t n)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (size_t i = 0; i < n; i++) {
        add_u32(sum, (uint32_t)n_ids[i]);
        for (size_t k = 0; k < n_ids[i]; k++)
            add_u32(sum, (uint32_t)ids[i][k]);
    }
    return g_strdup(g_checksum_get_string(sum));
}

char *workload_ids_columns(const int32_t *const *ids, const size_t *n_ids, size_t n, size_t most, size_t digits)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = MAX(longest, n_ids[i]);
    longest = MIN(longest, most);
    GString *columns = g_string_sized_new(longest * digits + 1);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (size_t k = 0; k < longest; k++) {
        g_checksum_reset(sum);
        for (size_t i = 0; i < n; i++)
            add_u32(sum, k < n_ids[i] ? (uint32_t)ids[i][k] : UINT32_MAX);
        g_string_append_len(columns, g_checksum_get_string(sum), (gssize)digits);
    }
    return g_string_free(columns, FALSE);
}

void workload_ids_turn(const int32_t *ids, size_t n, size_t by, int32_t *ret)
{
    size_t first = n ? by % n : 0;
    for (size_t i = 0; i < n; i++)
        ret[i] = ids[(first + i) % n];
}
