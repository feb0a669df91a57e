/* SPDX-License-Identifier: MIT */
/* What an experiment works on: its prompts and its model. */
#include "config/internal.h"

bool config_work(const struct config *config, struct workload_library *library, struct workload_work *ret, GError **error)
{
    *ret = (struct workload_work){0};
    g_autofree char *path = workload_dataset_path(config_string(config, FIELD_DATASET), error);
    const struct workload_dataset *dataset = path ? workload_library_open(library, path, error) : NULL;
    if (!dataset)
        return false;
    g_auto(owned_work) work = {0};
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
