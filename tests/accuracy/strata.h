/* SPDX-License-Identifier: MIT */
/* The strata of the harness, what one of them came to, and the acceptance bands. */
#pragma once

#include "accuracy/run.h"
#include "accuracy/trial.h"

/* Tests of the method (docs/methodology.md, "How the numbers are proven"). */
enum test {
    TEST_STATISTICAL,
    TEST_TOTAL,
    TEST_FLAGS,
    TEST_RUNS,  /* figures of whole runs (run.h) */
    TEST_STEPS, /* phase lock over steps and their jitter */
    TEST_COUNT
};
extern const char *const test_names[TEST_COUNT];

struct stratum {
    enum test test;
    const struct nature_kind *sensor;
    enum nature_load load;
    enum nature_after after;
    enum fault fault;
    double duration_s;
    enum shape shape;      /* of a whole run */
    struct nature_run run; /* steps and their jitter */
};

struct figure_tally {
    int64_t answered, covered;
    double p95, half, bias; /* as a share of the figure; of the tail, of the energy of the work */
};

/* Of loads whose steps may meet the sensor: how they do by nature_meet(), and what the flag makes of them. Apart is
 * what readings miss a quarter or less of; a meeting of which the window averages out more than half has no place. */
#define STEPS_MEETINGS(X)                                                                                             \
    X(APART, "apart", 0)                                                                                             \
    X(LITTLE, "up to 0.6", 0)                                                                                        \
    X(SOME, "0.6 to 0.8", 0.6)                                                                                       \
    X(MUCH, "0.8 to 0.9", 0.8)                                                                                       \
    X(NEARLY, "0.9 to 0.95", 0.9)                                                                                    \
    X(IN_STEP, "0.95 and more", 0.95)
enum steps_meeting {
#define X(id, words, least) STEPS_##id,
    STEPS_MEETINGS(X)
#undef X
        STEPS_MEETING_COUNT
};
extern const char *const steps_meeting_words[STEPS_MEETING_COUNT];
struct steps_tally {
    struct steps_met {
        int64_t n, told; /* … of them with the flag */
    } met[STEPS_MEETING_COUNT];
    int64_t silent; /* outside of the interval, without the flag */
};

struct tally {
    int64_t n;
    int64_t answered;     /* trials with a number */
    int64_t covered;      /* whose interval held the truth */
    int64_t flagged;      /* faults: with the fault's flag; locked load: phase_locked; else
                             guard_not_settled */
    int64_t below;        /* below_resolution */
    int64_t locked;       /* phase_locked */
    int64_t alarmed;      /* with a flag of a fault or a lock that is not there */
    uint32_t alarms;      /* those flags: energy_flag bits of all trials together */
    double p95;           /* 95 % quantile of |error| / truth */
    double bias;          /* mean error / truth */
    double half;          /* median half-width / truth */
    struct figure_tally figures[FIGURE_COUNT]; /* of whole runs */
    struct steps_tally steps;
    int64_t bands_missed; /* set by judge() */
};

#define STEPS_SHARES  8
#define STEPS_JITTERS 3
extern const struct span steps_shares[STEPS_SHARES]; /* steps of TEST_STEPS, over T */
extern const double steps_jitters[STEPS_JITTERS];

extern uint64_t strata_seed;     /* mixed into every trial's seed */
GArray *strata_list(bool smoke); /* of struct stratum */
void stratum_run(const struct stratum *stratum, int64_t n, enum spoil spoil, struct tally *ret);
/* One line for each of n trials, every figure to its last digit (joules.c). */
void stratum_print(const struct stratum *stratum, int64_t n, GString *to);

/* Holds every trial's joules to a golden file, to the last digit; LLEM_UPDATE_GOLDEN=1 writes it. False, with words
 * on stderr, when one differs. */
bool joules_hold(const struct stratum *strata, size_t count, int64_t n, const char *path);

