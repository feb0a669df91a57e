/* SPDX-License-Identifier: MIT */
/* Which commands there are, and what older spellings mean. */
#include "cli/cli.h"

/* One row a command; nothing else of `llem` knows them by name. */
const struct cli_command *const cli_commands[] = {
    &cli_plan,
    &cli_run,
    &cli_show,
    &cli_doctor,
    &cli_config,
    &cli_model,
    &cli_dataset,
    &cli_engine,
    &cli_result,
    &cli_meter,
    NULL,
};

const struct cli_alias cli_aliases[] = {
    {"run", "--dry-run", "plan"},
    {"result", "show", "show"},
    {"result", "error-schema", "result schema --error"},
    {"meter", "--watch", "meter watch"},
    {"meter", "-w", "meter watch"},
    {"meter", "--characterise", "meter characterise"},
    {"meter", "--selftest", "meter selftest"},
    {"meter", NULL, "meter list"},
    {0},
};
