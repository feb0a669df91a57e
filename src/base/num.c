/* SPDX-License-Identifier: MIT */
#include "base/num.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool num_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, GError **error)
{
    gint64 value;
    g_autoptr(GError) cause = NULL;
    if (!g_ascii_string_to_signed(text, 10, min, max, &value, &cause)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "'%s' is not an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, text, min, max);
        return false;
    }
    *ret = value;
    return true;
}

bool num_parse_real(const char *text, double *ret, GError **error)
{
    char *end = NULL;
    errno = 0;
    double value = g_ascii_strtod(text, &end);
    bool looks = *text && !g_ascii_isspace(*text) && !strpbrk(text, "xXpPnN");
    if (!looks || end == text || *end || errno == ERANGE || !isfinite(value)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "'%s' is not a number", text);
        return false;
    }
    *ret = value;
    return true;
}

char *num_format_3(double value)
{
    if (!isfinite(value))
        return g_strdup("-");
    double magnitude = fabs(value);
    if (magnitude != 0 && (magnitude >= 1e6 || magnitude < 1e-4))
        return g_strdup_printf("%.2e", value);
    int decimals = magnitude == 0 ? 2 : 2 - (int)floor(log10(magnitude));
    return g_strdup_printf("%.*f", CLAMP(decimals, 0, 7), value);
}

char *num_format_duration_ns(int64_t ns)
{
    double s = clock_seconds(ns);
    if (s < 59.95)
        return g_strdup_printf(s < 10 ? "%.2fs" : "%.1fs", s);
    int64_t whole = (int64_t)(s + 0.5);
    if (whole < 3600)
        return g_strdup_printf("%dm %02ds", (int)(whole / 60), (int)(whole % 60));
    return g_strdup_printf("%dh %02dm", (int)(whole / 3600), (int)(whole % 3600 / 60));
}

char *num_format_bytes(int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (fabs(value) >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        return g_strdup_printf("%d B", (int)bytes);
    g_autofree char *number = num_format_3(value);
    return g_strdup_printf("%s %s", number, units[unit]);
}
