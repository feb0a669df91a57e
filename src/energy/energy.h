/* SPDX-License-Identifier: MIT */
/*
 * energy: from what sensors showed to joules with an interval. Pure functions over the points of room meter: no
 * clock, no I/O but the calibration file, no memory between calls. The method, with formulas: docs/methodology.md.
 *
 * Measurand: E = ∫ P dt over [t0, t1] (gross), t0 and t1 being the engine's own marks, less what the pauses that the
 * meter itself put there take at the idle level.
 *
 * Calling sequence for one window:
 *
 *   energy_plan_guard()       how long to stay quiet before t0 and after t1
 *   … quiet, mark t0, work, mark t1, quiet …
 *   energy_guard_settled()    whether to stay quiet longer
 *   energy_estimate_board()   for each board: a struct energy_estimate
 *   energy_sum()              over the boards of a scope
 *   energy_net()              less a baseline
 *   energy_estimate_json()    for the record
 *
 * Ownership: estimates borrow `sensor` and `device` from the channels given; `reason` texts are their own and freed
 * by energy_estimate_clear(). Threading: no mutable state; any thread. A number or a reason: what cannot be estimated
 * is absent with a reason; what was estimated under doubt has a flag.
 */
#pragma once

#include "base/base.h"
#include "meter/channel.h"

#include <stdint.h>

#define ENERGY_DRAWS             20000 /* of a Monte-Carlo combination: its interval then scatters by about 1 % */
#define ENERGY_ESTIMATOR_VERSION 6     /* changes when the same points would give another number */

/* --- flags: doubts about a number; each row is documented in docs/methodology.md --------------------------------- */
#define ENERGY_FLAG_ROWS(X)                                                                                          \
    X(BELOW_RESOLUTION, "below_resolution",                                                                          \
      "the statistical half-width is wider than asked: repeat the work in one window")                               \
    X(GUARD_NOT_SETTLED, "guard_not_settled", "power was still changing after the work; the near level was used")    \
    X(GUARD_SHORT, "guard_short", "the quiet time around the work was too short for a padded estimate")              \
    X(PHASE_LOCKED, "phase_locked",                                                                                  \
      "the steps of the work beat with the sensor's period: repeat with dithered starts")                            \
    X(PARTIAL_COVERAGE, "partial_coverage", "the sensor sees only part of the time; the interval allows for it")     \
    X(COUNTER_RESET, "counter_reset", "the energy counter went backwards or jumped: not used")                       \
    X(COUNTER_STUCK, "counter_stuck", "the energy counter stood still: not used")                                    \
    X(GAP, "gap", "readings are missing for longer than the sensor's period allows")                                 \
    X(SENSOR_LOST, "sensor_lost", "the sensor failed during the window")                                             \
    X(PERIOD_CHANGED, "period_changed", "the sensor refreshes more slowly than characterised: plan the guards anew") \
    X(CHANNELS_DISAGREE, "channels_disagree",                                                                        \
      "energy counter and integrated power differ by more than 1 % and the intervals")                               \
    X(FALLBACK, "fallback", "the preferred estimator could not be used")                                             \
    X(HOST_GAPS, "host_gaps", "more than 2 % of the window passed between batches or repeats")                       \
    X(OUT_OF_CALIBRATION, "out_of_calibration", "the mean power is outside of the range that was calibrated")        \
    X(UNCALIBRATED, "uncalibrated", "gain and offset are an assumption: the named prior")                            \
    X(BASELINE_DRIFT, "baseline_drift", "the idle level moved between the two baselines")                            \
    X(READINGS_DROPPED, "readings_dropped",                                                                          \
      "readings that the device cannot have drawn were left out: they are in the trace")                             \
    X(COUNTER_MIRRORED, "counter_mirrored", "two names showed one counter: it was counted once")                     \
    X(WORK_AFTER_WINDOW, "work_after_window",                                                                        \
      "after the last token the board drew nearly as much as in the work: is the answer finished?")                    \
    X(SELFTEST_FAILED, "selftest_failed",                                                                            \
      "a self-test found a fault of this sensor: coverage.verdict says which; it is taken to see the least there is") \
    X(LIMIT_UNKNOWN, "limit_unknown",                                                                                \
      "steps beat with the sensor, or may, and the board's power limit is unknown: the interval reaches to the highest")   \
    X(PHASE_UNTOLD, "phase_untold",                                                                                  \
      "no step stamps: a pattern in step with a sensor that sees part of the time would not be told; the interval allows for it")

