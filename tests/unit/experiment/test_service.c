/* SPDX-License-Identifier: MIT */
/* Latency and throughput from token stamps: schedules whose figures can be worked out by hand. */
#include "experiment/service.h"
#include "experiment/steps.h"

#include <math.h>

#define MS NS_PER_MS

struct scripted {
    int64_t admitted_ms; /* -1: the engine has no such stamp */
    int64_t n_in, n_cached;
    int64_t stamps_ms[6]; /* ended by 0 */
};

static struct engine_generation generation_of(const struct scripted *requests, size_t n, int64_t t1_ms)
{
    struct engine_generation g = {.t0_ns = 1000 * MS, .t1_ns = (1000 + t1_ms) * MS, .n_requests = n, .n_batches = 1};
    g.requests = g_new0(struct engine_request, n);
    g.batches = g_new0(struct engine_batch_times, 1);
    g.batches[0] = (struct engine_batch_times){1, g.t0_ns, g.t1_ns, n == 2 ? 7 : -1};
    for (size_t i = 0; i < n; i++) {
        struct engine_request *q = &g.requests[i];
        q->id = g_strdup_printf("r%zu", i);
        q->batch = 1;
        q->n_in = requests[i].n_in;
        q->n_cached = requests[i].n_cached;
        q->scheduled_ns = requests[i].admitted_ms < 0 ? 0 : (1000 + requests[i].admitted_ms) * MS;
        q->token_ids = g_new0(int32_t, 6);
        q->stamps_ns = g_new0(int64_t, 6);
        q->finish = g_strdup("length");
        for (; q->n_out < 6 && requests[i].stamps_ms[q->n_out]; q->n_out++)
            q->stamps_ns[q->n_out] = (1000 + requests[i].stamps_ms[q->n_out]) * MS;
    }
    return g;
}

static struct result *figures_of(struct engine_generation *g, int64_t pause_ns)
{
    g_auto(owned_exchange) exchange = {
        .config_hash = g_strdup("0123456789abcdef"), .config = json_object(), .cycle = 1};
    struct result *r = result_new(&exchange);
    const struct steady none = {.reason = "not asked for"};
    service_metrics(r, g, &none, pause_ns, QUANTITY_MEASURED);
    return r;
}

static const struct {
    const char *name;
    struct scripted requests[2];
    size_t n;
    int64_t t1_ms;
    struct {
        enum result_metric metric;
        double value; /* NaN: absent; 0: no more */
    } expected[10];
} cases[] = {
    /* one after the other: prefill 100 ms each, then a token every 10 ms */
    {"sequential",
     {{0, 50, 0, {100, 110, 120}}, {120, 30, 0, {220, 230, 240}}},
     2,
     240,
     {{METRIC_TOKENS_IN, 80},
      {METRIC_TOKENS_OUT, 6},
      {METRIC_TTFT_MEAN, (0.1 + 0.22) / 2}, /* the second one waits for the first */
      {METRIC_PREFILL_LATENCY, 0.1},
      {METRIC_TPOT_MEAN, 0.01},
      {METRIC_LATENCY_MEAN, (0.12 + 0.24) / 2},
      {METRIC_PREFILL_RATE, 80 / 0.2},
      {METRIC_DECODE_RATE, 4 / 0.04},
      {METRIC_OUTPUT_RATE, 6 / 0.24},
      {METRIC_ITL_MAX, 0.01}}},
    /* side by side: the time in which both prefill counts once */
    {"together",
     {{0, 50, 10, {100, 120, 140}}, {0, 50, 0, {100, 120, 140}}},
     2,
     140,
     {{METRIC_TOKENS_IN_COMPUTED, 90},
      {METRIC_TOKENS_IN_CACHED, 10},
      {METRIC_TOKENS_PADDED, 7},
      {METRIC_PREFILL_RATE, 90 / 0.1},
      {METRIC_DECODE_RATE, 4 / 0.04},
      {METRIC_TOTAL_RATE, 106 / 0.14},
      {METRIC_REQUEST_RATE, 2 / 0.14},
      {METRIC_TTFT_P50, NAN}, /* of two requests */
      {METRIC_ITL_MEAN, 0.02},
      {METRIC_WINDOW, 0.14}}},
    /* without a stamp of admission there is no prefill latency; one token has no inter-token latency */
    {"single-token",
     {{-1, 5, 0, {40}}},
     1,
     40,
     {{METRIC_TTFT_MEAN, 0.04},
      {METRIC_TPOT_MEAN, NAN},
      {METRIC_ITL_MEAN, NAN},
      {METRIC_DECODE_RATE, NAN},
      {METRIC_PREFILL_RATE, 5 / 0.04},
      {METRIC_LATENCY_MEAN, 0.04},
      {METRIC_TOKENS_OUT, 1},
      {METRIC_PREFILL_LATENCY, NAN},
      {METRIC_OUTPUT_RATE, 1 / 0.04}}},
};

