/* SPDX-License-Identifier: MIT */
/*
 * One board of a trial, as a virtual sampler sees it: by the product's own series and characterisation. Part of the
 * accuracy harness (trial.h).
 */
#pragma once

#include "accuracy/nature.h"
#include "accuracy/trial.h"
#include "energy/scopes.h"
#include "meter/watch.h"

struct scene {
    const struct trial *trial;
    struct nature nature;
    int64_t step_ns, fault_ns; /* fault_ns: INT64_MAX until scene_break() */
};

/* What the ticks of a sampler read that is at work all the time. New array of struct meter_point. */
GArray *scene_sample(struct scene *s, int64_t from_ns, int64_t to_ns);
/* The first change of the counter after t, read by spinning. */
struct meter_reading scene_spin(struct scene *s, int64_t t_ns);
/* The fault of the trial, some time in the work. */
void scene_break(struct scene *s);

#define SCENE_WATCH_ONCE_NS (1500 * NS_PER_MS)
#define SCENE_WATCH_NS      (METER_WATCH_LONGER * SCENE_WATCH_ONCE_NS)
/* What watching an idle board shows, which takes SCENE_WATCH_NS at most. */
struct meter_sensor scene_characterise(struct scene *s, int64_t from_ns);
