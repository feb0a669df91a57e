/* SPDX-License-Identifier: MIT */
#include "beside/beside.h"

#include "account/account.h"

#include <unistd.h>

/* Long enough for a dozen refreshes of the slowest common sensor (100 ms), as in the worker. */
#define CHARACTERISE_NS (1500 * NS_PER_MS)

struct beside {
    const struct config *config; /* borrowed */
    struct meter *meter;
    struct account_known known;
    struct sampler *sampler; /* NULL: there is nothing to read, or it has not begun */
    char *dir;               /* of the exchange */
};

/* --- before the run ---------------------------------------------------------------------------------------------- */

static struct meter *open_meter(const struct config *config, GError **error)
{
    g_autofree const char **sources = meter_sources_asked(config_string(config, FIELD_ENERGY_BACKEND), 0);
    meter_sources_keep(sources, SOURCE_HOST_ONLY);
    struct meter_options options = {.sources = sources};
    return meter_open(&options, error);
}

static void characterise(struct beside *b)
{
    json_t *found = meter_characterisation_load(b->meter);
    if (!found) {
        found = meter_characterise(b->meter, CHARACTERISE_NS);
        meter_characterisation_save(b->meter, found, NULL);
    }
    account_known_watch(&b->known, found);
}

struct beside *beside_new(const struct config *config, GError **error)
{
    struct beside *b = g_new0(struct beside, 1);
    b->config = config;
    b->meter = open_meter(config, error);
    if (!b->meter) {
        beside_free(b);
        return NULL;
    }
    account_known_init(&b->known, energy_known_channels(b->meter), config_string(config, FIELD_ENERGY_BACKEND));
    if (account_known_serves(&b->known, true))
        characterise(b);
    return b;
}

void beside_free(struct beside *b)
{
    if (!b)
        return;
    sampler_free(b->sampler);
    account_known_clear(&b->known);
    meter_close(b->meter);
    g_free(b->dir);
    g_free(b);
}

/* A channel as the worker is to plan for it: with the rate at which it is read. */
static json_t *channel_json(const struct meter_channel *channel)
{
    json_t *tree = meter_channel_json(channel);
    json_object_set_new(tree, "rate", json_integer(channel->rate));
    return tree;
}

void beside_tell(const struct beside *b, struct exchange *x)
{
    struct timebase clock = timebase_take();
    json_t *channels = json_array();
    for (size_t i = 0; i < b->known.energy.channel_count; i++)
        json_array_append_new(channels, channel_json(b->known.channels[i]));
    json_decref(x->host_meter);
    json_decref(x->host_clock);
    x->host_meter = json_pack("{s:o, s:o, s:O*}", "sources", account_sources(b->meter), "channels", channels,
                              "characterisation", b->known.characterisation);
    x->host_clock = timebase_json(&clock);
}

bool beside_begin(struct beside *b, const char *exchange_dir, GError **error)
{
    b->dir = g_strdup(exchange_dir);
    if (!account_known_serves(&b->known, true))
        return true;
    g_autofree char *trace = g_build_filename(exchange_dir, result_files[RESULT_FILE_HOST_TRACE].name, NULL);
    struct sampler_options options = {.step_ns = config_ns(b->config, FIELD_ENERGY_SAMPLE_PERIOD_MS),
                                      .trace_path = trace};
    b->sampler = sampler_new(b->meter, &options, error);
    return b->sampler && sampler_start(b->sampler, error);
}

/* --- after it ---------------------------------------------------------------------------------------------------- */

static struct energy_scopes *scopes_in(const struct account_source *source, const struct account_stretch *at,
                                       int64_t margin_ns)
{
    return account_scopes(source, at->t0_ns - margin_ns, at->t1_ns + margin_ns, NULL);
}

/* What the run has shown of the sensors, as the worker learns it of its own: the least that they draw, counters that
 * follow an average or are slower than was known. */
