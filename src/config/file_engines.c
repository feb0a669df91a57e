/* SPDX-License-Identifier: MIT */
/* Which engines a file speaks of: only their descriptors are read. */
#include "config/internal.h"

#include <string.h>

struct naming {
    GPtrArray *names; /* of engines that are there; borrowed from strings */
    GStringChunk *strings;
    bool chosen; /* somebody says which engine */
};

static void name_engine(struct naming *naming, const char *name)
{
    const char *kept = g_string_chunk_insert_const(naming->strings, name);
    if (backend_exists(kept) && !g_ptr_array_find(naming->names, kept, NULL))
        g_ptr_array_add(naming->names, (void *)(uintptr_t)kept);
}

static void name_levels(struct naming *naming, const struct doc_node *node)
{
    naming->chosen = true;
    if (node->kind == DOC_SCALAR && node->raw)
        name_engine(naming, node->raw);
    for (size_t i = 0; node->kind == DOC_LIST && i < node->n; i++)
        if (node->items[i]->kind == DOC_SCALAR && node->items[i]->raw)
            name_engine(naming, node->items[i]->raw);
}

/* A field's path: the engine's own field, or one in a section that may be an engine's. */
static void name_of_field(struct naming *naming, const char *path, const struct doc_node *node)
{
    g_autofree char *section = g_strndup(path, strcspn(path, "."));
    if (!strcmp(path, config_shared_rows[FIELD_BACKEND].path))
        name_levels(naming, node);
    else
        name_engine(naming, section);
}

static void name_of_map(struct naming *naming, const struct doc_node *map)
{
    for (size_t i = 0; map && map->kind == DOC_MAP && i < map->n; i++) {
        if (!strcmp(map->entries[i].key, "sweep"))
            name_of_map(naming, map->entries[i].value);
        else
            name_of_field(naming, map->entries[i].key, map->entries[i].value);
    }
}

struct config_table *table_for(const struct sources *sources, struct diag *diag)
{
    struct naming naming = {.names = g_ptr_array_new(), .strings = g_string_chunk_new(256)};
    for (unsigned i = 0; i < sources->overrides->len; i++) {
        const struct override *o = &g_array_index(sources->overrides, struct override, i);
        name_of_field(&naming, o->field, o->node);
    }
    name_of_map(&naming, sources->root);
    if (!naming.chosen)
        g_ptr_array_add(naming.names, (void *)(uintptr_t)g_string_chunk_insert_const(naming.strings, DEFAULT_BACKEND));
    name_of_map(&naming, sources->user);
    g_ptr_array_add(naming.names, NULL);
    struct config_table *table = config_table_new((const char *const *)naming.names->pdata, diag);
    g_ptr_array_unref(naming.names);
    g_string_chunk_free(naming.strings);
    return table;
}
