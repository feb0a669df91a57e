/* SPDX-License-Identifier: MIT */
/* The same tallies as a table for people, as JSON, and as the page docs/accuracy.md. */
#include "accuracy/strata.h"

#include <math.h>
#include <stdio.h>

static double share(int64_t part, int64_t of)
{
    return of > 0 ? (double)part / (double)of : NAN;
}

/* Loads after which the board idles are named by themselves, the others by what it does then. */
static const char *load_of(const struct stratum *s)
{
    return s->after == NATURE_AFTER_IDLE ? nature_load_names[s->load] : nature_after_names[s->after];
}

static void print_run(const struct stratum *s, const struct tally *t)
{
    for (int f = 0; f < FIGURE_COUNT; f++) {
        const struct figure_tally *g = &t->figures[f];
        printf("runs %-17s %-7s %-25s %-8s %6g p95 %8.4f half %8.4f bias %8.4f covered %.4f%s\n", s->sensor->name,
               load_of(s), shape_names[s->shape], figure_names[f], s->duration_s, 100 * g->p95, 100 * g->half,
               100 * g->bias, share(g->covered, g->answered), t->bands_missed ? "  MISSED" : "");
    }
}

static void print_steps(const struct stratum *s, const struct tally *t)
{
    const struct steps_met *in_step = &t->steps.met[STEPS_IN_STEP], *apart = &t->steps.met[STEPS_APART];
    printf("steps %g to %g T, jitter %g, %g s: covered %.4f, flagged %.4f; in step %.4f, of them told %.4f; apart %.4f, "
           "of them told %.4f; silent %.4f; half %.4f%s\n",
           s->run.step.low, s->run.step.high, s->run.jitter, s->duration_s, share(t->covered, t->answered),
           share(t->locked, t->n), share(in_step->n, t->n), share(in_step->told, in_step->n), share(apart->n, t->n),
           share(apart->told, apart->n), share(t->steps.silent, t->n), 100 * t->half,
           t->bands_missed ? "  MISSED" : "");
}

void report_table(const struct stratum *strata, const struct tally *tallies, size_t count, const struct verdict *v)
{
    printf("%-4s %-17s %-11s %-7s %6s %9s %9s %9s %8s %8s %8s %8s\n", "test", "sensor", "load", "fault", "D/s",
           "p95/%", "target/%", "half/%", "bias/%", "covered", "flagged", "alarmed");
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        const struct tally *t = &tallies[i];
        if (s->test == TEST_RUNS)
            print_run(s, t);
        if (s->test == TEST_STEPS)
            print_steps(s, t);
        if (s->test >= TEST_RUNS)
            continue;
        printf("%-4s %-17s %-11s %-7s %6g %9.4f %9.4g %9.4f %8.4f %8.4f %8.4f %8.4f%s\n", test_names[s->test],
               s->sensor->name, load_of(s), fault_names[s->fault], s->duration_s, 100 * t->p95,
               100 * stratum_target(s), 100 * t->half, 100 * t->bias, share(t->covered, t->answered),
               share(t->flagged, t->n), share(t->alarmed, t->n), t->bands_missed ? "  MISSED" : "");
    }
    for (int test = 0; test < TEST_RUNS; test++)
        printf("%s pooled: %.4f of %" G_GINT64_FORMAT "\n", test_names[test], v->pooled[test], v->pooled_n[test]);
    printf("false alarms: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "\n", v->alarmed, v->healthy);
    printf("targets missed: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "\n%s", v->targets_missed, v->targets,
           v->missed->str);
}

static void add_figures(json_t *row, const struct stratum *s, const struct tally *t)
{
    json_t *all = json_object();
    for (int f = 0; f < FIGURE_COUNT; f++) {
        const struct figure_tally *g = &t->figures[f];
        json_t *one = json_object();
        json_object_set_new(one, "answered", json_integer(g->answered));
        json_object_set_new(one, "covered", json_integer(g->covered));
        json_object_set_new(one, "error_p95", jsonx_real(g->p95));
        json_object_set_new(one, "error_mean", jsonx_real(g->bias));
        json_object_set_new(one, "half_width_median", jsonx_real(g->half));
        json_object_set_new(all, figure_names[f], one);
    }
    json_object_set_new(row, "shape", json_string(shape_names[s->shape]));
    json_object_set_new(row, "figures", all);
}

