/* SPDX-License-Identifier: MIT */
/* The record of an estimate. Names carry units; what is not known is null, what is absent says why. */
#include "energy/energy.h"

#include <math.h>

#define NO_ENERGY  "the energy is absent"
#define NO_PAIR    "needs a counter and a power channel of one board, both with guards"
#define SEE_BOARDS "a figure of each board: see per_board"

static json_t *flags_json(uint32_t flags)
{
    json_t *list = json_array();
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++) {
        if (flags & (UINT32_C(1) << i))
            json_array_append_new(list, json_string(energy_flag_name(i)));
    }
    return list;
}

static json_t *prior_json(const struct energy_estimate *e)
{
    json_t *tree = json_object();
    if (e->joules.status == QUANTITY_MODELLED) {
        json_object_set_new(tree, "source",
                            json_string("the range of watts that is stated for the model: see low and high"));
        return tree;
    }
    jsonx_set_real(tree, "gain_u", e->gain_rel_u, NO_ENERGY);
    jsonx_set_real(tree, "offset_u_w", e->offset_w_u, NO_ENERGY);
    if (e->prior) {
        json_object_set_new(tree, "class", json_string(e->prior->name));
        json_object_set_new(tree, "model_based", json_boolean(e->prior->model_based));
        json_object_set_new(tree, "source", json_string(e->prior->source));
    }
    if (e->calibration.uuid[0])
        json_object_set_new(tree, "calibration", energy_calibration_json(&e->calibration));
    return tree;
}

static json_t *checks_json(const struct energy_estimate *e)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->check_count; i++) {
        const struct energy_check *c = &e->checks[i];
        json_t *row = json_object();
        json_object_set_new(row, "method", json_string(energy_method_name(c->method)));
        json_object_set_new(row, "sensor", json_string(c->sensor));
        json_object_set_new(row, "raw_j", jsonx_real(c->joules)); /* only those that could answer are rows */
        json_object_set_new(row, "statistical_half_width_j", jsonx_real(c->half_width_j));
        json_array_append_new(list, row);
    }
    return list;
}

/* What part of each period the sensor is taken to see, and who says so. */
static json_t *coverage_json(const struct energy_estimate *e)
{
    json_t *tree = json_object();
    if (e->boards > 1 || !isfinite(e->coverage_share)) {
        jsonx_set_real(tree, "share", NAN, e->boards > 1 ? SEE_BOARDS : "no sensor that sees a part of the time");
        return tree;
    }
    jsonx_set_real(tree, "share", e->coverage_share, NULL);
    json_object_set_new(tree, "from", json_string(energy_coverage_name(e->coverage)));
    if (e->proof.verdict[0]) {
        json_object_set_new(tree, "verdict", json_string(e->proof.verdict));
        json_object_set_new(tree, "tested_on", json_string(e->proof.date));
        json_object_set_new(tree, "tested_with", json_string(e->proof.load));
    }
    return tree;
}

/* Figures of the estimate itself; NaN where the energy is absent. */
static const struct member_row figures[] = {
    MEMBER_OR(struct energy_estimate, statistical_j, "statistical_half_width_j", NO_ENERGY),
    MEMBER_OR(struct energy_estimate, systematic_j, "systematic_half_width_j", NO_ENERGY),
    MEMBER_OR(struct energy_estimate, raw_j, "raw_j", NO_ENERGY),
    MEMBER_OR(struct energy_estimate, duration_s, "duration_s", "the window has no length"),
};

#define NO_LEVEL "no quiet stretch there that is long enough for a level"
static const struct member_row guards[] = {
    MEMBER_OR(struct energy_estimate, pre_w, "pre_w", NO_LEVEL),
    MEMBER_OR(struct energy_estimate, pre_u_w, "pre_u_w", NO_LEVEL),
    MEMBER_OR(struct energy_estimate, post_w, "post_w", NO_LEVEL),
    MEMBER_OR(struct energy_estimate, post_u_w, "post_u_w", NO_LEVEL),
};

static const struct member_row sensors[] = {
    MEMBER_OR(struct energy_estimate, period_s, "sensor_period_s", "the value changed fewer than three times"),
    MEMBER_OR(struct energy_estimate, agreement_idle, "agreement_idle", NO_PAIR),
    MEMBER_OR(struct energy_estimate, agreement_busy, "agreement_busy", NO_PAIR),
};

static const struct member_row phase[] = {
    MEMBER(struct energy_phase, locked, "locked", MEMBER_REQUIRED),
    MEMBER_OR(struct energy_phase, step_s, "step_s", "no two stamps of tokens to judge by"),
    MEMBER_OR(struct energy_phase, miss2, "miss_squared",
              "nothing can beat: the sensor sees all of the time, or no step is long enough"),
};

/* Rows that a sum over boards leaves to them. */
static void write_of_board(json_t *tree, const struct energy_estimate *e, const struct member_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct member_row row = rows[i];
        row.reason = e->boards > 1 ? SEE_BOARDS : row.reason;
        members_write(tree, e, &row, 1);
    }
}

static void set_text_if_any(json_t *tree, const char *key, const char *text)
{
    if (text)
        json_object_set_new(tree, key, json_string(text));
}

json_t *energy_estimate_json(const struct energy_estimate *e)
{
    json_t *tree = json_object(), *levels = json_object(), *beat = json_object();
    json_object_set_new(tree, "joules", quantity_json(&e->joules));
    members_write(tree, e, figures, G_N_ELEMENTS(figures));
    json_object_set_new(tree, "method", json_string(energy_method_name(e->method)));
    json_object_set_new(tree, "estimator_version", json_integer(ENERGY_ESTIMATOR_VERSION));
    set_text_if_any(tree, "scope", e->scope);
    set_text_if_any(tree, "device", e->device);
    json_object_set_new(tree, "boards", json_integer((json_int_t)e->boards));
    json_object_set_new(tree, "flags", flags_json(e->flags));
    json_object_set_new(tree, "systematic", prior_json(e));
    json_object_set_new(tree, "repeats", json_integer(e->repeats));
    if (e->recommended_repeats > 0)
        json_object_set_new(tree, "recommended_repeats", json_integer(e->recommended_repeats));
    json_object_set_new(tree, "tail_j", quantity_json(&e->tail_j));
    json_object_set_new(tree, "average_w", quantity_json(&e->average_w));
    json_object_set_new(tree, "peak_w", quantity_json(&e->peak_w));
    if (e->dropped > 0)
        json_object_set_new(tree, "readings_dropped", json_integer(e->dropped));
    write_of_board(levels, e, guards, G_N_ELEMENTS(guards));
    json_object_set_new(tree, "guards", levels);
    write_of_board(tree, e, sensors, G_N_ELEMENTS(sensors));
    json_object_set_new(tree, "coverage", coverage_json(e));
    members_write(beat, &e->phase, phase, G_N_ELEMENTS(phase));
    json_object_set_new(tree, "phase", beat);
    json_object_set_new(tree, "checks", checks_json(e));
    return tree;
}
