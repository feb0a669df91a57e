/* SPDX-License-Identifier: MIT */
/* What a run works on: its model and its prompts, from its configuration. */
#include "workload/workload.h"

#include "config/config.h"

struct workload_library {
    GHashTable *datasets; /* path → struct workload_dataset * */
};

struct workload_library *workload_library_new(void)
{
    struct workload_library *library = g_new0(struct workload_library, 1);
    library->datasets =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)workload_dataset_free);
    return library;
}

void workload_library_free(struct workload_library *library)
{
    if (!library)
        return;
    g_hash_table_unref(library->datasets);
    g_free(library);
}

static struct workload_dataset *dataset_of(struct workload_library *library, const char *path, GError **error)
{
    struct workload_dataset *dataset = g_hash_table_lookup(library->datasets, path);
    if (dataset)
        return dataset;
    dataset = workload_dataset_open(path, error);
    if (dataset)
        g_hash_table_insert(library->datasets, g_strdup(path), dataset);
    return dataset;
}

bool workload_library_pick(struct workload_library *library, const struct config *config, struct workload_work *ret,
                           GError **error)
{
    *ret = (struct workload_work){0};
    g_autofree char *path = workload_dataset_path(config_string(config, FIELD_DATASET), error);
    struct workload_dataset *dataset = path ? dataset_of(library, path, error) : NULL;
    if (!dataset)
        return false;
    g_auto(workload_work) work = {0};
    int order = workload_order_from_name(config_string(config, FIELD_DATASET_ORDER));
    size_t n_warmup = config_bool(config, FIELD_WARMUP_ENABLED) ? (size_t)config_int(config, FIELD_WARMUP_MAX_PROMPTS) : 0;
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

void workload_work_clear(struct workload_work *work)
{
    g_free(work->dataset);
    workload_prompts_clear(&work->measured);
    workload_prompts_clear(&work->warmup);
    *work = (struct workload_work){0};
}

bool workload_model_of(const struct config *config, struct workload_resolved *ret, GError **error)
{
    const struct backend *backend = backend_find(config_string(config, FIELD_BACKEND), error);
    if (!backend)
        return false;
    const struct backend_model *model = backend_model(backend);
    json_t *precision = model->precision == BACKEND_PICKS_FILE ? config_value_at(config, "precision") : NULL;
    json_t *quantization = model->quantization ? config_value_at(config, model->quantization) : NULL;
    return workload_model_resolve(config_string(config, FIELD_MODEL), backend, json_string_value(precision),
                                  json_string_value(quantization), ret, error);
}
