/* SPDX-License-Identifier: MIT */
/* What would only be found out while a study runs, looked at before: adapters, models, data sets, sensors. Each
 * distinct thing once, however many cells ask for it. */
#include "study/study.h"

#include "backend/backend.h"
#include "meter/meter.h"
#include "study/work.h"
#include "workload/workload.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What a model's name comes to, looked up once: its file is read for it. */
struct model {
    GError *error; /* or NULL */
    int64_t context_length;
};

/* What a cell fails for. Whether that is an error is known at the end: a warning where other cells can run. */
struct refusal {
    struct diag_span at; /* without a source: no place */
    char *message;
    char *hint; /* or NULL */
};

struct look {
    struct diag *diag;
    struct library *library;
    GHashTable *seen;
    GHashTable *models; /* name, backend and form → struct model */
    GArray *refusals;   /* of struct refusal */
    bool refused;       /* the cell that is being looked at */
};

/* Whether a question is new; takes its key over. */
static bool is_new(struct look *look, char *key)
{
    return g_hash_table_add(look->seen, key);
}

static void look_at_backend(struct look *look, const struct config *config)
{
    const char *backend = config_string(config, FIELD_BACKEND);
    if (!is_new(look, g_strdup_printf("backend %s", backend)))
        return;
    g_autoptr(GError) error = NULL;
    const struct backend *found = backend_find(backend, &error);
    g_auto(GStrv) argv = found ? backend_command(found, &error) : NULL;
    if (argv)
        return;
    const struct diag_span *at = config_place(config, FIELD_BACKEND);
    diag_add(look->diag, DIAG_WARNING, at, "%s", error->message);
    if (!at)
        diag_hint(look->diag, "the file names no backend, so it is %s; `llem engine list` shows those that are here",
                  backend);
}

static void refusal_clear(void *data)
{
    struct refusal *refusal = data;
    g_free(refusal->message);
    g_free(refusal->hint);
}

/* The cell cannot be run. Takes the message over. */
static void refuse(struct look *look, const struct diag_span *at, char *message, const char *hint)
{
    struct refusal refusal = {at ? *at : (struct diag_span){0}, message, g_strdup(hint)};
    look->refused = true;
    if (is_new(look, g_strdup_printf("refused %s", message)))
        g_array_append_val(look->refusals, refusal);
    else
        refusal_clear(&refusal);
}

static void report_refusals(const struct look *look, bool hopeless)
{
    for (size_t i = 0; i < look->refusals->len; i++) {
        const struct refusal *r = &g_array_index(look->refusals, struct refusal, i);
        diag_add(look->diag, hopeless ? DIAG_ERROR : DIAG_WARNING, r->at.source ? &r->at : NULL, "%s", r->message);
        if (r->hint)
            diag_hint(look->diag, "%s", r->hint);
    }
}

/* The engine of a cell; NULL where it is not there, which look_at_backend() says. */
static const struct backend *backend_of(const struct config *config)
{
    return backend_find(config_string(config, FIELD_BACKEND), NULL);
}

/* The option that sets the context of an adapter that otherwise sizes it by the longest request; NULL where it is set,
 * or the engine sizes it in another way. */
static const struct backend_option *unset_context(const struct config *config)
{
    const struct backend *backend = backend_of(config);
    const struct backend_context *context = backend ? backend_context(backend) : NULL;
    const struct backend_option *const *options;
    if (!context || !context->rounds_to || !backend_role(backend, ROLE_CONTEXT, &options))
        return NULL;
    return config_value_at(config, options[0]->path) ? NULL : options[0];
}

/* Such an adapter refuses a context longer than the model was trained for. */
static void look_at_length(struct look *look, const struct config *config, int64_t trained)
{
    const struct backend_option *option = unset_context(config);
    int64_t input = config_int(config, FIELD_MAX_INPUT_TOKENS), output = config_int(config, FIELD_MAX_OUTPUT_TOKENS);
    if (!option || trained == 0 || input + output - 1 <= trained)
        return;
    g_autofree char *hint = g_strdup_printf("lower one of them, or set %s to go beyond what it was trained for", option->path);
    char *message = g_strdup_printf(
        "max_input_tokens %" G_GINT64_FORMAT " and max_output_tokens %" G_GINT64_FORMAT " need %" G_GINT64_FORMAT
        " positions; %s was trained for %" G_GINT64_FORMAT,
        input, output, input + output - 1, config_string(config, FIELD_MODEL), trained);
    refuse(look, config_place(config, FIELD_MAX_OUTPUT_TOKENS), message, hint);
}

