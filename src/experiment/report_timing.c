/* SPDX-License-Identifier: MIT */
/* The record of what happened when, and of whether the warm-up made it steady. */
#include "experiment/internal.h"

#include <math.h>

#define NO_WARMUP "warmup.enabled is false"

static void put_stretch(struct result *r, enum result_part part, const struct stretch *at, const char *reason)
{
    result_put_stretch(r, part, at->t0_ns, at->t1_ns, reason ? reason : "not taken");
}

static void put_window(const struct block *block, struct result *r)
{
    const struct energy_window *w = &block->window;
    g_autofree char *utc = clock_format_utc(clock_anchor_wall_ns(&block->began, w->t0_ns));
    double length_ns = (double)energy_window_work_ns(w);
    result_put_int(r, PART_TIMING_WINDOW_GUARD_FROM_NS, w->guard_from_ns);
    result_put_int(r, PART_TIMING_WINDOW_T0_NS, w->t0_ns);
    result_put_int(r, PART_TIMING_WINDOW_T1_NS, w->t1_ns);
    result_put_int(r, PART_TIMING_WINDOW_GUARD_TO_NS, w->guard_to_ns);
    result_put_text(r, PART_TIMING_WINDOW_T0_UTC, utc);
    result_put_int(r, PART_TIMING_WINDOW_PAUSE_NS, w->pause_ns);
    result_put_real(r, PART_TIMING_WINDOW_HOST_GAP_SHARE, (double)w->gap_ns / length_ns, "the window has no length");
}

static void put_steadiness(const struct warmup *warmup, bool rewarmed, struct result *r)
{
    const struct energy_steady *s = &warmup->steady;
    const char *few = warmup->at.t1_ns ? "fewer than five iterations" : NO_WARMUP;
    bool some = warmup->iterations > 0;
    result_put_int(r, PART_STEADINESS_ITERATIONS, (int64_t)warmup->iterations);
    result_put_int(r, PART_STEADINESS_SHAPES, (int64_t)(warmup->shapes - warmup->shapes_cold));
    result_put_bool(r, PART_STEADINESS_REWARMED, rewarmed);
    result_put_bool(r, PART_STEADINESS_STEADY, s->steady);
    result_put_bool(r, PART_STEADINESS_TIMED_OUT, s->timed_out);
    result_put_text(r, PART_STEADINESS_WAITING_FOR, s->waiting_for);
    result_put_real(r, PART_STEADINESS_CV, some ? s->cv : NAN, few);
    result_put_real(r, PART_STEADINESS_SLOPE, some ? s->slope : NAN, few);
    result_put_real(r, PART_STEADINESS_TEMPERATURE_SLOPE_C_PER_MIN, some ? s->temperature_slope : NAN,
                    some ? "no sensor of temperature, not seen for half a minute, or no longer waited for"
                         : NO_WARMUP);
}

/* Steps may beat with a sensor that is read beside this process. */
static void put_steps(const struct inputs *in, const struct block *block, struct result *r)
{
    struct energy_options options = block_options(in, block);
    json_t *stamps = json_array();
    for (size_t i = 0; i < options.stamp_count; i++)
        json_array_append_new(stamps, json_integer(options.stamps_ns[i]));
    result_put_json(r, PART_TIMING_STEPS_NS, stamps);
}

void report_timing(const struct experiment *x, struct result *r)
{
    const struct session *session = &x->session;
    const struct stretch *warmup = &x->warmup.at;
    put_window(&x->block, r);
    put_stretch(r, PART_TIMING_LOAD, &session->load, "the adapter gave no times");
    result_put_stretch(r, PART_TIMING_COMPILE, session->loaded.compile_t0_ns, session->loaded.compile_t1_ns,
                       NOT_SAID_WHEN_COMPILED);
    put_stretch(r, PART_TIMING_WARMUP, warmup, NO_WARMUP);
    result_put_stretch(r, PART_TIMING_STEADY, x->steady.t0_ns, x->steady.t1_ns, x->steady.reason);
    put_stretch(r, PART_TIMING_IDLE_COLD, &x->idle_cold.at, x->idle_cold.reason);
    put_stretch(r, PART_TIMING_IDLE_CONTEXT, &x->idle_context.at, x->idle_context.reason);
    put_stretch(r, PART_TIMING_IDLE_AFTER, &x->idle_after.at, x->idle_after.reason);
    result_put_int(r, PART_TIMING_ENGINE_STOP_NS, session->stopped.wall_ns);
    result_put_text(r, PART_TIMING_ENGINE_STOP_STAGE, engine_stop_stage_name(session->stopped.stage));
    double load_s = clock_seconds(session->load.t1_ns - session->load.t0_ns);
    double warmup_s = clock_seconds(warmup->t1_ns - warmup->t0_ns);
    result_set(r, METRIC_LOAD_TIME, quantity_of(session_status(session), load_s, "engine_stamps", NULL));
    double compile_s = clock_seconds(session->loaded.compile_t1_ns - session->loaded.compile_t0_ns);
    result_set(r, METRIC_COMPILE_TIME,
               compile_s > 0 ? quantity_of(session_status(session), compile_s, "engine_stamps", NULL)
                             : quantity_absent(NOT_SAID_WHEN_COMPILED));
    result_set(r, METRIC_WARMUP_TIME,
               warmup->t1_ns ? quantity_of(QUANTITY_MEASURED, warmup_s, "monotonic_clock", NULL)
                             : quantity_absent(NO_WARMUP));
    put_steadiness(&x->warmup, x->block.rewarmed, r);
    if (account_known_serves(&x->sensors.host, true))
        put_steps(&x->inputs, &x->block, r);
}
