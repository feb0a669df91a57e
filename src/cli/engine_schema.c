/* SPDX-License-Identifier: MIT */
/* llem engine schema: what the installed engine takes, asked of it and kept for configurations. */
#include "cli/engine_schema.h"

#include "backend/backend.h"
#include "cli/cli.h"
#include "cli/columns.h"
#include "engine/engine.h"

#include <math.h>
#include <string.h>

static gboolean option_json, option_compare;
static int option_timeout_s = 600;

const GOptionEntry cli_schema_options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    {"compare", 0, 0, G_OPTION_ARG_NONE, &option_compare,
     "What is new or gone, or otherwise than engine.json says, instead of the list", NULL},
    {"timeout", 't', 0, G_OPTION_ARG_INT, &option_timeout_s, "How long its answer may take (default: 600)", "SECONDS"},
    {0},
};

/* An engine that was asked. */
struct asked {
    const struct backend *backend;
    struct engine_identity identity;
    struct engine_schema schema;
};

typedef struct asked owned_asked; /* for g_auto(owned_asked) alone */

static void asked_clear(struct asked *asked)
{
    engine_schema_clear(&asked->schema);
    engine_identity_clear(&asked->identity);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_asked, asked_clear)

static bool ask(const char *name, struct asked *ret, GError **error)
{
    ret->backend = backend_find(name, error);
    g_auto(GStrv) argv = ret->backend ? backend_command(ret->backend, error) : NULL;
    if (!argv || !backend_check_python(ret->backend, error))
        return false;
    const struct engine_options start = {
        .argv = (const char *const *)argv, .env = backend_env(ret->backend), .interrupt_fd = -1};
    struct engine *engine = engine_start(&start, error);
    int64_t until_ns = clock_mono_ns() + option_timeout_s * NS_PER_S;
    bool ok = engine && engine_hello(engine, until_ns, &ret->identity, error) &&
              engine_schema(engine, until_ns, &ret->schema, error);
    engine_free(engine);
    return ok;
}

/* For configurations, which start no engine. */
static bool keep(const struct asked *asked, GError **error)
{
    g_autofree char *path = backend_schema_path(asked->backend, NULL);
    const char *version = asked->identity.engine_version;
    return !path || backend_schema_save(path, asked->backend, version, NULL, asked->schema.fields, error);
}

/* --- The list ------------------------------------------------------------------------------------------------------ */

/* What becomes of a parameter that is written in a configuration. */
enum fate { FATE_OPTION, FATE_SET, FATE_RETIRED, FATE_FURTHER, FATE_REFUSED };
static const char *const fates[] = {"option", "set by llem", "see remark", "passed on", "not taken"};

static enum fate fate_of(const struct backend *backend, const struct backend *extended, const char *name,
                         char **ret_remark)
{
    g_autofree char *path = g_strdup_printf("%s.%s", backend_name(backend), name);
    const struct backend_argument *owned = backend_owned_option(backend, name);
    const struct backend_retired *retired = backend_retired(backend, path, NULL);
    if (backend_option(backend, name))
        return FATE_OPTION;
    if (owned)
        *ret_remark = g_strdup(owned->note);
    else if (retired)
        *ret_remark = g_strdup(retired->text ? retired->text : retired->alias);
    return owned ? FATE_SET : retired ? FATE_RETIRED : backend_option(extended, name) ? FATE_FURTHER : FATE_REFUSED;
}

static char *values_text(const struct backend_reported *row)
{
    GString *out = g_string_new(backend_reported_type_name(row->type));
    if (isfinite(row->min) || isfinite(row->max))
        g_string_append_printf(out, isfinite(row->min) ? " %.10g…" : " …", row->min);
    if (isfinite(row->max))
        g_string_append_printf(out, "%.10g", row->max);
    for (size_t i = 0; i < json_array_size(row->choices); i++) {
        g_autofree char *choice = jsonx_dump(json_array_get(row->choices, i), JSONX_COMPACT);
        g_string_append_printf(out, "%s%s", i ? "|" : " ", choice);
    }
    if (row->unit && *row->unit)
        g_string_append_printf(out, " (%s)", row->unit);
    return g_string_free(out, FALSE);
}

