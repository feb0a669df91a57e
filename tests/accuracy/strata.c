/* SPDX-License-Identifier: MIT */
/* Which strata there are, and one stratum's trials. */
#include "accuracy/strata.h"

#include "stats/stats.h"

#include <math.h>
#include <string.h>

uint64_t strata_seed;
const char *const steps_meeting_words[] = {
#define X(id, words, least) words,
    STEPS_MEETINGS(X)
#undef X
};
const char *const test_names[TEST_COUNT] = {"T1", "T2", "T5", "runs", "steps"};

static void add(GArray *list, enum test test, const struct nature_kind *sensor, enum nature_load load,
                enum nature_after after, enum fault fault, double duration_s)
{
    struct stratum s = {test, sensor, load, after, fault, duration_s, SHAPE_ONE, {0}};
    g_array_append_val(list, s);
}

/* A load in step with a sensor that sees a part of the time has no interval to cover but that of the flag. */
static bool beats(const struct nature_kind *k, enum nature_load load)
{
    return k->partial && load == NATURE_LOAD_LOCKED;
}

static void add_kind(GArray *list, const struct nature_kind *k, const double *durations, size_t n)
{
    for (size_t d = 0; d < n; d++) {
        for (int load = 0; load < NATURE_LOAD_STEP; load++) {
            bool told = beats(k, load) && (durations[d] < 10 || k->locks > 0); /* later readings show it */
            if (!beats(k, load) || k->known)
                add(list, told ? TEST_FLAGS : TEST_STATISTICAL, k, load, NATURE_AFTER_IDLE, FAULT_NONE, durations[d]);
        }
        for (int after = NATURE_AFTER_IDLE + 1; after < NATURE_AFTER_COUNT; after++)
            add(list, TEST_STATISTICAL, k, NATURE_LOAD_LLM, after, FAULT_NONE, durations[d]);
    }
    add(list, TEST_TOTAL, k, NATURE_LOAD_STEADY, NATURE_AFTER_IDLE, FAULT_NONE, 5);
    add(list, TEST_TOTAL, k, NATURE_LOAD_LLM, NATURE_AFTER_IDLE, FAULT_NONE, 5);
}

static bool fault_fits(const struct nature_kind *k, enum fault fault)
{
    if (fault == FAULT_GLITCH && (k->ticks || k->poll_ns))
        return false; /* gone before the next poll: neither seen nor harmful */
    return k->kind == METER_ENERGY || fault == FAULT_GAP || fault == FAULT_LOST;
}

static const struct nature_kind *kind_of(const char *name)
{
    for (size_t k = 0; k < nature_kind_count; k++)
        if (g_str_equal(nature_kinds[k].name, name))
            return &nature_kinds[k];
    g_error("no sensor class is called %s", name);
}

/* Whole runs: the sensors of each shape, ended by NULL, and what runs on them. */
static const struct {
    enum shape shape;
    enum nature_load load;
    enum nature_after after;
    const char *sensors[6];
} run_rows[] = {
    {SHAPE_ONE, NATURE_LOAD_STEADY, NATURE_AFTER_IDLE,
     {"rapl-1ms", "counter-full", "average-full", "counter-500", "counter-100/25"}},
    {SHAPE_ONE, NATURE_LOAD_LLM, NATURE_AFTER_IDLE,
     {"rapl-1ms", "counter-full", "average-full", "counter-500", "counter-100/25"}},
    {SHAPE_ONE, NATURE_LOAD_LLM, NATURE_AFTER_TAIL, {"rapl-1ms", "counter-full", "average-full", "counter-100/25"}},
    {SHAPE_ONE, NATURE_LOAD_LLM, NATURE_AFTER_SHELF, {"rapl-1ms", "counter-full", "average-full", "counter-100/25"}},
    {SHAPE_FOUR, NATURE_LOAD_LLM, NATURE_AFTER_IDLE,
     {"counter-full", "counter-full-new", "average-full", "counter-100/25"}},
    {SHAPE_FOUR, NATURE_LOAD_LLM, NATURE_AFTER_SHELF, {"counter-full", "counter-full-new", "counter-100/25"}},
    {SHAPE_FOUR, NATURE_LOAD_LOCKED, NATURE_AFTER_IDLE, {"counter-100/25"}},
    {SHAPE_REPEATS, NATURE_LOAD_LLM, NATURE_AFTER_IDLE, {"counter-20/10", "counter-100/25", "power-100/25"}},
    {SHAPE_REPEATS, NATURE_LOAD_STEPS, NATURE_AFTER_IDLE, {"counter-20/10", "counter-100/25", "power-100/25"}},
    {SHAPE_REPEATS, NATURE_LOAD_LOCKED, NATURE_AFTER_IDLE, {"counter-20/10", "counter-100/25", "power-100/25"}},
};

