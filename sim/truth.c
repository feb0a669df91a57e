/* SPDX-License-Identifier: MIT */
/* Truth: piecewise-constant traces with exact integrals, plain and through a first-order lag; the loads made of
 * them. */
#include "sim/truth.h"

#include "base/random.h"

#include <glib.h>
#include <math.h>

#define S(ns) ((double)(ns)*1e-9)

double sim_rng_uniform(struct sim_rng *rng)
{
    return random_uniform(&rng->state);
}

double sim_rng_normal(struct sim_rng *rng)
{
    double u = 1.0 - sim_rng_uniform(rng), v = sim_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(2.0 * G_PI * v);
}

double sim_rng_exponential(struct sim_rng *rng, double mean)
{
    return -mean * log(1.0 - sim_rng_uniform(rng));
}

struct sim_trace *sim_trace_new(int64_t start_ns)
{
    struct sim_trace *trace = g_new0(struct sim_trace, 1);
    trace->start_ns = trace->end_ns = start_ns;
    trace->segments = g_array_new(FALSE, FALSE, sizeof(struct sim_segment));
    return trace;
}

static void lag_clear(struct sim_lag *lag)
{
    g_array_unref(lag->states);
}

void sim_trace_free(struct sim_trace *trace)
{
    if (!trace)
        return;
    if (trace->free_context)
        trace->free_context(trace->context);
    for (unsigned i = 0; i < trace->lag_count; i++)
        lag_clear(&trace->lags[i]);
    g_array_unref(trace->segments);
    g_free(trace);
}

void sim_trace_append(struct sim_trace *trace, int64_t duration_ns, double watts)
{
    if (duration_ns <= 0)
        return;
    struct sim_segment next = {.start_ns = trace->end_ns, .watts = watts};
    if (trace->segments->len) {
        const struct sim_segment *last =
            &g_array_index(trace->segments, struct sim_segment, trace->segments->len - 1);
        next.energy_j = last->energy_j + last->watts * S(next.start_ns - last->start_ns);
    }
    g_array_append_val(trace->segments, next);
    trace->end_ns += duration_ns;
}

void sim_trace_set_grow(struct sim_trace *trace, void (*grow)(struct sim_trace *trace, void *context),
                        void *context, void (*free_context)(void *context))
{
    trace->grow = grow;
    trace->context = context;
    trace->free_context = free_context;
}

int64_t sim_trace_end_ns(const struct sim_trace *trace)
{
    return trace->end_ns;
}

/* The segment that holds at t (t at or after the start); grows the trace as far as needed. */
static unsigned find_segment(struct sim_trace *trace, int64_t t_ns)
{
    while (trace->grow && trace->end_ns <= t_ns)
        trace->grow(trace, trace->context);
    const struct sim_segment *s = (const struct sim_segment *)(void *)trace->segments->data;
    unsigned low = 0, high = trace->segments->len; /* s[low].start ≤ t < s[high].start */
    unsigned at = MIN(trace->cursor, high - 1);
    if (s[at].start_ns <= t_ns) { /* near the last look-up more often than not: in steps that double */
        unsigned step = 1;
        for (low = at; low + step < high && s[low + step].start_ns <= t_ns; step *= 2)
            low += step;
        high = MIN(high, low + step);
    } else {
        unsigned step = 1;
        for (high = at; step < high && s[high - step].start_ns > t_ns; step *= 2)
            high -= step;
        low = step < high ? high - step : 0;
    }
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (s[middle].start_ns <= t_ns)
            low = middle;
        else
            high = middle;
    }
    trace->cursor = low;
    return low;
}

static const struct sim_segment *segment_at(const struct sim_trace *trace, unsigned index)
{
    return &g_array_index(trace->segments, struct sim_segment, index);
}

static bool empty(struct sim_trace *trace)
{
    if (!trace->segments->len && trace->grow)
        trace->grow(trace, trace->context);
    return trace->segments->len == 0;
}

double sim_trace_power_w(struct sim_trace *trace, int64_t t_ns)
{
    if (empty(trace))
        return 0;
    if (t_ns <= trace->start_ns)
        return segment_at(trace, 0)->watts;
    return segment_at(trace, find_segment(trace, t_ns))->watts;
}

double sim_trace_energy_j(struct sim_trace *trace, int64_t t_ns)
{
    if (empty(trace))
        return 0;
    if (t_ns <= trace->start_ns)
        return segment_at(trace, 0)->watts * S(t_ns - trace->start_ns);
    const struct sim_segment *s = segment_at(trace, find_segment(trace, t_ns));
    return s->energy_j + s->watts * S(t_ns - s->start_ns);
}

/* The lag y' = (P − y)/τ has a closed form on a constant segment; its state and integral at each segment's start are
 * kept, so a look-up anywhere is exact. */
static struct sim_lag *lag_of(struct sim_trace *trace, int64_t rise_ns)
{
    for (unsigned i = 0; i < trace->lag_count; i++)
        if (trace->lags[i].rise_ns == rise_ns)
            return &trace->lags[i];
    if (trace->lag_count == SIM_LAGS) { /* more kinds than any script uses: forget the oldest */
        lag_clear(&trace->lags[0]);
        memmove(trace->lags, trace->lags + 1, sizeof trace->lags - sizeof trace->lags[0]);
        trace->lag_count--;
    }
    struct sim_lag *lag = &trace->lags[trace->lag_count++];
    *lag = (struct sim_lag){.rise_ns = rise_ns,
                            .states = g_array_new(FALSE, FALSE, sizeof(struct sim_lag_state))};
    return lag;
}