static void add_steps(json_t *row, const struct stratum *s, const struct tally *t)
{
    const struct steps_tally *k = &t->steps;
    json_object_set_new(row, "step", json_pack("[ff]", s->run.step.low, s->run.step.high));
    json_object_set_new(row, "jitter", jsonx_real(s->run.jitter));
    json_object_set_new(row, "locked", json_integer(t->locked));
    json_t *met = json_object();
    for (int m = 0; m < STEPS_MEETING_COUNT; m++)
        json_object_set_new(met, steps_meeting_words[m],
                            json_pack("{s:I, s:I}", "n", (json_int_t)k->met[m].n, "told", (json_int_t)k->met[m].told));
    json_object_set_new(row, "alike", met);
    json_object_set_new(row, "silent", json_integer(k->silent));
}

json_t *report_json(const struct stratum *strata, const struct tally *tallies, size_t count, const struct verdict *v)
{
    json_t *tree = json_object(), *rows = json_array(), *pooled = json_object();
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        const struct tally *t = &tallies[i];
        json_t *row = json_object();
        json_object_set_new(row, "test", json_string(test_names[s->test]));
        json_object_set_new(row, "sensor", json_string(s->sensor->name));
        json_object_set_new(row, "load", json_string(nature_load_names[s->load]));
        json_object_set_new(row, "after", json_string(nature_after_names[s->after]));
        json_object_set_new(row, "fault", json_string(fault_names[s->fault]));
        json_object_set_new(row, "duration_s", jsonx_real(s->duration_s));
        json_object_set_new(row, "n", json_integer(t->n));
        json_object_set_new(row, "answered", json_integer(t->answered));
        json_object_set_new(row, "covered", json_integer(t->covered));
        json_object_set_new(row, "flagged", json_integer(t->flagged));
        json_object_set_new(row, "below_resolution", json_integer(t->below));
        json_object_set_new(row, "false_alarms", json_integer(t->alarmed));
        json_object_set_new(row, "error_p95", jsonx_real(t->p95));
        json_object_set_new(row, "error_mean", jsonx_real(t->bias));
        json_object_set_new(row, "half_width_median", jsonx_real(t->half));
        json_object_set_new(row, "target", jsonx_real(stratum_target(s)));
        if (s->test == TEST_RUNS)
            add_figures(row, s, t);
        if (s->test == TEST_STEPS)
            add_steps(row, s, t);
        json_array_append_new(rows, row);
    }
    for (int test = 0; test < TEST_COUNT; test++)
        json_object_set_new(pooled, test_names[test], jsonx_real(v->pooled[test]));
    json_object_set_new(tree, "estimator_version", json_integer(ENERGY_ESTIMATOR_VERSION));
    json_object_set_new(tree, "strata", rows);
    json_object_set_new(tree, "pooled", pooled);
    json_object_set_new(tree, "missed", json_string(v->missed->str));
    return tree;
}

/* --- the page ---------------------------------------------------------------------------------------------------- */

static void band_words(GString *page, struct band band)
{
    if (band.high < 1)
        g_string_append_printf(page, "%.1f to %.1f", 100 * band.low, 100 * band.high);
    else
        g_string_append_printf(page, "at least %.1f", 100 * band.low);
}

#define COLUMNS 3
static const double columns[COLUMNS] = {1, 5, 30};

