/* SPDX-License-Identifier: MIT */
/*
 * nature: the boards, sensors and loads that the judge draws. It knows nothing of the estimators (tools/check_layers.py
 * holds it to that), and they may not include it: its ranges are those that publications and recordings report
 * (docs/accuracy.md names them), not what the estimators assume. Only what a meter would publish of a sensor is told to
 * them (nature_kind.told_…), and of the board its power limit, in some trials.
 *
 *   nature_draw() → an idle board, a sensor that looks at it, the habits of its load
 *   nature_pass(), nature_work() → stretches in which it works, when the caller's schedule has them
 *   nature_read() → what the sensor shows;  nature_truth_j() → what was drawn
 *
 * Ownership: nature_clear() frees what nature_draw() made. Threading: one thread a nature. Time: ns, virtual.
 */
#pragma once

#include "meter/channel.h"
#include "sim/model.h"

#include <glib.h>

/* What runs, and what the board draws when it has ended. */
#define NATURE_LOAD_ROWS(X)                                                                                           \
    X(STEADY, "steady", "constant power")                                                                            \
    X(LLM, "llm", "prefill bursts at random times over decode steps of 5 to 120 ms with jitter and drift")           \
    X(STEPS, "steps", "decode alone: power alternates from step to step, with period 2τ or 4τ")                       \
    X(LOCKED, "locked", "a square wave within 0.1 % of the sensor's period")                                         \
    X(BEAT, "beat", "a square wave that beats with the sensor's period within 1 to 6 s")                             \
    X(STEP, "step", "a square wave with steps and jitter of given size")

/* Watts of boards up to 700 W; where the load is greater they are in proportion. */
#define NATURE_AFTER_ROWS(X)                                                                                          \
    X(IDLE, "idle", "idle at once")                                                                                  \
    X(TAIL, "tail", "0.5 to 20 W that decay with 0.05 to 20 s")                                                         \
    X(SHELF, "shelf", "15 to 26 W for 1.8 s with a faster part on top, then slow cooling")                            \
    X(DROP, "drop", "clocks that stay up: 15 to 40 W for 0.5 to 4 s") \
    X(FALL, "fall", "3 to 32 W that fall evenly within 1 to 12 s")

enum nature_load {
#define X(id, name, words) NATURE_LOAD_##id,
    NATURE_LOAD_ROWS(X)
#undef X
        NATURE_LOAD_COUNT
};
enum nature_after {
#define X(id, name, words) NATURE_AFTER_##id,
    NATURE_AFTER_ROWS(X)
#undef X
        NATURE_AFTER_COUNT
};
extern const char *const nature_load_names[NATURE_LOAD_COUNT], *const nature_load_words[NATURE_LOAD_COUNT];
extern const char *const nature_after_names[NATURE_AFTER_COUNT], *const nature_after_words[NATURE_AFTER_COUNT];

/* Milliseconds, drawn evenly, or evenly in the logarithm where the span is wide. */
struct span {
    double low, high;
};

enum nature_source {
    NATURE_TRUTH,   /* the counter adds up all that is drawn */
    NATURE_WINDOW,  /* … what the sensor's window shows of each period */
    NATURE_AVERAGE, /* … a moving average over about a second */
};

struct nature_kind {
    const char *name, *words;
    enum meter_kind kind;
    enum nature_source source;
    struct span period_ms;  /* T: nominal, and off by up to 1 % */
    struct span window_ms;  /* W; 0: all of T */
    struct span share;      /* or W as a share of T */
    struct span average_ms; /* of a moving average; 0: none */
    struct span part_ms;    /* readings the average is made of; 0: of all */
    struct span delay_ms, rise_ms; /* rise: from 10 to 90 % */
    bool first_order;       /* power readings without a window: what has risen by now */
    double jitter;          /* of each update, as a share of T */
    double noise_w;         /* of a reading */
    double quantum;         /* of a raw unit, J or W */
    int64_t poll_ns;        /* how often it is read; 0: at every tick of the sampler */
    bool ticks;             /* read at its own ticks at both ends of the work */