static void model_free(void *data)
{
    struct model *model = data;
    g_clear_error(&model->error);
    g_free(model);
}

static struct model *model_read(const struct config *config)
{
    struct model *model = g_new0(struct model, 1);
    g_auto(workload_resolved) resolved = {0};
    g_auto(workload_facts) facts = {0};
    if (work_model(config, &resolved, &model->error) && resolved.format == WORKLOAD_FORMAT_GGUF && resolved.path &&
        workload_facts_read(resolved.path, &facts, &model->error))
        model->context_length = facts.context_length;
    return model;
}

static const struct model *model_of(struct look *look, const struct config *config)
{
    const struct backend *backend = backend_of(config);
    const char *const forms[] = {"precision", backend ? backend_model(backend)->quantization : NULL};
    g_autoptr(GString) key = g_string_new(config_string(config, FIELD_MODEL));
    g_string_append_printf(key, "\n%s", config_string(config, FIELD_BACKEND));
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        const char *form = forms[i] ? json_string_value(config_value_at(config, forms[i])) : NULL;
        g_string_append_printf(key, "\n%s", form ? form : "");
    }
    struct model *model = g_hash_table_lookup(look->models, key->str);
    if (!model) {
        model = model_read(config);
        g_hash_table_insert(look->models, g_strdup(key->str), model);
    }
    return model;
}

/* The field that a message begins with has its own place; else it is the model's. */
static const struct diag_span *place_of_message(const struct config *config, const char *message)
{
    g_autofree char *field = g_strndup(message, strcspn(message, ":"));
    const struct diag_span *at = config_place_at(config, field);
    return at ? at : config_place(config, FIELD_MODEL);
}

/* A form that has to be got first skips its cells, and a hub's name is no mistake for engines that take it. */
static void look_at_model(struct look *look, const struct config *config)
{
    const struct model *model = model_of(look, config);
    if (!model->error) {
        look_at_length(look, config, model->context_length);
        return;
    }
    const char *message = model->error->message;
    const struct diag_span *at = place_of_message(config, message);
    const struct backend *backend = backend_of(config);
    if (!backend || backend_model(backend)->takes != BACKEND_TAKES_GGUF ||
        g_error_matches(model->error, LLEM_ERROR, LLEM_ERROR_MISSING))
        diag_add(look->diag, DIAG_WARNING, at, "%s", message);
    else
        refuse(look, at, g_strdup(message), NULL);
}

/* Threads of one step spin while they wait for each other: more of them than processors take turns at spinning. */
static void look_at_threads(struct look *look, const struct config *config)
{
    const struct backend *backend = backend_of(config);
    const struct backend_option *const *options;
    size_t n_options = backend ? backend_role(backend, ROLE_THREADS, &options) : 0;
    int64_t most = g_get_num_processors();
    for (size_t i = 0; i < n_options; i++) {
        const char *path = options[i]->path;
        const struct diag_span *at = config_place_at(config, path); /* none: it follows from another */
        int64_t n = json_integer_value(config_value_at(config, path));
        if (!at || n <= most || !is_new(look, g_strdup_printf("threads %s %" G_GINT64_FORMAT, path, n)))
            continue;
        diag_add(look->diag, DIAG_WARNING, at, "%s: %" G_GINT64_FORMAT " is more than the %" G_GINT64_FORMAT
                 " processor%s that llem may use here", path, n, most, most == 1 ? "" : "s");
        diag_hint(look->diag, "the threads will wait for each other: the figures will be slower and scatter");
    }
}

/* The folder that is there already on the way to one that may not be. New string. */
static char *nearest_folder(const char *path)
{
    char *at = g_canonicalize_filename(path, NULL);
    while (access(at, F_OK) != 0 && errno == ENOENT && strcmp(at, "/")) {
        char *parent = g_path_get_dirname(at);
        g_free(at);
        at = parent;
    }
    return at;
}

static void look_at_results(struct look *look, const struct config *config, const char *results)
{
    g_autofree char *folder = nearest_folder(results);
    const char *why = NULL;
    if (access(folder, F_OK) != 0)
        why = g_strerror(errno);
    else if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        why = g_strerror(ENOTDIR);
    else if (access(folder, W_OK | X_OK) != 0)
        why = g_strerror(errno);
    bool own = config_has(config, FIELD_OUTPUT_DIR) && !strcmp(config_string(config, FIELD_OUTPUT_DIR), results);
    if (!why)
        return;
    diag_add(look->diag, DIAG_ERROR, own ? config_place(config, FIELD_OUTPUT_DIR) : NULL,
             "results cannot be written to %s: %s: %s", results, folder, why);
    diag_hint(look->diag, "name another folder with  llem run -o DIR  or  output_dir");
}

