/* SPDX-License-Identifier: MIT */
/* Traces and series: what goes in comes out, gaps and faults stay visible, broken files are refused with their row. */
#include "fixture.h"

#define GPU0 "nvml:GPU-00000000-0000-4000-8000-000000000000:"

#define HEAD "t_mono_ns,t_wall_ns,read_ns,channel,value,status\n"

static char *channel_row(const char *id, const char *kind, double scale, int64_t wrap, double max_power_w)
{
    /* JSON in a CSV cell: quotes doubled. */
    g_autofree char *json = g_strdup_printf(
        "{'id':'%s','device':'d','scope':'s','kind':'%s','status':'measured','raw_unit':'u','scale':%g,"
        "'wrap':%" G_GINT64_FORMAT ",'max_power_w':%g,'assumed_refresh_ns':0,'assumed_window_ns':0,"
        "'sensor_class':'none','low_ratio':1,'high_ratio':1}",
        id, kind, scale, wrap, max_power_w);
    g_auto(GStrv) parts = g_strsplit(json, "'", -1);
    g_autofree char *cell = g_strjoinv("\"\"", parts);
    return g_strdup_printf("0,0,0,%s,\"%s\",channel\n", id, cell);
}

static struct meter_trace *load_text(struct fixture *f, const char *text, GError **error)
{
    fixture_write(f, "t.csv", text);
    g_autofree char *path = fixture_path(f, "t.csv");
    return meter_trace_load(path, error);
}

struct expected {
    int64_t lo_ms, first_ms, last_ms, raw;
    enum meter_read_status status;
};

