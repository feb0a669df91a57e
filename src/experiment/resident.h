/* SPDX-License-Identifier: MIT */
/* Internal to experiment: what the processes of the engine hold of the machine's memory, by the kernel's count. */
#pragma once

#include "engine/engine.h"

struct resident {
    int64_t rss_bytes;  /* a page that several processes share counts in each; -1: unknown */
    int64_t pss_bytes;  /* a shared page counts once in all; -1: unknown */
    int64_t peak_bytes; /* most each had at any time since its peak began anew, added up; -1: unknown */
};

struct resident resident_take(const struct engine_loaded *loaded);
/* Lets the peaks begin anew; false: some process did not allow it. */
bool resident_restart_peaks(const struct engine_loaded *loaded);
