/* SPDX-License-Identifier: MIT */
/*
 * YAML and JSON documents with a position for every node. libyaml's events become a tree of doc_node beside an
 * equivalent jansson tree, so that a study and a result are the same kind of tree.
 *
 * Scalars are YAML 1.2 core: null, true, false, decimal, 0o and 0x integers, numbers. `yes`, `on` and `012` stay text:
 * the reader of a field decides by the field's type and finds the text as written in `raw`. `.inf` and `.nan` stay
 * text too. Merge keys (`<<: *defaults`, or a list of them) are honoured as in YAML 1.1, because shared parts of
 * studies are written with them: a key of the mapping itself wins, then the earlier of a list. Of the tags only
 * !!str, !!map and !!seq are taken. One document a file.
 *
 * Errors are located: duplicate keys, aliases to nothing or to a node they are inside of, keys that are not scalars,
 * invalid UTF-8, and the limits LIMIT_DOC_DEPTH and LIMIT_DOC_NODES (counted with aliases expanded).
 * A syntax error ends the reading; everything else is collected.
 */
#pragma once

#include "base/diag.h"

#include <jansson.h>

enum doc_kind { DOC_SCALAR, DOC_LIST, DOC_MAP };

struct doc_entry {
    const char *key;
    struct diag_span key_at;
    const struct doc_node *value;
    bool merged; /* came in by a merge key */
};

/* Read only; owned by the doc. A node that is aliased is shared. */
struct doc_node {
    enum doc_kind kind;
    struct diag_span at;
    json_t *json;    /* the equivalent tree */
    const char *raw; /* scalar: the text as written, quotes removed */
    bool plain;      /* scalar: written without quotes */
    bool anchored;   /* has an anchor (&name) */
    bool stands_in;  /* an alias to nothing, which is told, was here */
    size_t n;        /* list, map: number of children */
    const struct doc_node *const *items; /* list */
    const struct doc_entry *entries;     /* map */
    size_t size;                         /* nodes in this tree, aliases expanded */
};

struct doc;

/* name is what messages call it. NULL after at least one error was added to diag. The empty document is null. */
struct doc *doc_parse(const char *name, const char *text, size_t length, struct diag *diag);
/* A document that is this one text, whatever it holds: what a shell has unquoted is not unquoted again. NULL after an
 * error: it is not UTF-8. */
struct doc *doc_verbatim(const char *name, const char *text, struct diag *diag);
/* A file of at most LIMIT_CONFIG_BYTES. */
struct doc *doc_load(const char *path, struct diag *diag);
/* The nodes of a tree made elsewhere; without positions (line 0). NULL as above. */
struct doc *doc_from_json(const char *name, const json_t *tree, struct diag *diag);
void doc_free(struct doc *doc);
typedef struct doc owned_doc; /* for g_autoptr(owned_doc) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_doc, doc_free)

const struct doc_node *doc_root(const struct doc *doc);
/* The node at a JSON pointer ("/sweep/precision/0"; "" is the root), or NULL. */
const struct doc_node *doc_at(const struct doc *doc, const char *pointer);
/* The entry of a mapping, or NULL (also when node is no mapping). */
const struct doc_entry *doc_entry_of(const struct doc_node *node, const char *key);
/* "an integer 12", "the text \"many\"", "a list of 3", …: what was found, for messages. New string. */
char *doc_describe(const struct doc_node *node);
