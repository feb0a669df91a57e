/* SPDX-License-Identifier: MIT */
/* Any bytes give a data set or located errors; every order of a data set holds the same prompts. */
#include "workload/workload.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_dataset) set =
        workload_dataset_parse((const char *)data, size, "fuzz.jsonl", &error);
    g_assert((set != NULL) == (error == NULL));
    if (!set)
        return 0;
    size_t n = workload_dataset_size(set);
    for (int order = 0; order < WORKLOAD_ORDER_COUNT; order++) {
        g_auto(owned_prompts) prompts = {0}, warmup = {0};
        size_t some = (n + 1) / 2;
        g_assert(workload_dataset_select(set, some, (enum workload_order)order, size, &prompts, NULL));
        g_assert(workload_dataset_warmup(set, &prompts, 5, &warmup, NULL));
        g_assert(prompts.n == some && warmup.n == 5);
    }
    return 0;
}
