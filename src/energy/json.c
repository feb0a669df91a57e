/* SPDX-License-Identifier: MIT */
/* The record of an estimate. Names carry units; what is not known is null, what is absent says why. */
#include "energy/energy.h"

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

static json_t *guards_json(const struct energy_estimate *e)
{
    json_t *tree = json_object();
    const char *reason = e->boards > 1 ? SEE_BOARDS : "no quiet stretch there that is long enough for a level";

    jsonx_set_real(tree, "pre_w", e->pre_w, reason);
    jsonx_set_real(tree, "pre_u_w", e->pre_u_w, reason);
    jsonx_set_real(tree, "post_w", e->post_w, reason);
    jsonx_set_real(tree, "post_u_w", e->post_u_w, reason);
    return tree;
}

static json_t *phase_json(const struct energy_phase *phase)
{
    json_t *tree = json_object();
    json_object_set_new(tree, "locked", json_boolean(phase->locked));
    jsonx_set_real(tree, "step_s", phase->step_s, "no two stamps of tokens to judge by");
    jsonx_set_real(tree, "alias_hz", phase->alias_hz,
                   "nothing can beat: the sensor sees all of the time, or no step is long enough");
    return tree;
}

json_t *energy_estimate_json(const struct energy_estimate *e)
{
    json_t *tree = json_object();
    json_object_set_new(tree, "joules", quantity_json(&e->joules));
    jsonx_set_real(tree, "statistical_half_width_j", e->statistical_j, NO_ENERGY);
    jsonx_set_real(tree, "systematic_half_width_j", e->systematic_j, NO_ENERGY);
    jsonx_set_real(tree, "raw_j", e->raw_j, NO_ENERGY);
    jsonx_set_real(tree, "duration_s", e->duration_s, "the window has no length");
    json_object_set_new(tree, "method", json_string(energy_method_name(e->method)));
    json_object_set_new(tree, "estimator_version", json_integer(ENERGY_ESTIMATOR_VERSION));
    if (e->scope)
        json_object_set_new(tree, "scope", json_string(e->scope));
    if (e->device)
        json_object_set_new(tree, "device", json_string(e->device));
    json_object_set_new(tree, "boards", json_integer((json_int_t)e->boards));
    json_object_set_new(tree, "flags", flags_json(e->flags));
    json_object_set_new(tree, "systematic", prior_json(e));
    json_object_set_new(tree, "repeats", json_integer(e->repeats));
    if (e->recommended_repeats > 0)
        json_object_set_new(tree, "recommended_repeats", json_integer(e->recommended_repeats));
    json_object_set_new(tree, "tail_j", quantity_json(&e->tail_j));
    json_object_set_new(tree, "average_w", quantity_json(&e->average_w));
    json_object_set_new(tree, "peak_w", quantity_json(&e->peak_w));
    json_object_set_new(tree, "guards", guards_json(e));
    jsonx_set_real(tree, "sensor_period_s", e->period_s,
                   e->boards > 1 ? SEE_BOARDS : "the value changed fewer than three times");
    jsonx_set_real(tree, "agreement_idle", e->agreement_idle, e->boards > 1 ? SEE_BOARDS : NO_PAIR);
    jsonx_set_real(tree, "agreement_busy", e->agreement_busy, e->boards > 1 ? SEE_BOARDS : NO_PAIR);
    json_object_set_new(tree, "phase", phase_json(&e->phase));
    json_object_set_new(tree, "checks", checks_json(e));
    return tree;
}
