/* SPDX-License-Identifier: MIT */
/* The row of probe.c, as it would stand in base/sources.h. */
#define SOURCE_MORE_ROWS(X) X(probe, 0, "a bench supply of the tests", "the bench supply of the tests")
