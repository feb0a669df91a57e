/* SPDX-License-Identifier: MIT */
/* The registration of sources, opening them, and reading all their channels as one list. */
#include "meter/source.h"

#include <math.h>
#include <string.h>

/* The rows of base/sources.h, and what their files define. */
static const struct meter_source_row rows[] = {
#define X(name, flags, summary, choice) {#name, summary, flags},
    SOURCE_ROWS(X)
#undef X
};
static const struct meter_ops *const sources[] = {
#define X(name, flags, summary, choice) &meter_##name,
    SOURCE_ROWS(X)
#undef X
};
G_STATIC_ASSERT(G_N_ELEMENTS(rows) == G_N_ELEMENTS(sources));

struct meter {
    char *sysroot;
    struct meter_source *open[G_N_ELEMENTS(sources)]; /* NULL: not open */
    struct meter_source_state states[G_N_ELEMENTS(sources)];
    size_t offset[G_N_ELEMENTS(sources)]; /* of a source's first channel in the list of all */
    size_t channel_count;
};

const struct meter_source_row *meter_source_row_at(size_t index)
{
    return index < G_N_ELEMENTS(rows) ? &rows[index] : NULL;
}

const struct meter_source_row *meter_source_row_with(unsigned flags)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].flags & flags)
            return &rows[i];
    return NULL;
}

const char **meter_sources_asked(const char *named, unsigned flags)
{
    const char **list = g_new0(const char *, G_N_ELEMENTS(rows) + 2);
    size_t n = 0;
    if (named && !strcmp(named, SOURCE_AUTO))
        flags |= SOURCE_BY_AUTO;
    else if (named && strcmp(named, SOURCE_NONE) != 0)
        list[n++] = named;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].flags & flags)
            list[n++] = rows[i].name;
    return list;
}

static bool has_flags(const char *name, unsigned flags)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].flags & flags;
    return false;
}

static void filter_sources(const char **list, unsigned flags, bool keep)
{
    const char **to = list;
    for (; *list; list++)
        if (has_flags(*list, flags) == keep)
            *to++ = *list;
    *to = NULL;
}

void meter_sources_drop(const char **list, unsigned flags)
{
    filter_sources(list, flags, false);
}

void meter_sources_keep(const char **list, unsigned flags)
{
    filter_sources(list, flags, true);
}

/* --- classes and scopes --------------------------------------------------------------------------------------------- */

const struct meter_class *meter_class_at(size_t index)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        for (const struct meter_class *c = sources[i]->classes; c && c->name; c++)
            if (index-- == 0)
                return c;
    return NULL;
}