static void add_runs(GArray *list)
{
    for (size_t i = 0; i < G_N_ELEMENTS(run_rows); i++) {
        for (const char *const *name = run_rows[i].sensors; *name; name++) {
            struct stratum s = {.test = TEST_RUNS, .sensor = kind_of(*name), .load = run_rows[i].load,
                                .after = run_rows[i].after, .duration_s = 5, .shape = run_rows[i].shape};
            g_array_append_val(list, s);
        }
    }
}

const struct span steps_shares[STEPS_SHARES] = {{0.05, 0.15}, {0.15, 0.45}, {0.45, 0.55}, {0.55, 0.95},
                                               {0.95, 1.05}, {1.05, 1.9},  {1.9, 2.1},   {2.1, 4}};
const double steps_jitters[STEPS_JITTERS] = {0.001, 0.01, 0.05};

static void add_steps(GArray *list, const double *durations, size_t n)
{
    for (size_t share = 0; share < STEPS_SHARES; share++)
        for (size_t jitter = 0; jitter < STEPS_JITTERS; jitter++)
            for (size_t d = 0; d < n; d++) {
                struct stratum s = {.test = TEST_STEPS, .sensor = kind_of("counter-100/25"),
                                    .load = NATURE_LOAD_STEP, .duration_s = durations[d],
                                    .run = {.step = steps_shares[share], .jitter = steps_jitters[jitter]}};
                g_array_append_val(list, s);
            }
}

GArray *strata_list(bool smoke)
{
    static const double all[] = {1, 5, 30};
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct stratum));
    for (size_t k = 0; k < nature_kind_count; k++) {
        add_kind(list, &nature_kinds[k], all, smoke ? 2 : 3);
        for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++)
            if (fault_fits(&nature_kinds[k], f))
                add(list, TEST_FLAGS, &nature_kinds[k], NATURE_LOAD_LLM, NATURE_AFTER_IDLE, f, 5);
    }
    add_runs(list);
    add_steps(list, all, smoke ? 1 : 3);
    return list;
}

bool stratum_is_tail(const struct stratum *s)
{
    return s->after != NATURE_AFTER_IDLE;
}

/* --- targets: p95 of |error| in % at 1, 5 and 30 s; 0: none ------------------------------------------------------ */

static const struct {
    const char *sensor;
    bool tail;
    double percent[3];
} targets[] = {
    {"rapl-1ms", false, {0.1, 0.02, 0.01}},     {"rapl-1ms", true, {0.1, 0.02, 0.01}},
    {"counter-full", false, {0.5, 0.1, 0.02}},  {"counter-full-new", false, {0.5, 0.1, 0.02}},
    {"average-full", false, {1.0, 0.25, 0.05}}, {"counter-500", false, {1.5, 0.3, 0.05}},
    {"counter-20/10", false, {1.0, 0.35, 0.12}},
};

double stratum_target(const struct stratum *s)
{
    int column = s->duration_s == 1 ? 0 : s->duration_s == 5 ? 1 : s->duration_s == 30 ? 2 : -1;
    if (s->test != TEST_STATISTICAL || column < 0 || (s->sensor->partial && s->load >= NATURE_LOAD_LOCKED))
        return NAN;
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        if (g_str_equal(targets[i].sensor, s->sensor->name) && targets[i].tail == stratum_is_tail(s))
            return targets[i].percent[column] / 100;
    }
    return NAN;
}

/* --- trials ------------------------------------------------------------------------------------------------------ */

