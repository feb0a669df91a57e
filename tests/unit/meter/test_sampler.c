/* SPDX-License-Identifier: MIT */
/* The sampler, in virtual time against the oracle and in real time with several threads asking. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#define GPU0 "nvml:GPU-00000000-0000-4000-8000-000000000000:"
#define GPU1 "nvml:GPU-00000000-0000-4000-8000-000000000001:"

static struct sampler *start(struct meter *meter, const struct sampler_options *options)
{
    g_autoptr(GError) error = NULL;
    struct sampler *sampler = sampler_new(meter, options, &error);
    g_assert_no_error(error);
    g_assert_true(sampler_start(sampler, &error));
    g_assert_no_error(error);
    return sampler;
}

static void stop(struct sampler *sampler)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(sampler_stop(sampler, &error));
    g_assert_no_error(error);
    sampler_free(sampler);
}

static const struct meter_point *point(GArray *points, unsigned index)
{
    return &g_array_index(points, struct meter_point, index);
}

/* An hour in moments: every edge lies in its bracket, and edges differ by the truth between them. */
static void test_hour(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'load': [{'type': 'constant', 'watts': 115},"
                       "{'type': 'square', 'from_s': 60, 'to_s': 3000, 'period_ms': 7000, 'watts': 400}],"
                       "'counter': {'delay_ms': 0, 'phase_ms': 33}}]}");
    struct meter *meter = fixture_nvml(&f);
    struct sampler_clock clock = fixture_clock(&f);
    struct sampler *sampler = start(meter, &(struct sampler_options){.step_ns = 20 * MS, .clock = &clock});
    sampler_advance(sampler, 3600 * NS_PER_S);
    g_autoptr(GArray) points = sampler_series(sampler, fixture_channel(meter, GPU0 "energy"), 0, INT64_MAX);
    g_assert_cmpint(points->len, >=, 35990);
    for (unsigned i = 1; i < points->len; i++) {
        const struct meter_point *p = point(points, i);
        g_assert_cmpint(p->status, ==, METER_READ_OK);
        g_assert_cmpint(p->first_ns - p->lo_ns, ==, 20 * MS);
        int64_t edge_ns = 33 * MS + (int64_t)i * 100 * MS - 100 * MS; /* the updates of the script */
        g_assert_cmpint(p->lo_ns, <=, edge_ns);
        g_assert_cmpint(p->first_ns, >=, edge_ns);
        double truth_j = f.energy_j(0, 0, edge_ns);
        g_assert_cmpfloat_with_epsilon((double)p->raw * 1e-3, truth_j, 0.0021);
    }
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    g_assert_cmpint(stats.ticks, ==, 180001);
    g_assert_cmpint(stats.missed, ==, 0);
    g_assert_cmpint(stats.dropped, ==, 0);
    stop(sampler);
    meter_close(meter);
    fixture_close(&f);
}

static unsigned count_status(GArray *points, enum meter_read_status status)
{
    unsigned count = 0;
    for (unsigned i = 0; i < points->len; i++)
        count += point(points, i)->status == status;
    return count;
}

/* Each fault leaves its mark in the series, at its time, and nothing that could be mistaken for energy. */
static const struct {
    const char *name, *device, *fault;
    enum meter_read_status status;
    int64_t from_ms, to_ms; /* where the first such point begins */
} fault_rows[] = {
    {"reset", "'counter': {'reset_s': 3}", NULL, METER_READ_BACKWARDS, 3000, 3200},
    {"glitch", "'counter': {'glitch_s': 3, 'glitch_j': 100}", NULL, METER_READ_BACKWARDS, 3000, 3200},
    {"lost", "'lost_s': 3", NULL, METER_READ_LOST, 3000, 3020},
    {"refused in mid-run", "", "{'field': 83, 'return': 'NO_PERMISSION', 'from_s': 3, 'to_s': 4}",
     METER_READ_NO_PERMISSION, 3000, 3020},
    {"unknown error every 50th call", "", "{'field': 83, 'return': 'UNKNOWN', 'every': 50, 'from_s': 1}", METER_READ_ERROR,
     1000, 2000},
    {"whole call fails", "", "{'call': 'nvmlDeviceGetFieldValues', 'return': 'GPU_IS_LOST', 'from_s': 3, 'to_s': 3.5}",
     METER_READ_LOST, 3000, 3020},
};