const struct meter_class *meter_class_find(const char *name)
{
    const struct meter_class *c;
    for (size_t i = 0; name && (c = meter_class_at(i)); i++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static const struct meter_scope unknown = {
    .device = METER_DEVICE_OTHER,
    .preference = METER_COUNTS_IF_NAMED,
    .outside = "not known to llem: the documentation of the sensor says what it covers",
};

/* NULL: no row of that name. */
static const struct meter_scope *scope_among(const struct meter_scope *rows_of, const char *name)
{
    for (; rows_of && rows_of->name; rows_of++)
        if (!strcmp(rows_of->name, name))
            return rows_of;
    return NULL;
}

const struct meter_scope *meter_scope_find(const char *name)
{
    const struct meter_scope *found = scope_among(meter_scopes, name);
    for (size_t i = 0; !found && i < G_N_ELEMENTS(sources); i++)
        found = scope_among(sources[i]->scopes, name);
    return found ? found : &unknown;
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

const char *meter_sysroot(const struct meter *meter)
{
    return meter->sysroot;
}

static bool check_names(const char *const *names, GError **error)
{
    for (; names && *names; names++) {
        bool known = false;
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
            known |= !strcmp(rows[i].name, *names);
        if (!known) {
            g_autoptr(GString) all = g_string_new(NULL);
            for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                g_string_append_printf(all, "%s%s", i ? ", " : "", rows[i].name);
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "no meter source '%s'; there are: %s", *names, all->str);
            return false;
        }
    }
    return true;
}

static bool open_source(struct meter *meter, size_t index, const struct meter_context *context, GError **error)
{
    const struct meter_ops *ops = sources[index];
    struct meter_source_state *state = &meter->states[index];
    char *reason = NULL;
    if (!state->asked) {
        state->reason = g_strdup(state->row->flags & SOURCE_BY_AUTO ? "not asked for"
                                                                   : "opt-in: used only when it is asked for by name");
        return true;
    }
    if (!ops->probe(context, &reason)) {
        state->reason = reason ? reason : g_strdup("not present");
        return true;
    }
    GError *failure = NULL;
    struct meter_source *source = ops->open(context, &reason, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    if (!source) {
        state->reason = reason ? reason : g_strdup("it offers nothing");
        return true;
    }
    g_free(reason);
    meter->open[index] = source;
    state->open = true;
    state->reason = g_strdup(source->remark);
    return true;
}

struct meter *meter_open(const struct meter_options *options, GError **error)
{
    static const struct meter_options defaults;
    if (!options)
        options = &defaults;
    if (!check_names(options->sources, error))
        return NULL;
    struct meter *meter = g_new0(struct meter, 1);
    const char *root = options->sysroot ? options->sysroot : g_getenv("LLEM_SYSROOT");
    meter->sysroot = g_strdup(root ? root : "");
    struct meter_context context = {.options = options, .sysroot = meter->sysroot};
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        const struct meter_source_row *row = &rows[i];
        meter->states[i].row = row;
        meter->states[i].asked = options->sources ? g_strv_contains(options->sources, row->name)
                                                 : (row->flags & SOURCE_BY_AUTO) != 0;
        if (!open_source(meter, i, &context, error)) {
            g_prefix_error(error, "%s: ", row->name);
            meter_close(meter);
            return NULL;
        }
        meter->offset[i] = meter->channel_count;
        if (meter->open[i])
            meter->channel_count += meter->open[i]->channels->len;
    }
    return meter;
}

void meter_close(struct meter *meter)
{
    if (!meter)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        if (meter->open[i])
            source_free(meter->open[i]);
        g_free((gpointer)(uintptr_t)meter->states[i].reason);
    }
    g_free(meter->sysroot);
    g_free(meter);
}

size_t meter_source_count(const struct meter *meter)
{
    return G_N_ELEMENTS(meter->states);
}

const struct meter_source_state *meter_source_at(const struct meter *meter, size_t index)
{
    return &meter->states[index];
}

size_t meter_channel_count(const struct meter *meter)
{
    return meter->channel_count;
}

static size_t source_of(const struct meter *meter, size_t channel)
{
    size_t at = G_N_ELEMENTS(sources) - 1;
    while (channel < meter->offset[at] || !meter->open[at])
        at--;
    return at;
}

const struct meter_channel *meter_channel_at(const struct meter *meter, size_t index)
{
    g_return_val_if_fail(index < meter->channel_count, NULL);
    size_t at = source_of(meter, index);
    return source_channel(meter->open[at], index - meter->offset[at]);
}

ssize_t meter_channel_find(const struct meter *meter, const char *id)
{
    for (size_t i = 0; i < meter->channel_count; i++)
        if (!strcmp(meter_channel_at(meter, i)->id, id))
            return (ssize_t)i;
    return -1;
}

void meter_read(struct meter *meter, unsigned rates, struct meter_reading *readings)
{
    if (!meter->channel_count)
        return;
    memset(readings, 0, meter->channel_count * sizeof *readings);
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (meter->open[i])
            meter->open[i]->ops->read(meter->open[i], rates, readings + meter->offset[i]);
}

void meter_read_one(struct meter *meter, size_t channel, struct meter_reading *ret)
{
    size_t at = source_of(meter, channel), own = channel - meter->offset[at];
    struct meter_source *source = meter->open[at];
    *ret = (struct meter_reading){0};
    if (source_channel(source, own)->status != QUANTITY_ABSENT)
        source->ops->read_one(source, own, ret);
}

void meter_set_engine_pids(struct meter *meter, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (meter->open[i] && meter->open[i]->ops->set_pids)
            meter->open[i]->ops->set_pids(meter->open[i], pids, count);
}

double meter_cpu_temperature(const char *sysroot)
{
    const struct meter_context context = {.sysroot = sysroot};
    double found = NAN;
    for (size_t i = 0; isnan(found) && i < G_N_ELEMENTS(sources); i++)
        if (sources[i]->cpu_temperature)
            found = sources[i]->cpu_temperature(&context);
    return found;
}

/* --- GPUs ----------------------------------------------------------------------------------------------------------------- */

bool meter_source_has_facts(const struct meter *meter, size_t index)
{
    return meter->open[index] && sources[index]->facts;
}

json_t *meter_gpu_facts(struct meter *meter)
{
    const char *reason = "no source of GPU facts is open";
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        if (meter_source_has_facts(meter, i))
            return sources[i]->facts(meter->open[i]);
        if (sources[i]->facts && meter->states[i].reason)
            reason = meter->states[i].reason;
    }
    json_t *tree = json_object();
    json_object_set_new(tree, "absent", json_string(reason));
    return tree;
}

