/* SPDX-License-Identifier: MIT */
#include "study/work.h"

static void take_prompts(const struct workload_prompts *prompts, struct exchange_prompts *ret)
{
    exchange_prompts_init(ret, prompts->n);
    for (size_t i = 0; i < prompts->n; i++) {
        ret->text[i] = g_strdup(prompts->text[i]);
        ret->line[i] = (int64_t)prompts->line[i];
    }
}

bool work_fill(struct workload_library *library, const struct config *config, struct exchange *ret, GError **error)
{
    g_auto(workload_work) work = {0};
    if (!config_work(config, library, &work, error))
        return false;
    ret->dataset = g_steal_pointer(&work.dataset);
    ret->dataset_sha256 = g_strdup(work.dataset_sha256);
    take_prompts(&work.measured, &ret->prompts);
    take_prompts(&work.warmup, &ret->warmup);
    ret->warmup_variants = (int64_t)work.warmup.n_variants;
    return true;
}
