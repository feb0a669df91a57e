/* SPDX-License-Identifier: MIT */
/* Mappings by rows, and the simple values in them. */
#include "backend/internal.h"

#include <stdarg.h>
#include <string.h>

const char *keep_text(struct backend *backend, const char *text)
{
    return g_string_chunk_insert_const(backend->strings, text);
}

void *keep_block(struct backend *backend, void *block)
{
    g_ptr_array_add(backend->blocks, block);
    return block;
}

void read_error(struct reading *r, const struct doc_node *node, const struct suggest *near, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    diag_add(r->diag, DIAG_ERROR, &node->at, "%s", message);
    if (near && near->best)
        diag_hint(r->diag, "did you mean '%s'?", near->best);
}

static void refuse(struct reading *r, const struct doc_node *node, const char *what, const char *wanted)
{
    g_autofree char *found = doc_describe(node);
    read_error(r, node, NULL, "%s: expected %s, found %s", what, wanted, found);
}

bool read_is_name(const char *text, bool dots)
{
    bool first = true;
    for (const char *p = text; *p; p++) {
        bool dot = dots && *p == '.' && !first;
        bool letter = dots ? g_ascii_isalpha(*p) : g_ascii_islower(*p);
        bool fits = letter || (!first && (g_ascii_isdigit(*p) || *p == '_'));
        if (!fits && !dot)
            return false;
        first = dot;
    }
    return !first;
}

/* --- Mappings and lists ---------------------------------------------------------------------------------------- */

static const struct member *find_member(const struct member *members, const char *name, struct suggest *near)
{
    for (const struct member *m = members; m->name; m++) {
        if (!strcmp(m->name, name))
            return m;
        suggest_offer(near, m->name);
    }
    return NULL;
}

static void refuse_unknown(struct reading *r, const struct doc_node *node, const char *what,
                           const struct member *members)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct doc_entry *entry = &node->entries[i];
        struct suggest near = {.word = entry->key};
        if (find_member(members, entry->key, &near))
            continue;
        diag_add(r->diag, DIAG_ERROR, &entry->key_at, "%s: there is no member '%s'", what, entry->key);
        if (near.best)
            diag_hint(r->diag, "did you mean '%s'?", near.best);
    }
}

bool read_members(struct reading *r, const struct doc_node *node, const char *what, const struct member *members,
                  void *into)
{
    if (node->kind != DOC_MAP) {
        refuse(r, node, what, "a mapping");
        return false;
    }
    refuse_unknown(r, node, what, members);
    for (const struct member *m = members; m->name; m++) {
        const struct doc_entry *entry = doc_entry_of(node, m->name);
        if (entry)
            m->read(r, entry->value, m, into);
        else if (m->required)
            read_error(r, node, NULL, "%s: '%s' is missing", what, m->name);
    }
    return true;
}

void read_each(struct reading *r, const struct doc_node *node, const char *what,
               void (*read)(struct reading *r, const struct doc_node *node))
{
    if (node->kind != DOC_LIST) {
        refuse(r, node, what, "a list");
        return;
    }
    if (node->n > LIMIT_BACKEND_ROWS) {
        read_error(r, node, NULL, "%s: a list of %zu; at most %d are read", what, node->n, LIMIT_BACKEND_ROWS);
        return;
    }
    for (size_t i = 0; i < node->n; i++)
        read(r, node->items[i]);
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

static void *target(const struct member *member, void *into)
{
    return (char *)into + member->offset;
}

const char *read_string(struct reading *r, const struct doc_node *node, const char *what)
{
    if (node->kind != DOC_SCALAR || !json_is_string(node->json) || !*node->raw) {
        refuse(r, node, what, "a text");
        return NULL;
    }
    return keep_text(r->backend, node->raw);
}

void read_text(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    const char *text = read_string(r, node, member->name);
    if (text)
        *(const char **)target(member, into) = text;
}

void read_count(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    if (json_is_integer(node->json) && json_integer_value(node->json) >= 1)
        *(int64_t *)target(member, into) = json_integer_value(node->json);
    else
        refuse(r, node, member->name, "an integer of at least 1");
}

void read_flag(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    if (json_is_boolean(node->json))
        *(bool *)target(member, into) = json_is_true(node->json);
    else
        refuse(r, node, member->name, "true or false");
}

void read_word(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    const char *const *words = member->words;
    const char *text = read_string(r, node, member->name);
    struct suggest near = {.word = text};
    for (int i = 0; text && words[i]; i++) {
        if (!strcmp(words[i], text)) {
            *(int *)target(member, into) = i;
            return;
        }
        suggest_offer(&near, words[i]);
    }
    if (!text)
        return;
    g_autofree char *list = g_strjoinv(", ", (char **)(uintptr_t)words);
    read_error(r, node, &near, "%s: '%s' is none of %s", member->name, text, list);
}

void read_texts(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    if (node->kind != DOC_LIST) {
        refuse(r, node, member->name, "a list of texts");
        return;
    }
    const char **texts = keep_block(r->backend, g_new0(const char *, node->n + 1));
    size_t n = 0;
    for (size_t i = 0; i < node->n; i++) {
        const char *text = read_string(r, node->items[i], member->name);
        if (text)
            texts[n++] = text;
    }
    *(const char *const **)target(member, into) = texts;
}

void read_node(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)r;
    *(const struct doc_node **)target(member, into) = node;
}
