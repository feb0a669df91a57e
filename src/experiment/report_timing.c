/* SPDX-License-Identifier: MIT */
/* The record of what happened when, and of whether the warm-up made it steady. */
#include "experiment/internal.h"

#include <math.h>

#define NO_WARMUP "warmup.enabled is false"

/* Null with the reason where it did not take place. */
static void put_stretch(json_t *timing, const char *name, const struct stretch *s, const char *reason)
{
    if (s->t1_ns)
        json_object_set_new(timing, name,
                            json_pack("{s:I, s:I}", "t0_ns", (json_int_t)s->t0_ns, "t1_ns", (json_int_t)s->t1_ns));
    else
        jsonx_set_null(timing, name, reason ? reason : "not taken");
}

static json_t *window_json(const struct energy_window *w)
{
    struct clock_anchor anchor = clock_anchor_take();
    g_autofree char *utc = clock_format_utc(clock_anchor_wall_ns(&anchor, w->t0_ns));
    json_t *window = json_pack("{s:I, s:I, s:I, s:I, s:s}", "guard_from_ns", (json_int_t)w->guard_from_ns, "t0_ns",
                               (json_int_t)w->t0_ns, "t1_ns", (json_int_t)w->t1_ns, "guard_to_ns",
                               (json_int_t)w->guard_to_ns, "t0_utc", utc);
    jsonx_set_real(window, "host_gap_share", (double)w->gap_ns / (double)(w->t1_ns - w->t0_ns),
                   "the window has no length");
    return window;
}

static void report_steadiness(const struct warmup *warmup, struct result *r)
{
    const struct energy_steady *s = &warmup->steady;
    const char *few = warmup->at.t1_ns ? "fewer than five iterations" : NO_WARMUP;
    bool some = warmup->iterations > 0;
    json_t *tree = json_pack("{s:i, s:b, s:b, s:s*}", "iterations", (int)warmup->iterations, "steady", s->steady,
                             "timed_out", s->timed_out, "waiting_for", s->waiting_for);
    jsonx_set_real(tree, "cv", some ? s->cv : NAN, few);
    jsonx_set_real(tree, "slope", some ? s->slope : NAN, few);
    jsonx_set_real(tree, "temperature_slope_c_per_min", some ? s->temperature_slope : NAN,
                   some ? "no sensor of temperature, not seen for half a minute, or no longer waited for" : NO_WARMUP);
    result_part(r, "steadiness", tree);
}

void report_timing(const struct experiment *x, struct result *r)
{
    const struct session *session = &x->session;
    const struct stretch *warmup = &x->warmup.at;
    json_t *timing = json_object();
    json_object_set_new(timing, "window", window_json(&x->block.window));
    put_stretch(timing, "load", &session->load, "the adapter gave no times");
    put_stretch(timing, "warmup", warmup, NO_WARMUP);
    put_stretch(timing, "idle_cold", &x->idle_cold.at, x->idle_cold.reason);
    put_stretch(timing, "idle_context", &x->idle_context.at, x->idle_context.reason);
    put_stretch(timing, "idle_after", &x->idle_after.at, x->idle_after.reason);
    json_object_set_new(timing, "engine_stop_ns", json_integer(session->stopped.wall_ns));
    json_object_set_new(timing, "engine_stop_stage", json_string(engine_stop_stage_name(session->stopped.stage)));
    result_part(r, "timing", timing);
    double load_s = clock_seconds(session->load.t1_ns - session->load.t0_ns);
    double warmup_s = clock_seconds(warmup->t1_ns - warmup->t0_ns);
    result_set(r, METRIC_LOAD_TIME, quantity_of(session_status(session), load_s, "engine_stamps", NULL));
    result_set(r, METRIC_WARMUP_TIME,
               warmup->t1_ns ? quantity_of(QUANTITY_MEASURED, warmup_s, "monotonic_clock", NULL)
                             : quantity_absent(NO_WARMUP));
    report_steadiness(&x->warmup, r);
}
