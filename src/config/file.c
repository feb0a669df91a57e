/* SPDX-License-Identifier: MIT */
/* A file of the user, with the layers below and above it. */
#include "config/internal.h"

#include <string.h>

static struct config_file *file_new(void)
{
    struct config_file *file = g_new0(struct config_file, 1);
    file->docs = g_ptr_array_new_with_free_func((GDestroyNotify)doc_free);
    file->strings = g_ptr_array_new_with_free_func(g_free);
    return file;
}

void config_file_free(struct config_file *file)
{
    if (!file)
        return;
    if (file->table)
        layers_clear(&file->layers);
    config_table_free(file->table);
    g_ptr_array_unref(file->docs);
    g_ptr_array_unref(file->strings);
    g_free(file->name);
    g_free(file);
}

char *config_user_file(void)
{
    return g_build_filename(g_get_user_config_dir(), "llem", "config.yaml", NULL);
}

/* --- What is kept ------------------------------------------------------------------------------------------------- */

static const char *keep_text(struct config_file *file, char *text)
{
    g_ptr_array_add(file->strings, text);
    return text;
}

static const char *keep_folder(struct config_file *file, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    return keep_text(file, g_canonicalize_filename(folder, NULL));
}

static bool root_is_map(const struct doc_node *root, const char *what, struct diag *diag)
{
    if (root->kind == DOC_MAP)
        return true;
    g_autofree char *found = doc_describe(root);
    diag_add(diag, DIAG_ERROR, &root->at, "expected a mapping of fields, found %s", found);
    diag_hint(diag, "%s", what);
    return false;
}

static const struct doc_node *keep_doc(struct config_file *file, struct doc *doc)
{
    if (doc)
        g_ptr_array_add(file->docs, doc);
    return doc ? doc_root(doc) : NULL;
}

/* --- Layers ------------------------------------------------------------------------------------------------------- */

static const struct doc_node *load_user_file(struct config_file *file, const char *path, struct diag *diag)
{
    return path && g_file_test(path, G_FILE_TEST_EXISTS) ? keep_doc(file, doc_load(path, diag)) : NULL;
}

static void read_user_file(struct config_file *file, const struct doc_node *root, const char *path, struct diag *diag)
{
    if (!root || (root->kind == DOC_SCALAR && json_is_null(root->json)))
        return;
    struct value_context context = {
        .table = file->table, .layer = LAYER_USER, .folder = keep_folder(file, path), .diag = diag};
    if (root_is_map(root, "the user's file sets fields, as in  output_dir: results", diag))
        layers_read(&file->layers, root, &context, CONFIG_USER);
}

/* The root without `sweep`, which is read apart. */
static void read_root(struct config_file *file, const struct doc_node *root, const struct value_context *context)
{
    g_autofree struct doc_entry *entries = g_new0(struct doc_entry, root->n + 1);
    struct doc_node rest = *root;
    struct value_context levels = *context;
    levels.layer = LAYER_AXIS;
    rest.entries = entries;
    rest.n = 0;
    for (size_t i = 0; i < root->n; i++) {
        const struct doc_entry *entry = &root->entries[i];
        if (!strcmp(entry->key, "sweep") || !strcmp(entry->key, "execution") ||
            g_str_has_prefix(entry->key, "execution."))
            file->is_study = true;
        if (!strcmp(entry->key, "sweep")) {
            if (entry->value->kind != DOC_SCALAR || !json_is_null(entry->value->json))
                layers_read_axes(&file->layers, entry->value, &levels);
        } else {
            entries[rest.n++] = *entry;
        }
    }
    layers_read(&file->layers, &rest, context, 0);
}

/* A text from a shell or a variable has lost its quotes already and is taken as it is. One in brackets where levels
 * could stand is a list, which is told from a text where it is read. */
static bool is_verbatim(const struct config_field *row, const char *text)
{
    bool list = (row->flags & CONFIG_SWEEP) && *text == '[' && g_str_has_suffix(text, "]");
    return row->type == CONFIG_TEXT && *text && !list;
}

