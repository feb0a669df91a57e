/* SPDX-License-Identifier: MIT */
/* The two statements about an engine's options: engine.json, which llem believes, and the schema of what runs here. */
#include "engine/check_suite.h"

#include <math.h>
#include <string.h>

/* --- One statement in the terms of the other -------------------------------------------------------------------- */

static const enum backend_reported_type types[] = {
    [BACKEND_BOOL] = REPORTED_BOOLEAN, [BACKEND_INT] = REPORTED_INTEGER,   [BACKEND_REAL] = REPORTED_NUMBER,
    [BACKEND_TEXT] = REPORTED_STRING,  [BACKEND_CHOICE] = REPORTED_STRING, [BACKEND_SPAN] = REPORTED_LIST,
    [BACKEND_INTS] = REPORTED_LIST,    [BACKEND_REALS] = REPORTED_NUMBERS, [BACKEND_MAP] = REPORTED_MAPPING,
    [BACKEND_LIST] = REPORTED_LIST,  [BACKEND_ANY] = REPORTED_ANY,
};

/* The row of engine.json as an adapter would put it. Its trees are in *keep (new reference). */
static struct backend_reported as_schema(const struct backend_option *row, json_t **keep)
{
    struct backend_reported o = {
        .name = row->name,
        .type = types[row->type],
        .min = row->type == BACKEND_INTS ? -INFINITY : row->min, /* a schema has no range of a list's members */
        .max = row->type == BACKEND_INTS ? INFINITY : row->max,
        .unit = row->unit,
        .help = row->help,
    };
    json_t *choices = row->choices ? json_array() : NULL;
    for (const struct backend_choice *c = row->choices; c && c->name; c++)
        json_array_append_new(choices, json_string(c->name));
    json_t *initial = row->initial ? jsonx_parse(row->initial, -1, row->name, NULL) : json_null();
    *keep = json_object();
    if (choices)
        json_object_set_new(*keep, "choices", choices);
    json_object_set_new(*keep, "initial", initial);
    o.choices = choices;
    o.initial = initial;
    return o;
}

/* --- Words ------------------------------------------------------------------------------------------------------ */

static void append_bounds(GString *out, const struct backend_reported *o)
{
    if (isfinite(o->min) && isfinite(o->max))
        g_string_append_printf(out, " from %.15g to %.15g", o->min, o->max);
    else if (isfinite(o->min))
        g_string_append_printf(out, " from %.15g", o->min);
    else if (isfinite(o->max))
        g_string_append_printf(out, " up to %.15g", o->max);
}

/* "integer from 1 to 512", "string, one of \"q8_0\", \"q4_0\"". New string. */
static char *describe(const struct backend_reported *o)
{
    GString *out = g_string_new(backend_reported_type_name(o->type));
    append_bounds(out, o);
    for (size_t i = 0; i < json_array_size(o->choices); i++) {
        g_autofree char *choice = jsonx_dump(json_array_get(o->choices, i), JSONX_COMPACT);
        g_string_append_printf(out, "%s %s", i ? "," : ", one of", choice);
    }
    if (o->unit)
        g_string_append_printf(out, " (%s)", o->unit);
    return g_string_free(out, FALSE);
}

static char *describe_default(const struct backend_reported *o)
{
    g_autofree char *value = jsonx_dump(o->initial, JSONX_COMPACT);
    return g_strdup_printf("default %s", value);
}

/* --- Comparing -------------------------------------------------------------------------------------------------- */

static bool same_choices(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        bool found = false;
        for (size_t k = 0; k < json_array_size(b) && !found; k++)
            found = json_equal(json_array_get(a, i), json_array_get(b, k));
        if (!found)
            return false;
    }
    return true;
}

