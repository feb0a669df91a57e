/* SPDX-License-Identifier: MIT */
/*
 * One trial of the accuracy harness: a board that nature.h draws works for D seconds; a virtual sampler looks at its
 * sensor as the real one would; the product's own series, characterisation, lag and guards follow, and the estimators
 * of room energy answer. Virtual time: nothing sleeps. Estimators see readings and what a meter publishes.
 */
#pragma once

#include "accuracy/nature.h"
#include "energy/energy.h"

enum fault { FAULT_NONE, FAULT_RESET, FAULT_STUCK, FAULT_GAP, FAULT_GLITCH, FAULT_LOST, FAULT_COUNT };
extern const char *const fault_names[FAULT_COUNT];

/* What the judge spoils on purpose, to prove that the tests notice. */
enum spoil {
    SPOIL_NONE,
    SPOIL_NAIVE,    /* counter at t1 minus counter at t0, whatever its age */
    SPOIL_NO_GUARD, /* the guards' energy is left in */
    SPOIL_NARROW,   /* half the interval */
    SPOIL_NO_FLAGS, /* flags thrown away */
    SPOIL_ALARMS,   /* in one trial of twenty a flag of a fault that is not there */
    SPOIL_LOCKED,   /* everything is in step with the sensor */
    SPOIL_UNLOCKED, /* nothing ever is */
    SPOIL_COUNT
};
extern const char *const spoil_names[SPOIL_COUNT];

struct trial {
    const struct nature_kind *sensor;
    enum nature_load load;
    enum nature_after after;
    enum fault fault;
    enum spoil spoil;
    double duration_s; /* nominal; the trial draws ± 2 % */
    uint64_t seed;
    double gain, offset_w; /* of the sensor */
    const struct nature_run *run; /* NULL: nothing else is asked of the board */
};

struct outcome {
    double truth_j;
    struct nature_meeting meeting;
    struct energy_estimate estimate;
};
void trial_run(const struct trial *trial, struct outcome *ret);