static void look_at_data(struct look *look, const struct config *config)
{
    int64_t warmup = config_bool(config, FIELD_WARMUP_ENABLED) ? config_int(config, FIELD_WARMUP_MAX_PROMPTS) : 0;
    char *key = g_strdup_printf("data %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, config_string(config, FIELD_DATASET),
                                config_int(config, FIELD_N), warmup);
    if (!is_new(look, key))
        return;
    g_autoptr(GError) error = NULL;
    g_auto(owned_exchange) work = {0};
    const struct diag_span *at = config_place(config, FIELD_DATASET);
    if (!library_work(look->library, config, &work, &error))
        diag_add(look->diag, DIAG_ERROR, at ? at : config_place(config, FIELD_N), "%s", error->message);
}

/* Why a meter that was asked for one source shows no energy, or NULL when some source does. Borrowed. */
static const char *without_energy(const struct meter *meter)
{
    const char *reason = "it offers nothing";
    for (size_t i = 0; i < meter_source_count(meter); i++)
        if (meter_source_at(meter, i)->asked && meter_source_at(meter, i)->reason)
            reason = meter_source_at(meter, i)->reason;
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        if (c->kind != METER_ENERGY && c->kind != METER_POWER_INSTANT && c->kind != METER_POWER_AVERAGE)
            continue;
        if (c->status != QUANTITY_ABSENT)
            return NULL;
        reason = c->reason ? c->reason : reason;
    }
    return reason;
}

/* energy.backend: auto. A sensor whose coverage is not known never answers for a run unasked. */
static void look_at_any_sensor(struct look *look, const struct config *config)
{
    g_autofree const char **sources = meter_sources_asked(NULL, SOURCE_ANSWERS);
    g_autoptr(meter_handle) meter = meter_open(&(struct meter_options){.sources = sources}, NULL);
    if (!meter || !without_energy(meter))
        return;
    diag_add(look->diag, DIAG_WARNING, config_place(config, FIELD_ENERGY_BACKEND),
             "no energy sensor was found on this machine: energy will be absent");
    diag_hint(look->diag, "`llem meter` says what each source lacks; energy.modelled: true adds a modelled value");
}

static void look_at_sensors(struct look *look, const struct config *config)
{
    const char *source = config_string(config, FIELD_ENERGY_BACKEND);
    bool modelled = config_has(config, FIELD_ENERGY_MODELLED) && config_bool(config, FIELD_ENERGY_MODELLED);
    if (!strcmp(source, SOURCE_NONE) || !is_new(look, g_strdup_printf("sensor %s %d", source, modelled)))
        return;
    if (!strcmp(source, SOURCE_AUTO)) {
        if (!modelled)
            look_at_any_sensor(look, config);
        return;
    }
    g_autoptr(GError) error = NULL;
    const char *const sources[] = {source, NULL};
    g_autoptr(meter_handle) meter = meter_open(&(struct meter_options){.sources = sources}, &error);
    const char *reason = meter ? without_energy(meter) : error->message;
    if (!reason)
        return;
    diag_add(look->diag, DIAG_WARNING, config_place(config, FIELD_ENERGY_BACKEND),
             "energy.backend: %s measures nothing here (%s): energy will be %s", source, reason,
             quantity_status_name(modelled ? QUANTITY_MODELLED : QUANTITY_ABSENT));
    diag_hint(look->diag, "`llem meter` lists the sensors; energy.backend: auto takes those that are here");
}

static void look_at_cell(struct look *look, const struct config *config)
{
    look->refused = false;
    look_at_backend(look, config);
    look_at_model(look, config);
    look_at_threads(look, config);
    look_at_data(look, config);
    look_at_sensors(look, config);
}

void study_preflight(const struct plan *plan, const char *results_dir, struct diag *diag)
{
    struct look look = {.diag = diag,
                        .library = library_new(),
                        .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                        .models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, model_free),
                        .refusals = g_array_new(FALSE, FALSE, sizeof(struct refusal))};
    g_array_set_clear_func(look.refusals, refusal_clear);
    size_t refused = 0;
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        if (i == 0 && results_dir)
            look_at_results(&look, config, results_dir);
        look_at_cell(&look, config);
        refused += look.refused;
    }
    report_refusals(&look, refused == plan_cells(plan));
    g_array_unref(look.refusals);
    g_hash_table_unref(look.models);
    g_hash_table_unref(look.seen);
    library_free(look.library);
}
