/* SPDX-License-Identifier: MIT */
/* Scopes from values alone: no meter, no sampler, no experiment. */
#include "energy/scopes.h"
#include "unit/energy/scene.h"

#include <glib/gstdio.h>

#define BOARDS_MAX 6

/* A machine drawn by hand: channels, what they showed of one scene, and what is known beforehand. */
struct machine {
    struct scene scene;
    struct energy_window window;
    struct meter_channel channels[BOARDS_MAX];
    const struct meter_channel *listed[BOARDS_MAX];
    struct meter_sensor sensors[BOARDS_MAX];
    struct energy_known known;
    int64_t apart; /* by which the second channel's counter is ahead, */
    int64_t faster; /* and how much more it counts, in 1/1000 */
};

static void machine_init(struct machine *m)
{
    memset(m, 0, sizeof *m);
    m->scene = scene_default();
    m->window = scene_window(&m->scene, 3, 3);
    m->known = (struct energy_known){.channels = m->listed, .sensors = m->sensors, .on_boards = true};
}

static struct meter_channel *machine_add(struct machine *m, const char *id, const char *device, const char *scope,
                                         enum meter_kind kind)
{
    size_t i = m->known.channel_count++;
    g_assert_cmpuint(i, <, BOARDS_MAX);
    m->channels[i] = (struct meter_channel){.id = id,
                                            .source = "drawn",
                                            .device = device,
                                            .label = id,
                                            .scope = scope,
                                            .kind = kind,
                                            .rate = METER_FAST,
                                            .scale = 1e-6,
                                            .raw_unit = "uJ",
                                            .refresh_ns = m->scene.period_ns,
                                            .sensor_class = "nvidia",
                                            .status = QUANTITY_MEASURED,
                                            .low_ratio = 1,
                                            .high_ratio = 1};
    m->listed[i] = &m->channels[i];
    m->sensors[i] = (struct meter_sensor){.period_ns = m->scene.period_ns, .usable = true};
    return &m->channels[i];
}

/* What every channel showed between two moments. */
static struct energy_scopes *machine_scopes(const struct machine *m, int64_t from_ns, int64_t to_ns)
{
    struct energy_readings *readings = energy_readings_new();
    for (size_t i = 0; i < m->known.channel_count; i++)
        if (energy_channel_usable(m->listed[i])) {
            GArray *points = scene_points(&m->scene, m->listed[i], from_ns, to_ns);
            for (guint k = 0; i == 1 && k < points->len; k++) {
                struct meter_point *point = &g_array_index(points, struct meter_point, k);
                point->raw += m->apart + point->raw * m->faster / 1000;
            }
            energy_readings_add(readings, m->listed[i], points, NULL, NULL);
        }
    return energy_scopes_new(&m->known, readings);
}

static struct energy_scopes *machine_window(const struct machine *m)
{
    return machine_scopes(m, m->window.guard_from_ns - NS_PER_S, m->window.guard_to_ns);
}

static double joules_of(const struct machine *m, const struct energy_scope *scope)
{
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scope, &m->window, NULL, &e, NULL);
    g_assert_cmpint(e.joules.status, ==, QUANTITY_MEASURED);
    return e.joules.value;
}

/* --- which scope, which board ------------------------------------------------------------------------------------ */

static const char *const second_only[] = {"GPU-2", NULL};

static void two_boards_and_a_package(struct machine *m)
{
    machine_init(m);
    machine_add(m, "d:1:energy", "GPU-1", METER_SCOPE_GPU, METER_ENERGY);
    machine_add(m, "d:2:energy", "GPU-2", METER_SCOPE_GPU, METER_ENERGY);
    machine_add(m, "d:p:energy", "package-0", METER_SCOPE_PACKAGE, METER_ENERGY);
    machine_add(m, "d:m:energy", "package-0", METER_SCOPE_DRAM, METER_ENERGY);
    machine_add(m, "d:x:power", "battery", "battery", METER_POWER_INSTANT);
}

