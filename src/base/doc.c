/* SPDX-License-Identifier: MIT */
/* The nodes of a document, whatever they were read from. The YAML reader is yaml.c, apart from this file so that
 * programs that read only JSON do not link libyaml. */
#include "base/doc.h"

#include "base/doc_build.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/visible.h"

#include <stdlib.h>
#include <string.h>

struct doc *doc_new(const char *name)
{
    struct doc *doc = g_new0(struct doc, 1);
    doc->name = g_strdup(name);
    doc->nodes = g_ptr_array_new();
    doc->strings = g_string_chunk_new(4096);
    return doc;
}

void doc_free(struct doc *doc)
{
    if (!doc)
        return;
    for (unsigned i = 0; i < doc->nodes->len; i++) {
        struct doc_node *node = doc->nodes->pdata[i];
        json_decref(node->json);
        g_free((void *)(uintptr_t)node->items);
        g_free((void *)(uintptr_t)node->entries);
        g_free(node);
    }
    g_ptr_array_unref(doc->nodes);
    g_string_chunk_free(doc->strings);
    g_free(doc->name);
    g_free(doc);
}

struct doc_node *doc_node_new(struct doc *doc, enum doc_kind kind, const struct diag_span *at)
{
    struct doc_node *node = g_new0(struct doc_node, 1);
    node->kind = kind;
    node->at = *at;
    node->size = 1;
    g_ptr_array_add(doc->nodes, node);
    return node;
}

struct doc *doc_verbatim(const char *name, const char *text, struct diag *diag)
{
    struct diag_span at = {.source = name};
    if (!g_utf8_validate(text, -1, NULL)) {
        diag_add(diag, DIAG_ERROR, &at, "the text is not UTF-8");
        return NULL;
    }
    struct doc *doc = doc_new(name);
    at.source = doc->name;
    struct doc_node *node = doc_node_new(doc, DOC_SCALAR, &at);
    node->raw = g_string_chunk_insert(doc->strings, text);
    node->plain = true;
    node->json = json_string(text);
    doc->root = node;
    return doc;
}

const struct doc_node *doc_root(const struct doc *doc)
{
    return doc->root;
}

const struct doc_entry *doc_entry_of(const struct doc_node *node, const char *key)
{
    if (!node || node->kind != DOC_MAP)
        return NULL;
    for (size_t i = 0; i < node->n; i++)
        if (!strcmp(node->entries[i].key, key))
            return &node->entries[i];
    return NULL;
}

static const struct doc_node *step(const struct doc_node *node, const char *token)
{
    if (node->kind == DOC_LIST) {
        guint64 index;
        if (!g_ascii_string_to_unsigned(token, 10, 0, G_MAXUINT, &index, NULL) || index >= node->n)
            return NULL;
        return node->items[index];
    }
    const struct doc_entry *entry = doc_entry_of(node, token);
    return entry ? entry->value : NULL;
}

/* "~1" is "/", "~0" is "~" (RFC 6901). In place. */
static void unescape(char *token)
{
    char *to = token;
    for (const char *from = token; *from; from++) {
        bool escape = from[0] == '~' && (from[1] == '0' || from[1] == '1');
        *to++ = !escape ? *from : *++from == '1' ? '/' : '~';
    }
    *to = '\0';
}

const struct doc_node *doc_at(const struct doc *doc, const char *pointer)
{
    g_auto(GStrv) tokens = g_strsplit(pointer, "/", -1);
    const struct doc_node *node = doc->root;
    for (char **token = tokens[0] ? tokens + 1 : tokens; node && *token; token++) {
        unescape(*token);
        node = step(node, *token);
    }
    return node;
}

/* " with the invisible U+200B in column 12", or "". New string. */
static char *describe_stranger(const struct doc_node *node)
{
    long before;
    gunichar c = visible_stranger(node->raw, &before);
    if (!c)
        return g_strdup("");
    return node->at.line > 0 && node->plain && node->at.line == node->at.end_line
               ? g_strdup_printf(" with the invisible U+%04X in column %ld", c, node->at.column + before)
               : g_strdup_printf(" with the invisible U+%04X behind %ld characters", c, before);
}

