/* SPDX-License-Identifier: MIT */
#include "experiment/experiment.h"

#include "experiment/environment.h"
#include "experiment/internal.h"
#include "experiment/machine.h"
#include "experiment/requests.h"
#include "experiment/service.h"
#include "experiment/variables.h"

#include <stdio.h>

#define NOT_KEPT_IN_FLIGHT "requests are kept in flight by load.mode: closed_loop alone"

/* --- the phases: each names what it reads, and the one part it fills --------------------------------------------- */

static bool open_sensors(struct experiment *x, GError **error)
{
    if (!sensors_open(&x->inputs, &x->pace, &x->sensors, error))
        return false;
    x->environment = environment_collect(x->sensors.meter);
    variables_record(x->inputs.exchange.environment, x->environment);
    return true;
}

static bool take_idle_cold(struct experiment *x, GError **error)
{
    return idle_take(&x->inputs, &x->pace, &x->sensors, 1, 0, "idle_cold", &x->idle_cold, error);
}

static bool start_engine(struct experiment *x, GError **error)
{
    return session_start(&x->inputs, &x->pace, &x->sensors, &x->session, error);
}

static bool save_environment(const struct experiment *x, GError **error)
{
    g_autofree char *path = g_build_filename(x->inputs.dir, result_files[RESULT_FILE_ENVIRONMENT].name, NULL);
    return jsonx_save(path, x->environment, error);
}

static bool load_model(struct experiment *x, GError **error)
{
    if (!session_load(&x->inputs, &x->pace, &x->sensors, &x->session, error))
        return false;
    machine_bind_boards(x->machine, x->sensors.meter, &x->session.loaded, x->inputs.exchange.boards);
    sensors_bind(&x->sensors, x->session.loaded.on_gpu, machine_boards(x->machine));
    idle_judge_cold(&x->inputs, &x->sensors, &x->idle_cold);
    json_object_set_new(x->environment, "engine", session_json(&x->inputs, &x->session));
    return save_environment(x, error);
}

static bool tokenize(struct experiment *x, GError **error)
{
    return session_tokenize(&x->inputs, &x->pace, &x->session, error);
}

static bool warm_up(struct experiment *x, GError **error)
{
    return warmup_run(&x->inputs, &x->pace, &x->sensors, &x->session, &x->warmup, error);
}

/* Half of the time before the warm-up and half after the work: the level during the work lies between, and a drift
 * shows. Not between warm-up and work, which would then begin on a board that has cooled. */
static bool take_idle_context(struct experiment *x, GError **error)
{
    int64_t worked_ns = clock_mono_ns();
    return idle_take(&x->inputs, &x->pace, &x->sensors, 0.5, worked_ns, "idle_context", &x->idle_context, error);
}

/* What is known of the sensors before the work: the least that boards draw, their calibration. */
static bool measure(struct experiment *x, GError **error)
{
    if (x->idle_context.at.t1_ns)
        sensors_set_levels(&x->sensors, &x->idle_context.at);
    if (config_has(x->inputs.config, FIELD_ENERGY_CALIBRATION))
        sensors_calibrate(&x->sensors, config_string(x->inputs.config, FIELD_ENERGY_CALIBRATION));
    return block_measure(&x->inputs, &x->pace, &x->session, &x->warmup, &x->sensors, x->machine, &x->block, error);
}

static bool take_idle_after(struct experiment *x, GError **error)
{
    int64_t worked_ns = x->block.window.t1_ns;
    return idle_take(&x->inputs, &x->pace, &x->sensors, 0.5, worked_ns, "idle_after", &x->idle_after, error);
}

static bool ask_memory(struct experiment *x, GError **error)
{
    x->session.resident = resident_take(&x->session.loaded);
    return engine_memory(x->session.engine, x->pace.deadline_ns, &x->session.memory, error);
}

static bool stop_engine(struct experiment *x, GError **error)
{
    return session_stop(&x->session, NULL, error) && (!x->sensors.sampler || sampler_stop(x->sensors.sampler, error));
}

static struct steady steady_of(const struct experiment *x)
{
    if (inputs_in_flight(&x->inputs))
        return steady_find(&x->block.generation, inputs_in_flight(&x->inputs));
    if (inputs_load(&x->inputs) == CONFIG_LOAD_OFFLINE)
        return steady_of_all(&x->block.generation, (size_t)MAX(0, x->session.loaded.in_flight));
    return (struct steady){.reason = NOT_KEPT_IN_FLIGHT};
}

/* Reads all that the phases before it left, and writes the record. */
static bool estimate(struct experiment *x, GError **error)
{
    (void)error;
    struct result *r = x->result = result_new(&x->inputs.exchange);
    report_engine(x, r);
    x->steady = steady_of(x);
    service_metrics(r, &x->block.generation, &x->steady, x->block.window.pause_ns, session_status(&x->session));
    report_work(x, r);
    report_memory(x, r);
    report_energy(x, r);
    report_timing(x, r);
    machine_report(x, r);
    if (x->sensors.sampler)
        result_put_members(r, "sampler", sampler_stats_json(x->sensors.sampler));
    return true;
}

