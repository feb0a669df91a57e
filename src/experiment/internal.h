/* SPDX-License-Identifier: MIT */
/*
 * Internal to experiment: the parts of a run. A phase is given as const what it reads, and fills one part; the last
 * phase reads them all and writes the record. Three parts are added to later, through functions of their own: sensors
 * are bound to boards when the engine has loaded and learn from warm-up and block, the machine notes who else was there
 * around a block, the session ends.
 *
 *   inputs    what the run is told                       inputs.c
 *   pace      its deadline, interrupts, progress         pace.c
 *   sensors   the meter, its sampler, what is known      sensors.c
 *   machine   which boards are the run's, who else is there   machine.c
 *   session   the engine, loaded, and its token ids      session.c
 *   idle      a stretch in which nothing works           idle.c
 *   warmup    the work until it is steady                warmup.c
 *   block     the measured work between its guards       measure.c
 */
#pragma once

#include "account/account.h"
#include "config/config.h"
#include "engine/engine.h"
#include "exchange/exchange.h"
#include "experiment/experiment.h"
#include "experiment/resident.h"
#include "experiment/steady.h"
#include "meter/meter.h"
#include "result/result.h"

/* --- inputs ------------------------------------------------------------------------------------------------------ */

struct inputs {
    struct exchange exchange;
    struct config *config;
    char *dir, *log_path;
};

/* ret: zeroed. What was read stays in it after a failure, for the error record. */
bool inputs_read(const char *config_path, struct inputs *ret, GError **error);
void inputs_clear(struct inputs *inputs);
/* How requests reach the engine. */
enum config_load inputs_load(const struct inputs *inputs);
/* How many requests are one batch, how many of it are kept in flight (0: they begin together), and how many the engine
 * works on at once. */
size_t inputs_batch_size(const struct inputs *inputs);
size_t inputs_in_flight(const struct inputs *inputs);
size_t inputs_concurrency(const struct inputs *inputs);

/* --- pace -------------------------------------------------------------------------------------------------------- */

struct pace {
    int interrupt_fd;
    int64_t deadline_ns; /* by suspend_clock_ns() */
    FILE *progress;    /* NULL: nobody is told */
    const char *phase; /* name of the phase under way, for progress and error records */
};

/* INTERRUPTED or TIMEOUT when the run must not go on. */
bool pace_check(const struct pace *pace, GError **error);
/* Sleeps until an absolute time unless interrupted or past the deadline. */
bool pace_wait_until(const struct pace *pace, int64_t until_ns, GError **error);
/* Tells whoever follows progress.jsonl; detail may be NULL. */
void pace_say(const struct pace *pace, const char *detail);

/* --- stretches --------------------------------------------------------------------------------------------------- */

/* A stretch of the run with energy of its own: load, warm-up, the measured block. */
struct stretch {
    int64_t t0_ns, t1_ns;                /* both 0: it did not take place */
    struct meter_reading *tick0, *tick1; /* sensors_ticks() around it, or NULL */
};
void stretch_clear(struct stretch *stretch);

/* Idle levels are taken over a stretch; NULL reason: it took place. */
struct idle {
    struct stretch at;
    const char *reason; /* why it was not taken */
};

/* --- sensors ----------------------------------------------------------------------------------------------------- */

struct sensors {
    struct meter *meter;
    struct sampler *sampler; /* NULL: no channel to read */
    /* Guards and idle levels have a sensor to serve: of what the engine works on; before it has loaded, of anything. */
    bool need_quiet;
    struct account_known own; /* the meter's channels */
    /* Channels that the parent of the run reads, because the worker cannot: quiet is kept for them too. */
    struct account_known host;
    GArray *host_channels; /* struct meter_channel, or NULL: there is nobody beside */
    json_t *host_sources;  /* what the parent says of their sources; borrowed */
};