static void read_environment(struct config_file *file, struct value_context context)
{
    for (size_t i = 0; i < file->table->n; i++) {
        const char *name = file->table->rows[i].env;
        const char *text = name ? g_getenv(name) : NULL;
        if (!text || !*text)
            continue;
        const char *origin = keep_text(file, g_strdup_printf("environment %s", name));
        bool verbatim = is_verbatim(&file->table->rows[i], text);
        const struct doc_node *root = keep_doc(file, verbatim ? doc_verbatim(origin, text, context.diag)
                                                              : doc_parse(origin, text, strlen(text), context.diag));
        if (!root)
            continue;
        struct diag_span at = {.source = origin};
        context.layer = LAYER_ENVIRONMENT;
        context.at = &at;
        struct config_value *value = value_read(&context, &file->table->rows[i], root);
        if (value)
            layers_put(&file->layers, i, value, context.diag);
    }
}

static void parse_override(struct config_file *file, GArray *overrides, const char *text, struct diag *diag)
{
    const char *equals = strchr(text, '=');
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *shown = g_strjoinv("\\n", lines);
    const char *origin = keep_text(file, g_strdup_printf("command line '%s'", shown));
    struct diag_span at = {.source = origin};
    if (!equals || equals == text) {
        diag_add(diag, DIAG_ERROR, &at, "expected FIELD=VALUE");
        diag_hint(diag, "name one file; what follows it are fields with their values, as in  n=8");
        return;
    }
    const char *path = keep_text(file, g_strstrip(g_strndup(text, (size_t)(equals - text))));
    bool sweep = g_str_has_prefix(path, "sweep.");
    g_autoptr(owned_diag) later = diag_new(); /* whether it must be YAML says the field */
    const char *value = keep_text(file, g_strdup(equals + 1));
    struct doc *doc = doc_parse(origin, value, strlen(value), later);
    const struct doc_node *node = keep_doc(file, doc ? doc : doc_verbatim(origin, value, diag));
    struct override override = {origin, sweep ? path + strlen("sweep.") : path, sweep, value, node};
    if (node)
        g_array_append_val(overrides, override);
}

/* The value by what its field takes: a text as it was written, anything else as YAML. NULL after an error. */
static const struct doc_node *node_of(struct config_file *file, const struct override *o,
                                      const struct config_field *row, struct diag *diag)
{
    bool verbatim = row && !o->sweep && is_verbatim(row, o->value);
    return keep_doc(file, verbatim ? doc_verbatim(o->origin, o->value, diag)
                                   : doc_parse(o->origin, o->value, strlen(o->value), diag));
}

/* "decoder={temperature: 0.5}": the fields of a section; "sweep={n: [1, 2]}": all of the sweep. False: neither. */
static bool read_whole(struct config_file *file, const struct override *o, struct value_context *context)
{
    bool sweep = !o->sweep && !strcmp(o->field, "sweep");
    if (!sweep && (o->sweep || !table_is_section(file->table, o->field)))
        return false;
    const struct doc_node *node = node_of(file, o, NULL, context->diag);
    if (!node)
        return true;
    if (!sweep) {
        layers_read_section(&file->layers, node, o->field, context);
        return true;
    }
    file->is_study = true;
    while (node->kind == DOC_MAP && file->layers.axes->len > 0)
        layers_drop_axis(&file->layers, (size_t)(g_array_index(file->layers.axes, struct config_axis, 0).field -
                                                 file->table->rows));
    layers_read_axes(&file->layers, node, context);
    return true;
}

