/* SPDX-License-Identifier: MIT */
/* Phases up to the point where the engine could work: sensors, engine, model, token ids. */
#include "experiment/environment.h"
#include "experiment/flags.h"
#include "experiment/internal.h"
#include "experiment/machine.h"

#include <string.h>

/* Long enough for a dozen refreshes of the slowest common sensor (100 ms), METHOD of docs/methodology.md. */
#define CHARACTERISE_NS (1500 * NS_PER_MS)

/* --- sensors --------------------------------------------------------------------------------------------------- */

/* Which sources energy.backend asks for; the modelled one only where it was opted into. New, NULL-terminated. */
static const char **sources_of(const struct config *config)
{
    bool modelled = config_has(config, FIELD_ENERGY_MODELLED) && config_bool(config, FIELD_ENERGY_MODELLED);
    return meter_sources_asked(config_string(config, FIELD_ENERGY_BACKEND), modelled ? SOURCE_MODEL : 0);
}

static bool open_meter(struct experiment *x, GError **error)
{
    g_autofree const char **sources = sources_of(x->config);
    struct meter_options options = {.sources = sources};
    if (config_has(x->config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE))
        config_span(x->config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE, &options.modelled_low_w, &options.modelled_high_w);
    x->meter = meter_open(&options, error);
    return x->meter != NULL;
}

/* Watches the sensors once per host, set of boards and driver: refresh periods, read costs, counters that stand still. */
static void characterise(struct experiment *x)
{
    x->characterisation = meter_characterisation_load(x->meter);
    if (x->characterisation)
        return;
    experiment_say(x, "watching the sensors");
    x->characterisation = meter_characterise(x->meter, CHARACTERISE_NS);
    meter_characterisation_save(x->meter, x->characterisation, NULL);
}

static bool start_sampler(struct experiment *x, GError **error)
{
    bool any = false;
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        any = any || c->status != QUANTITY_ABSENT;
        x->sensors_need_quiet = x->sensors_need_quiet || (channel_is_energy(c) && c->status != QUANTITY_MODELLED);
    }
    if (!any) /* nothing to read: no trace either */
        return true;
    if (x->sensors_need_quiet)
        characterise(x);
    g_autofree char *trace = g_build_filename(x->dir, "trace.csv.gz", NULL);
    struct sampler_options options = {.step_ns = config_ns(x->config, FIELD_ENERGY_SAMPLE_PERIOD_MS),
                                      .trace_path = trace};
    x->sampler = sampler_new(x->meter, &options, error);
    return x->sampler && sampler_start(x->sampler, error);
}

bool phase_sensors(struct experiment *x, GError **error)
{
    if (!open_meter(x, error))
        return false;
    x->environment = environment_collect(x->meter);
    return start_sampler(x, error);
}

/* --- engine ---------------------------------------------------------------------------------------------------- */

bool phase_engine(struct experiment *x, GError **error)
{
    g_auto(GStrv) argv = engine_find(config_string(x->config, FIELD_BACKEND), x->exchange.engines_dir, error);
    if (!argv)
        return false;
    struct engine_options options = {
        .argv = (const char *const *)argv, .log_path = x->log_path, .interrupt_fd = x->interrupt_fd};
    x->engine = engine_start(&options, error);
    if (!x->engine || !engine_hello(x->engine, 0, &x->identity, error))
        return false;
    pid_t pid = (pid_t)x->identity.pid; /* loading is its work too; the other processes are known after it */
    meter_set_engine_pids(x->meter, &pid, 1);
    return true;
}

static void copy_member(json_t *to, const json_t *tree, const char *key)
{
    json_t *value = json_object_get(tree, key);
    if (value && !json_is_null(value))
        json_object_set(to, key, value);
}

/* What `load` hands to the adapter: the work's own fields and the section of the backend. */
static json_t *load_config(const struct experiment *x)
{
    static const char *const shared[] = {"model",   "precision",  "max_input_tokens", "max_output_tokens",
                                         "decoder", "random_seed"};
    g_autoptr(json_t) tree = config_tree(x->config);
    json_t *load = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(shared); i++)
        copy_member(load, tree, shared[i]);
    if (x->exchange.model_path)
        json_object_set_new(load, "model_path", json_string(x->exchange.model_path));
    /* Whether a request stops at the end-of-sequence token is the request's own matter (prepare), not the engine's. */
    json_object_del(json_object_get(load, "decoder"), "ignore_eos");
    const json_t *section = json_object_get(tree, config_string(x->config, FIELD_BACKEND));
    json_object_set_new(load, "options", section ? json_deep_copy(section) : json_object());
    return load;
}

