/* SPDX-License-Identifier: MIT */
/*
 * The sources of energy, in the order of preference. A source is one row here and one file, src/meter/NAME.c, which
 * defines `const struct meter_ops meter_NAME` (meter/source.h): there is no third place. The configuration's choices
 * of energy.backend, the list that `llem meter` opens and what `auto` asks for are made from these rows.
 */
#pragma once

enum source_flags {
    SOURCE_BY_AUTO = 1 << 0,   /* energy.backend: auto asks for it, and `llem meter` opens it unasked; else opt-in */
    SOURCE_MODEL = 1 << 2,     /* no sensor: counts processes and multiplies. energy.modelled asks for it */
    SOURCE_RECORDING = 1 << 3, /* plays a trace */
    SOURCE_HAS_BOARDS = 1 << 4, /* knows which accelerators there are, and their memory */
    SOURCE_HOST_ONLY = 1 << 5,  /* not to be read in a container: whoever started that reads it beside */
};

/* The choices of energy.backend that are no source. */
#define SOURCE_AUTO "auto" /* all rows with SOURCE_BY_AUTO */
#define SOURCE_NONE "none"

/* A build with further sources (the test that a source is a file and a row) has their rows here. */
#ifndef SOURCE_MORE_ROWS
#define SOURCE_MORE_ROWS(X)
#endif

/* Sensors, each a choice of energy.backend. X(name, flags, what it is in lists, what it is as a choice) */
#define SOURCE_SENSOR_ROWS(X)                                                                      \
    X(nvml, SOURCE_BY_AUTO | SOURCE_HAS_BOARDS,                                                    \
      "NVIDIA GPUs through the driver's management library",                                       \
      "NVIDIA boards, by NVML")                                                                    \
    X(rapl, SOURCE_BY_AUTO | SOURCE_HOST_ONLY,                                                     \
      "CPU package, DRAM and platform energy counters (perf events, else powercap)",               \
      "CPU packages and DRAM, by RAPL counters")                                                   \
    X(hwmon, SOURCE_BY_AUTO | SOURCE_HOST_ONLY, "energy and power files of hardware-monitoring chips", \
      "energy and power sensors of the kernel's hwmon")                                            \
    SOURCE_MORE_ROWS(X)

/* The others, each asked for in a way of its own. */
#define SOURCE_OTHER_ROWS(X)                                                                       \
    X(modelled, SOURCE_MODEL,                                                                      \
      "CPU time of the engine × a stated range of watts per busy core; no sensor", NULL)           \
    X(replay, SOURCE_RECORDING,                                                                    \
      "a recorded trace, played again; its values keep the status they were recorded with", NULL)

#define SOURCE_ROWS(X) SOURCE_SENSOR_ROWS(X) SOURCE_OTHER_ROWS(X)
