/* SPDX-License-Identifier: MIT */
#include "study/work.h"

#include "backend/backend.h"

static void take_prompts(const struct workload_prompts *prompts, struct exchange_prompts *ret)
{
    exchange_prompts_init(ret, prompts->n);
    for (size_t i = 0; i < prompts->n; i++) {
        ret->text[i] = g_strdup(prompts->text[i]);
        ret->line[i] = (int64_t)prompts->line[i];
    }
}

/* The n measured prompts in their order, and others for the warm-up. */
static bool add_prompts(struct workload_library *library, const struct config *config, struct exchange *ret,
                        GError **error)
{
    g_auto(owned_work) work = {0};
    if (!config_work(config, library, &work, error))
        return false;
    ret->dataset = g_steal_pointer(&work.dataset);
    ret->dataset_sha256 = g_strdup(work.dataset_sha256);
    take_prompts(&work.measured, &ret->prompts);
    take_prompts(&work.warmup, &ret->warmup);
    ret->warmup_variants = (int64_t)work.warmup.n_variants;
    return true;
}

static void add_config(const struct config *config, struct exchange *x)
{
    x->config_hash = g_strdup(config_hash(config));
    x->config = config_tree(config);
    x->hashed = config_hashed(config);
    x->origins = config_origins(config);
    x->roles = config_roles(config);
    x->digests = config_digests(config);
    x->files = config_files(config);
}

/* Where the worker is elsewhere, an interpreter is what is called so there. */
static char **command_of(const struct backend *backend, const struct dispatch *dispatch, GError **error)
{
    const struct runner *runner = dispatch_runner(dispatch, backend_name(backend));
    const struct dispatch_choice *choice = dispatch_choice_of(dispatch, backend_name(backend));
    if (!runner || !(runner->ops->flags & RUNNER_ELSEWHERE))
        return backend_command(backend, error);
    return backend_command_elsewhere(backend, choice ? choice->python : "python3", error);
}

/* What the worker starts, with which environment, and what it is; false where it is not there. */
static bool add_engine(const struct config *config, const struct dispatch *dispatch, struct exchange *x, GError **error)
{
    const struct backend *backend = backend_find(config_string(config, FIELD_BACKEND), error);
    x->command = backend ? command_of(backend, dispatch, error) : NULL;
    if (!x->command)
        return false;
    x->environment = json_object();
    for (const char *const *row = backend_env(backend); *row; row++) {
        g_auto(GStrv) parts = g_strsplit(*row, "=", 2);
        json_object_set_new(x->environment, parts[0], json_string(parts[1]));
    }
    x->record_env = g_strdupv((char **)(uintptr_t)backend_record_env(backend));
    x->descriptor_sha256 = g_strdup(backend_digest(backend));
    x->program_sha256 = file_sha256_cached(backend_program(backend, (const char *const *)x->command), error);
    return x->program_sha256 != NULL;
}

static bool add_model(const struct config *config, struct exchange *x, GError **error)
{
    g_auto(owned_resolved) model = {0};
    if (!config_model(config, &model, error) || !workload_resolved_check(&model, error))
        return false;
    x->model_path = g_steal_pointer(&model.path);
    return true;
}

bool work_fill(const struct store *store, size_t run, const struct config *config, struct workload_library *library,
               const struct dispatch *dispatch, struct exchange *ret, GError **error)
{
    add_config(config, ret);
    ret->cycle = store_run(store, run)->cycle;
    ret->study = g_strdup(store_name(store));
    ret->study_hash = g_strdup(store_hash(store));
    return add_prompts(library, config, ret, error) && add_engine(config, dispatch, ret, error) &&
           add_model(config, ret, error) && config_check_content(config, library, error);
}
