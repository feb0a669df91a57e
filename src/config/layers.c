/* SPDX-License-Identifier: MIT */
/* Mappings of fields become layers of values, sweeps become axes. Everything wrong is said; reading goes on. */
#include "config/internal.h"

#include <string.h>

void layers_init(struct layers *layers, const struct config_table *table)
{
    layers->table = table;
    layers->values = g_new0(const struct config_value *, table->n);
    for (size_t i = 0; i < table->n; i++)
        layers->values[i] = table->info[i].initial;
    layers->pool = g_ptr_array_new_with_free_func(value_free);
    layers->axes = g_array_new(FALSE, TRUE, sizeof(struct config_axis));
}

static struct config_axis *axis_at(const struct layers *layers, size_t i)
{
    return &g_array_index(layers->axes, struct config_axis, i);
}

static void axis_clear(struct config_axis *axis)
{
    g_free((void *)(uintptr_t)axis->values);
}

void layers_clear(struct layers *layers)
{
    for (size_t i = 0; i < layers->axes->len; i++)
        axis_clear(axis_at(layers, i));
    g_array_unref(layers->axes);
    g_ptr_array_unref(layers->pool);
    g_free(layers->values);
}

bool layers_is_shared_block(const char *key)
{
    return g_str_has_prefix(key, "x-");
}

/* --- Unknown names ---------------------------------------------------------------------------------------------- */

/* Siblings: the rows and sections below the same section, and at the top every engine. */
static void suggest_sibling(const struct config_table *table, struct suggest *suggest, const char *section,
                            GStringChunk *keep)
{
    size_t length = strlen(section);
    for (size_t i = 0; i < table->n; i++) {
        const char *path = table->rows[i].path;
        if (strncmp(path, section, length))
            continue;
        g_autofree char *part = g_strndup(path + length, strcspn(path + length, "."));
        suggest_offer(suggest, g_string_chunk_insert_const(keep, part));
    }
    for (char **name = table->found; !length && *name; name++)
        suggest_offer(suggest, *name);
}

/* The same last name in another place: "temperature" for decoder.temperature; never of an engine that the file does not
 * name. Borrowed, or NULL. */
static const char *elsewhere(const struct config_table *table, const char *path, const char *name)
{
    const struct backend *engine = table_section_engine(table, path);
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        bool other = engine && row->engine && row->engine != engine; /* a section is of one engine */
        if (!other && !strcmp(field_last_part(row->path), name))
            return row->path;
    }
    return NULL;
}

/* An argument of the engine that is no option of it. */
static bool hint_owned(const struct backend *engine, struct diag *diag, const char *path)
{
    const struct backend_argument *owned = backend_owned_option(engine, path + strlen(backend_name(engine)) + 1);
    if (owned)
        diag_hint(diag, "llem sets this argument of %s itself (%s)", backend_title(engine), owned->note);
    return owned != NULL;
}

/* How an engine is asked for its parameters where its runs go. New string. */
static char *asking(const struct config_table *table, const struct backend *engine)
{
    const char *where = g_hash_table_lookup(table->elsewhere, engine);
    return g_strdup_printf("`llem engine schema %s%s%s`", backend_name(engine), where ? " " : "", where ? where : "");
}

/* What an engine takes besides, of which nobody has asked it yet: that is said once for each engine. */
static void hint_unasked(const struct config_table *table, const struct backend *engine, struct diag *diag,
                         const char *path)
{
    g_autofree char *audited = backend_with_version(engine, backend_audited(engine));
    const char *name = field_last_part(path);
    const struct backend_argument *mapping = backend_passed_option(engine, path + strlen(backend_name(engine)) + 1);
    bool known = mapping ? !strcmp(mapping->name, name) : backend_passed_find(engine, name) != NULL;
    bool first = g_hash_table_add(table->advised, (void *)(uintptr_t)engine);
    g_autofree char *how = asking(table, engine);
    g_autofree char *advice = g_strdup_printf("%s asks %s %s for its parameters, which can then be written", how,
                                              g_hash_table_lookup(table->elsewhere, engine) ? "that" : "the installed",
                                              backend_title(engine));
    if (known)
        diag_hint(diag, "%s has this parameter%s%s", audited, first ? ": " : "", first ? advice : "");
    else if (first)
        diag_hint(diag, "%s", advice);
}

