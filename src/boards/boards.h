/* SPDX-License-Identifier: MIT */
/*
 * boards: which GPUs a run is given, and whether their memory is free before it begins.
 *
 * Which: those that `gpus` names, else those that the environment leaves to programs (CUDA_VISIBLE_DEVICES), else the
 * first; as many as the engine's options ask for. Choosing is a pure function of what there is and what is wished.
 *
 * The gate: before a run begins, the memory in use on its boards must fall below a threshold within a time. What
 * counts is the worst of what the driver says: of the caller's partition, of the whole board, of the processes it
 * names. Drivers that only have the older call, whose figure includes what they reserve, are held to the lowest figure
 * ever seen on that board without a process, which is kept on disk by UUID; without one there is no figure, only the
 * reason. What was found, and who holds it, is a record.
 *
 * Calling sequence, in the parent of a run:
 *     boards = boards_new();                                     the driver is opened when it is first asked, and kept
 *     boards_wish_of(config, &wish);
 *     boards_choose(boards, &wish, &choice, &error);             CONFIG where there are too few
 *     boards_gate_wait(boards, choice.uuids, &gate, &watch, &report);
 *     boards_choice_clear(&choice); boards_report_clear(&report); boards_free(boards);
 *
 * Ownership: choice and report belong to the caller. Threading: one thread at a time.
 */
#pragma once

#include "base/base.h"
#include "config/config.h"
#include "meter/meter.h"

struct boards;

struct boards *boards_new(void);
void boards_free(struct boards *boards);
typedef struct boards owned_boards; /* for g_autoptr(owned_boards) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_boards, boards_free)
/* What there is: struct meter_gpu_board. Borrowed. */
const GArray *boards_all(struct boards *boards);
/* Why there is none. Borrowed. */
const char *boards_absent(struct boards *boards);

/* --- Which ------------------------------------------------------------------------------------------------------- */

enum boards_need {
    BOARDS_NEVER, /* the engine works on none: it is given none */
    BOARDS_MAY,   /* it works on one where there is one */
    BOARDS_MUST,
};

struct boards_wish {
    enum boards_need need;
    char **named; /* numbers as nvidia-smi counts, UUIDs, shortened ones; ended by NULL. NULL: not said */
    int64_t n;    /* how many the engine's options ask for; 0: as many as are named, else one */
};
/* What a configuration asks for. The wish is the caller's. */
void boards_wish_of(const struct config *config, struct boards_wish *ret);
/* How many that are. */
int64_t boards_wish_count(const struct boards_wish *wish);
void boards_wish_clear(struct boards_wish *wish);
typedef struct boards_wish owned_boards_wish; /* for g_auto(owned_boards_wish) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_boards_wish, boards_wish_clear)

struct boards_choice {
    char **uuids;       /* ended by NULL; NULL: nobody chose, because nothing is known of boards here */
    const char *source; /* "gpus", the variable, "default", "none needed"; static */
    const char *doubt;  /* NULL, or why others may have been meant; static */
};
/* Errors: CONFIG: too few, one that is not there, one named twice. */
bool boards_choose(struct boards *boards, const struct boards_wish *wish, struct boards_choice *ret, GError **error);
/* The same of boards and an environment that are given. all: struct meter_gpu_board; visible: NULL: it does not say. */
bool boards_choose_among(const GArray *all, const struct meter_gpu_visible *visible, const struct boards_wish *wish,
                         struct boards_choice *ret, GError **error);
void boards_choice_clear(struct boards_choice *choice);
typedef struct boards_choice owned_boards_choice; /* for g_auto(owned_boards_choice) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_boards_choice, boards_choice_clear)

/* --- What is in use ------------------------------------------------------------------------------------------------ */

/* Which of the driver's figures counted. */
#define BOARDS_FIGURES(X)                                                                                              \
    X(NONE, "none")                                                                                                    \
    X(PARTITION, "partition")                                                                                          \
    X(WHOLE, "whole board")                                                                                            \
    X(PROCESSES, "processes")                                                                                          \
    X(ABOVE_LOWEST, "above the lowest without a process")

enum boards_figure {
#define X(id, name) BOARDS_FIGURE_##id,
    BOARDS_FIGURES(X)
#undef X
        BOARDS_FIGURE_COUNT
};
const char *boards_figure_name(enum boards_figure figure);

struct boards_use {
    int64_t bytes;             /* in use, without what the driver reserves; -1: not known */
    enum boards_figure figure; /* where it is from */
    int64_t whole_bytes;       /* of the whole board, without the reserved part; -1: not known */
    int64_t held_bytes;        /* sum over the processes that the driver names; -1: it does not name them */
    const char *reason;        /* why bytes is not known */
};
/* The worst of what the driver says. lowest_bytes: the lowest figure of the older call ever seen without a process;
 * -1: none. Pure. The reason is borrowed from `seen`, or static. */
struct boards_use boards_use_of(const struct meter_gpu_use *seen, int64_t lowest_bytes);
/* The lowest with this one heeded too: only where the driver says that no process is there. */
int64_t boards_lowest(int64_t lowest_bytes, const struct meter_gpu_use *seen);

/* --- The gate ------------------------------------------------------------------------------------------------------ */

struct boards_gate {
    int64_t threshold_bytes; /* in use must be below */
    int64_t settle_ns;       /* how long to wait for that */
    bool refuses;            /* else the run begins all the same, and its user is warned */
};

struct boards_gate boards_gate_of(const struct config *config);

enum boards_verdict {
    BOARDS_FREE,
    BOARDS_OCCUPIED,
    BOARDS_UNKNOWN, /* of some board no figure is to be had */
    BOARDS_VERDICT_COUNT
};
const char *boards_verdict_name(enum boards_verdict verdict); /* "free", "occupied", "unknown" */

/* Who waits. */
struct boards_watch {
    int interrupt_fd; /* when it is readable the wait ends; -1: none */
    void (*say)(const char *text, void *data); /* while it waits; NULL: nobody listens */
    void *data;
};

struct boards_report {
    enum boards_verdict verdict;
    bool interrupted; /* it waited, and was told to stop */
    char *text;       /* what is in use, and by whom; NULL where all is free */
    json_t *record;
};
/* Waits until all these boards (UUIDs, ended by NULL) are free, at most as long as the gate says. */
void boards_gate_wait(struct boards *boards, char *const *uuids, const struct boards_gate *gate,
                      const struct boards_watch *watch, struct boards_report *ret);
void boards_report_clear(struct boards_report *report);
typedef struct boards_report owned_boards_report; /* for g_auto(owned_boards_report) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_boards_report, boards_report_clear)
