/* SPDX-License-Identifier: MIT */
/*
 * joules-of-trace RUN: the energy of every scope of a run again, from what lies in its folder alone. It has no meter,
 * no sampler and no experiment: the proof that energy/scopes.h needs none, and that a trace holds what a record says.
 * Prints {"scope": joules, …}.
 */
#include "energy/scopes.h"

#include <stdio.h>

struct run {
    json_t *record;
    struct meter_trace *trace;
    GArray *channels, *sensors; /* const struct meter_channel *; what watching showed of each */
    GArray *boards;             /* const char *, ended by NULL */
    struct energy_known known;
};

static void know(struct run *run)
{
    const json_t *characterisation = jsonx_at(run->record, "energy.characterisation");
    for (size_t i = 0; i < meter_trace_channel_count(run->trace); i++) {
        const struct meter_channel *c = meter_trace_channel_at(run->trace, i);
        struct meter_sensor seen = {.usable = true};
        meter_characterisation_get(characterisation, c->id, &seen);
        g_array_append_val(run->sensors, seen);
        g_array_append_val(run->channels, c);
    }
    size_t k;
    json_t *board;
    json_array_foreach(jsonx_at(run->record, "machine.boards"), k, board) {
        const char *uuid = json_string_value(board);
        g_array_append_val(run->boards, uuid);
    }
    run->known = (struct energy_known){.channels = (const struct meter_channel *const *)(void *)run->channels->data,
                                       .sensors = (const struct meter_sensor *)(void *)run->sensors->data,
                                       .channel_count = run->channels->len,
                                       .on_boards = run->boards->len > 0,
                                       .boards = (const char *const *)(void *)run->boards->data};
}

static bool read_run(const char *folder, struct run *ret, GError **error)
{
    g_autofree char *record = g_build_filename(folder, "result.json", NULL);
    g_autofree char *trace = g_build_filename(folder, "trace.csv.gz", NULL);
    ret->channels = g_array_new(FALSE, FALSE, sizeof(const struct meter_channel *));
    ret->boards = g_array_new(TRUE, TRUE, sizeof(const char *));
    ret->sensors = g_array_new(FALSE, FALSE, sizeof(struct meter_sensor));
    ret->record = jsonx_load(record, LIMIT_RESULT_BYTES, error);
    ret->trace = ret->record ? meter_trace_load(trace, error) : NULL;
    return ret->trace != NULL;
}

static json_t *estimate(const struct run *run)
{
    const json_t *timing = jsonx_at(run->record, "timing.window");
    struct energy_window w = {.repeats = json_integer_value(jsonx_at(run->record, "workload.repeats"))};
    jsonx_get_int(timing, "guard_from_ns", true, &w.guard_from_ns, NULL);
    jsonx_get_int(timing, "t0_ns", true, &w.t0_ns, NULL);
    jsonx_get_int(timing, "t1_ns", true, &w.t1_ns, NULL);
    jsonx_get_int(timing, "guard_to_ns", true, &w.guard_to_ns, NULL);
    struct energy_readings *readings = energy_readings_replay(&run->known, run->trace, w.guard_from_ns, w.guard_to_ns);
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&run->known, readings);
    json_t *found = json_object();
    for (guint i = 0; i < scopes->all->len; i++) {
        const struct energy_scope *scope = g_ptr_array_index(scopes->all, i);
        g_auto(owned_estimate) e = {0};
        energy_scope_estimate(scope, &w, NULL, &e, NULL);
        json_object_set_new(found, scope->name, jsonx_real(e.joules.value));
    }
    return found;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct run run = {0};
    if (argc != 2 || !read_run(argv[1], &run, &error)) {
        fprintf(stderr, "%s\n", error ? error->message : "usage: joules-of-trace RUN");
        return 2;
    }
    know(&run);
    g_autoptr(json_t) found = estimate(&run);
    g_autofree char *text = jsonx_dump(found, JSONX_PRETTY);
    fputs(text, stdout);
    g_array_unref(run.sensors);
    g_array_unref(run.boards);
    g_array_unref(run.channels);
    meter_trace_free(run.trace);
    json_decref(run.record);
    return 0;
}
