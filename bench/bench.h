/* SPDX-License-Identifier: MIT */
/*
 * bench: what the benchmark programs share. Each prints rows `| what | value | 95 % interval |
 * budget |` on stdout and anything else on stderr; tools/bench.sh puts the head of the table above
 * them.
 *
 * Every figure is a difference or a ratio against a yardstick measured in turns with it, since
 * clocks, governors and neighbours drift; the interval is of the median by bootstrap with a fixed
 * seed.
 */
#pragma once

#include "stats/stats.h"

/* The number of rounds: the first argument when given, else fallback. Ends the program on nonsense.
 */
int bench_rounds(int argc, char **argv, int fallback);
/* Wall time of one run of a program to its end, stdout and stderr to /dev/null. Ends the program
 * when it fails. */
double bench_spawn_ms(char *const argv[]);
/* Median with its interval. */
struct stats_interval bench_median(const double *x, size_t n);
/* One row of a paired ratio y/x that ought to be 1: with its interval, and whether it is equal within ±margin,
 * different or undecided (stats_paired_equivalence()). */
void bench_equivalence_row(const char *what, const double *x, const double *y, size_t n, double margin);
/* One row; an interval of NaN is shown as a dash. budget is text ("≤ 3 ms") or NULL. */
void bench_row(const char *what, struct stats_interval value, const char *unit, const char *budget);
