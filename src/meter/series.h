/* SPDX-License-Identifier: MIT */
/* Inside of the room: readings → runs (struct meter_point). Not threadsafe; the caller locks. */
#pragma once

#include "meter/meter.h"

struct series {
    GArray *points;            /* struct meter_point; the last one is still growing */
    struct meter_reading last; /* last OK reading, raw as the sensor gave it */
    int64_t unwrap;            /* what wraps added to raw so far */
    int64_t edge_lo_ns;        /* start of the bracket of the last change of a counter */
    bool any_ok;
};

void series_init(struct series *series);
void series_clear(struct series *series);
/* break_ns: no reading for longer than this begins a new run. */
void series_absorb(struct series *series, const struct meter_channel *channel, const struct meter_reading *reading,
                   int64_t break_ns);
GArray *series_copy(const struct series *series, int64_t from_ns, int64_t to_ns);
