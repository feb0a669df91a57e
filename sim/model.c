/* SPDX-License-Identifier: MIT */
/* A board: its truth as a sum of traces, and what sensors and counters make of it. */
#include "sim/truth.h"

#include <math.h>

struct sim_board {
    int64_t origin_ns;
    GPtrArray *traces;
    unsigned generation; /* counts additions, so that counters start their sums anew */
};

struct sim_board *sim_board_new(int64_t origin_ns)
{
    struct sim_board *board = g_new0(struct sim_board, 1);
    board->origin_ns = origin_ns;
    board->traces = g_ptr_array_new_with_free_func((GDestroyNotify)sim_trace_free);
    return board;
}

void sim_board_free(struct sim_board *board)
{
    if (!board)
        return;
    g_ptr_array_unref(board->traces);
    g_free(board);
}

void sim_board_add(struct sim_board *board, struct sim_trace *trace)
{
    g_ptr_array_add(board->traces, trace);
    board->generation++;
}

double sim_board_power_w(struct sim_board *board, int64_t t_ns)
{
    double sum = 0;
    for (unsigned i = 0; i < board->traces->len; i++)
        sum += sim_trace_power_w(board->traces->pdata[i], t_ns);
    return sum;
}

double sim_board_energy_j(struct sim_board *board, int64_t t0_ns, int64_t t1_ns)
{
    double sum = 0;
    for (unsigned i = 0; i < board->traces->len; i++)
        sum += sim_trace_energy_j(board->traces->pdata[i], t1_ns) -
               sim_trace_energy_j(board->traces->pdata[i], t0_ns);
    return sum;
}

static double risen_energy_j(struct sim_board *board, int64_t rise_ns, int64_t t0_ns, int64_t t1_ns)
{
    double sum = 0;
    for (unsigned i = 0; i < board->traces->len; i++)
        sum += sim_trace_risen_energy_j(board->traces->pdata[i], rise_ns, t1_ns) -
               sim_trace_risen_energy_j(board->traces->pdata[i], rise_ns, t0_ns);
    return sum;
}

static double risen_power_w(struct sim_board *board, int64_t rise_ns, int64_t t_ns)
{
    double sum = 0;
    for (unsigned i = 0; i < board->traces->len; i++)
        sum += sim_trace_risen_power_w(board->traces->pdata[i], rise_ns, t_ns);
    return sum;
}

/* --- Sensor -------------------------------------------------------------------------------------------------------------- */

/* Draws that belong to update k of a sensor: the same whenever and in whatever order they are asked for. */
static struct sim_rng update_rng(const struct sim_sensor *sensor, int64_t k, uint64_t purpose)
{
    struct sim_rng rng = {sensor->seed * UINT64_C(0xd1342543de82ef95) + (uint64_t)k * 2 + purpose};
    sim_rng_uniform(&rng);
    return rng;
}

static int64_t update_time(const struct sim_sensor *sensor, int64_t k)
{
    int64_t t = sensor->phase_ns + k * sensor->period_ns;
    if (sensor->jitter_ns <= 0)
        return t;
    struct sim_rng rng = update_rng(sensor, k, 0);
    return t + (int64_t)((2.0 * sim_rng_uniform(&rng) - 1.0) * (double)sensor->jitter_ns);
}

int64_t sim_sensor_update_ns(const struct sim_sensor *sensor, int64_t t_ns, int64_t *ret_index)
{
    if (sensor->period_ns <= 0) {
        *ret_index = t_ns;
        return t_ns;
    }
    int64_t since = t_ns - sensor->phase_ns;
    int64_t k = since / sensor->period_ns - (since % sensor->period_ns < 0);
    /* Jitter is under half a period: the last update is one of three. */
    for (k++; update_time(sensor, k) > t_ns; k--)
        ;
    *ret_index = k;
    return update_time(sensor, k);
}

static double quantise(double value, double quantum)
{
    return quantum > 0 ? floor(value / quantum) * quantum : value;
}

/* Mean of what the ends of the window's periods showed: an average that is made of readings which see a part. */
static double parts_mean_w(struct sim_board *board, const struct sim_sensor *sensor, int64_t end_ns)
{
    int64_t n = MAX(1, sensor->window_ns / MAX(1, sensor->period_ns));
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t to_ns = end_ns - i * sensor->period_ns;
        sum += risen_energy_j(board, sensor->rise_ns, to_ns - sensor->part_ns, to_ns);
    }
    return sum / ((double)n * (double)sensor->part_ns * 1e-9);
}

