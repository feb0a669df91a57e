/* SPDX-License-Identifier: MIT */
/* The memory gate: looks at the boards of a run until their memory is free, or the time is over. */
#include "boards/internal.h"

#include <errno.h>
#include <poll.h>

#define LOOK_NS (250 * NS_PER_MS) /* what a process held becomes free within a second or so of its end */

/* A board at the gate. */
struct look {
    const struct meter_gpu_board *board; /* NULL: it is gone */
    const char *uuid;
    struct meter_gpu_use seen;
    struct boards_use use, first; /* at the last look and at the first */
    int64_t lowest_bytes;
    char *error; /* the driver did not answer */
};

static const char *const verdicts[BOARDS_VERDICT_COUNT] = {
    [BOARDS_FREE] = "free", [BOARDS_OCCUPIED] = "occupied", [BOARDS_UNKNOWN] = "unknown"};

const char *boards_verdict_name(enum boards_verdict verdict)
{
    return verdicts[verdict];
}

/* --- Looking ------------------------------------------------------------------------------------------------------- */

/* What the older call shows is of use where the newer one does not answer. */
static void learn(struct boards *boards, struct look *look)
{
    if (look->seen.partition_bytes >= 0 || !look->board)
        return;
    if (look->lowest_bytes < 0)
        look->lowest_bytes = reference_load(look->board, boards_driver(boards));
    int64_t lowest = boards_lowest(look->lowest_bytes, &look->seen);
    if (lowest != look->lowest_bytes)
        reference_save(look->board, boards_driver(boards), lowest);
    look->lowest_bytes = lowest;
}

static void look_at(struct boards *boards, struct look *look)
{
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&look->error, g_free);
    look->use = (struct boards_use){.bytes = -1, .whole_bytes = -1, .held_bytes = -1};
    struct meter *meter = boards_meter(boards);
    if (!meter || !meter_gpu_use(meter, look->uuid, &look->seen, &error)) {
        look->seen = (struct meter_gpu_use){.partition_bytes = -1, .whole_bytes = -1, .reserved_bytes = -1,
                                            .total_bytes = -1};
        look->error = g_strdup(error ? error->message : boards_absent(boards));
        look->use.reason = look->error;
        return;
    }
    learn(boards, look);
    look->use = boards_use_of(&look->seen, look->lowest_bytes);
}

static enum boards_verdict verdict_of(const struct look *look, const struct boards_gate *gate)
{
    return look->use.bytes < 0                       ? BOARDS_UNKNOWN
           : look->use.bytes < gate->threshold_bytes ? BOARDS_FREE
                                                     : BOARDS_OCCUPIED;
}

/* Of all boards: one that is occupied says more than one that nothing is known of. */
static enum boards_verdict look_at_all(struct boards *boards, struct look *looks, size_t n,
                                       const struct boards_gate *gate)
{
    enum boards_verdict all = BOARDS_FREE;
    for (size_t i = 0; i < n; i++) {
        look_at(boards, &looks[i]);
        enum boards_verdict one = verdict_of(&looks[i], gate);
        if (all == BOARDS_FREE || one == BOARDS_OCCUPIED)
            all = one;
    }
    return all;
}

/* Waiting may help: something is in use, or a process is there whose end would show what the driver reserves. */
static bool may_change(const struct look *looks, size_t n, enum boards_verdict verdict)
{
    bool any = verdict == BOARDS_OCCUPIED;
    for (size_t i = 0; i < n; i++)
        any = any || looks[i].seen.holder_count > 0;
    return any && verdict != BOARDS_FREE;
}

/* --- Words --------------------------------------------------------------------------------------------------------- */

static char *text_of_one(const struct look *look, const struct boards_gate *gate)
{
    const char *name = look->board ? look->board->name : "GPU";
    g_autofree char *by = holders_text(&look->seen), *used = holders_megabytes(look->use.bytes);
    g_autofree char *limit = holders_megabytes(gate->threshold_bytes);
    if (look->use.bytes < 0)
        return g_strdup_printf("what is in use on %s (%s) cannot be told: %s", look->uuid, name, look->use.reason);
    return g_strdup_printf("%s of %s (%s) in use %s, and memory_gate.threshold_mb is %s", used, look->uuid, name, by,
                           limit);
}

/* Of the boards that are not free. New string, NULL: there are none. */
static char *text_of(const struct look *looks, size_t n, const struct boards_gate *gate)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        if (verdict_of(&looks[i], gate) == BOARDS_FREE)
            continue;
        g_autofree char *one = text_of_one(&looks[i], gate);
        g_string_append_printf(text, "%s%s", text->len ? "; " : "", one);
    }
    return g_string_free(text, !text->len);
}

/* --- The record ---------------------------------------------------------------------------------------------------- */

static void set_bytes(json_t *tree, const char *key, int64_t bytes, const char *reason)
{
    if (bytes >= 0)
        json_object_set_new(tree, key, json_integer(bytes));
    else
        jsonx_set_null(tree, key, reason && *reason ? reason : "the driver does not say");
}

