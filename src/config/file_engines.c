/* SPDX-License-Identifier: MIT */
/* Which engines a file speaks of: only their descriptors are read, and what is kept of those that are installed. */
#include "config/internal.h"

#include <string.h>

struct naming {
    const struct sources *sources;
    GPtrArray *engines; /* const struct backend * */
    GHashTable *seen;   /* names */
    GHashTable *elsewhere; /* as a table has it */
    struct diag *diag;
    bool chosen; /* somebody says which engine */
};

/* The text at a path of a mapping of the user, `runners.NAME.use`, whichever of its dots are nested mappings; NULL:
 * none. Borrowed. */
static const char *text_in(const struct doc_node *map, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; map && map->kind == DOC_MAP && i < map->n; i++) {
        const struct doc_entry *entry = &map->entries[i];
        size_t k = strlen(entry->key);
        if (k == n && !strcmp(entry->key, path) && entry->value->kind == DOC_SCALAR)
            return entry->value->raw;
        bool below = !strncmp(entry->key, path, k) && path[k] == '.';
        const char *found = below ? text_in(entry->value, path + k + 1) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

/* A setting of the runs of an engine, by the layer that says so; `use` may stand for the whole section. NULL: none.
 * Borrowed. */
static const char *setting_of(const struct sources *sources, const char *engine, const char *name)
{
    g_autofree char *path = config_runner_path(engine, name), *whole = g_strdup_printf("runners.%s", engine);
    bool use = !strcmp(name, RUNNER_USE);
    const char *found = NULL;
    for (unsigned i = 0; i < sources->overrides->len; i++) {
        const struct override *o = &g_array_index(sources->overrides, struct override, i);
        if ((!strcmp(o->field, path) || (use && !strcmp(o->field, whole))) && o->node->kind == DOC_SCALAR)
            found = o->node->raw;
    }
    g_autofree char *variable = use ? config_runner_variable(engine) : NULL;
    const char *here = use && sources->environment ? g_getenv(variable) : NULL;
    found = found ? found : here && *here ? here : NULL;
    const struct doc_node *maps[] = {sources->root, sources->user};
    for (size_t i = 0; !found && i < G_N_ELEMENTS(maps); i++) {
        found = text_in(maps[i], path);
        found = found || !use ? found : text_in(maps[i], whole);
    }
    return found;
}

/* The same on a command line. New string. */
static char *words_of_place(const char *name, const char *runner, const char *python)
{
    return python ? g_strdup_printf("runners.%s=%s runners.%s.python=%s", name, runner, name, python)
                  : g_strdup_printf("runners.%s=%s", name, runner);
}

/* With what the installed one takes besides, as far as that is known. */
static const struct backend *installed(const struct naming *naming, const struct backend *engine)
{
    const struct sources *sources = naming->sources;
    const char *name = backend_name(engine), *use = setting_of(sources, name, RUNNER_USE);
    const char *runner = use && strcmp(use, "local") ? use : NULL;
    bool asks = runner && sources->image_id && backend_passes_through(engine, &(const char *){NULL});
    g_autofree char *id = asks ? sources->image_id(engine, runner, setting_of(sources, name, "client")) : NULL;
    const struct backend_place place = {id, setting_of(sources, name, "python")};
    g_autoptr(GError) error = NULL;
    const struct backend *found = runner && !id ? engine : backend_installed(engine, runner ? &place : NULL, &error);
    if (!found)
        diag_add(naming->diag, DIAG_WARNING, NULL, "%s", error->message);
    found = found ? found : engine;
    if (runner)
        g_hash_table_insert(naming->elsewhere, (void *)(uintptr_t)found, words_of_place(name, runner, place.python));
    return found;
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
                            .elsewhere = g_hash_table_new_full(NULL, NULL, NULL, g_free),
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
    struct config_table *table = table_build(naming.engines);
    g_hash_table_unref(table->elsewhere);
    table->elsewhere = naming.elsewhere;
    return table;
}
