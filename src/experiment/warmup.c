/* SPDX-License-Identifier: MIT */
/* The work, over and over, until time, temperature and decode steps are steady. */
#include "experiment/internal.h"
#include "experiment/steps.h"

#define SHAPES_MAX  5
#define JOINING_SETS 2 /* of the requests in flight: so that some join, and their number falls to one at the end */
#define BATCH_FIRST INT64_C(1000000) /* batch numbers of the warm-up; the measured ones count from 1 */

/* Temperatures of the boards since the warm-up began; empty where no sensor exists, which skips that condition. */
static GArray *temperatures(const struct sensors *sensors, int64_t from_ns)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_temperature));
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++) {
        g_autoptr(GArray) points = sensors_series(sensors, i, METER_TEMPERATURE, from_ns, clock_mono_ns());
        if (!points)
            continue;
        for (guint k = 0; k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            struct energy_temperature t = {p->first_ns, (double)p->raw * sensors->own.channels[i]->scale};
            /* A temperature that stays is one run of equal readings: once a second is often enough to say so. */
            for (; p->status == METER_READ_OK && t.t_ns <= p->last_ns; t.t_ns += NS_PER_S)
                g_array_append_val(list, t);
        }
        break; /* one board is enough for a gate: the first */
    }
    return list;
}

/* One iteration: n prompts of the warm-up set, in turn, together. Its measure is the time of a decode step (prompts
 * differ in length, steps do not). */
static bool iterate(const struct inputs *in, const struct pace *pace, const struct session *session, size_t iteration,
                    size_t n, double *ret_per_token_s, GArray *stamps, GError **error)
{
    int64_t batch = BATCH_FIRST + (int64_t)iteration;
    g_autofree struct engine_tokens *turn = g_new0(struct engine_tokens, n);
    for (size_t i = 0; i < n; i++)
        turn[i] = session->warm_tokens[(iteration * n + i) % session->n_warm_prompts]; /* borrowed ids */
    struct engine_work work;
    struct engine_generation g = {0};
    bool ok = session_prepare(in, pace, session, batch, turn, n, NULL, error) &&
              engine_generate(session->engine, &batch, 1, (int64_t)inputs_in_flight(in), pace->deadline_ns, &work,
                              error) &&
              engine_collect(session->engine, pace->deadline_ns, &g, error);
    if (ok) {
        const struct engine_request *q = &g.requests[0];
        int64_t from_ns = q->n_out > 1 ? q->stamps_ns[0] : g.t0_ns;
        size_t tokens = q->n_out > 1 ? q->n_out - 1 : 1;
        *ret_per_token_s = clock_seconds(g.t1_ns - from_ns) / (double)tokens;
        if (stamps)
            steps_append(stamps, &g);
    }
    engine_generation_clear(&g);
    return ok;
}

bool warmup_again(const struct inputs *in, const struct pace *pace, const struct session *session, size_t number,
                  GError **error)
{
    double ignored;
    return iterate(in, pace, session, number, inputs_concurrency(in), &ignored, NULL, error);
}

/* In how many requests at once the work begins a batch, or the rest of one: engines compile, plan and choose kernels by
 * it. ret[SHAPES_MAX]; returns how many there are, the first is that of the iterations. */
static size_t shapes_of(const struct inputs *in, size_t n_prompts, size_t *ret)
{
    size_t at_once = inputs_concurrency(in), batch = MIN(inputs_batch_size(in), n_prompts), last = n_prompts % batch;
    const size_t sizes[] = {at_once, MIN(batch, at_once), batch % at_once, MIN(last, at_once), last % at_once};
    size_t n = 0;
    if (inputs_in_flight(in)) {
        ret[0] = at_once;
        ret[1] = MIN(JOINING_SETS * at_once, n_prompts);
        return ret[1] > at_once ? 2 : 1;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        bool known = sizes[i] == 0;
        for (size_t k = 0; k < n; k++)
            known = known || ret[k] == sizes[i];
        if (!known)
            ret[n++] = sizes[i];
    }
    return n;
}

