/* SPDX-License-Identifier: MIT */
/* Any bytes give a document or a located error, and whatever is given can be walked, described and rendered. */
#include "base/base.h"

#include "fuzz.h"

static void walk(const struct doc_node *node, size_t *budget)
{
    if (*budget == 0)
        return;
    (*budget)--;
    g_autofree char *said = doc_describe(node);
    g_assert(node->json && *said);
    for (size_t i = 0; i < node->n; i++)
        walk(node->kind == DOC_LIST ? node->items[i] : node->entries[i].value, budget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The first byte picks the name, because .json files take one step more. */
    const char *name = size && data[0] == '{' ? "fuzz.json" : "fuzz.yaml";
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_doc) doc = doc_parse(name, (const char *)data, size, diag);
    g_assert((doc != NULL) == (diag_errors(diag) == 0));
    if (doc) {
        size_t budget = 10000;
        walk(doc_root(doc), &budget);
    }
    g_autofree char *said = diag_render(diag, true);
    return 0;
}
