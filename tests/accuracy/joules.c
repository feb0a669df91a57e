/* SPDX-License-Identifier: MIT */
/*
 * The estimators to the last digit. A change of code that is not meant to change a number must leave every trial's
 * joules as they are: they are held to a golden file. Its first line is a fingerprint of the arithmetic (functions of
 * libm, and whether the compiler fuses products with sums). Where that is the same, every byte must be; on another
 * machine the words must be, and the numbers to 1e-9.
 */
#include "accuracy/strata.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NEAR 1e-9

/* Sums over functions of libm that the simulator and the estimators call, and over products and sums. */
static void print_fingerprint(GString *to)
{
    double functions = 0, fused = 0;
    for (int i = 1; i <= 5000; i++) {
        volatile double x = i * 0.013, square = x * x;
        functions += exp(-x) + log(x) + sin(x) + cos(x) + pow(x, 0.37) + sqrt(x);
        fused += x * x - square; /* 0 unless the product was fused with the difference */
    }
    g_string_append_printf(to, "arithmetic: %.17g %.17g\n", functions, fused);
}

static bool is_near(const char *a, const char *b)
{
    if (g_str_equal(a, b))
        return true;
    double x, y;
    if (!num_parse_real(a, &x, NULL) || !num_parse_real(b, &y, NULL))
        return false;
    return fabs(x - y) <= NEAR * fmax(fabs(x), fabs(y));
}

static bool line_is_near(const char *a, const char *b)
{
    g_auto(GStrv) left = g_strsplit(a, " ", -1), right = g_strsplit(b, " ", -1);
    if (g_strv_length(left) != g_strv_length(right))
        return false;
    for (size_t i = 0; left[i]; i++)
        if (!is_near(left[i], right[i]))
            return false;
    return true;
}

/* Says which trials differ, the first ten of them in full. */
static bool compare(const char *wanted, const char *found, const char *path)
{
    g_auto(GStrv) a = g_strsplit(wanted, "\n", -1), b = g_strsplit(found, "\n", -1);
    guint n = g_strv_length(a), differing = 0;
    bool same_arithmetic = g_str_equal(a[0], b[0]);
    if (g_strv_length(b) != n) {
        fprintf(stderr, "%s has %u lines, this run %u\n", path, n, g_strv_length(b));
        return false;
    }
    for (guint i = 1; i < n; i++) {
        if (same_arithmetic ? g_str_equal(a[i], b[i]) : line_is_near(a[i], b[i]))
            continue;
        if (++differing <= 10)
            fprintf(stderr, "was   %s\nis    %s\n", a[i], b[i]);
    }
    if (differing)
        fprintf(stderr, "%u of %u trials differ from %s\n", differing, n - 2, path);
    else
        printf("%u trials equal %s, %s\n", n - 2, path, same_arithmetic ? "to the last digit" : "to 1e-9");
    return differing == 0;
}

bool joules_hold(const struct stratum *strata, size_t count, int64_t n, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    print_fingerprint(text);
    for (size_t i = 0; i < count; i++)
        if (strata[i].test < TEST_RUNS)
            stratum_print(&strata[i], n, text);
    if (g_getenv("LLEM_UPDATE_GOLDEN"))
        return g_file_set_contents(path, text->str, -1, NULL);
    g_autofree char *wanted = file_read(path, 16 << 20, NULL, &error);
    if (!wanted) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    return compare(wanted, text->str, path);
}
