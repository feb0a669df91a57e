/* SPDX-License-Identifier: MIT */
/* Any bytes give facts or an error, as a whole file and as the head of a larger one; estimates hold up on any facts. */
#include "workload/workload.h"

#include "fuzz.h"

static void check(const uint8_t *data, size_t size, int64_t file_bytes)
{
    g_auto(owned_facts) facts = {0};
    g_autoptr(GError) error = NULL;
    bool ok = workload_facts_parse_gguf(data, size, file_bytes, "fuzz.gguf", &facts, &error);
    g_assert(ok == (error == NULL));
    if (!ok)
        return;
    struct workload_flops flops;
    const char *reason;
    g_assert(facts.architecture && facts.form && facts.n_params >= 0 && facts.weights_bytes >= 0);
    g_assert(workload_flops_estimate(&facts, 100, 10, &flops, &reason) == (reason == NULL));
    g_assert(workload_kv_bytes(&facts, 4096, "f16", "q8_0", true) >= -1);
    g_autoptr(json_t) tree = workload_facts_json(&facts);
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, (int64_t)size);
    check(data, size, INT64_C(1) << 40);
    return 0;
}