static uint64_t seed_of(const struct stratum *s, int64_t i)
{
    uint64_t h = UINT64_C(1469598103934665603); /* FNV-1a over what names the stratum */
    uint64_t parts[] = {(uint64_t)s->test, (uint64_t)s->load, (uint64_t)s->after, (uint64_t)s->fault,
                        (uint64_t)(s->duration_s * 100)};

    for (const char *p = s->sensor->name; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    for (size_t k = 0; k < G_N_ELEMENTS(parts); k++)
        h = (h ^ parts[k]) * UINT64_C(1099511628211);
    /* of whole runs and of steps alone, so that the trials of the others stay what they are */
    uint64_t more[] = {(uint64_t)s->shape, (uint64_t)(s->run.step.low * 1000), (uint64_t)(s->run.jitter * 1e6)};
    for (size_t k = 0; s->test >= TEST_RUNS && k < G_N_ELEMENTS(more); k++)
        h = (h ^ more[k]) * UINT64_C(1099511628211);
    /* Scrambled: neighbouring states of the generator would be one stream shifted by a draw. */
    struct sim_rng rng = {h ^ (strata_seed * UINT64_C(0x9fb21c651e98df25)) ^
                          ((uint64_t)(i + 1) * UINT64_C(0xff51afd7ed558ccd))};
    h = (uint64_t)(sim_rng_uniform(&rng) * 0x1p53);
    return h * UINT64_C(0xc4ceb9fe1a85ec53) ^ (uint64_t)(sim_rng_uniform(&rng) * 0x1p53);
}

static struct trial make_trial(const struct stratum *s, int64_t i, enum spoil spoil)
{
    return (struct trial){.sensor = s->sensor,
                          .load = s->load,
                          .after = s->after,
                          .fault = s->fault,
                          .spoil = spoil,
                          .duration_s = s->duration_s,
                          .seed = seed_of(s, i),
                          .gain = 1,
                          .offset_w = 0,
                          .run = s->test == TEST_STEPS ? &s->run : NULL};
}

/* A board of the declared prior. */
static void draw_board(struct trial *t)
{
    const struct meter_class *prior = energy_prior_find(t->sensor->told_class);
    struct sim_rng rng = {t->seed ^ UINT64_C(0x5bd1e9955bd1e995)};
    t->gain = 1 + prior->gain_u * sim_rng_normal(&rng);
    t->offset_w = prior->offset_u_w * sim_rng_normal(&rng);
}

static bool wanted_flag(const struct stratum *s, const struct energy_estimate *e)
{
    static const uint32_t by_fault[FAULT_COUNT] = {
        [FAULT_RESET] = ENERGY_FLAG(COUNTER_RESET),
        [FAULT_STUCK] = ENERGY_FLAG(COUNTER_STUCK),
        [FAULT_GAP] = ENERGY_FLAG(GAP),
        [FAULT_GLITCH] = ENERGY_FLAG(COUNTER_RESET),
        [FAULT_LOST] = ENERGY_FLAG(SENSOR_LOST),
    };
    uint32_t want = s->fault != FAULT_NONE                           ? by_fault[s->fault]
                    : beats(s->sensor, s->load) ? ENERGY_FLAG(PHASE_LOCKED)
                                                                     : ENERGY_FLAG(GUARD_NOT_SETTLED);
    return e->flags & want;
}

/* Flags that say that something is wrong with the sensor, or that the load beats with it. */
#define ALARMS                                                                                                       \
    (ENERGY_FLAG(COUNTER_STUCK) | ENERGY_FLAG(COUNTER_RESET) | ENERGY_FLAG(GAP) | ENERGY_FLAG(SENSOR_LOST) |         \
     ENERGY_FLAG(PERIOD_CHANGED))

/* A sensor that sees a part of the time may meet any load in step for a second: how often it is told is reported as a
 * share, beside the share of the loads that keep step (docs/accuracy.md). */
static uint32_t alarms_of(const struct stratum *s)
{
    return s->sensor->partial ? ALARMS : ALARMS | ENERGY_FLAG(PHASE_LOCKED);
}

bool stratum_is_healthy(const struct stratum *s)
{
    return s->test < TEST_RUNS && s->fault == FAULT_NONE && !beats(s->sensor, s->load);
}

struct sample {
    double error, half; /* relative to the truth */
    bool covered;
};

/* T1: the statistical interval alone. T2: the combined one. */
static struct sample judge_energy(const struct stratum *s, const struct outcome *o)
{
    const struct energy_estimate *e = &o->estimate;
    double error = e->joules.value - o->truth_j;
    if (s->test == TEST_TOTAL)
        return (struct sample){error / o->truth_j, (e->joules.high - e->joules.low) / 2 / o->truth_j,
                               e->joules.low <= o->truth_j && o->truth_j <= e->joules.high};
    return (struct sample){error / o->truth_j, e->statistical_j / o->truth_j, fabs(error) <= e->statistical_j};
}

static void print_trial(const struct stratum *s, int64_t i, const struct outcome *o, GString *to)
{
    const struct energy_estimate *e = &o->estimate;
    g_string_append_printf(to, "%s %s %s %s %s %g #%d:", test_names[s->test], s->sensor->name,
                           nature_load_names[s->load], nature_after_names[s->after], fault_names[s->fault],
                           s->duration_s, (int)i);
    double figures[] = {e->joules.value, e->joules.low, e->joules.high,  e->statistical_j, e->systematic_j,
                        e->pre_w,        e->post_w,     e->tail_j.value};
    for (size_t k = 0; k < G_N_ELEMENTS(figures); k++)
        g_string_append_printf(to, " %.17g", figures[k]);
    g_string_append_printf(to, " %s %x\n", energy_method_name(e->method), (unsigned)e->flags);
}

void stratum_print(const struct stratum *s, int64_t n, GString *to)
{
    for (int64_t i = 0; i < n; i++) {
        struct trial trial = make_trial(s, i, SPOIL_NONE);
        if (s->test == TEST_TOTAL)
            draw_board(&trial);
        struct outcome o;
        trial_run(&trial, &o);
        print_trial(s, i, &o, to);
        energy_estimate_clear(&o.estimate);
    }
}

/* --- whole runs -------------------------------------------------------------------------------------------------- */

/* What an error is a share of: the figure itself, but for the tail, which may be nothing. */
static double scale_of(const struct run_outcome *o, enum figure f)
{
    return fabs(o->figures[f == FIGURE_TAIL ? FIGURE_ENERGY : f].truth_j);
}

static void run_stratum(const struct stratum *s, int64_t n, enum spoil spoil, struct tally *ret)
{
    ret->n = n;
    g_autofree double *errors = g_new(double, FIGURE_COUNT * (n + 1)), *halves = g_new(double, FIGURE_COUNT * (n + 1));
    for (int64_t i = 0; i < n; i++) {
        struct trial trial = make_trial(s, i, spoil);
        struct run_outcome o;
        run_trial(&trial, s->shape, &o);
        for (int f = 0; f < FIGURE_COUNT; f++) {
            const struct quantity *q = &o.figures[f].found;
            struct figure_tally *t = &ret->figures[f];
            double error = q->value - o.figures[f].truth_j, shrink = spoil == SPOIL_NARROW ? 0.5 : 1;
            if (q->status == QUANTITY_ABSENT)
                continue;
            bool covered = error <= shrink * (q->value - q->low) && -error <= shrink * (q->high - q->value);
            t->covered += covered;
            t->bias += error / scale_of(&o, f);
            halves[f * n + t->answered] = (q->high - q->low) / 2 / scale_of(&o, f);
            errors[f * n + t->answered++] = fabs(error) / scale_of(&o, f);
        }
    }
    for (int f = 0; f < FIGURE_COUNT; f++) {
        struct figure_tally *t = &ret->figures[f];
        t->bias /= (double)MAX(1, t->answered);
        t->p95 = stats_quantile(&errors[f * n], (size_t)t->answered, 0.95);
        t->half = stats_median(&halves[f * n], (size_t)t->answered);
    }
}

/* --- one stratum ------------------------------------------------------------------------------------------------- */

#define STEPS_MISSED 0.25 /* more of a harmonic is no longer apart */

static const double meetings[] = {
#define X(id, words, least) least,
    STEPS_MEETINGS(X)
#undef X
};

static void count_steps(const struct outcome *o, const struct sample *sample, struct steps_tally *to)
{
    bool locked = o->estimate.flags & ENERGY_FLAG(PHASE_LOCKED);
    const struct nature_meeting *m = &o->meeting;
    int meeting = STEPS_APART;
    while (m->missed > STEPS_MISSED && meeting + 1 < STEPS_MEETING_COUNT && m->alike >= meetings[meeting + 1])
        meeting++;
    to->silent += !sample->covered && !locked;
    if (meeting > STEPS_APART && m->missed < m->alike / 2)
        return;
    to->met[meeting].n++;
    to->met[meeting].told += locked;
}

void stratum_run(const struct stratum *s, int64_t n, enum spoil spoil, struct tally *ret)
{
    g_autofree double *errors = g_new(double, n + 1), *halves = g_new(double, n + 1);
    memset(ret, 0, sizeof *ret);
    ret->n = n;
    if (s->test == TEST_RUNS) {
        run_stratum(s, (n + 1) / 2, spoil, ret); /* dear: half as many */
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        struct trial trial = make_trial(s, i, spoil);
        struct sample sample;
        if (s->test == TEST_TOTAL)
            draw_board(&trial);
        struct outcome o;
        trial_run(&trial, &o);
        ret->locked += !!(o.estimate.flags & ENERGY_FLAG(PHASE_LOCKED));
        if (stratum_is_healthy(s) && (o.estimate.flags & alarms_of(s))) {
            ret->alarmed++;
            ret->alarms |= o.estimate.flags & alarms_of(s);
        }
        ret->below += !!(o.estimate.flags & ENERGY_FLAG(BELOW_RESOLUTION));
        bool told = wanted_flag(s, &o.estimate);
        if (o.estimate.joules.status != QUANTITY_ABSENT) {
            sample = judge_energy(s, &o);
            ret->covered += sample.covered;
            count_steps(&o, &sample, &ret->steps);
            told = told || (beats(s->sensor, s->load) && sample.covered); /* an interval that allows for it will do */
            ret->bias += sample.error;
            errors[ret->answered] = fabs(sample.error);
            halves[ret->answered++] = sample.half;
        }
        ret->flagged += told;
        energy_estimate_clear(&o.estimate);
    }
    ret->bias /= (double)MAX(1, ret->answered);
    ret->p95 = stats_quantile(errors, (size_t)ret->answered, 0.95);
    ret->half = stats_median(halves, (size_t)ret->answered);
}
