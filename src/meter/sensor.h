/* SPDX-License-Identifier: MIT */
/* Characterisation: how a channel behaves, found by watching it; and the cache of that. Part of the room meter. */
#pragma once

#include "meter/channel.h"

struct meter;

/* What a self-test said, from a channel's part of a characterisation; false: nothing. */
bool meter_proof_read(const json_t *channel, struct meter_proof *ret);

/* What was found about one channel by watching it (reference: sensors refresh by driver policy, so measure). */
struct meter_sensor {
    int64_t period_ns;     /* by the line through the changes of its value; 0: fewer than 3 of them were seen */
    int64_t period_p95_ns;
    int64_t read_p50_ns, read_p99_ns;
    double power_ratio;    /* counter slope ÷ mean of the power channel of the same device; NaN: no such pair */
    bool stuck, decreasing, implausible;
    bool usable;           /* none of the three, and it could be read */
    struct meter_lag lag;  /* what runs have shown of it */
    bool follows_average;  /* a counter that adds up the 1-s average: a run found that, watching cannot */
    struct meter_proof proof;
};

#define METER_WATCH_LONGER 4 /* times the duration, for a counter or lone power with fewer than five changes */
/* Polls every channel as fast as 1 ms allows for duration_ns, longer where a counter is slow. {"schema", "channels":
 * {id: {…}}}; the key of a cache is meter_characterisation_key(). New reference. */
json_t *meter_characterise(struct meter *meter, int64_t duration_ns);
/* Reads one channel's part back; false when the tree has none. */
bool meter_characterisation_get(const json_t *tree, const char *channel_id, struct meter_sensor *ret);
/* Writes what a run learned of a channel into its part: its period (0: as it was), whether it follows the average, and
 * its lag. Nothing when the tree has no such part. */
void meter_characterisation_learn(json_t *tree, const char *channel_id, const struct meter_sensor *learnt);
/* Host, UUIDs and driver of all boards, names of the CPU sources. New string. */
char *meter_characterisation_key(struct meter *meter);
/* What was found about these sensors on this host within the last 30 days, from the user's cache folder; NULL: watch
 * them. Simulated sensors are never remembered: their script may change. New reference. */
json_t *meter_characterisation_load(struct meter *meter);
/* Keeps a finding, unless it says that some counter cannot be used: that is looked at afresh each time. A cache that
 * cannot be written is an error (IO) the caller may pass over: it only costs the watching. */
bool meter_characterisation_save(struct meter *meter, const json_t *tree, GError **error);
