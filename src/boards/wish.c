/* SPDX-License-Identifier: MIT */
/* What a configuration asks of boards, and of the gate. */
#include "boards/boards.h"

#include <math.h>
#include <string.h>

/* Where a configuration was planned before there was a gate. */
#define THRESHOLD_MB 100
#define SETTLE_NS    (10 * NS_PER_S)

static char **texts_of(const json_t *list)
{
    char **texts = g_new0(char *, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++)
        texts[i] = g_strdup(json_string_value(json_array_get(list, i)));
    return texts;
}

void boards_wish_of(const struct config *config, struct boards_wish *ret)
{
    static const enum boards_need needs[] = {[CONFIG_GPU_NONE] = BOARDS_NEVER,
                                             [CONFIG_GPU_MAY] = BOARDS_MAY,
                                             [CONFIG_GPU_NEEDS] = BOARDS_MUST};
    *ret = (struct boards_wish){.need = needs[config_gpu_need(config)]};
    const json_t *named = config_value_at(config, "gpus");
    if (named)
        ret->named = texts_of(named);
    config_role_int(config, ROLE_DEVICES, &ret->n);
}

int64_t boards_wish_count(const struct boards_wish *wish)
{
    int64_t named = wish->named ? g_strv_length(wish->named) : 0;
    return wish->n > 0 ? wish->n : MAX(named, 1);
}

void boards_wish_clear(struct boards_wish *wish)
{
    g_clear_pointer(&wish->named, g_strfreev);
}

struct boards_gate boards_gate_of(const struct config *config)
{
    struct boards_gate gate = {.threshold_bytes = THRESHOLD_MB * INT64_C(1000000), .settle_ns = SETTLE_NS};
    if (config_has(config, FIELD_MEMORY_GATE_THRESHOLD_MB))
        gate.threshold_bytes = (int64_t)llround(config_real(config, FIELD_MEMORY_GATE_THRESHOLD_MB) * 1e6);
    if (config_has(config, FIELD_MEMORY_GATE_SETTLE_SECONDS))
        gate.settle_ns = config_ns(config, FIELD_MEMORY_GATE_SETTLE_SECONDS);
    if (config_has(config, FIELD_MEMORY_GATE_ACTION))
        gate.refuses = !strcmp(config_string(config, FIELD_MEMORY_GATE_ACTION), "refuse");
    return gate;
}
