/* SPDX-License-Identifier: MIT */
/*
 * The bands. With n trials the share covered scatters: a method that covers 95 % shows sd √(0.95·0.05/n) = 0.5 % at n
 * = 2,000 and 1.5 % at n = 200. The bands of the method (92.5 to 98.5 % a stratum, 93 to 97 % pooled) leave 5 sd at
 * 2,000 trials. With fewer than 1,000 they are widened by 3.9 sd of the band's own edge (one-sided 5·10⁻⁵ a band, so
 * that 100 bands together raise a false alarm once in 200 runs of new seeds; the seeds are fixed). The durations of
 * a row are held to the same band together: what is a little off in each of them shows there. p95 is widened
 * likewise: its relative standard error at n = 200 is about 9 % for a normal error (√(p(1 − p)/n) / (x·f(x))), 3.9 of
 * them 35 %; the width of the whole median half-width is far steadier.
 */
#include "accuracy/strata.h"

#include <math.h>

#define SIGMAS      3.9
#define ALARMS_MOST 0.01
#define P95_SLACK   1.35

#define LEAST  0.925
#define MOST   0.985
#define LEAST_POOLED 0.93
#define MOST_POOLED  0.97
/* A pattern within 5 % of the sensor's period beats once or less in the work, where nothing but ten readings tells of
 * it. */
#define NEARLY 0.85

const char *const judge_class_words[] = {
#define X(id, words, most, widest) words,
    JUDGE_CLASS_ROWS(X)
#undef X
};
static const struct {
    double most, widest;
} classes[] = {
#define X(id, words, most, widest) {most, widest},
    JUDGE_CLASS_ROWS(X)
#undef X
};

static bool few(int64_t n)
{
    return n < BANDS_N;
}

static double slack(double share, int64_t n)
{
    return SIGMAS * sqrt(share * (1 - share) / (double)MAX(1, n));
}

static struct band widened(struct band band, int64_t n)
{
    double high = band.high < 1 ? band.high + slack(band.high, n) : 1;
    return (struct band){MAX(0, band.low - slack(band.low, n)), MIN(1, high)};
}

struct band judge_held(struct band band, int64_t n)
{
    return few(n) ? widened(band, n) : band;
}

enum judge_class judge_class_of(const struct stratum *s)
{
    if (stratum_is_tail(s))
        return s->sensor->known ? CLASS_TAIL_KNOWN : CLASS_TAIL;
    if (s->sensor->partial && s->load >= NATURE_LOAD_LOCKED)
        return CLASS_BEAT;
    if (!s->sensor->known)
        return CLASS_UNKNOWN;
    return s->sensor->fine ? CLASS_FINE : s->sensor->partial ? CLASS_PART : CLASS_FULL;
}

double judge_widest(const struct stratum *s)
{
    return classes[judge_class_of(s)].widest;
}

struct band judge_class_band(enum judge_class class)
{
    return (struct band){LEAST, classes[class].most};
}

struct band judge_band(const struct stratum *s)
{
    return judge_class_band(judge_class_of(s));
}

bool judge_is_two_sided(const struct stratum *s)
{
    return s->test == TEST_STATISTICAL && judge_band(s).high < 1;
}

/* Sensors that see everything and have no wider band of their own. (T2 is all gain: in the pool.) */
static bool in_pool(const struct stratum *s)
{
    return s->test == TEST_TOTAL ? s->sensor->known : judge_class_of(s) == CLASS_FULL;
}

static void miss(struct verdict *v, struct tally *t, const struct stratum *s, const char *what, double found,
                 double low, double high)
{
    t->bands_missed++;
    g_string_append_printf(v->missed, "%s %s %s %s %s %g s: %s %.4g, band %.4g to %.4g\n", test_names[s->test],
                           s->sensor->name, nature_load_names[s->load], nature_after_names[s->after],
                           fault_names[s->fault], s->duration_s, what, found, low, high);
}

static void judge_coverage(const struct stratum *s, struct tally *t, struct verdict *v)
{
    double share = (double)t->covered / (double)MAX(1, t->answered);
    struct band band = judge_held(judge_band(s), t->n);
    if (t->answered < t->n)
        miss(v, t, s, "answered", (double)t->answered, (double)t->n, (double)t->n);
    /* The band of T2 is that of the pool: a single load may sit anywhere in the wider band of a stratum. */
    if (!(share >= band.low && share <= band.high))
        miss(v, t, s, "covered", share, band.low, band.high);
    double widest = judge_widest(s) * (few(t->n) ? P95_SLACK : 1);
    if (s->test == TEST_STATISTICAL && isfinite(widest) && !(t->half <= widest * t->p95))
        miss(v, t, s, "half-width / p95", t->half / t->p95, 0, widest);
    if (!in_pool(s))
        return;
    v->pooled[s->test] += (double)t->covered;
    v->pooled_n[s->test] += t->answered;
    v->few[s->test] = v->few[s->test] || few(t->n);
}

