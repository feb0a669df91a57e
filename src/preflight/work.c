/* SPDX-License-Identifier: MIT */
/* Checks of the work: the data sets. */
#include "preflight/rows.h"

static int64_t warmup_prompts(const struct config *config)
{
    return config_bool(config, FIELD_WARMUP_ENABLED) ? config_int(config, FIELD_WARMUP_MAX_PROMPTS) : 0;
}

static char *data_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    if (!config || nth > 0)
        return NULL;
    return g_strdup_printf("%s, %" G_GINT64_FORMAT " prompts and %" G_GINT64_FORMAT " to warm up",
                           config_string(config, FIELD_DATASET), config_int(config, FIELD_N), warmup_prompts(config));
}

/* True, and told, for a data set that is fetched before the first run. */
static bool is_to_come(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_auto(owned_names) names = {0};
    const char *name = config_string(q->config, FIELD_DATASET);
    const struct workload_named *named =
        workload_is_path(name) || !workload_names_read(&names, NULL) ? NULL : workload_names_find(&names, name);
    if (!named || named->file || workload_named_present(named))
        return false;
    int64_t n = config_int(q->config, FIELD_N);
    if (n > named->count)
        preflight_find(ret, PREFLIGHT_FAILS, config_place(q->config, FIELD_N),
                       "n: %" G_GINT64_FORMAT " prompts asked for, the data set has %" G_GINT64_FORMAT, n, named->count);
    else
        preflight_find(ret, PREFLIGHT_OK, NULL, "not here: fetched from %s and verified before the first run, or now by  "
                       "llem dataset pull %s", named->home, name);
    return true;
}

static void probe_data(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(GError) error = NULL;
    g_auto(owned_work) work = {0};
    const struct diag_span *at = config_place(q->config, FIELD_DATASET);
    if (is_to_come(q, ret))
        return;
    if (config_work(q->config, preflight_library(q->preflight), &work, &error))
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", work.dataset);
    else
        preflight_find(ret, PREFLIGHT_FAILS, at ? at : config_place(q->config, FIELD_N), "%s", error->message);
}

const struct preflight_check preflight_work_rows[] = {
    {.id = "work.dataset",
     .why = "every run takes its prompts from it",
     .remedy = "dataset: names a built-in set or a file of your own; n says how many prompts of it",
     .key = data_key,
     .probe = probe_data},
    {0},
};
