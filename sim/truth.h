/* SPDX-License-Identifier: MIT */
/* Inside of a trace, shared by truth.c and model.c alone. */
#pragma once

#include "sim/model.h"

#include <glib.h>
#include <string.h>

struct sim_segment {
    int64_t start_ns;
    double watts;
    double energy_j; /* ∫ from the trace's start to start_ns */
};

struct sim_lag_state {
    double watts, energy_j; /* of the lagged power, at a segment's start */
};

#define SIM_LAGS 4
struct sim_lag {
    int64_t rise_ns;
    GArray *states;
};

struct sim_trace {
    int64_t start_ns, end_ns;
    GArray *segments;
    unsigned cursor; /* where the last look-up ended */
    struct sim_lag lags[SIM_LAGS];
    unsigned lag_count;
    void (*grow)(struct sim_trace *trace, void *context);
    void *context;
    void (*free_context)(void *context);
};

double sim_trace_power_w(struct sim_trace *trace, int64_t t_ns);
double sim_trace_energy_j(struct sim_trace *trace, int64_t t_ns); /* from the trace's start */
double sim_trace_risen_power_w(struct sim_trace *trace, int64_t rise_ns, int64_t t_ns);
double sim_trace_risen_energy_j(struct sim_trace *trace, int64_t rise_ns, int64_t t_ns);
