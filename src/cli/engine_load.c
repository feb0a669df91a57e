/* SPDX-License-Identifier: MIT */
#include "cli/engine_load.h"

#include "backend/backend.h"
#include "cli/settings.h"
#include "engine/engine.h"

#include <math.h>

#define PROMPT        "the"
#define REQUEST_MOST  256                 /* output tokens of one request: longer bursts are several */
#define PACE_NS       (200 * NS_PER_MS)   /* as long an answer tells the time of a token */
#define PACE_TOKENS   4                   /* of the first one */
#define STEP_MOST_NS  (400 * NS_PER_MS)   /* of a token: bursts of slower engines are too long to tell sensors apart */

struct engine_load {
    struct meter_load head;
    struct engine *engine;
    int32_t prompt; /* one token */
    double token_ns;
    int64_t batch; /* the number of the last one */
    char *name;
};

/* --- requests ---------------------------------------------------------------------------------------------------- */

static bool prepare(struct engine_load *load, int64_t tokens, GError **error)
{
    g_autofree char *id = g_strdup_printf("r%" G_GINT64_FORMAT, ++load->batch);
    struct engine_prompt prompt = {
        .id = id, .token_ids = &load->prompt, .n_tokens = 1, .max_tokens = tokens, .ignore_eos = true};
    return engine_prepare(load->engine, load->batch, &prompt, 1, 0, NULL, error);
}

/* So many tokens, so many times, in requests of at most REQUEST_MOST. */
static bool generate(struct engine_load *load, unsigned times, int64_t tokens, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                     GError **error)
{
    g_autoptr(GArray) batches = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (unsigned i = 0; i < times; i++)
        for (int64_t left = tokens; left > 0; left -= REQUEST_MOST) {
            if (!prepare(load, MIN(left, REQUEST_MOST), error))
                return false;
            g_array_append_val(batches, load->batch);
        }
    struct engine_generation g = {0};
    bool ok = engine_generate_all(load->engine, (const int64_t *)(const void *)batches->data, batches->len, 0, &g,
                                  error);
    *ret_t0_ns = g.t0_ns;
    *ret_t1_ns = g.t1_ns;
    engine_generation_clear(&g);
    return ok;
}

static bool work(struct meter_load *head, unsigned times, int64_t each_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                 GError **error)
{
    struct engine_load *load = (struct engine_load *)head;
    int64_t tokens = MAX(1, llround((double)each_ns / load->token_ns));
    return generate(load, times, tokens, ret_t0_ns, ret_t1_ns, error);
}

static void end(struct meter_load *head)
{
    struct engine_load *load = (struct engine_load *)head;
    engine_stop(load->engine, NULL, NULL, NULL);
    engine_free(load->engine);
    g_free(load->name);
    g_free(load);
}

/* --- start ------------------------------------------------------------------------------------------------------- */

static json_t *load_config(const struct engine_load_options *options, GError **error)
{
    json_t *config = json_pack("{s:s, s:s*, s:s*, s:i, s:i, s:i}", "model", "selftest", "model_path",
                               options->model_path, "precision", options->precision, "max_input_tokens", 8,
                               "max_output_tokens", REQUEST_MOST, "random_seed", 42);
    json_t *settings = json_object();
    json_object_set_new(config, "options", settings);
    if (settings_add_all(settings, options->settings, error))
        return config;
    json_decref(config);
    return NULL;
}

static bool start(struct engine_load *load, const struct engine_load_options *options, GError **error)
{
    const struct backend *backend = backend_find(options->engine, error);
    g_auto(GStrv) argv = backend ? backend_command(backend, error) : NULL;
    if (!argv)
        return false;
    load->engine = engine_start(&(struct engine_options){.argv = (const char *const *)argv,
                                                         .env = backend_env(backend),
                                                         .interrupt_fd = -1},
                                error);
    struct engine_identity identity = {0};
    if (!load->engine || !engine_hello(load->engine, 0, &identity, error))
        return false;
    load->name = g_strdup_printf("%s %s", identity.engine, identity.engine_version ? identity.engine_version : "");
    load->name = g_strchomp(load->name);
    load->head.name = load->name;
    engine_identity_clear(&identity);
    return true;
}

static bool load_model(struct engine_load *load, const struct engine_load_options *options, GError **error)
{
    g_autoptr(json_t) config = load_config(options, error);
    struct engine_loaded loaded = {0};
    struct engine_tokens *tokens = NULL;
    const char *text = PROMPT;
    if (!config || !engine_load(load->engine, config, true, 0, &loaded, error))
        return false;
    load->head.pids[load->head.n_pids++] = engine_pid(load->engine);
    for (size_t i = 0; i < loaded.n_pids && load->head.n_pids < METER_LOAD_PIDS_MAX; i++)
        if (loaded.pids[i] != load->head.pids[0])
            load->head.pids[load->head.n_pids++] = (pid_t)loaded.pids[i];
    engine_loaded_clear(&loaded);
    if (!engine_tokenize(load->engine, &text, 1, false, false, 0, &tokens, error))
        return false;
    load->prompt = tokens[0].n ? tokens[0].ids[0] : 0;
    engine_tokens_free(tokens, 1);
    return true;
}

/* What a token takes, by answers of growing length: the first one also warms the engine up. */
static bool take_pace(struct engine_load *load, GError **error)
{
    int64_t t0_ns, t1_ns, tokens = PACE_TOKENS;
    if (!generate(load, 1, tokens, &t0_ns, &t1_ns, error))
        return false;
    do {
        tokens = MIN(REQUEST_MOST, 2 * tokens);
        if (!generate(load, 1, tokens, &t0_ns, &t1_ns, error))
            return false;
    } while (t1_ns - t0_ns < PACE_NS && tokens < REQUEST_MOST);
    load->token_ns = fmax(1e3, (double)(t1_ns - t0_ns) / (double)tokens);
    if (load->token_ns <= STEP_MOST_NS)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                "%s takes %.0f ms for a token: too slow to be switched on and off; take a smaller model", load->name,
                load->token_ns * 1e-6);
    return false;
}

struct meter_load *engine_load_new(const struct engine_load_options *options, GError **error)
{
    struct engine_load *load = g_new0(struct engine_load, 1);
    load->head = (struct meter_load){.work = work, .end = end};
    if (start(load, options, error) && load_model(load, options, error) && take_pace(load, error))
        return &load->head;
    g_prefix_error(error, "the load by %s: ", options->engine);
    if (load->engine)
        end(&load->head);
    else
        g_free(load);
    return NULL;
}
