/* SPDX-License-Identifier: MIT */
/* One register behind two names. */
#include "energy/internal.h"
#include "energy/scopes.h"

#define MIRROR_POINTS 8 /* choice: counters that show the same in so many points, of µJ each, are not two by chance */

static size_t shared_values(const struct energy_channel *a, const struct energy_channel *b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) { /* both ascend */
        int64_t x = a->points[i].raw, y = b->points[k].raw;
        n += x == y;
        i += x <= y;
        k += y <= x;
    }
    return n;
}

/* Registers of their own that count from their own beginning meet by chance alone; one that is read twice shows the
 * same values, but for those that it took between the two reads. */
static bool is_mirror(const struct energy_scope_board *a, const struct energy_scope_board *b)
{
    const struct energy_channel *x = a->board.counter, *y = b->board.counter;
    const struct meter_class *class = x ? meter_class_find(x->info->sensor_class) : NULL;
    size_t least = x && y ? MIN(x->count, y->count) : 0;
    return class && class->sees_all && least >= MIRROR_POINTS && 2 * shared_values(x, y) > least;
}

/* Dies that some kernels list though the register is the package's: counted once, by the first of them. */
static void drop_mirrors_of(struct energy_scope *scope, guint first, struct energy_scopes *scopes)
{
    struct energy_scope_board *kept = g_ptr_array_index(scope->boards, first);
    for (guint i = scope->boards->len; i-- > first + 1;) {
        const struct energy_scope_board *b = g_ptr_array_index(scope->boards, i);
        if (!is_mirror(kept, b))
            continue;
        kept->mirrored = true;
        g_ptr_array_add(scopes->mirrors, (gpointer)(uintptr_t)b->device);
        g_ptr_array_add(scopes->warnings, g_strdup_printf("%s shows the counter of %s: it was counted once", b->device,
                                                          kept->device));
        g_ptr_array_remove_index(scope->boards, i);
    }
}

void scopes_drop_mirrors(struct energy_scopes *scopes)
{
    for (guint i = 0; i < scopes->all->len; i++) {
        struct energy_scope *scope = g_ptr_array_index(scopes->all, i);
        for (guint k = 0; k < scope->boards->len; k++)
            drop_mirrors_of(scope, k, scopes);
    }
}
