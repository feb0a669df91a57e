/* SPDX-License-Identifier: MIT */
/*
 * One trial of the accuracy harness: a simulated board with known truth works for D seconds; a virtual sampler looks
 * at its sensor as the real one would; the estimators of room energy answer. Virtual time: nothing sleeps.
 *
 * The judge differs from what the estimators assume: delay and first-order rise drawn per trial, jittered periods, a
 * window length they only know roughly, idle power that wanders with a memory of 200 ms, power that stays up after
 * the work. Estimators see points and the channel's published facts, never the simulator's parameters.
 */
#pragma once

#include "energy/energy.h"
#include "sim/model.h"

enum load { LOAD_STEADY, LOAD_LLM, LOAD_LOCKED, LOAD_HOT_TAIL, LOAD_CLOCK_DROP, LOAD_COUNT };
enum fault { FAULT_NONE, FAULT_RESET, FAULT_STUCK, FAULT_GAP, FAULT_GLITCH, FAULT_LOST, FAULT_COUNT };

/* A class of sensor: what the room meter would say of it, and what it really does. */
struct sensor_class {
    const char *name, *words;
    enum meter_kind kind;
    const char *prior;                  /* METER_CLASS_… */
    int64_t period_ns;                  /* true and published T */
    int64_t window_ns;                  /* published W; 0: not published */
    int64_t window_lo_ns, window_hi_ns; /* true W, drawn per trial; both 0: sees everything */
    int64_t delay_lo_ns, delay_hi_ns;   /* true delay, drawn per trial */
    int64_t rise_hi_ns;                 /* true time constant of the rise, drawn from 0 */
    int64_t jitter_ns;                  /* of each update */
    double quantum;                     /* of a raw unit, in J or W */
    bool ticks;                         /* read at its own ticks at both ends */
    bool sees_part;                     /* W < T */
};
extern const struct sensor_class sensor_classes[];
extern const size_t sensor_class_count;
/* Variations of the judge for the whole run: `--memory`, of idle wander, in ns. */
extern int64_t trial_wander_ns;
extern const char *const load_names[LOAD_COUNT];
extern const char *const fault_names[FAULT_COUNT];

/* What the judge spoils on purpose, to prove that the tests notice. */
enum spoil {
    SPOIL_NONE,
    SPOIL_NAIVE,    /* counter at t1 minus counter at t0, whatever its age */
    SPOIL_NO_GUARD, /* the guards' energy is left in */
    SPOIL_NARROW,   /* half the interval */
    SPOIL_NO_FLAGS, /* flags thrown away */
    SPOIL_ALARMS,   /* in one trial of twenty a flag of a fault that is not there */
    SPOIL_COUNT
};
extern const char *const spoil_names[SPOIL_COUNT];

struct trial {
    const struct sensor_class *sensor;
    enum load load;
    enum fault fault;
    enum spoil spoil;
    double duration_s; /* nominal; the trial draws ± 2 % */
    uint64_t seed;
    double gain, offset_w; /* of the sensor */
};

struct outcome {
    double truth_j;
    struct energy_estimate estimate;
};
void trial_run(const struct trial *trial, struct outcome *ret);
