/* SPDX-License-Identifier: MIT */
/*
 * sweep: the axes of a study become cells, the cells an ordered plan.
 *
 * A cell is a choice of one level on every axis that applies to its backend; each is validated and hashed on its own.
 * Cells that break a rule are skipped with the reason; cells whose hash was seen before are dropped and named. The
 * number of cells is checked against LIMIT_SWEEP_CELLS before any is made.
 *
 * The plan is the list of runs: every cell once in each of execution.n_cycles cycles, in the order the study asks for:
 *   sequential   A A A B B B   (drift is confounded with the factor: for debugging)
 *   interleaved  A B A B A B
 *   shuffled     a fresh permutation in each cycle, from execution.seed (default: from the study's hash)
 *
 * A cell is stored as its levels and its hash; plan_cell_config() makes the experiment on demand, so that 10,000 cells
 * cost little memory. The study must outlive the plan. Not thread-safe while being made; read-only after.
 */
#pragma once

#include "config/config.h"

struct plan;

struct plan_run {
    size_t cell; /* index into the cells */
    int cycle;   /* from 1 */
};

/* A cell that is not run. */
struct plan_skip {
    char *label;  /* "precision=fp16 llamacpp.n_batch=64" */
    char *reason; /* one line */
};

/* NULL after errors in diag (too many cells, not one valid cell). Skipped and duplicate cells are warnings there. */
struct plan *plan_new(const struct config_file *study, struct diag *diag);
void plan_free(struct plan *plan);
typedef struct plan owned_plan; /* for g_autoptr(owned_plan) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_plan, plan_free)

size_t plan_cells(const struct plan *plan);
int plan_cycles(const struct plan *plan);
/* Runs in the order they are to be done; plan_cells() × plan_cycles() of them. */
size_t plan_runs(const struct plan *plan, const struct plan_run **ret);
/* The experiment of a cell. New. */
struct config *plan_cell_config(const struct plan *plan, size_t cell);
/* Its configuration hash. Borrowed. */
const char *plan_cell_hash(const struct plan *plan, size_t cell);
/* "precision=bf16 llamacpp.n_threads=2", or "" without axes. New string. */
char *plan_cell_label(const struct plan *plan, size_t cell);

/* The axes, in the order of the file: number, path, and the level of a cell on it (borrowed; NULL: does not apply). */
size_t plan_axes(const struct plan *plan);
const char *plan_axis_path(const struct plan *plan, size_t axis);
json_t *plan_cell_level(const struct plan *plan, size_t cell, size_t axis);

/* Cells that were left out because they break a rule. */
size_t plan_skips(const struct plan *plan, const struct plan_skip **ret);
/* Cells that were left out because an earlier one does their work: which of their levels comes to which. */
size_t plan_repeats(const struct plan *plan, const struct plan_skip **ret);
/* First 16 hex of SHA-256 over the list of cell hashes in the order of the grid. Borrowed. */
const char *plan_hash(const struct plan *plan);
/* The seed the order was made from. */
uint64_t plan_seed(const struct plan *plan);
/* "sequential", "interleaved", "shuffled". Borrowed. */
const char *plan_order(const struct plan *plan);
