/* SPDX-License-Identifier: MIT */
/*
 * From the sampler's runs of equal readings to edges: moments at which a cumulative energy is known.
 *
 * An edge lies somewhere in its bracket (old value last seen, new value first seen). Sensors refresh on a grid, so a
 * local straight line through the brackets places each edge better than its own bracket can; it is never moved out of
 * the bracket, so a grid that is not one does no harm.
 */
#include "energy/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIT_REACH 8 /* choice: edges on either side of a local fit; 17 of them place one up to four times better */

static double seconds(int64_t t_ns, const struct energy_window *window)
{
    return clock_seconds(t_ns - window->t0_ns);
}

static bool inside(const struct meter_point *p, const struct energy_window *window)
{
    return p->first_ns >= window->guard_from_ns && p->lo_ns <= window->guard_to_ns;
}

#define JUMPED "the energy counter went backwards or jumped within the guards"

/* What a reading without a number does to the series. */
static void note_bad(const struct meter_point *p, struct edges *ret)
{
    switch (p->status) {
    case METER_READ_BACKWARDS:
    case METER_READ_IMPLAUSIBLE:
        ret->flags |= ENERGY_FLAG(COUNTER_RESET);
        ret->broken = JUMPED;
        break;
    case METER_READ_WRAP_AMBIGUOUS:
        ret->flags |= ENERGY_FLAG(GAP);
        ret->broken = "the counter may have wrapped more than once between two readings: read it more often";
        break;
    case METER_READ_ERROR:
    case METER_READ_NOT_READY:
        ret->flags |= ENERGY_FLAG(GAP);
        break;
    default:
        ret->flags |= ENERGY_FLAG(SENSOR_LOST);
        ret->broken = "the sensor failed within the guards";
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_in_place(double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare);
    return stats_quantile_sorted(x, n, 0.5);
}

/* Choices: changes that are known to be refreshes, and how much of a period lies between any two of them. Readings of a
 * faster sensor that repeat by chance change at times one refresh apart. */
#define REGULAR_MIN  6
#define REGULAR_GAP  0.7
#define SLOWER_TIMES 1.5

static bool is_regular(const struct edges *e)
{
    for (size_t i = 1; i < e->n; i++)
        if (e->at[i].t - e->at[i - 1].t < REGULAR_GAP * e->period)
            return false;
    return e->n >= REGULAR_MIN;
}

static void find_period(struct edges *e)
{
    g_autofree double *x = g_new(double, e->n + 1);
    e->period = NAN;
    for (size_t i = 0; i < e->n; i++)
        x[i] = e->at[i].poll;
    e->step = e->n ? median_in_place(x, e->n) : 0;
    if (e->n < 3)
        return;
    for (size_t i = 0; i < e->n; i++)
        x[i] = e->at[i].t;
    e->period = stats_grid_period(x, e->n);
    e->regular = is_regular(e);
}

/* The trace shows a period that is much longer than the one that was told. */
static bool is_slower(const struct edges *e, const struct sensor *sensor)
{
    bool told = sensor->counter || e->regular;
    return told && !sensor->modelled && e->period > SLOWER_TIMES * sensor->period && e->period > 3 * e->step;
}

#define GRID_ALIKE  0.2  /* choice: T of the trace and T by characterisation; further apart they are not one */
#define GRID_TOLD   1.2  /* choice: polls in a period, some above the one below which refreshes cannot be told apart */
#define GRID_JITTER 0.02 /* of T, by which a refresh may be off: recorded boards scatter by 1 to 2 % (SC'24) */

/* Polls at half of T leave the gap between two edges open between one period and two. Where on the grid a refresh can
 * lie follows from all brackets before it, which together leave no doubt. */
static void count_refreshes(struct edges *e, double period)
{
    double lo = e->at[0].lo, hi = e->at[0].hi;
    for (size_t i = 1; i < e->n; i++) {
        struct edge *edge = &e->at[i];
        double guess = round((edge->t - (lo + hi) / 2) / period), most = -INFINITY, n = 1;
        for (double k = MAX(1, guess - 1); k <= guess + 1; k++) {
            double common = MIN(hi + k * period, edge->hi) - MAX(lo + k * period, edge->lo);
            n = common > most ? k : n;
            most = MAX(most, common);
        }
        double slack = n * period * GRID_JITTER;
        lo = MAX(lo + n * period - slack, edge->lo);
        hi = MIN(hi + n * period + slack, edge->hi);
        if (lo > hi) {
            lo = edge->lo;
            hi = edge->hi;
        }
        edge->index = e->at[i - 1].index + n;
    }
}

/* T by the line through the edges over counted refreshes. */
static double period_of(const struct edges *e)
{
    double mx = 0, my = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < e->n; i++) {
        mx += e->at[i].index / (double)e->n;
        my += e->at[i].t / (double)e->n;
    }
    for (size_t i = 0; i < e->n; i++) {
        sxx += (e->at[i].index - mx) * (e->at[i].index - mx);
        sxy += (e->at[i].index - mx) * (e->at[i].t - my);
    }
    return sxy / sxx;
}