static json_t *look_json(const struct look *look)
{
    const struct meter_gpu_use *seen = &look->seen;
    const char *error = look->error;
    json_t *tree = json_pack("{s:s, s:s*, s:s*}", "uuid", look->uuid, "name", look->board ? look->board->name : NULL,
                             "instance_of", look->board ? look->board->parent : NULL);
    set_bytes(tree, "used_bytes", look->use.bytes, look->use.reason);
    json_object_set_new(tree, "figure", json_string(boards_figure_name(look->use.figure)));
    set_bytes(tree, "first_used_bytes", look->first.bytes, "it could not be told at the first look");
    set_bytes(tree, "partition_bytes", seen->partition_bytes, error ? error : seen->partition_reason);
    set_bytes(tree, "whole_board_bytes", look->use.whole_bytes,
              error                       ? error
              : seen->partition_bytes < 0 ? "the driver does not say how much of it it reserves"
                                          : seen->whole_reason);
    set_bytes(tree, "whole_board_with_reserved_bytes", seen->whole_bytes, error ? error : seen->whole_reason);
    set_bytes(tree, "reserved_bytes", seen->reserved_bytes, error ? error : seen->partition_reason);
    set_bytes(tree, "total_bytes", seen->total_bytes, error ? error : seen->whole_reason);
    if (seen->partition_bytes < 0)
        set_bytes(tree, "lowest_bytes", look->lowest_bytes, "it was never seen without a process");
    if (seen->holders_known)
        json_object_set_new(tree, "holders", holders_json(seen));
    else
        jsonx_set_null(tree, "holders", error ? error : seen->holders_reason);
    return tree;
}

static json_t *record_of(const struct look *looks, size_t n, const struct boards_gate *gate,
                         enum boards_verdict verdict, int64_t waited_ns)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, look_json(&looks[i]));
    return json_pack("{s:s, s:I, s:o, s:s, s:I, s:o}", "verdict", boards_verdict_name(verdict), "threshold_bytes",
                     (json_int_t)gate->threshold_bytes, "settle_seconds", jsonx_real(clock_seconds(gate->settle_ns)),
                     "action", gate->refuses ? "refuse" : "warn", "waited_ns", (json_int_t)waited_ns, "boards", list);
}

/* --- Waiting ------------------------------------------------------------------------------------------------------- */

/* False: whoever waits was told to stop; the signal is left for them to take. */
static bool wait_until(int64_t until_ns, int interrupt_fd)
{
    struct pollfd fd = {.fd = interrupt_fd, .events = POLLIN};
    for (;;) {
        int64_t left_ns = until_ns - clock_mono_ns();
        if (left_ns <= 0)
            return true;
        int ready = poll(&fd, 1, (int)(left_ns / NS_PER_MS) + 1);
        if (ready > 0)
            return false;
    }
}

static void say_waiting(const struct look *looks, size_t n, const struct boards_gate *gate, int64_t until_ns,
                        const struct boards_watch *watch)
{
    if (!watch->say)
        return;
    g_autofree char *text = text_of(looks, n, gate), *left = num_format_duration_ns(until_ns - clock_mono_ns());
    g_autofree char *line = g_strdup_printf("waiting %s at most: %s", left, text);
    watch->say(line, watch->data);
}

void boards_gate_wait(struct boards *boards, char *const *uuids, const struct boards_gate *gate,
                      const struct boards_watch *watch, struct boards_report *ret)
{
    size_t n = g_strv_length((char **)(uintptr_t)uuids);
    g_autofree struct look *looks = g_new0(struct look, n + 1);
    int64_t begun_ns = clock_mono_ns(), until_ns = begun_ns + gate->settle_ns;
    *ret = (struct boards_report){0};
    for (size_t i = 0; i < n; i++)
        looks[i] = (struct look){.uuid = uuids[i], .board = boards_find(boards, uuids[i]), .lowest_bytes = -1};
    ret->verdict = look_at_all(boards, looks, n, gate);
    for (size_t i = 0; i < n; i++)
        looks[i].first = looks[i].use;
    while (!ret->interrupted && may_change(looks, n, ret->verdict) && clock_mono_ns() < until_ns) {
        say_waiting(looks, n, gate, until_ns, watch);
        ret->interrupted = !wait_until(MIN(clock_mono_ns() + LOOK_NS, until_ns), watch->interrupt_fd);
        ret->verdict = look_at_all(boards, looks, n, gate);
    }
    ret->text = text_of(looks, n, gate);
    ret->record = record_of(looks, n, gate, ret->verdict, clock_mono_ns() - begun_ns);
    for (size_t i = 0; i < n; i++)
        g_free(looks[i].error);
}

void boards_report_clear(struct boards_report *report)
{
    g_clear_pointer(&report->text, g_free);
    g_clear_pointer(&report->record, json_decref);
}