/* "sweep.key=[a, b]" replaces an axis; a value for a swept field takes the place of its axis. */
static void read_override(struct config_file *file, const struct override *o, struct value_context context)
{
    struct diag_span at = {.source = o->origin};
    int index = layers_find(file->table, context.diag, &at, o->field);
    if (index < 0)
        index = layers_find_short(file->table, o->field, o->node);
    context.layer = LAYER_COMMAND;
    context.at = &at;
    context.written_as = strcmp(o->field, index < 0 ? o->field : file->table->rows[index].path) &&
                         retired_name_alias(file->table, o->field) ? o->field : NULL;
    if (index < 0 && read_whole(file, o, &context))
        return;
    if (index < 0) {
        layers_unknown(file->table, context.diag, &at, o->field);
        return;
    }
    const struct doc_node *node = node_of(file, o, &file->table->rows[index], context.diag);
    if (!node)
        return;
    if (o->sweep && !(file->table->rows[index].flags & CONFIG_SWEEP)) {
        diag_add(context.diag, DIAG_ERROR, &at, "%s cannot be swept", o->field);
    } else if (o->sweep) {
        file->is_study = true;
        layers_put_axis(&file->layers, (size_t)index, node, &at, &context);
    } else if ((file->table->rows[index].flags & CONFIG_PASSED) && node->kind == DOC_MAP) {
        layers_read_passed(&file->layers, node, &context);
    } else {
        struct config_value *value = value_read(&context, &file->table->rows[index], node);
        if (!value)
            return;
        layers_drop_axis(&file->layers, (size_t)index);
        layers_put(&file->layers, (size_t)index, value, context.diag);
    }
}

/* What the default of a hashed field leads to was not looked at when the table was made. */
static void look_at_defaults(struct config_file *file, struct diag *diag)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++) {
        struct config_value *initial = file->table->info[i].initial;
        g_autoptr(GError) error = NULL;
        bool used = file->layers.values[i] == initial && !layers_axis(&file->layers, &file->table->rows[i]);
        if (!initial->unknown || !used)
            continue;
        initial->unknown = false;
        if (!content_take(&file->table->rows[i], initial, &error))
            diag_add(diag, DIAG_ERROR, NULL, "%s", error->message);
    }
}

/* --- Checks of the whole ------------------------------------------------------------------------------------------- */

static const struct config_axis *axis_of(const struct config_file *file, size_t field)
{
    return layers_axis(&file->layers, &file->table->rows[field]);
}

/* The engines that cells use. New array. */
static GPtrArray *engines_used(const struct config_file *file)
{
    GPtrArray *used = g_ptr_array_new();
    const struct config_axis *axis = axis_of(file, FIELD_BACKEND);
    const struct config_value *const *values = axis ? axis->values : &file->layers.values[FIELD_BACKEND];
    for (size_t i = 0; i < (axis ? axis->n : 1); i++) {
        const struct backend *engine = table_engine(file->table, json_string_value(values[i]->json));
        if (engine && !g_ptr_array_find(used, engine, NULL))
            g_ptr_array_add(used, (void *)(uintptr_t)engine);
    }
    return used;
}

static char *engines_words(const GPtrArray *used)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < used->len; i++)
        g_string_append_printf(out, "%s%s", i ? ", " : "", backend_name(used->pdata[i]));
    return g_string_free(out, FALSE);
}

static bool has_use_for(const GPtrArray *used, const struct config_field *row)
{
    return !row->engine || g_ptr_array_find((GPtrArray *)(uintptr_t)used, row->engine, NULL);
}

/* A field or axis of an engine that no cell uses: most likely `backend:` was forgotten. */
static void refuse_foreign(const struct config_file *file, const struct config_field *row, const struct diag_span *at,
                           const GPtrArray *used, struct diag *diag)
{
    if (has_use_for(used, row))
        return;
    g_autofree char *words = engines_words(used);
    bool unwritten = !axis_of(file, FIELD_BACKEND) && file->layers.values[FIELD_BACKEND]->layer == LAYER_DEFAULT;
    diag_add(diag, DIAG_ERROR, at, "%s does not apply to backend %s%s", row->path, words,
             unwritten ? ", which is the default where none is written" : "");
    diag_hint(diag, "write  backend: %s  if that is meant", backend_name(row->engine));
}

