/* SPDX-License-Identifier: MIT */
#include "experiment/steps.h"

static int by_beginning(const void *left, const void *right)
{
    const struct engine_request *a = *(const struct engine_request *const *)left;
    const struct engine_request *b = *(const struct engine_request *const *)right;
    if (a->stamps_ns[0] != b->stamps_ns[0])
        return a->stamps_ns[0] < b->stamps_ns[0] ? -1 : 1;
    return a->n_out > b->n_out ? -1 : a->n_out < b->n_out;
}

void steps_append(GArray *stamps, const struct engine_generation *g)
{
    g_autoptr(GPtrArray) order = g_ptr_array_new();
    for (size_t i = 0; i < g->n_requests; i++)
        if (g->requests[i].n_out > 0)
            g_ptr_array_add(order, &g->requests[i]);
    g_ptr_array_sort(order, by_beginning);
    guint most = stamps->len + STEPS_MOST;
    int64_t last_ns = INT64_MIN;
    for (guint i = 0; i < order->len; i++) {
        const struct engine_request *q = order->pdata[i];
        for (size_t k = 0; k < q->n_out && stamps->len < most; k++)
            if (q->stamps_ns[k] > last_ns) {
                last_ns = q->stamps_ns[k];
                g_array_append_val(stamps, last_ns);
            }
    }
}
