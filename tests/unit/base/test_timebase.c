/* SPDX-License-Identifier: MIT */
/* Clocks of two processes: one clock or not. */
#include "base/base.h"

#include <string.h>

#define BOOT  "7d6f2f2a-0000-4000-8000-000000000000"
#define SPACE "time:[4026531834]"
#define OTHER "time:[4026532456]"

static struct timebase at(const char *boot, const char *space, int64_t mono_ns, int64_t wall_ns)
{
    struct timebase base = {.mono_ns = mono_ns, .wall_ns = wall_ns};
    g_strlcpy(base.boot, boot, sizeof base.boot);
    g_strlcpy(base.space, space, sizeof base.space);
    return base;
}

static void test_check(void)
{
    const int64_t second = NS_PER_S, wall = INT64_C(1790000000) * NS_PER_S;
    static const char *const another = "7d6f2f2a-1111-4000-8000-000000000000";
    const struct {
        const char *boot, *space;
        int64_t mono_ns, wall_ns;
        const char *words; /* NULL: one clock */
    } cases[] = {
        {BOOT, SPACE, 100 * second, wall + 90 * second, NULL},
        {BOOT, SPACE, 100 * second, wall - 3600 * second, NULL},              /* the wall clock was set */
        {BOOT, OTHER, 100 * second, wall + 90 * second, NULL},                /* a namespace that shifts nothing */
        {BOOT, OTHER, 1100 * second, wall + 90 * second, "1000.000 s ahead"},
        {BOOT, OTHER, 100 * second - 50 * NS_PER_MS, wall + 90 * second, "0.050 s behind"},
        {BOOT, "", 100 * second, wall + 90 * second, NULL},                   /* it does not say */
        {BOOT, "", 101 * second, wall + 90 * second, "1.000 s ahead"},
        {another, SPACE, 100 * second, wall + 90 * second, "another kernel"}, /* the first namespace of each is alike */
        {"", SPACE, 100 * second, wall + 90 * second, NULL},
        {"", SPACE, 50 * second, wall + 90 * second, "50.000 s behind"},
    };
    struct timebase there = at(BOOT, SPACE, 10 * second, wall);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct timebase here = at(cases[i].boot, cases[i].space, cases[i].mono_ns, cases[i].wall_ns);
        bool same = timebase_check(&there, &here, &error);
        g_assert_true(same == !cases[i].words);
        if (same)
            continue;
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].words));
    }
}

static void test_round_trip(void)
{
    g_autoptr(GError) error = NULL;
    struct timebase taken = timebase_take(), back, later = timebase_take();
    g_autoptr(json_t) tree = timebase_json(&taken);
    g_assert_cmpuint(strlen(taken.boot), ==, 36);
    g_assert_true(timebase_parse(tree, &back, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(&back, sizeof back, &taken, sizeof taken);
    g_assert_true(timebase_check(&back, &later, &error));
    json_object_del(tree, "wall_ns");
    g_assert_false(timebase_parse(tree, &back, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/timebase/check", test_check);
    g_test_add_func("/timebase/round-trip", test_round_trip);
    return g_test_run();
}
