/* SPDX-License-Identifier: MIT */
/* llem engine schema: what the installed engine takes, asked of it and kept for configurations. */
#include "cli/engine_schema.h"

#include "backend/backend.h"
#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/plan.h"
#include "cli/runner.h"
#include "engine/engine.h"
#include "preflight/preflight.h"

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
    char *engine, *version; /* what it calls itself; NULL: it did not say which version */
    struct engine_schema schema;
    char *image_id, *python; /* of the place; NULL: this machine */
};

typedef struct asked owned_asked; /* for g_auto(owned_asked) alone */

static void asked_clear(struct asked *asked)
{
    engine_schema_clear(&asked->schema);
    g_free(asked->engine);
    g_free(asked->version);
    g_free(asked->image_id);
    g_free(asked->python);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_asked, asked_clear)

/* Starts it on this machine. */
static bool ask_here(struct asked *ret, GError **error)
{
    g_auto(GStrv) argv = backend_command(ret->backend, error);
    if (!argv || !backend_check_python(ret->backend, error))
        return false;
    const struct engine_options start = {
        .argv = (const char *const *)argv, .env = backend_env(ret->backend), .interrupt_fd = -1};
    struct engine *engine = engine_start(&start, error);
    struct engine_identity identity = {0};
    int64_t until_ns = clock_mono_ns() + option_timeout_s * NS_PER_S;
    bool ok = engine && engine_hello(engine, until_ns, &identity, error) &&
              engine_schema(engine, until_ns, &ret->schema, error);
    ret->engine = g_strdup(identity.engine);
    ret->version = g_strdup(identity.engine_version);
    engine_identity_clear(&identity);
    engine_free(engine);
    return ok;
}

/* For configurations, which start no engine. */
static bool keep(const struct asked *asked, GError **error)
{
    g_autofree char *path = backend_schema_path(asked->backend, NULL);
    return !path || backend_schema_save(path, asked->backend, asked->version, NULL, asked->schema.fields, error);
}

/* What was kept of an engine that was asked elsewhere. */
static bool take_kept(struct asked *ret, const char *path, const char *python, GError **error)
{
    g_autoptr(owned_backend_schema) kept = backend_schema_load(path, error);
    if (!kept)
        return false;
    ret->schema.reply = json_incref(kept->tree);
    ret->schema.fields = json_object_get(kept->tree, "fields");
    ret->schema.options = backend_reported_read(ret->schema.fields, &ret->schema.n, error);
    ret->engine = g_strdup(backend_title(ret->backend));
    ret->version = g_strdup(kept->version);
    ret->image_id = g_strdup(kept->image);
    ret->python = g_strdup(python);
    return ret->schema.options != NULL;
}

static void say(const char *text, void *data)
{
    (void)data;
    cli_say("%s\n", text);
}

/* Starts it in a container, as a run of it would be. */
static bool ask_there(struct asked *ret, const struct dispatch *dispatch, const struct config *config, GError **error)
{
    const struct preflight_options how = {.dispatch = dispatch,
                                          .starts = true,
                                          .pulls = true,
                                          .interrupt_fd = interrupt_open(),
                                          .say = say};
    g_autoptr(owned_preflight) p = preflight_new(&how);
    const struct dispatch_choice *choice = dispatch_choice_of(dispatch, backend_name(ret->backend));
    g_autofree char *path = preflight_ask_parameters(p, config, error);
    return path && take_kept(ret, path, choice->python, error);
}

/* A run of the engine by the fields of the command line, the environment and the user's file. NULL after it was said
 * what is wrong with these. */
static struct config_file *run_of(const char *name, char *const *fields)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autofree char *user = config_user_file(), *here = g_get_current_dir();
    g_autofree char *text = g_strdup_printf("{model: none, backend: %s}\n", name);
    const struct config_file_options how = {.overrides = (const char *const *)fields,
                                            .user_file = user,
                                            .environment = true,
                                            .skip_digests = true};
    struct config_file *file = config_file_parse("llem engine schema", text, strlen(text), here, &how, diag);
    cli_print_diagnostics(diag);
    return file;
}

/* Asks it where its runs go. CLI_OK, or the exit code after it was said what is wrong. */
static int ask(const char *name, char *const *fields, struct asked *ret)
{
    g_autoptr(GError) error = NULL;
    ret->backend = backend_find(name, &error);
    if (!ret->backend)
        return cli_fail(error);
    g_autoptr(owned_config_file) file = run_of(name, fields);
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config) config = file ? config_file_resolve(file, NULL, 0, diag) : NULL;
    cli_print_diagnostics(diag);
    g_autoptr(owned_dispatch) dispatch = config ? cli_dispatch_new_of(config) : NULL;
    if (!dispatch)
        return CLI_USAGE;
    bool here = !runner_container_of(dispatch_runner(dispatch, name));
    bool ok = here ? ask_here(ret, &error) && keep(ret, &error) : ask_there(ret, dispatch, config, &error);
    return ok ? CLI_OK : cli_fail(error);
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
    const char *audited = backend_audited(asked->backend), *version = asked->version;
    size_t n = 0;
    g_autofree char *engine = backend_with_version(asked->backend, version ? version : "of an unknown version");
    cli_print("%s against engine.json%s%s:\n", engine, audited ? ", held to " : "", audited ? audited : "");
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
    int code = ask(argv[0], argv + 1, &asked);
    if (code != CLI_OK)
        return code;
    const struct backend_place place = {asked.image_id, asked.python};
    const struct backend *extended = backend_installed(asked.backend, asked.image_id ? &place : NULL, &error);
    if (!extended)
        return cli_fail(error);
    g_autoptr(GPtrArray) all = option_compare ? engine_compare(asked.backend, &asked.schema, asked.version) : NULL;
    if (option_json) {
        json_t *root = json_pack("{s:s, s:s, s:s?, s:s*}", "backend", backend_name(asked.backend), "engine",
                                 asked.engine, "version", asked.version, "image", asked.image_id);
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