/* Rows of "ms,raw" or "ms,STATUS" → points. */
static void check_runs(const char *kind, double scale, int64_t wrap, const char *rows, const struct expected *expected,
                       size_t count)
{
    struct fixture f;
    fixture_open(&f);
    g_autofree char *channel = channel_row("a:b", kind, scale, wrap, 100);
    g_autoptr(GString) text = g_string_new(HEAD);
    g_string_append(text, channel);
    g_auto(GStrv) lines = g_strsplit(rows, " ", -1);
    for (char **l = lines; *l; l++) {
        g_auto(GStrv) cells = g_strsplit(*l, ",", 2);
        bool number = g_ascii_isdigit(cells[1][0]);
        g_string_append_printf(text, "%s000000,0,0,a:b,%s,%s\n", cells[0], number ? cells[1] : "",
                               number ? "ok" : cells[1]);
    }
    g_autoptr(GError) error = NULL;
    struct meter_trace *trace = load_text(&f, text->str, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) points = meter_trace_series(trace, 0, 0, INT64_MAX);
    g_assert_cmpint(points->len, ==, count);
    for (unsigned i = 0; i < count; i++) {
        const struct meter_point *p = &g_array_index(points, struct meter_point, i);
        g_assert_cmpint(p->lo_ns, ==, expected[i].lo_ms * MS);
        g_assert_cmpint(p->first_ns, ==, expected[i].first_ms * MS);
        g_assert_cmpint(p->last_ns, ==, expected[i].last_ms * MS);
        g_assert_cmpint(p->raw, ==, expected[i].raw);
        g_assert_cmpstr(meter_read_name(p->status), ==, meter_read_name(expected[i].status));
    }
    meter_trace_free(trace);
    fixture_close(&f);
}
#define RUNS(kind, scale, wrap, rows, ...)                                                         \
    check_runs(kind, scale, wrap, rows, (const struct expected[]){__VA_ARGS__},                    \
               sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static void test_runs(void)
{
    RUNS("energy", 1e-3, 0, "10,5 20,5 30,5 40,9 50,9", {10, 10, 30, 5, METER_READ_OK}, {30, 40, 50, 9, METER_READ_OK});
    /* A gap of more than a second begins a new run although the value is the same. */
    RUNS("power_instant", 1e-3, 0, "10,5 20,5 1500,5", {10, 10, 20, 5, METER_READ_OK},
         {20, 1500, 1500, 5, METER_READ_OK});
    /* Lost in between. */
    RUNS("energy", 1e-3, 0, "10,5 20,lost 30,lost 40,6", {10, 10, 10, 5, METER_READ_OK},
         {10, 20, 30, 0, METER_READ_LOST},
         {30, 40, 40, 6, METER_READ_OK});
    /* Reset: the first lower value is marked, later ones count on from it. */
    RUNS("energy", 1e-3, 0, "10,500 20,600 30,2 40,2 50,7", {10, 10, 10, 500, METER_READ_OK},
         {10, 20, 20, 600, METER_READ_OK}, {20, 30, 30, 2, METER_READ_BACKWARDS}, {30, 40, 40, 2, METER_READ_OK},
         {40, 50, 50, 7, METER_READ_OK});
    /* A temperature may fall. */
    RUNS("temperature", 1, 0, "10,50 20,40", {10, 10, 10, 50, METER_READ_OK}, {10, 20, 20, 40, METER_READ_OK});
    /* 100 W allow 2 J in 20 ms and a second's worth at once, not 1 MJ. */
    RUNS("energy", 1e-3, 0, "10,0 20,1000000000 30,1000000001", {10, 10, 10, 0, METER_READ_OK},
         {10, 20, 20, 1000000000, METER_READ_IMPLAUSIBLE}, {20, 30, 30, 1000000001, METER_READ_OK});
    /* Wraps at 1000 J: unwrapped twice. */
    RUNS("energy", 1e-3, 1000000, "10,999000 900,1000 1700,2000 2500,1500",
         {10, 10, 10, 999000, METER_READ_OK}, {10, 900, 900, 1001000, METER_READ_OK},
         {900, 1700, 1700, 1002000, METER_READ_OK}, {1700, 2500, 2500, 1001500, METER_READ_BACKWARDS});
    /* 1000 J at up to 100 W: after 10 s two wraps cannot be excluded, whatever the value. */
    RUNS("energy", 1e-3, 1000000, "10,5000 10010,6000 10020,6000", {10, 10, 10, 5000, METER_READ_OK},
         {10, 10010, 10010, 6000, METER_READ_WRAP_AMBIGUOUS}, {10010, 10020, 10020, 6000, METER_READ_OK});
}

static void test_copy_bounds(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autofree char *channel = channel_row("a:b", "energy", 1e-3, 0, 100);
    g_autofree char *text = g_strconcat(HEAD, channel, "100,0,0,a:b,1,ok\n200,0,0,a:b,2,ok\n",
                                       "300,0,0,a:b,3,ok\n400,0,0,a:b,4,ok\n", NULL);
    struct meter_trace *trace = load_text(&f, text, NULL);
    static const struct {
        int64_t from, to;
        int64_t first_raw;
        unsigned count;
    } rows[] = {{200, 300, 2, 3}, {250, 260, 2, 2}, {0, 50, 1, 1}, {450, 500, 4, 1}, {0, 1000, 1, 4}, {100, 100, 1, 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) points = meter_trace_series(trace, 0, rows[i].from, rows[i].to);
        g_assert_cmpint(points->len, ==, rows[i].count);
        g_assert_cmpint(g_array_index(points, struct meter_point, 0).raw, ==, rows[i].first_raw);
    }
    meter_trace_free(trace);
    fixture_close(&f);
}

/* Everything a sampler saw is in its file: the series of the two are the same. */
static void test_round_trip(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'load': [{'type': 'llm', 'from_s': 1, 'to_s': 4, 'seed': 3},"
                       "{'type': 'constant', 'watts': 115}]}, {'lost_s': 3}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autofree char *path = fixture_path(&f, "trace.csv.gz");
    struct sampler_clock clock = fixture_clock(&f);
    struct sampler_options options = {.trace_path = path, .clock = &clock};
    g_autoptr(GError) error = NULL;
    struct sampler *sampler = sampler_new(meter, &options, &error);
    g_assert_no_error(error);
    g_assert_true(sampler_start(sampler, &error));
    sampler_advance(sampler, 2 * NS_PER_S);
    sampler_mark(sampler, "work \"begin\", really", 1999 * MS);
    sampler_advance(sampler, 5 * NS_PER_S);
    sampler_mark(sampler, "end", 5 * NS_PER_S);
    g_assert_true(sampler_stop(sampler, &error));
    g_assert_no_error(error);
    struct meter_trace *trace = meter_trace_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(meter_trace_channel_count(trace), ==, meter_channel_count(meter));
    g_assert_cmpint(meter_trace_mark_count(trace), ==, 2);
    g_assert_cmpstr(meter_trace_mark_at(trace, 0).name, ==, "work \"begin\", really");
    g_assert_cmpint(meter_trace_mark_at(trace, 0).t_ns, ==, 1999 * MS);
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *a = meter_channel_at(meter, i), *b = meter_trace_channel_at(trace, i);
        g_assert_cmpstr(a->id, ==, b->id);
        g_assert_cmpstr(a->scope, ==, b->scope);
        g_assert_cmpint(a->kind, ==, b->kind);
        g_assert_cmpint(a->status, ==, b->status);
        g_assert_cmpfloat(a->scale, ==, b->scale);
        g_assert_cmpfloat(a->max_power_w, ==, b->max_power_w);
        g_assert_cmpint(a->window_ns, ==, b->window_ns);
        g_autoptr(GArray) x = sampler_series(sampler, i, 0, INT64_MAX);
        g_autoptr(GArray) y = meter_trace_series(trace, i, 0, INT64_MAX);
        g_assert_cmpint(x->len, ==, y->len);
        for (unsigned p = 0; p < x->len; p++) { /* by field: a struct has padding */
            const struct meter_point *s = &g_array_index(x, struct meter_point, p),
                *t = &g_array_index(y, struct meter_point, p);
            g_assert_cmpint(s->lo_ns, ==, t->lo_ns);
            g_assert_cmpint(s->first_ns, ==, t->first_ns);
            g_assert_cmpint(s->last_ns, ==, t->last_ns);
            g_assert_cmpint(s->raw, ==, t->raw);
            g_assert_cmpint(s->status, ==, t->status);
        }
    }
    meter_trace_free(trace);
    sampler_free(sampler);
    meter_close(meter);
    /* Truncated anywhere, the file is refused, never half read. */
    size_t length;
    g_autofree char *bytes = file_read(path, 64 << 20, &length, NULL);
    g_autofree char *cut = fixture_path(&f, "cut.csv.gz");
    for (size_t keep = 0; keep < length; keep += length / 7 + 1) {
        g_assert_true(g_file_set_contents(cut, bytes, (gssize)keep, NULL));
        g_assert_null(meter_trace_load(cut, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
    fixture_close(&f);
}

static void test_broken_traces(void)
{
    struct fixture f;
    fixture_open(&f);
    g_autofree char *channel = channel_row("a:b", "energy", 1e-3, 0, 100);
    static const struct {
        const char *name, *rows, *message;
    } rows[] = {
        {"value is text", "5,0,0,a:b,x,ok\n", "row 3"},
        {"no such channel", "5,0,0,a:c,1,ok\n", "channel 'a:c' is unknown"},
        {"no such status", "5,0,0,a:b,1,fine\n", "status 'fine' is unknown"},
        {"five columns", "5,0,0,a:b,1\n", "six columns"},
        {"seven columns", "5,0,0,a:b,1,ok,x\n", "six columns"},
        {"open quote", "5,0,0,\"a:b,1,ok\n", "six columns"},
        {"negative time", "-5,0,0,a:b,1,ok\n", "row 3"},
        {"no newline at the end", "5,0,0,a:b,1,ok", "cut off"},
        {"status none", "5,0,0,a:b,1,none\n", "unknown"},
        {"huge value", "5,0,0,a:b,9223372036854775807,ok\n", "row 3"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        g_autofree char *text = g_strconcat(HEAD, channel, rows[i].rows, NULL);
        g_autoptr(GError) error = NULL;
        g_assert_null(load_text(&f, text, &error));
        g_assert_true(error->domain == LLEM_ERROR);
        g_assert_nonnull(strstr(error->message, rows[i].message));
        g_assert_nonnull(strstr(error->message, "t.csv"));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(load_text(&f, "time,power\n1,2\n", &error));
    g_assert_nonnull(strstr(error->message, "header"));
    g_clear_error(&error);
    g_autofree char *twice = g_strconcat(HEAD, channel, channel, NULL);
    g_assert_null(load_text(&f, twice, &error));
    g_assert_nonnull(strstr(error->message, "twice"));
    g_clear_error(&error);
    g_assert_null(load_text(&f, HEAD, &error));
    g_assert_nonnull(strstr(error->message, "no channel"));
    fixture_close(&f);
}

static void test_characterise(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 150}, {'type': 'wander', 'watts': 2}],"
                       "'instant': {'period_ms': 40, 'window_ms': 40}, 'average': {'period_ms': 40}, 'counter': {'period_ms': 40}},"
                       "{'load': [{'type': 'constant', 'watts': 150}], 'counter': {'stuck_s': 0}},"
                       "{'load': [{'type': 'constant', 'watts': 150}], 'counter': {'reset_s': 0.5, 'period_ms': 20}}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autoptr(json_t) tree = meter_characterise(meter, 1200 * MS);
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    g_autoptr(json_t) again = jsonx_parse(text, -1, "cache", NULL);
    struct meter_sensor s;
    g_assert_true(meter_characterisation_get(again, GPU0 "energy", &s));
    g_assert_true(s.usable);
    g_assert_cmpint(s.period_ns, >, 30 * MS);
    g_assert_cmpint(s.period_ns, <, 50 * MS);
    g_assert_cmpfloat_with_epsilon(s.power_ratio, 1.0, 0.05);
    g_assert_cmpint(s.read_p99_ns, >=, s.read_p50_ns);
    g_assert_true(meter_characterisation_get(again, "nvml:GPU-00000000-0000-4000-8000-000000000001:energy", &s));
    g_assert_true(s.stuck);
    g_assert_false(s.usable);
    g_assert_true(meter_characterisation_get(again, "nvml:GPU-00000000-0000-4000-8000-000000000002:energy", &s));
    g_assert_true(s.decreasing);
    g_assert_false(s.usable);
    g_assert_false(meter_characterisation_get(again, "nvml:none", &s));
    json_object_set_new(again, "schema", json_string("llem-characterisation/99"));
    g_assert_false(meter_characterisation_get(again, GPU0 "energy", &s));
    meter_close(meter);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/series/runs", test_runs);
    g_test_add_func("/series/copy_bounds", test_copy_bounds);
    g_test_add_func("/trace/round_trip", test_round_trip);
    g_test_add_func("/trace/broken", test_broken_traces);
    g_test_add_func("/characterise", test_characterise);
    return g_test_run();
}
