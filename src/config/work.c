/* SPDX-License-Identifier: MIT */
/* What an experiment works on: its prompts and its model. */
#include "config/internal.h"

bool config_work(const struct config *config, struct workload_library *library, struct workload_work *ret,
                 GError **error)
{
    *ret = (struct workload_work){0};
    g_autofree char *path = NULL;
    const struct workload_dataset *dataset =
        workload_library_find(library, config_string(config, FIELD_DATASET), &path, error);
    if (!dataset)
        return false;
    g_auto(owned_work) work = {0};
    int order = workload_order_from_name(config_string(config, FIELD_DATASET_ORDER));
    size_t n_warmup = config_bool(config, FIELD_WARMUP_ENABLED)
                      ? (size_t)config_int(config, FIELD_WARMUP_MAX_PROMPTS) : 0;
    if (!workload_dataset_select(dataset, (size_t)config_int(config, FIELD_N), (enum workload_order)order,
                                 (uint64_t)config_int(config, FIELD_RANDOM_SEED), &work.measured, error))
        return false;
    if (n_warmup && !workload_dataset_warmup(dataset, &work.measured, n_warmup, &work.warmup, error))
        return false;
    work.dataset = g_steal_pointer(&path);
    work.dataset_sha256 = workload_dataset_sha256(dataset);
    *ret = work;
    work = (struct workload_work){0};
    return true;
}

bool config_model(const struct config *config, struct workload_resolved *ret, GError **error)
{
    const struct backend *backend = backend_find(config_string(config, FIELD_BACKEND), error);
    if (!backend)
        return false;
    const struct backend_model *model = backend_model(backend);
    bool by_precision = model->precision == BACKEND_PICKS_FILE && config_has(config, FIELD_PRECISION);
    const char *precision = by_precision ? config_string(config, FIELD_PRECISION) : NULL;
    json_t *quantization = model->quantization ? config_value_at(config, model->quantization) : NULL;
    return workload_model_resolve(config_string(config, FIELD_MODEL), backend, precision,
                                  json_string_value(quantization), ret, error);
}

/* --- Whether it is still what was planned ------------------------------------------------------------------------ */

static bool changed(GError **error, const char *what, const char *name)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                "%s is not what it was when this was planned (%s): its hash would say that other work was done; plan it "
                "again from its file", what, name);
    return false;
}

static bool check_data(const struct config *config, const json_t *hashed, struct workload_library *library,
                       GError **error)
{
    const char *name = config_string(config, FIELD_DATASET);
    const json_t *planned = json_object_get(json_object_get(hashed, "fields"), config_shared_rows[FIELD_DATASET].path);
    g_autofree char *path = NULL;
    const struct workload_dataset *dataset = workload_library_find(library, name, &path, error);
    g_autoptr(json_t) identity = dataset ? workload_dataset_identity(dataset) : NULL;
    return identity && (!planned || json_equal(identity, planned) || changed(error, "the data set", name));
}

static bool check_files(const struct config *config, GError **error)
{
    g_autoptr(json_t) tree = config_tree(config), digests = config_digests(config);
    const char *field;
    json_t *planned;
    json_object_foreach(digests, field, planned) {
        const char *path = json_string_value(jsonx_at(tree, field));
        g_autofree char *digest = path ? digest_of_path(path, error) : NULL;
        if (path && !digest)
            return false;
        if (g_strcmp0(digest, json_string_value(planned)) != 0)
            return changed(error, field, path ? path : "it is not set");
    }
    return true;
}

/* The numbers that are raised when a default or a meaning changes. */
static bool check_meaning(const struct config *config, const json_t *hashed, GError **error)
{
    const struct backend *backend = backend_find(config_string(config, FIELD_BACKEND), error);
    if (!backend)
        return false;
    if (json_integer_value(jsonx_at(hashed, "backend.hash_version")) != backend_hash_version(backend))
        return changed(error, "the meaning of the engine's options", backend_name(backend));
    return json_integer_value(json_object_get(hashed, "hash_version")) == CONFIG_HASH_VERSION ||
           changed(error, "the meaning of fields", "another version of llem");
}

bool config_check_content(const struct config *config, struct workload_library *library, GError **error)
{
    g_autoptr(json_t) hashed = config_hashed(config);
    return !hashed || (check_meaning(config, hashed, error) && check_data(config, hashed, library, error) &&
                       check_files(config, error));
}
