/* SPDX-License-Identifier: MIT */
/* Conformance of every source, and RAPL, hwmon, modelled and replay against trees of files and real processes. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKAGE "sys/class/powercap/intel-rapl:0/"
#define DRAM    "sys/class/powercap/intel-rapl:0:0/"
#define CORE    "sys/class/powercap/intel-rapl:0:1/"

/* A thread that advances counter files, as the kernel would. */
struct mover {
    const struct fixture *f;
    const char *paths[4];
    atomic_bool stop;
    pthread_t thread;
};

static void *move(void *data)
{
    struct mover *mover = data;
    for (int64_t n = 1; !atomic_load(&mover->stop); n++) {
        for (size_t i = 0; i < G_N_ELEMENTS(mover->paths) && mover->paths[i]; i++) {
            g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT "\n",
                                                    INT64_C(1000000) * (gint64)(i + 1) + n * 100);
            fixture_write(mover->f, mover->paths[i], text);
        }
        g_usleep(1000);
    }
    return NULL;
}

static void mover_start(struct mover *mover)
{
    atomic_store(&mover->stop, false);
    for (size_t i = 0; i < G_N_ELEMENTS(mover->paths) && mover->paths[i]; i++)
        fixture_write(mover->f, mover->paths[i], "5\n");
    pthread_create(&mover->thread, NULL, move, mover);
}

static void mover_stop(struct mover *mover)
{
    atomic_store(&mover->stop, true);
    pthread_join(mover->thread, NULL);
}

static void write_zone(const struct fixture *f, const char *zone, const char *name, const char *range)
{
    g_autofree char *name_path = g_strconcat(zone, "name", NULL);
    g_autofree char *range_path = g_strconcat(zone, "max_energy_range_uj", NULL);
    g_autofree char *energy_path = g_strconcat(zone, "energy_uj", NULL);
    fixture_write(f, name_path, name);
    fixture_write(f, range_path, range);
    fixture_write(f, energy_path, "1000000\n");
}

static void write_powercap(const struct fixture *f)
{
    write_zone(f, PACKAGE, "package-0\n", "65532610987\n");
    write_zone(f, DRAM, "dram\n", "65532610987\n");
    write_zone(f, CORE, "core\n", "65532610987\n");
    write_zone(f, "sys/class/powercap/intel-rapl-mmio:0/", "package-0\n", "65532610987\n");
}

static struct meter_reading read_one(struct meter *meter, const char *id)
{
    g_autofree struct meter_reading *all = g_new0(struct meter_reading, meter_channel_count(meter));
    meter_read(meter, METER_ALL_RATES, all);
    return all[fixture_channel(meter, id)];
}

/* --- conformance ----------------------------------------------------------------------------------------------------------- */

static void check_channels(struct meter *meter)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        g_autofree char *prefix = g_strconcat(c->source, ":", NULL);
        g_assert_true(g_str_has_prefix(c->id, prefix));
        g_assert_true(g_hash_table_add(ids, (gpointer)(uintptr_t)c->id)); /* unique */
        g_assert_nonnull(c->device);
        g_assert_nonnull(c->scope);
        g_assert_nonnull(c->label);
        g_assert_nonnull(c->raw_unit);
        g_assert_nonnull(c->sensor_class);
        g_assert_cmpfloat(c->scale, >, 0);
        g_assert_cmpfloat(c->low_ratio, <=, c->high_ratio);
        g_assert_cmpfloat(c->low_ratio, >, 0);
        g_assert_true(c->rate == METER_FAST || c->rate == METER_MEDIUM || c->rate == METER_SLOW);
        if (c->status == QUANTITY_ABSENT)
            g_assert_true(c->reason && strlen(c->reason) > 5);
        g_autoptr(json_t) tree = meter_channel_json(c);
        g_assert_cmpstr(json_string_value(json_object_get(tree, "id")), ==, c->id);
    }
}

/* Readings: only the rates asked for, only channels that exist, brackets in order, counters not backwards. */
static void check_readings(struct meter *meter)
{
    static const unsigned rates[] = {METER_FAST, METER_MEDIUM, METER_SLOW, METER_ALL_RATES};
    size_t count = meter_channel_count(meter);
    g_autofree struct meter_reading *all = g_new0(struct meter_reading, count);
    g_autofree int64_t *last = g_new0(int64_t, count);
    for (int round = 0; round < 20; round++) {
        unsigned rate = rates[round % 4];
        int64_t before_ns = clock_mono_ns();
        meter_read(meter, rate, all);
        int64_t after_ns = clock_mono_ns();
        for (size_t i = 0; i < count; i++) {
            const struct meter_channel *c = meter_channel_at(meter, i);
            bool due = c->status != QUANTITY_ABSENT && (c->rate & rate);
            g_assert_true((all[i].status != METER_READ_NONE) == due);
            if (!due)
                continue;
            g_assert_cmpint(all[i].before_ns, >=, before_ns);
            g_assert_cmpint(all[i].after_ns, >=, all[i].before_ns);
            g_assert_cmpint(all[i].after_ns, <=, after_ns);
            if (all[i].status == METER_READ_OK && meter_kind_cumulative(c->kind)) {
                g_assert_cmpint(all[i].raw, >=, last[i]);
                last[i] = all[i].raw;
            }
        }
        g_usleep(1000);
    }
}

