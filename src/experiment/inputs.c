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
    ret->log_path = g_build_filename(ret->dir, result_files[RESULT_FILE_ENGINE_LOG].name, NULL);
    exchange_hold(config_path); /* for as long as this process lives: what is in the folder may still change */
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

enum config_load inputs_load(const struct inputs *in)
{
    bool said = config_has(in->config, FIELD_LOAD_MODE);
    return said ? config_load_from_name(config_string(in->config, FIELD_LOAD_MODE)) : CONFIG_LOAD_UNSET;
}

size_t inputs_batch_size(const struct inputs *in)
{
    int64_t given;
    size_t all = in->exchange.prompts.n;
    switch (inputs_load(in)) {
    case CONFIG_LOAD_BATCH: return (size_t)config_int(in->config, FIELD_LOAD_SIZE);
    case CONFIG_LOAD_SEQUENTIAL: return 1;
    case CONFIG_LOAD_UNSET: return config_role_int(in->config, ROLE_BATCH, &given) ? (size_t)given : all;
    default: return all;
    }
}

size_t inputs_in_flight(const struct inputs *in)
{
    return inputs_load(in) == CONFIG_LOAD_CLOSED_LOOP ? (size_t)config_int(in->config, FIELD_LOAD_SIZE) : 0;
}

size_t inputs_concurrency(const struct inputs *in)
{
    int64_t given;
    size_t n = inputs_in_flight(in) ? inputs_in_flight(in) : inputs_batch_size(in);
    if (config_role_int(in->config, ROLE_IN_FLIGHT, &given))
        n = MIN(n, (size_t)given);
    return MIN(n, in->exchange.prompts.n); /* never more than there are requests */
}
