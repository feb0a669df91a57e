/* SPDX-License-Identifier: MIT */
/*
 * order: what a run does when, as src/experiment has it, in the virtual time of the accuracy harness: load, idle with
 * the engine loaded, warm-up, at once the guard, the work, the guard behind it. Guards are planned, learnt from and
 * extended by the product's own functions, of what it knows by then.
 *
 *   nature_draw() into each scene → order_open() → order_earlier(), as often as boards ran before → order_measure()
 *
 * Ownership: scenes are the caller's. Threading: one thread an order.
 */
#pragma once

#include "accuracy/scene.h"

#define ORDER_BOARDS_MAX 4

struct order {
    struct scene *scenes; /* boards that work together */
    size_t count;
    const struct meter_channel *channels[ORDER_BOARDS_MAX];
    struct meter_sensor sensors[ORDER_BOARDS_MAX]; /* what was found of each so far */
    struct energy_level levels[ORDER_BOARDS_MAX];  /* of the idle boards */
    struct energy_known known;
    int64_t now_ns;
    struct nature_window load, idle, warmup; /* of the run; no length: it has none */
    struct energy_window window;             /* of the work, with its guards */
};

/* Watches the idle boards. */
void order_open(struct order *order, struct scene *scenes, size_t count);
/* A run by which sensors are learnt of: its work is short. */
void order_earlier(struct order *order);
/* The run that counts. */
void order_measure(struct order *order);
/* When the idle level is taken, behind what worked last. */
struct nature_window order_idle(const struct order *order, int64_t worked_ns);
/* What was read between two moments, and the scopes of it; ticks: of each board, or NULL. */
struct energy_readings *order_read(struct order *order, int64_t from_ns, int64_t to_ns,
                                   const struct energy_ticks *ticks);
struct energy_scopes *order_look(struct order *order, int64_t from_ns, int64_t to_ns,
                                 const struct energy_ticks *ticks);