/* What the installed engine takes besides: whether anybody has asked it, and what it said. */
static void hint_installed(const struct config_table *table, const struct backend *engine, struct diag *diag,
                           const char *path)
{
    const struct backend_schema *schema = backend_schema_of(engine);
    g_autofree char *how = asking(table, engine);
    g_autofree char *installed = backend_with_version(engine, schema ? schema->version : NULL);
    if (schema)
        diag_hint(diag, "the installed %s has no such parameter; %s lists those it has", installed, how);
    else
        hint_unasked(table, engine, diag, path);
}

static void hint_near(const struct config_table *table, struct diag *diag, const char *path)
{
    const char *name = field_last_part(path);
    g_autofree char *section = g_strndup(path, (size_t)(name - path));
    struct suggest suggest = {.word = name};
    GStringChunk *keep = g_string_chunk_new(1024);
    suggest_sibling(table, &suggest, section, keep);
    const char *other = suggest.best ? NULL : elsewhere(table, path, name);
    g_autofree char *foreign = suggest.best || other || *section ? NULL : names_elsewhere(name);
    const struct backend *engine = table_section_engine(table, path);
    bool passes = engine && strchr(path, '.') && backend_passes_through(engine, &(const char *){NULL});
    if (suggest.best)
        diag_hint(diag, "did you mean '%s%s'?", section, suggest.best);
    else if (other)
        diag_hint(diag, "did you mean '%s'?", other);
    else if (foreign)
        diag_hint(diag, "%s is an option of another backend", foreign);
    else if (!passes)
        diag_hint(diag, "`llem config fields%s%.*s` lists the fields", *section ? " " : "",
                  (int)(*section ? strlen(section) - 1 : 0), section);
    if (passes && !(suggest.best && backend_schema_of(engine)))
        hint_installed(table, engine, diag, path);
    g_string_chunk_free(keep);
}

/* A section runners.ENGINE of an engine that the file does not name, or that is not there. */
static bool refuse_runner(const struct config_table *table, struct diag *diag, const struct diag_span *at,
                          const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", 3);
    if (strcmp(parts[0], "runners") != 0 || !parts[1] || table_engine(table, parts[1]))
        return false;
    struct suggest suggest = {.word = parts[1]};
    for (char **name = table->found; *name; name++)
        suggest_offer(&suggest, *name);
    if (backend_exists(parts[1])) {
        diag_add(diag, DIAG_ERROR, at, "runners.%s: no cell uses the backend %s", parts[1], parts[1]);
        diag_hint(diag, "delete it, or keep it in the user's file, which may speak of engines that a study does not use");
        return true;
    }
    diag_add(diag, DIAG_ERROR, at, "runners.%s: there is no engine '%s'", parts[1], parts[1]);
    diag_hint(diag, suggest.best ? "did you mean '%s'?" : "`llem engine list` shows those that are here", suggest.best);
    return true;
}

void layers_unknown(const struct config_table *table, struct diag *diag, const struct diag_span *at, const char *path)
{
    if (refuse_runner(table, diag, at, path))
        return;
    if (diag_errors(diag) > 2 * LIMIT_DIAGNOSTICS) { /* more than are shown: another kind of file, most likely */
        diag_add(diag, DIAG_ERROR, at, "unknown field '%s'", path);
        return;
    }
    const struct backend *engine = table_section_engine(table, path);
    g_autofree char *retired = retired_name_message(table, path);
    if (retired_is_section(path))
        diag_add(diag, DIAG_ERROR, at, "the section '%s' is not in this version", path);
    else
        diag_add(diag, DIAG_ERROR, at, "unknown field '%s'", path);
    if (retired)
        diag_hint(diag, "%s", retired);
    else if (!engine || !strchr(path, '.') || !hint_owned(engine, diag, path))
        hint_near(table, diag, path);
}

int layers_find(const struct config_table *table, struct diag *diag, const struct diag_span *at, const char *path)
{
    int index = table_index(table, path);
    const char *alias = index < 0 ? retired_name_alias(table, path) : NULL;
    if (!alias)
        return index;
    diag_add(diag, DIAG_WARNING, at, "%s is called %s now", path, alias);
    return table_index(table, alias);
}

int layers_find_short(const struct config_table *table, const char *path, const struct doc_node *node)
{
    const char *engine = g_str_has_prefix(path, "runners.") ? path + strlen("runners.") : NULL;
    if (!engine || strchr(engine, '.') || node->kind == DOC_MAP || json_is_null(node->json))
        return -1;
    g_autofree char *use = config_runner_path(engine, RUNNER_USE);
    return table_index(table, use);
}