static const char intro[] =
    "# Integration accuracy\n\n"
    "Written by `llem-accuracy --markdown` (`make accuracy`); do not edit by hand. Errors of llem's estimators on simulated\n"
    "sensors with known truth. This is *integration accuracy*: what is lost between a sensor's readings and joules. Gain and\n"
    "offset of a real sensor come on top; without an external meter nobody knows them ([methodology](methodology.md)).\n\n"
    "**The judge** draws boards, sensors and loads from what publications and recordings report, in a file of its own\n"
    "(`tests/accuracy/nature.c`) that includes nothing of the estimators and names no function and no constant of theirs, to\n"
    "which a house check holds it. Drawn anew in every trial: the period T\n"
    "(up to 1 % off its nominal value), the window W, the phase, the delay (up to 350 ms), the rise (up to 250 ms from 10 to\n"
    "90 %), the jitter of each update; idle power that wanders (0.1 to 2 W, memory 50 to 500 ms) and drifts; the board's power\n"
    "limit (350 to 2,000 W) and what it draws beyond it all the same (up to 30 %); the work's length (±10 %), its power (up to\n"
    "the limit), the lateness of the sampler.\n\n"
    "**The estimators are told** what a meter publishes of the sensor (its class, and T and W where a table has them), and in\n"
    "two of three trials the board's power limit, without what is drawn beyond it. All else they find as in a run: T by the\n"
    "product's own characterisation of an idle board, the lag by the steps at the ends of warm-up and work, of this run and,\n"
    "where the row says *lag measured*, of two runs before it, readings by the product's own series.\n\n"
    "**Stretches follow each other as in a run** (`tests/accuracy/order.c`): load, 15 s of idle with the engine loaded, warm-up,\n"
    "5 ms to 2 s in which the engine takes the prompts, the guard, the work, the guard behind it, 15 s of idle. So what a board\n"
    "draws after its warm-up lies in the guard before the work, and may go on into the work; what it draws after loading lies\n"
    "in the idle level. Guards are as long as the product plans them by what it knows by then, and as long as it extends\n"
    "them. A warm-up lasts 2 to 8 s: what matters of it is how it ends.\n\n";

static const char coverage_words[] =
    "## Coverage (T1): truths inside the statistical 95 % interval in %, median half-width in % of the energy\n\n"
    "Where T, W and lag are known or were measured and the board idles after its work the band has two sides, and the\n"
    "median half-width is at most 1.5 times the p95 of the errors (2 where W < T). Elsewhere it has one. What is not had,\n"
    "and why:\n\n"
    "- *10 of 20 ms* lies above 98.5 %, at up to 4 times the p95: steps of the work that come at even distances average out\n"
    "  better than the scatter of the readings promises, and the readings alone do not show that they do. It is judged by\n"
    "  that.\n"
    "- A sensor of 25 of 100 ms that *rises in 30 to 250 ms* sees more than its window, and its intervals are up to 4 times the\n"
    "  p95: by steps alone a reading that rises late is not told from a board that does. Only a self-test tells.\n"
    "- *25 of 100 ms* and *500 ms* lie at 98.5 % or just above it: intervals that must hold for the worst phase of a pattern,\n"
    "  or for the little that is known of a slow sensor's lag, are wider than most trials need.\n"
    "- `fall` is held to falls of 1 s and more. Shorter ones end within the lag of a sensor of 100 ms and slower, whose rows then\n"
    "  cover 86 to 92 %.\n"
    "- A shelf that the guard shows behind the warm-up may end before the work: rows `shelf` and `drop` are as wide as that\n"
    "  allows.\n"
    "- An interval that is right for a board that idles at once is too narrow for one that cools within the sensor's lag, and\n"
    "  nothing tells the two apart. What is allowed for the second is what the first covers above 95 %; the rows `tail` of\n"
    "  slow refreshes and slow polls lie at 92.5 % or just below it all the same.\n"
    "- `beat` and steps within 5 % of T in one second lie below it where 25 of 100 ms are seen: ten readings show less than a\n"
    "  swing.\n\n";

static const char runs_words[] =
    "## Whole runs: coverage in %, median half-width and p95 of |error| in % of the figure\n\n"
    "Boards are loaded, warmed up and work for 5 s, and the product's own account of a run (`src/account/`) makes the figures\n"
    "from the windows, guards, pauses and idle levels of a run. A calibration says that gain and offset are right, so that the\n"
    "intervals are the statistical ones. Errors and widths of `tail` are in % of the energy of the work.\n\n"
    "- *four boards* are of one make (delay, rise and window are alike; phase, period, noise and idle power are not) and do the\n"
    "  same work at the same time; the figures are the sums. What boards share is added linearly.\n"
    "- *four repeats with pauses* of up to a period before each but the first, as a run has them for sensors of W < T; the\n"
    "  pauses are in no figure.\n\n"
    "Bands have no upper side: what boards share is taken for wholly shared, and a stretch without guards is as wide as its ends\n"
    "may be. ";