static void forget_count(struct edges *e)
{
    for (size_t i = 0; i < e->n; i++)
        e->at[i].index = 0;
}

static void count_on_grid(struct edges *e, const struct sensor *sensor)
{
    bool alike = fabs(e->period / sensor->period - 1) < GRID_ALIKE;
    if (!sensor->counter || sensor->sees_all || !sensor->characterised || !alike ||
        sensor->period < GRID_TOLD * e->step)
        return;
    count_refreshes(e, sensor->period);
    double period = period_of(e);
    if (fabs(period / sensor->period - 1) < GRID_JITTER)
        e->period = period;
    else
        forget_count(e); /* the trace has another grid than the one that was told */
}

/* Straight line through the midpoints of the brackets around edge i, over counted periods; its value at i. */
static void place(struct edges *e, const double *middle, const double *index, size_t i)
{
    size_t from = i > FIT_REACH ? i - FIT_REACH : 0, to = MIN(e->n - 1, i + FIT_REACH);
    double n = (double)(to - from + 1), mx = 0, my = 0, sxx = 0, sxy = 0, rss = 0, bracket = 0;
    struct edge *edge = &e->at[i];
    for (size_t k = from; k <= to; k++) {
        double half = (e->at[k].hi - e->at[k].lo) / 2;
        mx += index[k] / n;
        my += middle[k] / n;
        bracket += half * half / 3 / n;
    }
    for (size_t k = from; k <= to; k++) {
        sxx += (index[k] - mx) * (index[k] - mx);
        sxy += (index[k] - mx) * (middle[k] - my);
    }
    double slope = sxy / sxx;
    for (size_t k = from; k <= to; k++) {
        double r = middle[k] - my - slope * (index[k] - mx);
        rss += r * r;
    }
    double r2 = rss / (n - 2);
    double jitter2 = MIN(MAX(0, r2 - bracket), edge->u_t * edge->u_t);
    edge->t = CLAMP(my + slope * (index[i] - mx), edge->lo, edge->hi);
    edge->u_t = MIN(edge->u_t, sqrt(MAX(r2, bracket) * (1 / n + (index[i] - mx) * (index[i] - mx) / sxx) + jitter2));
}

static void regularise(struct edges *e)
{
    if (e->n < 6 || e->period < 2 * e->step) /* too few, or every poll finds a new value: no grid to see */
        return;
    g_autofree double *middle = g_new(double, e->n);
    g_autofree double *index = g_new0(double, e->n);
    for (size_t i = 0; i < e->n; i++)
        middle[i] = e->at[i].t;
    for (size_t i = 1; i < e->n; i++)
        index[i] = index[i - 1] + MAX(1, round((middle[i] - middle[i - 1]) / e->period));
    for (size_t i = 0; i < e->n; i++)
        place(e, middle, index, i);
}

/* A period that was only assumed may be 0.5 s (GeForce) or, by the driver's registry, up to 1 s: 2.5 times that.
 * STUCK_MIN_S: a choice, ten steps of the sampler, however fast the counter. */
#define STUCK_UNKNOWN_S 2.5
#define STUCK_MIN_S     0.1

/* Runs of equal readings longer than any refresh: a counter at work never stands still. */
static void check_stuck(const struct meter_point *p, const struct sensor *sensor, struct edges *ret)
{
    double held = clock_seconds(p->last_ns - p->first_ns);
    double allowed = fmax(5 * sensor->period, sensor->characterised ? STUCK_MIN_S : STUCK_UNKNOWN_S);
    if (!sensor->counter || sensor->modelled || held <= allowed)
        return;
    ret->flags |= ENERGY_FLAG(COUNTER_STUCK);
    ret->broken = "the energy counter stood still for longer than five of its periods";
}

/* Longer without a reading than the sampler's jitter explains. */
static bool is_gap(double missing, const struct sensor *sensor)
{
    return missing > reading_slack(sensor);
}

