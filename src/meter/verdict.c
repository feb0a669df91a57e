/* SPDX-License-Identifier: MIT */
/* What self-tests found, kept by device: a file for each in the user's cache, beside the characterisations. */
#include "meter/source.h"

#include <math.h>
#include <string.h>

#define SCHEMA "llem-verdicts/1"
#define MEMBER_NAME "selftest" /* in a channel's part of a characterisation */

static const struct member_row proof_rows[] = {
    MEMBER_CHARS(struct meter_proof, verdict, "verdict", MEMBER_REQUIRED),
    MEMBER_CHARS(struct meter_proof, date, "date", MEMBER_REQUIRED),
    MEMBER_CHARS(struct meter_proof, load, "load", MEMBER_OPTIONAL),
    MEMBER(struct meter_proof, share, "share", MEMBER_OPTIONAL),
};

bool meter_proof_read(const json_t *channel, struct meter_proof *ret)
{
    struct meter_proof proof = {.share = NAN};
    const json_t *tree = json_object_get(channel, MEMBER_NAME);
    if (!tree || !members_read(tree, &proof, proof_rows, G_N_ELEMENTS(proof_rows), NULL))
        return false;
    *ret = proof;
    return true;
}

/* --- what was found -------------------------------------------------------------------------------------------------- */

static bool is_of(const json_t *row, const char *channel_id)
{
    return !g_strcmp0(json_string_value(json_object_get(row, "channel")), channel_id);
}

static const char *word(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

/* The sampler's cost is no fault of the sensor. */
static bool is_of_sensor(const json_t *row)
{
    return !g_str_has_prefix(word(row, "check"), METER_CHECK_OBSERVER);
}

const char *meter_selftest_verdict(const json_t *found, const char *channel_id)
{
    const json_t *rows = json_object_get(found, "rows");
    bool sees_all = false;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!is_of(row, channel_id) || !is_of_sensor(row))
            continue;
        if (!strcmp(word(row, "verdict"), "fail"))
            return word(row, "check");
        sees_all |= !strcmp(word(row, "check"), METER_CHECK_DUTY) && !strcmp(word(row, "verdict"), "pass");
    }
    return sees_all ? METER_SEES_ALL : NULL;
}

/* W/T as the test found it; NaN: it did not. */
static double share_of(const json_t *found, const char *channel_id)
{
    const json_t *rows = json_object_get(found, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *value = json_object_get(row, "value");
        if (is_of(row, channel_id) && !strcmp(word(row, "check"), METER_CHECK_DUTY) && json_is_number(value))
            return MIN(1, json_number_value(value));
    }
    return NAN;
}

/* --- where it is kept ------------------------------------------------------------------------------------------------ */

/* Another host, driver or folder of files is another sensor. New string. */
static char *path_of(struct meter *meter, const struct meter_channel *c, const char *driver)
{
    g_autofree char *key =
        g_strjoin("+", g_get_host_name(), c->source, c->device, meter_channel_of_board(c) && driver ? driver : "",
                  quantity_status_name(c->status), meter_sysroot(meter), NULL);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
    g_autofree char *name = g_strdup_printf("selftest-%.16s.json", digest);
    return g_build_filename(g_get_user_cache_dir(), "llem", "sensors", name, NULL);
}

/* NULL: nothing is kept. New reference. */
static json_t *kept_in(const char *path)
{
    json_t *tree = jsonx_load(path, LIMIT_RESULT_BYTES, NULL);
    const char *schema = NULL;
    if (tree && jsonx_get_string(tree, "schema", true, &schema, NULL) && !strcmp(schema, SCHEMA))
        return tree;
    json_decref(tree);
    return NULL;
}

static bool keep_one(struct meter *meter, const struct meter_channel *c, const char *driver,
                     const struct meter_proof *proof, GError **error)
{
    g_autofree char *path = path_of(meter, c, driver), *folder = g_path_get_dirname(path);
    g_autoptr(json_t) tree = kept_in(path);
    json_t *member = json_object();
    members_write(member, proof, proof_rows, G_N_ELEMENTS(proof_rows));
    if (!tree)
        tree = json_pack("{s:s, s:s, s:s*, s:{}}", "schema", SCHEMA, "device", c->device, "driver", driver, "channels");
    json_object_set_new(json_object_get(tree, "channels"), c->id, member);
    return file_make_dirs(folder, error) && jsonx_save(path, tree, error);
}

static char *driver_of(struct meter *meter)
{
    g_autoptr(json_t) facts = meter_gpu_facts(meter);
    return g_strdup(json_string_value(json_object_get(facts, "driver_version")));
}

int meter_selftest_keep(struct meter *meter, const json_t *found, const char *load, GError **error)
{
    g_autofree char *driver = driver_of(meter);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *date = g_date_time_format(now, "%F");
    int kept = 0;
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        const char *verdict = meter_selftest_verdict(found, c->id);
        if (!verdict || c->status == QUANTITY_MODELLED)
            continue;
        struct meter_proof proof = {.share = share_of(found, c->id)};
        g_strlcpy(proof.verdict, verdict, sizeof proof.verdict);
        g_strlcpy(proof.date, date, sizeof proof.date);
        g_strlcpy(proof.load, load, sizeof proof.load);
        if (!keep_one(meter, c, driver, &proof, error))
            return -1;
        kept++;
    }
    return kept;
}

void meter_selftest_recall(struct meter *meter, json_t *characterisation)
{
    g_autofree char *driver = driver_of(meter);
    json_t *channels = json_object_get(characterisation, "channels"), *member;
    const char *id;
    json_object_foreach(channels, id, member) {
        ssize_t index = meter_channel_find(meter, id);
        json_object_del(member, MEMBER_NAME);
        if (index < 0)
            continue;
        g_autofree char *path = path_of(meter, meter_channel_at(meter, (size_t)index), driver);
        g_autoptr(json_t) tree = kept_in(path);
        json_t *kept = json_object_get(json_object_get(tree, "channels"), id);
        if (kept)
            json_object_set(member, MEMBER_NAME, kept);
    }
}
