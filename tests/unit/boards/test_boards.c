/* SPDX-License-Identifier: MIT */
/* Which boards a run is given, and the memory gate: what counts as in use, the wait, the record. */
#include "boards/boards.h"

#include "fixture.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define MB 1000000
#define MIB (INT64_C(1) << 20)

/* --- which --------------------------------------------------------------------------------------------------------- */

/* Two boards alike, one divided into two, one divided and without an instance. */
static const struct meter_gpu_board machine[] = {
    {.uuid = "GPU-aaaa0001", .name = "H100", .number = 0},
    {.uuid = "GPU-aaaa0002", .name = "H100", .number = 1},
    {.uuid = "GPU-bbbb0003", .name = "A100", .number = 2, .divided = true},
    {.uuid = "MIG-cccc0004", .name = "A100 MIG", .number = 2, .parent = "GPU-bbbb0003"},
    {.uuid = "MIG-dddd0005", .name = "A100 MIG", .number = 2, .parent = "GPU-bbbb0003"},
    {.uuid = "GPU-eeee0006", .name = "A100", .number = 3, .divided = true},
};

static GArray *boards_of(const struct meter_gpu_board *list, guint n)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct meter_gpu_board));
    g_array_append_vals(all, list, n);
    return all;
}

static char *chosen(const GArray *all, const char *visible, const char *const *named, int64_t n, enum boards_need need)
{
    g_autoptr(GError) error = NULL;
    g_auto(owned_gpu_visible) left = {.variable = visible ? "CUDA_VISIBLE_DEVICES" : NULL,
                                      .boards = g_ptr_array_new()};
    g_auto(GStrv) uuids = g_strsplit(visible ? visible : "", ",", -1);
    for (char **u = uuids; *u; u++)
        g_ptr_array_add(left.boards, *u);
    g_auto(owned_boards_choice) choice = {0};
    const struct boards_wish wish = {.need = need, .named = (char **)(uintptr_t)named, .n = n};
    if (!boards_choose_among(all, &left, &wish, &choice, &error)) {
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
        return g_strdup(error->message);
    }
    g_autofree char *list = g_strjoinv(" ", choice.uuids);
    return g_strdup_printf("%s: %s", choice.source, list);
}

