/* SPDX-License-Identifier: MIT */
/* What goes on after the work, too little to be told from a settled board. */
#include "unit/energy/scene.h"

/* Half-width of a board that stands `off` watts beside its idle level for 0.7 s after the work. */
static double half_after(double off_w, struct energy_estimate *ret)
{
    struct scene s = scene_default();
    s.after_w = s.idle_w + off_w;
    s.drop_ns = s.t1_ns + 700 * MS; /* the unknown lag of 0.4 s, and the near part of the guard */
    struct energy_window w = scene_window(&s, 3, 3);
    struct seen seen;
    seen_init(&seen, &s, METER_ENERGY, &w);
    const struct energy_board board = {.counter = &seen.channel, .idle_w = NAN, .limit_w = NAN};
    const struct energy_options options = {.draws = 2000, .seed = 1};
    energy_estimate_board(&board, &w, &options, ret);
    g_assert_false(ret->flags & ENERGY_FLAG(GUARD_NOT_SETTLED));
    g_assert_cmpfloat(ret->joules.low, <, scene_truth_j(&s));
    g_assert_cmpfloat(ret->joules.high, >, scene_truth_j(&s));
    seen_clear(&seen);
    return ret->statistical_j;
}

/* A decay that is over before the guard was higher on the way, a rise was lower: either is in the interval. */
static void test_both_sides(void)
{
    g_auto(owned_estimate) flat = {0}, falls = {0}, rises = {0};
    double level = half_after(0, &flat), fall = half_after(0.45, &falls), rise = half_after(-0.45, &rises);
    g_test_message("level ±%g J, a fall ±%g J, a rise ±%g J", level, fall, rise);
    double most = 8 * 0.45 * 0.45; /* eight times what is left, over a lever of 0.45 s or less */
    g_assert_cmpfloat(fall * fall - level * level, >, most * most / 4);
    g_assert_cmpfloat(rise * rise - level * level, >, most * most / 4);
    g_assert_near(rise, fall, 0.1 * fall);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/energy/after/both_sides", test_both_sides);
    return g_test_run();
}
