/* SPDX-License-Identifier: MIT */
/*
 * scopes: from what the sensors of a machine showed to the joules of every scope. Part of the room energy.
 *
 * A scope (METER_SCOPE_…) is a set of boards or packages whose energies may be added; a board has up to three
 * channels that cover it: a counter, average power, instant power. Which channels make which board of which scope,
 * which scope is *the* energy of the work, and what each came to is found from values alone: what is known beforehand
 * (struct energy_known) and what was read in a stretch of time (struct energy_readings). Nothing here reads a sensor or
 * a file (but energy_scopes_calibrations(), which makes one of the things known), knows of an experiment or remembers a
 * call; what a reader should know is returned as warnings.
 *
 *   readings = energy_readings_take(&known, sampler, from, to, ticks)
 *                                           or of a trace, or energy_readings_add() by hand
 *   scopes = energy_scopes_new(&known, readings)
 *   scopes->primary, scopes->all → energy_scope_estimate(), energy_scope_idle()
 *
 * Ownership: scopes own their readings; both borrow the channels, and scopes borrow everything else that is known.
 * Threading: no mutable state; any thread.
 */
#pragma once

#include "energy/energy.h"
#include "meter/meter.h"

/* --- what is known beforehand ------------------------------------------------------------------------------------ */

/* What a board draws at least: its level in a stretch in which nothing worked. */
struct energy_level {
    const char *scope, *device;
    double watts;
};

struct energy_known {
    const struct meter_channel *const *channels; /* all of a meter's, in its order, absent ones included */
    const struct meter_sensor *sensors;          /* what watching showed of each; NULL: nobody watched */
    size_t channel_count;
    bool on_boards;            /* the work runs on accelerators; otherwise none of them is the work's */
    const char *const *boards; /* which: their devices, ended by NULL; NULL: all of them */
    enum meter_device wanted;  /* BOARD or MODULE: the scope of accelerators that was asked for; OTHER: nobody asked */
    const char *named_source;  /* the one source that was asked for by name, or NULL: some scopes count only then */
    const struct energy_calibration *calibrations;
    size_t calibration_count;
    const struct energy_level *levels;
    size_t level_count;
};

/* What a meter offers, without an experiment. For .channels: all of its channels. New array, ended by NULL. */
const struct meter_channel **energy_known_channels(const struct meter *meter);
/* For .sensors, into ret[meter_channel_count()]: what was found of each; usable where nothing was. NULL: of none. */
void energy_known_sensors(const struct meter *meter, const json_t *characterisation, struct meter_sensor *ret);

/* Joules can come from channels of such a kind. */
bool energy_kind_gives_joules(enum meter_kind kind);
/* Joules can come from this channel. */
bool energy_channel_usable(const struct meter_channel *channel);
/* The channel is of a board the work runs on; channels that belong to no accelerator always are. */
bool energy_channel_is_ours(const struct energy_known *known, const struct meter_channel *channel);

/* --- what was read ----------------------------------------------------------------------------------------------- */

/* Counters read on the spot at the edges of a stretch: meter_channel_count() of each; NONE where it was not. */
struct energy_ticks {
    const struct meter_reading *before, *after;
};

struct energy_readings;
struct energy_readings *energy_readings_new(void);
void energy_readings_free(struct energy_readings *readings);
typedef struct energy_readings owned_readings; /* for g_autoptr(owned_readings) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_readings, energy_readings_free)
/* Takes over a reference to points (struct meter_point). Ticks count where both are OK; both may be NULL. */
void energy_readings_add(struct energy_readings *readings, const struct meter_channel *channel, GArray *points,
                         const struct meter_reading *tick0, const struct meter_reading *tick1);
/* What a sampler saw of the work's channels between two moments. ticks: NULL, none. */
struct energy_readings *energy_readings_take(const struct energy_known *known, struct sampler *sampler,
                                             int64_t from_ns, int64_t to_ns, const struct energy_ticks *ticks);
/* The same of a trace, whose channels are known->channels in their order. */
struct energy_readings *energy_readings_replay(const struct energy_known *known, const struct meter_trace *trace,
                                               int64_t from_ns, int64_t to_ns);

/* --- scopes ------------------------------------------------------------------------------------------------------ */

enum energy_slot { ENERGY_COUNTER, ENERGY_AVERAGE, ENERGY_INSTANT, ENERGY_SLOT_COUNT };

