/* SPDX-License-Identifier: MIT */
/* Private to base: how doc.c and yaml.c make nodes. */
#pragma once

#include "base/doc.h"

struct doc {
    char *name;
    GPtrArray *nodes; /* of struct doc_node; owns them */
    GStringChunk *strings;
    const struct doc_node *root;
};

struct doc *doc_new(const char *name);
struct doc_node *doc_node_new(struct doc *doc, enum doc_kind kind, const struct diag_span *at);