static bool has_device(struct meter_source *source, const char *device)
{
    for (size_t i = 0; i < source->channels->len; i++)
        if (!strcmp(source_channel(source, i)->device, device))
            return true;
    return false;
}

GArray *meter_gpu_boards(const struct meter *meter)
{
    GArray *boards = g_array_new(FALSE, FALSE, sizeof(struct meter_gpu_board));
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (meter->open[i] && sources[i]->boards)
            sources[i]->boards(meter->open[i], boards);
    return boards;
}

const char *meter_gpu_reason(const struct meter *meter)
{
    const char *reason = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i]->boards && meter->states[i].reason)
            reason = meter->states[i].reason;
    return reason ? reason : "no source of GPUs is open";
}

void meter_gpu_visible(const struct meter *meter, struct meter_gpu_visible *ret)
{
    *ret = (struct meter_gpu_visible){.boards = g_ptr_array_new()};
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        const char *value = sources[i]->variable ? g_getenv(sources[i]->variable) : NULL;
        if (!meter->open[i] || !value)
            continue;
        g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(struct meter_gpu_board));
        sources[i]->boards(meter->open[i], own);
        sources[i]->visible(own, value, ret);
        ret->variable = sources[i]->variable;
    }
}

void meter_gpu_visible_clear(struct meter_gpu_visible *visible)
{
    g_clear_pointer(&visible->boards, g_ptr_array_unref);
}

char **meter_gpu_settings(const char *const *boards)
{
    g_autofree char *list = g_strjoinv(",", (char **)(uintptr_t)boards);
    GPtrArray *settings = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i]->variable)
            g_ptr_array_add(settings, g_strconcat(sources[i]->variable, "=", list, NULL));
    g_ptr_array_add(settings, NULL);
    return (char **)g_ptr_array_free(settings, FALSE);
}

static bool set_no_board(const char *uuid, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "no GPU %s here; 'llem meter list' names the ones there are", uuid);
    return false;
}

bool meter_gpu_memory(struct meter *meter, const char *uuid, struct meter_gpu_memory *ret, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (meter->open[i] && sources[i]->memory && has_device(meter->open[i], uuid))
            return sources[i]->memory(meter->open[i], uuid, ret, error);
    return set_no_board(uuid, error);
}

bool meter_gpu_use(struct meter *meter, const char *uuid, struct meter_gpu_use *ret, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
        if (meter->open[i] && sources[i]->use && has_device(meter->open[i], uuid))
            return sources[i]->use(meter->open[i], uuid, ret, error);
    return set_no_board(uuid, error);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------ */

static void set_text(json_t *tree, const char *key, const char *text)
{
    json_object_set_new(tree, key, text ? json_string(text) : json_null());
}

json_t *meter_json(const struct meter *meter)
{
    json_t *tree = json_object(), *list = json_array(), *channels = json_array();
    for (size_t i = 0; i < meter_source_count(meter); i++) {
        const struct meter_source_state *state = &meter->states[i];
        json_t *row = json_object();
        set_text(row, "name", state->row->name);
        set_text(row, "summary", state->row->summary);
        json_object_set_new(row, "opt_in", json_boolean(!(state->row->flags & SOURCE_BY_AUTO)));
        json_object_set_new(row, "asked", json_boolean(state->asked));
        json_object_set_new(row, "open", json_boolean(state->open));
        set_text(row, "reason", state->reason);
        json_array_append_new(list, row);
    }
    for (size_t i = 0; i < meter->channel_count; i++)
        json_array_append_new(channels, meter_channel_json(meter_channel_at(meter, i)));
    json_object_set_new(tree, "sources", list);
    json_object_set_new(tree, "channels", channels);
    return tree;
}
