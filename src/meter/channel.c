/* SPDX-License-Identifier: MIT */
/* A channel as JSON, and back; what a counter of it counted. */
#include "meter/source.h"

#include <string.h>

/* Members that are written and read alike. Others stand between them: names of enumerations, the unit. */
static const struct member_row who[] = {
    MEMBER(struct meter_channel, id, "id", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, source, "source", MEMBER_OPTIONAL),
    MEMBER(struct meter_channel, device, "device", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, label, "label", MEMBER_OPTIONAL),
    MEMBER(struct meter_channel, scope, "scope", MEMBER_REQUIRED),
};
static const struct member_row raw[] = {
    MEMBER(struct meter_channel, reason, "reason", MEMBER_OPTIONAL),
    MEMBER(struct meter_channel, raw_unit, "raw_unit", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, scale, "scale", MEMBER_REQUIRED),
};
static const struct member_row facts[] = {
    MEMBER(struct meter_channel, wrap, "wrap", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, max_power_w, "max_power_w", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, refresh_ns, "assumed_refresh_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, window_ns, "assumed_window_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, part_ns, "assumed_part_ns", MEMBER_OPTIONAL),
    MEMBER(struct meter_channel, sensor_class, "sensor_class", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, low_ratio, "low_ratio", MEMBER_REQUIRED),
    MEMBER(struct meter_channel, high_ratio, "high_ratio", MEMBER_REQUIRED),
};

json_t *meter_channel_json(const struct meter_channel *channel)
{
    json_t *tree = json_object();
    members_write(tree, channel, who, G_N_ELEMENTS(who));
    json_object_set_new(tree, "kind", json_string(meter_kind_name(channel->kind)));
    json_object_set_new(tree, "status", json_string(quantity_status_name(channel->status)));
    members_write(tree, channel, raw, G_N_ELEMENTS(raw));
    json_object_set_new(tree, "unit", json_string(meter_kind_unit(channel->kind)));
    members_write(tree, channel, facts, G_N_ELEMENTS(facts));
    return tree;
}

static bool read_members(const json_t *tree, struct meter_channel *ret, GError **error)
{
    return members_read(tree, ret, who, G_N_ELEMENTS(who), error) &&
           members_read(tree, ret, raw, G_N_ELEMENTS(raw), error) &&
           members_read(tree, ret, facts, G_N_ELEMENTS(facts), error);
}

static int kind_from_name(const char *name)
{
    for (int i = 0; i < METER_KIND_COUNT; i++)
        if (!strcmp(meter_kind_name(i), name))
            return i;
    return -1;
}

bool meter_channel_parse(const json_t *tree, struct meter_channel *ret, GError **error)
{
    struct meter_channel c = {.source = "", .scale = 1, .low_ratio = 1, .high_ratio = 1};
    const char *kind_name = NULL, *status_name = NULL;
    int64_t rate = METER_FAST;
    if (!read_members(tree, &c, error) || !jsonx_get_string(tree, "kind", true, &kind_name, error) ||
        !jsonx_get_string(tree, "status", true, &status_name, error) ||
        !jsonx_get_int(tree, "rate", false, &rate, error))
        return false;
    int kind = kind_from_name(kind_name), status = quantity_status_from_name(status_name);
    if (kind < 0 || status < 0 || c.wrap < 0 || (rate != METER_FAST && rate != METER_MEDIUM && rate != METER_SLOW)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "the channel's kind, status, wrap or rate is unknown");
        return false;
    }
    c.kind = (enum meter_kind)kind;
    c.status = (enum quantity_status)status;
    c.rate = (enum meter_rate)rate;
    *ret = c;
    return true;
}

/* A counter adds at once what it collected over its refresh period, and may come late by some: a choice, three of them.
 * The slowest known refresh once a second (registry of NVIDIA's driver). */
#define JUMP_PERIODS     3
#define JUMP_UNKNOWN_S   1.0

static double jump_s(const struct meter_channel *channel)
{
    return channel->refresh_ns > 0 ? JUMP_PERIODS * clock_seconds(channel->refresh_ns) : JUMP_UNKNOWN_S;
}

bool meter_plausible(const struct meter_channel *channel, int64_t reading)
{
    double value = (double)reading * channel->scale;
    bool power = channel->kind == METER_POWER_INSTANT || channel->kind == METER_POWER_AVERAGE;
    if (channel->kind == METER_UTILISATION)
        return value >= 0 && value <= 1;
    return !power || (value >= 0 && (channel->max_power_w <= 0 || value <= channel->max_power_w));
}

bool meter_counter_delta(const struct meter_channel *channel, const struct meter_reading *from,
                         const struct meter_reading *to, int64_t *ret_raw, enum meter_read_status *ret_status)
{
    if (from->status != METER_READ_OK || to->status != METER_READ_OK) {
        *ret_status = from->status != METER_READ_OK ? from->status : to->status;
        return false;
    }
    int64_t delta = to->raw - from->raw;
    double seconds = clock_seconds(to->after_ns - from->before_ns);
    double range = (double)channel->wrap * channel->scale;
    if (channel->wrap && (channel->max_power_w <= 0 ? delta < 0 : seconds * channel->max_power_w >= range)) {
        *ret_status = METER_READ_WRAP_AMBIGUOUS;
        return false;
    }
    if (delta < 0 && channel->wrap)
        delta += channel->wrap;
    if (delta < 0) {
        *ret_status = METER_READ_BACKWARDS;
        return false;
    }
    if (channel->max_power_w > 0 && channel->kind == METER_ENERGY &&
        (double)delta * channel->scale > channel->max_power_w * (seconds + jump_s(channel))) {
        *ret_status = channel->wrap && to->raw < from->raw ? METER_READ_BACKWARDS : METER_READ_IMPLAUSIBLE;
        return false;
    }
    *ret_raw = delta;
    *ret_status = METER_READ_OK;
    return true;
}
