/* SPDX-License-Identifier: MIT */
/* Internal to experiment: the state the phases share. Each phase reads what earlier ones left and adds its own. */
#pragma once

#include "config/config.h"
#include "energy/energy.h"
#include "engine/engine.h"
#include "exchange/exchange.h"
#include "experiment/experiment.h"
#include "meter/meter.h"
#include "result/result.h"
#include "workload/workload.h"

/* A stretch of the run with energy of its own: load, warm-up, the measured block. */
struct stretch {
    int64_t t0_ns, t1_ns;                /* both 0: it did not take place */
    struct meter_reading *tick0, *tick1; /* ticks_read() around it, or NULL; freed with the experiment */
};

/* CPU time used so far. */
struct machine_use {
    int64_t t_ns;
    int64_t busy_ns; /* of the whole machine; -1: unknown */
    int64_t own_ns;  /* of the engine and this process */
};

/* Idle levels are taken over a stretch; NULL reason: it took place. */
#define NO_IDLE_LEVEL "a modelled energy counts the engine's own CPU time and has no idle level"
struct idle {
    struct stretch at;
    const char *reason; /* why it was not taken */
};

struct experiment {
    /* from the exchange file */
    struct exchange exchange;
    struct config *config;
    char *dir, *log_path;
    int interrupt_fd;
    int64_t deadline_ns;
    FILE *progress;
    const char *phase; /* name of the phase under way, for error records */

    json_t *environment;

    /* sensors */
    struct meter *meter;
    struct sampler *sampler;   /* NULL: no channel to read */
    json_t *characterisation;  /* what watching the sensors showed, or NULL */
    bool sensors_need_quiet;   /* some usable channel is a sensor of what the engine works on (before it has loaded: of
                                  anything): guards and baselines apply */

    /* engine */
    struct engine *engine;
    struct engine_identity identity;
    struct engine_loaded loaded;
    struct engine_memory memory;
    struct engine_stop_report stopped;

    /* work */
    struct exchange_prompts prompts, warm_prompts; /* borrowed from exchange */
    struct engine_tokens *tokens, *warm_tokens; /* prompts.n and warm_prompts.n of them, truncated */
    char *input_sha256, *output_sha256;
    size_t n_truncated;

    /* what happened when */
    struct idle idle_cold, idle_context, idle_after; /* the last two with the engine loaded, before and after the work */
    struct stretch load, warmup;
    struct energy_steady steady;
    size_t warmup_iterations;
    struct energy_window window; /* of the measured block */
    struct energy_guard_plan guard;
    int64_t dither_ns; /* batches start after a pause of up to this: some sensor sees only a part of each period */
    bool guard_gave_up;
    bool period_changed; /* a sensor was slower than known, and there was no second block with guards to match */
    int64_t repeats;
    struct engine_generation generation;
    struct machine_use use_pre, use_before, use_after, use_post; /* start of the guard, around the block, end of it */
    GPtrArray *bound;                         /* UUIDs of the run's boards (char *); NULL: not known yet */
    bool bound_by_processes;                  /* the driver's list named the engine's processes */
    size_t holders_most;                      /* processes on one of the run's boards, seen around a block */
    GArray *strangers;                        /* pid_t: others that hold memory of the run's boards, seen around a block */
    bool unequal_work;
    struct stretch block; /* t0 and t1 of the window, with its ticks */

    struct result *result;
};

/* --- phases (one function a row of the table) ------------------------------------------------------------------ */
bool phase_sensors(struct experiment *x, GError **error);
bool phase_idle_cold(struct experiment *x, GError **error);
bool phase_engine(struct experiment *x, GError **error);
bool phase_load(struct experiment *x, GError **error);
bool phase_tokenize(struct experiment *x, GError **error);
bool phase_warmup(struct experiment *x, GError **error);
bool phase_idle_context(struct experiment *x, GError **error);
bool phase_measure(struct experiment *x, GError **error);
bool phase_idle_after(struct experiment *x, GError **error);
bool phase_memory(struct experiment *x, GError **error);
bool phase_stop(struct experiment *x, GError **error);
bool phase_estimate(struct experiment *x, GError **error);