static void check_foreign(const struct config_file *file, struct diag *diag)
{
    const struct config_table *table = file->table;
    g_autoptr(GPtrArray) used = engines_used(file);
    for (size_t i = 0; i < table->n; i++)
        if (file->layers.values[i]->layer >= LAYER_FILE && file->layers.values[i]->layer != LAYER_ENVIRONMENT)
            refuse_foreign(file, &table->rows[i], &file->layers.values[i]->at, used, diag);
    for (size_t i = 0; i < file->layers.axes->len; i++) {
        const struct config_axis *axis = &g_array_index(file->layers.axes, struct config_axis, i);
        refuse_foreign(file, axis->field, &axis->at, used, diag);
    }
}

static void check_required(const struct config_file *file, const struct doc_node *root, struct diag *diag)
{
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++) {
        const struct config_field *row = &config_shared_rows[i];
        if (!(row->flags & CONFIG_REQUIRED) || value_is_set(file->layers.values[i]) || axis_of(file, i) ||
            doc_entry_of(root, row->path))
            continue;
        struct diag_span at = {.source = root->at.source, .line = 1, .column = 1};
        diag_add(diag, DIAG_ERROR, &at, "%s is missing", row->path);
        diag_hint(diag, "for example  %s: smollm2-135m-instruct", row->path);
    }
}

/* A field that is fixed and swept at once: the fixed value would never be used. */
static void check_axes(const struct config_file *file, struct diag *diag)
{
    for (size_t i = 0; i < file->layers.axes->len; i++) {
        const struct config_axis *axis = &g_array_index(file->layers.axes, struct config_axis, i);
        const struct config_value *fixed = file->layers.values[axis->field - file->table->rows];
        if (fixed->layer != LAYER_FILE || axis->values[0]->layer != LAYER_AXIS)
            continue;
        diag_add(diag, DIAG_ERROR, &fixed->at, "%s is fixed here and swept in line %d", axis->field->path,
                 axis->at.line);
        diag_hint(diag, "delete one of the two");
    }
}

static void name_file(struct config_file *file, const char *path)
{
    const char *given = json_string_value(file->layers.values[FIELD_NAME]->json);
    g_autofree char *base = g_path_get_basename(path);
    char *dot = strrchr(base, '.');
    if (dot && dot != base)
        *dot = '\0';
    file->name = g_utf8_make_valid(given ? given : base, -1);
}

/* An experiment is run once unless it says otherwise. */
static void default_cycles(struct config_file *file)
{
    const struct config_value **cycles = &file->layers.values[FIELD_EXECUTION_N_CYCLES];
    if (file->is_study || (*cycles)->layer != LAYER_DEFAULT)
        return;
    struct config_value *once = value_make(json_integer(1), LAYER_DERIVED, "a single experiment");
    g_ptr_array_add(file->layers.pool, once);
    *cycles = once;
}

static struct config_file *finish(struct config_file *file, const struct doc_node *root, const char *name,
                                 size_t errors, struct diag *diag)
{
    check_required(file, root, diag);
    if (diag_errors(diag) == errors) {
        check_foreign(file, diag);
        check_axes(file, diag);
    }
    if (diag_errors(diag) == errors && file->layers.axes->len == 0) {
        /* a single experiment: its rules, where its values stand */
        config_free(config_file_resolve(file, NULL, 0, diag));
    }
    if (diag_errors(diag) == errors) {
        name_file(file, name);
        default_cycles(file);
        return file;
    }
    config_file_free(file);
    return NULL;
}

/* --- Loading --------------------------------------------------------------------------------------------------------- */

static void read_layers(struct config_file *file, const struct sources *sources, const char *folder,
                        const struct config_file_options *o, struct diag *diag)
{
    struct value_context context = {
        .table = file->table, .layer = LAYER_FILE, .folder = folder, .skip_digests = o->skip_digests, .diag = diag};
    layers_init(&file->layers, file->table);
    read_user_file(file, sources->user, o->user_file, diag);
    read_root(file, sources->root, &context);
    g_autofree char *here = g_get_current_dir();
    context.folder = here;
    if (o->environment)
        read_environment(file, context);
    for (unsigned i = 0; i < sources->overrides->len; i++)
        read_override(file, &g_array_index(sources->overrides, struct override, i), context);
    look_at_defaults(file, diag);
}

