/* SPDX-License-Identifier: MIT */
/*
 * One board of a trial, as a virtual sampler sees it, and what is known of its sensor beforehand: by the product's own
 * series, characterisation and lag. Part of the accuracy harness (trial.h).
 */
#pragma once

#include "accuracy/nature.h"
#include "accuracy/trial.h"
#include "energy/scopes.h"

struct scene {
    const struct trial *trial;
    struct nature nature;
    int64_t step_ns, fault_ns;
};

/* The product's own series over what the sampler's ticks read. New array of struct meter_point. */
GArray *scene_sample(struct scene *s, int64_t from_ns, int64_t to_ns);
/* The same of a sampler that has been at work before and goes on after. */
GArray *scene_sample_of_run(struct scene *s, int64_t from_ns, int64_t to_ns);
/* The first change of the counter after t, read by spinning. */
struct meter_reading scene_spin(struct scene *s, int64_t t_ns);

/* What is known of the sensor beforehand: the channel, its period by characterisation, its lag by earlier windows. */
struct beforehand {
    const struct meter_channel *channel;
    struct meter_sensor seen;
    struct energy_known known;
};
void scene_know(struct scene *s, struct beforehand *ret);
/* The scopes as the sampler saw them, with ticks at the ends where the sensor has some (two of them, or NULL). */
struct energy_scopes *scene_look(struct scene *s, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                 const struct meter_reading *ticks);