/* The target of |error| (p95) of a stratum, as a share; NaN: none. */
double stratum_target(const struct stratum *stratum);
/* Loads on which power stays up after the work: wider bands. */
bool stratum_is_tail(const struct stratum *stratum);
/* Nothing is wrong with the sensor, and it cannot beat with the load: no flag may say otherwise. */
bool stratum_is_healthy(const struct stratum *stratum);

struct verdict {
    GString *missed;           /* one line for each band missed */
    double pooled[TEST_COUNT]; /* coverage over all strata of a test; flags: share flagged */
    int64_t pooled_n[TEST_COUNT];
    bool few[TEST_COUNT]; /* of few trials a row: the band of the pool is widened */
    int64_t targets, targets_missed;
    int64_t healthy, alarmed; /* trials of healthy strata, and of them those with an alarm */
    double alarmed_most;      /* share of the worst stratum */
};
/* What rows of T1 have in common, the most of them that may be covered (1: no upper band), and the most that the median
 * half-width may be over the p95 of the errors (NAN: no band). At least 92.5 % are covered everywhere. */
#define JUDGE_CLASS_ROWS(X)                                                                                           \
    X(FULL, "sees everything; T, W and lag known or measured", 0.985, 1.5)                                           \
    X(PART, "W < T; T, W and lag known or measured", 0.985, 2)                                                       \
    X(FINE, "10 of 20 ms; T, W and lag known or measured", 1, 4)                                                     \
    X(UNKNOWN, "T, W or lag unknown", 1, NAN)                                                                        \
    X(BEAT, "W < T, in step or nearly", 1, NAN)                                                                      \
    X(TAIL_KNOWN, "tail, shelf or drop; T, W and lag known or measured", 1, NAN)                                     \
    X(TAIL, "tail, shelf or drop; T, W or lag unknown", 1, NAN)
enum judge_class {
#define X(id, words, most, widest) CLASS_##id,
    JUDGE_CLASS_ROWS(X)
#undef X
        CLASS_COUNT
};
extern const char *const judge_class_words[CLASS_COUNT];
enum judge_class judge_class_of(const struct stratum *stratum);
/* The most that the median half-width may be over the p95 of the errors; NaN: no band. */
double judge_widest(const struct stratum *stratum);

struct band {
    double low, high; /* 1: no upper one */
};
/* Of the share covered in a row of T1 or T2, and what n trials are held to (see judge.c). */
struct band judge_band(const struct stratum *stratum);
struct band judge_held(struct band band, int64_t n);
struct band judge_pool_held(const struct verdict *verdict, enum test test);
/* Two sides, which need the most trials. */
bool judge_is_two_sided(const struct stratum *stratum);
/* The trials of all durations of a row of T1 together: they are held to the same band. False unless the stratum is the
 * first of several. */
bool judge_together(const struct stratum *strata, const struct tally *tallies, size_t count, size_t first,
                    int64_t *ret_covered, int64_t *ret_n);
struct band judge_class_band(enum judge_class class);
/* Of a row of whole runs and one of its figures, and of a row of steps. ret_why: why not the usual one, or NULL. */
struct band judge_figure_band(const struct stratum *stratum, enum figure figure, const char **ret_why);
struct band judge_steps_band(const struct stratum *stratum);
/* Of the share of meetings that are told, in the rows of a duration together. */
struct band judge_curve_band(enum steps_meeting meeting, double duration_s);
/* What those rows came to. */
struct steps_met judge_curve(const struct stratum *strata, const struct tally *tallies, size_t count,
                             enum steps_meeting meeting, double duration_s);

/* Trials a row that the bands of the method are meant for: fewer widen them. */
#define BANDS_N 1000
/* Holds the tallies to the bands. */
void judge(const struct stratum *strata, struct tally *tallies, size_t count, struct verdict *ret);

void report_table(const struct stratum *strata, const struct tally *tallies, size_t count,
                  const struct verdict *verdict);
json_t *report_json(const struct stratum *strata, const struct tally *tallies, size_t count,
                    const struct verdict *verdict);
char *report_markdown(const struct stratum *strata, const struct tally *tallies, size_t count,
                      const struct verdict *verdict, int64_t n, int64_t others);
