/* SPDX-License-Identifier: MIT */
/* What is asked of the ticking thread: done, or not done with an answer; and what of it is kept. */
#include "fixture.h"
#include "meter/errand.h"

#include <unistd.h>

#define LONG_NS (20 * NS_PER_S) /* a wait that would be noticed */

enum conduct { WORKS, ENDS, IS_LATE };

struct other {
    struct errand errand;
    enum conduct conduct;
    atomic_bool back; /* the late one may come back */
};

static void *other_main(void *data)
{
    struct other *o = data;
    while (!errand_wait(&o->errand, clock_mono_ns() + NS_PER_S))
        continue;
    while (o->conduct == IS_LATE && !atomic_load(&o->back))
        g_usleep(1000);
    if (o->conduct != ENDS) {
        for (size_t i = 0; i < o->errand.count; i++)
            o->errand.ticks[i].reading = (struct meter_reading){.raw = 7, .status = METER_READ_OK};
        errand_done(&o->errand);
    }
    errand_close(&o->errand);
    return NULL;
}

static pthread_t begin(struct other *o, enum conduct conduct)
{
    pthread_t thread;
    *o = (struct other){.conduct = conduct};
    errand_init(&o->errand);
    errand_open(&o->errand);
    g_assert_cmpint(pthread_create(&thread, NULL, other_main, o), ==, 0);
    return thread;
}

static void end(struct other *o, pthread_t thread)
{
    pthread_join(thread, NULL);
    errand_clear(&o->errand);
}

static void test_done(void)
{
    struct other o;
    struct sampler_tick ticks[2] = {0};
    pthread_t thread = begin(&o, WORKS);
    g_assert_true(errand_ask(&o.errand, ticks, 2, clock_mono_ns() + LONG_NS));
    g_assert_cmpint(ticks[1].reading.raw, ==, 7);
    end(&o, thread);
}

/* Nobody comes: no thread was begun, or it ends without having been to it. */
static void test_nobody(void)
{
    struct other o = {0};
    struct sampler_tick tick = {0};
    int64_t begun_ns = clock_mono_ns();
    errand_init(&o.errand);
    g_assert_false(errand_ask(&o.errand, &tick, 1, clock_mono_ns() + LONG_NS));
    errand_clear(&o.errand);
    pthread_t thread = begin(&o, ENDS);
    g_assert_false(errand_ask(&o.errand, &tick, 1, clock_mono_ns() + LONG_NS));
    g_assert_false(errand_ask(&o.errand, &tick, 1, clock_mono_ns() + LONG_NS));
    end(&o, thread);
    g_assert_cmpint(tick.reading.status, ==, METER_READ_NONE);
    g_assert_cmpint(clock_mono_ns() - begun_ns, <, LONG_NS / 2);
}

/* A thread that a driver holds: the asker goes on, nobody else is kept waiting, and what comes late changes nothing. */
static void test_late(void)
{
    struct other o;
    struct sampler_tick tick = {0};
    pthread_t thread = begin(&o, IS_LATE);
    int64_t begun_ns = clock_mono_ns();
    g_assert_false(errand_ask(&o.errand, &tick, 1, begun_ns + 30 * MS));
    g_assert_cmpint(clock_mono_ns() - begun_ns, >=, 30 * MS);
    g_assert_false(errand_ask(&o.errand, &tick, 1, begun_ns + LONG_NS));
    g_assert_cmpint(clock_mono_ns() - begun_ns, <, LONG_NS / 2);
    atomic_store(&o.back, true);
    end(&o, thread);
    g_assert_cmpint(tick.reading.status, ==, METER_READ_NONE);
}

/* --- of a sampler -------------------------------------------------------------------------------------------------- */

#define GPU0 "nvml:GPU-00000000-0000-4000-8000-000000000000:"

static void test_sampler_not_running(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autoptr(GError) error = NULL;
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 200}]}]}");
    struct meter *meter = fixture_nvml(&f);
    struct sampler *sampler = sampler_new(meter, NULL, &error);
    struct sampler_tick tick = {.channel = fixture_channel(meter, GPU0 "energy"), .changes = 1, .timeout_ns = MS};
    g_assert_false(sampler_ticks(sampler, &tick, 1)); /* not yet */
    g_assert_true(sampler_start(sampler, &error));
    g_assert_true(sampler_ticks(sampler, &tick, 1));
    g_assert_cmpint(tick.reading.status, ==, METER_READ_OK);
    g_assert_true(sampler_stop(sampler, &error));
    g_assert_false(sampler_ticks(sampler, &tick, 1)); /* no more */
    g_assert_cmpint(tick.reading.status, ==, METER_READ_NONE);
    sampler_free(sampler);
    meter_close(meter);
    fixture_close(&f);
}

static size_t trace_channel(const struct meter_trace *trace, const char *id)
{
    size_t i = 0;
    while (!g_str_equal(meter_trace_channel_at(trace, i)->id, id))
        i++;
    return i;
}

/* A board that is lost while its ticks are waited for: that is in the answer, in the series and in the trace, though no
 * tick of the sampler's own fell due. */
static void test_lost_at_a_tick(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autoptr(GError) error = NULL;
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 200}], 'counter': {'period_ms': 20},"
                       "'lost_s': 1.5}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autofree char *path = fixture_path(&f, "trace.csv.gz");
    struct sampler_options options = {.step_ns = 4 * NS_PER_S, .slow_step_ns = 4 * NS_PER_S, .trace_path = path};
    struct sampler *sampler = sampler_new(meter, &options, &error);
    size_t channel = fixture_channel(meter, GPU0 "energy");
    struct sampler_tick tick = {.channel = channel, .changes = 10000, .timeout_ns = NS_PER_S};
    g_assert_true(sampler_start(sampler, &error));
    g_assert_true(sampler_ticks(sampler, &tick, 1));
    g_assert_cmpint(tick.reading.status, ==, METER_READ_LOST);
    g_autoptr(GArray) points = sampler_series(sampler, channel, 0, INT64_MAX);
    const struct meter_point *last = &g_array_index(points, struct meter_point, points->len - 1);
    g_assert_cmpint(points->len, >, 2);
    g_assert_cmpint(last->status, ==, METER_READ_LOST);
    g_assert_cmpint(last->first_ns, ==, tick.reading.after_ns);
    g_assert_true(sampler_stop(sampler, &error));
    struct meter_trace *trace = meter_trace_load(path, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) written = meter_trace_series(trace, trace_channel(trace, GPU0 "energy"), 0, INT64_MAX);
    g_assert_cmpint(g_array_index(written, struct meter_point, written->len - 1).status, ==, METER_READ_LOST);
    meter_trace_free(trace);
    sampler_free(sampler);
    meter_close(meter);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/errand/done", test_done);
    g_test_add_func("/errand/nobody", test_nobody);
    g_test_add_func("/errand/late", test_late);
    g_test_add_func("/errand/sampler_not_running", test_sampler_not_running);
    g_test_add_func("/errand/lost_at_a_tick", test_lost_at_a_tick);
    return g_test_run();
}
