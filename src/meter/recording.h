/* SPDX-License-Identifier: MIT */
/* Recorded traces. Part of the room meter. */
#pragma once

#include "meter/channel.h"

struct sampler_mark; /* sampler.h */

/*
 * trace.csv.gz: t_mono_ns,t_wall_ns,read_ns,channel,value,status; one row a reading, at full rate. t is the middle of
 * the read and read_ns its length; value is raw. Rows of status "channel" carry a channel's description as JSON in
 * value; rows of channel "mark" carry a mark's name in value.
 */
struct meter_trace;
struct meter_trace *meter_trace_load(const char *path, GError **error);
void meter_trace_free(struct meter_trace *trace);
typedef struct meter_trace owned_meter_trace; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_meter_trace, meter_trace_free)
size_t meter_trace_channel_count(const struct meter_trace *trace);
const struct meter_channel *meter_trace_channel_at(const struct meter_trace *trace, size_t index);
/* As sampler_series(). */
GArray *meter_trace_series(const struct meter_trace *trace, size_t channel, int64_t from_ns, int64_t to_ns);
size_t meter_trace_mark_count(const struct meter_trace *trace);
struct sampler_mark meter_trace_mark_at(const struct meter_trace *trace, size_t index);
