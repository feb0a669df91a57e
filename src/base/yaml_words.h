/* SPDX-License-Identifier: MIT */
/* Private to base: what is said about a text that libyaml refuses. */
#pragma once

#include "base/diag.h"

#include <yaml.h>

/* False after an error: not UTF-8, or characters that a text file has no use for. Located by line and column. */
bool yaml_check_text(struct diag *diag, const char *name, const char *text, size_t length);
/* libyaml's problem in words a user can act on. */
void yaml_explain(struct diag *diag, const char *name, const yaml_parser_t *parser, const char *text, size_t length);
