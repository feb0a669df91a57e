/* SPDX-License-Identifier: MIT */
/* The engine of a run: started, loaded, given token ids, stopped. */
#include "experiment/internal.h"
#include "experiment/variables.h"
#include "workload/workload.h"

/* --- start and load ---------------------------------------------------------------------------------------------- */

/* "NAME=value" of an object of texts. New vector. */
static char **assignments_of(json_t *object)
{
    char **rows = g_new0(char *, json_object_size(object) + 1);
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach(object, name, value)
        rows[n++] = g_strdup_printf("%s=%s", name, json_string_value(value));
    return rows;
}

bool session_start(const struct inputs *in, const struct pace *pace, const struct sensors *sensors,
                   struct session *ret, GError **error)
{
    g_auto(GStrv) env = assignments_of(in->exchange.environment);
    if (!in->exchange.command || !in->exchange.command[0]) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "the exchange file names no engine.command");
        return false;
    }
    const struct engine_options options = {.argv = (const char *const *)in->exchange.command,
                                           .env = (const char *const *)env,
                                           .log_path = in->log_path,
                                           .interrupt_fd = pace->interrupt_fd};
    ret->engine = engine_start(&options, error);
    if (!ret->engine || !engine_hello(ret->engine, 0, &ret->identity, error))
        return false;
    pid_t pid = (pid_t)ret->identity.pid; /* loading is its work too; the other processes are known after it */
    meter_set_engine_pids(sensors->meter, &pid, 1);
    return true;
}

static void copy_member(json_t *to, const json_t *tree, const char *key)
{
    json_t *value = json_object_get(tree, key);
    if (value && !json_is_null(value))
        json_object_set(to, key, value);
}

/* The section of the backend. New reference. */
static json_t *load_options(const struct inputs *in, const json_t *tree)
{
    const json_t *section = json_object_get(tree, config_string(in->config, FIELD_BACKEND));
    return section ? json_deep_copy(section) : json_object();
}

/* What `load` hands to the adapter: the work's own fields and the engine's options. */
static json_t *load_config(const struct inputs *in)
{
    static const char *const shared[] = {"model",   "precision",  "max_input_tokens", "max_output_tokens",
                                         "decoder", "random_seed"};
    g_autoptr(json_t) tree = config_tree(in->config);
    json_t *load = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(shared); i++)
        copy_member(load, tree, shared[i]);
    if (in->exchange.model_path)
        json_object_set_new(load, "model_path", json_string(in->exchange.model_path));
    /* A request says itself (prepare) what it does at the end-of-sequence token; the engine is not asked. What a preset
     * stands for is in the others. */
    json_object_del(json_object_get(load, "decoder"), "ignore_eos");
    json_object_del(json_object_get(load, "decoder"), "preset");
    json_object_set_new(load, "options", load_options(in, tree));
    return load;
}

static void name_processes(const struct session *session, const struct sensors *sensors)
{
    const struct engine_loaded *loaded = &session->loaded;
    g_autofree pid_t *pids = g_new0(pid_t, loaded->n_pids + 1);
    for (size_t i = 0; i < loaded->n_pids; i++)
        pids[i] = (pid_t)loaded->pids[i];
    meter_set_engine_pids(sensors->meter, pids, MIN(loaded->n_pids, METER_ENGINE_PIDS_MAX));
}

/* Where load.size goes beyond what the engine computes at once, requests would wait that are taken for under way. */
static bool check_load(const struct inputs *in, const struct engine_loaded *loaded, GError **error)
{
    size_t together = inputs_load(in) == CONFIG_LOAD_BATCH ? inputs_batch_size(in) : inputs_in_flight(in);
    int64_t asked = (int64_t)MIN(together, in->exchange.prompts.n);
    if (loaded->in_flight == 0 || asked <= loaded->in_flight)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                "load.size is %" G_GINT64_FORMAT ", and %s as it is loaded computes %" G_GINT64_FORMAT
                " requests at once: raise its limit, or lower load.size", asked,
                config_string(in->config, FIELD_BACKEND), loaded->in_flight);
    return false;
}

bool session_load(const struct inputs *in, const struct pace *pace, const struct sensors *sensors,
                  struct session *session, GError **error)
{
    g_autoptr(json_t) load = load_config(in);
    session->load.tick0 = sensors_ticks(sensors, 1);
    if (!engine_load(session->engine, load, config_bool(in->config, FIELD_ALLOW_SUBSTITUTION), pace->deadline_ns,
                     &session->loaded, error))
        return false;
    session->load.tick1 = sensors_ticks(sensors, 2);
    session->load.t0_ns = session->loaded.t0_ns;
    session->load.t1_ns = session->loaded.t1_ns;
    sensors_mark(sensors, "load.begin", session->load.t0_ns);
    sensors_mark(sensors, "load.end", session->load.t1_ns);
    name_processes(session, sensors);
    session->resident_loaded = resident_take(&session->loaded);
    return check_load(in, &session->loaded, error);
}

enum quantity_status session_status(const struct session *session)
{
    return session->identity.simulated ? QUANTITY_SIMULATED : QUANTITY_MEASURED;
}

#define NOT_SHOWN "(not shown)"