static void test_case(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    struct engine_generation g = generation_of(cases[i].requests, cases[i].n, cases[i].t1_ms);
    g_autoptr(owned_result) r = figures_of(&g, 0);
    for (size_t k = 0; k < G_N_ELEMENTS(cases[i].expected) && cases[i].expected[k].value != 0; k++) {
        struct quantity q = result_get(r, cases[i].expected[k].metric);
        double want = cases[i].expected[k].value;
        g_test_message("%s", result_metric_row(cases[i].expected[k].metric)->id);
        if (isnan(want)) {
            g_assert_cmpint(q.status, ==, QUANTITY_ABSENT);
            g_assert_nonnull(q.reason);
        } else {
            g_assert_cmpint(q.status, ==, QUANTITY_MEASURED);
            g_assert_cmpfloat_with_epsilon(q.value, want, 1e-9 * fabs(want));
        }
    }
    engine_generation_clear(&g);
}

/* Several tokens in one chunk: TPOT stands, single gaps were not observed. */
static void test_merged_chunks(void)
{
    const struct scripted request = {0, 5, 0, {40, 60, 60, 80}};
    struct engine_generation g = generation_of(&request, 1, 80);
    g.merged_chunks = 1;
    g_autoptr(owned_result) r = figures_of(&g, 0);
    g_assert_cmpint(result_get(r, METRIC_ITL_P95).status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(result_get(r, METRIC_ITL_P95).reason);
    g_assert_cmpfloat_with_epsilon(result_get(r, METRIC_TPOT_MEAN).value, 0.04 / 3, 1e-12);
    engine_generation_clear(&g);
}

/* A quantile needs 5/(1 − p) values: one more and it is there, one fewer and it says so. */
static void test_quantiles(gconstpointer data)
{
    static const struct {
        enum result_metric metric;
        size_t wanted;
    } rows[] = {{METRIC_TTFT_P50, 10}, {METRIC_TTFT_P95, 100}, {METRIC_TTFT_P99, 500}};
    size_t wanted = rows[GPOINTER_TO_SIZE(data)].wanted;
    for (size_t n = wanted - 1; n <= wanted; n++) {
        g_autofree struct scripted *requests = g_new0(struct scripted, n);
        for (size_t i = 0; i < n; i++)
            requests[i] = (struct scripted){0, 5, 0, {40}};
        struct engine_generation g = generation_of(requests, n, 40);
        g_autoptr(owned_result) r = figures_of(&g, 0);
        struct quantity q = result_get(r, rows[GPOINTER_TO_SIZE(data)].metric);
        g_autofree char *why = g_strdup_printf("needs %zu requests, there are %zu", wanted, n);
        g_assert_cmpint(q.status, ==, n < wanted ? QUANTITY_ABSENT : QUANTITY_MEASURED);
        g_assert_cmpstr(q.reason, ==, n < wanted ? why : NULL);
        g_autofree char *over = g_strdup_printf("over %zu requests", n);
        g_assert_cmpstr(result_get(r, METRIC_TTFT_MEAN).reason, ==, over);
        engine_generation_clear(&g);
    }
}

/* What the meter put between repeats is in no rate; what the host did is. */
static void test_pauses(void)
{
    const struct scripted requests[] = {{0, 50, 0, {100, 110, 120}}, {220, 50, 0, {320, 330, 340}}};
    struct engine_generation g = generation_of(requests, 2, 340);
    g_autoptr(owned_result) r = figures_of(&g, 90 * MS);
    g_assert_cmpfloat_with_epsilon(result_get(r, METRIC_WINDOW).value, 0.25, 1e-12);
    g_assert_cmpfloat_with_epsilon(result_get(r, METRIC_OUTPUT_RATE).value, 6 / 0.25, 1e-9);
    engine_generation_clear(&g);
}

/* --- The steady state ------------------------------------------------------------------------------------------------ */

/* Two in flight, four requests: the third joins at 120, the fourth at 140; the last but one ends at 160. */
static const struct scripted joining[] = {{0, 5, 0, {40, 80, 120}},
                                          {0, 5, 0, {60, 100, 140}},
                                          {120, 5, 0, {130, 140, 150, 160}},
                                          {140, 5, 0, {150, 170, 190, 210}}};

static void test_steady(void)
{
    struct engine_generation g = generation_of(joining, 4, 210);
    struct steady s = steady_find(&g, 2);
    g_assert_null(s.reason);
    g_assert_cmpint(s.t0_ns, ==, 1060 * MS);          /* both have their first token */
    g_assert_cmpint(s.t1_ns, ==, 1160 * MS);          /* one is left */
    g_assert_cmpint(s.tokens_out, ==, 2 + 2 + 4 + 1); /* by emission, whatever they are of */
    g_autoptr(owned_result) r = figures_of(&g, 0);
    double under_way_s = 0.12 + 0.14 + 0.04 + 0.07;
    g_assert_cmpfloat_with_epsilon(result_get(r, METRIC_IN_FLIGHT).value, under_way_s / 0.21, 1e-9);
    g_assert_cmpfloat(result_get(r, METRIC_IN_FLIGHT_MOST).value, ==, 2);
    engine_generation_clear(&g);
}

/* Of several batches the longest; none where nobody waits to join, or the queue ran dry at once. */
static void test_steady_batches(void)
{
    struct engine_generation g = generation_of(joining, 4, 210);
    g_assert_cmpstr(steady_find(&g, 4).reason, ==, "all requests were in flight from the beginning: none waited to join");
    g.requests[2].batch = g.requests[3].batch = 2;
    struct steady s = steady_find(&g, 1);
    g_assert_cmpint(s.t0_ns, ==, 1040 * MS); /* of the first batch 100 ms, of the second 80 */
    g_assert_cmpint(s.t1_ns, ==, 1140 * MS);
    g_assert_cmpint(s.tokens_out, ==, 5);
    engine_generation_clear(&g);

    static const struct scripted late[] = {{0, 5, 0, {10}}, {0, 5, 0, {20}}, {0, 5, 0, {15}}};
    struct engine_generation dry = generation_of(late, 3, 20);
    s = steady_find(&dry, 2);
    g_assert_cmpstr(s.reason, ==, "the requests ran out before each of the first had its first token");
    g_assert_cmpint(s.t1_ns, ==, 0);
    engine_generation_clear(&dry);
}

/* Of those at work together the first, then what others did when it had ended. */
static void test_steps(void)
{
    static const struct {
        struct scripted requests[3];
        int64_t expected_ms[8]; /* ended by 0 */
    } rows[] = {
        {{{0, 5, 0, {10, 20, 30}}, {40, 5, 0, {50, 60}}, {70, 5, 0, {80}}}, {10, 20, 30, 50, 60, 80}},
        {{{0, 5, 0, {10, 20, 30}}, {0, 5, 0, {11, 21, 31, 41}}, {0, 5, 0, {12}}}, {10, 20, 30, 31, 41}},
        {{{0, 5, 0, {10, 20}}, {0, 5, 0, {10, 20, 30, 40}}, {0, 5, 0, {10}}}, {10, 20, 30, 40}},
        {{{50, 5, 0, {60}}, {0, 5, 0, {10, 10, 20}}, {20, 5, 0, {30}}}, {10, 20, 30, 60}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct engine_generation g = generation_of(rows[i].requests, 3, 100);
        g_autoptr(GArray) stamps = g_array_new(FALSE, FALSE, sizeof(int64_t));
        steps_append(stamps, &g);
        for (guint k = 0; k < stamps->len; k++)
            g_assert_cmpint(g_array_index(stamps, int64_t, k), ==, (1000 + rows[i].expected_ms[k]) * MS);
        g_assert_cmpint(rows[i].expected_ms[stamps->len], ==, 0);
        engine_generation_clear(&g);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/service/%s", cases[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/service/merged-chunks", test_merged_chunks);
    g_test_add_func("/service/pauses", test_pauses);
    g_test_add_func("/service/steady", test_steady);
    g_test_add_func("/service/steps", test_steps);
    g_test_add_func("/service/steady/batches", test_steady_batches);
    g_test_add_data_func("/service/quantiles/p50", GSIZE_TO_POINTER(0), test_quantiles);
    g_test_add_data_func("/service/quantiles/p95", GSIZE_TO_POINTER(1), test_quantiles);
    g_test_add_data_func("/service/quantiles/p99", GSIZE_TO_POINTER(2), test_quantiles);
    return g_test_run();
}