static bool report_engine(struct experiment *x, GError **error)
{
    json_t *engine = json_object();
    json_object_set_new(engine, "backend", json_string(config_string(x->config, FIELD_BACKEND)));
    json_object_set_new(engine, "name", json_string(x->identity.engine));
    const char *version = x->loaded.engine_version ? x->loaded.engine_version : x->identity.engine_version;
    json_object_set_new(engine, "version", version ? json_string(version) : json_null());
    json_object_set_new(engine, "adapter", json_string(x->identity.adapter));
    json_object_set_new(engine, "adapter_version", json_string(x->identity.adapter_version));
    if (x->identity.libraries)
        json_object_set_new(engine, "libraries", json_deep_copy(x->identity.libraries));
    json_object_set_new(engine, "resolved", json_deep_copy(x->loaded.resolved));
    if (x->loaded.facts)
        json_object_set_new(engine, "facts", json_deep_copy(x->loaded.facts));
    json_object_set_new(engine, "substitutions",
                        x->loaded.substitutions ? json_deep_copy(x->loaded.substitutions) : json_array());
    if (json_array_size(x->loaded.substitutions) > 0)
        flag_raise(x->result, FLAG_SUBSTITUTED);
    json_object_set(x->environment, "engine", engine);
    result_part(x->result, "engine", engine);
    result_part(x->result, "environment", json_incref(x->environment));
    return experiment_save_environment(x, error);
}

bool phase_load(struct experiment *x, GError **error)
{
    g_autoptr(json_t) load = load_config(x);
    x->load.tick0 = ticks_read(x, 1);
    if (!engine_load(x->engine, load, config_bool(x->config, FIELD_ALLOW_SUBSTITUTION), experiment_deadline(x), &x->loaded, error))
        return false;
    x->load.tick1 = ticks_read(x, 2);
    x->load.t0_ns = x->loaded.t0_ns;
    x->load.t1_ns = x->loaded.t1_ns;
    experiment_mark(x, "load.begin", x->load.t0_ns);
    experiment_mark(x, "load.end", x->load.t1_ns);
    g_autofree pid_t *pids = g_new0(pid_t, x->loaded.n_pids + 1);
    for (size_t i = 0; i < x->loaded.n_pids; i++)
        pids[i] = (pid_t)x->loaded.pids[i];
    meter_set_engine_pids(x->meter, pids, MIN(x->loaded.n_pids, METER_ENGINE_PIDS_MAX));
    machine_bind_boards(x);
    x->sensors_need_quiet = sensors_need_quiet(x);
    return report_engine(x, error);
}

/* --- work ------------------------------------------------------------------------------------------------------ */

static bool tokenize(struct experiment *x, const struct exchange_prompts *prompts, struct engine_tokens **ret,
                     size_t *ret_truncated, GError **error)
{
    if (!engine_tokenize(x->engine, (const char *const *)prompts->text, prompts->n, /* add_special */ false,
                         experiment_deadline(x), ret, error))
        return false;
    size_t longest = (size_t)config_int(x->config, FIELD_MAX_INPUT_TOKENS);
    for (size_t i = 0; i < prompts->n; i++) {
        struct engine_tokens *t = &(*ret)[i];
        *ret_truncated += t->n > longest;
        t->n = MIN(t->n, longest);
        if (t->n == 0) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "the prompt in line %" G_GINT64_FORMAT
                        " of the data set has no tokens", prompts->line[i]);
            return false;
        }
    }
    return true;
}

static char *tokens_sha256(const struct engine_tokens *tokens, size_t n)
{
    g_autofree const int32_t **ids = g_new0(const int32_t *, n + 1);
    g_autofree size_t *lengths = g_new0(size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        ids[i] = tokens[i].ids;
        lengths[i] = tokens[i].n;
    }
    return workload_ids_sha256(ids, lengths, n);
}

bool phase_tokenize(struct experiment *x, GError **error)
{
    size_t ignored = 0;
    if (!tokenize(x, &x->prompts, &x->tokens, &x->n_truncated, error))
        return false;
    if (x->warm_prompts.n && !tokenize(x, &x->warm_prompts, &x->warm_tokens, &ignored, error))
        return false;
    x->input_sha256 = tokens_sha256(x->tokens, x->prompts.n);
    return true;
}
