/* SPDX-License-Identifier: MIT */
/* Any bytes give a trace or an error that names a row; the points of a trace are in order. */
#include "meter/meter.h"

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("trace", MFD_CLOEXEC);
    g_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_meter_trace) trace = meter_trace_load(path, &error);
    g_assert((trace == NULL) == (error != NULL));
    for (size_t i = 0; trace && i < meter_trace_channel_count(trace); i++) {
        const struct meter_channel *channel = meter_trace_channel_at(trace, i);
        g_assert(channel->id && channel->scope && channel->sensor_class && meter_kind_name(channel->kind));
        g_autoptr(GArray) points = meter_trace_series(trace, i, INT64_MIN, INT64_MAX);
        double rate;
        meter_points_rate(channel, points, &rate);
        for (unsigned p = 1; p < points->len; p++) {
            const struct meter_point *a = &g_array_index(points, struct meter_point, p - 1), *b = a + 1;
            g_assert(a->status != METER_READ_NONE && b->lo_ns == a->last_ns);
        }
    }
    close(fd);
    return 0;
}