/* Opens the meter, watches sensors that are not known yet, starts the sampler. */
bool sensors_open(const struct inputs *inputs, const struct pace *pace, struct sensors *ret, GError **error);
void sensors_clear(struct sensors *sensors);
/* What the engine works on, once that is known. boards: ended by NULL and borrowed; NULL: all. */
void sensors_bind(struct sensors *sensors, bool on_boards, const char *const *boards);
/* Reads the calibration files of the boards in a place; from then on they count. */
void sensors_calibrate(struct sensors *sensors, const char *place);
/* Takes the levels of a stretch in which nothing worked for the least that boards draw. */
void sensors_set_levels(struct sensors *sensors, const struct stretch *quiet);
/* Keeps findings (struct energy_finding) for this run and later ones; false: there are none. */
bool sensors_learn(struct sensors *sensors, const GArray *findings);
/* The scopes with what was read here between two moments; ticks: of a stretch, or NULL. No scope without a sampler. */
struct energy_scopes *sensors_scopes(const struct sensors *sensors, int64_t from_ns, int64_t to_ns,
                                     const struct stretch *ticks);
/* Where readings come from, for the figures of the run. */
struct account_source sensors_source(const struct sensors *sensors);
/* The measured channels and those of the host, without points: for plans. New array of struct energy_channel. */
GArray *sensors_channels(const struct sensors *sensors);
/* Only the host's. */
GArray *sensors_host_channels(const struct sensors *sensors);
/* Counters that can be read on the spot (fast ones on their own ticks, the model at once), read close to an edge of a
 * stretch: n ticks, the last one is kept. New array of meter_channel_count(); the others are NONE. */
struct meter_reading *sensors_ticks(const struct sensors *sensors, int n);
/* What a channel showed between two moments; NULL: no channel of that kind at this index that is of the run's boards.
 * New array of struct meter_point. */
GArray *sensors_series(const struct sensors *sensors, size_t index, enum meter_kind kind, int64_t from_ns,
                       int64_t to_ns);
/* Marks a moment in the trace. */
void sensors_mark(const struct sensors *sensors, const char *name, int64_t t_ns);

/* --- session ----------------------------------------------------------------------------------------------------- */

struct session {
    struct engine *engine;
    struct engine_identity identity;
    struct engine_loaded loaded;
    struct engine_memory memory;
    struct resident resident_loaded, resident; /* after loading, after the work */
    struct engine_stop_report stopped;
    struct stretch load;
    struct engine_tokens *tokens, *warm_tokens; /* of the exchange's prompts, truncated */
    size_t n_prompts, n_warm_prompts, n_truncated;
};

bool session_start(const struct inputs *inputs, const struct pace *pace, const struct sensors *sensors,
                   struct session *ret, GError **error);
bool session_load(const struct inputs *inputs, const struct pace *pace, const struct sensors *sensors,
                  struct session *session, GError **error);
bool session_tokenize(const struct inputs *inputs, const struct pace *pace, struct session *session, GError **error);
bool session_stop(struct session *session, const struct engine_stop_waits *waits, GError **error);
void session_clear(struct session *session);
/* Hands a batch over. ret_quiescent may be NULL. */
bool session_prepare(const struct inputs *inputs, const struct pace *pace, const struct session *session,
                     int64_t batch, const struct engine_tokens *tokens, size_t n, bool *ret_quiescent,
                     GError **error);
/* Digest of token ids: equal in cells of equal work. New string. */
char *session_tokens_sha256(const struct engine_tokens *tokens, size_t n);
/* What the engine is, for record and environment. New reference. */
json_t *session_json(const struct inputs *inputs, const struct session *session);
/* What a figure of the engine's own is: scripted figures are not measured. */
enum quantity_status session_status(const struct session *session);

/* --- idle, warm-up, measured block ------------------------------------------------------------------------------- */

/* share: of baseline.duration_seconds. worked_ns: when something worked last, behind which the boards come to rest
 * first; 0: nothing did. mark: what its ends are called in the trace. */
bool idle_take(const struct inputs *inputs, const struct pace *pace, const struct sensors *sensors, double share,
               int64_t worked_ns, const char *mark, struct idle *ret, GError **error);

/* Of a stretch before the engine was started, when it is known which boards are the run's: where they were still warm
 * of something else, it did not take place. */
void idle_judge_cold(const struct inputs *inputs, const struct sensors *sensors, struct idle *idle);

struct warmup {
    struct stretch at;
    struct energy_steady steady;
    size_t iterations;
    size_t shapes, shapes_cold; /* sizes in which requests of the work are computed together; those it did not run */
    GArray *stamps;             /* int64_t, of its steps, ascending; NULL: it did not take place */
};
void warmup_clear(struct warmup *warmup);
bool warmup_run(const struct inputs *inputs, const struct pace *pace, const struct sensors *sensors,
                const struct session *session, struct warmup *ret, GError **error);