enum energy_flag {
#define X(flag, name, meaning) ENERGY_FLAG_##flag,
    ENERGY_FLAG_ROWS(X)
#undef X
        ENERGY_FLAG_COUNT
};
#define ENERGY_FLAG(flag) (UINT32_C(1) << ENERGY_FLAG_##flag)
const char *energy_flag_name(enum energy_flag flag);
const char *energy_flag_meaning(enum energy_flag flag);

/* --- methods, best first ----------------------------------------------------------------------------------------- */
#define ENERGY_METHOD_ROWS(X)                                                                                        \
    X(NONE, "none")                                                                                                  \
    X(DIRECT_DIFFERENCE, "direct_difference") /* counter read at its own ticks at both ends: fast counters */        \
    X(PADDED_COUNTER, "padded_counter")       /* counter edges inside the guards, guard power taken off */           \
    X(PADDED_POWER, "padded_power")           /* the same with integrated power */                                   \
    X(EDGE_COUNTER, "edge_counter")           /* counter interpolated between its edges */                           \
    X(TRAPEZOID, "trapezoid")                 /* power readings joined by straight lines */

enum energy_method {
#define X(method, name) ENERGY_METHOD_##method,
    ENERGY_METHOD_ROWS(X)
#undef X
        ENERGY_METHOD_COUNT
};
const char *energy_method_name(enum energy_method method);

/* --- what is known about a sensor beforehand --------------------------------------------------------------------- */

/* Choice: fewer steps of power down than this leave a lag unknown, for a single one may have come right after a
 * refresh. */
#define ENERGY_LAG_STEPS 2

/* One channel of one board: what the room meter says of it, what was seen of it. */
struct energy_channel {
    const struct meter_channel *info;
    const struct meter_point *points; /* sampler_series() over the guards and the window */
    size_t count;
    int64_t period_ns;    /* update period by characterisation; 0: info->refresh_ns */
    bool follows_average; /* a counter found to follow the 1-s average power (characterisation) */
    struct meter_lag lag;
    struct meter_proof proof; /* what a self-test said of it */
    /* Fast counters: sampler_ticks() last before t0, and the second one after t1 (so that a whole period has
     * passed); NULL when not taken. */
    const struct meter_reading *tick0, *tick1;
};

/* What is assumed of a sensor nobody calibrated: the row of its class, or the widest row of what measures when the
 * class is unknown. Never NULL. */
const struct meter_class *energy_prior_find(const char *sensor_class);

/* A calibration of one board against a meter: reading = gain × true + offset. */
struct energy_calibration {
    char uuid[80];
    double gain;
    double offset_w;
    double u_gain;               /* relative standard uncertainty of the gain that remains */
    double u_offset_w;           /* of the offset; NaN where the file does not say: the prior's then */
    double correlation;          /* of the two */
    double range_low_w, range_high_w; /* between which it was taken; NaN: the file does not say */
    char method[160];
    char date[32];
};
/* Reads `PLACE/UUID.json`, or PLACE where that is a file. Returns false without error when there is no such file,
 * with one (DATA, IO) when it is unreadable, names another UUID, or holds a gain outside 0.5…2. */
bool energy_calibration_load(const char *place, const char *uuid, struct energy_calibration *ret, GError **error);
json_t *energy_calibration_json(const struct energy_calibration *calibration);

/* --- windows and guards ------------------------------------------------------------------------------------------ */