static void test_choice(void)
{
    static const struct {
        const char *visible;
        const char *named[4];
        bool names_none;
        int64_t n;
        enum boards_need need;
        const char *expected; /* the choice, or a part of the error */
    } rows[] = {
        {.need = BOARDS_MAY, .expected = "default: GPU-aaaa0001"},
        {.need = BOARDS_MUST, .n = 2, .expected = "default: GPU-aaaa0001 GPU-aaaa0002"},
        {.need = BOARDS_NEVER, .n = 2, .expected = "none needed: "},
        /* the list of the file: numbers, UUIDs, shortened ones, in its order, as many as are asked for */
        {.need = BOARDS_MAY, .named = {"1"}, .expected = "gpus: GPU-aaaa0002"},
        {.need = BOARDS_MAY, .named = {"GPU-aaaa0002", "0"}, .expected = "gpus: GPU-aaaa0002 GPU-aaaa0001"},
        {.need = BOARDS_MUST, .named = {"GPU-aaaa0002", "0"}, .n = 1, .expected = "gpus: GPU-aaaa0002"},
        {.need = BOARDS_MAY, .named = {"MIG-d"}, .expected = "gpus: MIG-dddd0005"},
        {.need = BOARDS_MAY, .named = {"2"}, .expected = "gpus: MIG-cccc0004"}, /* as CUDA does */
        {.need = BOARDS_MAY, .names_none = true, .expected = "gpus: "},
        {.need = BOARDS_MUST, .names_none = true, .expected = "needs 1 GPU, and gpus names 0"},
        {.need = BOARDS_MUST, .named = {"0"}, .n = 2, .expected = "needs 2 GPUs, and gpus names 1"},
        {.need = BOARDS_MAY, .named = {"0"}, .n = 2, .expected = "needs 2 GPUs, and gpus names 1"},
        {.need = BOARDS_MAY, .named = {"7"}, .expected = "there is no GPU '7' here; there are: 0 GPU-aaaa0001 (H100)"},
        {.need = BOARDS_MAY, .named = {"-1"}, .expected = "there is no GPU '-1' here"},
        {.need = BOARDS_MAY, .named = {""}, .expected = "there is no GPU '' here"},
        {.need = BOARDS_MAY, .named = {"GPU-aaaa"}, .expected = "more than one GPU begins with 'GPU-aaaa'"},
        {.need = BOARDS_MAY, .named = {"0", "GPU-aaaa0001"}, .expected = "gpus names GPU-aaaa0001 twice"},
        {.need = BOARDS_MAY, .named = {"3"}, .expected = "GPU-eeee0006 is divided (MIG) and has no instance"},
        {.need = BOARDS_MAY, .named = {"0", "MIG-c"}, .expected = "one instance at a time"},
        {.need = BOARDS_MAY, .named = {"MIG-c", "MIG-d"}, .expected = "one instance at a time"},
        /* the environment, unless the file says */
        {.visible = "GPU-aaaa0002,GPU-aaaa0001", .need = BOARDS_MAY, .expected = "CUDA_VISIBLE_DEVICES: GPU-aaaa0002"},
        {.visible = "GPU-aaaa0002", .named = {"0"}, .need = BOARDS_MAY, .expected = "gpus: GPU-aaaa0001"},
        {.visible = "MIG-dddd0005", .need = BOARDS_MUST, .expected = "CUDA_VISIBLE_DEVICES: MIG-dddd0005"},
        {.visible = "", .need = BOARDS_MAY, .expected = "CUDA_VISIBLE_DEVICES: "},
        {.visible = "", .need = BOARDS_MUST, .expected = "needs 1 GPU, and CUDA_VISIBLE_DEVICES leaves 0: here 0 GPU-"},
        {.visible = "GPU-aaaa0002", .n = 2, .need = BOARDS_MUST,
         .expected = "needs 2 GPUs, and CUDA_VISIBLE_DEVICES leaves 1"},
        {.n = 9, .need = BOARDS_MUST, .expected = "needs 9 GPUs, and this machine has 4"},
    };
    g_autoptr(GArray) all = boards_of(machine, G_N_ELEMENTS(machine));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const *named = rows[i].named[0] || rows[i].names_none ? rows[i].named : NULL;
        g_autofree char *got = chosen(all, rows[i].visible, named, rows[i].n, rows[i].need);
        bool empty = g_str_has_suffix(rows[i].expected, ": ");
        if (empty ? strcmp(got, rows[i].expected) != 0 : !strstr(got, rows[i].expected))
            g_error("row %zu: '%s' is not '%s'", i, got, rows[i].expected);
    }
}

/* --- what counts as in use ------------------------------------------------------------------------------------------ */

static struct meter_gpu_use seen(int64_t partition, int64_t whole, int64_t reserved)
{
    return (struct meter_gpu_use){.partition_bytes = partition, .whole_bytes = whole, .reserved_bytes = reserved,
                                  .total_bytes = 80000 * (int64_t)MB, .holders_known = true,
                                  .whole_reason = "no whole", .partition_reason = "no partition"};
}

