/* SPDX-License-Identifier: MIT */
/* Numbers as text, both ways: strict, whole-string and independent of the locale. Errors: CONFIG. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

bool num_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, GError **error);
bool num_parse_real(const char *text, double *ret, GError **error);

/* For people: three significant digits ("12.3", "0.00456", "1.23e+07"). New strings. */
char *num_format_3(double value);
/* "4.2s", "4m 32s", "1h 05m". */
char *num_format_duration_ns(int64_t ns);
/* Binary multiples: "138 MiB". */
char *num_format_bytes(int64_t bytes);
