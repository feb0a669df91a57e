/* SPDX-License-Identifier: MIT */
/* What is known of the channels of a meter, as it comes to be known. */
#include "account/account.h"

#include <string.h>

void account_known_init(struct account_known *ret, const struct meter_channel **channels, const char *named_source)
{
    size_t n = 0;
    while (channels[n])
        n++;
    *ret = (struct account_known){.channels = channels,
                                  .seen = g_new0(struct meter_sensor, n + 1),
                                  .calibrations = g_array_new(FALSE, FALSE, sizeof(struct energy_calibration)),
                                  .levels = g_array_new(FALSE, FALSE, sizeof(struct energy_level)),
                                  .warnings = g_ptr_array_new_with_free_func(g_free)};
    ret->energy = (struct energy_known){
        .channels = channels, .sensors = ret->seen, .channel_count = n, .named_source = named_source};
    account_known_watch(ret, NULL);
}

void account_known_clear(struct account_known *known)
{
    json_decref(known->characterisation);
    g_free(known->channels);
    g_free(known->seen);
    g_clear_pointer(&known->calibrations, g_array_unref);
    g_clear_pointer(&known->levels, g_array_unref);
    g_clear_pointer(&known->warnings, g_ptr_array_unref);
    *known = (struct account_known){0};
}

static void take_seen(struct account_known *known)
{
    for (size_t i = 0; i < known->energy.channel_count; i++) {
        known->seen[i] = (struct meter_sensor){.usable = true};
        meter_characterisation_get(known->characterisation, known->channels[i]->id, &known->seen[i]);
    }
}

void account_known_watch(struct account_known *known, json_t *characterisation)
{
    json_decref(known->characterisation);
    known->characterisation = characterisation;
    take_seen(known);
}

void account_known_bind(struct account_known *known, bool on_boards, const char *const *boards)
{
    known->energy.on_boards = on_boards;
    known->energy.boards = boards;
}

bool account_known_serves(const struct account_known *known, bool any)
{
    for (size_t i = 0; i < known->energy.channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        if (energy_channel_usable(c) && c->status != QUANTITY_MODELLED &&
            (any || energy_channel_is_ours(&known->energy, c)))
            return true;
    }
    return false;
}

bool account_known_learn(struct account_known *known, const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const struct energy_finding *f = &g_array_index(findings, struct energy_finding, i);
        meter_characterisation_learn(known->characterisation, f->channel_id, &f->learnt);
    }
    if (findings->len)
        take_seen(known);
    return findings->len > 0;
}

void account_known_set_levels(struct account_known *known, const struct energy_scopes *scopes, int64_t from_ns,
                              int64_t to_ns)
{
    g_array_unref(known->levels);
    known->levels = energy_scopes_levels(scopes, from_ns, to_ns);
    known->energy.levels = (const struct energy_level *)(const void *)known->levels->data;
    known->energy.level_count = known->levels->len;
}

void account_known_calibrate(struct account_known *known, const char *place)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&known->energy, NULL);
    g_array_unref(known->calibrations);
    known->calibrations = energy_scopes_calibrations(scopes, place, known->warnings);
    known->energy.calibrations = (const struct energy_calibration *)(const void *)known->calibrations->data;
    known->energy.calibration_count = known->calibrations->len;
}

/* --- sources --------------------------------------------------------------------------------------------------------- */

/* The channels of a source that would give joules and do not, each with its reason. */
static json_t *absent_channels(const struct meter *meter, const char *source)
{
    json_t *list = json_array();
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        if (!strcmp(c->source, source) && energy_kind_gives_joules(c->kind) && c->status == QUANTITY_ABSENT)
            json_array_append_new(list, json_pack("{s:s, s:s}", "id", c->id, "reason", c->reason));
    }
    return list;
}

json_t *account_sources(const struct meter *meter)
{
    json_t *list = json_array();
    for (size_t i = 0; i < meter_source_count(meter); i++) {
        const struct meter_source_state *s = meter_source_at(meter, i);
        if (s->asked)
            json_array_append_new(list, json_pack("{s:s, s:b, s:s*, s:o}", "name", s->row->name, "open", s->open,
                                                  "reason", s->reason, "absent",
                                                  absent_channels(meter, s->row->name)));
    }
    return list;
}