struct energy_window {
    int64_t guard_from_ns, t0_ns, t1_ns, guard_to_ns; /* monotonic; without guards: guard_from = t0, guard_to = t1 */
    int64_t repeats;                                  /* batches between t0 and t1; at least 1 */
    int64_t gap_ns;                                   /* time between them that was not work */
    int64_t pause_ns;                                 /* of t0 to t1, what the meter put between repeats itself */
};
/* The time of the work: from t0 to t1 without the meter's own pauses. */
static inline int64_t energy_window_work_ns(const struct energy_window *window)
{
    return window->t1_ns - window->t0_ns - window->pause_ns;
}

struct energy_guard_plan {
    int64_t pre_ns, post_ns; /* quiet time before t0 and after t1 */
    int64_t hold_ns;         /* h = max(1 s, 4T): the part of the post guard behind delay and period */
    int64_t delay_hi_ns;     /* longest time from truth to reading that is allowed for */
    int64_t period_ns;       /* T used */
    int64_t limit_ns;        /* longest post guard: extension stops here */
};

#define ENERGY_GUARD_HOLD_NS    (1 * NS_PER_S)  /* choice: five blocks of 200 ms, over which idle power forgets */
#define ENERGY_GUARD_LIMIT_NS   (10 * NS_PER_S) /* choice: boards that were recorded cool with 0.7 to 2.8 s */
/* Of a sensor whose lag nobody measured. Yang et al., SC'24 (arXiv 2312.02741): delays of 24 to 97 ms on nine of ten
 * H100 boards and 311 ms on the tenth, behind which readings take up to 120 ms more to rise. */
#define ENERGY_DELAY_HI_NS      (400 * NS_PER_MS)
/* Added where a channel follows the 1-s average: recorded ones are 1.02 to 1.08 s long, and readings come later. */
#define ENERGY_AVERAGE_DELAY_NS (1500 * NS_PER_MS)

/* The longest plan over the channels given (points are not looked at). */
struct energy_guard_plan energy_plan_guard(const struct energy_channel *channels, size_t n);

/* True if a counter adds up the 1-s average of its board rather than the instant power, by points of all three over
 * changes of power; false unless that is sure. For energy_channel.follows_average. */
bool energy_follows_average(const struct energy_channel *counter, const struct energy_channel *average,
                            const struct energy_channel *instant);
/* The longest pause that a repeat should begin after, for its phase against the sensor to be another one: a period
 * where the sensor sees only a part of it, or nobody knows; else 0. */
int64_t energy_dither_ns(const struct energy_channel *channel);
/* Narrows what is known of the lag of a channel by the steps of power at both ends of a window, whose guards are in the
 * points. Windows in which power does not clearly change, and channels of averages, add nothing. */
void energy_lag_learn(const struct energy_channel *channel, const struct energy_window *window, struct meter_lag *lag);
/* The refresh period of a counter as the window's own points show it, where that is more than 1.5 times what was
 * known: the guards must then be planned anew. Otherwise 0. */
int64_t energy_period_changed(const struct energy_channel *channel, const struct energy_window *window);

enum energy_guard_state {
    ENERGY_GUARD_WAIT,    /* the planned guard is not over: ask again later */
    ENERGY_GUARD_SETTLED, /* the levels near and far from the work agree */
    ENERGY_GUARD_EXTEND,  /* they do not: stay quiet for another h */
    ENERGY_GUARD_GIVE_UP, /* they do not and the limit is reached: the estimate will carry guard_not_settled */
};
/* Asked live, with the points seen from window->guard_from_ns until now_ns; window->guard_to_ns is not looked at. */
enum energy_guard_state energy_guard_settled(const struct energy_channel *channel,
                                             const struct energy_guard_plan *plan, const struct energy_window *window,
                                             int64_t now_ns);

/* How it is known what part of each period a sensor sees. */
#define ENERGY_COVERAGE_ROWS(X)                                                                                      \
    X(ASSUMED, "assumed")   /* nobody knows: the least published */                                                  \
    X(ROW, "row")           /* a row of its class or architecture */                                                 \
    X(SELFTEST, "selftest") /* a self-test on this device */