static void test_worst_case(void)
{
    static const struct {
        int64_t partition, whole, reserved, lowest, bytes, holder;
        enum boards_figure figure;
        const char *reason;
    } rows[] = {
        {3, 603, 600, -1, 3, -1, BOARDS_FIGURE_PARTITION, NULL},       /* both say the same */
        {3, 1103, 600, -1, 503, -1, BOARDS_FIGURE_WHOLE, NULL},        /* somebody in another partition */
        {3, 590, 600, -1, 3, -1, BOARDS_FIGURE_PARTITION, NULL},       /* never below nothing */
        {3, -1, 600, -1, 3, -1, BOARDS_FIGURE_PARTITION, NULL},        /* the older call is gone */
        {0, 600, 600, -1, 700, 700, BOARDS_FIGURE_PROCESSES, NULL},    /* processes hold more than the driver counts */
        {-1, 640, -1, 600, 40, -1, BOARDS_FIGURE_ABOVE_LOWEST, NULL},
        {-1, 590, -1, 600, 0, -1, BOARDS_FIGURE_ABOVE_LOWEST, NULL},
        {-1, 640, -1, -1, -1, -1, BOARDS_FIGURE_NONE, "no reference"},
        {-1, -1, -1, 600, -1, 700, BOARDS_FIGURE_NONE, "no whole"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct meter_gpu_use s = seen(rows[i].partition, rows[i].whole, rows[i].reserved);
        s.holder_count = rows[i].holder >= 0;
        s.holders[0] = (struct meter_gpu_holder){1, rows[i].holder};
        struct boards_use use = boards_use_of(&s, rows[i].lowest);
        g_test_message("row %zu", i);
        g_assert_cmpint(use.bytes, ==, rows[i].bytes);
        g_assert_cmpint(use.figure, ==, rows[i].figure);
        g_assert_true(!rows[i].reason == !use.reason && (!use.reason || strstr(use.reason, rows[i].reason)));
    }
}

static void test_lowest(void)
{
    struct meter_gpu_use s = seen(-1, 600, -1);
    g_assert_cmpint(boards_lowest(-1, &s), ==, 600);
    g_assert_cmpint(boards_lowest(550, &s), ==, 550);
    g_assert_cmpint(boards_lowest(650, &s), ==, 600);
    s.holder_count = 1;
    g_assert_cmpint(boards_lowest(-1, &s), ==, -1); /* somebody is there */
    s.holder_count = 0;
    s.holders_known = false;
    g_assert_cmpint(boards_lowest(-1, &s), ==, -1); /* somebody may be */
}

/* --- the gate, on the simulator -------------------------------------------------------------------------------------- */

#define UUID0 "GPU-00000000-0000-4000-8000-000000000000"
#define UUID1 "GPU-00000000-0000-4000-8000-000000000001"

static void say(const char *text, void *data)
{
    g_ptr_array_add(data, g_strdup(text));
}

/* A look through the gate at boards of a script. said: what it told while it waited. */
static struct boards_report gate_at(struct boards *boards, const char *uuid, double settle_s, int fd, GPtrArray *said)
{
    struct boards_report report;
    const struct boards_gate gate = {.threshold_bytes = 100 * MB, .settle_ns = (int64_t)(settle_s * 1e9)};
    const struct boards_watch watch = {.interrupt_fd = fd, .say = said ? say : NULL, .data = said};
    char *uuids[] = {(char *)(uintptr_t)uuid, NULL};
    boards_gate_wait(boards, uuids, &gate, &watch, &report);
    return report;
}

static json_t *first_board(const struct boards_report *report)
{
    return json_array_get(json_object_get(report->record, "boards"), 0);
}

static int64_t number(const json_t *tree, const char *key)
{
    json_t *value = json_object_get(tree, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

struct scene {
    struct fixture f;
    struct boards *boards;
};

static void scene_open(struct scene *s, const char *script)
{
    fixture_open(&s->f);
    fixture_script(&s->f, script);
    s->boards = boards_new();
}

static void scene_close(struct scene *s)
{
    boards_free(s->boards);
    fixture_close(&s->f);
    g_assert_true(file_remove_tree(g_get_user_cache_dir(), NULL)); /* what a board held is of one scene */
}

static void test_free_at_once(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 3]]}]}");
    int64_t begun_ns = clock_mono_ns();
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 10, -1, NULL);
    g_assert_cmpint(clock_mono_ns() - begun_ns, <, 5 * NS_PER_S);
    g_assert_cmpint(r.verdict, ==, BOARDS_FREE);
    g_assert_null(r.text);
    g_assert_cmpint(number(first_board(&r), "used_bytes"), ==, 3 * MIB);
    g_assert_cmpint(number(first_board(&r), "partition_bytes"), ==, 3 * MIB);
    g_assert_cmpint(number(first_board(&r), "whole_board_bytes"), ==, 3 * MIB);
    g_assert_cmpint(number(first_board(&r), "reserved_bytes"), ==, 551 * MIB);
    g_assert_cmpint(number(first_board(&r), "whole_board_with_reserved_bytes"), ==, 554 * MIB);
    scene_close(&s);
}

/* Drivers whose newer call has the reserved part in its figure after all. */
static void test_reserved_is_taken_out(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 3]], 'memory_v2_counts_reserved': true}]}");
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0, -1, NULL);
    g_assert_cmpint(number(first_board(&r), "used_bytes"), ==, 3 * MIB);
    scene_close(&s);
}

/* The megabyte is 10^6 bytes: 95.4 MiB are 100.03 MB. */
static void test_the_edge(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 95]]}, {'memory': [[0, 96]]}]}");
    g_auto(owned_boards_report) below = gate_at(s.boards, UUID0, 0, -1, NULL);
    g_auto(owned_boards_report) above = gate_at(s.boards, UUID1, 0, -1, NULL);
    g_assert_cmpint(below.verdict, ==, BOARDS_FREE);
    g_assert_cmpint(above.verdict, ==, BOARDS_OCCUPIED);
    scene_close(&s);
}