static void judge_target(const struct stratum *s, struct tally *t, struct verdict *v)
{
    double target = stratum_target(s) * (few(t->n) ? P95_SLACK : 1);
    if (isnan(target))
        return;
    v->targets++;
    if (t->p95 <= target)
        return;
    v->targets_missed++;
    miss(v, t, s, "p95 of |error|", t->p95, 0, target);
}

/* The names of flags, joined. New string. */
static char *flag_words(uint32_t flags)
{
    GString *words = g_string_new(NULL);
    for (int f = 0; f < ENERGY_FLAG_COUNT; f++) {
        if (flags & (UINT32_C(1) << f))
            g_string_append_printf(words, "%s%s", words->len ? "+" : "", energy_flag_name(f));
    }
    return g_string_free(words, FALSE);
}

/* Not widened: without a fault the estimators raise these flags in none of some 10,000 trials, so that the scatter of
 * N is no reason to allow more; two of 200 pass. */
static void judge_alarms(const struct stratum *s, struct tally *t, struct verdict *v)
{
    double share = (double)t->alarmed / (double)t->n;
    if (!stratum_is_healthy(s))
        return;
    v->healthy += t->n;
    v->alarmed += t->alarmed;
    v->alarmed_most = fmax(v->alarmed_most, share);
    if (share > ALARMS_MOST) {
        g_autofree char *flags = flag_words(t->alarms), *what = g_strdup_printf("false alarms (%s)", flags);
        miss(v, t, s, what, share, 0, ALARMS_MOST);
    }
}

static void judge_flags(const struct stratum *s, struct tally *t, struct verdict *v)
{
    double locks = s->sensor->locks > 0 ? s->sensor->locks : 0.99, fault = s->sensor->known ? 1 : 0.99;
    double want = s->fault == FAULT_NONE ? locks : fault;
    double share = (double)t->flagged / (double)t->n;
    if (share < want)
        miss(v, t, s, "flagged", share, want, 1);
    v->pooled[TEST_FLAGS] += (double)t->flagged;
    v->pooled_n[TEST_FLAGS] += t->n;
}

#define FOUR_PHASES 0.80 /* repeats that keep step with the sensor */

struct band judge_figure_band(const struct stratum *s, enum figure f, const char **ret_why)
{
    double least = LEAST;
    *ret_why = NULL;
    if (s->load == NATURE_LOAD_LOCKED && s->shape == SHAPE_REPEATS && f < FIGURE_LOAD) {
        least = FOUR_PHASES;
        *ret_why = "four phases in step do not show how far the mean of four may be off";
    }
    return (struct band){least, 1};
}

static void judge_run(const struct stratum *s, struct tally *t, struct verdict *v)
{
    for (int f = 0; f < FIGURE_COUNT; f++) {
        const struct figure_tally *g = &t->figures[f];
        const char *why;
        struct band band = judge_held(judge_figure_band(s, f, &why), g->answered);
        double found = (double)g->covered / (double)MAX(1, g->answered);
        g_autofree char *what = g_strdup_printf("%s, %s: covered", shape_names[s->shape], figure_names[f]);
        if (g->answered < t->n || found < band.low)
            miss(v, t, s, what, found, band.low, 1);
    }
}

struct band judge_steps_band(const struct stratum *s)
{
    bool near = s->run.step.low < 1 && s->run.step.high > 1 && s->duration_s < 5;
    return (struct band){near ? NEARLY : LEAST, 1};
}

/* Detection and false alarms: what keeps step must be told, what does not must not be. Ten readings meet steps alike by
 * chance, the more easily as a pattern of the load may be of two or four steps. Between both, any share will do. */
#define TOLD_NEARLY  0.80
#define TOLD_IN_STEP 0.95

static double feared_most(double duration_s)
{
    return duration_s < 5 ? 0.10 : duration_s < 30 ? 0.02 : 0.01;
}

struct band judge_curve_band(enum steps_meeting meeting, double duration_s)
{
    if (meeting == STEPS_APART)
        return (struct band){0, feared_most(duration_s)};
    return (struct band){meeting == STEPS_IN_STEP ? TOLD_IN_STEP : meeting == STEPS_NEARLY ? TOLD_NEARLY : 0, 1};
}

struct steps_met judge_curve(const struct stratum *strata, const struct tally *tallies, size_t count,
                             enum steps_meeting meeting, double duration_s)
{
    struct steps_met all = {0, 0};
    for (size_t i = 0; i < count; i++) {
        if (strata[i].test != TEST_STEPS || strata[i].duration_s != duration_s)
            continue;
        all.n += tallies[i].steps.met[meeting].n;
        all.told += tallies[i].steps.met[meeting].told;
    }
    return all;
}

/* A single row may lie beyond the band of all rows: twice the alarms, or a tenth more of what is in step untold. */
static struct band row_of(struct band band)
{
    return (struct band){MAX(0, band.low - 0.1), band.high < 1 ? 2 * band.high : 1};
}

static bool told_rightly(const struct steps_met *met, struct band band)
{
    double found = (double)met->told / (double)MAX(1, met->n);
    band = judge_held(band, met->n);
    return met->n == 0 || (found >= band.low && found <= band.high);
}