enum energy_coverage {
#define X(from, name) ENERGY_COVERAGE_##from,
    ENERGY_COVERAGE_ROWS(X)
#undef X
        ENERGY_COVERAGE_COUNT
};
const char *energy_coverage_name(enum energy_coverage from);

/* How the steps of the work met a sensor that sees a part of each period. */
struct energy_phase {
    bool locked;
    double step_s; /* median step; NaN when there are too few stamps */
    double miss2;  /* square of what the readings miss of a pattern over what they show of it; 1/N at random phases; NaN
                      where nothing can beat or there are too few readings */
    double u_w;    /* standard uncertainty of the mean power by such a pattern */
    double unseen; /* where locked: the share of the longest such pattern that no reading saw; else NaN */
};

/* --- estimates --------------------------------------------------------------------------------------------------- */

/* All the channels of one board (or package) that cover the same scope. NULL: the board has no such channel. */
struct energy_board {
    const struct energy_channel *counter, *average, *instant;
    const struct energy_calibration *calibration;
    double idle_w, limit_w; /* bounds of what the board can draw, for the phase-lock width; NaN: unknown */
};

struct energy_options {
    const int64_t *stamps_ns; /* step stamps of the work, for the phase-lock check */
    size_t stamp_count;
    bool unguarded;           /* no quiet time around the work: ask what needs none, which then is no fallback */
    double resolution;        /* relative statistical half-width asked for; 0: 0.01 */
    size_t draws;             /* of the Monte-Carlo combination; 0: ENERGY_DRAWS */
    uint32_t seed;            /* of the same */
    enum energy_method force; /* NONE: the best; otherwise only this one (the accuracy harness compares methods) */
};

/* One estimator's answer, before the best is chosen. */
struct energy_check {
    enum energy_method method;
    const char *sensor;
    double joules;       /* raw (uncalibrated); NaN: not possible */
    double half_width_j; /* statistical, 95 % */
};

#define ENERGY_CHECKS_MAX 6
struct energy_estimate {
    struct quantity joules; /* calibrated where a file says so. low, high: the combined 95 % interval */
    double statistical_j;   /* 95 % half-width: edges, guard levels, duty cycle */
    double shared_j;        /* of it, what boards have in common: lag, tails, phase lock */
    double systematic_j;    /* 95 % half-width: gain and offset by `prior` or calibration */
    double raw_j;           /* before calibration; equal to joules.value without one */
    double duration_s;      /* of the work: without the meter's own pauses */
    enum energy_method method;
    uint32_t flags;
    const char *device, *scope;
    const struct meter_class *prior;       /* NULL for modelled channels and sums over different classes */
    struct energy_calibration calibration; /* uuid "" when there is none */
    double offset_w_u, gain_rel_u;         /* standard uncertainties used for the systematic part */
    double gain_offset_correlation;        /* of the two, by a calibration; else 0 */
    int64_t repeats;
    int64_t recommended_repeats; /* with below_resolution: batches a window should hold; otherwise 0 */
    struct quantity tail_j;      /* ∫ (P − P_settled) from t1 until settled */
    struct quantity average_w, peak_w;
    double pre_w, post_w;                  /* guard levels; NaN when there was no guard */
    double pre_u_w, post_u_w;              /* their standard uncertainties */
    int64_t dropped;                       /* readings left out because nothing can have drawn them */
    enum energy_coverage coverage;         /* of the sensor, and what share of each period it is taken to see; NaN: */
    double coverage_share;                 /* no sensor that sees */
    struct meter_proof proof;
    double period_s;                       /* T seen in this trace; NaN when too few changes */
    double agreement_idle, agreement_busy; /* counter ÷ integrated power − 1, apart; NaN: no pair */
    struct energy_phase phase;
    struct energy_check checks[ENERGY_CHECKS_MAX];
    size_t check_count;
    size_t boards; /* how many were added: 1 for a board */
    char *reason;  /* owns the text joules.reason points to, or NULL */
};

