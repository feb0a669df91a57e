/* SPDX-License-Identifier: MIT */
/* When what happened in a run, as its record tells. */
#include "account/account.h"

#include <math.h>
#include <string.h>

/* Integers that a record always has. */
static bool read_times(const json_t *record, const char *section, const char *const *names, int64_t *const *ret,
                       GError **error)
{
    const json_t *tree = jsonx_at(record, section);
    for (size_t i = 0; names[i]; i++)
        if (!jsonx_get_int(tree, names[i], true, ret[i], error)) {
            g_prefix_error(error, "the record's %s: ", section);
            return false;
        }
    return true;
}

static bool read_window(const json_t *record, struct energy_window *ret, GError **error)
{
    static const char *const names[] = {"guard_from_ns", "t0_ns", "t1_ns", "guard_to_ns", "pause_ns", NULL};
    static const char *const work[] = {"repeats", NULL};
    int64_t *const times[] = {&ret->guard_from_ns, &ret->t0_ns, &ret->t1_ns, &ret->guard_to_ns,
                              &ret->pause_ns};
    int64_t *const repeats[] = {&ret->repeats};
    double gaps = 0;
    if (!read_times(record, "timing.window", names, times, error) ||
        !read_times(record, "workload", work, repeats, error))
        return false;
    jsonx_get_real(jsonx_at(record, "timing.window"), "host_gap_share", false, &gaps, NULL);
    ret->gap_ns = llround(gaps * (double)energy_window_work_ns(ret));
    return true;
}

/* One that did not take place is null, with its reason beside it. */
static struct account_stretch stretch_at(const json_t *record, const char *name)
{
    const json_t *timing = json_object_get(record, "timing"), *tree = json_object_get(timing, name);
    struct account_stretch stretch = {0};
    g_autofree char *why = g_strconcat(name, "_reason", NULL);
    if (!jsonx_get_int(tree, "t0_ns", true, &stretch.t0_ns, NULL) ||
        !jsonx_get_int(tree, "t1_ns", true, &stretch.t1_ns, NULL))
        stretch = (struct account_stretch){.reason = json_string_value(json_object_get(timing, why))};
    return stretch;
}

static bool has_flag(const json_t *record, const char *flag)
{
    const json_t *flags = json_object_get(record, "flags");
    for (size_t i = 0; i < json_array_size(flags); i++)
        if (!g_strcmp0(json_string_value(json_array_get(flags, i)), flag))
            return true;
    return false;
}

/* The first scope of accelerators that has a place in the record; NULL: none. */
static const char *scope_of_boards(const json_t *record)
{
    const json_t *scopes = jsonx_at(record, "energy.scopes");
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(scopes, i), "scope"));
        if (name && json_is_true(jsonx_at(record, "machine.on_gpu")) && meter_scope_of_boards(meter_scope_find(name)))
            return name;
    }
    return NULL;
}

static GArray *stamps_of(const json_t *record)
{
    const json_t *list = jsonx_at(record, "timing.steps_ns");
    GArray *stamps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (size_t i = 0; i < json_array_size(list); i++) {
        int64_t stamp_ns = json_integer_value(json_array_get(list, i));
        g_array_append_val(stamps, stamp_ns);
    }
    return stamps;
}

bool account_run_read(const json_t *record, struct account_run *ret, GArray **ret_stamps, GError **error)
{
    *ret = (struct account_run){0};
    if (!read_window(record, &ret->window, error))
        return false;
    const struct {
        const char *name;
        struct account_stretch *at;
    } stretches[] = {{"load", &ret->load},
                     {"compile", &ret->compile},
                     {"warmup", &ret->warmup},
                     {"steady", &ret->steady},
                     {"idle_cold", &ret->idle_cold},
                     {"idle_context", &ret->idle_context},
                     {"idle_after", &ret->idle_after}};
    for (size_t i = 0; i < G_N_ELEMENTS(stretches); i++)
        *stretches[i].at = stretch_at(record, stretches[i].name);
    *ret_stamps = stamps_of(record);
    ret->options.stamps_ns = (const int64_t *)(const void *)(*ret_stamps)->data;
    ret->options.stamp_count = (*ret_stamps)->len;
    ret->rival = json_string_value(jsonx_at(record, "energy.scope"));
    if (!ret->rival) /* of two that contest it either is before a CPU's */
        ret->rival = scope_of_boards(record);
    ret->on_boards = json_is_true(jsonx_at(record, "machine.on_gpu"));
    ret->divided = json_array_size(jsonx_at(record, "machine.devices")) > 1;
    ret->unequal = has_flag(record, "unequal_work");
    ret->guard_gave_up = json_is_true(jsonx_at(record, "energy.guard.gave_up"));
    return true;
}
