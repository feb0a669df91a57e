/* SPDX-License-Identifier: MIT */
/*
 * model: a simulated board with known truth. Truth is a sum of piecewise-constant power traces, so its integral over
 * any window is exact: the oracle. A sensor model (delay, first-order rise, averaging window, update period, jitter,
 * gain, offset, quantisation, noise) and a counter model look at the truth. No NVML and no clock here: every
 * function takes the time. Estimators under test see only readings, never these parameters.
 *
 * Time is int64 ns from any origin; truth before the first segment of a trace is that trace's first power.
 * Calling sequence: sim_board_new() → sim_trace_new() + sim_trace_append()/sim_load_… → sim_board_add() → readings.
 * Ownership: the board owns traces added to it. Threading: one thread at a time per board (readings extend caches).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* --- Truth ------------------------------------------------------------------------------------------------------------- */

struct sim_trace;

/* An empty trace that begins at start_ns. */
struct sim_trace *sim_trace_new(int64_t start_ns);
void sim_trace_free(struct sim_trace *trace);
/* Appends duration_ns at watts. Beyond the last segment its power holds for ever, unless the trace repeats or grows. */
void sim_trace_append(struct sim_trace *trace, int64_t duration_ns, double watts);
/* A trace that makes its segments on demand: grow() must append at least one. free_context may be NULL. */
void sim_trace_set_grow(struct sim_trace *trace, void (*grow)(struct sim_trace *trace, void *context),
                        void *context, void (*free_context)(void *context));
int64_t sim_trace_end_ns(const struct sim_trace *trace);

/* Seeded random numbers (splitmix64), the same on every machine. */
struct sim_rng {
    uint64_t state;
};
double sim_rng_uniform(struct sim_rng *rng); /* [0, 1) */
double sim_rng_normal(struct sim_rng *rng);
double sim_rng_exponential(struct sim_rng *rng, double mean);

/* Loads over idle, in watts above idle, zero outside [t0, t1]. */
void sim_load_steady(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, double watts);
/* high for duty × period, then low, from t0 on. */
void sim_load_square(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, int64_t period_ns, double duty,
                     double high_w, double low_w);
/* Decode alternating 365/235 W over idle every 12 ms with prefill bursts of 565 W (20–120 ms, gaps exponential with
 * mean 0.4 s), all scaled by scale: the LLM-like load of docs/accuracy.md. */
void sim_load_llm(struct sim_trace *trace, int64_t t0_ns, int64_t t1_ns, double scale, struct sim_rng *rng);
/* watts decaying with time constant tau from t1 on: what stays hot after work ends. Steps of 5 ms, ended at 0.01 %. */
void sim_load_tail(struct sim_trace *trace, int64_t t1_ns, double watts, int64_t tau_ns);
/* Stationary AR(1) around 0 in steps: sd watts, correlation time corr_ns. Grows on demand. New trace. */
struct sim_trace *sim_wander_new(int64_t start_ns, int64_t step_ns, double sd_w, int64_t corr_ns, uint64_t seed);

/* --- Sensor and counter ------------------------------------------------------------------------------------------------ */

/* One channel of averaged power: updates every period, each update the mean of the last window of (delayed, risen)
 * truth; reading = quantise(gain × mean + offset + noise). */
struct sim_sensor {
    int64_t period_ns;  /* ≤ 0: continuous */
    int64_t window_ns;  /* 0: the instantaneous (risen) power */
    int64_t part_ns;    /* the window sees only the last part_ns of each of its periods; 0: all of it */
    int64_t phase_ns;   /* the first update after time 0 */
    int64_t delay_ns;
    int64_t rise_ns;    /* time constant of a first-order lag before the window; 0: none */
    int64_t jitter_ns;  /* each update is late or early by up to this much (uniform); < period / 2 */
    double gain, offset_w;
    double quantum_w;   /* 0: none */
    double noise_w;     /* sd, drawn once an update */
    uint64_t seed;
};

enum sim_counter_source {
    SIM_COUNTER_TRUTH, /* gain × ∫ of (delayed) truth + offset × t: sees everything */
    SIM_COUNTER_DUTY,  /* Σ reading × period of its sensor: sees only what the sensor's window sees */
};

#define SIM_NEVER INT64_MAX

struct sim_counter {
    enum sim_counter_source source;
    struct sim_sensor sensor; /* TRUTH uses period, phase, delay, rise, jitter, gain, offset; DUTY all of it */
    double quantum_j;         /* 0.001 for NVML */
    int64_t reset_ns;         /* from then on it counts from 0; SIM_NEVER */
    int64_t stuck_ns;         /* from then on it stands still; SIM_NEVER */
    int64_t glitch_ns;        /* the first update at or after it reads glitch_j lower, once; SIM_NEVER */
    double glitch_j;
};

struct sim_board;

/* origin_ns: where the counter starts at 0; readings before it are those at it. */
struct sim_board *sim_board_new(int64_t origin_ns);
void sim_board_free(struct sim_board *board);
/* Adds a trace to the truth; the board owns it. May be called later: the caches start anew. */
void sim_board_add(struct sim_board *board, struct sim_trace *trace);

double sim_board_power_w(struct sim_board *board, int64_t t_ns);
/* The oracle: exact ∫ P dt over [t0, t1]. */
double sim_board_energy_j(struct sim_board *board, int64_t t0_ns, int64_t t1_ns);

/* What a sensor shows at t: the value of its last update at or before t. */
double sim_sensor_read_w(struct sim_board *board, const struct sim_sensor *sensor, int64_t t_ns);
/* The time of the last update at or before t, and its number. */
int64_t sim_sensor_update_ns(const struct sim_sensor *sensor, int64_t t_ns, int64_t *ret_index);

/* A counter keeps what it summed: one per channel of a board. Does not own the board. */
struct sim_counting;
struct sim_counting *sim_counting_new(struct sim_board *board, const struct sim_counter *counter);
void sim_counting_free(struct sim_counting *counting);
double sim_counting_read_j(struct sim_counting *counting, int64_t t_ns);
/* When it was last updated. */
int64_t sim_counting_update_ns(const struct sim_counting *counting, int64_t t_ns);
/* When the counter next changes after t (its next update). */
int64_t sim_counting_next_ns(struct sim_counting *counting, int64_t t_ns);
