/* SPDX-License-Identifier: MIT */
/* Run-length encoding of readings; counters unwrapped, and refused where their difference would not be energy. */
#include "meter/series.h"

void series_init(struct series *series)
{
    *series = (struct series){.points = g_array_new(FALSE, FALSE, sizeof(struct meter_point))};
}

void series_clear(struct series *series)
{
    g_array_unref(series->points);
}

static struct meter_point *last_point(struct series *series)
{
    return series->points->len
               ? &g_array_index(series->points, struct meter_point, series->points->len - 1)
               : NULL;
}

/* Judges a counter's step from the last good reading; returns its status and the value to store. */
static enum meter_read_status judge(struct series *series, const struct meter_channel *channel,
                                    const struct meter_reading *reading, int64_t *ret_value)
{
    if (__builtin_add_overflow(reading->raw, series->unwrap, ret_value))
        return METER_READ_WRAP_AMBIGUOUS;
    if (!meter_kind_cumulative(channel->kind))
        return meter_plausible(channel, reading->raw) ? METER_READ_OK : METER_READ_IMPLAUSIBLE;
    if (!series->any_ok)
        return METER_READ_OK;
    /* A counter may add at once what it collected since its last visible change. */
    struct meter_reading from = series->last;
    int64_t delta;
    enum meter_read_status status;
    if (channel->wrap) {
        bool fine = meter_counter_delta(channel, &from, reading, &delta, &status);
        if (fine && reading->raw < from.raw) {
            /* Only a forged trace gets so far. */
            if (__builtin_add_overflow(series->unwrap, channel->wrap, &series->unwrap) ||
                __builtin_add_overflow(reading->raw, series->unwrap, ret_value))
                return METER_READ_WRAP_AMBIGUOUS;
        }
        return fine ? METER_READ_OK : status;
    }
    from.before_ns = MIN(from.before_ns, series->edge_lo_ns);
    meter_counter_delta(channel, &from, reading, &delta, &status);
    return status;
}

void series_absorb(struct series *series, const struct meter_channel *channel, const struct meter_reading *reading,
                   int64_t break_ns)
{
    struct meter_point *run = last_point(series);
    enum meter_read_status status = reading->status;
    int64_t value = 0;
    if (status == METER_READ_OK) {
        status = judge(series, channel, reading, &value);
        if (!series->any_ok || reading->raw != series->last.raw || status != METER_READ_OK)
            series->edge_lo_ns = series->any_ok ? series->last.before_ns : reading->before_ns;
        series->last = *reading;
        series->any_ok = true;
    }
    if (run && run->status == status && run->raw == value && reading->before_ns - run->last_ns <= break_ns) {
        run->last_ns = reading->before_ns;
        return;
    }
    struct meter_point next = {
        .lo_ns = run ? run->last_ns : reading->after_ns,
        .first_ns = reading->after_ns,
        .last_ns = reading->before_ns,
        .raw = value,
        .status = status,
    };
    g_array_append_val(series->points, next);
}

/* Number of points that began at or before t. */
static unsigned begun_by(const GArray *points, int64_t t_ns)
{
    unsigned low = 0, high = points->len;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (g_array_index(points, struct meter_point, middle).first_ns <= t_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

GArray *series_copy(const struct series *series, int64_t from_ns, int64_t to_ns)
{
    const GArray *points = series->points;
    unsigned first = begun_by(points, from_ns), end = begun_by(points, to_ns);
    first = first ? first - 1 : 0;
    end = MIN(end + 1, points->len);
    GArray *copy = g_array_new(FALSE, FALSE, sizeof(struct meter_point));
    if (end > first)
        g_array_append_vals(copy, &g_array_index(points, struct meter_point, first), end - first);
    return copy;
}

bool meter_points_rate(const struct meter_channel *channel, const GArray *points, double *ret)
{
    const struct meter_point *p = (const struct meter_point *)(const void *)points->data;
    if (points->len < 2)
        return false;
    for (unsigned i = 0; i < points->len; i++)
        if (p[i].status != METER_READ_OK)
            return false;
    /* The first point is only the value that held; its edge is not known unless a bracket was seen. */
    unsigned first = p[0].lo_ns < p[0].first_ns ? 0 : 1, last = points->len - 1;
    if (last <= first)
        return false;
    double from_s = 0.5e-9 * (double)(p[first].lo_ns + p[first].first_ns);
    double to_s = 0.5e-9 * (double)(p[last].lo_ns + p[last].first_ns);
    *ret = (double)(p[last].raw - p[first].raw) * channel->scale / (to_s - from_s);
    return true;
}