static struct config_file *read_file(struct doc *doc, const char *name, const char *folder,
                                     const struct config_file_options *options, size_t errors, struct diag *diag)
{
    static const struct config_file_options none = {0};
    const struct config_file_options *o = options ? options : &none;
    struct config_file *file = file_new();
    struct sources sources = {.root = doc_root(doc), .environment = o->environment, .image_id = o->image_id};
    g_ptr_array_add(file->docs, doc);
    if (!root_is_map(sources.root, "the file names at least a model, as in  model: smollm2-135m-instruct", diag)) {
        config_file_free(file);
        return NULL;
    }
    sources.user = load_user_file(file, o->user_file, diag);
    sources.overrides = g_array_new(FALSE, FALSE, sizeof(struct override));
    for (const char *const *text = o->overrides; text && *text; text++)
        parse_override(file, sources.overrides, *text, diag);
    file->table = table_for(&sources, diag);
    read_layers(file, &sources, folder, o, diag);
    g_array_unref(sources.overrides);
    return finish(file, sources.root, name, errors, diag);
}

struct config_file *config_file_load(const char *path, const struct config_file_options *options, struct diag *diag)
{
    size_t errors = diag_errors(diag);
    struct doc *doc = doc_load(path, diag);
    if (!doc)
        return NULL;
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *folder = g_canonicalize_filename(parent, NULL);
    return read_file(doc, path, folder, options, errors, diag);
}

struct config_file *config_file_parse(const char *name, const char *text, size_t length, const char *folder,
                                      const struct config_file_options *options, struct diag *diag)
{
    size_t errors = diag_errors(diag);
    struct doc *doc = doc_parse(name, text, length, diag);
    return doc ? read_file(doc, name, folder, options, errors, diag) : NULL;
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

bool config_file_is_study(const struct config_file *file)
{
    return file->is_study;
}

const char *config_file_name(const struct config_file *file)
{
    return file->name;
}

static const struct config_value *value_of(const struct config_file *file, enum config_field_id id)
{
    if (!(config_shared_rows[id].flags & CONFIG_STUDY))
        g_error("config: '%s' belongs to an experiment, not to the study", config_shared_rows[id].path);
    return file->layers.values[id];
}

bool config_file_has(const struct config_file *file, enum config_field_id id)
{
    return value_is_set(value_of(file, id));
}

int64_t config_file_int(const struct config_file *file, enum config_field_id id)
{
    const json_t *json = value_of(file, id)->json;
    if (!json_is_integer(json))
        g_error("config: '%s' is not an integer that is set", config_shared_rows[id].path);
    return json_integer_value(json);
}

double config_file_real(const struct config_file *file, enum config_field_id id)
{
    const json_t *json = value_of(file, id)->json;
    if (!json_is_real(json))
        g_error("config: '%s' is not a number that is set", config_shared_rows[id].path);
    return json_real_value(json);
}

const char *config_file_string(const struct config_file *file, enum config_field_id id)
{
    const json_t *json = value_of(file, id)->json;
    if (!json_is_string(json))
        g_error("config: '%s' is not a text that is set", config_shared_rows[id].path);
    return json_string_value(json);
}

json_t *config_file_study(const struct config_file *file)
{
    json_t *tree = json_object();
    for (size_t i = 0; i < CONFIG_SHARED_FIELDS; i++)
        if ((config_shared_rows[i].flags & CONFIG_STUDY) && value_is_set(file->layers.values[i]))
            jsonx_set_at(tree, config_shared_rows[i].path, json_deep_copy(file->layers.values[i]->json));
    return tree;
}

const struct config_table *config_file_rows(const struct config_file *file)
{
    return file->table;
}

size_t config_file_axes(const struct config_file *file, const struct config_axis **ret)
{
    *ret = (const struct config_axis *)(const void *)file->layers.axes->data;
    return file->layers.axes->len;
}
