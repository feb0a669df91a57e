/* SPDX-License-Identifier: MIT */
#include "experiment/experiment.h"

#include "experiment/environment.h"
#include "experiment/internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* The whole experiment, in order. */
static const struct phase {
    const char *name;
    bool (*run)(struct experiment *x, GError **error);
} phases[] = {
    {"sensors", phase_sensors},
    {"idle before the engine", phase_idle_cold},
    {"engine start", phase_engine},
    {"load", phase_load},
    {"tokenize", phase_tokenize},
    {"warm-up", phase_warmup},
    {"idle with the engine loaded", phase_idle_context},
    {"measure", phase_measure},
    {"idle after the work", phase_idle_after},
    {"memory", phase_memory},
    {"engine stop", phase_stop},
    {"estimate", phase_estimate},
};

void experiment_say(struct experiment *x, const char *detail)
{
    if (!x->progress)
        return;
    g_autoptr(json_t) line = json_pack("{s:I, s:s, s:s*}", "t_ns", (json_int_t)clock_mono_ns(), "phase", x->phase,
                                       "detail", detail);
    g_autofree char *text = jsonx_dump(line, JSONX_COMPACT);
    fprintf(x->progress, "%s\n", text);
    fflush(x->progress);
}

int64_t experiment_deadline(const struct experiment *x)
{
    return x->deadline_ns;
}

bool experiment_check(struct experiment *x, GError **error)
{
    if (interrupt_pending(x->interrupt_fd)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted");
        return false;
    }
    if (clock_mono_ns() > x->deadline_ns) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT, "no time left for '%s'", x->phase);
        return false;
    }
    return true;
}

bool experiment_wait_until(struct experiment *x, int64_t until_ns, GError **error)
{
    for (;;) {
        if (!experiment_check(x, error))
            return false;
        int64_t left = until_ns - clock_mono_ns();
        if (left <= 0)
            return true;
        struct pollfd fd = {.fd = x->interrupt_fd, .events = POLLIN};
        poll(&fd, 1, (int)MIN((left + NS_PER_MS - 1) / NS_PER_MS, 1000));
    }
}

bool experiment_save_environment(struct experiment *x, GError **error)
{
    g_autofree char *path = g_build_filename(x->dir, "environment.json", NULL);
    return jsonx_save(path, x->environment, error);
}

void experiment_mark(struct experiment *x, const char *name, int64_t t_ns)
{
    if (x->sampler)
        sampler_mark(x->sampler, name, t_ns);
}

static char *file_of(const struct experiment *x, const char *suffix)
{
    return exchange_file(x->dir, x->exchange.config_hash, suffix);
}

/* After a failure the engine is hung or unwanted: a short word, then signals. Engines of several processes need some
 * seconds after SIGTERM to end their children. */
static const struct engine_stop_waits hurried = {.shutdown_ns = NS_PER_S, .term_ns = 8 * NS_PER_S, .kill_ns = 3 * NS_PER_S};

static bool read_exchange(struct experiment *x, const char *config_path, GError **error)
{
    x->phase = "configuration";
    const struct exchange *in = &x->exchange;
    if (!exchange_read(config_path, &x->exchange, error))
        return false;
    x->config = config_from_values(in->config, in->origins, in->digests, in->config_hash, error);
    if (!x->config)
        return false;
    x->result = result_new(in);
    x->prompts = in->prompts;
    x->warm_prompts = in->warmup;
    x->deadline_ns = clock_mono_ns() + config_ns(x->config, FIELD_LIMITS_TIMEOUT_SECONDS);
    g_autofree char *progress = g_build_filename(x->dir, "progress.jsonl", NULL);
    x->progress = fopen(progress, "we");
    return true;
}

static bool run_phases(struct experiment *x, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(phases); i++) {
        x->phase = phases[i].name;
        experiment_say(x, NULL);
        if (!experiment_check(x, error) || !phases[i].run(x, error))
            return false;
    }
    x->phase = "write";
    g_autofree char *path = file_of(x, "result.json");
    return result_write(x->result, path, error);
}