static void learn(struct beside *b, const struct account_source *source, const struct account_run *run)
{
    bool learnt = false;
    if (run->warmup.t1_ns) {
        g_autoptr(owned_scopes) scopes = scopes_in(source, &run->warmup, NS_PER_S);
        g_autoptr(GArray) following = energy_scopes_following(scopes);
        learnt = account_known_learn(&b->known, following);
    }
    if (run->idle_context.t1_ns) {
        g_autoptr(owned_scopes) scopes = scopes_in(source, &run->idle_context, 0);
        account_known_set_levels(&b->known, scopes, run->idle_context.t0_ns, run->idle_context.t1_ns);
    }
    if (config_has(b->config, FIELD_ENERGY_CALIBRATION))
        account_known_calibrate(&b->known, config_string(b->config, FIELD_ENERGY_CALIBRATION));
    const struct energy_window *w = &run->window;
    g_autoptr(owned_scopes) scopes = account_scopes(source, w->guard_from_ns, w->guard_to_ns, NULL);
    g_autoptr(GArray) slower = energy_scopes_slower(scopes, w), lags = energy_scopes_lags(scopes, w);
    learnt = account_known_learn(&b->known, lags) || learnt;
    learnt = account_known_learn(&b->known, slower) || learnt;
    if (learnt)
        meter_characterisation_save(b->meter, b->known.characterisation, NULL);
}

/* The figures by which energy is divided, as the record has them. */
static void copy_work(const json_t *record, struct result *r)
{
    static const enum result_metric work[] = {METRIC_TOKENS_IN, METRIC_TOKENS_OUT, METRIC_REQUESTS, METRIC_FLOPS,
                                                 METRIC_STEADY_TOKENS};
    for (size_t i = 0; i < G_N_ELEMENTS(work); i++)
        result_set(r, work[i], result_metric_of(record, work[i]));
}

static struct result *account(struct beside *b, const struct exchange *x, const json_t *record, GError **error)
{
    struct account_source source = account_source_sampler(&b->known, b->sampler);
    struct account_run run;
    g_autoptr(GArray) stamps = NULL;
    if (!account_run_read(record, &run, &stamps, error))
        return NULL;
    run.options.resolution = config_real(b->config, FIELD_ENERGY_TARGET_UNCERTAINTY);
    learn(b, &source, &run);
    struct result *r = result_new(x);
    copy_work(record, r);
    for (guint i = 0; i < b->known.warnings->len; i++)
        result_warn(r, "%s", (const char *)g_ptr_array_index(b->known.warnings, i));
    account_energy(&source, &run, r);
    result_put_json(r, PART_ENERGY_CHARACTERISATION, json_incref(b->known.characterisation));
    result_put_members(r, "sampler", sampler_stats_json(b->sampler));
    return r;
}

/* From the result that the worker left, and what it was told. */
static bool write_energy(struct beside *b, const char *config_hash, const char *result_path, GError **error)
{
    g_autofree char *told = exchange_file(b->dir, config_hash, result_files[RESULT_FILE_CONFIG].name);
    g_autofree char *path = g_build_filename(b->dir, result_files[RESULT_FILE_HOST_ENERGY].name, NULL);
    g_autoptr(json_t) record = jsonx_load(result_path, LIMIT_RESULT_BYTES, error);
    g_autofree char *sha256 = record ? file_sha256(result_path, error) : NULL;
    g_auto(owned_exchange) x = {0};
    if (!sha256 || !exchange_read(told, &x, error))
        return false;
    g_autoptr(owned_result) r = account(b, &x, record, error);
    g_autoptr(json_t) tree = r ? result_host_json(r, sha256) : NULL;
    return tree && jsonx_save(path, tree, error);
}

bool beside_end(struct beside *b, const char *config_hash, GError **error)
{
    g_autofree char *result = b->dir ? exchange_file(b->dir, config_hash, result_files[RESULT_FILE_RESULT].name) : NULL;
    g_autoptr(GError) trace = NULL;
    if (!b->sampler)
        return true;
    bool whole = sampler_stop(b->sampler, &trace); /* the readings are there, whatever became of their file */
    if (access(result, F_OK) == 0 && !write_energy(b, config_hash, result, error)) {
        g_prefix_error(error, "the energy by sensors beside the worker: ");
        return false;
    }
    if (!whole)
        g_propagate_prefixed_error(error, g_steal_pointer(&trace), "the readings of sensors beside the worker: ");
    return whole;
}
