/* SPDX-License-Identifier: MIT */
#include "study/work.h"

struct library {
    GHashTable *datasets; /* path → struct workload_dataset * */
};

struct library *library_new(void)
{
    struct library *library = g_new0(struct library, 1);
    library->datasets =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)workload_dataset_free);
    return library;
}

void library_free(struct library *library)
{
    if (!library)
        return;
    g_hash_table_unref(library->datasets);
    g_free(library);
}

static struct workload_dataset *dataset_of(struct library *library, const char *path, GError **error)
{
    struct workload_dataset *dataset = g_hash_table_lookup(library->datasets, path);
    if (dataset)
        return dataset;
    dataset = workload_dataset_open(path, error);
    if (dataset)
        g_hash_table_insert(library->datasets, g_strdup(path), dataset);
    return dataset;
}

static void take_prompts(const struct workload_prompts *prompts, struct exchange_prompts *ret)
{
    exchange_prompts_init(ret, prompts->n);
    for (size_t i = 0; i < prompts->n; i++) {
        ret->text[i] = g_strdup(prompts->text[i]);
        ret->line[i] = (int64_t)prompts->line[i];
    }
}

bool work_model(const struct config *config, struct workload_resolved *ret, GError **error)
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

bool library_work(struct library *library, const struct config *config, struct exchange *ret, GError **error)
{
    g_autofree char *path = workload_dataset_path(config_string(config, FIELD_DATASET), error);
    struct workload_dataset *dataset = path ? dataset_of(library, path, error) : NULL;
    if (!dataset)
        return false;
    g_auto(workload_prompts) measured = {0}, warmup = {0};
    int order = workload_order_from_name(config_string(config, FIELD_DATASET_ORDER));
    size_t n_warmup = config_bool(config, FIELD_WARMUP_ENABLED) ? (size_t)config_int(config, FIELD_WARMUP_MAX_PROMPTS) : 0;
    if (!workload_dataset_select(dataset, (size_t)config_int(config, FIELD_N), (enum workload_order)order,
                                 (uint64_t)config_int(config, FIELD_RANDOM_SEED), &measured, error))
        return false;
    if (n_warmup && !workload_dataset_warmup(dataset, &measured, n_warmup, &warmup, error))
        return false;
    ret->dataset = g_steal_pointer(&path);
    ret->dataset_sha256 = g_strdup(workload_dataset_sha256(dataset));
    take_prompts(&measured, &ret->prompts);
    take_prompts(&warmup, &ret->warmup);
    ret->warmup_variants = (int64_t)warmup.n_variants;
    return true;
}