/* The schema of an engine that takes anything for an option says nothing of what is sensible. */
static bool same_values(const struct backend_reported *a, const struct backend_reported *b)
{
    if (b->type == REPORTED_ANY)
        return true;
    bool same_unit = !a->unit || !b->unit || !strcmp(a->unit, b->unit);
    return a->type == b->type && a->min <= b->min && a->min >= b->min && a->max <= b->max && a->max >= b->max &&
           same_choices(a->choices, b->choices) && same_unit;
}

static bool same_default(const struct backend_option *row, const struct backend_reported *a,
                         const struct backend_reported *b)
{
    if (!row->initial && row->engine_default) /* the engine's own, whatever it is now: shown, never sent */
        return true;
    if (json_is_number(a->initial) && json_is_number(b->initial))
        return json_number_value(a->initial) <= json_number_value(b->initial) &&
               json_number_value(a->initial) >= json_number_value(b->initial);
    return json_equal(a->initial, b->initial);
}

static void difference_free(void *data)
{
    struct engine_difference *difference = data;
    g_free(difference->ours);
    g_free(difference->theirs);
    g_free(difference);
}

static void add(GPtrArray *all, const struct engine_difference *difference)
{
    g_ptr_array_add(all, g_memdup2(difference, sizeof *difference));
}

static void compare(GPtrArray *all, const struct backend_option *row, const struct backend_reported *installed)
{
    g_autoptr(json_t) keep = NULL;
    struct backend_reported stated = as_schema(row, &keep);
    if (!installed) {
        add(all, &(struct engine_difference){
                     ENGINE_GONE, row->name, row, describe(&stated), g_strdup("has no such option")});
        return;
    }
    if (!same_values(&stated, installed))
        add(all, &(struct engine_difference){ENGINE_OTHER, row->name, row, describe(&stated), describe(installed)});
    if (!same_default(row, &stated, installed))
        add(all, &(struct engine_difference){
                     ENGINE_OTHER, row->name, row, describe_default(&stated), describe_default(installed)});
}

/* True if engine.json says anything of the installed engine's option, be it that llem sets it itself. */
static bool is_stated(const struct backend *backend, const char *name)
{
    const char *section = "", *short_name = name;
    if (backend_passes_through(backend, &section) && *section && g_str_has_prefix(name, section) &&
        name[strlen(section)] == '.')
        short_name = name + strlen(section) + 1;
    g_autofree char *path = g_strdup_printf("%s.%s", backend_name(backend), name);
    return backend_option(backend, name) || backend_owned_option(backend, name) ||
           backend_retired(backend, path, NULL) || backend_passed_find(backend, short_name);
}

/* True if an argument is there, whole or by its members. */
static bool is_reported(const struct engine_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n; i++)
        if (backend_has_member(name, schema->options[i].name))
            return true;
    return false;
}

/* Arguments that are known to be handed on, and are not there any more. Of those that llem sets itself an adapter need
 * not speak. */
static void compare_passed(GPtrArray *all, const struct backend *backend, const struct engine_schema *schema)
{
    const struct backend_argument *rows;
    const char *section = "";
    size_t n = backend_passes_through(backend, &section) ? backend_passed(backend, &rows) : 0;
    for (size_t i = 0; i < n; i++) {
        g_autofree char *inside = g_strdup_printf("%s.%s", section, rows[i].name);
        if (!is_reported(schema, *section ? inside : rows[i].name))
            add(all, &(struct engine_difference){ENGINE_GONE, rows[i].name, NULL,
                                                 g_strdup(rows[i].type ? rows[i].type : "any"),
                                                 g_strdup("has no such parameter")});
    }
}

GPtrArray *engine_compare(const struct backend *backend, const struct engine_schema *schema, const char *version)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(difference_free);
    const struct backend_option *rows;
    size_t n = backend_options(backend, &rows);
    for (size_t i = 0; i < n; i++)
        if (backend_option_is_in(&rows[i], version))
            compare(all, &rows[i], engine_schema_find(schema, rows[i].name));
    compare_passed(all, backend, schema);
    for (size_t i = 0; i < schema->n; i++)
        if (!is_stated(backend, schema->options[i].name))
            add(all, &(struct engine_difference){ENGINE_NEW, schema->options[i].name, NULL, NULL,
                                                 describe(&schema->options[i])});
    return all;
}