static const char steps_words[] =
    "## Phase lock over step, jitter and D: detection and false alarms\n\n"
    "Counter that sees 25 of 100 ms; a square wave (half and one and a half times its mean) whose step is drawn evenly in the\n"
    "range, with normal jitter of each step. How *alike* the phases are in which the sensor meets it is the length of their\n"
    "resultant (1 always the same, 0 spread evenly), for the first or second harmonic, whichever the sum of the readings would\n"
    "miss more of; where that is a quarter or less of it, the work is *apart*, and where the window averages out more than half,\n"
    "it has no place in the curve. The estimators know of none of this: they have stamps and readings.\n\n"
    "The curve: of all such work, what `phase_locked` tells, in %. What is in step must be told (detection), what is apart must\n"
    "not be (false alarms), and between them the share may be any. A row by itself may lie beyond the band of all rows: twice\n"
    "the alarms, or a tenth more of what is in step untold.\n\n";

static const char step_rows_words[] =
    "In each cell, in %: trials alike by 0.95 and more · of those, told · of the trials apart, told all the same · of all,\n"
    "outside of their interval and without a flag · median half-width. The interval widens with what the readings leave open of\n"
    "a pattern, whether or not the flag is raised, so that the fourth figure is the one that matters. Band: intervals hold the\n"
    "truth in at least 92.5 %, of this N in ";

static void describe_loads(GString *page)
{
    g_string_append(page, "| load | what it is |\n|---|---|\n");
    for (int i = 0; i < NATURE_LOAD_STEP; i++)
        g_string_append_printf(page, "| `%s` | %s |\n", nature_load_names[i], nature_load_words[i]);
    for (int i = NATURE_AFTER_IDLE + 1; i < NATURE_AFTER_COUNT; i++)
        g_string_append_printf(page, "| `%s` | `llm`, and after it %s |\n", nature_after_names[i],
                               nature_after_words[i]);
    g_string_append(page, "\nMeans of loads are 150 to 380 W above idle, and up to 55 % of a limit above 700 W; what is drawn "
                          "after them is then more\nin proportion.\n\n");
}

static const struct stratum *find(const struct stratum *strata, size_t count, enum test test,
                                  const struct nature_kind *sensor, int load, int after, double duration_s)
{
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        if (s->test == test && s->sensor == sensor && (int)s->load == load && (int)s->after == after &&
            s->fault == FAULT_NONE && s->duration_s == duration_s)
            return s;
    }
    return NULL;
}

static void error_cell(GString *page, const struct stratum *s, const struct tally *t)
{
    double target = stratum_target(s);
    g_string_append_printf(page, " %.3g", 100 * t->p95);
    if (isfinite(target))
        g_string_append_printf(page, t->p95 <= target ? " (%.3g)" : " (**%.3g missed**)", 100 * target);
}

static void coverage_cell(GString *page, const struct stratum *s, const struct tally *t)
{
    (void)s;
    g_string_append_printf(page, " %.1f, ±%.2g", 100 * share(t->covered, t->answered), 100 * t->half);
}

static void lock_cell(GString *page, const struct stratum *s, const struct tally *t)
{
    if (s->sensor->partial)
        g_string_append_printf(page, " %.1f", 100 * share(t->locked, t->n));
}

/* What each duration of a row is held to; all of them together, and what those are held to. */
static void held_cells(GString *row, const struct stratum *strata, const struct tally *tallies, size_t count,
                       const struct stratum *first)
{
    int64_t covered, n;
    size_t at = (size_t)(first - strata);
    g_string_append(row, " ");
    band_words(row, judge_held(judge_band(first), tallies[at].n));
    if (judge_together(strata, tallies, count, at, &covered, &n)) {
        g_string_append_printf(row, " | %.2f | ", 100 * share(covered, n));
        band_words(row, judge_held(judge_band(first), n));
        g_string_append(row, " |");
    } else {
        g_string_append(row, " | | |");
    }
}

