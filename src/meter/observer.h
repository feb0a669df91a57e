/* SPDX-License-Identifier: MIT */
/* Internal to meter: what the sampler itself costs, by the counters it reads. */
#pragma once

#include "meter/meter.h"

/* Sampler on less sampler off, of one counter, with the 95 % half-width from the rounds. */
struct observer {
    bool read_ok;                       /* every edge was there */
    double idle_w, idle_off_w, idle_u_w; /* power of an idle stretch; off 0: the counter stands still in idle */
    /* energy above idle of a fixed amount of work; off 0: the load does not reach it */
    double busy_j, busy_off_j, busy_u_j;
};

/* Rounds of stretches, idle and busy, with the sampler off and on in turn. ret: count of them. No sampler may run. */
bool observer_run(struct meter *meter, struct meter_load *load, const size_t *counters, size_t count,
                  int64_t stretch_ns,
                  struct observer *ret, GError **error);
