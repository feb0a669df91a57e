/* SPDX-License-Identifier: MIT */
/* The simulated board against closed forms and against brute force. */
#include "sim/model.h"

#include <glib.h>
#include <math.h>

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)
#define assert_near(a, b, tolerance) g_assert_cmpfloat_with_epsilon(a, b, tolerance)

static struct sim_board *board_of(struct sim_trace *trace)
{
    struct sim_board *board = sim_board_new(0);
    sim_board_add(board, trace);
    return board;
}

static struct sim_trace *step_trace(double low_w, double high_w, int64_t at_ns)
{
    struct sim_trace *trace = sim_trace_new(0);
    sim_trace_append(trace, at_ns, low_w);
    sim_trace_append(trace, 1, high_w);
    return trace;
}

static void test_integral_of_step(void)
{
    struct sim_board *board = board_of(step_trace(100, 300, 2 * SEC));
    assert_near(sim_board_energy_j(board, 0, 4 * SEC), 100 * 2 + 300 * 2, 1e-9);
    assert_near(sim_board_energy_j(board, -SEC, SEC), 200, 1e-9);
    assert_near(sim_board_energy_j(board, 1999 * MS, 2001 * MS), 0.4, 1e-9);
    assert_near(sim_board_energy_j(board, 3 * SEC, SEC), -400, 1e-9);
    assert_near(sim_board_power_w(board, 2 * SEC - 1), 100, 1e-12);
    assert_near(sim_board_power_w(board, 2 * SEC), 300, 1e-12);
    sim_board_free(board);
}

/* Any load: the oracle equals a fine Riemann sum of the power it claims. */
static void test_integral_of_llm(void)
{
    struct sim_rng rng = {7};
    struct sim_trace *trace = sim_trace_new(0);
    sim_load_llm(trace, SEC, 3 * SEC, 1.0, &rng);
    sim_load_tail(trace, 3 * SEC, 60, SEC);
    struct sim_board *board = board_of(trace);
    sim_board_add(board, sim_wander_new(0, 20 * MS, 2.0, 200 * MS, 3));
    double sum = 0;
    const int64_t step = MS / 10;
    for (int64_t t = SEC / 2; t < 5 * SEC; t += step)
        sum += sim_board_power_w(board, t + step / 2) * 1e-4;
    double exact = sim_board_energy_j(board, SEC / 2, 5 * SEC);
    g_assert_cmpfloat(fabs(sum - exact) / exact, <, 1e-3);
    /* The tail keeps the area of its exponential. */
    struct sim_trace *tail = sim_trace_new(0);
    sim_load_tail(tail, 0, 60, SEC);
    struct sim_board *cooling = board_of(tail);
    assert_near(sim_board_energy_j(cooling, 0, 30 * SEC), 60, 0.02);
    sim_board_free(cooling);
    sim_board_free(board);
}

static void test_sensor_window_delay_gain(void)
{
    struct sim_board *board = board_of(step_trace(100, 300, SEC));
    struct sim_sensor sensor = {.period_ns = 100 * MS, .window_ns = 100 * MS, .delay_ns = 50 * MS,
                                .gain = 1.05, .offset_w = -5, .quantum_w = 0.001};
    /* The update at 1.1 s sees [0.95, 1.05]: half low, half high. */
    assert_near(sim_sensor_read_w(board, &sensor, 1100 * MS), 1.05 * 200 - 5, 0.0011);
    assert_near(sim_sensor_read_w(board, &sensor, 1199 * MS), 1.05 * 200 - 5, 0.0011);
    assert_near(sim_sensor_read_w(board, &sensor, 1000 * MS), 1.05 * 100 - 5, 0.0011);
    assert_near(sim_sensor_read_w(board, &sensor, 1200 * MS), 1.05 * 300 - 5, 0.0011);
    sim_board_free(board);
}

/* A step through a lag of τ, seen by a window: closed form of the mean of 1 − e^(−t/τ). */
static void test_sensor_rise(void)
{
    struct sim_board *board = board_of(step_trace(0, 100, SEC));
    const double tau = 0.1, w = 0.05;
    struct sim_sensor sensor = {.period_ns = 0, .window_ns = 50 * MS, .rise_ns = 100 * MS, .gain = 1};
    for (int i = 1; i < 10; i++) {
        double end = 0.05 * i;
        double mean = 100 * (1 - tau / w * (exp(-(end - w) / tau) - exp(-end / tau)));
        assert_near(sim_sensor_read_w(board, &sensor, SEC + 50 * i * MS), mean, 1e-7);
    }
    sensor.window_ns = 0;
    assert_near(sim_sensor_read_w(board, &sensor, SEC + 100 * MS), 100 * (1 - exp(-1)), 1e-9);
    sim_board_free(board);
}

static void test_update_jitter(void)
{
    struct sim_sensor sensor = {.period_ns = 100 * MS, .phase_ns = 17 * MS, .jitter_ns = 30 * MS, .gain = 1, .seed = 5};
    int64_t index, before = INT64_MIN;
    double spread = 0;
    for (int64_t t = -SEC; t < 20 * SEC; t += 3 * MS) {
        int64_t u = sim_sensor_update_ns(&sensor, t, &index);
        g_assert_cmpint(u, <=, t);
        g_assert_cmpint(u, >=, before); /* never an older update later */
        g_assert_cmpint(ABS(u - (sensor.phase_ns + index * sensor.period_ns)), <=, sensor.jitter_ns);
        spread = MAX(spread, fabs((double)(u - (sensor.phase_ns + index * sensor.period_ns))));
        before = u;
    }
    g_assert_cmpfloat(spread, >, 20e6);
}

