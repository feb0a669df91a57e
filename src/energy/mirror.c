/* SPDX-License-Identifier: MIT */
/* One register behind two names. */
#include "energy/internal.h"
#include "energy/scopes.h"

#include <stdlib.h>
#include <string.h>

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

/* The point of a channel that was first seen nearest to a moment. */
static const struct meter_point *nearest(const struct energy_channel *c, size_t *at, int64_t t_ns)
{
    while (*at + 1 < c->count && ABS(c->points[*at + 1].first_ns - t_ns) <= ABS(c->points[*at].first_ns - t_ns))
        (*at)++;
    return &c->points[*at];
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Perf counts from when it was asked to, of each die from another moment: of one register both are then apart by the
 * same amount all the time. In how many points they are. */
static size_t same_distance(const struct energy_channel *a, const struct energy_channel *b)
{
    g_autofree int64_t *apart = g_new(int64_t, a->count);
    size_t most = 0, run = 0, k = 0;
    for (size_t i = 0; i < a->count; i++)
        apart[i] = a->points[i].raw - nearest(b, &k, a->points[i].first_ns)->raw;
    qsort(apart, a->count, sizeof *apart, by_value);
    for (size_t i = 0; i < a->count; i++) {
        run = i > 0 && apart[i] == apart[i - 1] ? run + 1 : 1;
        most = MAX(most, run);
    }
    return most;
}

/* Dies of one package, by their names ("package-0-die-1"). */
static bool are_siblings(const char *a, const char *b)
{
    const char *die = strstr(a, "-die-");
    return die && !strncmp(a, b, (size_t)(die - a) + strlen("-die-"));
}

/* Registers of their own that count from their own beginning meet by chance alone; one that is read twice shows the
 * same values, but for those that it took between the two reads. */
static bool is_mirror(const struct energy_scope_board *a, const struct energy_scope_board *b)
{
    const struct energy_channel *x = a->board.counter, *y = b->board.counter;
    const struct meter_class *class = x ? meter_class_find(x->info->sensor_class) : NULL;
    size_t least = x && y ? MIN(x->count, y->count) : 0;
    if (!class || !class->sees_all || least < MIRROR_POINTS)
        return false;
    return 2 * shared_values(x, y) > least ||
           (are_siblings(a->device, b->device) && 2 * same_distance(x, y) > x->count);
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