static bool lies_over(int64_t from_ns, int64_t to_ns, int64_t t_ns)
{
    return from_ns < t_ns && to_ns > t_ns;
}

/* Time without readings inside the guards. Over an end of the window nobody knows on which side of it power changed:
 * what is missing counts twice there, and where it is longer than the window there is no number of power. */
static void note_gap(int64_t from_ns, int64_t to_ns, const struct sensor *sensor, const struct energy_window *window,
                     struct edges *ret)
{
    double missing = clock_seconds(to_ns - from_ns);
    bool over_end = lies_over(from_ns, to_ns, window->t0_ns) || lies_over(from_ns, to_ns, window->t1_ns);
    if (!is_gap(missing, sensor))
        return;
    ret->flags |= ENERGY_FLAG(GAP);
    ret->gap += over_end ? 2 * missing : missing;
    if (over_end && !sensor->counter && missing > clock_seconds(window->t1_ns - window->t0_ns)) {
        snprintf(ret->text, sizeof ret->text, "no reading from %.2f s to %.2f s of the work's %.2f s",
                 seconds(from_ns, window), seconds(to_ns, window), seconds(window->t1_ns, window));
        ret->broken = ret->text;
    }
}

/* A reading that nothing can have drawn. Of a counter it breaks all differences, of power only itself. */
static bool is_dropped(const struct meter_point *p, double value, const struct sensor *sensor,
                       const struct edges *edges)
{
    return !sensor->counter && (p->status == METER_READ_IMPLAUSIBLE || value > edges->bound);
}

static void note_dropped(struct edges *ret)
{
    ret->flags |= ENERGY_FLAG(READINGS_DROPPED);
    ret->dropped++;
}

static void add_edge(const struct meter_point *p, int64_t lo_ns, double value, const struct sensor *sensor,
                     const struct energy_window *window, struct edges *ret)
{
    struct edge *edge = &ret->at[ret->n++];
    edge->lo = seconds(lo_ns, window);
    edge->hi = seconds(p->first_ns, window);
    edge->poll = edge->hi - edge->lo;
    if (sensor->counter) /* the last refresh before a reading is at most one period old */
        edge->lo = MAX(edge->lo, edge->hi - sensor->period);
    edge->t = (edge->lo + edge->hi) / 2;
    edge->u_t = (edge->hi - edge->lo) / sqrt(12);
    edge->c = edge->p = value;
}

/* A reading that changed nothing (a run broken by a gap) is no edge; nor is the very first value, there for an
 * unknown time. */
static void collect(const struct energy_channel *channel, const struct energy_window *window,
                    const struct sensor *sensor, struct edges *ret)
{
    const struct meter_point *before = NULL; /* last run with a number that later ones may be compared with */
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < channel->count; i++) {
        const struct meter_point *p = &channel->points[i];
        double value = (double)p->raw * channel->info->scale;
        if (is_dropped(p, value, sensor, ret)) {
            if (inside(p, window))
                note_dropped(ret);
            continue;
        }
        if (p->status != METER_READ_OK) {
            if (inside(p, window))
                note_bad(p, ret);
            if (p->status != METER_READ_ERROR && p->status != METER_READ_NOT_READY)
                before = NULL;
            continue;
        }
        if (p->last_ns >= window->guard_from_ns && p->first_ns <= window->guard_to_ns)
            check_stuck(p, sensor, ret);
        if (before && inside(p, window))
            note_gap(before->last_ns, p->first_ns, sensor, window, ret);
        if (before && before->raw != p->raw)
            add_edge(p, before->last_ns, value, sensor, window, ret);
        low = MIN(low, value);
        high = MAX(high, value);
        before = p;
    }
    ret->spread = ret->n ? high - low : 0;
}

/* A moment inside a run of equal readings: nothing changed there, and nothing is uncertain about it. */
static struct edge knot(double t, double p)
{
    return (struct edge){.t = t, .lo = t, .hi = t, .p = p};
}

/* Knots one period apart from `from` (excluded) to `to` (excluded), where a reading merely repeats. */
static void add_knots(GArray *all, double from, double to, double p, double period)
{
    for (double t = from + period; t < to - period / 2; t += period) {
        struct edge k = knot(t, p);
        g_array_append_val(all, k);
    }
}

/* The last run with a number; NULL: there is none. */
static const struct meter_point *last_good(const struct energy_channel *channel, double bound)
{
    for (size_t i = channel->count; i-- > 0;) {
        const struct meter_point *p = &channel->points[i];
        if (p->status == METER_READ_OK && (double)p->raw * channel->info->scale <= bound)
            return p;
    }
    return NULL;
}

