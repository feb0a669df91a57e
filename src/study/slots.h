/* SPDX-License-Identifier: MIT */
/* Internal to study: the runs in flight. A study has as many slots as its runner takes runs at once; a slot holds one
 * run, and rests after it as long as the study asks for a pause between runs. With one slot that is the pause between a
 * run and the next; with several, which run on machines of their own, it is the pause of each machine. */
#pragma once

#include "runner/runner.h"

struct slot {
    struct flight *flight; /* NULL: free */
    int64_t rests_until_ns; /* monotonic */
    gpointer run; /* the loop's own, of the run in flight */
};

struct slots {
    struct slot *all;
    size_t n;
};

void slots_init(struct slots *slots, size_t n);
void slots_clear(struct slots *slots);
bool slots_empty(const struct slots *slots);
/* One that a run can be put into now; NULL: all are taken, or rest. */
struct slot *slots_free_one(const struct slots *slots);
/* One whose run has ended. NULL: a signal waits in interrupt_fd, or (where more runs are to come) a slot has rested. */
struct slot *slots_wait(const struct slots *slots, int interrupt_fd, bool more_to_come);
/* Asks every run in flight to stop; a second time kills them. */
void slots_interrupt(const struct slots *slots, int signal_number);
