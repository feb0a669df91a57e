/* SPDX-License-Identifier: MIT */
/* Internal to sweep: how cells that do not run are told of, each reason once with the cells it holds for. */
#pragma once

#include "sweep/sweep.h"

/* Under the last diagnostic: a line a reason of the list (struct plan_skip), with the first cells it holds for. total:
 * cells of the sweep. */
void told_reasons(struct diag *diag, const GArray *list, size_t total);
