/* SPDX-License-Identifier: MIT */
/* Shared by the files of room energy alone. Times here are seconds from window->t0_ns unless named _ns: differences
 * of nanoseconds keep every digit, and formulas read as in docs/methodology.md. */
#pragma once

#include "energy/energy.h"
#include "stats/stats.h"

/* --- edges.c: points → moments at which a cumulative value is known ---------------------------------------------- */

struct edge {
    double t;      /* best time of the change */
    double u_t;    /* its standard uncertainty */
    double lo, hi; /* the bracket it surely lies in */
    double poll;   /* distance of the two readings it was seen between */
    double c;      /* J: cumulative energy from t on */
    double p;      /* W: power series only, the reading that holds from t on */
    double index;  /* counters: refreshes since the first edge, where the grid was told; else 0 */
};

struct edges {
    struct edge *at;
    size_t n;
    double period; /* T: by the line through the changes; NaN below 3 of them */
    bool regular;  /* no two changes are much closer than a period: they are refreshes, also of power */
    bool slower;   /* the period is much longer than the one that was told */
    double step;   /* δ: median distance of the readings edges were seen between */
    double gap;    /* seconds without readings inside the window */
    double spread; /* power series: highest − lowest reading */
    double bound;  /* power series: readings above it are left out; infinite where a limit was known beforehand */
    int64_t dropped;
    uint32_t flags;
    const char *broken; /* why no difference may be taken over these edges; NULL: fine */
    char text[96];      /* of broken, where it names times */
};

/* From guard_from to guard_to. Counters: c from the readings. Power: c summed from readings that hold until the
 * next. */
void edges_extract(const struct energy_channel *channel, const struct energy_window *window, struct edges *ret);
void edges_clear(struct edges *edges);
/* Index of the last edge whose bracket ends at or before t, or -1; of the first whose bracket begins at or after t,
 * or n. */
ssize_t edges_last_before(const struct edges *edges, double t);
size_t edges_first_after(const struct edges *edges, double t);
/* c at t by straight lines between edges; flat beyond the ends. There is at least one edge. */
double edges_at(const struct edges *edges, double t);

/* --- sensor.c: what the facts about a channel imply -------------------------------------------------------------- */

struct sensor {
    bool counter, modelled, characterised;
    bool sees_all;                /* a register that counts all the time: nothing can beat with it */
    double step;                  /* how often a slow channel is read at best; 0: every tick of the sampler */
    double period;                /* T: cached or assumed; never 0 */
    double average;               /* length of the moving average the values carry beyond T; 0: none */
    double unseen;                /* 1 − W/T where W < T, else 0 */
    double window;                /* W; the least published share of T when nobody knows */
    enum energy_coverage coverage; /* how W is known */
    bool lag_known;
    double delay_hi;              /* longest time from truth to all of its value */
    double delay_mid, delay_half; /* centre of what a value stands for, behind its time; how far off that may be */
};
struct sensor sensor_of(const struct energy_channel *channel);
/* The same, with the period that the trace itself shows where that is the longer one. */
struct sensor sensor_seen(const struct energy_channel *channel, const struct edges *edges);

/* --- guard.c: levels --------------------------------------------------------------------------------------------- */

/* Choice: blocks of a hold of 1 s are then longer than idle power remembers; fewer say nothing of their scatter. */
#define LEVEL_BLOCKS     5
#define LEVEL_BLOCKS_MIN 4
/* Idle power is correlated: blocks of some 200 ms have a lag-1 correlation r of up to 0.2 (0.06 assumed:
 * a memory of 70 ms, of the 50 to 250 ms that recorded boards show). Their
 * variance is then seen too small by 1 − 2r/m, and a mean of m of them varies (1 + r)/(1 − r) times as much as if
 * independent. */
#define LEVEL_LAG1        0.06
#define LEVEL_CORRELATION ((1 + LEVEL_LAG1) / (1 - LEVEL_LAG1))
#define LEVEL_CORRELATION_MOST 3.0 /* of a memory three times as long, where nothing else makes up for it */
struct level {
    double watts;           /* of the stretch next to the work */
    double block_s;         /* length of a block */
    double s;               /* sd of block means */
    double df;              /* degrees of freedom of s */
    double blocks;          /* how many independent blocks stand behind watts */
    double near, next, far; /* levels of the first part of the guard, the part after it, and the last */
    double near_s;          /* length of near and of next, and distance of their middles */
    double end, end_s;      /* the last part of far, and its length */
    double slope_w;         /* added where the level is carried on towards the work */
    double noise;           /* sd of readings about what they average, averages only */
    bool known;
};
/* Means of m runs of increments between two edges, into ret_means[m]; false when there are fewer increments than m. */
bool level_blocks(const struct edges *edges, size_t from, size_t to, size_t m, double *ret_means);
enum level_side { LEVEL_BEFORE_WORK, LEVEL_AFTER_WORK }; /* the work lies behind edge to, or before edge from */
/* Between edges from and to (indices): the level next to the work, with the scatter of all of it. */
struct level level_measure(const struct edges *edges, const struct sensor *sensor, size_t from, size_t to,
                           enum level_side side);
