/* SPDX-License-Identifier: MIT */
/* Estimators without guards, where readings end soon after the work. */
#include "unit/energy/scene.h"

/* Asked for as soon as the work has ended, before the counter shows the last of it: what it has not shown yet is in the
 * value by the power before, and in the interval. */
static void test_without_guards_at_once(void)
{
    struct scene s = scene_default();
    s.work_w = s.idle_w = 200;
    struct energy_window w = scene_window(&s, 0, 0), wide = scene_window(&s, 3, 3);
    int answered = 0;
    for (int after_ms = -60; after_ms <= 100; after_ms += 20) {
        g_auto(owned_estimate) e = {0};
        struct seen seen;
        seen_init(&seen, &s, METER_ENERGY, &wide);
        while (seen.channel.points[seen.channel.count - 1].first_ns > s.t1_ns + after_ms * MS)
            seen.channel.count--;
        const struct energy_board board = {.counter = &seen.channel, .idle_w = NAN, .limit_w = NAN};
        energy_estimate_board(&board, &w, NULL, &e);
        if (e.joules.status != QUANTITY_ABSENT) { /* as it is where too much is missing */
            g_assert_cmpint(e.method, ==, ENERGY_METHOD_EDGE_COUNTER);
            g_assert_near(e.raw_j, scene_truth_j(&s), 1);
            answered++;
        }
        seen_clear(&seen);
    }
    g_assert_cmpint(answered, >=, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/energy/without_guards_at_once", test_without_guards_at_once);
    return g_test_run();
}