static void test_primary(void)
{
    static const struct {
        const char *name;
        bool on_boards;
        const char *const *boards;
        const char *named;
        size_t from; /* channels before it are not there */
        const char *primary;
        guint boards_in_it, scopes;
    } cases[] = {
        {"boards the work runs on", true, NULL, NULL, 0, METER_SCOPE_GPU, 2, 4},
        {"one of them", true, second_only, NULL, 0, METER_SCOPE_GPU, 1, 4},
        {"work on the CPU", false, NULL, NULL, 0, METER_SCOPE_PACKAGE, 1, 3},
        {"memory is part of something", false, NULL, NULL, 3, NULL, 0, 2},
        {"a sensor of unknown scope", false, NULL, NULL, 4, NULL, 0, 1},
        {"the same, asked for by name", false, NULL, "drawn", 4, "battery", 1, 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct machine m;
        two_boards_and_a_package(&m);
        m.known.channels += cases[i].from;
        m.known.sensors += cases[i].from;
        m.known.channel_count -= cases[i].from;
        m.known.on_boards = cases[i].on_boards;
        m.known.boards = cases[i].boards;
        m.known.named_source = cases[i].named;
        g_autoptr(owned_scopes) scopes = energy_scopes_new(&m.known, NULL);
        g_test_message("%s", cases[i].name);
        g_assert_cmpuint(scopes->all->len, ==, cases[i].scopes);
        g_assert_cmpstr(scopes->primary ? scopes->primary->name : NULL, ==, cases[i].primary);
        g_assert_cmpuint(scopes->primary ? scopes->primary->boards->len : 0, ==, cases[i].boards_in_it);
        g_assert_cmpuint(scopes->warnings->len, ==, 0);
    }
}

/* What cannot be used is left out, and said once; a board without any channel makes the sum absent. */
/* A board that the run was given, and that the driver does not open: the others are not the run's energy. */
static void test_unseen_board(void)
{
    static const char *const given[] = {"GPU-2", "GPU-3", NULL};
    struct machine m;
    two_boards_and_a_package(&m);
    m.known.boards = given;
    struct energy_scopes *scopes = machine_window(&m);
    g_auto(owned_estimate) e = {0};
    g_assert_cmpstr(scopes->primary->name, ==, METER_SCOPE_GPU);
    energy_scope_estimate(scopes->primary, &m.window, NULL, &e, NULL);
    g_assert_cmpint(e.joules.status, ==, QUANTITY_ABSENT);
    g_assert_nonnull(strstr(e.joules.reason, "GPU-3"));
    energy_scopes_free(scopes);
}

/* Two dies that show one register all the time are one, also where each counts from when it was opened; it is counted
 * once, and told. */
static void test_mirrored_dies(void)
{
    static const struct {
        const char *second;
        int64_t apart, faster;
        guint boards;
    } rows[] = {{"package-0-die-1", 0, 0, 1},
                {"package-0-die-1", 4711, 0, 1},
                {"package-0-die-1", -815, 0, 1},
                {"package-0-die-1", 4711, 3, 2}, /* a register of its own */
                {"package-1", 0, 0, 1},
                {"package-1", 4711, 0, 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine m;
        machine_init(&m);
        m.apart = rows[i].apart;
        m.faster = rows[i].faster;
        const char *const devices[] = {"package-0-die-0", rows[i].second};
        for (size_t k = 0; k < 2; k++)
            machine_add(&m, k ? "d:1:energy" : "d:0:energy", devices[k], METER_SCOPE_PACKAGE, METER_ENERGY)
                ->sensor_class = "rapl.intel";
        struct energy_scopes *scopes = machine_window(&m);
        g_auto(owned_estimate) e = {0};
        g_assert_cmpuint(scopes->primary->boards->len, ==, rows[i].boards);
        g_assert_cmpuint(scopes->warnings->len, ==, 2 - rows[i].boards);
        energy_scope_estimate(scopes->primary, &m.window, NULL, &e, NULL);
        g_assert_cmpint((e.flags & ENERGY_FLAG(COUNTER_MIRRORED)) != 0, ==, rows[i].boards == 1);
        energy_scopes_free(scopes);
    }
}

static void test_left_out(void)
{
    static const struct {
        const char *name;
        bool stuck, power_too, absent;
        const char *warning, *reason; /* NULL: none; the sum has a value */
        enum energy_method method;
    } cases[] = {
        {"all is well", false, false, false, NULL, NULL, ENERGY_METHOD_PADDED_COUNTER},
        {"a counter that stands still, power beside it", true, true, false,
         "d:2:energy was not used: the counter stands still", NULL, ENERGY_METHOD_NONE},
        {"a counter that stands still, nothing else", true, false, false,
         "d:2:energy was not used: the counter stands still", "GPU-2: the counter stands still", ENERGY_METHOD_NONE},
        {"a board the driver says nothing of", false, false, true, NULL, "GPU-2: no permission", ENERGY_METHOD_NONE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct machine m;
        machine_init(&m);
        machine_add(&m, "d:1:energy", "GPU-1", METER_SCOPE_GPU, METER_ENERGY);
        struct meter_channel *second = machine_add(&m, "d:2:energy", "GPU-2", METER_SCOPE_GPU, METER_ENERGY);
        if (cases[i].power_too)
            machine_add(&m, "d:2:power", "GPU-2", METER_SCOPE_GPU, METER_POWER_INSTANT);
        m.sensors[1].stuck = cases[i].stuck;
        m.sensors[1].usable = !cases[i].stuck;
        if (cases[i].absent) {
            second->status = QUANTITY_ABSENT;
            second->reason = "no permission";
        }
        g_autoptr(owned_scopes) scopes = machine_window(&m);
        g_auto(owned_estimate) e = {0};
        energy_scope_estimate(scopes->primary, &m.window, NULL, &e, NULL);
        g_test_message("%s: %s", cases[i].name, e.joules.reason ? e.joules.reason : "-");
        g_assert_cmpuint(scopes->warnings->len, ==, cases[i].warning ? 1 : 0);
        if (cases[i].warning)
            g_assert_cmpstr(g_ptr_array_index(scopes->warnings, 0), ==, cases[i].warning);
        g_assert_cmpstr(e.joules.reason, ==, cases[i].reason);
        g_assert_cmpint(e.joules.status, ==, cases[i].reason ? QUANTITY_ABSENT : QUANTITY_MEASURED);
        if (!cases[i].reason)
            g_assert_cmpint(e.method, ==, cases[i].method);
    }
}

/* --- joules ------------------------------------------------------------------------------------------------------ */

static void test_sum(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    g_autoptr(owned_scopes) scopes = machine_window(&m);
    g_auto(owned_estimate) sum = {0};
    struct energy_estimate boards[2] = {0};
    energy_scope_estimate(scopes->primary, &m.window, NULL, &sum, boards);
    g_assert_near(sum.joules.value, 2 * scene_truth_j(&m.scene), 0.5);
    g_assert_true(sum.joules.value == boards[0].joules.value + boards[1].joules.value);
    g_assert_cmpuint(sum.boards, ==, 2);
    g_assert_cmpstr(boards[1].device, ==, "GPU-2");
    energy_estimate_clear(&boards[0]);
    energy_estimate_clear(&boards[1]);
}

/* A stretch without guards: the same joules by what needs none, and nothing is missed. */
static void test_unguarded(void)
{
    static const struct {
        const char *name;
        enum meter_kind kind;
        bool unguarded, fallback;
        enum energy_method method;
    } cases[] = {
        {"a counter", METER_ENERGY, true, false, ENERGY_METHOD_EDGE_COUNTER},
        {"power alone", METER_POWER_INSTANT, true, false, ENERGY_METHOD_TRAPEZOID},
        {"guards were wanted", METER_ENERGY, false, true, ENERGY_METHOD_EDGE_COUNTER},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct machine m;
        machine_init(&m);
        machine_add(&m, "d:1:x", "GPU-1", METER_SCOPE_GPU, cases[i].kind);
        g_autoptr(owned_scopes) scopes = machine_window(&m);
        struct energy_window w = {m.window.t0_ns, m.window.t0_ns, m.window.t1_ns, m.window.t1_ns, 1, 0, 0};
        struct energy_options options = {.unguarded = cases[i].unguarded};
        g_auto(owned_estimate) e = {0};
        energy_scope_estimate(scopes->primary, &w, &options, &e, NULL);
        g_test_message("%s", cases[i].name);
        g_assert_cmpint(e.method, ==, cases[i].method);
        g_assert_true(e.joules.low < scene_truth_j(&m.scene) && scene_truth_j(&m.scene) < e.joules.high);
        g_assert_true(!!(e.flags & ENERGY_FLAG(FALLBACK)) == cases[i].fallback);
        g_assert_true(!!(e.flags & ENERGY_FLAG(GUARD_SHORT)) == !cases[i].unguarded);
    }
}

static void test_no_length(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    g_autoptr(owned_scopes) scopes = machine_window(&m);
    struct energy_window w = {m.window.t0_ns, m.window.t0_ns, m.window.t0_ns, m.window.t0_ns, 1, 0, 0};
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scopes->primary, &w, NULL, &e, NULL);
    g_assert_cmpstr(e.joules.reason, ==, "GPU-1: the window has no length");
}

/* --- the ends of a stretch without guards ------------------------------------------------------------------------ */

/* A refresh every 100 ms that shows 50 ms later: what a counter was at a moment is known between two changes. */
static void test_ends(void)
{
    static const struct {
        const char *name;
        enum meter_kind kind;
        enum quantity_status status;
        int64_t from_ns, to_ns; /* readings from and to, against the moment */
        bool lost, begin, end;
    } cases[] = {
        {"around it", METER_ENERGY, QUANTITY_MEASURED, -500 * MS, 500 * MS, false, true, true},
        {"nothing before", METER_ENERGY, QUANTITY_MEASURED, 105 * MS, 500 * MS, false, false, true},
        {"nothing after", METER_ENERGY, QUANTITY_MEASURED, -500 * MS, 20 * MS, false, true, false},
        {"power is known where it is read", METER_POWER_INSTANT, QUANTITY_MEASURED, -5 * MS, 160 * MS, false, true,
         true},
        {"power that is read too early", METER_POWER_INSTANT, QUANTITY_MEASURED, -5 * MS, 60 * MS, false, true, false},
        {"a model is known where it is read", METER_ENERGY, QUANTITY_MODELLED, -5 * MS, 5 * MS, false, true, true},
        {"nobody waits for what is lost", METER_ENERGY, QUANTITY_MEASURED, 40 * MS, 45 * MS, true, true, true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct machine m;
        machine_init(&m);
        struct meter_channel *c = machine_add(&m, "d:1:x", "GPU-1", METER_SCOPE_GPU, cases[i].kind);
        c->status = cases[i].status;
        int64_t at_ns = m.scene.t0_ns + NS_PER_S;
        GArray *points = scene_points(&m.scene, c, at_ns + cases[i].from_ns, at_ns + cases[i].to_ns);
        struct meter_point lost = {at_ns + cases[i].to_ns, at_ns + cases[i].to_ns, at_ns + cases[i].to_ns, 0,
                                   METER_READ_LOST};
        if (cases[i].lost)
            g_array_append_val(points, lost);
        struct energy_readings *readings = energy_readings_new();
        energy_readings_add(readings, c, points, NULL, NULL);
        g_autoptr(owned_scopes) scopes = energy_scopes_new(&m.known, readings);
        g_test_message("%s", cases[i].name);
        g_assert_true(energy_scopes_may_begin(scopes, at_ns) == cases[i].begin);
        g_assert_true(energy_scopes_may_end(scopes, at_ns) == cases[i].end);
    }
}

/* A scope without any channel to use is not in the list of scopes: once, with the reason of its first board. */
static void test_absent(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    for (size_t i = 0; i < 2; i++) {
        m.channels[i].status = QUANTITY_ABSENT;
        m.channels[i].reason = "no permission";
    }
    m.sensors[2].usable = false;
    m.sensors[2].stuck = true;
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&m.known, NULL);
    g_autoptr(GArray) absent = energy_scopes_absent(&m.known, scopes);
    g_assert_cmpuint(scopes->all->len, ==, 2);
    g_assert_cmpuint(absent->len, ==, 2);
    const struct energy_absence *a = &g_array_index(absent, struct energy_absence, 0);
    g_assert_cmpstr(a[0].scope, ==, METER_SCOPE_GPU);
    g_assert_cmpstr(a[0].device, ==, "GPU-1");
    g_assert_cmpstr(a[0].why, ==, "no permission");
    g_assert_cmpstr(a[1].scope, ==, METER_SCOPE_PACKAGE);
    g_assert_cmpstr(a[1].why, ==, "the counter stands still");
}

/* Whatever is asked in between, and in whatever order: the same values give the same answer. */
static void test_no_order(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    g_autoptr(owned_scopes) scopes = machine_window(&m);
    double first = joules_of(&m, scopes->primary);
    g_autoptr(owned_scopes) quiet = machine_scopes(&m, m.scene.t0_ns - 10 * NS_PER_S, m.scene.t0_ns - NS_PER_S);
    struct energy_baseline level;
    energy_scope_idle(quiet->primary, m.scene.t0_ns - 10 * NS_PER_S, m.scene.t0_ns - NS_PER_S, &level);
    g_assert_near(level.watts.value, 2 * m.scene.idle_w, 0.01);
    g_autoptr(owned_scopes) again = machine_window(&m);
    g_assert_true(joules_of(&m, scopes->primary) == first);
    g_assert_true(joules_of(&m, again->primary) == first);
}

static void test_ticks(void)
{
    struct machine m;
    machine_init(&m);
    m.scene.period_ns = MS;
    m.scene.delay_ns = 0;
    struct meter_channel *c = machine_add(&m, "d:p:energy", "package-0", METER_SCOPE_PACKAGE, METER_ENERGY);
    c->sensor_class = "rapl.intel";
    int64_t a = m.scene.t0_ns - 2 * MS, b = m.scene.t1_ns + 2 * MS;
    struct meter_reading tick0 = {a, a + 1000, llround(scene_reading(&m.scene, METER_ENERGY, a) / 1e-6),
                                  METER_READ_OK};
    struct meter_reading tick1 = {b, b + 1000, llround(scene_reading(&m.scene, METER_ENERGY, b) / 1e-6),
                                  METER_READ_OK};
    struct meter_reading failed = {b, b, 0, METER_READ_ERROR};
    const struct meter_reading *ends[] = {&tick1, &failed, NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        struct energy_readings *readings = energy_readings_new();
        GArray *points = scene_points(&m.scene, c, m.window.guard_from_ns - NS_PER_S, m.window.guard_to_ns);
        energy_readings_add(readings, c, points, &tick0, ends[i]);
        g_autoptr(owned_scopes) scopes = energy_scopes_new(&m.known, readings);
        g_auto(owned_estimate) e = {0};
        energy_scope_estimate(scopes->primary, &m.window, NULL, &e, NULL);
        g_assert_cmpint(e.method, ==, i == 0 ? ENERGY_METHOD_DIRECT_DIFFERENCE : ENERGY_METHOD_PADDED_COUNTER);
        g_assert_near(e.joules.value, scene_truth_j(&m.scene), 0.5);
    }
}

/* The level of a quiet stretch becomes the least that a board draws at work; raw, whatever the calibration. */
static void test_levels(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    struct energy_calibration calibration = {.uuid = "GPU-1", .gain = 0.5, .u_gain = 0.01};
    m.known.calibrations = &calibration;
    m.known.calibration_count = 1;
    int64_t from_ns = m.scene.t0_ns - 10 * NS_PER_S, to_ns = m.scene.t0_ns - NS_PER_S;
    g_autoptr(owned_scopes) quiet = machine_scopes(&m, from_ns, to_ns);
    g_autoptr(GArray) levels = energy_scopes_levels(quiet, from_ns, to_ns);
    g_assert_cmpuint(levels->len, ==, 4); /* a power that never changes is no reading */
    g_assert_near(g_array_index(levels, struct energy_level, 0).watts, m.scene.idle_w, 0.01);
    m.known.levels = (const struct energy_level *)(const void *)levels->data;
    m.known.level_count = levels->len;
    g_autoptr(owned_scopes) scopes = machine_window(&m);
    const struct energy_scope_board *b = g_ptr_array_index(scopes->primary->boards, 0);
    g_assert_near(b->board.idle_w, m.scene.idle_w, 0.01);
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scopes->primary, &m.window, NULL, &e, NULL);
    g_assert_near(e.joules.value, (2 + 1) * scene_truth_j(&m.scene), 1); /* the first board reads half of the truth */
}

/* A file that is broken is told once, though its device stands in two scopes; one that is not there is none. */
static void test_calibrations(void)
{
    struct machine m;
    two_boards_and_a_package(&m);
    g_autofree char *place = g_dir_make_tmp("llem-XXXXXX", NULL);
    g_autofree char *good = g_build_filename(place, "GPU-2.json", NULL),
                    *bad = g_build_filename(place, "package-0.json", NULL);
    g_file_set_contents(good, "{\"uuid\":\"GPU-2\",\"gain\":0.95,\"offset_w\":0,\"u_gain\":0.01}", -1, NULL);
    g_file_set_contents(bad, "{\"uuid\":\"package-0\",\"gain\":95,\"offset_w\":0,\"u_gain\":0.01}", -1, NULL);
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&m.known, NULL);
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) found = energy_scopes_calibrations(scopes, place, warnings);
    g_assert_cmpuint(found->len, ==, 1);
    g_assert_cmpstr(g_array_index(found, struct energy_calibration, 0).uuid, ==, "GPU-2");
    g_assert_cmpuint(warnings->len, ==, 1);
    g_assert_true(g_str_has_prefix(g_ptr_array_index(warnings, 0), "calibration of package-0 not used: "));
    g_remove(good);
    g_remove(bad);
    g_rmdir(place);
}