static struct sim_lag_state lag_advance(struct sim_lag_state state, double watts, int64_t dt_ns, int64_t rise_ns)
{
    double fade = exp(-(double)dt_ns / (double)rise_ns);
    double above = state.watts - watts;
    return (struct sim_lag_state){
        .watts = watts + above * fade,
        .energy_j = state.energy_j + watts * S(dt_ns) + above * S(rise_ns) * (1.0 - fade),
    };
}

static struct sim_lag_state lag_at(struct sim_trace *trace, int64_t rise_ns, int64_t t_ns)
{
    double first = segment_at(trace, 0)->watts;
    if (t_ns <= trace->start_ns)
        return (struct sim_lag_state){.watts = first, .energy_j = first * S(t_ns - trace->start_ns)};
    unsigned index = find_segment(trace, t_ns);
    struct sim_lag *lag = lag_of(trace, rise_ns);
    if (!lag->states->len) {
        struct sim_lag_state start = {.watts = first};
        g_array_append_val(lag->states, start);
    }
    while (lag->states->len <= index) {
        unsigned i = lag->states->len - 1;
        const struct sim_segment *s = segment_at(trace, i);
        struct sim_lag_state next = lag_advance(g_array_index(lag->states, struct sim_lag_state, i), s->watts,
                                                s[1].start_ns - s->start_ns, rise_ns);
        g_array_append_val(lag->states, next);
    }
    const struct sim_segment *s = segment_at(trace, index);
    return lag_advance(g_array_index(lag->states, struct sim_lag_state, index), s->watts, t_ns - s->start_ns,
                       rise_ns);
}

double sim_trace_risen_power_w(struct sim_trace *trace, int64_t rise_ns, int64_t t_ns)
{
    if (rise_ns <= 0 || empty(trace))
        return sim_trace_power_w(trace, t_ns);
    return lag_at(trace, rise_ns, t_ns).watts;
}

double sim_trace_risen_energy_j(struct sim_trace *trace, int64_t rise_ns, int64_t t_ns)
{
    if (rise_ns <= 0 || empty(trace))
        return sim_trace_energy_j(trace, t_ns);
    return lag_at(trace, rise_ns, t_ns).energy_j;
}

/* --- Loads --------------------------------------------------------------------------------------------------------------- */

/* Zero from the trace's end to t0; what is already there stays. */
static void fill_to(struct sim_trace *trace, int64_t t0_ns)
{
    sim_trace_append(trace, t0_ns - trace->end_ns, 0);
}

/* Ends a load: zero holds from here on. */
static void end_load(struct sim_trace *trace)
{
    sim_trace_append(trace, 1, 0);
}

static void append_until(struct sim_trace *trace, int64_t duration_ns, double watts, int64_t t1_ns)
{
    sim_trace_append(trace, MIN(duration_ns, t1_ns - trace->end_ns), watts);
}

void sim_load_steady(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, double watts)
{
    fill_to(trace, t0_ns);
    append_until(trace, INT64_MAX, watts, t1_ns);
    end_load(trace);
}

void sim_load_square(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, int64_t period_ns, double duty,
                     double high_w, double low_w)
{
    int64_t high_ns = CLAMP((int64_t)llround((double)period_ns * duty), 1, period_ns);
    fill_to(trace, t0_ns);
    while (trace->end_ns < t1_ns) {
        append_until(trace, high_ns, high_w, t1_ns);
        append_until(trace, period_ns - high_ns, low_w, t1_ns);
    }
    end_load(trace);
}

#define LLM_STEP_NS INT64_C(12000000)

void sim_load_llm(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, double scale, struct sim_rng *rng)
{
    fill_to(trace, t0_ns);
    int64_t prefill_ns = t0_ns; /* a request's first work is its prefill */
    for (bool high = true; trace->end_ns < t1_ns; high = !high) {
        if (trace->end_ns >= prefill_ns) {
            double burst_s = 0.020 + 0.100 * sim_rng_uniform(rng);
            append_until(trace, (int64_t)(burst_s * 1e9), 565.0 * scale, t1_ns);
            prefill_ns = trace->end_ns + (int64_t)(sim_rng_exponential(rng, 0.4) * 1e9);
        }
        append_until(trace, LLM_STEP_NS, (high ? 365.0 : 235.0) * scale, t1_ns);
    }
    end_load(trace);
}

void sim_load_tail(struct sim_trace *trace, int64_t t1_ns, double watts, int64_t tau_ns)
{
    const int64_t step_ns = 5000000;
    fill_to(trace, t1_ns);
    double fade = exp(-(double)step_ns / (double)tau_ns);
    /* The mean of the exponential over each step, so that the staircase keeps its area. */
    double level = watts * (1.0 - fade) * (double)tau_ns / (double)step_ns;
    for (double end = level * 1e-4; level > end; level *= fade)
        sim_trace_append(trace, step_ns, level);
    end_load(trace);
}

struct wander {
    struct sim_rng rng;
    int64_t step_ns;
    double level, keep, kick;
};

static void wander_grow(struct sim_trace *trace, void *context)
{
    struct wander *w = context;
    for (int i = 0; i < 64; i++) {
        sim_trace_append(trace, w->step_ns, w->level);
        w->level = w->keep * w->level + w->kick * sim_rng_normal(&w->rng);
    }
}

struct sim_trace *sim_wander_new(int64_t start_ns, int64_t step_ns, double sd_w, int64_t corr_ns, uint64_t seed)
{
    struct wander *w = g_new0(struct wander, 1);
    w->rng.state = seed;
    w->step_ns = step_ns;
    w->keep = exp(-(double)step_ns / (double)corr_ns);
    w->kick = sd_w * sqrt(1.0 - w->keep * w->keep);
    w->level = sd_w * sim_rng_normal(&w->rng);
    struct sim_trace *trace = sim_trace_new(start_ns);
    sim_trace_set_grow(trace, wander_grow, w, g_free);
    return trace;
}