/* The whole experiment, in order. */
static const struct phase {
    const char *name;
    bool (*run)(struct experiment *x, GError **error);
} phases[] = {
    {"sensors", open_sensors},
    {"idle before the engine", take_idle_cold},
    {"engine start", start_engine},
    {"load", load_model},
    {"tokenize", tokenize},
    {"idle with the engine loaded", take_idle_context},
    {"warm-up", warm_up},
    {"measure", measure},
    {"idle after the work", take_idle_after},
    {"memory", ask_memory},
    {"engine stop", stop_engine},
    {"estimate", estimate},
};

/* --- the run ----------------------------------------------------------------------------------------------------- */

static char *file_of(const struct experiment *x, enum result_file file)
{
    return exchange_file(x->inputs.dir, x->inputs.exchange.config_hash, result_files[file].name);
}

static bool begin(struct experiment *x, const char *config_path, GError **error)
{
    x->pace.phase = "configuration";
    if (!inputs_read(config_path, &x->inputs, error))
        return false;
    x->pace.deadline_ns = suspend_clock_ns() + config_ns(x->inputs.config, FIELD_LIMITS_TIMEOUT_SECONDS);
    g_autofree char *progress = g_build_filename(x->inputs.dir, result_files[RESULT_FILE_PROGRESS].name, NULL);
    x->pace.progress = fopen(progress, "we");
    return true;
}

static bool run_phases(struct experiment *x, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(phases); i++) {
        x->pace.phase = phases[i].name;
        pace_say(&x->pace, NULL);
        if (!pace_check(&x->pace, error) || !phases[i].run(x, error))
            return false;
    }
    x->pace.phase = "write";
    if (!requests_write(&x->inputs, &x->session, &x->block.generation, error))
        return false;
    g_autofree char *path = file_of(x, RESULT_FILE_RESULT);
    return result_write(x->result, path, error);
}

static json_t *engine_error_of(const struct session *session)
{
    const struct engine_failure *f = session->engine ? engine_last_failure(session->engine) : NULL;
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
static void explain_timeout(const struct experiment *x, GError **failure)
{
    const struct config *config = x->inputs.config;
    bool over = suspend_clock_ns() >= x->pace.deadline_ns;
    if (config && over && g_error_matches(*failure, LLEM_ERROR, LLEM_ERROR_TIMEOUT))
        g_prefix_error(failure, "the run did not end within limits.timeout_seconds (%g s): ",
                       config_real(config, FIELD_LIMITS_TIMEOUT_SECONDS));
}

/* After a failure the engine is hung or unwanted: a short word, then signals. Engines of several processes need some
 * seconds after SIGTERM to end their children. */
static const struct engine_stop_waits hurried = {
    .shutdown_ns = NS_PER_S, .term_ns = 8 * NS_PER_S, .kill_ns = 3 * NS_PER_S};

/* Brings everything down and leaves the record of why. The sampler is stopped too, so that the trace is whole. */
static void record_failure(struct experiment *x, GError **failure)
{
    g_autoptr(json_t) engine_error = engine_error_of(&x->session);
    g_autoptr(GError) second = NULL;
    explain_timeout(x, failure);
    if (x->session.engine && !session_stop(&x->session, &hurried, &second)) {
        g_prefix_error(failure, "(%s) ", second->message);
        g_clear_error(&second);
    }
    if (x->sensors.sampler)
        sampler_stop(x->sensors.sampler, NULL);
    if (!x->inputs.exchange.config_hash)
        return;
    if (x->environment && !x->session.load.t1_ns)
        save_environment(x, NULL); /* what matters now is the failure */
    g_autofree char *path = file_of(x, RESULT_FILE_ERROR);
    if (!result_error_write(path, &x->inputs.exchange, *failure, x->pace.phase, engine_error, x->inputs.log_path,
                            &second))
        g_prefix_error(failure, "(no error record: %s) ", second->message);
}

/* In the order of what refers to what. */
static void clear(struct experiment *x)
{
    block_clear(&x->block);
    warmup_clear(&x->warmup);
    session_clear(&x->session);
    sensors_clear(&x->sensors);
    machine_free(x->machine);
    json_decref(x->environment);
    result_free(x->result);
    if (x->pace.progress)
        fclose(x->pace.progress);
    inputs_clear(&x->inputs);
}

bool experiment_run(const char *config_path, int interrupt_fd, GError **error)
{
    struct experiment x = {.pace.interrupt_fd = interrupt_fd, .machine = machine_new()};
    GError *failure = NULL;
    bool ok = begin(&x, config_path, &failure) && run_phases(&x, &failure);
    if (!ok) {
        record_failure(&x, &failure);
        g_propagate_error(error, failure);
    }
    clear(&x);
    return ok;
}
