/* SPDX-License-Identifier: MIT */
/* Inside of the room, and for who plays a sensor: one channel, watched. Readings in, what they show out. Not
 * threadsafe. */
#pragma once

#include "meter/meter.h"

struct watch {
    const struct meter_channel *channel;
    GArray *changes, *costs; /* int64_t: moments of changes; costs of reads */
    struct meter_reading first, last, changed; /* first and last good reading, last change */
    int64_t first_change_raw;
    double sum;              /* of good readings, SI */
    int64_t good, bad;
    bool decreasing, implausible;
    enum meter_read_status bad_status;
};

void watch_init(struct watch *watch, const struct meter_channel *channel);
void watch_clear(struct watch *watch);
/* In the order of time. */
void watch_see(struct watch *watch, const struct meter_reading *reading);
/* It has shown enough changes for its period to be known, or is none that must change. */
bool watch_is_enough(const struct watch *watch);
/* power_ratio: NaN, for it takes two channels. */
struct meter_sensor watch_found(const struct watch *watch);