/* --- helpers ----------------------------------------------------------------------------------------------------- */
/* Writes environment.json: once the engine has said what it is, or when the run fails before that. */
bool experiment_save_environment(struct experiment *x, GError **error);
/* Tells whoever follows progress.jsonl. */
void experiment_say(struct experiment *x, const char *detail);
/* Sleeps until an absolute time unless interrupted or past the run's deadline. */
bool experiment_wait_until(struct experiment *x, int64_t until_ns, GError **error);
/* INTERRUPTED or TIMEOUT when the run must not go on. */
bool experiment_check(struct experiment *x, GError **error);
/* The deadline of a message: the run's own. */
int64_t experiment_deadline(const struct experiment *x);
/* Whether a channel is of a kind that joules come from. */
static inline bool channel_gives_joules(const struct meter_channel *c)
{
    return c->kind == METER_ENERGY || c->kind == METER_POWER_INSTANT || c->kind == METER_POWER_AVERAGE;
}
/* Whether joules can come from a channel. */
static inline bool channel_is_energy(const struct meter_channel *c)
{
    return channel_gives_joules(c) && c->status != QUANTITY_ABSENT;
}
/* What watching found against a counter, in words. Static. */
const char *sensor_fault(const struct meter_sensor *seen);
/* Whether guards and idle levels have a sensor to serve. */
bool sensors_need_quiet(const struct experiment *x);
/* Whether a channel is of a board this run works on; channels that belong to no board always are. */
bool channel_is_ours(const struct experiment *x, const struct meter_channel *c);
/* Marks a moment in the trace. */
void experiment_mark(struct experiment *x, const char *name, int64_t t_ns);

/* --- energy of stretches (account.c) ------------------------------------------------------------------------------ */

/* The boards (or packages) of one scope, with the points of a window. */
struct scope {
    const char *name;
    GPtrArray *boards; /* struct scope_board * */
};
struct scope_board {
    const char *device;
    const char *why; /* no channel of it can be used: why, static or of the meter; it makes the sum absent */
    struct energy_channel counter, average, instant;
    struct energy_board board;
    struct energy_calibration calibration;
};
/* The scopes that have a usable energy or power channel of a board this run is bound to. New array of struct scope *. */
GPtrArray *scopes_find(struct experiment *x);
void scopes_free(GPtrArray *scopes);
/* Counters that can be read on the spot (fast ones on their own ticks, the model at once), read close to an edge of a
 * stretch: n ticks, the last one is kept. New array of meter_channel_count(); the others are NONE. */
struct meter_reading *ticks_read(struct experiment *x, int n);
/* Fills the points of every channel for [from_ns, to_ns], and the ticks of a stretch (NULL: none). */
void scope_load(struct experiment *x, struct scope *scope, int64_t from_ns, int64_t to_ns, const struct stretch *ticks);
/* The scope whose energy is the run's energy_j, or NULL. Borrowed from scopes. */
struct scope *scope_primary(struct experiment *x, GPtrArray *scopes);
/* The estimate of a window over the boards of a scope; that of each board is added to per_board (NULL: not wanted). */
void scope_estimate(struct experiment *x, struct scope *scope, const struct energy_window *window,
                    struct energy_estimate *ret, json_t *per_board);
enum quantity_status scope_status(const struct scope *scope);
bool scope_is_gpu(const struct scope *scope);
/* What the run itself shows of its sensors goes into the characterisation (this run's and the cached one): a counter that
 * followed the 1-s average during the warm-up; a counter that refreshed more slowly in the window than was known, which
 * returns true when there was one: the guards then want another plan. */
void scopes_learn_follow(struct experiment *x, GPtrArray *scopes);
bool scopes_learn_periods(struct experiment *x, GPtrArray *scopes);
/* The channels the guard of the window must serve. New array of struct energy_channel. */
GArray *scope_channels(GPtrArray *scopes);
