/* SPDX-License-Identifier: MIT */
/*
 * yardstick: engines without llem, against which bench_adapter holds our adapters. Each is started once with the work,
 * does it as often as it is asked to, and is ended. All end the program when something fails.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

struct yardstick_work {
    const char *model_path, *python;
    int n_prompts, n_in, n_out; /* prompts at once, tokens of each, tokens of each answer */
    const int32_t *ids;         /* n_prompts × n_in */
};

/* Seconds of the whole work; the answers go to ret_ids[n_prompts × n_out], whose first is −1 where there are none. */
typedef double (*yardstick_run)(void *yardstick, const struct yardstick_work *work, int32_t *ret_ids);

void *plain_start(const struct yardstick_work *work, const char *name);
double plain_run(void *yardstick, const struct yardstick_work *work, int32_t *ret_ids);
void plain_end(void *yardstick);

/* One of bare.py, by its name there, in a process of the engine's own interpreter. */
void *bare_start(const struct yardstick_work *work, const char *name);
double bare_run(void *yardstick, const struct yardstick_work *work, int32_t *ret_ids);
void bare_end(void *yardstick);

G_GNUC_NORETURN void yardstick_give_up(const char *message);