static void print_rows(const struct asked *asked, const struct backend *extended)
{
    static const struct cli_column columns[] = {
        {"PARAMETER", CLI_LEFT}, {"IN LLEM", CLI_LEFT}, {"DEFAULT", CLI_LEFT}, {"VALUES", CLI_WORDS}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < asked->schema.n; i++) {
        const struct backend_reported *row = &asked->schema.options[i];
        g_autofree char *remark = NULL, *values = values_text(row), *initial = jsonx_dump(row->initial, JSONX_COMPACT);
        enum fate fate = fate_of(asked->backend, extended, row->name, &remark);
        g_autofree char *last = remark ? g_strdup_printf("%s; %s: %s", values, fates[fate], remark) : NULL;
        cli_columns_row(table, (const char *const[]){row->name, fates[fate], initial, last ? last : values});
    }
    cli_columns_print(table);
}

static json_t *rows_json(const struct asked *asked, const struct backend *extended)
{
    json_t *list = json_array();
    for (size_t i = 0; i < asked->schema.n; i++) {
        g_autofree char *remark = NULL;
        json_t *row = json_deep_copy(json_array_get(asked->schema.fields, i));
        enum fate fate = fate_of(asked->backend, extended, asked->schema.options[i].name, &remark);
        json_object_set_new(row, "in_llem", json_string(fates[fate]));
        if (remark)
            json_object_set_new(row, "remark", json_string(remark));
        json_array_append_new(list, row);
    }
    return list;
}

/* --- The comparison ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *heading;
} kinds[] = {
    [ENGINE_NEW] = {"new", "New: it has them, and engine.json says nothing of them"},
    [ENGINE_GONE] = {"gone", "Gone: engine.json speaks of them, and it does not have them"},
    [ENGINE_OTHER] = {"other", "Otherwise than engine.json says"},
};

static json_t *differences_json(const GPtrArray *all, json_t *into)
{
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        json_object_set_new(into, kinds[k].name, json_array());
    for (unsigned i = 0; i < all->len; i++) {
        const struct engine_difference *d = all->pdata[i];
        json_t *row = json_pack("{s:s}", "name", d->name);
        if (d->ours)
            json_object_set_new(row, "engine_json", json_string(d->ours));
        if (d->theirs && d->kind != ENGINE_GONE)
            json_object_set_new(row, "installed", json_string(d->theirs));
        json_array_append_new(json_object_get(into, kinds[d->kind].name), row);
    }
    return into;
}

static size_t print_kind(const GPtrArray *all, enum engine_difference_kind kind)
{
    size_t n = 0;
    for (unsigned i = 0; i < all->len; i++) {
        const struct engine_difference *d = all->pdata[i];
        if (d->kind != kind)
            continue;
        if (n++ == 0)
            cli_print("%s:\n", kinds[kind].heading);
        if (kind == ENGINE_OTHER)
            cli_print("  %s: engine.json %s, installed %s\n", d->name, d->ours, d->theirs);
        else
            cli_print("  %s: %s\n", d->name, kind == ENGINE_NEW ? d->theirs : d->ours);
    }
    return n;
}

static void print_differences(const struct asked *asked, const GPtrArray *all)
{
    const char *audited = backend_audited(asked->backend), *version = asked->identity.engine_version;
    size_t n = 0;
    cli_print("%s %s against engine.json%s%s:\n", asked->identity.engine, version ? version : "of an unknown version",
           audited ? ", held to " : "", audited ? audited : "");
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        n += print_kind(all, (enum engine_difference_kind)k);
    if (n == 0)
        cli_print("Nothing is new or gone.\n");
}

int cli_engine_schema(int argc, char **argv)
{
    (void)argc;
    g_autoptr(GError) error = NULL;
    g_auto(owned_asked) asked = {0};
    if (!ask(argv[0], &asked, &error) || !keep(&asked, &error))
        return cli_fail(error);
    const struct backend *extended = backend_installed(asked.backend, NULL, &error);
    if (!extended)
        return cli_fail(error);
    const char *version = asked.identity.engine_version;
    g_autoptr(GPtrArray) all = option_compare ? engine_compare(asked.backend, &asked.schema, version) : NULL;
    if (option_json) {
        json_t *root = json_pack("{s:s, s:s, s:s?}", "backend", backend_name(asked.backend), "engine",
                                 asked.identity.engine, "version", version);
        if (all)
            differences_json(all, root);
        else
            json_object_set_new(root, "fields", rows_json(&asked, extended));
        return cli_print_json(root);
    }
    if (all)
        print_differences(&asked, all);
    else
        print_rows(&asked, extended);
    return CLI_OK;
}
