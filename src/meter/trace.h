/* SPDX-License-Identifier: MIT */
/* Inside of the room: writing trace.csv.gz. One thread. */
#pragma once

#include "meter/meter.h"

struct trace_writer;

/* Writes beside the path and renames on closing: a trace is complete or has another name. */
struct trace_writer *trace_writer_new(const char *path, GError **error);
/* One row. A failure is kept and reported by trace_writer_close(); later rows are dropped. */
void trace_writer_channel(struct trace_writer *writer, const struct meter_channel *channel);
void trace_writer_reading(struct trace_writer *writer, const struct clock_anchor *anchor, const char *channel,
                          const struct meter_reading *reading);
void trace_writer_mark(struct trace_writer *writer, const struct clock_anchor *anchor, const char *name, int64_t t_ns);
/* Fsyncs, renames, frees. */
bool trace_writer_close(struct trace_writer *writer, GError **error);
