/* SPDX-License-Identifier: MIT */
/* Data sets that have been read, and what a run takes of them. */
#include "workload/workload.h"

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

const struct workload_dataset *workload_library_open(struct workload_library *library, const char *path, GError **error)
{
    struct workload_dataset *dataset = g_hash_table_lookup(library->datasets, path);
    if (dataset)
        return dataset;
    dataset = workload_dataset_open(path, error);
    if (dataset)
        g_hash_table_insert(library->datasets, g_strdup(path), dataset);
    return dataset;
}

const struct workload_dataset *workload_library_find(struct workload_library *library, const char *name,
                                                     char **ret_path, GError **error)
{
    g_auto(owned_names) names = {0};
    g_autofree char *path = workload_dataset_path(name, error);
    const struct workload_dataset *dataset = path ? workload_library_open(library, path, error) : NULL;
    bool named = dataset && !workload_is_path(name) && workload_names_read(&names, NULL);
    const struct workload_named *row = named ? workload_names_find(&names, name) : NULL;
    if (!dataset || (row && !workload_named_check(row, dataset, path, error)))
        return NULL;
    *ret_path = g_steal_pointer(&path);
    return dataset;
}

void workload_work_clear(struct workload_work *work)
{
    g_free(work->dataset);
    workload_prompts_clear(&work->measured);
    workload_prompts_clear(&work->warmup);
    *work = (struct workload_work){0};
}