static void test_faults(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fault_rows); i++) {
        struct fixture f;
        fixture_open(&f);
        g_test_message("%s", fault_rows[i].name);
        g_autofree char *script = g_strdup_printf(
            "{'clock': 'clock', 'devices': [{'load': [{'type': 'constant', 'watts': 200}]%s%s}], 'faults': [%s]}",
            *fault_rows[i].device ? ", " : "", fault_rows[i].device, fault_rows[i].fault ? fault_rows[i].fault : "");
        fixture_script(&f, script);
        struct meter *meter = fixture_nvml(&f);
        struct sampler_clock clock = fixture_clock(&f);
        struct sampler *sampler = start(meter, &(struct sampler_options){.clock = &clock});
        sampler_advance(sampler, 6 * NS_PER_S);
        g_autoptr(GArray) points = sampler_series(sampler, fixture_channel(meter, GPU0 "energy"), 0, INT64_MAX);
        g_assert_cmpint(count_status(points, fault_rows[i].status), >=, 1);
        for (unsigned p = 0; p < points->len; p++) {
            if (point(points, p)->status != fault_rows[i].status) {
                g_assert_cmpint(point(points, p)->status, ==, METER_READ_OK);
                continue;
            }
            g_assert_cmpint(point(points, p)->first_ns, >=, fault_rows[i].from_ms * MS);
            g_assert_cmpint(point(points, p)->first_ns, <=, fault_rows[i].to_ms * MS);
            break;
        }
        stop(sampler);
        meter_close(meter);
        fixture_close(&f);
    }
}

static void test_stuck(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'load': [{'type': 'constant', 'watts': 200}],"
                       "'counter': {'stuck_s': 2}}]}");
    struct meter *meter = fixture_nvml(&f);
    struct sampler_clock clock = fixture_clock(&f);
    struct sampler *sampler = start(meter, &(struct sampler_options){.clock = &clock});
    sampler_advance(sampler, 10 * NS_PER_S);
    g_autoptr(GArray) points = sampler_series(sampler, fixture_channel(meter, GPU0 "energy"), 3 * NS_PER_S,
                                              10 * NS_PER_S);
    g_assert_cmpint(points->len, ==, 1); /* one run, still seen at the end: a counter that stands still */
    g_assert_cmpint(point(points, 0)->first_ns, <=, 2 * NS_PER_S + 20 * MS);
    g_assert_cmpint(point(points, 0)->last_ns, ==, 10 * NS_PER_S);
    stop(sampler);
    meter_close(meter);
    fixture_close(&f);
}

/* Real time. Several threads ask while it runs; what they get is in order, and grows. */
struct asker {
    struct sampler *sampler;
    size_t channel;
    atomic_bool stop;
    unsigned most;
};

static void *ask(void *data)
{
    struct asker *asker = data;
    while (!atomic_load(&asker->stop)) {
        g_autoptr(GArray) points = sampler_series(asker->sampler, asker->channel, 0, INT64_MAX);
        g_assert_cmpint(points->len, >=, asker->most);
        asker->most = points->len;
        for (unsigned i = 1; i < points->len; i++) {
            g_assert_cmpint(point(points, i)->lo_ns, <=, point(points, i)->first_ns);
            g_assert_cmpint(point(points, i)->lo_ns, ==, point(points, i - 1)->last_ns);
        }
        struct sampler_stats stats;
        sampler_stats(asker->sampler, &stats);
        sampler_mark(asker->sampler, "asked", clock_mono_ns());
        g_usleep(5000);
    }
    return NULL;
}