static void line(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count,
                 const struct nature_kind *kind, int load, int after,
                 void (*cell)(GString *page, const struct stratum *s, const struct tally *t))
{
    bool any = false;
    const struct stratum *first = NULL;
    g_autoptr(GString) row = g_string_new(NULL);
    g_string_append_printf(row, "| %s | %s |", kind->words,
                           after == NATURE_AFTER_IDLE ? nature_load_names[load] : nature_after_names[after]);
    for (int d = 0; d < COLUMNS; d++) {
        const struct stratum *s = find(strata, count, TEST_STATISTICAL, kind, load, after, columns[d]);
        if (!s && cell == lock_cell)
            s = find(strata, count, TEST_FLAGS, kind, load, after, columns[d]);
        if (cell == lock_cell && !kind->partial)
            return;
        any = any || s;
        if (s)
            cell(row, s, &tallies[s - strata]);
        g_string_append(row, " |");
        first = first ? first : s;
    }
    if (cell == coverage_cell && first)
        held_cells(row, strata, tallies, count, first);
    if (any)
        g_string_append_printf(page, "%s\n", row->str);
}

static void grid(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count,
                 void (*cell)(GString *page, const struct stratum *s, const struct tally *t))
{
    bool banded = cell == coverage_cell;
    g_string_append_printf(page, "| sensor | load | 1 s | 5 s | 30 s |%s\n|---|---|---|---|---|%s\n",
                           banded ? " held to | all | held to |" : "", banded ? "---|---|---|" : "");
    for (size_t k = 0; k < nature_kind_count; k++) {
        for (int load = 0; load < NATURE_LOAD_STEP; load++)
            line(page, strata, tallies, count, &nature_kinds[k], load, NATURE_AFTER_IDLE, cell);
        for (int after = NATURE_AFTER_IDLE + 1; after < NATURE_AFTER_COUNT; after++)
            line(page, strata, tallies, count, &nature_kinds[k], NATURE_LOAD_LLM, after, cell);
    }
    g_string_append(page, "\n");
}

/* Share covered, half-width and p95 of the errors of one figure, in %. */
static void figure_cell(GString *page, const struct figure_tally *t)
{
    if (t->answered == 0) {
        g_string_append(page, " – |");
        return;
    }
    g_string_append_printf(page, " %.1f", 100 * share(t->covered, t->answered));
    g_string_append_printf(page, ", ±%.2g, %.2g |", 100 * t->half, 100 * t->p95);
}

/* The first figure with this reason for another band, and all that share it, or with no reason. */
static void reason_line(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count,
                        const char *reason)
{
    bool shared[FIGURE_COUNT] = {false};
    struct band asked = {NAN, 1};
    int64_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (int f = 0; strata[i].test == TEST_RUNS && f < FIGURE_COUNT; f++) {
            const char *why;
            struct band band = judge_figure_band(&strata[i], f, &why);
            if (g_strcmp0(why, reason) != 0)
                continue;
            shared[f] = true;
            asked = band;
            n = tallies[i].n;
        }
    g_string_append(page, "- ");
    for (int f = 0, seen = 0; f < FIGURE_COUNT; f++)
        if (shared[f])
            g_string_append_printf(page, "%s`%s`", seen++ ? ", " : "", figure_names[f]);
    g_string_append(page, ": ");
    band_words(page, asked);
    g_string_append_printf(page, " %% (of %" G_GINT64_FORMAT " runs ", n);
    band_words(page, judge_held(asked, n));
    g_string_append_printf(page, " %%)%s%s.\n", reason ? ": " : "", reason ? reason : "");
}

/* What figures are held to, and for each reason why some are not held to the usual. */
static void run_bands(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_autoptr(GPtrArray) reasons = g_ptr_array_new();
    for (size_t i = 0; i < count; i++)
        for (int f = 0; strata[i].test == TEST_RUNS && f < FIGURE_COUNT; f++) {
            const char *why;
            judge_figure_band(&strata[i], f, &why);
            if (!g_ptr_array_find(reasons, why, NULL))
                g_ptr_array_add(reasons, (gpointer)(uintptr_t)why);
        }
    g_string_append(page, "Asked of each figure, and why where it is not the usual:\n\n");
    for (guint i = 0; i < reasons->len; i++)
        reason_line(page, strata, tallies, count, reasons->pdata[i]);
    g_string_append(page, "\n");
}