static void test_counter_follows_truth(void)
{
    struct sim_rng rng = {11};
    struct sim_trace *trace = sim_trace_new(0);
    sim_trace_append(trace, SEC, 0);
    sim_load_llm(trace, SEC, 9 * SEC, 1.0, &rng);
    struct sim_board *board = board_of(trace);
    struct sim_trace *idle = sim_trace_new(0);
    sim_trace_append(idle, 1, 115);
    sim_board_add(board, idle);
    struct sim_counter counter = {.source = SIM_COUNTER_TRUTH, .quantum_j = 0.001, .reset_ns = SIM_NEVER,
                                  .stuck_ns = SIM_NEVER, .glitch_ns = SIM_NEVER,
                                  .sensor = {.period_ns = 100 * MS, .gain = 1}};
    struct sim_counting *counting = sim_counting_new(board, &counter);
    assert_near(sim_counting_read_j(counting, 10 * SEC) - sim_counting_read_j(counting, 500 * MS),
                sim_board_energy_j(board, 500 * MS, 10 * SEC), 0.0021);
    /* Stale between updates, and the next change is where it says. */
    assert_near(sim_counting_read_j(counting, 3099 * MS), sim_counting_read_j(counting, 3000 * MS), 1e-12);
    g_assert_cmpint(sim_counting_next_ns(counting, 3050 * MS), ==, 3100 * MS);
    g_assert_cmpfloat(sim_counting_read_j(counting, 3100 * MS), >, sim_counting_read_j(counting, 3099 * MS));
    /* A full-window duty sum sees the same energy; a quarter window sees a locked load wrongly. */
    counter.source = SIM_COUNTER_DUTY;
    counter.sensor.window_ns = 100 * MS;
    struct sim_counting *full = sim_counting_new(board, &counter);
    assert_near(sim_counting_read_j(full, 10 * SEC), sim_board_energy_j(board, 0, 10 * SEC), 0.01);
    sim_counting_free(full);
    struct sim_trace *square = sim_trace_new(0);
    sim_load_square(square, 0, 20 * SEC, 100 * MS, 0.5, 200, 0);
    struct sim_board *locked = board_of(square);
    counter.sensor.window_ns = 25 * MS;
    struct sim_counting *quarter = sim_counting_new(locked, &counter);
    assert_near(sim_board_energy_j(locked, 0, 10 * SEC), 1000, 1e-6);
    g_assert_cmpfloat(sim_counting_read_j(quarter, 10 * SEC), <, 1); /* sees only the low quarter */
    sim_counting_free(quarter);
    sim_board_free(locked);
    sim_counting_free(counting);
    sim_board_free(board);
}

static void test_counter_faults(void)
{
    struct sim_board *board = board_of(step_trace(100, 100, SEC));
    struct sim_counter counter = {.source = SIM_COUNTER_TRUTH, .quantum_j = 0.001, .reset_ns = 3 * SEC,
                                  .stuck_ns = 5 * SEC, .glitch_ns = 2 * SEC, .glitch_j = 30,
                                  .sensor = {.period_ns = 100 * MS, .gain = 1}};
    struct sim_counting *counting = sim_counting_new(board, &counter);
    assert_near(sim_counting_read_j(counting, 1950 * MS), 190, 0.002);
    assert_near(sim_counting_read_j(counting, 2050 * MS), 170, 0.002); /* glitch */
    assert_near(sim_counting_read_j(counting, 2150 * MS), 210, 0.002);
    assert_near(sim_counting_read_j(counting, 3500 * MS), 50, 0.002); /* reset */
    assert_near(sim_counting_read_j(counting, 6 * SEC), 200, 0.002);  /* stuck at 5 s */
    assert_near(sim_counting_read_j(counting, 9 * SEC), 200, 0.002);
    sim_counting_free(counting);
    sim_board_free(board);
}

static void test_wander_is_stationary(void)
{
    struct sim_board *board = board_of(sim_wander_new(0, 20 * MS, 2.0, 200 * MS, 42));
    double sum = 0, squares = 0, lagged = 0;
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        double x = sim_board_power_w(board, (int64_t)i * 20 * MS);
        sum += x;
        squares += x * x;
        lagged += x * sim_board_power_w(board, (int64_t)(i + 10) * 20 * MS);
    }
    assert_near(sum / n, 0, 0.2);
    assert_near(sqrt(squares / n), 2.0, 0.15);
    assert_near(lagged / squares, exp(-1), 0.06);
    sim_board_free(board);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/integral/step", test_integral_of_step);
    g_test_add_func("/model/integral/llm", test_integral_of_llm);
    g_test_add_func("/model/sensor/window_delay_gain", test_sensor_window_delay_gain);
    g_test_add_func("/model/sensor/rise", test_sensor_rise);
    g_test_add_func("/model/sensor/jitter", test_update_jitter);
    g_test_add_func("/model/counter/truth_and_duty", test_counter_follows_truth);
    g_test_add_func("/model/counter/faults", test_counter_faults);
    g_test_add_func("/model/wander", test_wander_is_stationary);
    return g_test_run();
}
