/* SPDX-License-Identifier: MIT */
/* The stand-ins by the names a build on a new glibc asks for. That this links against an older one is half the test. */
#include <errno.h>
#include <glib.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define C23(type, name, symbol, ...) extern type name(__VA_ARGS__) __asm__(symbol)
C23(long, c_strtol, "__isoc23_strtol", const char *, char **, int);
C23(unsigned long, c_strtoul, "__isoc23_strtoul", const char *, char **, int);
C23(long long, c_strtoll, "__isoc23_strtoll", const char *, char **, int);
C23(unsigned long long, c_strtoull, "__isoc23_strtoull", const char *, char **, int);
C23(long long, c_strtoimax, "__isoc23_strtoimax", const char *, char **, int);
C23(unsigned long long, c_strtoumax, "__isoc23_strtoumax", const char *, char **, int);
C23(long, c_strtol_l, "__isoc23_strtol_l", const char *, char **, int, locale_t);
C23(unsigned long, c_strtoul_l, "__isoc23_strtoul_l", const char *, char **, int, locale_t);
C23(long long, c_strtoll_l, "__isoc23_strtoll_l", const char *, char **, int, locale_t);
C23(unsigned long long, c_strtoull_l, "__isoc23_strtoull_l", const char *, char **, int, locale_t);
C23(int, c_sscanf, "__isoc23_sscanf", const char *, const char *, ...);
C23(int, c_fscanf, "__isoc23_fscanf", FILE *, const char *, ...);
C23(size_t, c_strlcpy, "strlcpy", char *, const char *, size_t);
C23(size_t, c_strlcat, "strlcat", char *, const char *, size_t);
C23(size_t, c_strlcpy_chk, "__strlcpy_chk", char *, const char *, size_t, size_t);
C23(size_t, c_strlcat_chk, "__strlcat_chk", char *, const char *, size_t, size_t);

static void test_numbers(void)
{
    char *end;
    locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
    g_assert_cmpint(c_strtol("-42 rest", &end, 10), ==, -42);
    g_assert_cmpstr(end, ==, " rest");
    g_assert_cmpuint(c_strtoul("0x1f", NULL, 0), ==, 31);
    g_assert_cmpint(c_strtoll("-9223372036854775808", NULL, 10), ==, G_MININT64);
    g_assert_cmpuint(c_strtoull("18446744073709551615", NULL, 10), ==, G_MAXUINT64);
    g_assert_cmpint(c_strtoimax("-7", NULL, 10), ==, -7);
    g_assert_cmpuint(c_strtoumax("7", NULL, 10), ==, 7);
    g_assert_cmpint(c_strtol_l("-8", NULL, 10, c), ==, -8);
    g_assert_cmpuint(c_strtoul_l("8", NULL, 10, c), ==, 8);
    g_assert_cmpint(c_strtoll_l("-9", NULL, 10, c), ==, -9);
    g_assert_cmpuint(c_strtoull_l("ff", NULL, 16, c), ==, 255);
    freelocale(c);
    errno = 0;
    c_strtol("99999999999999999999", NULL, 10);
    g_assert_cmpint(errno, ==, ERANGE);
}

static void test_scans(void)
{
    int n = 0;
    double d = 0;
    char word[8];
    g_assert_cmpint(c_sscanf("17 2.5 abc", "%d %lf %7s", &n, &d, word), ==, 3);
    g_assert_cmpint(n, ==, 17);
    g_assert_cmpfloat(d, ==, 2.5);
    g_assert_cmpstr(word, ==, "abc");
    char text[] = "23 x";
    FILE *file = fmemopen(text, strlen(text), "r");
    g_assert_cmpint(c_fscanf(file, "%d", &n), ==, 1);
    g_assert_cmpint(n, ==, 23);
    fclose(file);
}

static void test_copies(void)
{
    static const struct {
        const char *from;
        size_t size;
        const char *to;
    } rows[] = {{"abc", 8, "abc"}, {"abc", 4, "abc"}, {"abc", 3, "ab"}, {"abc", 1, ""}, {"", 4, ""},
                {"abc", 0, "????"}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char to[16] = "????";
        g_assert_cmpuint(c_strlcpy(to, rows[i].from, rows[i].size), ==, strlen(rows[i].from));
        g_assert_cmpstr(to, ==, rows[i].to);
    }
    char to[8] = "abcd";
    g_assert_cmpuint(c_strlcat(to, "efghij", sizeof to), ==, 10);
    g_assert_cmpstr(to, ==, "abcdefg");
    g_assert_cmpuint(c_strlcat(to, "k", 3), ==, 4); /* longer than that already: nothing is written */
    g_assert_cmpstr(to, ==, "abcdefg");
    g_assert_cmpuint(c_strlcpy_chk(to, "xyz", 8, 8), ==, 3);
    g_assert_cmpuint(c_strlcat_chk(to, "w", 8, 8), ==, 4);
    g_assert_cmpstr(to, ==, "xyzw");
}

static void test_a_target_that_is_too_small(void)
{
    if (g_test_subprocess()) {
        char to[4];
        c_strlcpy_chk(to, "abc", 8, sizeof to);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker-glibc/numbers", test_numbers);
    g_test_add_func("/worker-glibc/scans", test_scans);
    g_test_add_func("/worker-glibc/copies", test_copies);
    g_test_add_func("/worker-glibc/a-target-that-is-too-small", test_a_target_that_is_too_small);
    return g_test_run();
}
