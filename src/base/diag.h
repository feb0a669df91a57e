/* SPDX-License-Identifier: MIT */
/*
 * Located diagnostics: everything that is wrong with a file, at once, in the order of the text, each with its line, a
 * caret, and what to do. A reader adds to the list and goes on; the caller asks at the end whether anything is wrong.
 *
 *   struct diag *diag = diag_new();
 *   diag_add(diag, DIAG_ERROR, &span, "n: expected an integer, found \"many\"");
 *   diag_hint(diag, "did you mean '%s'?", nearest);
 *   if (diag_errors(diag)) { text = diag_render(diag, colour); … }
 *
 * The list keeps LIMIT_DIAGNOSTICS entries and counts the rest. Not thread-safe.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

/* A place in a source. Lines and columns count from 1, columns in characters; line 0: no position. */
struct diag_span {
    const char *source; /* name of the source as shown: a path, "command line", "environment" */
    int line, column;
    int end_line, end_column; /* one past the last character; 0 where unknown */
};

struct diag;

struct diag *diag_new(void);
void diag_free(struct diag *diag);
typedef struct diag owned_diag; /* for g_autoptr(owned_diag) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_diag, diag_free)

/* Hands the text of a source over (copied), so that its lines can be quoted. Sources sort in the order of this call. */
void diag_source(struct diag *diag, const char *name, const char *text, size_t length);
/* span NULL: about the whole. The same message at the same place is kept once. */
void diag_add(struct diag *diag, enum diag_severity severity, const struct diag_span *span, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* A line under the last diagnostic: what to do, did-you-mean. */
void diag_hint(struct diag *diag, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* When it is rendered, each of several has its number, in the order in which they are shown: "(2 of 5)". */
void diag_number(struct diag *diag);

size_t diag_errors(const struct diag *diag);
size_t diag_warnings(const struct diag *diag);
/* "file:line:column: error: message", the line, a caret, the hints; sorted; newline at the end; "" when empty. */
char *diag_render(const struct diag *diag, bool colour);
/* The errors as one GError (CONFIG): the rendering without colour. Always false; for "return diag_fail(…)". */
bool diag_fail(const struct diag *diag, GError **error);

/* Did you mean: the candidate nearest to word by edit distance (a swap of neighbours counts one), compared without
 * case; NULL when none is near (more than 3 edits, or more than about a third of the word). A word of 4 letters and
 * more that a candidate begins with is near, too. Borrowed. */
struct suggest {
    const char *word;
    const char *best; /* NULL until something near was offered */
    unsigned distance;
};
void suggest_offer(struct suggest *suggest, const char *candidate);