/* The user's file speaks of engines that a study may not use: their rows are then not there, and not missed. */
static bool is_of_another_study(const struct config_table *table, const struct value_context *context, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", 3);
    return context->layer == LAYER_USER && !strcmp(parts[0], "runners") && parts[1] && !table_engine(table, parts[1]) &&
           backend_exists(parts[1]);
}

/* --- Fields ------------------------------------------------------------------------------------------------------ */

void layers_put(struct layers *layers, size_t index, struct config_value *value, struct diag *diag)
{
    const struct config_value *before = layers->values[index];
    g_ptr_array_add(layers->pool, value);
    if (before->layer == value->layer && value->layer != LAYER_COMMAND) {
        g_autofree char *where = value_origin(before);
        diag_add(diag, DIAG_ERROR, &value->at, "%s is given twice", layers->table->rows[index].path);
        diag_hint(diag, "it stands at %s already", where);
        return;
    }
    if (value->layer >= before->layer)
        layers->values[index] = value;
}

/* How a mapping is walked: names that are rows are taken, sections walked in turn. */
struct walk {
    struct layers *layers;
    const struct value_context *context;
    unsigned need;
    bool axes;
};

/* The name that was written, where it is not the row's own, and no short form of it. */
static const char *other_name(const struct config_table *table, const char *path)
{
    return table_index(table, path) < 0 ? retired_name_alias(table, path) ? path : NULL : NULL;
}

static void take_entry(const struct walk *walk, size_t index, const struct doc_entry *entry, const char *path)
{
    const struct config_field *row = &walk->layers->table->rows[index];
    struct value_context context = *walk->context;
    const char *other = other_name(walk->layers->table, path);
    context.written_as = other ? other : walk->context->written_as;
    if (walk->axes) {
        layers_put_axis(walk->layers, index, entry->value, &entry->key_at, &context);
        return;
    }
    if ((row->flags & CONFIG_PASSED) && entry->value->kind == DOC_MAP) {
        layers_read_passed(walk->layers, entry->value, &context);
        return;
    }
    struct config_value *value = value_read(&context, row, entry->value);
    if (!value)
        return;
    if (context.layer == LAYER_COMMAND)
        layers_drop_axis(walk->layers, index);
    layers_put(walk->layers, index, value, context.diag);
}

static bool allowed(const struct walk *walk, const struct config_field *row, const struct doc_entry *entry)
{
    if (walk->axes && !(row->flags & CONFIG_SWEEP)) {
        diag_add(walk->context->diag, DIAG_ERROR, &entry->key_at, "%s cannot be swept", row->path);
        if (row->flags & CONFIG_STUDY)
            diag_hint(walk->context->diag, "it belongs to the study, not to a cell");
        return false;
    }
    if ((row->flags & walk->need) == walk->need)
        return true;
    diag_add(walk->context->diag, DIAG_ERROR, &entry->key_at, "%s cannot be set in the user's file", row->path);
    diag_hint(walk->context->diag, "it would change experiments behind the back of their files");
    return false;
}

/* A section that is no mapping; most likely a switch was meant. */
static void refuse_section(const struct walk *walk, const char *path, const struct doc_node *node)
{
    g_autofree char *found = doc_describe(node);
    g_autofree char *toggle = g_strconcat(path, ".enabled", NULL);
    struct diag *diag = walk->context->diag;
    diag_add(diag, DIAG_ERROR, &node->at, "%s: expected a mapping of fields, found %s", path, found);
    if (table_index(walk->layers->table, toggle) >= 0)
        diag_hint(diag, "to switch it write  %s: {enabled: false}", path);
    else if (!strcmp(path, "runners"))
        diag_hint(diag, "each engine has its own: write  runners: {ENGINE: docker:IMAGE}");
}

/* Where shared blocks and merge keys may stand. */
static void hint_shared(struct diag *diag, const struct doc_entry *entry, const char *path)
{
    if (!strcmp(entry->key, "<<"))
        diag_hint(diag, "write <<: without quotes to merge a block into this mapping");
    else if (entry->value->anchored && !strchr(path, '.'))
        diag_hint(diag, "a block for other places to refer to stands at the top under a key that begins with x-:  x-%s", path);
}

static bool is_unset(const struct doc_node *node)
{
    return node->kind == DOC_SCALAR && json_is_null(node->json);
}

static void walk_map(const struct walk *walk, const struct doc_node *map, const char *prefix);