void energy_estimate_board(const struct energy_board *board, const struct energy_window *window,
                           const struct energy_options *options, struct energy_estimate *ret);
/* Names a board that has no channel at all, and says why: for an estimate just made, whose energy is absent. */
void energy_estimate_missing(const char *device, const char *scope, const char *why, struct energy_estimate *ret);
/* Over boards of one scope: absent if one is absent; systematic parts linearly unless calibrated, statistical ones in
 * quadrature but for what boards share. */
void energy_sum(const struct energy_estimate *boards, size_t n, struct energy_estimate *ret);
void energy_estimate_clear(struct energy_estimate *estimate);
typedef struct energy_estimate owned_estimate; /* for g_auto(owned_estimate) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_estimate, energy_estimate_clear)
/* New reference. */
json_t *energy_estimate_json(const struct energy_estimate *estimate);
/* Per repeat of a block: only the total was measured, so this is a division, without an interval of its own per
 * batch. */
struct quantity energy_per_repeat(const struct energy_estimate *estimate);

/* Increase of a cumulative channel other than energy (throttle, CPU time) over [t0, t1], in its SI unit. */
struct quantity energy_cumulative(const struct energy_channel *channel, int64_t t0_ns, int64_t t1_ns);

/* --- baselines --------------------------------------------------------------------------------------------------- */

/* How long after something worked an idle level may not begin, for all the channels to show none of it. */
int64_t energy_rest_ns(const struct energy_channel *channels, size_t n);

struct energy_baseline {
    struct quantity watts; /* low, high: statistical 95 % */
    double u_w, df;        /* standard uncertainty of the mean from block means */
    double cooling_w;      /* half-width of what boards that still cool may hold beside it; boards share it */
    int64_t from_ns, to_ns;
    const char *sensor;
};
/* The idle level of one board between two moments, from its counter (preferred) or power. At least 4 blocks of at
 * least the averaging window; otherwise absent with the time it needs. */
void energy_baseline_measure(const struct energy_board *board, int64_t from_ns, int64_t to_ns,
                             struct energy_baseline *ret);
/* A level at the middle of the window between a baseline before and one after; half their difference (rectangular) is
 * added to the uncertainty. after may be NULL. drift: |after − before| beyond both intervals and 10 %. */
void energy_baseline_between(const struct energy_baseline *before, const struct energy_baseline *after, int64_t at_ns,
                             struct energy_baseline *ret, bool *ret_drift);
/* E − P·D, never clamped. The offset of the sensor cancels, the gain does not: u of both is carried. */
void energy_net(const struct energy_estimate *gross, const struct energy_baseline *baseline,
                struct energy_estimate *ret);

/* --- warm-up and steadiness -------------------------------------------------------------------------------------- */

struct energy_steady_rule {
    size_t last;            /* iterations looked at; at least 5 */
    double cv_max;          /* of their latencies */
    double slope_max;       /* |Theil–Sen slope|·last / mean */
    double temperature_max; /* °C per minute over temperature_span_ns */
    int64_t temperature_span_ns;
    size_t iterations_max; /* then go on with timed_out set, unless the temperature alone is missing */
    int64_t time_max_ns;
};
extern const struct energy_steady_rule energy_steady_default; /* 5, 2 %, 1 %, 0.5 °C/min over 30 s, 50, 10 min */

struct energy_temperature {
    int64_t t_ns;
    double celsius;
};
struct energy_steady {
    bool steady;
    bool timed_out;                      /* a maximum was reached first: go on, and say so in the record */
    double cv, slope, temperature_slope; /* NaN: not known (temperature: no sensor) */
    const char *waiting_for;             /* static text: which condition fails; NULL when steady */
};
/* latencies_s: of all iterations so far, in order; temperatures may be empty (then that condition is skipped). */
struct energy_steady energy_steady(const struct energy_steady_rule *rule, const double *latencies_s, size_t n,
                                   const struct energy_temperature *temperatures, size_t temperature_count,
                                   int64_t elapsed_ns);