static void test_partition_hides_others(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 900]], 'memory_partition': [[0, 2]]}]}");
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0, -1, NULL);
    g_assert_cmpint(r.verdict, ==, BOARDS_OCCUPIED);
    g_assert_cmpint(number(first_board(&r), "partition_bytes"), ==, 2 * MIB);
    g_assert_cmpint(number(first_board(&r), "whole_board_bytes"), ==, 900 * MIB);
    g_assert_cmpint(number(first_board(&r), "used_bytes"), ==, 900 * MIB);
    g_assert_cmpstr(json_string_value(json_object_get(first_board(&r), "figure")), ==, "whole board");
    scene_close(&s);
}

static void test_it_waits_while_it_drains(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 800], [1.2, 300], [2, 1]]}]}");
    g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 30, -1, said);
    g_assert_cmpint(r.verdict, ==, BOARDS_FREE);
    g_assert_cmpint(number(r.record, "waited_ns"), >, NS_PER_S);
    g_assert_cmpint(number(first_board(&r), "first_used_bytes"), ==, 800 * MIB);
    g_assert_cmpint(number(first_board(&r), "used_bytes"), ==, 1 * MIB);
    g_assert_cmpint(said->len, >, 2);
    g_assert_nonnull(strstr(g_ptr_array_index(said, 0), "839 MB of " UUID0));
    scene_close(&s);
}

static void test_holders_are_named(void)
{
    struct scene s;
    g_autofree char *script = g_strdup_printf(
        "{'devices': [{'processes': [{'pid': %d, 'memory_mib': 200, 'holds': true},"
        "{'pid': 4194303, 'memory_mib': 100, 'holds': true, 'kind': 'graphics'}]}]}", (int)getpid());
    scene_open(&s, script);
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0.3, -1, NULL);
    json_t *holders = json_object_get(first_board(&r), "holders"), *me = json_array_get(holders, 0);
    json_t *gone = json_array_get(holders, 1);
    g_assert_cmpint(r.verdict, ==, BOARDS_OCCUPIED);
    g_assert_cmpint(number(me, "pid"), ==, getpid());
    g_assert_cmpstr(json_string_value(json_object_get(me, "name")), ==, "test_boards");
    g_assert_cmpstr(json_string_value(json_object_get(me, "user")), ==, g_get_user_name());
    g_assert_cmpint(number(me, "bytes"), ==, 200 * MIB);
    g_assert_cmpint(number(gone, "pid"), ==, 4194303);
    g_assert_true(json_is_null(json_object_get(gone, "name")));
    g_assert_nonnull(json_object_get(gone, "name_reason"));
    g_autofree char *words = g_strdup_printf("in use by test_boards (pid %d of %s, 210 MB)", (int)getpid(),
                                             g_get_user_name());
    g_assert_nonnull(strstr(r.text, words));
    scene_close(&s);
}

static void test_older_call_alone(void)
{
    struct scene s;
    static const char v1[] = "'faults': [{'call': 'nvmlDeviceGetMemoryInfo_v2', 'return': 'FUNCTION_NOT_FOUND'}]";
    g_autofree char *held = g_strdup_printf(
        "{'devices': [{'processes': [{'pid': %d, 'memory_mib': 900, 'holds': true}]}], %s}", (int)getpid(), v1);
    scene_open(&s, held);
    {
        g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0.2, -1, NULL);
        g_assert_cmpint(r.verdict, ==, BOARDS_UNKNOWN);
        g_assert_nonnull(strstr(r.text, "no reference"));
        g_assert_true(json_is_null(json_object_get(first_board(&r), "used_bytes")));
        g_assert_nonnull(json_object_get(first_board(&r), "used_bytes_reason"));
    }
    boards_free(s.boards);
    s.boards = boards_new(); /* nobody is there: this becomes the reference, and is kept */
    g_autofree char *alone = g_strdup_printf("{'devices': [{'memory': [[0, 4]]}], %s}", v1);
    fixture_script(&s.f, alone);
    {
        g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0, -1, NULL);
        g_assert_cmpint(r.verdict, ==, BOARDS_FREE);
        g_assert_cmpint(number(first_board(&r), "lowest_bytes"), ==, 555 * MIB);
    }
    boards_free(s.boards);
    s.boards = boards_new(); /* another llem, later */
    fixture_script(&s.f, held);
    {
        g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0, -1, NULL);
        g_assert_cmpint(r.verdict, ==, BOARDS_OCCUPIED);
        g_assert_cmpint(number(first_board(&r), "used_bytes"), ==, 900 * MIB); /* 896 above the lowest */
        g_assert_cmpint(number(first_board(&r), "lowest_bytes"), ==, 555 * MIB);
    }
    boards_free(s.boards);
    s.boards = boards_new(); /* another driver may reserve another amount */
    g_autofree char *newer = g_strdup_printf("{'driver_version': '999.1', %s", held + 1);
    fixture_script(&s.f, newer);
    {
        g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 0, -1, NULL);
        g_assert_cmpint(r.verdict, ==, BOARDS_UNKNOWN);
    }
    scene_close(&s);
}