    const char *told_class;                 /* METER_CLASS_… */
    int64_t told_refresh_ns, told_window_ns, told_part_ns; /* what a meter publishes; 0: nothing */
    int runs;      /* on this board before, by which its lag may be known */
    bool unwarmed; /* no warm-up before the work */
    bool known;   /* T, W and lag are published or can be measured: the bands have two sides */
    bool partial; /* sees a part of the time: W < T */
    double locks;  /* share of loads in step that must be told; 0: 0.99. Polls at half of T see phases to half a step */
    bool fine;     /* sees a part of each of its periods, which are as short as steps of the work */
};
extern const struct nature_kind nature_kinds[];
extern const size_t nature_kind_count;

struct nature_window {
    int64_t t0_ns, t1_ns;
};

#define NATURE_PARTS_MAX 8

/* What else a trial may ask of a board. */
struct nature_run {
    bool whole; /* the idle board by itself is asked for, too */
    struct span step; /* of NATURE_LOAD_STEP, as a share of T */
    double jitter;    /* of each of its steps, as a share of it */
    int repeats;                 /* of the work, each over its share of the seconds; at most NATURE_PARTS_MAX */
    int64_t pause_ns;            /* before each repeat but the first, drawn evenly up to this long, the board idles */
    const struct nature *beside; /* a board of the same make that does the same work at the same time, or NULL */
};

struct habit;
struct nature {
    const struct nature_kind *kind;
    struct nature_window work;
    struct nature_window parts[NATURE_PARTS_MAX]; /* the work without pauses */
    int part_count;
    GArray *stamps; /* int64: ends of the work's steps as an engine reports them */
    struct meter_channel info;
    struct sim_board *board, *idle; /* what it draws; what it would draw without any work, or NULL */
    struct sim_sensor sensor;
    struct sim_counting *counting;
    bool shows; /* of nature_read() */
    int64_t shown_update, shown;
    struct sim_rng rng;
    struct habit *habit;
    int64_t work_ns, pause_ns; /* of each of its repeats, and at most between them */
    struct sim_trace *loads;   /* borrowed from the board */
    double limit_w;   /* of the board */
    double ceiling_w; /* and what it may draw all the same: limits act on means over milliseconds */
    bool limit_told;
    struct sim_rng habit_rng, work_rng; /* of what a board beside it does alike: its habits, its work */
    double square_s;
};

/* seconds: nominal length of the work, off by up to 10 %. gain, offset_w: of the sensor. run: NULL, one window. */
void nature_draw(const struct nature_kind *kind, enum nature_load load, enum nature_after after, double seconds,
                 double gain, double offset_w, uint64_t seed, const struct nature_run *run, struct nature *ret);
/* What may go wrong with a counter, at times of which nothing has been read: SIM_NEVER for what does not. */
void nature_break(struct nature *nature, int64_t reset_ns, int64_t stuck_ns, int64_t glitch_ns);
void nature_clear(struct nature *nature);
/* Works for so long from t on; nothing may have been read from then on. What the board draws afterwards goes on through
 * what comes next. */
struct nature_window nature_pass(struct nature *nature, int64_t t0_ns, int64_t length_ns);
/* The same for the work itself, with its repeats and stamps. */
void nature_work(struct nature *nature, int64_t t0_ns);
/* How long something takes, drawn of its own. */
int64_t nature_wait_ns(struct nature *nature, struct span ms);
/* Raw value at t. */
int64_t nature_read(struct nature *nature, int64_t t_ns);
/* The next moment after t at which the sensor may show something new. */
int64_t nature_next_ns(struct nature *nature, int64_t t_ns);
double nature_truth_j(struct nature *nature, const struct nature_window *window);
/* The same of what is above the idle board. For a whole run. */
double nature_above_idle_j(struct nature *nature, const struct nature_window *window);
/* How a sensor with a window meets the steps of the work, by the first or second harmonic of them, whichever the sum of
 * its readings would miss more of. */
struct nature_meeting {
    double alike;  /* its phases: 1 always the same, 0 spread evenly */
    double missed; /* of the harmonic by their mean: alike, less what the window averages out */
};
struct nature_meeting nature_meet(const struct nature *nature);