static void runs_text(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_string_append(page, "| sensor | load | what runs |");
    for (int f = 0; f < FIGURE_COUNT; f++)
        g_string_append_printf(page, " %s |", figure_names[f]);
    g_string_append(page, "\n|---|---|---|");
    for (int f = 0; f < FIGURE_COUNT; f++)
        g_string_append(page, "---|");
    g_string_append(page, "\n");
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        if (s->test != TEST_RUNS)
            continue;
        g_string_append_printf(page, "| %s | %s | %s |", s->sensor->words, load_of(s), shape_names[s->shape]);
        for (int f = 0; f < FIGURE_COUNT; f++)
            figure_cell(page, &tallies[i].figures[f]);
        g_string_append(page, "\n");
    }
    g_string_append(page, "\n");
    for (int f = 0; f < FIGURE_COUNT; f++)
        g_string_append_printf(page, "- **%s**: %s\n", figure_names[f], figure_words[f]);
    g_string_append(page, "\n");
}

static void percent(GString *page, const char *before, int64_t part, int64_t of)
{
    if (of > 0)
        g_string_append_printf(page, "%s%.0f", before, 100 * share(part, of));
    else
        g_string_append_printf(page, "%s–", before);
}

static void steps_cell(GString *page, const struct tally *t)
{
    const struct steps_met *in_step = &t->steps.met[STEPS_IN_STEP], *apart = &t->steps.met[STEPS_APART];
    percent(page, " ", in_step->n, t->n);
    percent(page, " · ", in_step->told, in_step->n);
    percent(page, " · ", apart->told, apart->n);
    g_string_append_printf(page, " · %.1f · ±%.2g |", 100 * share(t->steps.silent, t->n), 100 * t->half);
}

static void curve_cell(GString *page, const struct steps_met *met, struct band band)
{
    struct band held = judge_held(band, met->n);
    percent(page, " ", met->told, met->n);
    g_string_append_printf(page, " of %" G_GINT64_FORMAT " |", met->n);
    if (band.high < 1)
        g_string_append_printf(page, " at most %.1f |", 100 * held.high);
    else if (band.low > 0)
        g_string_append_printf(page, " at least %.1f |", 100 * held.low);
    else
        g_string_append(page, " any |");
}

/* What is told, by how alike the phases are, and what it is held to. */
static void curve_text(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_string_append(page, "| alike | 1 s | held to | 5 s | held to | 30 s | held to |\n|---|---|---|---|---|---|---|\n");
    for (int m = 0; m < STEPS_MEETING_COUNT; m++) {
        g_string_append_printf(page, "| %s |", steps_meeting_words[m]);
        for (int c = 0; c < COLUMNS; c++) {
            struct steps_met met = judge_curve(strata, tallies, count, m, columns[c]);
            curve_cell(page, &met, judge_curve_band(m, columns[c]));
        }
        g_string_append(page, "\n");
    }
    g_string_append(page, "\n");
}

/* What rows of steps are held to: the usual, and a lower band where steps nearly meet the sensor. */
static void step_bands(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    struct band usual = {NAN, 1}, near = {NAN, 1};
    int64_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (strata[i].test != TEST_STEPS)
            continue;
        struct band band = judge_steps_band(&strata[i]);
        n = tallies[i].n;
        usual = isnan(usual.low) || band.low > usual.low ? band : usual;
        near = isnan(near.low) || band.low < near.low ? band : near;
    }
    band_words(page, judge_held(usual, n));
    g_string_append(page, " %");
    if (near.low < usual.low) {
        g_string_append_printf(page, "; for steps within\n5 %% of T in one second, which beat once or less in it, "
                                     "%.1f %%, of this N ", 100 * near.low);
        band_words(page, judge_held(near, n));
        g_string_append(page, " %");
    }
    g_string_append(page, ".\n\n");
}