/* The variables that change the engine's work, as it saw them; null: not set. */
static json_t *variables_json(const struct exchange *given)
{
    json_t *variables = json_object();
    for (char **entry = given->record_env; entry && *entry; entry++) {
        g_autofree char *name = variables_entry_name(*entry);
        g_autofree char *value = variables_is_secret(name) ? NULL : variables_value(given->environment, name);
        bool may = value && (variables_is_shown(name) || variables_may_show(*entry, value));
        json_object_set_new(variables, name, value ? json_string(may ? value : NOT_SHOWN) : json_null());
    }
    return variables;
}

json_t *session_json(const struct inputs *in, const struct session *session)
{
    const struct engine_identity *identity = &session->identity;
    const struct engine_loaded *loaded = &session->loaded;
    const char *version = loaded->engine_version ? loaded->engine_version : identity->engine_version;
    json_t *none = json_array();
    json_t *tree =
        json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s*, s:s*, s:o, s:O*, s:O, s:O*, s:O, s:b}", "backend",
                  config_string(in->config, FIELD_BACKEND), "name", identity->engine, "version", version, "adapter",
                  identity->adapter, "adapter_version", identity->adapter_version, "descriptor_sha256",
                  in->exchange.descriptor_sha256, "program_sha256", in->exchange.program_sha256, "variables",
                  variables_json(&in->exchange), "libraries", identity->libraries, "resolved", loaded->resolved,
                  "facts", loaded->facts, "substitutions", loaded->substitutions ? loaded->substitutions : none,
                  "quiescent", (int)loaded->quiescent);
    json_decref(none);
    return tree;
}

/* --- token ids --------------------------------------------------------------------------------------------------- */

static bool tokenize(const struct inputs *in, const struct pace *pace, const struct session *session,
                     const struct exchange_prompts *prompts, struct engine_tokens **ret, size_t *ret_truncated,
                     GError **error)
{
    if (!engine_tokenize(session->engine, (const char *const *)prompts->text, prompts->n,
                         config_role_on(in->config, ROLE_ADD_SPECIAL), /* parse_special */ false, pace->deadline_ns,
                         ret, error))
        return false;
    size_t longest = (size_t)config_int(in->config, FIELD_MAX_INPUT_TOKENS);
    for (size_t i = 0; i < prompts->n; i++) {
        struct engine_tokens *t = &(*ret)[i];
        *ret_truncated += t->n > longest;
        t->n = MIN(t->n, longest);
        if (t->n == 0) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                        "the prompt in line %" G_GINT64_FORMAT " of the data set has no tokens", prompts->line[i]);
            return false;
        }
    }
    return true;
}

bool session_tokenize(const struct inputs *in, const struct pace *pace, struct session *session, GError **error)
{
    const struct exchange_prompts *prompts = &in->exchange.prompts, *warmup = &in->exchange.warmup;
    size_t ignored = 0;
    session->n_prompts = prompts->n;
    session->n_warm_prompts = warmup->n;
    return tokenize(in, pace, session, prompts, &session->tokens, &session->n_truncated, error) &&
           (!warmup->n || tokenize(in, pace, session, warmup, &session->warm_tokens, &ignored, error));
}

char *session_tokens_sha256(const struct engine_tokens *tokens, size_t n)
{
    g_autofree const int32_t **ids = g_new0(const int32_t *, n + 1);
    g_autofree size_t *lengths = g_new0(size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        ids[i] = tokens[i].ids;
        lengths[i] = tokens[i].n;
    }
    return workload_ids_sha256(ids, lengths, n);
}

bool session_prepare(const struct inputs *in, const struct pace *pace, const struct session *session, int64_t batch,
                     const struct engine_tokens *tokens, size_t n, bool *ret_quiescent, GError **error)
{
    g_autofree struct engine_prompt *prompts = g_new0(struct engine_prompt, n);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    bool ignore_eos = config_bool(in->config, FIELD_DECODER_IGNORE_EOS);
    for (size_t i = 0; i < n; i++) {
        char *id = g_strdup_printf("b%" G_GINT64_FORMAT ".r%zu", batch, i);
        g_ptr_array_add(ids, id);
        prompts[i] = (struct engine_prompt){.id = id,
                                            .token_ids = tokens[i].ids,
                                            .n_tokens = tokens[i].n,
                                            .max_tokens = config_int(in->config, FIELD_MAX_OUTPUT_TOKENS),
                                            .ignore_eos = ignore_eos};
    }
    return engine_prepare(session->engine, batch, prompts, n, pace->deadline_ns, ret_quiescent, error);
}

/* --- end --------------------------------------------------------------------------------------------------------- */

bool session_stop(struct session *session, const struct engine_stop_waits *waits, GError **error)
{
    return engine_stop(session->engine, waits, &session->stopped, error);
}

void session_clear(struct session *session)
{
    engine_memory_clear(&session->memory);
    engine_tokens_free(session->tokens, session->n_prompts);
    engine_tokens_free(session->warm_tokens, session->n_warm_prompts);
    engine_loaded_clear(&session->loaded);
    engine_identity_clear(&session->identity);
    engine_free(session->engine);
    stretch_clear(&session->load);
}
