/* SPDX-License-Identifier: MIT */
#include "result/result.h"

#include <string.h>

static const struct result_metric_row rows[METRIC_COUNT] = {
#define X(code, id, group, unit, help) [METRIC_##code] = {id, group, unit, help},
    RESULT_METRICS(X)
#undef X
};

const struct result_metric_row *result_metric_row(enum result_metric metric)
{
    return &rows[metric];
}

int result_metric_from_id(const char *id)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (!strcmp(rows[i].id, id))
            return i;
    return -1;
}

struct quantity result_metric_of(const json_t *record, enum result_metric metric)
{
    struct quantity q;
    const json_t *tree = json_object_get(json_object_get(record, "metrics"), rows[metric].id);
    return quantity_from_json(tree, &q) ? q : quantity_absent("not in the record");
}