static void test_no_answer_is_no_wait(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{}], 'faults': [{'call': 'nvmlDeviceGetMemoryInfo_v2', 'return': 'NOT_SUPPORTED'},"
                   "{'call': 'nvmlDeviceGetMemoryInfo', 'return': 'NOT_SUPPORTED'}]}");
    int64_t begun_ns = clock_mono_ns();
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 30, -1, NULL);
    g_assert_cmpint(clock_mono_ns() - begun_ns, <, 10 * NS_PER_S);
    g_assert_cmpint(r.verdict, ==, BOARDS_UNKNOWN);
    g_assert_nonnull(strstr(r.text, "Not Supported"));
    g_auto(owned_boards_report) none = gate_at(s.boards, "GPU-of-another-machine", 0, -1, NULL);
    g_assert_cmpint(none.verdict, ==, BOARDS_UNKNOWN);
    scene_close(&s);
}

static void test_a_signal_ends_the_wait(void)
{
    struct scene s;
    scene_open(&s, "{'devices': [{'memory': [[0, 800]]}]}");
    int fd = eventfd(1, EFD_CLOEXEC);
    int64_t begun_ns = clock_mono_ns();
    g_auto(owned_boards_report) r = gate_at(s.boards, UUID0, 60, fd, NULL);
    g_assert_true(r.interrupted);
    g_assert_cmpint(clock_mono_ns() - begun_ns, <, 20 * NS_PER_S);
    close(fd);
    scene_close(&s);
}

/* The board of an instance is not asked: what others hold of it is not the instance's. */
static void test_instances(void)
{
    struct scene s;
    g_autoptr(GError) error = NULL;
    g_auto(owned_boards_choice) choice = {0};
    const struct boards_wish wish = {.need = BOARDS_MUST};
    scene_open(&s, "{'devices': [{'memory': [[0, 5000]], 'instances': [{'uuid': 'MIG-1', 'memory': [[0, 2]]},"
                   "{'uuid': 'MIG-2', 'memory': [[0, 4000]]}]}]}");
    g_assert_cmpuint(boards_all(s.boards)->len, ==, 3);
    g_assert_true(boards_choose(s.boards, &wish, &choice, &error));
    g_assert_cmpstr(choice.uuids[0], ==, "MIG-1");
    g_auto(owned_boards_report) r = gate_at(s.boards, "MIG-1", 0, -1, NULL);
    g_assert_cmpint(r.verdict, ==, BOARDS_FREE);
    g_assert_cmpstr(json_string_value(json_object_get(first_board(&r), "instance_of")), ==, UUID0);
    g_auto(owned_boards_report) other = gate_at(s.boards, "MIG-2", 0, -1, NULL);
    g_assert_cmpint(other.verdict, ==, BOARDS_OCCUPIED);
    scene_close(&s);
}

/* No driver: nobody chooses, unless boards are named. */
static void test_no_driver(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(owned_boards_choice) choice = {0};
    g_autofree char *library = g_strdup(g_getenv("LLEM_NVML_LIBRARY"));
    struct boards_wish wish = {.need = BOARDS_MUST};
    g_setenv("LLEM_NVML_LIBRARY", "/nowhere/libnvidia-ml.so.1", TRUE);
    g_autoptr(owned_boards) boards = boards_new();
    g_assert_true(boards_choose(boards, &wish, &choice, &error));
    g_assert_null(choice.uuids);
    char zero[] = "0", *named[] = {zero, NULL};
    wish.named = named;
    g_assert_false(boards_choose(boards, &wish, &choice, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "/nowhere/libnvidia-ml.so.1"));
    g_setenv("LLEM_NVML_LIBRARY", library, TRUE);
}

