/* SPDX-License-Identifier: MIT */
/* Which engines a file speaks of: only their descriptors are read, and what is kept of those that are installed. */
#include "config/internal.h"

#include <string.h>

struct naming {
    const struct sources *sources;
    GPtrArray *engines; /* const struct backend * */
    GHashTable *seen;   /* names */
    struct diag *diag;
    bool chosen; /* somebody says which engine */
};

/* The text for a runner in a mapping of the user: `runners: {NAME: docker:IMAGE}`, with `use`, or with dots; NULL:
 * none. Borrowed. */
static const char *runner_in(const struct doc_node *map, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; map && map->kind == DOC_MAP && i < map->n; i++) {
        const struct doc_entry *entry = &map->entries[i];
        size_t k = strlen(entry->key);
        if (!strcmp(entry->key, path) && entry->value->kind == DOC_SCALAR)
            return entry->value->raw;
        bool below = !strncmp(entry->key, path, k) && path[k] == '.';
        const char *found = below ? runner_in(entry->value, path + k + 1)
                            : k == n && !strcmp(entry->key, path) ? runner_in(entry->value, RUNNER_USE) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

/* Where the runs of an engine go, by the layer that says so; NULL: to this machine. Borrowed. */
static const char *runner_of(const struct sources *sources, const char *name)
{
    g_autofree char *use = config_runner_path(name, RUNNER_USE), *variable = config_runner_variable(name);
    g_autofree char *whole = g_strndup(use, strlen(use) - strlen("." RUNNER_USE));
    const char *here = sources->environment ? g_getenv(variable) : NULL, *found = NULL;
    for (unsigned i = 0; i < sources->overrides->len; i++) {
        const struct override *o = &g_array_index(sources->overrides, struct override, i);
        if ((!strcmp(o->field, use) || !strcmp(o->field, whole)) && o->node->kind == DOC_SCALAR)
            found = o->node->raw;
    }
    found = found ? found : here && *here ? here : NULL;
    const struct doc_node *maps[] = {sources->root, sources->user};
    for (size_t i = 0; !found && i < G_N_ELEMENTS(maps); i++) {
        found = runner_in(maps[i], use);
        found = found ? found : runner_in(maps[i], whole);
    }
    return found && strcmp(found, "local") ? found : NULL;
}

/* With what the installed one takes besides, as far as that is known. */
static const struct backend *installed(const struct naming *naming, const struct backend *engine)
{
    g_autoptr(GError) error = NULL;
    const struct backend *found = backend_installed(engine, runner_of(naming->sources, backend_name(engine)), &error);
    if (!found)
        diag_add(naming->diag, DIAG_WARNING, NULL, "%s", error->message);
    return found ? found : engine;
}

/* Names that are none are left to the reader of values. at NULL: the name is the default. */
static void name_engine(struct naming *naming, const char *name, const struct diag_span *at)
{
    g_autoptr(GError) error = NULL;
    if (!g_hash_table_add(naming->seen, g_strdup(name)) || (at && !backend_exists(name)))
        return;
    const struct backend *engine = backend_find(name, &error);
    if (engine)
        g_ptr_array_add(naming->engines, (void *)(uintptr_t)installed(naming, engine));
    else
        diag_add(naming->diag, DIAG_ERROR, at, "%s", error->message);
}

static void name_levels(struct naming *naming, const struct doc_node *node)
{
    naming->chosen = true;
    if (node->kind == DOC_SCALAR && node->raw)
        name_engine(naming, node->raw, &node->at);
    for (size_t i = 0; node->kind == DOC_LIST && i < node->n; i++)
        if (node->items[i]->kind == DOC_SCALAR && node->items[i]->raw)
            name_engine(naming, node->items[i]->raw, &node->items[i]->at);
}

/* A field's path: the engine's own field, or one in a section that may be an engine's. */
static void name_of_field(struct naming *naming, const char *path, const struct diag_span *at,
                          const struct doc_node *node)
{
    g_autofree char *section = g_strndup(path, strcspn(path, "."));
    if (!strcmp(path, config_shared_rows[FIELD_BACKEND].path))
        name_levels(naming, node);
    else
        name_engine(naming, section, at);
}

static void name_of_map(struct naming *naming, const struct doc_node *map)
{
    for (size_t i = 0; map && map->kind == DOC_MAP && i < map->n; i++) {
        if (!strcmp(map->entries[i].key, "sweep"))
            name_of_map(naming, map->entries[i].value);
        else
            name_of_field(naming, map->entries[i].key, &map->entries[i].key_at, map->entries[i].value);
    }
}

struct config_table *table_for(const struct sources *sources, struct diag *diag)
{
    struct naming naming = {.sources = sources,
                            .engines = g_ptr_array_new(),
                            .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                            .diag = diag};
    for (unsigned i = 0; i < sources->overrides->len; i++) {
        const struct override *o = &g_array_index(sources->overrides, struct override, i);
        name_of_field(&naming, o->field, &o->node->at, o->node);
    }
    name_of_map(&naming, sources->root);
    if (!naming.chosen)
        name_engine(&naming, DEFAULT_BACKEND, NULL);
    name_of_map(&naming, sources->user);
    g_hash_table_unref(naming.seen);
    return table_build(naming.engines);
}
