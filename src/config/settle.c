/* SPDX-License-Identifier: MIT */
/* What values mean for one another: presets, values that follow from others, values that replace others, and fields
 * that have no meaning. */
#include "config/internal.h"

#include <string.h>

/* --- Values that follow from others ---------------------------------------------------------------------------- */

static bool is_default(const struct config *config, size_t field)
{
    return config->values[field]->layer == LAYER_DEFAULT;
}

static void expand_preset(struct config *config)
{
    const char *preset = json_string_value(config->values[FIELD_DECODER_PRESET]->json);
    if (!preset)
        return;
    for (const struct shared_preset *row = config_presets; row->preset; row++)
        if (!strcmp(row->preset, preset) && is_default(config, row->field))
            config_derive(config, row->field, jsonx_parse(row->value, -1, row->preset, NULL),
                   config_shared_rows[FIELD_DECODER_PRESET].path);
}

/* What it follows may follow another in its turn: no descriptor goes in a circle. */
static void follow_option(struct config *config, size_t field)
{
    size_t other = config->table->info[field].follows;
    if (other == NO_FIELD || config->table->rows[field].engine != config->engine || !is_default(config, field))
        return;
    follow_option(config, other);
    if (value_is_set(config->values[other]))
        config_derive(config, field, json_incref(config->values[other]->json), config->table->info[field].follows_note);
}

static void follow_shared(struct config *config)
{
    expand_preset(config);
    bool hot = json_real_value(config->values[FIELD_DECODER_TEMPERATURE]->json) > 0;
    if (hot && is_default(config, FIELD_DECODER_DO_SAMPLE))
        config_derive(config, FIELD_DECODER_DO_SAMPLE, json_true(), "follows decoder.temperature");
}

static void follow_options(struct config *config)
{
    for (size_t i = CONFIG_SHARED_FIELDS; i < config->table->n; i++)
        follow_option(config, i);
}

/* --- Values that replace others: the one from the higher layer stands ------------------------------------------- */

static bool names_the_file(const struct config *config, size_t option)
{
    const char *quantization = backend_model(config->engine)->quantization;
    return quantization && !strcmp(quantization, config->table->rows[option].path);
}

/* The value of the replaced field that means the same as the option's, or NULL. */
static const char *meaning_of(const struct config *config, size_t option)
{
    const char *text = json_string_value(config->values[option]->json);
    for (const struct backend_choice *c = config->table->rows[option].choices; text && c && c->name; c++)
        if (!strcmp(c->name, text))
            return c->means;
    return NULL;
}

/* The engine's own word for a value of the shared field is that value: two spellings of one experiment. */
static void translate(struct config *config, size_t option, size_t field, const char *means)
{
    const struct config_value *chosen = config->values[option];
    struct config_value *value = value_make(json_string(means), chosen->layer, chosen->note);
    const char *path = config->table->rows[option].path;
    value->at = chosen->at;
    value->written_as = g_strdup_printf("%s: %s", path, json_string_value(chosen->json));
    config->values[field] = value;
    config_derive(config, option, json_null(), config->table->rows[field].path);
    g_ptr_array_add(config->derived, value);
}

static bool settle_pair(struct config *config, size_t option, size_t field, struct diag *diag)
{
    const struct config_value *chosen = config->values[option], *replaced = config->values[field];
    const char *means = meaning_of(config, option);
    bool same = means && !g_strcmp0(means, json_string_value(replaced->json));
    if (means && (same || replaced->layer <= LAYER_DERIVED || replaced->layer < chosen->layer)) {
        translate(config, option, field, means);
        return true;
    }
    if (!value_is_set(chosen) || replaced->layer <= LAYER_DERIVED || replaced->layer < chosen->layer)
        return true;
    const struct config_field *rows = config->table->rows;
    if (replaced->layer > chosen->layer) {
        config_derive(config, option, json_null(), rows[field].path);
        return true;
    }
    g_autofree char *a = config_plain_words(chosen->canonical), *b = config_plain_words(replaced->canonical);
    diag_add(diag, DIAG_ERROR, value_place(chosen), "%s: %s and %s: %s exclude each other", rows[option].path, a,
             rows[field].path, b);
    diag_hint(diag, "%skeep one of them", names_the_file(config, option) ? "each names the file of the model; " : "");
    return false;
}

static bool settle_pairs(struct config *config, struct diag *diag)
{
    bool ok = true;
    const struct config_table *table = config->table;
    for (size_t i = CONFIG_SHARED_FIELDS; i < table->n; i++)
        if (table->info[i].replaces != NO_FIELD && table->rows[i].engine == config->engine)
            ok = settle_pair(config, i, table->info[i].replaces, diag) && ok;
    return ok;
}

/* --- What applies ------------------------------------------------------------------------------------------------ */

