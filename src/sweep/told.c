/* SPDX-License-Identifier: MIT */
#include "sweep/told.h"

#include <string.h>

#define REASONS_SHOWN 10
#define CELLS_SHOWN   3 /* of a reason */

/* A reason and its cells. */
struct group {
    const char *reason;
    GPtrArray *labels; /* borrowed */
};

static void group_clear(void *data)
{
    struct group *group = data;
    g_ptr_array_unref(group->labels);
}

/* In the order in which their reasons came first. */
static GArray *group_by_reason(const GArray *list)
{
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(struct group));
    g_autoptr(GHashTable) number = g_hash_table_new(g_str_hash, g_str_equal); /* reason → its group, from 1 */
    g_array_set_clear_func(groups, group_clear);
    for (unsigned i = 0; i < list->len; i++) {
        const struct plan_skip *skip = &g_array_index(list, struct plan_skip, i);
        unsigned at = GPOINTER_TO_UINT(g_hash_table_lookup(number, skip->reason));
        if (!at) {
            struct group group = {skip->reason, g_ptr_array_new()};
            g_array_append_val(groups, group);
            at = groups->len;
            g_hash_table_insert(number, skip->reason, GUINT_TO_POINTER(at));
        }
        g_ptr_array_add(g_array_index(groups, struct group, at - 1).labels, skip->label);
    }
    return groups;
}

/* "LABEL; LABEL; LABEL and 9 more". New string. */
static char *labels_text(const GPtrArray *labels)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (unsigned i = 0; i < MIN(labels->len, CELLS_SHOWN); i++)
        g_string_append_printf(out, "%s%s", i ? "; " : "", (const char *)labels->pdata[i]);
    if (labels->len > CELLS_SHOWN)
        g_string_append_printf(out, " and %u more", labels->len - CELLS_SHOWN);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

void told_reasons(struct diag *diag, const GArray *list, size_t total)
{
    g_autoptr(GArray) groups = group_by_reason(list);
    for (unsigned i = 0; i < MIN(groups->len, REASONS_SHOWN); i++) {
        const struct group *group = &g_array_index(groups, struct group, i);
        g_autofree char *labels = labels_text(group->labels);
        if (group->labels->len == total && total > 1)
            diag_hint(diag, "every cell: %s", group->reason);
        else
            diag_hint(diag, "%s: %s", labels, group->reason);
    }
    if (groups->len > REASONS_SHOWN)
        diag_hint(diag, "… and %u more reasons", groups->len - REASONS_SHOWN);
}