static json_t *engine_error_of(const struct experiment *x)
{
    const struct engine_failure *f = x->engine ? engine_last_failure(x->engine) : NULL;
    if (!f || f->code < 0)
        return NULL;
    json_t *tree = json_object();
    json_object_set_new(tree, "during", json_string(f->message_name ? f->message_name : ""));
    if (f->engine_class)
        json_object_set_new(tree, "class", json_string(f->engine_class));
    if (f->engine_message)
        json_object_set_new(tree, "message", json_string(f->engine_message));
    json_object_set_new(tree, "oom", json_boolean(f->oom));
    if (f->exit_status >= 0)
        json_object_set_new(tree, "exit_status", json_integer(f->exit_status));
    if (f->signal >= 0)
        json_object_set_new(tree, "signal", json_integer(f->signal));
    return tree;
}

/* A message that got no answer before the run's own deadline is the deadline's matter: say which setting it is. */
static void explain_timeout(struct experiment *x, GError **failure)
{
    if (x->config && g_error_matches(*failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT) && clock_mono_ns() >= x->deadline_ns)
        g_prefix_error(failure, "the run did not end within limits.timeout_seconds (%g s): ",
                       config_real(x->config, FIELD_LIMITS_TIMEOUT_SECONDS));
}

/* Brings everything down and leaves the record of why. The sampler is stopped too, so that the trace is whole. */
static void record_failure(struct experiment *x, GError **failure)
{
    g_autoptr(json_t) engine_error = engine_error_of(x);
    g_autoptr(GError) second = NULL;
    explain_timeout(x, failure);
    if (x->engine && !engine_stop(x->engine, &hurried, &x->stopped, &second)) {
        g_prefix_error(failure, "(%s) ", second->message);
        g_clear_error(&second);
    }
    if (x->sampler)
        sampler_stop(x->sampler, NULL);
    if (!x->exchange.config_hash)
        return;
    if (x->environment && !x->load.t1_ns)
        experiment_save_environment(x, NULL); /* what matters now is the failure */
    g_autofree char *path = file_of(x, "error.json");
    if (!result_error_write(path, &x->exchange, *failure, x->phase, engine_error, x->log_path, &second))
        g_prefix_error(failure, "(no error record: %s) ", second->message);
}

static void clear(struct experiment *x)
{
    engine_generation_clear(&x->generation);
    engine_memory_clear(&x->memory);
    engine_tokens_free(x->tokens, x->prompts.n);
    engine_tokens_free(x->warm_tokens, x->warm_prompts.n);
    engine_loaded_clear(&x->loaded);
    engine_identity_clear(&x->identity);
    engine_free(x->engine);
    sampler_free(x->sampler);
    meter_close(x->meter);
    json_decref(x->characterisation);
    json_decref(x->environment);
    result_free(x->result);
    config_free(x->config);
    exchange_clear(&x->exchange);
    if (x->progress)
        fclose(x->progress);
    if (x->bound)
        g_ptr_array_unref(x->bound);
    if (x->strangers)
        g_array_unref(x->strangers);
    g_free(x->input_sha256);
    g_free(x->output_sha256);
    struct stretch *stretches[] = {&x->load, &x->warmup, &x->block};
    for (size_t i = 0; i < G_N_ELEMENTS(stretches); i++) {
        g_free(stretches[i]->tick0);
        g_free(stretches[i]->tick1);
    }
    g_free(x->dir);
    g_free(x->log_path);
}

bool experiment_run(const char *config_path, int interrupt_fd, GError **error)
{
    struct experiment x = {.interrupt_fd = interrupt_fd, .dir = g_path_get_dirname(config_path)};
    x.log_path = g_build_filename(x.dir, "engine.log", NULL);
    GError *failure = NULL;
    bool ok = read_exchange(&x, config_path, &failure) && run_phases(&x, &failure);
    if (!ok) {
        record_failure(&x, &failure);
        g_propagate_error(error, failure);
    }
    clear(&x);
    return ok;
}