/* --- what the environment leaves: as CUDA reads it -------------------------------------------------------------------- */

static void test_visible(void)
{
    static const struct {
        const char *value, *order, *expected;
        bool doubt;
    } rows[] = {
        {"1", "PCI_BUS_ID", "GPU-b1", false},
        {"1", NULL, "GPU-b1", false},
        {" 1 , 0 ", "PCI_BUS_ID", "GPU-b1 GPU-a0", false},
        {"GPU-b1", NULL, "GPU-b1", false},
        {"GPU-b", NULL, "GPU-b1", false},
        {"GPU-", NULL, "", false}, /* begins more than one */
        {"MIG-c", NULL, "MIG-c2", false},
        {"", NULL, "", false},
        {"-1", NULL, "", false},
        {"0,-1,1", "PCI_BUS_ID", "GPU-a0", false},
        {"0,9,1", "PCI_BUS_ID", "GPU-a0", false},
        {"NoDevFiles", NULL, "", false},
    };
    struct scene s;
    scene_open(&s, "{'devices': [{'uuid': 'GPU-a0'}, {'uuid': 'GPU-b1'},"
                   "{'uuid': 'GPU-d2', 'instances': [{'uuid': 'MIG-c2'}]}]}");
    g_autofree char *library = fixture_sim_path();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_setenv("CUDA_VISIBLE_DEVICES", rows[i].value, TRUE);
        if (rows[i].order)
            g_setenv("CUDA_DEVICE_ORDER", rows[i].order, TRUE);
        else
            g_unsetenv("CUDA_DEVICE_ORDER");
        g_autoptr(owned_meter) meter = fixture_nvml(&s.f);
        g_auto(owned_gpu_visible) visible = {0};
        meter_gpu_visible(meter, &visible);
        g_assert_cmpstr(visible.variable, ==, "CUDA_VISIBLE_DEVICES");
        g_ptr_array_add(visible.boards, NULL);
        g_autofree char *got = g_strjoinv(" ", (char **)visible.boards->pdata);
        g_assert_cmpstr(got, ==, rows[i].expected);
        g_assert_true(rows[i].doubt == (visible.doubt != NULL));
    }
    g_unsetenv("CUDA_VISIBLE_DEVICES");
    g_unsetenv("CUDA_DEVICE_ORDER");
    scene_close(&s);
}

static void test_settings(void)
{
    g_auto(GStrv) two = meter_gpu_settings((const char *const[]){"GPU-a", "GPU-b", NULL});
    g_auto(GStrv) none = meter_gpu_settings((const char *const[]){NULL});
    g_assert_cmpstr(two[0], ==, "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b");
    g_assert_cmpstr(none[0], ==, "CUDA_VISIBLE_DEVICES=");
}

int main(int argc, char **argv)
{
    /* G_TEST_OPTION_ISOLATE_DIRS leaks, which LeakSanitizer would report. */
    g_autofree char *cache = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_autofree char *library = fixture_sim_path();
    g_setenv("LLEM_NVML_LIBRARY", library, TRUE);
    g_unsetenv("CUDA_VISIBLE_DEVICES");
    g_test_add_func("/boards/choice", test_choice);
    g_test_add_func("/boards/worst_case", test_worst_case);
    g_test_add_func("/boards/lowest", test_lowest);
    g_test_add_func("/boards/free_at_once", test_free_at_once);
    g_test_add_func("/boards/reserved_is_taken_out", test_reserved_is_taken_out);
    g_test_add_func("/boards/the_edge", test_the_edge);
    g_test_add_func("/boards/partition_hides_others", test_partition_hides_others);
    g_test_add_func("/boards/it_waits_while_it_drains", test_it_waits_while_it_drains);
    g_test_add_func("/boards/holders_are_named", test_holders_are_named);
    g_test_add_func("/boards/older_call_alone", test_older_call_alone);
    g_test_add_func("/boards/no_answer_is_no_wait", test_no_answer_is_no_wait);
    g_test_add_func("/boards/a_signal_ends_the_wait", test_a_signal_ends_the_wait);
    g_test_add_func("/boards/instances", test_instances);
    g_test_add_func("/boards/no_driver", test_no_driver);
    g_test_add_func("/boards/visible", test_visible);
    g_test_add_func("/boards/settings", test_settings);
    int failed = g_test_run();
    file_remove_tree(cache, NULL);
    return failed;
}
