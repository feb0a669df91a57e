/* SPDX-License-Identifier: MIT */
/* host_energy.json: what sensors showed that were read beside the worker; joined with the record when that is read. */
#include "result/parts.h"

#include "version.h"

#include <string.h>

static bool takes_part(const struct result_part_row *row)
{
    static const enum result_part parts[] = {PART_ENERGY_SCOPE, PART_ENERGY_ESTIMATOR_VERSION, PART_ENERGY_SCOPES,
                                             PART_ENERGY_CHARACTERISATION, PART_ENERGY_STRETCH_FLAGS};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        if (row == &result_parts[parts[i]])
            return true;
    return g_str_has_prefix(row->path, "sampler.");
}

/* Figures that follow from the energy. */
static bool takes_metric(enum result_metric metric)
{
    return metric == METRIC_FLOPS_PER_J || !strcmp(result_metric_row(metric)->group, "energy");
}

json_t *result_host_json(const struct result *r, const char *result_sha256)
{
    json_t *root = json_object(), *metrics = json_object();
    json_object_set_new(root, "schema", json_string(RESULT_HOST_SCHEMA));
    static const char *const shared[] = {"llem", "identity", "flags", "flag_meanings", "warnings"};
    for (size_t i = 0; i < G_N_ELEMENTS(shared); i++)
        json_object_set_new(root, shared[i], json_deep_copy(json_object_get(r->root, shared[i])));
    json_object_set_new(root, "result_sha256", json_string(result_sha256));
    for (int i = 0; i < METRIC_COUNT; i++)
        if (r->set[i] && takes_metric(i))
            json_object_set_new(metrics, result_metric_row(i)->id, result_metric_json(r, i));
    json_object_set_new(root, "metrics", metrics);
    result_parts_write(root, r->parts, takes_part);
    return root;
}

json_t *result_host_schema(void)
{
    json_t *root = result_document_schema("llem energy of a run by sensors beside its worker", RESULT_HOST_SCHEMA);
    json_t *metrics = schema_object();
    schema_add(root, "result_sha256", json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9a-f]{64}$"), true);
    result_doubts_schema(root);
    for (int i = 0; i < METRIC_COUNT; i++)
        if (takes_metric(i))
            schema_add(metrics, result_metric_row(i)->id, result_metric_schema(i), false);
    schema_add(root, "metrics", metrics, true);
    result_parts_schema(root, json_object_get(root, "$defs"), takes_part);
    return root;
}

/* --- joining --------------------------------------------------------------------------------------------------------- */

static bool is_list_of_texts(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return json_is_array(list);
}

static bool are_figures(const json_t *metrics)
{
    const char *id;
    const json_t *tree;
    struct quantity q;
    jsonx_foreach(metrics, id, tree) {
        int metric = result_metric_from_id(id);
        if (metric < 0 || !takes_metric(metric) || !quantity_from_json(tree, &q))
            return false;
    }
    return json_is_object(metrics);
}

static bool refuse(const char *why, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "host_energy.json %s", why);
    return false;
}

/* It is whole, and of this record. */
static bool check(const json_t *record, const json_t *host, const char *result_sha256, GError **error)
{
    const char *schema = json_string_value(json_object_get(host, "schema"));
    const char *of = json_string_value(json_object_get(host, "result_sha256"));
    const json_t *scope = jsonx_at(host, "energy.scope"), *metrics = json_object_get(host, "metrics");
    bool counts = json_object_size(metrics) > 0;
    if (g_strcmp0(schema, RESULT_HOST_SCHEMA) != 0)
        return refuse("is of a schema that this llem does not know", error);
    if (g_strcmp0(of, result_sha256) != 0 ||
        !json_equal(json_object_get(host, "identity"), json_object_get(record, "identity")))
        return refuse("belongs to another result.json", error);
    if (!is_list_of_texts(json_object_get(host, "flags")) || !is_list_of_texts(json_object_get(host, "warnings")) ||
        !json_is_object(json_object_get(host, "flag_meanings")) || !are_figures(metrics) ||
        !json_is_array(jsonx_at(host, "energy.scopes")) || counts != json_is_string(scope))
        return refuse("is damaged", error);
    return true;
}

