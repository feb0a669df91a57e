/* SPDX-License-Identifier: MIT */
/* A file of the user, with the layers below and above it. */
#include "config/internal.h"

#include <string.h>

struct config_file *config_file_new(void)
{
    struct config_file *file = g_new0(struct config_file, 1);
    layers_init(&file->layers);
    file->docs = g_ptr_array_new_with_free_func((GDestroyNotify)doc_free);
    file->strings = g_ptr_array_new_with_free_func(g_free);
    return file;
}

void config_file_free(struct config_file *file)
{
    if (!file)
        return;
    layers_clear(&file->layers);
    g_ptr_array_unref(file->docs);
    g_ptr_array_unref(file->strings);
    g_free(file->name);
    g_free(file);
}

char *config_user_file(void)
{
    return g_build_filename(g_get_user_config_dir(), "llem", "config.yaml", NULL);
}

/* --- Layers ------------------------------------------------------------------------------------------------------- */

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

static void read_user_file(struct config_file *file, const char *path, struct diag *diag)
{
    if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
        return;
    struct doc *doc = doc_load(path, diag);
    if (!doc)
        return;
    g_ptr_array_add(file->docs, doc);
    const struct doc_node *root = doc_root(doc);
    struct value_context context = {.layer = LAYER_USER, .folder = keep_folder(file, path), .diag = diag};
    if (!json_is_null(root->json) && root_is_map(root, "the user's file sets fields, as in  output_dir: results", diag))
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

static void read_environment(struct config_file *file, struct value_context context)
{
    const struct field_table *table = field_table();
    for (size_t i = 0; i < table->n; i++) {
        const char *name = table->rows[i].env;
        const char *text = name ? g_getenv(name) : NULL;
        if (!text || !*text)
            continue;
        const char *origin = keep_text(file, g_strdup_printf("environment %s", name));
        struct doc *doc = doc_parse(origin, text, strlen(text), context.diag);
        if (!doc)
            continue;
        g_ptr_array_add(file->docs, doc);
        struct diag_span at = {.source = origin};
        context.layer = LAYER_ENVIRONMENT;
        context.at = &at;
        struct config_value *value = value_read(&context, &table->rows[i], doc_root(doc));
        if (value)
            layers_put(&file->layers, i, value, context.diag);
    }
}

static void drop_axis(struct layers *layers, size_t index)
{
    for (size_t i = 0; i < layers->axes->len; i++) {
        const struct config_axis *axis = &g_array_index(layers->axes, struct config_axis, i);
        if (axis->field == &field_table()->rows[index]) {
            g_free((void *)(uintptr_t)axis->values);
            g_array_remove_index(layers->axes, (unsigned)i);
            return;
        }
    }
}

/* "key=value"; "sweep.key=[a, b]" replaces an axis; a value for a swept field takes the place of its axis. */
static void read_override(struct config_file *file, const char *text, struct value_context context)
{
    const char *equals = strchr(text, '=');
    const char *origin = keep_text(file, g_strdup_printf("command line '%s'", text));
    struct diag_span at = {.source = origin};
    if (!equals || equals == text) {
        diag_add(context.diag, DIAG_ERROR, &at, "expected FIELD=VALUE");
        return;
    }
    g_autofree char *path = g_strstrip(g_strndup(text, (size_t)(equals - text)));
    bool sweep = g_str_has_prefix(path, "sweep.");
    const char *field = sweep ? path + strlen("sweep.") : path;
    int index = field_index(field);
    struct doc *doc = doc_parse(origin, equals + 1, strlen(equals + 1), context.diag);
    if (!doc)
        return;
    g_ptr_array_add(file->docs, doc);
    context.layer = LAYER_COMMAND;
    context.at = &at;
    if (index < 0) {
        layers_unknown(context.diag, &at, field);
    } else if (sweep && !(field_table()->rows[index].flags & CONFIG_SWEEP)) {
        diag_add(context.diag, DIAG_ERROR, &at, "%s cannot be swept", field);
    } else if (sweep) {
        file->is_study = true;
        layers_put_axis(&file->layers, (size_t)index, doc_root(doc), &at, &context);
    } else {
        struct config_value *value = value_read(&context, &field_table()->rows[index], doc_root(doc));
        if (!value)
            return;
        drop_axis(&file->layers, (size_t)index);
        layers_put(&file->layers, (size_t)index, value, context.diag);
    }
}

/* --- Checks of the whole ------------------------------------------------------------------------------------------- */

static const struct config_axis *find_axis(const struct config_file *file, const char *path)
{
    for (size_t i = 0; i < file->layers.axes->len; i++) {
        const struct config_axis *axis = &g_array_index(file->layers.axes, struct config_axis, i);
        if (!strcmp(axis->field->path, path))
            return axis;
    }
    return NULL;
}

static unsigned backends_used(const struct config_file *file)
{
    const struct config_axis *axis = find_axis(file, "backend");
    unsigned used = 0;
    for (size_t i = 0; axis && i < axis->n; i++)
        used |= backend_bit(json_string_value(axis->values[i]->json));
    return axis ? used : backend_bit(json_string_value(file->layers.values[FIELD_BACKEND]->json));
}

static char *backends_words(unsigned used)
{
    GString *out = g_string_new(NULL);
    for (unsigned bit = 1; bit <= CONFIG_SIM; bit <<= 1)
        if (used & bit)
            g_string_append_printf(out, "%s%s", out->len ? ", " : "", config_backend_name(bit));
    return g_string_free(out, FALSE);
}

/* A field or axis of a backend that no cell uses: most likely `backend:` was forgotten. */
static void refuse_foreign(const struct config_field *row, const struct diag_span *at, unsigned used,
                           struct diag *diag)
{
    if (row->backends & used)
        return;
    g_autofree char *words = backends_words(used);
    diag_add(diag, DIAG_ERROR, at, "%s does not apply to backend %s", row->path, words);
    const char *own = config_backend_name(row->backends);
    if (own)
        diag_hint(diag, "write  backend: %s  if that is meant", own);
}

static void check_foreign(const struct config_file *file, struct diag *diag)
{
    const struct field_table *table = field_table();
    unsigned used = backends_used(file);
    for (size_t i = 0; i < table->n; i++)
        if (file->layers.values[i]->layer >= LAYER_FILE)
            refuse_foreign(&table->rows[i], &file->layers.values[i]->at, used, diag);
    for (size_t i = 0; i < file->layers.axes->len; i++) {
        const struct config_axis *axis = &g_array_index(file->layers.axes, struct config_axis, i);
        refuse_foreign(axis->field, &axis->at, used, diag);
    }
}

static void check_required(const struct config_file *file, const struct doc_node *root, struct diag *diag)
{
    const struct field_table *table = field_table();
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        if (!(row->flags & CONFIG_REQUIRED) || value_is_set(file->layers.values[i]) || find_axis(file, row->path) ||
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
        const struct config_value *fixed = file->layers.values[axis->field - field_table()->rows];
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
        config_free(config_file_resolve(file, NULL, 0, diag)); /* a single experiment: its rules, where its values stand */
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

static struct config_file *read_file(struct doc *doc, const char *name, const char *folder,
                                     const struct config_file_options *options, size_t errors, struct diag *diag)
{
    static const struct config_file_options none = {0};
    const struct config_file_options *o = options ? options : &none;
    struct config_file *file = config_file_new();
    g_ptr_array_add(file->docs, doc);
    const struct doc_node *root = doc_root(doc);
    if (!root_is_map(root, "the file names at least a model, as in  model: smollm2-135m-instruct", diag)) {
        config_file_free(file);
        return NULL;
    }
    struct value_context context = {
        .layer = LAYER_FILE, .folder = folder, .skip_digests = o->skip_digests, .diag = diag};
    read_user_file(file, o->user_file, diag);
    read_root(file, root, &context);
    g_autofree char *here = g_get_current_dir();
    context.folder = here;
    if (o->environment)
        read_environment(file, context);
    for (const char *const *text = o->overrides; text && *text; text++)
        read_override(file, *text, context);
    return finish(file, root, name, errors, diag);
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
    const struct field_table *table = field_table();
    json_t *tree = json_object();
    for (size_t i = 0; i < table->n; i++)
        if ((table->rows[i].flags & CONFIG_STUDY) && value_is_set(file->layers.values[i]))
            jsonx_set_at(tree, table->rows[i].path, json_deep_copy(file->layers.values[i]->json));
    return tree;
}

size_t config_file_axes(const struct config_file *file, const struct config_axis **ret)
{
    *ret = (const struct config_axis *)(const void *)file->layers.axes->data;
    return file->layers.axes->len;
}