static void steps_text(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_string_append(page, "| step ÷ T | jitter | 1 s | 5 s | 30 s |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) { /* the durations of a row are neighbours */
        const struct stratum *s = &strata[i];
        if (s->test != TEST_STEPS)
            continue;
        bool first = i == 0 || strata[i - 1].test != TEST_STEPS || strata[i - 1].duration_s >= s->duration_s;
        bool last = i + 1 == count || strata[i + 1].test != TEST_STEPS || strata[i + 1].duration_s <= s->duration_s;
        if (first)
            g_string_append_printf(page, "| %g to %g | %g %% |", s->run.step.low, s->run.step.high,
                                   100 * s->run.jitter);
        steps_cell(page, &tallies[i]);
        g_string_append(page, last ? "\n" : "");
    }
    g_string_append(page, "\n");
}

static void other_tests(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_string_append(page, "| test | sensor | load | fault | D | covered % | flagged % "
                          "|\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        const struct tally *t = &tallies[i];
        if (s->test == TEST_STATISTICAL || s->test >= TEST_RUNS)
            continue;
        g_string_append_printf(page, "| %s | %s | %s | %s | %g s |", test_names[s->test], s->sensor->words,
                               load_of(s), fault_names[s->fault], s->duration_s);
        if (s->test == TEST_FLAGS)
            g_string_append_printf(page, " – | %.1f |\n", 100 * share(t->flagged, t->n));
        else
            g_string_append_printf(page, " %.1f | – |\n", 100 * share(t->covered, t->answered));
    }
    g_string_append(page, "\n");
}

/* What the rows of a class have in common. */
struct glance {
    double covered, answered, least, most, narrow, wide;
    double widest; /* band */
    int64_t n;     /* of a row */
};

static struct glance glance_at(const struct stratum *strata, const struct tally *tallies, size_t count,
                               enum judge_class class)
{
    struct glance g = {.least = 1, .narrow = INFINITY, .widest = NAN};
    for (size_t i = 0; i < count; i++) {
        const struct tally *t = &tallies[i];
        if (strata[i].test != TEST_STATISTICAL || judge_class_of(&strata[i]) != class)
            continue;
        double found = share(t->covered, t->answered), ratio = t->half / t->p95;
        g.covered += (double)t->covered;
        g.answered += (double)t->answered;
        g.least = MIN(g.least, found);
        g.most = MAX(g.most, found);
        g.narrow = MIN(g.narrow, ratio);
        g.wide = MAX(g.wide, ratio);
        g.widest = judge_widest(&strata[i]);
        g.n = t->n;
    }
    return g;
}

/* Each class of rows at a glance: what is asked of it, what N trials hold it to, what was found. */
static void summary(GString *page, const struct stratum *strata, const struct tally *tallies, size_t count)
{
    g_string_append(page, "| rows | band, % | N | held to | found: all, least to most | half-width ÷ p95: band | found |\n"
                          "|---|---|---|---|---|---|---|\n");
    for (int c = 0; c < CLASS_COUNT; c++) {
        struct glance g = glance_at(strata, tallies, count, c);
        if (g.answered == 0)
            continue;
        g_string_append_printf(page, "| %s | ", judge_class_words[c]);
        band_words(page, judge_class_band(c));
        g_string_append_printf(page, " | %" G_GINT64_FORMAT " | ", g.n);
        band_words(page, judge_held(judge_class_band(c), g.n));
        g_string_append_printf(page, " | %.2f, %.1f to %.1f |", 100 * g.covered / g.answered, 100 * g.least,
                               100 * g.most);
        if (isfinite(g.widest))
            g_string_append_printf(page, " %.2g |", g.widest);
        else
            g_string_append(page, " – |");
        g_string_append_printf(page, " %.2g to %.2g |\n", g.narrow, g.wide);
    }
    g_string_append(page, "\n");
}

static void pool_words(GString *page, const struct verdict *v, enum test test, const char *words)
{
    g_string_append_printf(page, "%s %.2f %% (band 93 to 97, held to ", test_names[test], 100 * v->pooled[test]);
    band_words(page, judge_pool_held(v, test));
    g_string_append_printf(page, "%s)", words);
}

