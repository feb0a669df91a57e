/* SPDX-License-Identifier: MIT */
#include "experiment/service.h"

#include "stats/stats.h"

#include <stdlib.h>

#define METHOD_STAMPS "engine_stamps"

struct interval {
    int64_t from_ns, to_ns;
};

static double seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static struct quantity stamped(double value)
{
    return quantity_of(QUANTITY_MEASURED, value, METHOD_STAMPS, NULL);
}

int64_t service_admitted_ns(const struct engine_generation *g, const struct engine_request *request)
{
    if (request->scheduled_ns)
        return request->scheduled_ns;
    for (size_t i = 0; i < g->n_batches; i++)
        if (g->batches[i].batch == request->batch)
            return g->batches[i].t0_ns;
    return g->t0_ns;
}

GArray *service_token_gaps(const struct engine_generation *g)
{
    GArray *gaps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        for (size_t k = 1; k < q->n_out; k++) {
            int64_t gap = q->stamps_ns[k] - q->stamps_ns[k - 1];
            if (gap > 0)
                g_array_append_val(gaps, gap);
        }
    }
    return gaps;
}

static int by_start(const void *a, const void *b)
{
    const struct interval *x = a, *y = b;
    return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

/* Time covered by at least one of the intervals. */
static int64_t union_ns(GArray *intervals)
{
    qsort(intervals->data, intervals->len, sizeof(struct interval), by_start);
    int64_t total = 0, reached = INT64_MIN;
    for (guint i = 0; i < intervals->len; i++) {
        struct interval v = g_array_index(intervals, struct interval, i);
        int64_t from = MAX(v.from_ns, reached);
        if (v.to_ns > from)
            total += v.to_ns - from;
        reached = MAX(reached, v.to_ns);
    }
    return total;
}

struct distribution_rows {
    int mean, p50, p95, p99, max; /* METRIC_…, or -1 */
};

/* values in seconds; sorted in place. */
static void set_distribution(struct result *r, GArray *values, struct distribution_rows rows, const char *absent)
{
    const struct {
        int metric;
        double p;
    } points[] = {{rows.p50, 0.50}, {rows.p95, 0.95}, {rows.p99, 0.99}, {rows.max, 1.0}};
    const double *v = (const double *)(const void *)values->data;
    if (rows.mean >= 0)
        result_set(r, rows.mean, values->len ? stamped(stats_mean(v, values->len)) : quantity_absent(absent));
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++)
        if (points[i].metric >= 0)
            result_set(r, points[i].metric,
                       values->len ? stamped(stats_quantile(v, values->len, points[i].p)) : quantity_absent(absent));
}

static void set_tokens(struct result *r, const struct engine_generation *g)
{
    int64_t in = 0, cached = 0, out = 0;
    for (size_t i = 0; i < g->n_requests; i++) {
        in += g->requests[i].n_in;
        cached += g->requests[i].n_cached;
        out += (int64_t)g->requests[i].n_out;
    }
    double window = seconds(g->t1_ns - g->t0_ns);
    result_set(r, METRIC_REQUESTS, stamped((double)g->n_requests));
    result_set(r, METRIC_TOKENS_IN, stamped((double)in));
    result_set(r, METRIC_TOKENS_IN_CACHED, stamped((double)cached));
    result_set(r, METRIC_TOKENS_IN_COMPUTED, stamped((double)(in - cached)));
    result_set(r, METRIC_TOKENS_OUT, stamped((double)out));
    result_set(r, METRIC_WINDOW, stamped(window));
    result_set(r, METRIC_OUTPUT_RATE, stamped((double)out / window));
    result_set(r, METRIC_TOTAL_RATE, stamped((double)(in + out) / window));
    result_set(r, METRIC_REQUEST_RATE, stamped((double)g->n_requests / window));
}

static void set_phase_rates(struct result *r, const struct engine_generation *g)
{
    g_autoptr(GArray) prefill = g_array_new(FALSE, FALSE, sizeof(struct interval));
    g_autoptr(GArray) decode = g_array_new(FALSE, FALSE, sizeof(struct interval));
    int64_t computed = 0, decoded = 0;
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        if (q->n_out == 0)
            continue;
        int64_t first = q->stamps_ns[0], last = q->stamps_ns[q->n_out - 1];
        struct interval p = {service_admitted_ns(g, q), first}, d = {first, last};
        g_array_append_val(prefill, p);
        g_array_append_val(decode, d);
        computed += q->n_in - q->n_cached;
        decoded += (int64_t)q->n_out - 1;
    }
    double prefill_s = seconds(union_ns(prefill)), decode_s = seconds(union_ns(decode));
    result_set(r, METRIC_PREFILL_RATE,
               prefill_s > 0 ? stamped((double)computed / prefill_s)
                             : quantity_absent("no request spent time between admission and its first token"));
    result_set(r, METRIC_DECODE_RATE,
               decode_s > 0 && decoded > 0 ? stamped((double)decoded / decode_s)
                                           : quantity_absent("no request produced more than one token"));
}

static void append_seconds(GArray *values, int64_t ns)
{
    double s = seconds(ns);
    g_array_append_val(values, s);
}

static void set_latencies(struct result *r, const struct engine_generation *g)
{
    g_autoptr(GArray) ttft = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) tpot = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) whole = g_array_new(FALSE, FALSE, sizeof(double));
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        if (q->n_out == 0)
            continue;
        int64_t admitted = service_admitted_ns(g, q), last = q->stamps_ns[q->n_out - 1];
        append_seconds(ttft, q->stamps_ns[0] - admitted);
        append_seconds(whole, last - admitted);
        if (q->n_out > 1) {
            double per_token = seconds(last - q->stamps_ns[0]) / (double)(q->n_out - 1);
            g_array_append_val(tpot, per_token);
        }
    }
    static const char none[] = "no request produced a token", single[] = "no request produced more than one token";
    set_distribution(r, ttft,
                     (struct distribution_rows){METRIC_TTFT_MEAN, METRIC_TTFT_P50, METRIC_TTFT_P95, METRIC_TTFT_P99, -1},
                     none);
    set_distribution(r, tpot, (struct distribution_rows){METRIC_TPOT_MEAN, METRIC_TPOT_P50, METRIC_TPOT_P95, -1, -1},
                     single);
    set_distribution(r, whole,
                     (struct distribution_rows){METRIC_LATENCY_MEAN, METRIC_LATENCY_P50, METRIC_LATENCY_P95,
                                                METRIC_LATENCY_P99, -1},
                     none);
}

/* Where chunks carried more than one token the gap between tokens was not observed: no ITL then. */
static void set_token_gaps(struct result *r, const struct engine_generation *g)
{
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(double));
    const char *absent = "no request produced more than one token";
    if (g->merged_chunks > 0) {
        absent = "the engine delivered several tokens in one chunk, so single gaps were not observed";
        result_flag(r, "merged_chunks");
    } else {
        g_autoptr(GArray) gaps = service_token_gaps(g);
        for (guint i = 0; i < gaps->len; i++)
            append_seconds(values, g_array_index(gaps, int64_t, i));
    }
    set_distribution(
        r, values,
        (struct distribution_rows){METRIC_ITL_MEAN, METRIC_ITL_P50, METRIC_ITL_P95, METRIC_ITL_P99, METRIC_ITL_MAX},
        absent);
}

void service_metrics(struct result *r, const struct engine_generation *g)
{
    set_tokens(r, g);
    set_phase_rates(r, g);
    set_latencies(r, g);
    set_token_gaps(r, g);
}
