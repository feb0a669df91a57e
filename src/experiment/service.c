/* SPDX-License-Identifier: MIT */
#include "experiment/service.h"

#include "experiment/flags.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

#define METHOD_STAMPS "engine_stamps"

/* Where the figures go and what they are. */
struct sink {
    struct result *r;
    enum quantity_status status;
};

static void set(const struct sink *to, enum result_metric metric, double value)
{
    result_set(to->r, metric, quantity_of(to->status, value, METHOD_STAMPS, NULL));
}

static void absent(const struct sink *to, enum result_metric metric, const char *reason)
{
    result_set(to->r, metric, quantity_absent(reason));
}

struct interval {
    int64_t from_ns, to_ns;
};

int64_t service_released_ns(const struct engine_generation *g, const struct engine_request *request)
{
    for (size_t i = 0; i < g->n_batches; i++)
        if (g->batches[i].batch == request->batch)
            return g->batches[i].t0_ns;
    return g->t0_ns;
}

/* When a request was handed over: the engine's queued stamp, else the release of its batch. */
static int64_t queued_ns(const struct engine_generation *g, const struct engine_request *request)
{
    return request->queued_ns ? request->queued_ns : service_released_ns(g, request);
}

struct service_times service_times(const struct engine_generation *g, const struct engine_request *q)
{
    int64_t queued = queued_ns(g, q), first = q->stamps_ns[0], last = q->stamps_ns[q->n_out - 1];
    return (struct service_times){
        .ttft_s = clock_seconds(first - queued),
        .prefill_s = q->scheduled_ns ? clock_seconds(first - q->scheduled_ns) : NAN,
        .tpot_s = q->n_out > 1 ? clock_seconds(last - first) / (double)(q->n_out - 1) : NAN,
        .latency_s = clock_seconds(last - queued),
    };
}

/* When the engine began to work on it, as far as it says so. */
static int64_t admitted_ns(const struct engine_generation *g, const struct engine_request *request)
{
    return request->scheduled_ns ? request->scheduled_ns : queued_ns(g, request);
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
    const char *of;               /* "requests" */
};

/* A quantile p is drawn between the values that n gives: below 5/(1 − p) of them it is one or two values' luck. */
static size_t samples_for(double p)
{
    return (size_t)ceil(5 / (1 - p) - 1e-9);
}

static void set_quantile(const struct sink *to, enum result_metric metric, const double *v, size_t n, double p,
                         const char *of)
{
    size_t wanted = samples_for(p);
    if (n >= wanted) {
        set(to, metric, stats_quantile(v, n, p));
        return;
    }
    g_autofree char *why = g_strdup_printf("needs %zu %s, there are %zu", wanted, of, n);
    absent(to, metric, why);
}

/* values in seconds. */
static void set_distribution(const struct sink *to, const GArray *values, struct distribution_rows rows,
                             const char *reason)
{
    const struct {
        int metric;
        double p;
    } quantiles[] = {{rows.p50, 0.50}, {rows.p95, 0.95}, {rows.p99, 0.99}};
    const double *v = (const double *)(const void *)values->data;
    size_t n = values->len;
    g_autofree char *over = g_strdup_printf("over %zu %s", n, rows.of);
    if (rows.mean >= 0 && n == 0)
        absent(to, rows.mean, reason);
    else if (rows.mean >= 0)
        result_set(to->r, rows.mean, quantity_remarked(to->status, stats_mean(v, n), METHOD_STAMPS, over));
    for (size_t i = 0; i < G_N_ELEMENTS(quantiles); i++)
        if (quantiles[i].metric >= 0 && n == 0)
            absent(to, quantiles[i].metric, reason);
        else if (quantiles[i].metric >= 0)
            set_quantile(to, quantiles[i].metric, v, n, quantiles[i].p, rows.of);
    if (rows.max >= 0 && n == 0)
        absent(to, rows.max, reason);
    else if (rows.max >= 0)
        set(to, rows.max, stats_quantile(v, n, 1));
}

static void set_padded(const struct sink *to, const struct engine_generation *g)
{
    int64_t padded = 0;
    for (size_t i = 0; i < g->n_batches && padded >= 0; i++)
        padded = g->batches[i].n_padded < 0 ? -1 : padded + g->batches[i].n_padded;
    if (padded >= 0)
        set(to, METRIC_TOKENS_PADDED, (double)padded);
    else
        absent(to, METRIC_TOKENS_PADDED, "the engine does not say what it pads");
}