struct energy_scope_board {
    const char *scope, *device;
    const char *why; /* no channel of it can be used: why. It makes the sum absent */
    bool mirrored;   /* another name showed the same counter and was left out */
    struct energy_channel channels[ENERGY_SLOT_COUNT]; /* info NULL: it has none */
    struct energy_board board;                         /* points to them */
};

struct energy_scope {
    const char *name;
    const struct meter_scope *row;
    GPtrArray *boards; /* struct energy_scope_board *; at least one of them has a channel, unless none ever can */
};

struct energy_scopes {
    GPtrArray *mirrors;                 /* devices whose counter is another's: they are in no scope */
    GPtrArray *all;                     /* struct energy_scope *, in the order of the channels */
    GPtrArray *boards;                  /* struct energy_scope_board *: of all scopes, in their order */
    const struct energy_scope *primary; /* the one whose energy is the work's, or NULL */
    bool contested;                     /* a board and its module both have one, and nobody said which counts */
    GPtrArray *warnings;                /* char *: channels that were left out, and why */
    struct energy_readings *readings;   /* owned; NULL: the channels have no points */
};

/* The scopes that have a channel to use of something the work runs on. Takes over readings, which may be NULL. */
struct energy_scopes *energy_scopes_new(const struct energy_known *known, struct energy_readings *readings);
void energy_scopes_free(struct energy_scopes *scopes);
typedef struct energy_scopes owned_scopes; /* for g_autoptr(owned_scopes) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_scopes, energy_scopes_free)

/* What the figures of a scope are. */
enum quantity_status energy_scope_status(const struct energy_scope *scope);
/* The sum over the boards in a window; ret_boards: boards->len estimates of each, cleared by the caller, or NULL. */
void energy_scope_estimate(const struct energy_scope *scope, const struct energy_window *window,
                           const struct energy_options *options, struct energy_estimate *ret,
                           struct energy_estimate *ret_boards);
/* The idle level of the sum over the boards; absent with the reason of the first board that has none. */
void energy_scope_idle(const struct energy_scope *scope, int64_t from_ns, int64_t to_ns, struct energy_baseline *ret);

/* A scope in a record: the sum, and where there are several boards, each of them. New reference. */
json_t *energy_scope_json(const struct energy_scope *scope, const struct energy_estimate *sum,
                          const struct energy_estimate *boards);

/* Scopes that are not in `all` because no channel of them can be used: the first board of each, and why. */
struct energy_absence {
    const char *scope, *device, *why;
};
/* New array of struct energy_absence, in the order of the channels. */
GArray *energy_scopes_absent(const struct energy_known *known, const struct energy_scopes *scopes);

/* For a stretch without guards, whose ends are interpolated: whether every sensor has shown what a stretch needs that
 * begins at a moment, and one that ended at a moment. A counter that stands still never does: set the waiting a limit.
 * A sensor that fails is not waited for. */
bool energy_scopes_may_begin(const struct energy_scopes *scopes, int64_t t_ns);
bool energy_scopes_may_end(const struct energy_scopes *scopes, int64_t t_ns);

/* The measured channels of all scopes: those that guards serve. New array of struct energy_channel, whose points live
 * as long as the scopes. */
GArray *energy_scopes_channels(const struct energy_scopes *scopes);
/* For energy_known.levels, from readings of a stretch in which nothing worked. New array of struct energy_level. */
GArray *energy_scopes_levels(const struct energy_scopes *scopes, int64_t from_ns, int64_t to_ns);
/* For energy_known.calibrations: the files of the boards in a place (energy_calibration_load()). What is wrong with
 * one is a warning (char *, added). New array of struct energy_calibration. */
GArray *energy_scopes_calibrations(const struct energy_scopes *scopes, const char *place, GPtrArray *warnings);

/* What readings show of a sensor that watching had not: to be kept with the characterisation. */
struct energy_finding {
    const char *channel_id;
    struct meter_sensor learnt; /* its period, whether it follows the average, its lag; nothing else of it */
};
/* Counters that follow the 1-s average, from readings in which power changed. New array of struct energy_finding. */
GArray *energy_scopes_following(const struct energy_scopes *scopes);
/* Channels whose lag the steps of power at the ends of a window told more of. New array of struct energy_finding. */
GArray *energy_scopes_lags(const struct energy_scopes *scopes, const struct energy_window *window);
/* Counters that refreshed more slowly than was known. New array of struct energy_finding. */
GArray *energy_scopes_slower(const struct energy_scopes *scopes, const struct energy_window *window);
