/* SPDX-License-Identifier: MIT */
/* The order of a table: groups stay together, in them cells, best first. */
#include "analysis/internal.h"

#include <math.h>

/* What a run is sorted by, the first first; lower is better in all of it. Runs without a figure have TIER and RUN
 * alone. */
enum { TIER, GROUP_BEST, GROUP, CELL_MEAN, CELL, VALUE, RUN, N_RANKS };
struct place {
    double rank[N_RANKS]; /* TIER: 0 has the figure, 1 the one instead of it, … */
};

static bool higher_is_better(enum result_metric metric)
{
    return !g_strcmp0(result_metric_row(metric)->group, "throughput") || metric == METRIC_FLOPS_PER_J;
}

/* A figure to sort on, lower being better; NaN: absent or modelled. */
static double cost_of(struct quantity q, enum result_metric metric)
{
    if (q.status == QUANTITY_ABSENT || q.status == QUANTITY_MODELLED)
        return NAN;
    return higher_is_better(metric) ? -q.value : q.value;
}

static struct place place_of(const struct frame *frame, size_t run, const enum result_metric *metrics, int n)
{
    int group = frame_group(frame, run), tier = 0;
    size_t cell = frame_cell(frame, run);
    while (tier < n && isnan(cost_of(frame_metric(frame, run, metrics[tier]), metrics[tier])))
        tier++;
    if (tier == n)
        return (struct place){.rank = {[TIER] = n, [RUN] = (double)run}};
    double own = cost_of(frame_metric(frame, run, metrics[tier]), metrics[tier]);
    double mean = cost_of(frame_mean(frame, cell, group, metrics[tier]), metrics[tier]);
    return (struct place){.rank = {[TIER] = tier,
                                   [GROUP] = group,
                                   [CELL_MEAN] = isnan(mean) ? own : mean,
                                   [CELL] = (double)cell,
                                   [VALUE] = own,
                                   [RUN] = (double)run}};
}

/* Tells each place the best cell of its group; groups of different tiers are apart anyway. */
static void rank_groups(const struct frame *frame, GArray *places, int n)
{
    g_autofree double *best = g_new(double, (places->len + 1) * (size_t)n);
    for (size_t i = 0; i < (places->len + 1) * (size_t)n; i++)
        best[i] = INFINITY;
    for (int pass = 0; pass < 2; pass++)
        for (guint i = 0; i < places->len; i++) {
            double *rank = g_array_index(places, struct place, i).rank;
            int group = frame_group(frame, i);
            if (rank[TIER] >= n || group < 0)
                continue;
            double *b = &best[group * n + (int)rank[TIER]];
            *b = fmin(*b, rank[CELL_MEAN]);
            rank[GROUP_BEST] = *b;
        }
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    for (int i = 0; i < N_RANKS; i++)
        if (x->rank[i] != y->rank[i])
            return x->rank[i] < y->rank[i] ? -1 : 1;
    return 0;
}

GArray *frame_order(const struct frame *frame, int metric)
{
    static const enum result_metric usual[] = {METRIC_J_OUTPUT, METRIC_OUTPUT_RATE};
    const enum result_metric named[] = {(enum result_metric)metric};
    const enum result_metric *metrics = metric == METRIC_COUNT ? usual : named;
    int n = metric == METRIC_COUNT ? (int)G_N_ELEMENTS(usual) : 1;
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct place));
    GArray *order = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t i = 0; i < frame_count(frame); i++) {
        struct place place = place_of(frame, i, metrics, n);
        g_array_append_val(places, place);
    }
    rank_groups(frame, places, n);
    g_array_sort(places, compare_places);
    for (guint i = 0; i < places->len; i++) {
        size_t run = (size_t)g_array_index(places, struct place, i).rank[RUN];
        g_array_append_val(order, run);
    }
    return order;
}