/* Steady power repeats its reading; the series then has moments between its edges all the same. */
static void fill_runs(struct edges *e, const struct energy_channel *channel, const struct energy_window *window,
                      double period)
{
    const struct meter_point *first = &channel->points[0], *last = last_good(channel, e->bound);
    GArray *all = g_array_new(FALSE, TRUE, sizeof(struct edge));
    double end = last ? seconds(last->last_ns, window) : -INFINITY;
    struct edge start = knot(seconds(first->first_ns, window), (double)first->raw * channel->info->scale);
    if (first->status == METER_READ_OK && start.p <= e->bound)
        g_array_append_val(all, start);
    for (size_t i = 0; i <= e->n; i++) {
        double to = i < e->n ? e->at[i].t : end;
        if (all->len) {
            const struct edge *before = &g_array_index(all, struct edge, all->len - 1);
            add_knots(all, before->t, to, before->p, period);
        }
        if (i < e->n)
            g_array_append_val(all, e->at[i]);
    }
    g_free(e->at);
    e->n = all->len;
    e->at = (struct edge *)(void *)g_array_free(all, FALSE);
}

/* c of a power series: each reading holds until the next; what holds until t was used until about one period before. */
static void sum_power(struct edges *e, double period)
{
    double sum = 0;
    for (size_t i = 0; i < e->n; i++) {
        double held = i ? e->at[i].t - e->at[i - 1].t : 0;
        sum += i ? e->at[i - 1].p * held : 0;
        e->at[i].c = sum;
    }
    for (size_t i = 0; i < e->n; i++) {
        e->at[i].t -= period;
        e->at[i].lo -= period;
        e->at[i].hi -= period;
    }
}

void edges_extract(const struct energy_channel *channel, const struct energy_window *window, struct edges *ret)
{
    struct sensor sensor = sensor_of(channel);
    memset(ret, 0, sizeof *ret);
    ret->period = NAN;
    ret->at = g_new0(struct edge, channel->count + 1);
    ret->bound = plausible_bound(channel, &sensor, window);
    collect(channel, window, &sensor, ret);
    if (counter_jumped(channel, &sensor, ret, window)) {
        ret->flags |= ENERGY_FLAG(COUNTER_RESET);
        ret->broken = JUMPED;
    }
    find_period(ret);
    count_on_grid(ret, &sensor);
    if (channel->count == 0)
        ret->broken = "no readings";
    else if (ret->n == 0 && !ret->broken)
        ret->broken = sensor.modelled ? NULL : "the value never changed";
    if (sensor.counter && ret->n == 0 && channel->count > 0 && !sensor.modelled)
        ret->flags |= ENERGY_FLAG(COUNTER_STUCK);
    ret->slower = is_slower(ret, &sensor);
    if (ret->slower)
        ret->flags |= ENERGY_FLAG(PERIOD_CHANGED);
    regularise(ret);
    if (!sensor.counter && channel->count > 0) {
        /* longer by less is no news: readings repeat */
        double period = ret->slower ? ret->period : fmin(ret->period, sensor.period);
        fill_runs(ret, channel, window, period);
        sum_power(ret, period);
    }
}

int64_t energy_period_changed(const struct energy_channel *channel, const struct energy_window *window)
{
    int64_t period_ns = 0;
    struct edges edges;
    edges_extract(channel, window, &edges);
    if (edges.flags & ENERGY_FLAG(PERIOD_CHANGED))
        period_ns = llround(edges.period * 1e9);
    edges_clear(&edges);
    return period_ns;
}

void edges_clear(struct edges *edges)
{
    g_clear_pointer(&edges->at, g_free);
    edges->n = 0;
}

ssize_t edges_last_before(const struct edges *edges, double t)
{
    size_t low = 0, high = edges->n; /* hi ascends with the index */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (edges->at[middle].hi <= t)
            low = middle + 1;
        else
            high = middle;
    }
    return (ssize_t)low - 1;
}

size_t edges_first_after(const struct edges *edges, double t)
{
    size_t low = 0, high = edges->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (edges->at[middle].lo < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double edges_at(const struct edges *e, double t)
{
    size_t low = 0, high = e->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (e->at[middle].t <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return e->at[0].c;
    if (low == e->n)
        return e->at[e->n - 1].c;
    return e->at[low - 1].c +
           (e->at[low].c - e->at[low - 1].c) * (t - e->at[low - 1].t) / (e->at[low].t - e->at[low - 1].t);
}