static void test_threads(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{'load': [{'type': 'square', 'period_ms': 90, 'watts': 300}],"
                       "'instant': {'period_ms': 20}, 'counter': {'period_ms': 20}}, {}]}");
    struct meter *meter = fixture_meter(&f, (const char *const[]){"nvml", "modelled", NULL});
    g_autofree char *path = fixture_path(&f, "trace.csv.gz");
    struct sampler *sampler =
        start(meter, &(struct sampler_options){.step_ns = 5 * MS, .slow_step_ns = 20 * MS, .trace_path = path});
    struct asker askers[2] = {{.sampler = sampler, .channel = fixture_channel(meter, GPU0 "energy")},
                              {.sampler = sampler, .channel = fixture_channel(meter, GPU1 "temperature")}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, ask, &askers[i]);
    g_usleep(200000);
    meter_set_engine_pids(meter, (pid_t[]){getpid()}, 1);
    g_usleep(400000);
    struct meter_gpu_memory memory;
    g_assert_true(meter_gpu_memory(meter, "GPU-00000000-0000-4000-8000-000000000000", &memory, NULL));
    for (int i = 0; i < 2; i++) {
        atomic_store(&askers[i].stop, true);
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(askers[0].most, >, 10);
    g_assert_cmpint(askers[1].most, >=, 1);
    g_autoptr(GError) error = NULL;
    g_assert_true(sampler_stop(sampler, &error));
    g_assert_true(sampler_stop(sampler, &error)); /* idempotent */
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    g_assert_cmpint(stats.ticks, >, 20);
    g_assert_cmpint(stats.dropped, ==, 0);
    g_assert_cmpint(stats.ticks + stats.missed, <=, stats.elapsed_ns / (5 * MS) + 2); /* never more than the grid has */
    g_assert_cmpint(stats.ticks + stats.missed, >=, stats.elapsed_ns / (5 * MS) - 20); /* and none unaccounted for */
    g_assert_cmpint(stats.late_p50_ns, <=, stats.late_p99_ns);
    g_assert_cmpint(stats.cpu_ns, >, 0);
    g_assert_cmpint(stats.cpu_ns, <, stats.elapsed_ns);
    g_assert_true((stats.notice == NULL) == (stats.realtime && stats.locked));
    g_autoptr(json_t) json = sampler_stats_json(sampler);
    g_assert_cmpint(json_integer_value(json_object_get(json, "ticks")), ==, stats.ticks);
    /* The modelled channel had nothing to say until it knew the engine. */
    g_autoptr(GArray) modelled = sampler_series(sampler, fixture_channel(meter, "modelled:engine:energy"), 0,
                                                INT64_MAX);
    g_assert_cmpint(point(modelled, 0)->status, ==, METER_READ_NOT_READY);
    g_assert_cmpint(point(modelled, modelled->len - 1)->status, ==, METER_READ_OK);
    size_t marks = sampler_mark_count(sampler);
    struct meter_trace *trace = meter_trace_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(meter_trace_mark_count(trace), ==, marks);
    meter_trace_free(trace);
    sampler_free(sampler);
    meter_close(meter);
    fixture_close(&f);
}

/* A driver that stalls: ticks are skipped and counted, the grid is kept, totals are unchanged. */
static void test_stall(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 200}]}],"
                       "'latency': {'base_us': 5, 'stall_ms': 60, 'stall_every': 15}}");
    struct meter *meter = fixture_nvml(&f);
    struct sampler *sampler = start(meter, &(struct sampler_options){.step_ns = 5 * MS});
    g_usleep(700000);
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    g_assert_cmpint(stats.missed, >, 5);
    g_assert_cmpint(stats.tick_max_ns, >=, 55 * MS);
    stop(sampler);
    meter_close(meter);
    fixture_close(&f);
}

/* The trace's disk fills up: the error is told when it is stopped, series stay, nothing torn is left under the name. */
static void test_disk_full(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'load': [{'type': 'wander', 'watts': 5},"
                       "{'type': 'constant', 'watts': 100}]}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autofree char *path = fixture_path(&f, "trace.csv.gz");
    struct sampler_clock clock = fixture_clock(&f);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 8192;
    signal(SIGXFSZ, SIG_IGN);
    struct sampler *sampler = start(meter, &(struct sampler_options){.clock = &clock, .trace_path = path});
    setrlimit(RLIMIT_FSIZE, &small);
    sampler_advance(sampler, 60 * NS_PER_S);
    g_autoptr(GError) error = NULL;
    g_assert_false(sampler_stop(sampler, &error));
    setrlimit(RLIMIT_FSIZE, &old);
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    g_assert_nonnull(strstr(error->message, path));
    g_autoptr(GArray) points = sampler_series(sampler, fixture_channel(meter, GPU0 "energy"), 0, INT64_MAX);
    g_assert_cmpint(points->len, >, 500);
    g_autoptr(GDir) dir = g_dir_open(f.root, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)))
        g_assert_false(g_str_has_prefix(name, "trace"));
    sampler_free(sampler);
    meter_close(meter);
    fixture_close(&f);
}

static void test_options(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autoptr(GError) error = NULL;
    g_assert_null(sampler_new(meter, &(struct sampler_options){.step_ns = 1000}, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_clear_error(&error);
    struct sampler *sampler = sampler_new(meter, &(struct sampler_options){.trace_path = "/nowhere/trace.csv.gz"},
                                          &error);
    g_assert_no_error(error);
    g_assert_false(sampler_start(sampler, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_IO);
    sampler_free(sampler); /* never started */
    meter_close(meter);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sampler/hour", test_hour);
    g_test_add_func("/sampler/faults", test_faults);
    g_test_add_func("/sampler/stuck", test_stuck);
    g_test_add_func("/sampler/threads", test_threads);
    g_test_add_func("/sampler/stall", test_stall);
    g_test_add_func("/sampler/disk_full", test_disk_full);
    g_test_add_func("/sampler/options", test_options);
    return g_test_run();
}