static void verdict_text(GString *page, const struct verdict *v)
{
    g_string_append(page, "Pooled: ");
    pool_words(page, v, TEST_STATISTICAL, "; sensors that see everything, without tails");
    g_string_append(page, ",\n");
    pool_words(page, v, TEST_TOTAL, "");
    g_string_append_printf(page,
                           ", T5 %.2f %% flagged. Targets missed: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT ".\n"
                           "False alarms: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                           " trials with a healthy sensor, at most %.2f %% of a stratum "
                           "(band: at most 1 %%).\n\n",
                           100 * v->pooled[TEST_FLAGS], v->targets_missed, v->targets, v->alarmed, v->healthy,
                           100 * v->alarmed_most);
    if (v->missed->len == 0)
        g_string_append(page, "Every band held.\n");
    else
        g_string_append_printf(page, "Bands that did not hold:\n\n```text\n%s```\n", v->missed->str);
}

char *report_markdown(const struct stratum *strata, const struct tally *tallies, size_t count,
                      const struct verdict *v, int64_t n, int64_t others)
{
    GString *page = g_string_new(intro);
    describe_loads(page);
    g_autofree char *now = clock_format_utc(clock_wall_ns());
    g_string_append_printf(
        page,
        "**This run.** N = %" G_GINT64_FORMAT " trials of each row and duration whose band has two sides, %" G_GINT64_FORMAT
        " of the others, %" G_GINT64_FORMAT " of whole runs; seed %" G_GUINT64_FORMAT
        ",\n%.10s, estimator version %d. Constants are set while looking at seed 0, which the smoke of the tests draws; the "
        "page is of\nanother seed. With fewer than 1,000 trials a band is widened by 3.9 binomial standard deviations of its "
        "edge: *held to* says\nto what.\n\n",
        n, others, (others + 1) / 2, strata_seed, now, ENERGY_ESTIMATOR_VERSION);
    verdict_text(page, v);
    g_string_append(page, "\n## Errors: p95 of |error| in % (target)\n\n");
    grid(page, strata, tallies, count, error_cell);
    g_string_append(page, coverage_words);
    summary(page, strata, tallies, count);
    grid(page, strata, tallies, count, coverage_cell);
    g_string_append(page, "## Phase lock: `phase_locked` in % of the trials, of sensors that see a part of the time\n\n"
                          "`locked` keeps step with the sensor, `beat` nearly; the others have drawn steps, jitter and "
                          "drift, and meet the sensor in\n"
                          "step by chance, the more often the shorter the work.\n\n");
    grid(page, strata, tallies, count, lock_cell);
    g_string_append(page, runs_words);
    run_bands(page, strata, tallies, count);
    runs_text(page, strata, tallies, count);
    g_string_append(page, steps_words);
    curve_text(page, strata, tallies, count);
    g_string_append(page, step_rows_words);
    step_bands(page, strata, tallies, count);
    steps_text(page, strata, tallies, count);
    g_string_append(page, "## Boards drawn from the prior (T2), faults and phase lock (T5)\n\n"
                          "T2: gain and offset drawn from the declared prior, combined interval.\n"
                          "T5: share of trials that carry the flag that belongs to the fault; all of them. A load in step with "
                          "the sensor\ncarries `phase_locked`, or its interval holds the truth all the same: at least 99 %.\n"
                          "A false alarm is `counter_stuck`, `counter_reset`, `gap`, `sensor_lost` or `period_changed` "
                          "where nothing is wrong, and\n"
                          "`phase_locked` on a sensor that sees everything: in at most 1 % of the trials of each stratum. "
                          "`guard_not_settled` is a\n"
                          "test of noisy levels that fires by chance in a few %, and its number stays right.\n\n");
    other_tests(page, strata, tallies, count);
    g_string_append(page, "## Do the bands notice?\n\n"
                          "The tests run the harness with sabotaged estimators (`--spoil naive | "
                          "no_guard | narrow | no_flags | alarms | locked | unlocked`): each must\n"
                          "miss a band. A run that misses one writes this page and ends with "
                          "status 1, `make accuracy` with it. The band of false\nalarms is not widened for N.\n");
    return g_string_free(page, FALSE);
}
