/* SPDX-License-Identifier: MIT */
/* The figures of the table, which the line that ends a run carries: a table of many runs needs no record. */
#include "store/internal.h"

#include "result/result.h"

static const enum result_metric shown[] = {METRIC_OUTPUT_RATE, METRIC_TTFT_MEAN,  METRIC_TPOT_MEAN,
                                           METRIC_PEAK_MEMORY, METRIC_J_OUTPUT, METRIC_ENERGY};

json_t *store_figures(const json_t *record)
{
    json_t *metrics = json_object(), *figures = json_pack("{s:o}", "metrics", metrics);
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
        const char *id = result_metric_row(shown[i])->id;
        json_object_set(metrics, id, json_object_get(json_object_get(record, "metrics"), id));
    }
    json_object_set(figures, "scope", jsonx_at(record, "energy.scope"));
    json_object_set(figures, "flags", json_object_get(record, "flags"));
    return figures;
}
