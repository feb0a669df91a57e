/* SPDX-License-Identifier: MIT */
/* What the meter's tests share: trees of files, the simulator with a script and a virtual clock. */
#pragma once

#include "meter/meter.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define MS NS_PER_MS

struct fixture {
    char *root;      /* temporary folder, readable by everyone */
    void *library;   /* the simulator, for its own functions */
    int64_t *clock;  /* virtual clock, or NULL */
    int64_t stuck_ns; /* how long a moving counter may take to move: long, for busy machines */
    double (*energy_j)(unsigned device, int64_t t0_ns, int64_t t1_ns);
    unsigned (*calls)(const char *name);
};

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
/* Writes root/path, folders included. */
void fixture_write(const struct fixture *f, const char *path, const char *text);
char *fixture_path(const struct fixture *f, const char *path);
/* Names a script (JSON; ' stands for ") to the simulator. "clock": "clock" in it makes f->clock. */
void fixture_script(struct fixture *f, const char *script);
char *fixture_sim_path(void);
/* Opens the sources named (NULL-terminated) below the fixture's root. */
struct meter *fixture_meter(struct fixture *f, const char *const *names);
struct meter *fixture_nvml(struct fixture *f);
/* Index of a channel that must exist. */
size_t fixture_channel(struct meter *meter, const char *id);
const char *fixture_reason(struct meter *meter, const char *source);

/* A sampler_clock over f->clock. */
struct sampler_clock fixture_clock(struct fixture *f);