static void walk_entry(const struct walk *walk, const struct doc_entry *entry, const char *path)
{
    const struct config_table *table = walk->layers->table;
    int index = layers_find(table, walk->context->diag, &entry->key_at, path);
    if (index < 0)
        index = layers_find_short(table, path, entry->value);
    if (index >= 0) {
        if (allowed(walk, &table->rows[index], entry))
            take_entry(walk, (size_t)index, entry, path);
    } else if (is_of_another_study(table, walk->context, path)) {
        return;
    } else if (!table_is_section(table, path)) {
        layers_unknown(table, walk->context->diag, &entry->key_at, path);
        hint_shared(walk->context->diag, entry, path);
    } else if (entry->value->kind == DOC_MAP) {
        g_autofree char *below = g_strconcat(path, ".", NULL);
        walk_map(walk, entry->value, below);
    } else if (!is_unset(entry->value)) {
        refuse_section(walk, path, entry->value);
    }
}

static void walk_map(const struct walk *walk, const struct doc_node *map, const char *prefix)
{
    for (size_t i = 0; i < map->n; i++) {
        g_autofree char *path = g_strconcat(prefix, map->entries[i].key, NULL);
        if (*prefix || walk->axes || !layers_is_shared_block(map->entries[i].key))
            walk_entry(walk, &map->entries[i], path);
    }
}

void layers_read(struct layers *layers, const struct doc_node *root, const struct value_context *context,
                 unsigned need)
{
    const struct walk walk = {.layers = layers, .context = context, .need = need};
    walk_map(&walk, root, "");
}

void layers_read_section(struct layers *layers, const struct doc_node *node, const char *section,
                         const struct value_context *context)
{
    const struct walk walk = {.layers = layers, .context = context};
    g_autofree char *below = g_strconcat(section, ".", NULL);
    if (node->kind == DOC_MAP)
        walk_map(&walk, node, below);
    else
        refuse_section(&walk, section, node);
}

/* --- Further arguments -------------------------------------------------------------------------------------------- */

/* Where an argument is an option of an engine: in the section of further arguments, or as it is written. -1:
 * nowhere. */
static int find_passed(const struct config_table *table, const struct backend *engine, const char *name,
                       const struct diag_span *at, struct diag *diag)
{
    g_autofree char *inside = field_passed_path(engine, name);
    g_autofree char *whole = g_strconcat(backend_name(engine), ".", name, NULL);
    bool as_written = table_index(table, inside) < 0 && table_index(table, whole) >= 0;
    return layers_find(table, diag, at, as_written ? whole : inside);
}

/* False after an error: what every engine has is no argument of one. */
static bool is_argument(const struct config_table *table, const char *name, const struct diag_span *at,
                        struct diag *diag)
{
    const char *row = config_shared_rows[FIELD_PASSTHROUGH_KWARGS].path;
    if (!config_table_field(table, name) && !table_is_section(table, name))
        return true;
    diag_add(diag, DIAG_ERROR, at, "%s: '%s' has a field of its own", row, name);
    diag_hint(diag, "write %s", name);
    return false;
}

/* False if the engine has no option of that name, and no section: a mapping whose members are options. */
static bool take_passed_of(struct layers *layers, const struct backend *engine, const struct doc_entry *entry,
                           const struct diag_span *at, const struct value_context *context)
{
    int index = find_passed(layers->table, engine, entry->key, at, context->diag);
    g_autofree char *section = field_passed_path(engine, entry->key);
    struct config_value *value = index < 0 ? NULL : value_read(context, &layers->table->rows[index], entry->value);
    if (value)
        layers_put(layers, (size_t)index, value, context->diag);
    else if (index < 0 && table_is_section(layers->table, section) && !is_unset(entry->value))
        layers_read_section(layers, entry->value, section, context);
    else
        return index >= 0 || table_is_section(layers->table, section);
    return true;
}

static void take_passed(struct layers *layers, const struct doc_entry *entry, const struct value_context *context)
{
    const struct config_table *table = layers->table;
    const struct diag_span *at = context->at ? context->at : &entry->key_at;
    const struct backend *first = NULL;
    bool taken = false;
    if (!is_argument(table, entry->key, at, context->diag))
        return;
    for (unsigned e = 0; e < table->engines->len; e++) {
        const struct backend *engine = table->engines->pdata[e];
        if (!backend_passes_through(engine, &(const char *){NULL}))
            continue;
        first = first ? first : engine;
        taken |= take_passed_of(layers, engine, entry, at, context);
    }
    g_autofree char *path = first ? field_passed_path(first, entry->key) : NULL;
    if (!taken && path)
        layers_unknown(table, context->diag, at, path);
    else if (!taken)
        diag_add(context->diag, DIAG_ERROR, at, "%s: no engine here takes further arguments",
                 config_shared_rows[FIELD_PASSTHROUGH_KWARGS].path);
}