/* "\n  engine.json:15:5: 'n_threads': engine.json says …, the adapter …" */
static void append_difference(GString *out, const struct engine_difference *d)
{
    const struct diag_span *at = &d->option->at;
    g_string_append_printf(out, "\n      %s:%d:%d: option '%s': engine.json says %s, the adapter %s", at->source,
                           at->line, at->column, d->name, d->ours, d->theirs);
}

static enum engine_check_status compare_all(struct suite *s, const struct engine_schema *schema)
{
    const struct backend *backend = s->options->backend;
    const struct backend_option *rows, *last = NULL;
    size_t n = backend_options(backend, &rows), n_different = 0;
    g_autoptr(GPtrArray) all = engine_compare(backend, schema, s->engine_version);
    g_autoptr(GString) differences = g_string_new(NULL), beyond = g_string_new(NULL);
    for (unsigned i = 0; i < all->len; i++) {
        const struct engine_difference *d = all->pdata[i];
        if (d->kind == ENGINE_NEW)
            g_string_append_printf(beyond, "%s%s", beyond->len ? ", " : "", d->name);
        if (!d->option)
            continue;
        n_different += d->option != last;
        last = d->option;
        append_difference(differences, d);
    }
    if (n_different > 0)
        return suite_say(s, ENGINE_CHECK_FAIL, "%zu of %zu options differ between engine.json and the adapter:%s",
                         n_different, n, differences->str);
    return beyond->len ? suite_say(s, ENGINE_CHECK_PASS, "the engine also takes what engine.json does not have: %s",
                                   beyond->str)
                       : ENGINE_CHECK_PASS;
}

enum engine_check_status check_options(struct suite *s)
{
    NEED_HELLO(s);
    g_autoptr(GError) error = NULL;
    struct engine_schema schema;
    if (!engine_schema(s->engine, suite_soon(s), &schema, &error))
        return suite_needs(s, "a schema", error);
    enum engine_check_status status = compare_all(s, &schema);
    engine_schema_clear(&schema);
    return status;
}

/* --- Roles ------------------------------------------------------------------------------------------------------ */

/* The product of a role's options as the last load sent them; 0: there is no such role, or one is not set. */
static int64_t sent_product(const struct suite *s, enum backend_role role)
{
    g_autoptr(json_t) config = suite_load_config(s);
    const struct backend_option *const *options;
    size_t n = backend_role(s->options->backend, role, &options);
    int64_t product = n > 0;
    for (size_t i = 0; i < n; i++)
        product *= json_integer_value(jsonx_at(json_object_get(config, "options"), options[i]->name));
    return product;
}

/* What load said of a role, against the options that engine.json names for it. */
static bool role_agrees(struct suite *s, enum backend_role role, int64_t said, size_t *n_compared)
{
    int64_t sent = sent_product(s, role);
    if (said == 0 || sent == 0)
        return true;
    (*n_compared)++;
    if (said == sent)
        return true;
    suite_say(s, ENGINE_CHECK_FAIL,
              "by the role '%s' of engine.json it is %" G_GINT64_FORMAT ", load says %" G_GINT64_FORMAT,
              backend_role_name(role), sent, said);
    return false;
}

enum engine_check_status check_roles(struct suite *s)
{
    NEED_LOAD(s);
    size_t n = 0;
    if (!role_agrees(s, ROLE_BATCH, s->batch, &n) || !role_agrees(s, ROLE_IN_FLIGHT, s->in_flight, &n))
        return ENGINE_CHECK_FAIL;
    if (n > 0)
        return ENGINE_CHECK_PASS;
    return suite_say(s, ENGINE_CHECK_SKIP, "neither 'batch' nor 'in_flight' has an option and a value");
}