/* One channel alone shows what the sweep over all shows, and reads nothing else. */
static void check_ticks(struct meter *meter)
{
    size_t count = meter_channel_count(meter);
    g_autofree struct meter_reading *all = g_new0(struct meter_reading, count);
    meter_read(meter, METER_ALL_RATES, all);
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        struct meter_reading one = {.raw = -1};
        int64_t before_ns = clock_mono_ns();
        meter_read_one(meter, i, &one);
        g_test_message("%s", c->id);
        if (c->status == QUANTITY_ABSENT) {
            g_assert_cmpint(one.status, ==, METER_READ_NONE);
            continue;
        }
        g_assert_cmpint(one.status, ==, all[i].status);
        g_assert_cmpint(one.before_ns, >=, before_ns);
        g_assert_cmpint(one.after_ns, >=, one.before_ns);
        if (one.status == METER_READ_OK && meter_kind_cumulative(c->kind))
            g_assert_cmpint(one.raw, >=, all[i].raw);
    }
}

/* One channel alone may be read while the sampler reads them all (the sanitizer looks on): no point of it is lost. */
static void check_ticks_beside_sampler(struct meter *meter)
{
    g_autoptr(GError) error = NULL;
    struct sampler *sampler = sampler_new(meter, &(struct sampler_options){.step_ns = 2 * MS, .slow_step_ns = 4 * MS},
                                          &error);
    g_assert_true(sampler && sampler_start(sampler, &error));
    for (int64_t end_ns = clock_mono_ns() + 40 * MS; clock_mono_ns() < end_ns;)
        for (size_t i = 0; i < meter_channel_count(meter); i++) {
            struct meter_reading one;
            meter_read_one(meter, i, &one);
        }
    g_assert_true(sampler_stop(sampler, &error));
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    g_assert_cmpint(stats.dropped, ==, 0);
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        g_autoptr(GArray) points = sampler_series(sampler, i, 0, INT64_MAX);
        g_assert_true((points->len > 0) == (meter_channel_at(meter, i)->status != QUANTITY_ABSENT));
    }
    sampler_free(sampler);
}

static void test_a_scope_without_a_row(void)
{
    const struct meter_scope *scope = meter_scope_find("a scope that nobody has");
    g_assert_null(scope->name);
    g_assert_nonnull(strstr(scope->outside, "not known to llem"));
    g_assert_cmpint(scope->preference, ==, METER_COUNTS_IF_NAMED);
}

/* What joules need of a channel: a class with a row, and a scope that says what is outside. */
static void check_rows(struct meter *meter, const struct meter_source_row *row)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        bool joules = c->kind == METER_ENERGY || c->kind == METER_POWER_INSTANT || c->kind == METER_POWER_AVERAGE;
        g_assert_cmpstr(c->source, ==, row->name);
        g_assert_true((meter_class_find(c->sensor_class) != NULL) == joules);
        g_assert_cmpuint(strlen(meter_scope_find(c->scope)->outside), >, 20);
        g_assert_true((c->status == QUANTITY_MODELLED) == ((row->flags & SOURCE_MODEL) != 0));
    }
}

static void write_recording(const struct fixture *f)
{
    static const char channel[] =
        "{'id':'nvml:X:energy','device':'X','label':'a, b','scope':'GPU board','kind':'energy','status':'measured',"
        "'reason':null,'raw_unit':'mJ','scale':0.001,'wrap':0,'max_power_w':1000,'assumed_refresh_ns':100000000,"
        "'assumed_window_ns':25000000,'sensor_class':'nvidia','low_ratio':1.0,'high_ratio':1.0,'rate':1}";
    g_auto(GStrv) parts = g_strsplit(channel, "'", -1);
    g_autofree char *cell = g_strjoinv("\"\"", parts); /* JSON in a CSV cell: quotes doubled */
    g_autofree char *rows = g_strconcat(
        "t_mono_ns,t_wall_ns,read_ns,channel,value,status\n0,0,0,nvml:X:energy,\"", cell, "\",channel\n",
        "1000000000,2000000000,1000,nvml:X:energy,500,ok\n"
        "1005000000,2005000000,0,mark,\"work, begin\",mark\n"
        "1020000000,2020000000,1000,nvml:X:energy,510,ok\n"
        "1300000000,2300000000,1000,nvml:X:energy,700,ok\n"
        "1310000000,2310000000,1000,nvml:X:energy,,lost\n"
        "1400000000,2400000000,1000,nvml:X:energy,,lost\n", NULL);
    fixture_write(f, "recording.csv", rows); /* zlib reads plain files too */
}