static void add_flag(json_t *record, const char *flag, json_t *meaning)
{
    json_t *flags = json_object_get(record, "flags"), *have;
    size_t i;
    json_array_foreach(flags, i, have) {
        if (!g_strcmp0(json_string_value(have), flag)) {
            json_decref(meaning);
            return;
        }
    }
    json_array_append_new(flags, json_string(flag));
    json_object_set_new(json_object_get(record, "flag_meanings"), flag, meaning);
}

static void join_doubts(json_t *record, const json_t *host)
{
    const json_t *flags = json_object_get(host, "flags"), *meanings = json_object_get(host, "flag_meanings");
    for (size_t i = 0; i < json_array_size(flags); i++) {
        const char *flag = json_string_value(json_array_get(flags, i));
        add_flag(record, flag, json_incref(json_object_get(meanings, flag)));
    }
    json_array_extend(json_object_get(record, "warnings"), json_object_get(host, "warnings"));
}

/* The scope that counts is the first of the list. */
static void join_scopes(json_t *record, const json_t *host, bool counts)
{
    json_t *ours = jsonx_at(record, "energy.scopes"), *theirs = jsonx_at(host, "energy.scopes"), *all = json_array();
    json_array_extend(all, counts ? theirs : ours);
    json_array_extend(all, counts ? ours : theirs);
    jsonx_set_at(record, "energy.scopes", all);
    if (counts)
        jsonx_set_at(record, "energy.scope", json_incref(jsonx_at(host, "energy.scope")));
    json_t *doubts = counts ? jsonx_at(host, "energy.stretch_flags") : NULL;
    if (doubts)
        jsonx_set_at(record, "energy.stretch_flags", json_incref(doubts));
}

static bool is_simulated(const json_t *record)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (result_metric_of(record, i).status == QUANTITY_SIMULATED)
            return true;
    return false;
}

/* What watching showed of the sensors there, to what it showed here. */
static void join_characterisation(json_t *record, const json_t *host)
{
    json_t *theirs = jsonx_at(host, "energy.characterisation"), *ours = jsonx_at(record, "energy.characterisation");
    if (!theirs)
        return;
    if (ours)
        json_object_update_missing(json_object_get(ours, "channels"), json_object_get(theirs, "channels"));
    else
        jsonx_set_at(record, "energy.characterisation", json_incref(theirs));
}

bool result_host_join(json_t *record, const json_t *host, const char *result_sha256, GError **error)
{
    json_t *metrics = json_object_get(host, "metrics");
    if (!check(record, host, result_sha256, error))
        return false;
    join_doubts(record, host);
    join_scopes(record, host, json_object_size(metrics) > 0);
    join_characterisation(record, host);
    json_object_update(json_object_get(record, "metrics"), metrics);
    json_object_set_new(record, "simulated", json_boolean(is_simulated(record)));
    return true;
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *flag, *meaning;
} flags[] = {
#define X(code, flag, meaning) {flag, meaning},
    RESULT_FLAG_ROWS(X)
#undef X
};
enum {
#define X(code, flag, meaning) FLAG_##code,
    RESULT_FLAG_ROWS(X)
#undef X
};

static void doubt(json_t *record, int flag, const char *why)
{
    add_flag(record, flags[flag].flag, json_string(flags[flag].meaning));
    json_array_append_new(json_object_get(record, "warnings"), json_string(why));
}

void result_host_join_file(json_t *record, const char *run_dir)
{
    g_autofree char *path = g_build_filename(run_dir, result_files[RESULT_FILE_HOST_ENERGY].name, NULL);
    g_autofree char *result = g_build_filename(run_dir, result_files[RESULT_FILE_RESULT].name, NULL);
    g_autoptr(GError) error = NULL;
    bool there = g_file_test(path, G_FILE_TEST_EXISTS);
    if (!there && json_is_true(jsonx_at(record, "energy.beside")))
        doubt(record, FLAG_HOST_ENERGY_MISSING, "there is no host_energy.json beside result.json");
    if (!there)
        return;
    g_autoptr(json_t) host = jsonx_load(path, LIMIT_RESULT_BYTES, &error);
    g_autofree char *sha256 = host ? file_sha256(result, &error) : NULL;
    if (!sha256 || !result_host_join(record, host, sha256, &error))
        doubt(record, FLAG_HOST_ENERGY_UNUSABLE, error->message);
}