static void judge_row_told(const struct stratum *s, struct tally *t, struct verdict *v)
{
    for (int m = 0; m < STEPS_MEETING_COUNT; m++) {
        const struct steps_met *met = &t->steps.met[m];
        struct band band = row_of(judge_curve_band(m, s->duration_s));
        g_autofree char *what = g_strdup_printf("steps of %g to %g T, jitter %g, alike %s: told", s->run.step.low,
                                                s->run.step.high, s->run.jitter, steps_meeting_words[m]);
        if (!told_rightly(met, band))
            miss(v, t, s, what, (double)met->told / (double)met->n, band.low, band.high);
    }
}

/* All rows of a duration, at its first one. */
static void judge_told(const struct stratum *strata, const struct tally *tallies, size_t count, size_t first,
                       struct verdict *v)
{
    double d = strata[first].duration_s;
    for (size_t i = 0; i < first; i++)
        if (strata[i].test == TEST_STEPS && strata[i].duration_s == d)
            return;
    for (int m = 0; m < STEPS_MEETING_COUNT; m++) {
        struct steps_met met = judge_curve(strata, tallies, count, m, d);
        struct band band = judge_curve_band(m, d);
        if (!told_rightly(&met, band))
            g_string_append_printf(v->missed, "steps of %g s, alike %s: told %.4g, band %.4g to %.4g\n", d,
                                   steps_meeting_words[m], (double)met.told / (double)met.n, band.low, band.high);
    }
}

static void judge_steps(const struct stratum *s, struct tally *t, struct verdict *v)
{
    struct band band = judge_held(judge_steps_band(s), t->n);
    double found = (double)t->covered / (double)MAX(1, t->answered);
    g_autofree char *what = g_strdup_printf("steps of %g to %g T, jitter %g: covered", s->run.step.low,
                                            s->run.step.high, s->run.jitter);
    if (t->answered < t->n || found < band.low)
        miss(v, t, s, what, found, band.low, 1);
    judge_row_told(s, t, v);
}

struct band judge_pool_held(const struct verdict *v, enum test test)
{
    struct band band = {LEAST_POOLED, MOST_POOLED};
    return v->few[test] ? widened(band, v->pooled_n[test]) : band;
}

static void judge_pool(enum test test, struct verdict *v)
{
    double share = v->pooled[test] / (double)MAX(1, v->pooled_n[test]);
    struct band band = judge_pool_held(v, test);
    v->pooled[test] = share;
    if (test == TEST_FLAGS || v->pooled_n[test] == 0)
        return;
    if (!(share >= band.low && share <= band.high))
        g_string_append_printf(v->missed, "%s pooled: covered %.4g, band %.4g to %.4g\n", test_names[test], share,
                               band.low, band.high);
}

static bool is_alike(const struct stratum *a, const struct stratum *b)
{
    return a->test == TEST_STATISTICAL && b->test == TEST_STATISTICAL && a->sensor == b->sensor &&
           a->load == b->load && a->after == b->after;
}

bool judge_together(const struct stratum *strata, const struct tally *tallies, size_t count, size_t first,
                    int64_t *ret_covered, int64_t *ret_n)
{
    int found = 0;
    *ret_covered = *ret_n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_alike(&strata[first], &strata[i]))
            continue;
        if (i < first)
            return false;
        found++;
        *ret_covered += tallies[i].covered;
        *ret_n += tallies[i].answered;
    }
    return found > 1;
}

static void judge_durations(const struct stratum *strata, const struct tally *tallies, size_t count, size_t first,
                            struct verdict *v)
{
    const struct stratum *s = &strata[first];
    int64_t covered, n;
    if (!judge_together(strata, tallies, count, first, &covered, &n))
        return;
    double share = (double)covered / (double)MAX(1, n);
    struct band band = judge_held(judge_band(s), n);
    if (!(share >= band.low && share <= band.high))
        g_string_append_printf(v->missed, "T1 %s %s %s, all durations: covered %.4g, band %.4g to %.4g\n",
                               s->sensor->name, nature_load_names[s->load], nature_after_names[s->after], share,
                               band.low, band.high);
}

void judge(const struct stratum *strata, struct tally *tallies, size_t count, struct verdict *ret)
{
    *ret = (struct verdict){.missed = g_string_new(NULL)};
    for (size_t i = 0; i < count; i++) {
        if (strata[i].test == TEST_RUNS)
            judge_run(&strata[i], &tallies[i], ret);
        if (strata[i].test == TEST_STEPS) {
            judge_steps(&strata[i], &tallies[i], ret);
            judge_told(strata, tallies, count, i, ret);
        }
        if (strata[i].test >= TEST_RUNS)
            continue;
        judge_alarms(&strata[i], &tallies[i], ret);
        if (strata[i].test == TEST_FLAGS) {
            judge_flags(&strata[i], &tallies[i], ret);
            continue;
        }
        judge_coverage(&strata[i], &tallies[i], ret);
        judge_target(&strata[i], &tallies[i], ret);
        judge_durations(strata, tallies, count, i, ret);
    }
    for (int test = 0; test < TEST_RUNS; test++)
        judge_pool(test, ret);
}