static void test_conformance(void)
{
    struct fixture f;
    fixture_open(&f);
    write_powercap(&f);
    write_recording(&f);
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 150}]}, {'counter': false}]}");
    fixture_write(&f, "sys/class/hwmon/hwmon3/name", "chip\n");
    fixture_write(&f, "sys/class/hwmon/hwmon3/power1_input", "1500000\n");
    struct mover mover = {.f = &f, .paths = {PACKAGE "energy_uj", DRAM "energy_uj",
                                             "sys/class/hwmon/hwmon3/energy1_input"}};
    mover_start(&mover);
    g_autofree char *library = fixture_sim_path(), *recording = fixture_path(&f, "recording.csv");
    for (size_t i = 0; meter_source_row_at(i); i++) {
        const struct meter_source_row *row = meter_source_row_at(i);
        g_test_message("source %s", row->name);
        const char *const names[] = {row->name, NULL};
        struct meter_options options = {.sysroot = f.root, .sources = names, .library = library,
                                        .replay_path = recording, .stuck_check_ns = f.stuck_ns};
        g_autoptr(GError) error = NULL;
        struct meter *meter = meter_open(&options, &error);
        g_assert_no_error(error);
        meter_set_engine_pids(meter, (pid_t[]){getpid()}, 1);
        const struct meter_source_state *state = meter_source_at(meter, i);
        g_assert_true(state->open);
        g_assert_cmpint(meter_channel_count(meter), >, 0);
        check_channels(meter);
        check_readings(meter);
        check_ticks(meter);
        check_ticks_beside_sampler(meter);
        check_rows(meter, row);
        g_autoptr(json_t) tree = meter_json(meter);
        g_assert_cmpint(json_array_size(json_object_get(tree, "channels")), ==, meter_channel_count(meter));
        meter_close(meter);
    }
    mover_stop(&mover);
    fixture_close(&f);
}

