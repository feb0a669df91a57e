/* SPDX-License-Identifier: MIT */
/* Internal to meter: what part of the time the values of a sensor stand for, by a load whose bursts are known. */
#pragma once

#include "meter/meter.h"

/* Of a load. */
struct window_burst {
    int64_t t0_ns, t1_ns;
};

/* The window over which values are means of the load, as a share of each period or longer. */
struct window_fit {
    size_t n;            /* values that were looked at */
    double mean_w;       /* of them */
    double swing_w;      /* from idle to the load */
    double explained;    /* share of their variance that the best window and delay explain */
    double seconds;      /* the best window; NaN: too few values, or the load does not show in them */
    double low_s, high_s; /* those that explain the values about as well */
    double delay_s;
};

/* points: of a counter or a power channel, while the bursts (struct window_burst, in order of time) went on. */
struct window_fit window_fit(const struct meter_channel *channel, const GArray *points, int64_t period_ns,
                             const GArray *bursts);
