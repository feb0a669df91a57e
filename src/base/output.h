/* SPDX-License-Identifier: MIT */
/*
 * Standard output for us alone: what libraries print there (a driver's, now or in any later call) must not get among
 * results that somebody reads.
 *
 * Calling sequence: output_take() first of all, before another thread runs; results go to the stream it returns.
 */
#pragma once

#include <stdio.h>

/* Standard output as it is, as a stream of our own, which no child inherits; from now on descriptor 1, and with it
 * stdout, leads to standard error. Where that cannot be, stdout as it is. */
FILE *output_take(void);