void layers_read_passed(struct layers *layers, const struct doc_node *node, const struct value_context *context)
{
    struct value_context passed = *context;
    for (size_t i = 0; i < node->n; i++) {
        g_autofree char *name = g_strdup_printf("%s.%s", config_shared_rows[FIELD_PASSTHROUGH_KWARGS].path,
                                                node->entries[i].key);
        passed.written_as = name;
        take_passed(layers, &node->entries[i], &passed);
    }
}

/* --- Axes --------------------------------------------------------------------------------------------------------- */

struct config_axis *layers_axis(const struct layers *layers, const struct config_field *row)
{
    for (size_t i = 0; i < layers->axes->len; i++)
        if (axis_at(layers, i)->field == row)
            return axis_at(layers, i);
    return NULL;
}

/* The levels of a node: the items of a list, or the one scalar. A field that is itself a list wants a list of lists. */
static size_t level_nodes(const struct config_field *row, const struct doc_node *node,
                          const struct doc_node *const **ret)
{
    bool is_list_field = row->type == CONFIG_SPAN || row->type == CONFIG_INTS || row->type == CONFIG_TEXTS;
    bool one = node->kind != DOC_LIST || (is_list_field && node->n > 0 && node->items[0]->kind != DOC_LIST);
    if (!one) {
        *ret = node->items;
        return node->n;
    }
    return 0;
}

static bool read_levels(struct layers *layers, struct config_axis *axis, const struct doc_node *node,
                        const struct value_context *context)
{
    const struct doc_node *const single[] = {node};
    const struct doc_node *const *nodes = single;
    size_t n = level_nodes(axis->field, node, &nodes);
    if (node->kind == DOC_LIST && node->n == 0) {
        diag_add(context->diag, DIAG_ERROR, context->at ? context->at : &node->at,
                 "sweep: %s has no levels", axis->field->path);
        diag_hint(context->diag, "list at least one value, or delete the line");
        return false;
    }
    if (nodes == single)
        n = 1;
    const struct config_value **values = g_new0(const struct config_value *, n);
    axis->values = values;
    for (size_t i = 0; i < n; i++) {
        struct config_value *value = value_read(context, axis->field, nodes[i]);
        if (!value)
            continue;
        g_ptr_array_add(layers->pool, value);
        values[axis->n++] = value;
    }
    return axis->n == n;
}

void layers_put_axis(struct layers *layers, size_t index, const struct doc_node *node,
                     const struct diag_span *key_at, const struct value_context *context)
{
    struct config_axis axis = {.field = &layers->table->rows[index], .at = context->at ? *context->at : *key_at};
    struct config_axis *before = layers_axis(layers, axis.field);
    if (before && context->layer != LAYER_COMMAND) {
        diag_add(context->diag, DIAG_ERROR, &axis.at, "sweep: %s is given twice", axis.field->path);
        diag_hint(context->diag, "it stands in line %d already", before->at.line);
        return;
    }
    if (!read_levels(layers, &axis, node, context)) {
        axis_clear(&axis);
        return;
    }
    if (before) {
        axis_clear(before);
        *before = axis;
    } else {
        g_array_append_val(layers->axes, axis);
    }
}

void layers_drop_axis(struct layers *layers, size_t index)
{
    struct config_axis *axis = layers_axis(layers, &layers->table->rows[index]);
    if (!axis)
        return;
    axis_clear(axis);
    g_array_remove_index(layers->axes, (unsigned)(axis - axis_at(layers, 0)));
}

void layers_read_axes(struct layers *layers, const struct doc_node *sweep, const struct value_context *context)
{
    const struct walk walk = {.layers = layers, .context = context, .axes = true};
    if (sweep->kind == DOC_MAP) {
        walk_map(&walk, sweep, "");
        return;
    }
    g_autofree char *found = doc_describe(sweep);
    diag_add(context->diag, DIAG_ERROR, &sweep->at, "sweep: expected a mapping of fields to lists, found %s", found);
    diag_hint(context->diag, "for example  sweep: {precision: [fp16, bf16]}");
}
