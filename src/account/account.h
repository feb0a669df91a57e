/* SPDX-License-Identifier: MIT */
/*
 * account: the energy of a run, from its stretches of time and from what sensors showed. The worker makes its record
 * with it, and whoever samples beside a worker (room beside) makes the same figures of the same stretches: what is
 * known of a meter's channels (struct account_known), where their readings come from (struct account_source), when
 * what happened (struct account_run) go in; figures, parts and flags of a record (struct result) come out. Nothing
 * here reads a sensor or a clock.
 *
 *   account_known_init() → account_known_watch(), _bind(), _learn(), _set_levels(), _calibrate() as it becomes known
 *   account_run_read()          the stretches of a record, where one does not have them from its own clock
 *   account_energy()            the part "energy" of a record and the group of figures of that name
 *
 * Ownership: said at each function. Threading: no mutable state; any thread.
 */
#pragma once

#include "energy/scopes.h"
#include "result/result.h"

/* A doubt that is raised here; those about sensors are rows of room energy. X(code, flag, meaning) */
#define ACCOUNT_FLAG_ROWS(X)                                                                                           \
    X(GPU_NOT_IN_SCOPE, "gpu_not_in_scope", "the engine works on a GPU, and the scope of this energy has no GPU in it") \
    X(GPU_ONLY, "gpu_only",                                                                                            \
      "a part of the model is computed on the CPU: this energy, J/token too, is of the GPU alone; the CPU's stands "   \
      "beside it, never added")

/* Why a stretch of a modelled energy has no level. */
#define ACCOUNT_NO_IDLE_LEVEL "a modelled energy counts the engine's own CPU time and has no idle level"

/* --- what is known of the channels of a meter ------------------------------------------------------------------------ */

struct account_known {
    const struct meter_channel **channels; /* in the meter's order, ended by NULL */
    struct meter_sensor *seen;             /* of each: what watching and the run showed */
    json_t *characterisation;              /* where that comes from, or NULL */
    GArray *calibrations, *levels;
    GPtrArray *warnings;                   /* char *: calibrations that were not used */
    struct energy_known energy;            /* points to all of these */
};

/* Takes over the array, whose channels are borrowed, as is named_source. Nothing is watched, no board bound. */
void account_known_init(struct account_known *ret, const struct meter_channel **channels, const char *named_source);
void account_known_clear(struct account_known *known);
/* What watching the sensors showed. Takes over the reference; NULL: nobody watched. */
void account_known_watch(struct account_known *known, json_t *characterisation);
/* What the engine works on, once that is known. boards: ended by NULL and borrowed; NULL: all. */
void account_known_bind(struct account_known *known, bool on_boards, const char *const *boards);
/* There is a sensor that guards and idle levels serve: of what the work runs on; `any`: of whatever. */
bool account_known_serves(const struct account_known *known, bool any);
/* Notes findings (struct energy_finding); false: there are none. */
bool account_known_learn(struct account_known *known, const GArray *findings);
/* The levels of scopes in a stretch in which nothing worked are the least that boards draw. */
void account_known_set_levels(struct account_known *known, const struct energy_scopes *scopes, int64_t from_ns,
                              int64_t to_ns);
/* Reads the calibration files of the boards in a place; from then on they count. */
void account_known_calibrate(struct account_known *known, const char *place);

/* The sources that were asked for, as a record has them: whether open, why not, channels without joules and why. */
json_t *account_sources(const struct meter *meter);

/* --- what was read --------------------------------------------------------------------------------------------------- */

struct account_source {
    const struct energy_known *known;
    /* What the channels showed between two moments; ticks are not NULL. NULL: nothing was read. New. */
    struct energy_readings *(*read)(void *from, const struct energy_known *known, int64_t from_ns, int64_t to_ns,
                                    const struct energy_ticks *ticks);
    void *from;
};
/* Readings of a sampler; NULL: of none. */
struct account_source account_source_sampler(const struct account_known *known, struct sampler *sampler);
/* The scopes with what was read between two moments; ticks may be NULL. */
struct energy_scopes *account_scopes(const struct account_source *source, int64_t from_ns, int64_t to_ns,
                                     const struct energy_ticks *ticks);

/* --- the run --------------------------------------------------------------------------------------------------------- */

/* A stretch of the run with an energy or a level of its own. */
struct account_stretch {
    int64_t t0_ns, t1_ns; /* both 0: it did not take place */
    struct energy_ticks ticks;
    const char *reason;   /* why it did not, or NULL */
    const int64_t *stamps_ns; /* of its steps; borrowed */
    size_t stamp_count;
};

struct account_run {
    struct energy_window window;
    struct energy_ticks ticks;     /* of the window */
    struct energy_options options; /* of its energy: the resolution asked for, the stamps of its steps */
    struct account_stretch load, compile, warmup, steady, idle_cold, idle_context, idle_after;
    const char *rival;   /* the scope that is the energy already, unless one here counts before it; NULL: none */
    bool on_boards;      /* the engine works on accelerators */
    bool divided;        /* a part of the model is computed on the CPU beside them */
    bool unequal;        /* the repeats differ in what was computed or put out: no energy per token */
    bool period_changed; /* a sensor was slower than known, and there was no second block with guards to match */
    bool guard_gave_up;  /* power had not settled when the longest guard was over */
};

/* What a record tells of its run. Texts are borrowed from it, the stamps from *ret_stamps, a new array of int64_t. */
bool account_run_read(const json_t *record, struct account_run *ret, GArray **ret_stamps, GError **error);

/* Writes the scopes (energy.scope, .scopes, .estimator_version), the figures of the one that counts, flags and
 * warnings. Figures of tokens, requests and operations are taken from r and must be there. False: no scope counts, and
 * no figure was set. */
bool account_energy(const struct account_source *source, const struct account_run *run, struct result *r);