/* Once more, for an engine that has rested. number: of the iteration, from 0, another one each time. */
bool warmup_again(const struct inputs *inputs, const struct pace *pace, const struct session *session, size_t number,
                  GError **error);

/* Clocks and throttling of the CPUs that the engine may use. */
struct cpu_state {
    size_t cpus;                      /* that it may use; 0: not known */
    double mean_hz, least_hz, most_hz; /* NaN: the kernel does not say */
    double temperature_c;              /* of the hottest package; NaN: nothing shows it */
    int64_t throttled;                /* thermal events so far; -1: the kernel does not count them */
    char governors[96];               /* their names, each once; "": none */
};

/* CPU time used so far. */
struct machine_use {
    int64_t t_ns;
    int64_t busy_ns; /* of the whole machine; -1: unknown */
    int64_t cpus;    /* that it is counted over */
    int64_t own_ns;  /* of the engine and this process */
    int64_t engine_ns; /* of the engine alone */
    bool gone; /* a process of the engine could not be read: the two above lack it */
};

/* How a block is to be measured. */
struct block_plan {
    int64_t repeats;
    struct energy_guard_plan guard;
    int64_t dither_ns; /* batches start after a pause of up to this: some sensor sees only a part of each period */
};

struct watch;
/* One measured block: the prompts, plan.repeats times, between two guards. */
struct block {
    struct block_plan plan;
    struct energy_window window;
    struct stretch at;         /* t0 and t1 of the window, with its ticks */
    struct clock_anchor began; /* wall time, read when the work was released: clocks are set while it runs, too */
    struct engine_generation generation;
    GArray *steps; /* of it (steps.h) */
    struct cpu_state cpu_start, cpu_end; /* at the start of the quiet before the work, and right after the work */
    int64_t rests_from_ns; /* when the engine worked last before its guard */
    bool rewarmed; /* the engine had rested: an iteration of the warm-up ran once more before the guard */
    /* at the start of the guard, around the work, at the end of the guard */
    struct machine_use use_pre, use_before, use_after, use_post;
    struct watch *watch; /* whether it could work all the time; NULL: not begun */
    bool guard_gave_up;
    bool not_quiescent;  /* the engine worked while it had no requests */
    bool peak_restarted; /* its peaks of memory are of this block */
    bool resident_restarted; /* and so are those of its processes, as the kernel counts them */
    bool cache_kept;     /* the engine has a prefix cache and did not empty it before the work */
    bool period_changed; /* a sensor was slower than known, and there was no second block with guards to match */
};
void block_clear(struct block *block);
/* How its energy is to be estimated: the resolution asked for, the stamps of its tokens (borrowed). */
struct energy_options block_options(const struct inputs *inputs, const struct block *block);

struct machine;
/* Measures a block, and where it was too short or its guards did not fit its sensors another one in its place. Learns
 * what the readings show of the sensors, in the quiet behind the warm-up and by the block; notes who else holds memory
 * of the boards. */
bool block_measure(const struct inputs *inputs, const struct pace *pace, const struct session *session,
                   const struct warmup *warmup, struct sensors *sensors, struct machine *machine, struct block *ret,
                   GError **error);

/* --- the run ----------------------------------------------------------------------------------------------------- */

struct experiment {
    struct inputs inputs;
    struct pace pace;
    struct sensors sensors;
    struct session session;
    struct machine *machine;
    struct idle idle_cold, idle_context, idle_after; /* the last two with the engine loaded, around the work */
    struct warmup warmup;
    struct block block;
    struct steady steady; /* of the block */
    json_t *environment;
    struct result *result; /* of the last phase alone */
};

/* --- the record: each writes its parts and figures; report_work() first ------------------------------------------ */

void report_engine(const struct experiment *x, struct result *r);
void report_work(const struct experiment *x, struct result *r);
void report_memory(const struct experiment *x, struct result *r);
void report_energy(const struct experiment *x, struct result *r);
void report_timing(const struct experiment *x, struct result *r);
#define NOT_SAID_WHEN_COMPILED "the adapter does not say when it compiled: what it did is in loading or in the warm-up"
/* The repeats of the block differ in what was computed or put out: no energy per token. */
bool report_work_is_unequal(const struct session *session, const struct block *block);