char *doc_describe(const struct doc_node *node)
{
    if (node->kind == DOC_MAP)
        return g_strdup(node->n ? "a mapping" : "an empty mapping");
    if (node->kind == DOC_LIST)
        return node->n ? g_strdup_printf("a list of %zu", node->n) : g_strdup("an empty list");
    if (json_is_null(node->json))
        return g_strdup(*node->raw ? "null" : "nothing");
    if (!json_is_string(node->json))
        return g_strdup(node->raw);
    if (!*node->raw)
        return g_strdup("an empty text");
    g_autofree char *shown = g_utf8_strlen(node->raw, -1) > 60 ? g_utf8_substring(node->raw, 0, 60) : NULL;
    g_autofree char *stranger = describe_stranger(node);
    return g_strdup_printf("\"%s%s\"%s%s", shown ? shown : node->raw, shown ? "…" : "", stranger,
                           node->plain ? "" : " (quoted text)");
}

/* --- From a JSON tree ------------------------------------------------------------------------------------------ */

static struct doc_node *node_from(struct doc *doc, const json_t *tree, int depth);

static struct doc_node *scalar_from(struct doc *doc, const json_t *tree, const struct diag_span *at)
{
    struct doc_node *node = doc_node_new(doc, DOC_SCALAR, at);
    node->plain = !json_is_string(tree);
    g_autofree char *text = node->plain ? jsonx_dump(tree, JSONX_COMPACT) : g_strdup(json_string_value(tree));
    node->raw = g_string_chunk_insert(doc->strings, text);
    return node;
}

static struct doc_node *list_from(struct doc *doc, const json_t *tree, const struct diag_span *at, int depth)
{
    struct doc_node *node = doc_node_new(doc, DOC_LIST, at);
    node->n = json_array_size(tree);
    const struct doc_node **items = g_new0(const struct doc_node *, node->n + 1);
    node->items = items;
    for (size_t i = 0; i < node->n; i++) {
        items[i] = node_from(doc, json_array_get(tree, i), depth + 1);
        if (!items[i])
            return NULL;
        node->size += items[i]->size;
    }
    return node;
}

static struct doc_node *map_from(struct doc *doc, json_t *tree, const struct diag_span *at, int depth)
{
    struct doc_node *node = doc_node_new(doc, DOC_MAP, at);
    struct doc_entry *entries = g_new0(struct doc_entry, json_object_size(tree) + 1);
    node->entries = entries;
    const char *key;
    json_t *child;
    json_object_foreach(tree, key, child) {
        struct doc_entry *entry = &entries[node->n];
        entry->value = node_from(doc, child, depth + 1);
        if (!entry->value)
            return NULL;
        entry->key = g_string_chunk_insert(doc->strings, key);
        entry->key_at = *at;
        node->size += entry->value->size;
        node->n++;
    }
    return node;
}

static struct doc_node *node_from(struct doc *doc, const json_t *tree, int depth)
{
    struct diag_span at = {.source = doc->name};
    struct doc_node *node = NULL;
    json_t *borrowed = (json_t *)(uintptr_t)tree;
    if (depth > LIMIT_DOC_DEPTH)
        return NULL;
    if (json_is_array(tree))
        node = list_from(doc, tree, &at, depth);
    else if (json_is_object(tree))
        node = map_from(doc, borrowed, &at, depth);
    else
        node = scalar_from(doc, tree, &at);
    if (node)
        node->json = json_incref(borrowed);
    return node;
}

struct doc *doc_from_json(const char *name, const json_t *tree, struct diag *diag)
{
    struct doc *doc = doc_new(name);
    doc->root = node_from(doc, tree, 1);
    if (doc->root && doc->root->size <= LIMIT_DOC_NODES)
        return doc;
    struct diag_span at = {.source = doc->name};
    if (doc->root)
        diag_add(diag, DIAG_ERROR, &at, "more than %d values", LIMIT_DOC_NODES);
    else
        diag_add(diag, DIAG_ERROR, &at, "nested deeper than %d levels", LIMIT_DOC_DEPTH);
    doc_free(doc);
    return NULL;
}
