/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the doubts it raises itself; those about sensors are rows of room energy. */
#pragma once

#include "result/result.h"

#define FLAG_ROWS(X)                                                                                                   \
    X(NOT_STEADY, "not_steady", "the warm-up ended at its maximum before the work was steady")                         \
    X(COLD_SHAPE, "cold_shape",                                                                                        \
      "requests of the work were computed together in a number that the warm-up had not run: first calls may be in it")\
    X(NOT_QUIESCENT, "engine_not_quiescent", "the engine works while it has no requests: the idle level is not idle")  \
    X(SUBSTITUTED, "substituted", "the engine used something else than was asked for: see engine.substitutions")       \
    X(OUTPUT_LENGTH_VARIES, "output_length_varies", "some requests ended before max_output_tokens: unequal work")      \
    X(MERGED_CHUNKS, "merged_chunks", "the engine delivered several tokens in one chunk")                              \
    X(UNEQUAL_WORK, "unequal_work", "the repeats differ in what was computed or put out: no energy per token")  \
    X(LOAD_NOT_KEPT, "load_not_kept", "more requests were under way at once than load.size says")                       \
    X(SAME_ANSWER, "same_answer",                                                                                      \
      "three prompts or more that differ were given one and the same answer: is the prompt what the engine works on?") \
    X(BOARDS_ASSUMED, "boards_assumed", "which GPUs the engine uses is not known: the energy is of all of them")       \
    X(BOARDS_STRAYED, "boards_strayed", "the engine works on a GPU that it was not given: its energy is not in the figure") \
    X(MEMORY_OCCUPIED, "memory_occupied",                                                                               \
      "memory of the run's boards was in use before it began: see context.memory_gate")                                \
    X(GUARD_CPU_DRIFT, "guard_cpu_drift", "the engine idled differently before and after the work: guards not alike")   \
    X(PAUSED, "paused", "the engine stood still in the window: see machine.pauses")                                     \
    X(FOREIGN_CPU, "foreign_cpu", "other processes used more than 2 % of the engine's CPU time, or of one CPU's, in the window") \
    X(OVERSUBSCRIBED, "oversubscribed", "more threads of the engine wanted a CPU at once than it may use: see machine.host") \
    X(FOREIGN_GPU, "foreign_gpu_process", "another process holds memory of a board of this run")                       \
    X(OTHER_GPU, "other_gpu_busy", "another GPU of this machine worked during the window")                              \
    X(CONCURRENT_STUDY, "concurrent_study", "another study of llem ran on this machine at the same time")

enum flag {
#define X(code, id, meaning) FLAG_##code,
    FLAG_ROWS(X)
#undef X
        FLAG_COUNT
};

void flag_raise(struct result *r, enum flag flag);
