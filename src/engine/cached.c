/* SPDX-License-Identifier: MIT */
/*
 * What a prefix cache can have had: of a prompt no more than it shares with another that the engine was given since the
 * cache was emptied, and behind a whole one of those with the tokens that came out of it. Its last token is computed.
 */
#include "engine/private.h"

#include <stdlib.h>

/* How often a prompt was given, and the most tokens that may have come out of it. */
struct given {
    int64_t n, max_tokens;
};

GHashTable *cached_new(void)
{
    return g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
}

void cached_note(GHashTable *cached, const struct prepared *batch)
{
    for (size_t i = 0; i < batch->n_requests; i++) {
        const struct prepared_request *r = &batch->requests[i];
        struct given *given = g_hash_table_lookup(cached, r->ids);
        if (!given) {
            given = g_new0(struct given, 1);
            g_hash_table_insert(cached, g_bytes_ref(r->ids), given);
        }
        given->n++;
        given->max_tokens = MAX(given->max_tokens, r->max_tokens);
    }
}

static const int32_t *ids_of(GBytes *prompt, size_t *ret_n)
{
    gsize bytes;
    const int32_t *ids = g_bytes_get_data(prompt, &bytes);
    *ret_n = bytes / sizeof *ids;
    return ids;
}

static size_t shared(GBytes *left, GBytes *right)
{
    size_t n_left, n_right, n = 0;
    const int32_t *a = ids_of(left, &n_left), *b = ids_of(right, &n_right);
    while (n < n_left && n < n_right && a[n] == b[n])
        n++;
    return n;
}

/* By their tokens, so that the neighbours of a prompt are those that share most with it. */
static int compare(gconstpointer left, gconstpointer right)
{
    GBytes *x = *(GBytes *const *)left, *y = *(GBytes *const *)right;
    size_t n_x, n_y, n = shared(x, y);
    const int32_t *a = ids_of(x, &n_x), *b = ids_of(y, &n_y);
    if (n == n_x || n == n_y)
        return (n_x > n_y) - (n_x < n_y);
    return a[n] < b[n] ? -1 : 1;
}

static GPtrArray *in_order(GHashTable *cached)
{
    GPtrArray *sorted = g_ptr_array_sized_new(g_hash_table_size(cached));
    GHashTableIter iter;
    gpointer prompt;
    g_hash_table_iter_init(&iter, cached);
    while (g_hash_table_iter_next(&iter, &prompt, NULL))
        g_ptr_array_add(sorted, prompt);
    g_ptr_array_sort(sorted, compare);
    return sorted;
}

static size_t shared_with_neighbours(const GPtrArray *sorted, GBytes *prompt)
{
    GBytes **at = bsearch(&prompt, sorted->pdata, sorted->len, sizeof *sorted->pdata, compare);
    guint i = (guint)(at - (GBytes **)sorted->pdata);
    size_t before = i > 0 ? shared(at[-1], prompt) : 0, after = i + 1 < sorted->len ? shared(at[1], prompt) : 0;
    return MAX(before, after);
}

/* The longest prompt that is the beginning of this one, with its answer. */
static size_t with_an_answer(GHashTable *cached, GBytes *prompt)
{
    GHashTableIter iter;
    gpointer key, value;
    size_t most = 0, n_prompt;
    ids_of(prompt, &n_prompt);
    g_hash_table_iter_init(&iter, cached);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        size_t n;
        ids_of(key, &n);
        if (n < n_prompt && shared(key, prompt) == n)
            most = MAX(most, n + (size_t)((struct given *)value)->max_tokens);
    }
    return most;
}

static size_t most_cached(GHashTable *cached, const GPtrArray *sorted, const struct prepared_request *r, size_t said)
{
    const struct given *given = g_hash_table_lookup(cached, r->ids);
    if (given->n > 1)
        return r->n_in;
    size_t most = shared_with_neighbours(sorted, r->ids);
    return said <= most ? most : MAX(most, with_an_answer(cached, r->ids));
}

const char *cached_check(GHashTable *cached, const struct prepared_request *const *asked,
                         const struct engine_request *requests, size_t n, size_t *ret_most)
{
    g_autoptr(GPtrArray) sorted = NULL;
    for (size_t i = 0; i < n; i++) {
        if (requests[i].n_cached <= 0)
            continue;
        sorted = sorted ? g_steal_pointer(&sorted) : in_order(cached);
        size_t said = (size_t)requests[i].n_cached;
        *ret_most = most_cached(cached, sorted, asked[i], said);
        if (said > *ret_most)
            return requests[i].id;
    }
    return NULL;
}
