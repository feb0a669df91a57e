/* SPDX-License-Identifier: MIT */
#include "experiment/internal.h"

/* The boards of the run, in the variables by which programs are given them: the engine sees these and no other. */
static void give_boards(struct exchange *in)
{
    if (!in->boards)
        return;
    g_auto(GStrv) settings = meter_gpu_settings((const char *const *)in->boards);
    in->environment = in->environment ? in->environment : json_object();
    for (char **s = settings; *s; s++) {
        g_auto(GStrv) pair = g_strsplit(*s, "=", 2);
        json_object_set_new(in->environment, pair[0], json_string(pair[1]));
    }
}

/* What somebody reads beside this process is put to its work by the clock. */
static bool check_clock(const struct exchange *in, GError **error)
{
    struct timebase there, here = timebase_take();
    if (!in->host_clock)
        return true;
    return timebase_parse(in->host_clock, &there, error) && timebase_check(&there, &here, error);
}

bool inputs_read(const char *config_path, struct inputs *ret, GError **error)
{
    const struct exchange *in = &ret->exchange;
    ret->dir = g_path_get_dirname(config_path);
    ret->log_path = g_build_filename(ret->dir, "engine.log", NULL);
    if (!exchange_read(config_path, &ret->exchange, error))
        return false;
    give_boards(&ret->exchange);
    const struct config_parts parts = {
        .values = in->config, .hashed = in->hashed, .origins = in->origins, .roles = in->roles};
    ret->config = config_from_values(&parts, in->config_hash, error);
    return ret->config && check_clock(in, error);
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
    int64_t given;
    return config_role_int(in->config, ROLE_BATCH, &given) ? (size_t)given : in->exchange.prompts.n;
}

size_t inputs_concurrency(const struct inputs *in)
{
    int64_t given;
    size_t n = config_role_int(in->config, ROLE_IN_FLIGHT, &given) ? (size_t)given : inputs_batch_size(in);
    return MIN(n, in->exchange.prompts.n); /* never more than there are requests */
}