/* What the update with number k, made at u, reads. */
static double update_value_w(struct sim_board *board, const struct sim_sensor *sensor, int64_t u_ns, int64_t k)
{
    int64_t end_ns = u_ns - sensor->delay_ns;
    double mean = sensor->part_ns > 0 ? parts_mean_w(board, sensor, end_ns)
                  : sensor->window_ns > 0
                      ? risen_energy_j(board, sensor->rise_ns, end_ns - sensor->window_ns, end_ns) /
                            ((double)sensor->window_ns * 1e-9)
                      : risen_power_w(board, sensor->rise_ns, end_ns);
    double value = sensor->gain * mean + sensor->offset_w;
    if (sensor->noise_w > 0) {
        struct sim_rng rng = update_rng(sensor, k, 1);
        value += sensor->noise_w * sim_rng_normal(&rng);
    }
    return quantise(value, sensor->quantum_w);
}

double sim_sensor_read_w(struct sim_board *board, const struct sim_sensor *sensor, int64_t t_ns)
{
    int64_t k;
    int64_t u_ns = sim_sensor_update_ns(sensor, t_ns, &k);
    return update_value_w(board, sensor, u_ns, k);
}

/* --- Counter ------------------------------------------------------------------------------------------------------------- */

struct sim_counting {
    struct sim_board *board;
    struct sim_counter counter;
    unsigned generation;
    int64_t first_index; /* DUTY: index of the last update at or before the origin */
    GArray *sums;        /* DUTY: energy_j after update first_index + i */
    int64_t glitch_index;
};

struct sim_counting *sim_counting_new(struct sim_board *board, const struct sim_counter *counter)
{
    struct sim_counting *c = g_new0(struct sim_counting, 1);
    c->board = board;
    c->counter = *counter;
    c->sums = g_array_new(FALSE, FALSE, sizeof(double));
    c->generation = board->generation;
    sim_sensor_update_ns(&counter->sensor, board->origin_ns, &c->first_index);
    if (counter->glitch_ns != SIM_NEVER) {
        sim_sensor_update_ns(&counter->sensor, counter->glitch_ns - 1, &c->glitch_index);
        c->glitch_index++;
    }
    return c;
}

void sim_counting_free(struct sim_counting *counting)
{
    if (!counting)
        return;
    g_array_unref(counting->sums);
    g_free(counting);
}

static double duty_sum_j(struct sim_counting *c, int64_t index)
{
    const struct sim_sensor *sensor = &c->counter.sensor;
    if (index <= c->first_index || sensor->period_ns <= 0)
        return 0;
    while ((int64_t)c->sums->len < index - c->first_index) {
        int64_t k = c->first_index + 1 + c->sums->len;
        double before = c->sums->len ? g_array_index(c->sums, double, c->sums->len - 1) : 0;
        double sum = before + update_value_w(c->board, sensor, update_time(sensor, k), k) *
                                  (double)sensor->period_ns * 1e-9;
        g_array_append_val(c->sums, sum);
    }
    return g_array_index(c->sums, double, index - c->first_index - 1);
}

/* The sum at update number index, made at u, before faults. */
static double sum_j(struct sim_counting *c, int64_t u_ns, int64_t index)
{
    const struct sim_sensor *sensor = &c->counter.sensor;
    if (c->counter.source == SIM_COUNTER_DUTY)
        return duty_sum_j(c, index);
    int64_t origin_ns = c->board->origin_ns;
    if (u_ns <= origin_ns)
        return 0;
    return sensor->gain * risen_energy_j(c->board, sensor->rise_ns, origin_ns - sensor->delay_ns,
                                         u_ns - sensor->delay_ns) +
           sensor->offset_w * (double)(u_ns - origin_ns) * 1e-9;
}

double sim_counting_read_j(struct sim_counting *c, int64_t t_ns)
{
    if (c->generation != c->board->generation) {
        g_array_set_size(c->sums, 0);
        c->generation = c->board->generation;
    }
    int64_t index;
    int64_t u_ns = sim_sensor_update_ns(&c->counter.sensor, MIN(t_ns, c->counter.stuck_ns), &index);
    double value = sum_j(c, u_ns, index);
    if (u_ns >= c->counter.reset_ns) {
        int64_t reset_index;
        int64_t reset_ns = sim_sensor_update_ns(&c->counter.sensor, c->counter.reset_ns, &reset_index);
        value -= sum_j(c, reset_ns, reset_index);
    }
    if (c->counter.glitch_ns != SIM_NEVER && index == c->glitch_index)
        value -= c->counter.glitch_j;
    return MAX(0, quantise(value, c->counter.quantum_j));
}

int64_t sim_counting_update_ns(const struct sim_counting *c, int64_t t_ns)
{
    int64_t index;
    return sim_sensor_update_ns(&c->counter.sensor, MIN(t_ns, c->counter.stuck_ns), &index);
}

int64_t sim_counting_next_ns(struct sim_counting *c, int64_t t_ns)
{
    if (c->counter.sensor.period_ns <= 0)
        return t_ns + 1;
    int64_t index;
    sim_sensor_update_ns(&c->counter.sensor, t_ns, &index);
    return update_time(&c->counter.sensor, index + 1);
}
