/* SPDX-License-Identifier: MIT */
/*
 * probe: a sensor nobody knows, in one file. A counter of 12.5 W that refreshes every 20 ms, of a scope and a class of
 * its own. With its row (row.h) it must run through whole experiments.
 */
#include "meter/source.h"

#define WATTS      12.5
#define REFRESH_NS (20 * NS_PER_MS)

static const struct meter_class classes[] = {
    {"probe.bench", 0.01, 0.5, .source = "a test: it is right by definition"},
    {0},
};

static const struct meter_scope scopes[] = {
    {"bench supply", METER_DEVICE_OTHER, METER_COUNTS_FIRST, "what hangs on another supply"},
    {0},
};

static bool probe_probe(const struct meter_context *context, char **ret_reason)
{
    (void)context;
    (void)ret_reason;
    return true;
}

static struct meter_source *probe_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)context;
    (void)ret_reason;
    (void)error;
    struct meter_source *probe = g_new0(struct meter_source, 1);
    source_init(probe, &meter_probe);
    source_add(probe, &(struct meter_channel){
                          .id = "probe:supply:energy", .device = "supply", .label = "bench supply",
                          .scope = scopes[0].name, .kind = METER_ENERGY, .rate = METER_FAST, .scale = 1e-6,
                          .raw_unit = "uJ", .max_power_w = 100, .refresh_ns = REFRESH_NS, .window_ns = REFRESH_NS,
                          .sensor_class = classes[0].name, .status = QUANTITY_SIMULATED});
    return probe;
}

static void probe_read_one(struct meter_source *source, size_t index, struct meter_reading *ret)
{
    (void)source;
    (void)index;
    ret->before_ns = clock_mono_ns();
    ret->raw = (int64_t)((double)(ret->before_ns - ret->before_ns % REFRESH_NS) * WATTS * 1e-3);
    ret->status = METER_READ_OK;
    ret->after_ns = clock_mono_ns();
}

static void probe_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    if (rates & METER_FAST)
        probe_read_one(source, 0, &readings[0]);
}

static void probe_close(struct meter_source *source)
{
    (void)source;
}

const struct meter_ops meter_probe = {
    .name = "probe",
    .classes = classes,
    .scopes = scopes,
    .probe = probe_probe,
    .open = probe_open,
    .read = probe_read,
    .read_one = probe_read_one,
    .close = probe_close,
};
