/* SPDX-License-Identifier: MIT */
/* The tables of checks, in the order of asking. */
#include "preflight/rows.h"

const struct preflight_check *const preflight_tables[] = {
    preflight_store_rows, preflight_runner_rows, preflight_engine_rows, preflight_work_rows, preflight_sensor_rows,
    preflight_boards_rows, preflight_gpu_rows, preflight_container_rows, NULL,
};

const struct preflight_check *const preflight_cell_tables[] = {preflight_engine_rows, NULL};

struct preflight *preflight_new(const struct preflight_options *options)
{
    return preflight_new_with(options, preflight_tables);
}

const struct preflight_finding *preflight_refusal(struct preflight *p, const struct config *config)
{
    return preflight_first_refusal(p, preflight_cell_tables, config);
}
