/* SPDX-License-Identifier: MIT */
/* The stand-ins by the names a build on a new glibc asks for. That this links against an older one is half the test. */
#include <errno.h>
#include <glib.h>
#include <link.h>
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
C23(guint32, c_arc4random, "arc4random", void);
C23(int, c_dl_find_object, "_dl_find_object", void *, void *);

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

static void test_random(void)
{
    guint32 set = 0, clear = G_MAXUINT32;
    for (int i = 0; i < 64; i++) { /* one bit in 2^58 trials stays as it was */
        guint32 number = c_arc4random();
        set |= number;
        clear &= number;
    }
    g_assert_cmphex(set, ==, G_MAXUINT32);
    g_assert_cmphex(clear, ==, 0);
}

/* Where the frames of the program's own code are, as the loader says it. */
static int first_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            *(ElfW(Addr) *)data = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    return 1;
}

static void test_objects(void)
{
    union {
        void (*code)(void);
        void *address;
    } here = {test_objects};
    struct {
        guint64 flags;
        char *start, *end;
        void *link_map, *frames, *rest[16];
    } found = {0};
    ElfW(Addr) frames = 0;
    dl_iterate_phdr(first_object, &frames);
    g_assert_cmpint(c_dl_find_object(here.address, &found), ==, 0);
    g_assert_true((char *)here.address >= found.start && (char *)here.address < found.end);
    g_assert_cmphex((gsize)found.frames, ==, frames);
    int local;
    g_assert_cmpint(c_dl_find_object(&local, &found), ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker-glibc/numbers", test_numbers);
    g_test_add_func("/worker-glibc/scans", test_scans);
    g_test_add_func("/worker-glibc/copies", test_copies);
    g_test_add_func("/worker-glibc/random", test_random);
    g_test_add_func("/worker-glibc/objects", test_objects);
    g_test_add_func("/worker-glibc/a-target-that-is-too-small", test_a_target_that_is_too_small);
    return g_test_run();
}
