/* SPDX-License-Identifier: MIT */
/* How requests reach the engine: one meaning for every engine, which its own options follow or contradict. */
#include "config/internal.h"

/* The modes, and what of an engine's each needs. */
static const struct load_mode {
    enum config_load mode;
    enum backend_modes needs;
    const char *lacks; /* what an engine without it does */
} load_modes[] = {
    {CONFIG_LOAD_OFFLINE, BACKEND_MODE_BATCH, "takes no batches"},
    {CONFIG_LOAD_BATCH, BACKEND_MODE_BATCH, "takes no batches"},
    {CONFIG_LOAD_SEQUENTIAL, BACKEND_MODE_BATCH, "takes no batches"},
    {CONFIG_LOAD_CLOSED_LOOP, BACKEND_MODE_IN_FLIGHT, "begins the requests of a batch together: none joins those under way"},
};

static int64_t size_of(const struct config *config)
{
    return MAX(1, json_integer_value(config->values[FIELD_LOAD_SIZE]->json));
}

/* Requests that the mode lets the engine have at once. */
static int64_t at_once(const struct config *config, enum config_load mode)
{
    switch (mode) {
    case CONFIG_LOAD_OFFLINE: return json_integer_value(config->values[FIELD_N]->json);
    case CONFIG_LOAD_SEQUENTIAL: return 1;
    default: return size_of(config);
    }
}

/* The one option of a role; NO_FIELD: there is none, or its value comes of several. */
static size_t option_of(const struct config *config, enum backend_role role)
{
    const struct backend_option *const *options;
    return backend_role(config->engine, role, &options) == 1 ? table_at(config->table, options[0]->path) : NO_FIELD;
}

/* The option is the load in the engine's own words: where nobody wrote it, it is what the load says. Of a limit that
 * is not set the engine has its own idea. */
static bool settle_option(struct config *config, enum backend_role role, enum config_load mode, struct diag *diag)
{
    size_t field = option_of(config, role);
    if (field == NO_FIELD || (role == ROLE_IN_FLIGHT && !value_is_set(config->values[field])))
        return true;
    const struct config_value *value = config->values[field];
    const struct config_field *row = &config->table->rows[field];
    int64_t wanted = at_once(config, mode), has = json_integer_value(value->json);
    if (value->layer <= LAYER_DERIVED) {
        config_derive(config, field, json_integer((json_int_t)MIN((double)wanted, row->max)), "follows load");
        return true;
    }
    bool limit = role == ROLE_IN_FLIGHT;
    if (has == wanted || (limit && (has > wanted || mode == CONFIG_LOAD_OFFLINE)))
        return true;
    const struct config_value *other = config->values[mode == CONFIG_LOAD_OFFLINE || mode == CONFIG_LOAD_SEQUENTIAL
                                                          ? FIELD_LOAD_MODE : FIELD_LOAD_SIZE];
    diag_add(diag, DIAG_ERROR, value_place(value) ? value_place(value) : value_place(other),
             "%s: %" G_GINT64_FORMAT " contradicts load, by which it %s %" G_GINT64_FORMAT " (load.mode is %s)", row->path,
             has, limit ? "is at least" : "is", wanted, config_load_name(mode));
    diag_hint(diag, "leave %s out: it follows load", row->path);
    return false;
}

bool config_load_settle(struct config *config, struct diag *diag)
{
    enum config_load mode = config_load_from_name(json_string_value(config->values[FIELD_LOAD_MODE]->json));
    if (mode == CONFIG_LOAD_UNSET)
        return true;
    bool ok = settle_option(config, ROLE_BATCH, mode, diag);
    return settle_option(config, ROLE_IN_FLIGHT, mode, diag) && ok;
}

bool config_load_is_said(const struct config *config)
{
    int64_t batch;
    const json_t *said = config->applies[FIELD_LOAD_MODE] ? config->values[FIELD_LOAD_MODE]->json : NULL;
    enum config_load mode = config_load_from_name(json_string_value(said));
    bool batches = mode == CONFIG_LOAD_OFFLINE || mode == CONFIG_LOAD_BATCH || mode == CONFIG_LOAD_SEQUENTIAL;
    return batches && config_role_int(config, ROLE_BATCH, &batch) && batch == at_once(config, mode);
}

void config_hint_backend(const struct config *config, struct diag *diag)
{
    if (config->values[FIELD_BACKEND]->layer == LAYER_DEFAULT)
        diag_hint(diag, "the file names no backend, so it is %s", backend_name(config->engine));
}

bool config_load_check(const struct config *config, struct diag *diag)
{
    enum config_load mode = config_load_from_name(json_string_value(config->values[FIELD_LOAD_MODE]->json));
    for (size_t i = 0; i < G_N_ELEMENTS(load_modes); i++) {
        const struct load_mode *row = &load_modes[i];
        if (row->mode != mode || backend_modes(config->engine) & row->needs)
            continue;
        const struct config_value *value = config->values[FIELD_LOAD_MODE];
        const char *engine = backend_name(config->engine);
        diag_add(diag, DIAG_ERROR, value_place(value), "load.mode: %s needs backend to be other than %s, which %s",
                 config_load_name(mode), engine, row->lacks);
        config_hint_backend(config, diag);
        return false;
    }
    return true;
}