/* Where nothing is there, every source says why. */
static void test_absent(void)
{
    struct fixture f;
    fixture_open(&f);
    struct meter_options options = {.sysroot = f.root, .library = "/nowhere/libnvidia-ml.so.1"};
    g_autoptr(GError) error = NULL;
    struct meter *meter = meter_open(&options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(meter_channel_count(meter), ==, 0);
    g_assert_nonnull(strstr(fixture_reason(meter, "rapl"), "/sys/class/powercap"));
    g_assert_nonnull(strstr(fixture_reason(meter, "hwmon"), "/sys/class/hwmon"));
    g_assert_nonnull(strstr(fixture_reason(meter, "modelled"), "opt-in"));
    meter_close(meter);
    options.sources = (const char *const[]){"replay", NULL};
    meter = meter_open(&options, &error);
    g_assert_nonnull(strstr(fixture_reason(meter, "replay"), "trace.csv.gz"));
    meter_close(meter);
    options.sources = (const char *const[]){"nvlm", NULL};
    g_assert_null(meter_open(&options, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "nvml, rapl"));
    fixture_close(&f);
}

/* Names for meter_open(): by name, by `auto`, by a flag. */
static void test_asked(void)
{
    static const struct {
        const char *named;
        unsigned flags;
        const char *list;
    } cases[] = {
        {SOURCE_AUTO, 0, "nvml rapl hwmon"},
        {SOURCE_AUTO, SOURCE_MODEL, "nvml rapl hwmon modelled"},
        {SOURCE_NONE, 0, ""},
        {"hwmon", 0, "hwmon"},
        {"rapl", SOURCE_MODEL, "rapl modelled"},
        {NULL, SOURCE_HAS_BOARDS, "nvml"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree const char **list = meter_sources_asked(cases[i].named, cases[i].flags);
        g_autofree char *joined = g_strjoinv(" ", (char **)(void *)list);
        g_assert_cmpstr(joined, ==, cases[i].list);
    }
}

/* --- RAPL ------------------------------------------------------------------------------------------------------------------ */

static const char *const rapl_only[] = {"rapl", NULL};

/* The sampler's thread waits for the ticks asked for: the bracket of the last holds it. One that stands
 * still has its last reading when the time is over. */
static void check_ticks_at_mark(struct meter *meter, struct mover *mover)
{
    g_autoptr(GError) error = NULL;
    struct sampler *sampler = sampler_new(meter, NULL, &error);
    size_t package = fixture_channel(meter, "rapl:package-0:energy");
    struct sampler_tick ticks[] = {{.channel = package},
                                   {.channel = package, .changes = 2, .timeout_ns = 500 * MS}};
    g_assert_true(sampler && sampler_start(sampler, &error));
    int64_t asked_ns = clock_mono_ns();
    sampler_ticks(sampler, ticks, G_N_ELEMENTS(ticks));
    const struct meter_reading *first = &ticks[0].reading, *second = &ticks[1].reading;
    g_assert_cmpint(first->status, ==, METER_READ_OK);
    g_assert_cmpint(first->before_ns, >=, asked_ns);
    g_assert_cmpint(second->status, ==, METER_READ_OK);
    g_assert_cmpint(second->raw, >, first->raw);
    g_assert_cmpint(second->before_ns, >=, first->after_ns);
    mover_stop(mover);
    struct sampler_tick still = {.channel = package, .changes = 1, .timeout_ns = 30 * MS};
    sampler_ticks(sampler, &still, 1);
    g_assert_cmpint(still.reading.status, ==, METER_READ_OK);
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    g_assert_cmpint(stats.mark_wake_max_ns, >, 0);
    g_assert_cmpint(stats.ticks, >=, 3); /* those that fell due in 30 ms were not held up */
    g_assert_true(sampler_stop(sampler, &error));
    sampler_free(sampler);
}

/* Gives this thread, and those it starts, one processor: a sampler in real time must leave what moves its counter a
 * part of it. */
static void crowd(cpu_set_t *before)
{
    g_assert_cmpint(sched_getaffinity(0, sizeof *before, before), ==, 0);
    int first = 0;
    while (!CPU_ISSET(first, before))
        first++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    g_assert_cmpint(sched_setaffinity(0, sizeof one, &one), ==, 0);
}

static void test_powercap(void)
{
    struct fixture f;
    fixture_open(&f);
    cpu_set_t before;
    crowd(&before);
    write_powercap(&f);
    struct mover mover = {.f = &f, .paths = {PACKAGE "energy_uj", DRAM "energy_uj", CORE "energy_uj",
                                             "sys/class/powercap/intel-rapl-mmio:0/energy_uj"}};
    mover_start(&mover);
    struct meter *meter = fixture_meter(&f, rapl_only);
    /* Core is part of the package and mmio shows the package again: neither is offered. */
    g_assert_cmpint(meter_channel_count(meter), ==, 2);
    const struct meter_channel *package = meter_channel_at(meter, fixture_channel(meter, "rapl:package-0:energy"));
    const struct meter_channel *dram = meter_channel_at(meter, fixture_channel(meter, "rapl:dram-0:energy"));
    g_assert_cmpstr(package->scope, ==, METER_SCOPE_PACKAGE);
    g_assert_cmpstr(dram->scope, ==, METER_SCOPE_DRAM);
    g_assert_cmpint(package->status, ==, QUANTITY_MEASURED);
    g_assert_cmpint(package->wrap, ==, INT64_C(65532610987));
    check_ticks_at_mark(meter, &mover);
    /* The file vanishes, or holds nonsense, in mid-run: said, and never a number. */
    g_autofree char *path = fixture_path(&f, PACKAGE "energy_uj");
    fixture_write(&f, PACKAGE "energy_uj", "12 apples\n");
    g_assert_cmpint(read_one(meter, "rapl:package-0:energy").status, ==, METER_READ_ERROR);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(read_one(meter, "rapl:package-0:energy").status, ==, METER_READ_LOST);
    g_assert_cmpint(read_one(meter, "rapl:dram-0:energy").status, ==, METER_READ_OK);
    meter_close(meter);
    fixture_close(&f);
    g_assert_cmpint(sched_setaffinity(0, sizeof before, &before), ==, 0);
}

/* The first lines of a processor of /proc/cpuinfo, as Linux prints them. */
#define CPU(vendor, family, model, name)                                                                               \
    "processor\t: 0\nvendor_id\t: " vendor "\ncpu family\t: " family "\nmodel\t\t: " model "\nmodel name\t: " name      \
    "\nstepping\t: 4\nmicrocode\t: 0x1000065\ncpu MHz\t\t: 2596.120\nflags\t\t: fpu vme de pse tsc msr pae\n\n"

/* The processor tells a counter that is measured from one that is the maker's model. */
static void test_class_by_processor(void)
{
    static const struct {
        const char *cpuinfo, *sensor_class;
    } cases[] = {
        {CPU("GenuineIntel", "6", "63", "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "79", "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "86", "Intel(R) Xeon(R) CPU D-1541 @ 2.10GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "85", "Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "106", "Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "108", "Intel(R) Xeon(R) D-2776NT CPU @ 2.10GHz"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "143", "Intel(R) Xeon(R) Platinum 8480+"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "207", "INTEL(R) XEON(R) PLATINUM 8592+"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "173", "Intel(R) Xeon(R) 6980P"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "174", "Intel(R) Xeon(R) 6726P-B"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "175", "Intel(R) Xeon(R) 6780E"), "rapl.intel"},
        {CPU("GenuineIntel", "6", "45", "Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz"), "rapl.intel.model"},
        {CPU("GenuineIntel", "6", "62", "Intel(R) Xeon(R) CPU E5-2680 v2 @ 2.80GHz"), "rapl.intel.model"},
        {CPU("GenuineIntel", "6", "60", "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz"), "rapl.intel.model"},
        {CPU("GenuineIntel", "6", "158", "Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz"), "rapl.intel.model"},
        {CPU("GenuineIntel", "6", "183", "13th Gen Intel(R) Core(TM) i9-13900K"), "rapl.intel.model"},
        {CPU("AuthenticAMD", "26", "2", "AMD EPYC"), "rapl.amd"},
        {CPU("AuthenticAMD", "23", "49", "AMD EPYC 7742 64-Core Processor"), "rapl.amd"},
        {CPU("HygonGenuine", "24", "1", "Hygon C86 7185 32-core Processor"), "rapl.amd"},
        /* A number is only a model within its family, a vendor only in its own line, and no row is the wider row. */
        {CPU("GenuineIntel", "19", "85", "a later family"), "rapl.intel.model"},
        {CPU("GenuineIntel", "6", "", "AuthenticAMD: 63"), "rapl.intel.model"},
        {CPU("CentaurHauls", "6", "63", "another maker"), "rapl.intel.model"},
        {"model name\t: 63\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n", "rapl.intel.model"},
        {"processor\t: 0\nvendor_id", "rapl.intel.model"},
        {"", "rapl.intel.model"},
        {NULL, "rapl.intel.model"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture f;
        g_test_message("%s", cases[i].cpuinfo ? cases[i].cpuinfo : "no file");
        fixture_open(&f);
        f.stuck_ns = 1; /* that the counter stands still is no matter here */
        write_powercap(&f);
        if (cases[i].cpuinfo) { /* many processors: longer than what is read of the file */
            g_autoptr(GString) text = g_string_new(NULL);
            for (int cpu = 0; cpu < 64; cpu++)
                g_string_append(text, cases[i].cpuinfo);
            fixture_write(&f, "proc/cpuinfo", text->str);
        }
        struct meter *meter = fixture_meter(&f, rapl_only);
        g_assert_cmpint(meter_channel_count(meter), ==, 2);
        for (size_t c = 0; c < meter_channel_count(meter); c++)
            g_assert_cmpstr(meter_channel_at(meter, c)->sensor_class, ==, cases[i].sensor_class);
        meter_close(meter);
        fixture_close(&f);
    }
}

static void test_powercap_stuck(void)
{
    struct fixture f;
    fixture_open(&f);
    f.stuck_ns = 20 * MS;
    write_powercap(&f);
    struct meter *meter = fixture_meter(&f, rapl_only);
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        g_assert_cmpint(meter_channel_at(meter, i)->status, ==, QUANTITY_ABSENT);
        g_assert_true(g_str_has_prefix(meter_channel_at(meter, i)->reason, "stuck"));
    }
    meter_close(meter);
    fixture_close(&f);
}

static void test_powercap_permission(void)
{
    struct fixture f;
    fixture_open(&f);
    write_powercap(&f);
    g_autofree char *path = fixture_path(&f, PACKAGE "energy_uj");
    g_assert_cmpint(chmod(path, 0400), ==, 0);
    bool root = geteuid() == 0;
    f.stuck_ns = 20 * MS;
    if (root)
        g_assert_cmpint(seteuid(65534), ==, 0);
    else
        g_assert_cmpint(chmod(path, 0), ==, 0);
    struct meter *meter = fixture_meter(&f, rapl_only);
    if (root)
        g_assert_cmpint(seteuid(0), ==, 0);
    const struct meter_channel *package = meter_channel_at(meter, fixture_channel(meter, "rapl:package-0:energy"));
    g_assert_cmpint(package->status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(strstr(package->reason, path)); /* which file, which permission, which command */
    g_assert_nonnull(strstr(package->reason, "Permission denied"));
    g_assert_nonnull(strstr(package->reason, "chmod"));
    meter_close(meter);
    fixture_close(&f);
}

/* The perf path on a real PMU: the kernel's software events stand in for RAPL's. Event 9 counts nothing for ever, as
 * RAPL does in virtual machines; event 0 (cpu-clock) moves. */
static void test_perf(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK};
    int fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
        g_test_skip("needs:perf (kernel.perf_event_paranoid <= 0 or CAP_PERFMON)");
        return;
    }
    close(fd);
    struct fixture f;
    fixture_open(&f);
    fixture_write(&f, "sys/bus/event_source/devices/power/type", "1\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/cpumask", "0\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-pkg", "event=0x00\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-pkg.scale", "2.3283064365386962890625e-10\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-psys", "event=0x09\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-psys.scale", "2.3283064365386962890625e-10\n");
    fixture_write(&f, "sys/devices/system/cpu/cpu0/topology/physical_package_id", "3\n");
    f.stuck_ns = 50 * MS;
    struct meter *meter = fixture_meter(&f, rapl_only);
    const struct meter_channel *package = meter_channel_at(meter, fixture_channel(meter, "rapl:package-3:energy"));
    g_assert_cmpint(package->status, ==, QUANTITY_MEASURED);
    g_assert_cmpfloat(package->scale, ==, 0x1p-32);
    g_assert_cmpint(package->wrap, ==, 0);
    const struct meter_channel *psys = meter_channel_at(meter, fixture_channel(meter, "rapl:psys:energy"));
    g_assert_cmpint(psys->status, ==, QUANTITY_ABSENT);
    g_assert_true(g_str_has_prefix(psys->reason, "stuck"));
    g_assert_cmpstr(psys->scope, ==, METER_SCOPE_PLATFORM);
    struct meter_reading a = read_one(meter, "rapl:package-3:energy");
    g_usleep(20000);
    struct meter_reading b = read_one(meter, "rapl:package-3:energy");
    g_assert_cmpint(b.raw, >, a.raw);
    meter_close(meter);
    fixture_close(&f);
}

static void test_perf_refused(void)
{
    struct fixture f;
    fixture_open(&f);
    write_powercap(&f);
    fixture_write(&f, "sys/bus/event_source/devices/power/type", "4294967294\n"); /* no such PMU */
    fixture_write(&f, "sys/bus/event_source/devices/power/cpumask", "0\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-pkg", "event=0x02\n");
    fixture_write(&f, "sys/bus/event_source/devices/power/events/energy-pkg.scale", "2.3e-10\n");
    struct mover mover = {.f = &f, .paths = {PACKAGE "energy_uj", DRAM "energy_uj"}};
    mover_start(&mover);
    struct meter *meter = fixture_meter(&f, rapl_only);
    mover_stop(&mover);
    g_assert_nonnull(strstr(fixture_reason(meter, "rapl"), "energy-pkg"));
    g_assert_cmpint(meter_channel_at(meter, fixture_channel(meter, "rapl:package-0:energy"))->status, ==,
                    QUANTITY_MEASURED); /* by powercap */
    meter_close(meter);
    fixture_close(&f);
}

static void test_delta(void)
{
    const struct meter_channel powercap = {.kind = METER_ENERGY, .scale = 1e-6, .wrap = INT64_C(65532610987),
                                           .max_power_w = 1000};
    const struct meter_channel nvml = {.kind = METER_ENERGY, .scale = 1e-3, .max_power_w = 1000};
    const struct {
        const char *name;
        const struct meter_channel *channel;
        int64_t from, to;
        double seconds;
        enum meter_read_status status;
        int64_t delta;
    } rows[] = {
        {"plain", &powercap, 1000, 2000, 1, METER_READ_OK, 1000},
        {"one wrap", &powercap, INT64_C(65532610000), 13, 1, METER_READ_OK, 1000},
        {"two wraps possible", &powercap, 1000, 2000, 66, METER_READ_WRAP_AMBIGUOUS, 0},
        {"wrap, two possible", &powercap, 2000, 1000, 66, METER_READ_WRAP_AMBIGUOUS, 0},
        {"just before", &powercap, 1000, 2000, 65, METER_READ_OK, 1000},
        {"decrease that is no wrap", &powercap, 5000, 1000, 1, METER_READ_BACKWARDS, 0},
        {"underflow glitch", &nvml, 22000000, 200000, 1, METER_READ_BACKWARDS, 0},
        {"terawatts", &nvml, 200000, INT64_C(22000000000), 1, METER_READ_IMPLAUSIBLE, 0},
        {"no change", &nvml, 5, 5, 1, METER_READ_OK, 0},
        {"one update at once", &nvml, 0, 50000, 0.001, METER_READ_OK, 50000},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        struct meter_reading from = {.raw = rows[i].from, .status = METER_READ_OK};
        struct meter_reading to = {.before_ns = (int64_t)(rows[i].seconds * 1e9), .raw = rows[i].to,
                                   .status = METER_READ_OK};
        to.after_ns = to.before_ns;
        int64_t delta = 0;
        enum meter_read_status status;
        g_assert_true(meter_counter_delta(rows[i].channel, &from, &to, &delta, &status) ==
                      (rows[i].status == METER_READ_OK));
        g_assert_cmpstr(meter_read_name(status), ==, meter_read_name(rows[i].status));
        g_assert_cmpint(delta, ==, rows[i].delta);
        to.status = METER_READ_LOST;
        g_assert_false(meter_counter_delta(rows[i].channel, &from, &to, &delta, &status));
        g_assert_cmpint(status, ==, METER_READ_LOST);
    }
}

/* --- hwmon ----------------------------------------------------------------------------------------------------------------- */

static void test_hwmon(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_write(&f, "sys/class/hwmon/hwmon0/name", "amd_energy\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy1_label", "Ecore000\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy1_input", "7\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy65_label", "Esocket0\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy65_input", "5\n");
    fixture_write(&f, "sys/class/hwmon/hwmon2/name", "power_meter\n");
    fixture_write(&f, "sys/class/hwmon/hwmon2/power1_average", "213000000\n");
    fixture_write(&f, "sys/class/hwmon/hwmon2/power1_average_interval", "500\n");
    fixture_write(&f, "sys/class/hwmon/hwmon7/name", "power_meter\n");
    fixture_write(&f, "sys/class/hwmon/hwmon7/power1_input", "50000000\n");
    fixture_write(&f, "sys/class/hwmon/hwmon7/power1_input_lowest", "1\n");
    fixture_write(&f, "sys/class/hwmon/hwmon7/powerx_input", "1\n");
    struct mover mover = {.f = &f, .paths = {"sys/class/hwmon/hwmon0/energy65_input"}};
    mover_start(&mover);
    struct meter *meter = fixture_meter(&f, (const char *const[]){"hwmon", NULL});
    mover_stop(&mover);
    g_assert_cmpint(meter_channel_count(meter), ==, 3);
    const struct meter_channel *socket =
        meter_channel_at(meter, fixture_channel(meter, "hwmon:amd_energy:energy65:energy"));
    g_assert_cmpstr(socket->scope, ==, "CPU socket (hwmon)");
    g_assert_cmpint(socket->status, ==, QUANTITY_MEASURED);
    const struct meter_channel *average =
        meter_channel_at(meter, fixture_channel(meter, "hwmon:power_meter:power1:power_average"));
    g_assert_cmpint(average->window_ns, ==, 500 * MS);
    struct meter_reading r = read_one(meter, "hwmon:power_meter:power1:power_average");
    g_assert_cmpfloat_with_epsilon((double)r.raw * average->scale, 213, 1e-9);
    r = read_one(meter, "hwmon:power_meter.1:power1:power_instant"); /* a second chip of the same name */
    g_assert_cmpint(r.raw, ==, 50000000);
    meter_close(meter);
    fixture_close(&f);
}

static json_t *found_by_watching(const char *channel, bool usable, int64_t age_ns)
{
    json_t *tree = json_pack("{s:s, s:I}", "schema", "llem-characterisation/1", "t_wall_ns",
                             (json_int_t)(clock_wall_ns() - age_ns));
    json_t *c = json_pack("{s:i, s:i, s:i, s:i, s:b, s:b, s:b, s:b}", "period_ns", 100, "period_p95_ns", 100,
                          "read_p50_ns", 1, "read_p99_ns", 1, "stuck", !usable, "decreasing", 0, "implausible", 0,
                          "usable", usable);
    json_t *channels = json_object();
    json_object_set_new(channels, channel, c);
    json_object_set_new(tree, "channels", channels);
    return tree;
}

/* What watching showed is kept for a while, per host and set of sensors; a finding against a counter never is. */
static void test_what_is_remembered(void)
{
    static const char counter[] = "hwmon:amd_energy:energy65:energy";
    static const struct {
        const char *name;
        bool usable;
        int64_t age_days;
        bool kept;
    } cases[] = {
        {"fresh", true, 0, true},
        {"a month is too long", true, 31, false},
        {"from the future: the clock was set back", true, -1, false},
        {"a counter that stood still", false, 0, false},
    };
    struct fixture f;
    fixture_open(&f);
    fixture_write(&f, "sys/class/hwmon/hwmon0/name", "amd_energy\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy65_label", "Esocket0\n");
    fixture_write(&f, "sys/class/hwmon/hwmon0/energy65_input", "5\n");
    struct mover mover = {.f = &f, .paths = {"sys/class/hwmon/hwmon0/energy65_input"}};
    mover_start(&mover);
    struct meter *meter = fixture_meter(&f, (const char *const[]){"hwmon", NULL});
    mover_stop(&mover);
    g_autofree char *folder = g_build_filename(g_get_user_cache_dir(), "llem", "sensors", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].name);
        g_autoptr(json_t) tree = found_by_watching(counter, cases[i].usable, cases[i].age_days * 86400 * NS_PER_S);
        g_assert_true(meter_characterisation_save(meter, tree, NULL));
        g_autoptr(json_t) kept = meter_characterisation_load(meter);
        g_assert_cmpint(kept != NULL, ==, cases[i].kept);
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        for (const char *name; dir && (name = g_dir_read_name(dir));) {
            g_autofree char *path = g_build_filename(folder, name, NULL);
            g_assert_cmpint(g_unlink(path), ==, 0);
        }
    }
    meter_close(meter);
    fixture_close(&f);
}

/* --- modelled -------------------------------------------------------------------------------------------------------------- */

static pid_t burn(double seconds)
{
    pid_t pid = fork();
    if (pid == 0) {
        volatile double x = 1;
        while ((double)clock_process_cpu_ns() * 1e-9 < seconds)
            x = x * 1.0000001;
        _exit(0);
    }
    return pid;
}

static void test_modelled(void)
{
    g_autoptr(GError) error = NULL;
    struct meter_options options = {.sources = (const char *const[]){"modelled", NULL}, .modelled_low_w = 4,
                                    .modelled_high_w = 12};
    struct meter *meter = meter_open(&options, &error);
    g_assert_no_error(error);
    const struct meter_channel *channel = meter_channel_at(meter, 0);
    g_assert_cmpint(channel->status, ==, QUANTITY_MODELLED);
    g_assert_cmpfloat(channel->low_ratio, ==, 0.5);
    g_assert_cmpfloat(channel->high_ratio, ==, 1.5);
    g_assert_cmpint(read_one(meter, channel->id).status, ==, METER_READ_NOT_READY); /* not a silent 0 */
    pid_t first = burn(0.06), second = burn(0.03);
    meter_set_engine_pids(meter, (pid_t[]){first, second, first}, 3);
    struct meter_reading r = {0}, last = {0};
    siginfo_t info;
    int64_t end_ns = clock_mono_ns() + 20 * NS_PER_S;
    int ended = 0;
    while (ended < 2 && clock_mono_ns() < end_ns) { /* look before reaping: their clocks vanish then */
        r = read_one(meter, channel->id);
        g_assert_cmpint(r.status, ==, METER_READ_OK);
        g_assert_cmpint(r.raw, >=, last.raw);
        last = r;
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
            read_one(meter, channel->id);
            waitpid(info.si_pid, NULL, 0);
            ended++;
        }
        g_usleep(1000);
    }
    g_assert_cmpint(ended, ==, 2);
    r = read_one(meter, channel->id); /* what they used stays counted */
    g_assert_cmpint(r.raw, >=, last.raw);
    g_assert_cmpfloat((double)r.raw * 1e-9, >, 0.08);
    g_assert_cmpfloat((double)r.raw * 1e-9, <, 0.2);
    g_assert_cmpfloat_with_epsilon((double)r.raw * channel->scale, (double)r.raw * 1e-9 * 8, 1e-9);
    meter_close(meter);
    static const double bad[][2] = {{0, 5}, {-1, 5}, {5, 4}, {NAN, 4}, {3, INFINITY}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        options.modelled_low_w = bad[i][0];
        options.modelled_high_w = bad[i][1];
        g_assert_null(meter_open(&options, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
        g_clear_error(&error);
    }
}

/* --- replay ---------------------------------------------------------------------------------------------------------------- */

static void test_replay(void)
{
    struct fixture f;
    fixture_open(&f);
    write_recording(&f);
    g_autofree char *path = fixture_path(&f, "recording.csv");
    struct meter_options options = {.sources = (const char *const[]){"replay", NULL}, .replay_path = path};
    g_autoptr(GError) error = NULL;
    struct meter *meter = meter_open(&options, &error);
    g_assert_no_error(error);
    int64_t opened_ns = clock_mono_ns();
    const struct meter_channel *channel = meter_channel_at(meter, 0);
    g_assert_cmpstr(channel->id, ==, "replay:nvml:X:energy");
    g_assert_cmpint(channel->status, ==, QUANTITY_MEASURED); /* as recorded */
    g_assert_cmpstr(channel->label, ==, "a, b");
    bool seen[3] = {false, false, false};
    struct meter_reading r;
    do {
        r = read_one(meter, channel->id);
        if (r.status == METER_READ_OK)
            seen[r.raw == 500 ? 0 : r.raw == 510 ? 1 : 2] = true;
        g_usleep(1000);
    } while (clock_mono_ns() - opened_ns < 600 * MS && r.status != METER_READ_LOST);
    g_assert_true(seen[1]);
    g_assert_cmpint(r.status, ==, METER_READ_LOST);
    meter_close(meter);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    g_autofree char *cache = g_dir_make_tmp("llem-cache-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE); /* before GLib looks: nothing of the user's is touched */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/meter/conformance", test_conformance);
    g_test_add_func("/meter/unknown-scope", test_a_scope_without_a_row);
    g_test_add_func("/meter/absent", test_absent);
    g_test_add_func("/meter/delta", test_delta);
    g_test_add_func("/rapl/powercap", test_powercap);
    g_test_add_func("/rapl/class_by_processor", test_class_by_processor);
    g_test_add_func("/rapl/stuck", test_powercap_stuck);
    g_test_add_func("/rapl/permission", test_powercap_permission);
    g_test_add_func("/rapl/perf", test_perf);
    g_test_add_func("/rapl/perf_refused", test_perf_refused);
    g_test_add_func("/hwmon", test_hwmon);
    g_test_add_func("/characterisation/remembered", test_what_is_remembered);
    g_test_add_func("/meter/asked", test_asked);
    g_test_add_func("/modelled", test_modelled);
    g_test_add_func("/replay", test_replay);
    return g_test_run();
}
