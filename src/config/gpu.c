/* SPDX-License-Identifier: MIT */
/* Use of GPUs by a run: whether, and how many. */
#include "config/internal.h"

#include <string.h>

static bool holds(const struct config *config, const struct backend_condition *condition)
{
    const json_t *json = config_value_at(config, condition->field);
    g_autofree char *canonical = json ? jsonx_dump(json, JSONX_CANONICAL) : g_strdup("null");
    return config_condition_holds(condition, canonical);
}

enum config_gpu config_gpu_need(const struct config *config)
{
    static const enum config_gpu needs[] = {[BACKEND_GPU_MAY] = CONFIG_GPU_MAY,
                                            [BACKEND_GPU_NEVER] = CONFIG_GPU_NONE,
                                            [BACKEND_GPU_ALWAYS] = CONFIG_GPU_NEEDS,
                                            [BACKEND_GPU_WHEN] = CONFIG_GPU_NEEDS};
    const struct backend *engine = config->engine;
    const struct backend_condition *when;
    size_t n;
    if (!engine) /* made from values, which name it */
        engine = backend_find(config_string(config, FIELD_BACKEND), NULL);
    if (!engine)
        return CONFIG_GPU_MAY;
    enum backend_gpu gpu = backend_gpu(engine, &when, &n);
    for (size_t i = 0; i < n; i++)
        if (!holds(config, &when[i]))
            return CONFIG_GPU_NONE;
    return needs[gpu];
}

int64_t config_gpu_count(const struct config *config)
{
    int64_t devices;
    return config_role_int(config, ROLE_DEVICES, &devices) ? devices : 1;
}
