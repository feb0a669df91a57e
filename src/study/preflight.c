/* SPDX-License-Identifier: MIT */
/* What would only be found out while a study runs, looked at before: adapters, models, data sets, sensors. Each
 * distinct thing once, however many cells ask for it. */
#include "study/study.h"

#include "engine/engine.h"
#include "meter/meter.h"
#include "study/work.h"
#include "workload/workload.h"

#include <string.h>

struct look {
    struct diag *diag;
    const char *engines_dir;
    enum diag_severity hopeless; /* of what one cell cannot do: a warning where others are left */
    struct library *library;
    GHashTable *seen;
};

/* Whether a question is new; takes its key over. */
static bool is_new(struct look *look, char *key)
{
    return g_hash_table_add(look->seen, key);
}

static void look_at_backend(struct look *look, const struct config *config)
{
    const char *backend = config_string(config, "backend");
    if (!is_new(look, g_strdup_printf("backend %s", backend)))
        return;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = engine_find(backend, look->engines_dir, &error);
    if (argv)
        return;
    const struct diag_span *at = config_place(config, "backend");
    diag_add(look->diag, DIAG_WARNING, at, "%s", error->message);
    if (!at)
        diag_hint(look->diag, "the file names no backend, so it is %s; `llem engine list` shows those that are here",
                  backend);
}

/* A context longer than the model was trained for is refused by the adapter, unless n_ctx asks for it. */
static void look_at_length(struct look *look, const struct config *config, const char *path)
{
    int64_t input = config_int(config, "max_input_tokens"), output = config_int(config, "max_output_tokens");
    if (strcmp(config_string(config, "backend"), "llamacpp") || config_has(config, "llamacpp.n_ctx") ||
        !is_new(look, g_strdup_printf("length %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, path, input, output)))
        return;
    g_auto(workload_facts) facts = {0};
    if (!workload_facts_read(path, &facts, NULL) || facts.context_length == 0 ||
        input + output - 1 <= facts.context_length)
        return;
    diag_add(look->diag, look->hopeless, config_place(config, "max_output_tokens"),
             "max_input_tokens %" G_GINT64_FORMAT " and max_output_tokens %" G_GINT64_FORMAT " need %" G_GINT64_FORMAT
             " positions; %s was trained for %" G_GINT64_FORMAT,
             input, output, input + output - 1, config_string(config, "model"), facts.context_length);
    diag_hint(look->diag, "lower one of them, or set llamacpp.n_ctx to go beyond what it was trained for");
}

static void look_at_model(struct look *look, const struct config *config)
{
    g_autoptr(GError) error = NULL;
    g_auto(workload_resolved) model = {0};
    bool found = work_model(config, &model, &error);
    if (found && model.path)
        look_at_length(look, config, model.path);
    if (found || !is_new(look, g_strdup_printf("model %s", error->message)))
        return;
    diag_add(look->diag, DIAG_WARNING, config_place(config, "model"), "%s", error->message);
}

static void look_at_data(struct look *look, const struct config *config)
{
    int64_t warmup = config_bool(config, "warmup.enabled") ? config_int(config, "warmup.max_prompts") : 0;
    char *key = g_strdup_printf("data %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, config_string(config, "dataset"),
                                config_int(config, "n"), warmup);
    if (!is_new(look, key))
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) work = library_work(look->library, config, &error);
    const struct diag_span *at = config_place(config, "dataset");
    if (!work)
        diag_add(look->diag, DIAG_ERROR, at ? at : config_place(config, "n"), "%s", error->message);
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

/* energy.backend: auto. What hwmon covers is not known, so it never answers for a run unasked. */
static void look_at_any_sensor(struct look *look, const struct config *config)
{
    static const char *const sources[] = {"nvml", "rapl", NULL};
    g_autoptr(meter_handle) meter = meter_open(&(struct meter_options){.sources = sources}, NULL);
    if (!meter || !without_energy(meter))
        return;
    diag_add(look->diag, DIAG_WARNING, config_place(config, "energy.backend"),
             "no energy sensor was found on this machine: energy will be absent");
    diag_hint(look->diag, "`llem meter` says what each source lacks; energy.modelled: true adds a modelled value");
}

static void look_at_sensors(struct look *look, const struct config *config)
{
    const char *source = config_string(config, "energy.backend");
    bool modelled = config_has(config, "energy.modelled") && config_bool(config, "energy.modelled");
    if (!strcmp(source, "none") || !is_new(look, g_strdup_printf("sensor %s %d", source, modelled)))
        return;
    if (!strcmp(source, "auto")) {
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
    diag_add(look->diag, DIAG_WARNING, config_place(config, "energy.backend"),
             "energy.backend: %s measures nothing here (%s): energy will be %s", source, reason,
             modelled ? "modelled" : "absent");
    diag_hint(look->diag, "`llem meter` lists the sensors; energy.backend: auto takes those that are here");
}

void study_preflight(const struct plan *plan, const char *engines_dir, struct diag *diag)
{
    struct look look = {.diag = diag,
                        .engines_dir = engines_dir,
                        .hopeless = plan_cells(plan) == 1 ? DIAG_ERROR : DIAG_WARNING,
                        .library = library_new(),
                        .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        look_at_backend(&look, config);
        look_at_model(&look, config);
        look_at_data(&look, config);
        look_at_sensors(&look, config);
    }
    g_hash_table_unref(look.seen);
    library_free(look.library);
}
