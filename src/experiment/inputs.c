/* SPDX-License-Identifier: MIT */
#include "experiment/internal.h"

bool inputs_read(const char *config_path, struct inputs *ret, GError **error)
{
    const struct exchange *in = &ret->exchange;
    ret->dir = g_path_get_dirname(config_path);
    ret->log_path = g_build_filename(ret->dir, "engine.log", NULL);
    if (!exchange_read(config_path, &ret->exchange, error))
        return false;
    ret->config = config_from_values(in->config, in->origins, in->digests, in->config_hash, error);
    return ret->config != NULL;
}

void inputs_clear(struct inputs *inputs)
{
    config_free(inputs->config);
    exchange_clear(&inputs->exchange);
    g_free(inputs->dir);
    g_free(inputs->log_path);
}

size_t inputs_batch_size(const struct inputs *in)
{
    g_autofree char *path = g_strdup_printf("%s.batch_size", config_string(in->config, FIELD_BACKEND));
    const json_t *given = config_value_at(in->config, path); /* not every backend has such a row */
    return given ? (size_t)json_integer_value(given) : in->exchange.prompts.n;
}

size_t inputs_concurrency(const struct inputs *in)
{
    const json_t *parallel = config_value_at(in->config, "llamacpp.n_parallel");
    size_t n = parallel ? (size_t)json_integer_value(parallel) : inputs_batch_size(in);
    return MIN(n, in->exchange.prompts.n); /* never more than there are requests */
}