static struct energy_steady_rule steady_rule(const struct config *config)
{
    struct energy_steady_rule rule = energy_steady_default;
    rule.cv_max = config_real(config, FIELD_WARMUP_CV_THRESHOLD);
    rule.slope_max = config_real(config, FIELD_WARMUP_SLOPE_THRESHOLD);
    rule.last = MAX(rule.last, (size_t)config_int(config, FIELD_WARMUP_N_WARMUP));
    rule.iterations_max = (size_t)config_int(config, FIELD_WARMUP_MAX_PROMPTS);
    return rule;
}

/* The thermal floor is a maximum: past it the temperature is no longer waited for. */
static struct energy_steady judge(const struct config *config, const struct sensors *sensors, const GArray *latencies,
                                  int64_t t0_ns)
{
    struct energy_steady_rule rule = steady_rule(config);
    g_autoptr(GArray) heat = temperatures(sensors, t0_ns);
    int64_t elapsed_ns = clock_mono_ns() - t0_ns;
    if (elapsed_ns > config_ns(config, FIELD_WARMUP_THERMAL_FLOOR_SECONDS))
        g_array_set_size(heat, 0);
    return energy_steady(&rule, (const double *)(const void *)latencies->data, latencies->len,
                         (const struct energy_temperature *)(const void *)heat->data, heat->len, elapsed_ns);
}

static bool iterate_until_steady(const struct inputs *in, const struct pace *pace, const struct sensors *sensors,
                                 const struct session *session, struct warmup *ret, GError **error)
{
    size_t at_least = (size_t)config_int(in->config, FIELD_WARMUP_N_WARMUP);
    g_autoptr(GArray) latencies = g_array_new(FALSE, FALSE, sizeof(double));
    do {
        double latency;
        if (!pace_check(pace, error) ||
            !iterate(in, pace, session, latencies->len, inputs_concurrency(in), &latency, ret->stamps, error))
            return false;
        g_array_append_val(latencies, latency);
        ret->steady = judge(in->config, sensors, latencies, ret->at.t0_ns);
    } while (latencies->len < at_least || !(ret->steady.steady || ret->steady.timed_out));
    ret->iterations = latencies->len;
    return true;
}

/* Sizes that the iterations did not have, each once; none any more where they took all the time there was. */
static bool run_other_shapes(const struct inputs *in, const struct pace *pace, const struct session *session,
                             const size_t *shapes, struct warmup *ret, GError **error)
{
    for (size_t i = 1; i < ret->shapes && !ret->steady.timed_out; i++) {
        double ignored;
        if (!pace_check(pace, error) ||
            !iterate(in, pace, session, ret->iterations++, shapes[i], &ignored, ret->stamps, error))
            return false;
        ret->shapes_cold--;
    }
    return true;
}

bool warmup_run(const struct inputs *in, const struct pace *pace, const struct sensors *sensors,
                const struct session *session, struct warmup *ret, GError **error)
{
    size_t shapes[SHAPES_MAX];
    ret->shapes = ret->shapes_cold = shapes_of(in, session->n_prompts, shapes);
    if (!config_bool(in->config, FIELD_WARMUP_ENABLED))
        return true;
    ret->stamps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    ret->at.tick0 = sensors_ticks(sensors, 1);
    ret->at.t0_ns = clock_mono_ns();
    sensors_mark(sensors, "warmup.begin", ret->at.t0_ns);
    if (!iterate_until_steady(in, pace, sensors, session, ret, error))
        return false;
    ret->shapes_cold--;
    if (!run_other_shapes(in, pace, session, shapes, ret, error))
        return false;
    ret->at.t1_ns = clock_mono_ns();
    ret->at.tick1 = sensors_ticks(sensors, 2);
    sensors_mark(sensors, "warmup.end", ret->at.t1_ns);
    return true;
}

void warmup_clear(struct warmup *warmup)
{
    stretch_clear(&warmup->at);
    g_clear_pointer(&warmup->stamps, g_array_unref);
}