/* --- what readings show of sensors ------------------------------------------------------------------------------- */

static void test_slower(void)
{
    struct machine m;
    machine_init(&m);
    m.scene.period_ns = 300 * MS;
    machine_add(&m, "d:1:energy", "GPU-1", METER_SCOPE_GPU, METER_ENERGY);
    machine_add(&m, "d:2:energy", "GPU-2", METER_SCOPE_GPU, METER_ENERGY);
    m.sensors[1].period_ns = 100 * MS; /* what was known of the second one */
    g_autoptr(owned_scopes) scopes = machine_window(&m);
    g_autoptr(GArray) found = energy_scopes_slower(scopes, &m.window);
    g_assert_cmpuint(found->len, ==, 1);
    const struct energy_finding *f = &g_array_index(found, struct energy_finding, 0);
    g_assert_cmpstr(f->channel_id, ==, "d:2:energy");
    g_assert_near((double)f->learnt.period_ns / MS, 300, 15);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    g_assert_cmpuint(channels->len, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scopes/primary", test_primary);
    g_test_add_func("/scopes/unseen_board", test_unseen_board);
    g_test_add_func("/scopes/mirrored_dies", test_mirrored_dies);
    g_test_add_func("/scopes/left_out", test_left_out);
    g_test_add_func("/scopes/sum", test_sum);
    g_test_add_func("/scopes/unguarded", test_unguarded);
    g_test_add_func("/scopes/no_length", test_no_length);
    g_test_add_func("/scopes/ends", test_ends);
    g_test_add_func("/scopes/absent", test_absent);
    g_test_add_func("/scopes/no_order", test_no_order);
    g_test_add_func("/scopes/ticks", test_ticks);
    g_test_add_func("/scopes/levels", test_levels);
    g_test_add_func("/scopes/calibrations", test_calibrations);
    g_test_add_func("/scopes/slower", test_slower);
    return g_test_run();
}
