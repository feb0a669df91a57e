/* SPDX-License-Identifier: MIT */
/* Between the files of this room. */
#pragma once

#include "workload/workload.h"

bool facts_read_hf(const char *folder, struct workload_facts *ret, GError **error);
/* The same from the text of a config.json. */
bool facts_parse_hf(const char *text, size_t length, const char *name, struct workload_facts *ret,
                    GError **error);