static void set_tokens(const struct sink *to, const struct engine_generation *g, int64_t pause_ns)
{
    int64_t in = 0, cached = 0, out = 0;
    for (size_t i = 0; i < g->n_requests; i++) {
        in += g->requests[i].n_in;
        cached += g->requests[i].n_cached;
        out += (int64_t)g->requests[i].n_out;
    }
    double window = clock_seconds(g->t1_ns - g->t0_ns - pause_ns);
    set(to, METRIC_REQUESTS, (double)g->n_requests);
    set(to, METRIC_TOKENS_IN, (double)in);
    set(to, METRIC_TOKENS_IN_CACHED, (double)cached);
    set(to, METRIC_TOKENS_IN_COMPUTED, (double)(in - cached));
    set(to, METRIC_TOKENS_OUT, (double)out);
    set_padded(to, g);
    set(to, METRIC_WINDOW, window);
    set(to, METRIC_OUTPUT_RATE, (double)out / window);
    set(to, METRIC_TOTAL_RATE, (double)(in + out) / window);
    set(to, METRIC_REQUEST_RATE, (double)g->n_requests / window);
}

static void set_phase_rates(const struct sink *to, const struct engine_generation *g)
{
    g_autoptr(GArray) prefill = g_array_new(FALSE, FALSE, sizeof(struct interval));
    g_autoptr(GArray) decode = g_array_new(FALSE, FALSE, sizeof(struct interval));
    int64_t computed = 0, decoded = 0;
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        if (q->n_out == 0)
            continue;
        int64_t first = q->stamps_ns[0], last = q->stamps_ns[q->n_out - 1];
        struct interval p = {admitted_ns(g, q), first}, d = {first, last};
        g_array_append_val(prefill, p);
        g_array_append_val(decode, d);
        computed += q->n_in - q->n_cached;
        decoded += (int64_t)q->n_out - 1;
    }
    double prefill_s = clock_seconds(union_ns(prefill)), decode_s = clock_seconds(union_ns(decode));
    if (prefill_s > 0)
        set(to, METRIC_PREFILL_RATE, (double)computed / prefill_s);
    else
        absent(to, METRIC_PREFILL_RATE, "no request spent time between admission and its first token");
    if (decode_s > 0 && decoded > 0)
        set(to, METRIC_DECODE_RATE, (double)decoded / decode_s);
    else
        absent(to, METRIC_DECODE_RATE, "no request produced more than one token");
}

static void append_seconds(GArray *values, int64_t ns)
{
    double s = clock_seconds(ns);
    g_array_append_val(values, s);
}

static void append_known(GArray *values, double s)
{
    if (!isnan(s))
        g_array_append_val(values, s);
}

static void set_latencies(const struct sink *to, const struct engine_generation *g)
{
    g_autoptr(GArray) ttft = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) prefill = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) tpot = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) whole = g_array_new(FALSE, FALSE, sizeof(double));
    for (size_t i = 0; i < g->n_requests; i++) {
        struct service_times t = service_times(g, &g->requests[i]);
        append_known(ttft, t.ttft_s);
        append_known(prefill, t.prefill_s);
        append_known(tpot, t.tpot_s);
        append_known(whole, t.latency_s);
    }
    static const char single[] = "no request produced more than one token";
    const struct {
        const GArray *values;
        struct distribution_rows rows;
        const char *none;
    } figures[] = {
        {ttft, {METRIC_TTFT_MEAN, METRIC_TTFT_P50, METRIC_TTFT_P95, METRIC_TTFT_P99, -1, "requests"}, ""},
        {prefill,
         {METRIC_PREFILL_LATENCY, -1, -1, -1, -1, "requests"},
         "the engine does not say when it begins a request"},
        {tpot, {METRIC_TPOT_MEAN, METRIC_TPOT_P50, METRIC_TPOT_P95, -1, -1, "requests"}, single},
        {whole, {METRIC_LATENCY_MEAN, METRIC_LATENCY_P50, METRIC_LATENCY_P95, METRIC_LATENCY_P99, -1, "requests"}, ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++)
        set_distribution(to, figures[i].values, figures[i].rows, figures[i].none);
}

