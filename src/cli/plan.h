/* SPDX-License-Identifier: MIT */
/* A file of the user on the command line: read with its overrides, planned, shown, and looked at for what this machine
 * lacks. For `llem plan`, `llem run` and `llem config`. */
#pragma once

#include "preflight/preflight.h"
#include "study/study.h"

#include <stdio.h>

/* What --output and --cycles say, as they were written; NULL: not given. */
struct cli_plan_options {
    char *output, *cycles;
};
/* Their rows, for the options of a command. */
#define CLI_PLAN_OPTIONS(options)                                                                                          \
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &(options).output,                                                           \
     "Folder for results (default: output_dir, else ./results)", "DIR"},                                                   \
    {"cycles", 'c', 0, G_OPTION_ARG_STRING, &(options).cycles,                                                             \
     "How often every cell runs (overrides execution.n_cycles)", "N"}

/* Reads and plans argv[0] with the KEY=VALUE behind it; says on stderr what is wrong. *ret_file is the caller's too,
 * whatever is returned. options may be NULL. NULL: exit code 2. */
struct plan *cli_plan_load(char *const *argv, const struct cli_plan_options *options, struct config_file **ret_file);
/* One line; whole: and one a cell, and those left out. */
void cli_plan_print(const struct config_file *file, const struct plan *plan, bool whole, FILE *to);
/* The same, with the runs in their order. New reference. */
json_t *cli_plan_json(const struct config_file *file, const struct plan *plan);
/* output_dir, or NULL where nobody wrote it. New string. */
char *cli_plan_results(const struct plan *plan);
/* The folder that results go to: --output, output_dir or ./results. New string. */
char *cli_plan_target(const struct plan *plan, const struct cli_plan_options *options);
/* Says on stderr what the plan would not find on this machine, as far as the options say. False: it cannot be run (exit
 * code 2). findings: NULL, or a list that gets what is said. Where nothing is pulled it tells, too, which data sets
 * `llem run` would bring. */
bool cli_plan_preflight(const struct plan *plan, const struct preflight_options *how, json_t *findings);

/* The data sets of the plan that are not here and can be had: brought and verified, each once; what cannot be is said
 * on stderr at its place. False: exit code 1. */
bool cli_plan_bring_data(const struct plan *plan);

/* A finding as JSON, and its state for all that was looked at: "ok", "evidence", "absent", "warning", "failed". */
json_t *cli_finding_json(const struct preflight *p, const struct preflight_finding *finding);
const char *cli_finding_state(const struct preflight *p, const struct preflight_finding *finding);