/* A GGUF file holds what it holds: a precision that nobody wrote would be a label that may be wrong. One that was
 * written is held against the file before anything runs. */
static bool is_of_the_file(const struct config *config, size_t field)
{
    const struct backend_model *model = backend_model(config->engine);
    return field == FIELD_PRECISION && model->takes == BACKEND_TAKES_GGUF && model->precision == BACKEND_PICKS_FILE &&
           config->values[FIELD_MODEL]->file && config->values[field]->layer <= LAYER_DERIVED;
}

static bool gates_open(const struct config *config, const struct field_info *info)
{
    for (size_t g = 0; g < info->n_gates; g++) {
        const struct gate *gate = &info->gates[g];
        if (gate->engine && gate->engine != config->engine)
            continue;
        if (!config_condition_holds(&gate->condition, config->values[gate->field]->canonical))
            return false;
    }
    return true;
}

static bool applies(const struct config *config, size_t i)
{
    const struct config_field *row = &config->table->rows[i];
    if (row->engine ? row->engine != config->engine : (row->flags & CONFIG_STUDY) != 0)
        return false;
    return value_is_set(config->values[i]) && gates_open(config, &config->table->info[i]) &&
           !is_of_the_file(config, i);
}

/* Which GPUs, and what is in their memory, is no question of a run that uses none. */
static void drop_gpu_fields(struct config *config)
{
    for (size_t i = 0; i < config->table->n; i++)
        if (config->table->rows[i].flags & CONFIG_GPU)
            config->applies[i] = false;
}

bool config_settle(struct config *config, struct diag *diag)
{
    const char *name = json_string_value(config->values[FIELD_BACKEND]->json);
    config->engine = table_engine(config->table, name);
    if (!config->engine) {
        diag_add(diag, DIAG_ERROR, value_place(config->values[FIELD_BACKEND]), "backend: the engine %s cannot be used",
                 name);
        return false;
    }
    follow_shared(config);
    bool ok = config_load_settle(config, diag);
    follow_options(config);
    ok = settle_pairs(config, diag) && ok;
    for (size_t i = 0; i < config->table->n; i++)
        config->applies[i] = applies(config, i);
    if (config_gpu_need(config) == CONFIG_GPU_NONE)
        drop_gpu_fields(config);
    return ok;
}

/* --- Words -------------------------------------------------------------------------------------------------------- */

static char *gate_words(const struct gate *gate)
{
    const struct backend_condition *c = &gate->condition;
    if (c->n == 0)
        return g_strdup_printf("%s is set", c->field);
    GString *out = g_string_new(c->field);
    for (size_t i = 0; i < c->n; i++) {
        bool null = !strcmp(c->values[i], "null");
        g_autofree char *value = null ? g_strdup("set") : config_plain_words(c->values[i]);
        bool negated = c->negated != null; /* what is null is not set */
        g_string_append_printf(out, "%s%s%s", i == 0 ? " is " : " or ", i == 0 && negated ? "not " : "", value);
    }
    return g_string_free(out, FALSE);
}

char *gates_describe(const struct field_info *info)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < info->n_gates; i++) {
        g_autofree char *words = gate_words(&info->gates[i]);
        g_string_append_printf(out, "%s%s", i ? " and " : "", words);
    }
    return g_string_free(out, FALSE);
}

/* --- Values without an effect ----------------------------------------------------------------------------------- */

/* An option that was taken as the shared field it means. */
static bool is_translated(const struct config *config, size_t option)
{
    size_t field = config->table->info[option].replaces;
    const char *from = field == NO_FIELD ? NULL : config->values[field]->written_as;
    g_autofree char *path = g_strconcat(config->table->rows[option].path, ":", NULL);
    return from && g_str_has_prefix(from, path);
}

void config_mark_used(const struct config *config, bool *used)
{
    for (size_t i = 0; i < config->table->n; i++)
        used[i] |= config->applies[i] || is_translated(config, i);
}

void config_file_warn_unused(const struct config_file *file, const bool *used, struct diag *diag)
{
    const struct config_table *table = file->table;
    for (size_t i = 0; i < table->n; i++) {
        const struct config_value *value = file->layers.values[i];
        if (used[i] || value->layer < LAYER_FILE || !value_is_set(value) || (table->rows[i].flags & CONFIG_STUDY))
            continue;
        if (value->layer == LAYER_ENVIRONMENT && table->rows[i].engine)
            continue; /* a variable of an engine stands for every study */
        g_autofree char *words = gates_describe(&table->info[i]);
        diag_add(diag, DIAG_WARNING, value_place(value), "%s has no effect here", table->rows[i].path);
        if (*words)
            diag_hint(diag, "it has one while %s", words);
        else if (table->rows[i].flags & CONFIG_GPU)
            diag_hint(diag, "it has one in runs that use a GPU");
    }
}