/* One s for both guards where they do not contradict each other. */
void level_pool(struct level *a, struct level *b);
/* What the mean power over the `lever` seconds after the work was, by how power went on afterwards (near begins
 * `start` seconds after the work): midway between flat (clocks that drop later) and exponential (something cools
 * down). ret_half: half-width that spans both. */
double level_extrapolate(const struct level *level, double lever, double start, double *ret_half);
/* Standard uncertainty of the mean power over a stretch of `length` seconds beside the guard, predicted by its
 * level. */
double level_u(const struct level *level, double length);
/* Standard uncertainty of a difference of two parts of a guard; s_ref: sd of block means of a quiet one. */
double level_noise(const struct level *level, double s_ref);
/* True if near and far differ by more than 3 u (METHOD: block rule); s_ref: sd of block means of a quiet guard. */
bool level_unsettled(const struct level *level, double s_ref);

/* --- estimators -------------------------------------------------------------------------------------------------- */

#define PARTS_MAX 24 /* more than the sixteen that any estimator adds */
struct parts {
    struct stats_component at[PARTS_MAX];
    size_t n;
};
void parts_add(struct parts *parts, enum stats_shape shape, double scale, double df);

struct answer {
    enum energy_method method;
    const struct energy_channel *channel;
    double joules;
    struct parts parts;
    struct parts shared; /* of parts, what boards have in common: lag, tails, phase lock */
    struct level pre, post;
    double before_s;       /* before the work, of which the readings that the level before is of may show nothing */
    double tail, tail_half; /* J; NaN when it could not be followed */
    double peak;         /* W */
    double duty_u;       /* J: standard uncertainty of the part that grows with the square root of D */
    uint32_t flags;
    const char *why; /* joules is NaN: why */
    char text[128];  /* of why, where it names times */
};

/* A part that boards have in common. */
void answer_add_shared(struct answer *answer, enum stats_shape shape, double scale);

/* What a sensor that sees W of T did not see of a window of d seconds: flag, peak, and a part for each way it may miss.
 * step_w: how much power changes at its ends. */
void answer_add_duty(struct answer *answer, const struct edges *edges, const struct sensor *sensor, double d,
                     double step_w);

/* The unit of the readings, over a window and the quiet that is taken off it (s). */
void answer_add_unit(struct answer *answer, double duration, double lever);

/* --- cover.c: what was read at all ------------------------------------------------------------------------------- */

/* Longest time without a reading that the sampler's jitter explains. */
double reading_slack(const struct sensor *sensor);
/* Readings reach over both ends of the window, as the sensor shows them; else ret says from when to when there is
 * none. */
bool ends_are_read(const struct energy_channel *channel, const struct edges *edges, const struct energy_window *window,
                   const struct sensor *sensor, struct answer *ret);
/* Of power whose device states no limit: readings above it, which held for moments alone, are taken for errors. */
double plausible_bound(const struct energy_channel *channel, const struct sensor *sensor,
                       const struct energy_window *window);
/* A counter whose device states no limit added more at once than its own readings make plausible. */
bool counter_jumped(const struct energy_channel *channel, const struct sensor *sensor, const struct edges *edges,
                    const struct energy_window *window);

/* padded.c */
void padded_estimate(const struct energy_channel *channel, const struct edges *edges,
                     const struct energy_window *window, struct answer *ret);
void direct_estimate(const struct energy_channel *channel, const struct edges *edges,
                     const struct energy_window *window, struct answer *ret);
/* plain.c */
void edge_counter_estimate(const struct energy_channel *channel, const struct edges *edges,
                           const struct energy_window *window, struct answer *ret);
void trapezoid_estimate(const struct energy_channel *channel, const struct edges *edges,
                        const struct energy_window *window, struct answer *ret);

/* --- phase.c ----------------------------------------------------------------------------------------------------- */

/* stamps: when steps ended, ascending. */
struct energy_phase phase_check(const struct energy_options *options, const struct energy_window *window,
                                const struct sensor *sensor, const struct edges *edges);

/* --- uncertainty.c ----------------------------------------------------------------------------------------------- */
double parts_half_width(const struct parts *parts, size_t draws, uint32_t seed);
/* reading = gain × true + offset, and how well that is known. */
struct response {
    double gain, gain_rel_u, offset_w, offset_w_u, correlation;
};
/* E = (raw − statistical − b·D) / gain, as an interval (JCGM 101). */
struct stats_interval energy_combine(double raw_j, double duration_s, const struct parts *parts,
                                     const struct response *response, size_t draws, uint32_t seed);

/* --- mirror.c ---------------------------------------------------------------------------------------------------- */

struct energy_scopes;
/* Takes boards out of their scopes whose counter is that of another there, with a warning. */
void scopes_drop_mirrors(struct energy_scopes *scopes);
