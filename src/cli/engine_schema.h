/* SPDX-License-Identifier: MIT */
/* Internal to cli: `llem engine schema`. */
#pragma once

#include <glib.h>

extern const GOptionEntry cli_schema_options[];
/* argv[0] is the engine; behind it KEY=VALUE, which say where its runs go. */
int cli_engine_schema(int argc, char **argv);