/* All gaps between successive tokens, in seconds. */
static GArray *token_gaps(const struct engine_generation *g)
{
    GArray *gaps = g_array_new(FALSE, FALSE, sizeof(double));
    for (size_t i = 0; i < g->n_requests; i++)
        for (size_t k = 1; k < g->requests[i].n_out; k++)
            append_seconds(gaps, g->requests[i].stamps_ns[k] - g->requests[i].stamps_ns[k - 1]);
    return gaps;
}

/* Where chunks carried more than one token the gap between tokens was not observed: no ITL then. */
static void set_token_gaps(const struct sink *to, const struct engine_generation *g)
{
    g_autoptr(GArray) gaps = token_gaps(g);
    const char *reason = "no request produced more than one token";
    if (g->merged_chunks > 0) {
        reason = "the engine delivered several tokens in one chunk, so single gaps were not observed";
        flag_raise(to->r, FLAG_MERGED_CHUNKS);
        g_array_set_size(gaps, 0);
    }
    set_distribution(
        to, gaps,
        (struct distribution_rows){METRIC_ITL_MEAN, METRIC_ITL_P50, METRIC_ITL_P95, METRIC_ITL_P99, METRIC_ITL_MAX,
                                   "gaps"},
        reason);
}

/* A request begins or ends. */
struct turn {
    int64_t t_ns;
    int by; /* 1 or -1 */
};

/* One that ends makes room for the one that begins at the same moment. */
static int by_turn(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    return x->t_ns != y->t_ns ? (x->t_ns > y->t_ns) - (x->t_ns < y->t_ns) : x->by - y->by;
}

/* Most intervals at once. */
static int64_t most_at_once(const GArray *intervals)
{
    g_autoptr(GArray) turns = g_array_new(FALSE, FALSE, sizeof(struct turn));
    int64_t now = 0, most = 0;
    for (guint i = 0; i < intervals->len; i++) {
        struct interval v = g_array_index(intervals, struct interval, i);
        const struct turn both[] = {{v.from_ns, 1}, {v.to_ns, -1}};
        g_array_append_vals(turns, both, G_N_ELEMENTS(both));
    }
    qsort(turns->data, turns->len, sizeof(struct turn), by_turn);
    for (guint i = 0; i < turns->len; i++) {
        now += g_array_index(turns, struct turn, i).by;
        most = MAX(most, now);
    }
    return most;
}

/* Without a word on when the engine begins with a request, one that waits cannot be told from one under way. */
static void set_in_flight(const struct sink *to, const struct engine_generation *g, int64_t pause_ns)
{
    g_autoptr(GArray) under_way = g_array_new(FALSE, FALSE, sizeof(struct interval));
    double sum_s = 0;
    for (size_t i = 0; i < g->n_requests && g->requests[i].scheduled_ns; i++) {
        const struct engine_request *q = &g->requests[i];
        struct interval v = {q->scheduled_ns, q->stamps_ns[q->n_out - 1]};
        g_array_append_val(under_way, v);
        sum_s += clock_seconds(v.to_ns - v.from_ns);
    }
    static const char unknown[] = "the engine does not say when it begins a request";
    if (under_way->len < g->n_requests) {
        absent(to, METRIC_IN_FLIGHT, unknown);
        absent(to, METRIC_IN_FLIGHT_MOST, unknown);
        return;
    }
    set(to, METRIC_IN_FLIGHT, sum_s / clock_seconds(g->t1_ns - g->t0_ns - pause_ns));
    set(to, METRIC_IN_FLIGHT_MOST, (double)most_at_once(under_way));
}

static void set_steady(const struct sink *to, const struct steady *steady)
{
    static const enum result_metric metrics[] = {METRIC_STEADY_TIME, METRIC_STEADY_TOKENS, METRIC_STEADY_RATE};
    double seconds = clock_seconds(steady->t1_ns - steady->t0_ns), tokens = (double)steady->tokens_out;
    const double values[] = {seconds, tokens, tokens / seconds};
    for (size_t i = 0; i < G_N_ELEMENTS(metrics); i++)
        if (steady->reason)
            absent(to, metrics[i], steady->reason);
        else
            set(to, metrics[i], values[i]);
}

void service_metrics(struct result *r, const struct engine_generation *g, const struct steady *steady,
                     int64_t pause_ns, enum quantity_status status)
{
    const struct sink to = {r, status};
    set_tokens(&to, g, pause_ns);
    set_in_flight(&to, g, pause_ns);
    set_steady(&to, steady);
    set_phase_rates(&to, g);
    set_latencies(&to, g);
    set_token_gaps(&to, g);
}
