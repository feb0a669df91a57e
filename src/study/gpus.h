/* SPDX-License-Identifier: MIT */
/* Internal to study: the boards of a run, and the memory gate before it. */
#pragma once

#include "boards/boards.h"
#include "config/config.h"
#include "exchange/exchange.h"

/* Chooses the boards that the configuration asks for, and tells the worker of them. */
bool gpus_choose(struct boards *boards, const struct config *config, struct exchange *x, GError **error);

enum gpus_passage {
    GPUS_PASSES,
    GPUS_REFUSED,     /* with the error */
    GPUS_INTERRUPTED, /* while it waited */
};
/* Waits until the memory of the run's boards is free, as long as the configuration says; what was found is told to the
 * worker. ret_warning: what the user should know though it passes, or NULL; new string. */
enum gpus_passage gpus_pass_gate(struct boards *boards, const struct config *config, struct exchange *x,
                                 const struct boards_watch *watch, char **ret_warning, GError **error);
