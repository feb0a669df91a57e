/* SPDX-License-Identifier: MIT */
/* An engine with the further options of the installed one. */
#include "backend/internal.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

static const enum backend_type types[] = {
    [REPORTED_INTEGER] = BACKEND_INT,   [REPORTED_NUMBER] = BACKEND_REAL, [REPORTED_NUMBERS] = BACKEND_REALS,
    [REPORTED_BOOLEAN] = BACKEND_BOOL,  [REPORTED_STRING] = BACKEND_TEXT, [REPORTED_LIST] = BACKEND_LIST,
    [REPORTED_MAPPING] = BACKEND_MAP,   [REPORTED_ANY] = BACKEND_ANY,
};
G_STATIC_ASSERT(G_N_ELEMENTS(types) == REPORTED_COUNT);

/* True if a name is free: its parts, too, are neither an option nor a section where the other would be. */
static bool is_free(const struct backend *b, const char *name)
{
    if (g_hash_table_contains(b->by_name, name) || g_hash_table_contains(b->sections, name))
        return false;
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        g_autofree char *section = g_strndup(name, (size_t)(dot - name));
        if (g_hash_table_contains(b->by_name, section))
            return false;
    }
    for (const struct backend_shared_field *field = backend_shared; field->path; field++)
        if (!strcmp(field->path, name))
            return false;
    return true;
}

/* True if it can be an option, and the descriptor does not speak of it. */
static bool is_further(const struct backend *b, const char *name, const char *path)
{
    return read_is_name(name, true) && strlen(name) <= LIMIT_BACKEND_OPTION && is_free(b, name) &&
           !backend_owned_option(b, name) && !backend_retired(b, path, NULL);
}

static bool are_texts(const json_t *choices)
{
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (!json_is_string(json_array_get(choices, i)) && !json_is_null(json_array_get(choices, i)))
            return false;
    return choices != NULL;
}

static const struct backend_choice *choices_of(struct backend *b, const json_t *list)
{
    struct backend_choice *choices = keep_block(b, g_new0(struct backend_choice, json_array_size(list) + 1));
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i))) /* null is an option that is not set */
            choices[n++].name = json_string_value(json_array_get(list, i));
    return choices;
}

static const char *default_text(struct backend *b, const json_t *value)
{
    g_autofree char *text = jsonx_dump(value, JSONX_COMPACT);
    return json_is_null(value) ? NULL : keep_text(b, json_is_string(value) ? json_string_value(value) : text);
}

static const char *own_text(struct backend *b, const json_t *value)
{
    g_autofree char *text = json_is_null(value) ? NULL : jsonx_dump(value, JSONX_COMPACT);
    return text ? keep_text(b, text) : NULL;
}

/* The installed engine knows the defaults of its own better than its descriptor does. */
static void take_reported_defaults(struct backend *b)
{
    for (unsigned i = 0; i < b->options->len; i++) {
        struct backend_option *option = &g_array_index(b->options, struct backend_option, i);
        const struct backend_reported *row = backend_reported_find(b->schema->rows, b->schema->n, option->name);
        if (option->own && row && !json_is_null(row->initial))
            option->own = own_text(b, row->initial);
    }
}

static void add_sections(struct backend *b, const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        g_hash_table_add(b->sections, g_strndup(name, (size_t)(dot - name)));
}

static void add_option(struct backend *b, const struct backend_reported *row, const char *help)
{
    g_autofree char *path = g_strdup_printf("%s.%s", b->name, row->name);
    if (!is_further(b, row->name, path))
        return;
    bool choice = row->type == REPORTED_STRING && are_texts(row->choices);
    const struct backend_choice *choices = choice ? choices_of(b, row->choices) : NULL;
    enum backend_type type = choices && choices->name ? BACKEND_CHOICE : types[row->type];
    const struct backend_argument *known = backend_passed_option(b, row->name);
    const struct backend_option option = {
        .name = row->name,
        .path = keep_text(b, path),
        .type = type,
        .hashed = !known || known->hashed,
        .sweepable = type != BACKEND_MAP && type != BACKEND_ANY,
        .unit = row->unit && *row->unit ? row->unit : NULL,
        .engine_default = default_text(b, row->initial),
        .own = own_text(b, row->initial),
        .min = row->min,
        .max = row->max,
        .choices = type == BACKEND_CHOICE ? choices : NULL,
        .allowed = type == BACKEND_CHOICE ? NULL : row->choices,
        .help = row->help && *row->help ? row->help : help,
        .installed = true,
    };
    g_array_append_val(b->options, option);
    g_hash_table_insert(b->by_name, g_strdup(option.name), GSIZE_TO_POINTER(b->options->len));
    add_sections(b, option.name);
}

static GHashTable *copy_names(GHashTable *names)
{
    GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    void *name, *value;
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, &value))
        g_hash_table_insert(copy, g_strdup(name), value);
    return copy;
}

struct backend *backend_extend(const struct backend *backend, struct backend_schema *schema)
{
    struct backend *b = g_memdup2(backend, sizeof *backend);
    GArray *shared[] = {b->rules, b->cannot, b->retired, b->owned, b->passed, b->unheeded, b->equivalents};
    for (size_t i = 0; i < G_N_ELEMENTS(shared); i++)
        g_array_ref(shared[i]);
    b->options = g_array_copy(backend->options);
    b->by_name = copy_names(backend->by_name);
    b->sections = copy_names(backend->sections);
    b->strings = g_string_chunk_new(4096);
    b->blocks = g_ptr_array_new_with_free_func(g_free);
    b->schema = schema;
    g_autofree char *engine = backend_with_version(b, schema->version);
    g_autofree char *help = g_strdup_printf("A parameter of the installed %s.", engine);
    const char *kept = keep_text(b, help);
    take_reported_defaults(b);
    for (size_t i = 0; i < schema->n; i++)
        add_option(b, &schema->rows[i], kept);
    return b;
}

/* --- Once in a process ----------------------------------------------------------------------------------------------- */

static GMutex lock;
static GHashTable *extended; /* engine and file as it is → struct backend * */

static const struct backend *extend_once(const struct backend *backend, const char *path, const char *key,
                                         GError **error)
{
    struct backend *known = extended ? g_hash_table_lookup(extended, key) : NULL;
    struct backend_schema *schema = known ? NULL : backend_schema_load(path, error);
    if (!schema)
        return known;
    if (strcmp(schema->backend, backend_name(backend))) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: it is of the engine %s", path, schema->backend);
        backend_schema_free(schema);
        return NULL;
    }
    known = backend_extend(backend, schema);
    if (!extended)
        extended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert(extended, g_strdup(key), known);
    return known;
}

const struct backend *backend_installed(const struct backend *backend, const struct backend_place *place,
                                        GError **error)
{
    g_autofree char *path = backend->passes_through ? backend_schema_path(backend, place) : NULL;
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return backend;
    g_autofree char *key = g_strdup_printf("%p %s %" G_GINT64_FORMAT " %ld", (const void *)backend, path,
                                           (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    g_autoptr(GError) why = NULL;
    g_mutex_lock(&lock);
    const struct backend *found = extend_once(backend, path, key, &why);
    g_mutex_unlock(&lock);
    if (!found)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "what %s said that it takes cannot be read (%s); `llem engine schema %s` "
                    "asks it again", backend_title(backend), why->message, backend_name(backend));
    return found;
}
