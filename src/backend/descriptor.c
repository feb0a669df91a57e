/* SPDX-License-Identifier: MIT */
/* engine.json → struct backend. The rows below are the whole of the format. */
#include "backend/internal.h"

#include <string.h>

/* --- Members with a meaning of their own --------------------------------------------------------------------------- */

/* A version that this llem must know. */
static void take_version(struct reading *r, const struct doc_node *node, const struct member *member, int64_t *version,
                         int64_t known, const char *done, const char *does)
{
    read_count(r, node, member, r->backend);
    if (*version > 0 && *version != known)
        read_error(r, node, NULL, "%s: %" G_GINT64_FORMAT " is not %s by this version of llem, which %s %" G_GINT64_FORMAT,
                   member->name, *version, done, does, known);
}

static void read_format(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    take_version(r, node, member, &r->backend->format, BACKEND_FORMAT, "read", "reads");
}

static void read_protocol(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    take_version(r, node, member, &r->backend->protocol, BACKEND_PROTOCOL, "spoken", "speaks");
}

static void read_own_name(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    const char *name = read_string(r, node, member->name);
    if (name && strcmp(name, r->backend->name))
        read_error(r, node, NULL, "name: '%s', but its folder is called '%s'", name, r->backend->name);
}

/* A list of words; the bits of their places. */
static void read_bits(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    unsigned bits = 0;
    for (size_t i = 0; node->kind == DOC_LIST && i < node->n; i++) {
        int word = -1;
        struct member one = {member->name, false, read_word, 0, member->words};
        read_word(r, node->items[i], &one, &word);
        bits |= word >= 0 ? 1u << word : 0;
    }
    if (node->kind != DOC_LIST || node->n == 0)
        read_error(r, node, NULL, "%s: expected a list of words", member->name);
    if (bits)
        *(unsigned *)((char *)into + member->offset) = bits;
}

static const struct member python_members[] = {
    {"least", true, read_text, offsetof(struct backend_python, least), NULL},
    {"variable", true, read_text, offsetof(struct backend_python, variable), NULL},
    {"import", false, read_text, offsetof(struct backend_python, import), NULL},
    {"locks", false, read_filled, offsetof(struct backend_python, locks), NULL},
    {0},
};

static void read_python(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    r->backend->has_python = read_members(r, node, member->name, python_members, &r->backend->python);
}

static const char *const takes_names[] = {
    [BACKEND_TAKES_GGUF] = "gguf", [BACKEND_TAKES_FOLDER] = "folder", [BACKEND_TAKES_NONE] = "none", NULL};
static const char *const picks_names[] = {
    [BACKEND_PICKS_FILE] = "file", [BACKEND_PICKS_ARITHMETIC] = "arithmetic", [BACKEND_PICKS_NOTHING] = "nothing",
    NULL};

struct raw_model {
    int takes, precision;
    const struct doc_node *quantization;
};

static const struct member model_members[] = {
    {"takes", true, read_word, offsetof(struct raw_model, takes), takes_names},
    {"precision", false, read_word, offsetof(struct raw_model, precision), picks_names},
    {"quantization", false, read_node, offsetof(struct raw_model, quantization), NULL},
    {0},
};

static void read_model(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    struct raw_model raw = {.takes = BACKEND_TAKES_NONE, .precision = BACKEND_PICKS_NOTHING};
    read_members(r, node, member->name, model_members, &raw);
    const struct backend_option *option = raw.quantization
                                          ? read_option_name(r, raw.quantization, "quantization") : NULL;
    r->backend->model = (struct backend_model){(enum backend_takes)raw.takes, (enum backend_picks)raw.precision,
                                               option ? option->path : NULL};
}

static const char *const gpu_names[] = {
    [BACKEND_GPU_MAY] = "may", [BACKEND_GPU_NEVER] = "never", [BACKEND_GPU_ALWAYS] = "always", NULL};

/* A word, or the conditions under which a run uses one. */
static void read_gpu(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    struct backend *b = r->backend;
    int word = BACKEND_GPU_MAY;
    if (node->kind == DOC_MAP) {
        b->gpu_when = read_conditions(r, node, member->name, &b->n_gpu_when);
        b->gpu = BACKEND_GPU_WHEN;
        return;
    }
    struct member one = {member->name, false, read_word, 0, gpu_names};
    read_word(r, node, &one, &word);
    b->gpu = (enum backend_gpu)word;
}

/* --- The members ----------------------------------------------------------------------------------------------------- */

static const char *const mode_names[] = {"batch", "in_flight", NULL};  /* in the order of enum backend_modes */
static const char *const where_names[] = {"local", "remote", NULL};    /* and of enum backend_where */

#define AT(what) offsetof(struct backend, what)

/* In the order in which they are read: lists that name options come after the options. */
static const struct member members[] = {
    {"format", true, read_format, AT(format), NULL},
    {"name", true, read_own_name, 0, NULL},
    {"title", false, read_text, AT(title), NULL},
    {"versioned", false, read_text, AT(versioned), NULL},
    {"summary", true, read_text, AT(summary), NULL},
    {"protocol", true, read_protocol, AT(protocol), NULL},
    {"hash_version", true, read_count, AT(hash_version), NULL},
    {"remedy", true, read_text, AT(remedy), NULL},
    {"audited", false, read_text, AT(audited), NULL},
    {"python", false, read_python, 0, NULL},
    {"command", false, read_command, AT(command), NULL},
    {"quantize", false, read_command, AT(quantize), NULL},
    {"make_folder", false, read_command, AT(make_folder), NULL},
    {"env", false, read_env, AT(env), NULL},
    {"record_env", false, read_recorded, AT(record_env), NULL},
    {"caches", false, read_filled, AT(caches), NULL},
    {"files", false, read_filled, AT(files), NULL},
    {"image", false, read_image, 0, NULL},
    {"modes", false, read_bits, AT(modes), mode_names},
    {"where", false, read_bits, AT(where), where_names},
    {"options", false, read_options, 0, NULL},
    {"model", true, read_model, 0, NULL},
    {"gpu", false, read_gpu, 0, NULL},
    {"roles", false, read_roles, 0, NULL},
    {"cannot", false, read_cannot, 0, NULL},
    {"pass_through", false, read_pass_through, 0, NULL},
    {"owned", false, read_owned, 0, NULL},
    {"rules", false, read_rules, 0, NULL},
    {"retired", false, read_retired, 0, NULL},
    {"equivalents", false, read_equivalents, 0, NULL},
    {"unheeded_env", false, read_unheeded, 0, NULL},
    {0},
};

/* --- The file -------------------------------------------------------------------------------------------------------- */

static const char *const nothing[] = {NULL};

static struct backend *backend_new(const char *file, const char *folder)
{
    struct backend *b = g_new0(struct backend, 1);
    b->strings = g_string_chunk_new(4096);
    b->blocks = g_ptr_array_new_with_free_func(g_free);
    b->options = g_array_new(FALSE, FALSE, sizeof(struct backend_option));
    b->rules = g_array_new(FALSE, FALSE, sizeof(struct backend_rule));
    b->cannot = g_array_new(FALSE, FALSE, sizeof(struct backend_cannot));
    b->retired = g_array_new(FALSE, FALSE, sizeof(struct backend_retired));
    b->owned = g_array_new(FALSE, FALSE, sizeof(struct backend_argument));
    b->passed = g_array_new(FALSE, FALSE, sizeof(struct backend_argument));
    b->unheeded = g_array_new(FALSE, FALSE, sizeof(struct backend_unheeded));
    b->equivalents = g_array_new(FALSE, FALSE, sizeof(struct equivalent));
    b->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    b->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *name = g_path_get_basename(folder);
    b->name = keep_text(b, name);
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_autofree char *variable = g_strconcat("LLEM_ENGINE_", upper, NULL);
    b->variable = keep_text(b, variable);
    b->title = b->name;
    b->file = keep_text(b, file);
    b->folder = keep_text(b, folder);
    b->modes = BACKEND_MODE_BATCH;
    b->where = BACKEND_LOCAL;
    b->passed_section = "";
    b->env = b->record_env = b->caches = b->files = nothing;
    return b;
}

void backend_free(struct backend *b)
{
    if (!b)
        return;
    GArray *lists[] = {b->options, b->rules, b->cannot, b->retired, b->owned, b->passed, b->unheeded, b->equivalents};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        g_array_unref(lists[i]);
    g_hash_table_unref(b->by_name);
    g_hash_table_unref(b->sections);
    g_ptr_array_unref(b->blocks);
    g_string_chunk_free(b->strings);
    backend_schema_free(b->schema);
    g_free(b);
}

/* The reader of documents takes YAML as well; an engine.json is JSON. False after an error. */
static bool check_json(const char *file, const char *text, size_t length, struct diag *diag)
{
    json_error_t found;
    g_autoptr(json_t) tree = json_loadb(text, length, JSON_DECODE_ANY, &found);
    if (tree)
        return true;
    struct json_fault fault = json_fault_of(text, length, &found);
    g_autofree char *words = fault.words;
    struct diag_span at = {.source = file, .line = fault.line, .column = fault.column};
    diag_source(diag, file, text, length);
    diag_add(diag, DIAG_ERROR, &at, "%s", words);
    return false;
}

static void read_all(struct backend *b, const struct doc *doc, struct diag *diag)
{
    struct reading r = {b, diag, g_array_new(FALSE, FALSE, sizeof(const struct doc_node *))};
    if (!read_is_name(b->name, false) || strlen(b->name) > LIMIT_BACKEND_NAME)
        read_error(&r, doc_root(doc), NULL,
                   "the folder '%s' is no name of an engine: a lower-case letter, then letters, digits and '_', at most %d",
                   b->name, LIMIT_BACKEND_NAME);
    if (backend_name_is_reserved(b->name))
        read_error(&r, doc_root(doc), NULL, "no engine can be called '%s': every configuration has that", b->name);
    read_members(&r, doc_root(doc), "the descriptor", members, b);
    g_array_unref(r.option_nodes);
}

struct backend *backend_parse(const char *file, const char *text, size_t length, const char *folder,
                              struct diag *diag)
{
    size_t errors = diag_errors(diag);
    if (!check_json(file, text, length, diag))
        return NULL;
    g_autoptr(owned_doc) doc = doc_parse(file, text, length, diag);
    if (!doc)
        return NULL;
    struct backend *b = backend_new(file, folder);
    g_autofree char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
    b->digest = keep_text(b, digest);
    read_all(b, doc, diag);
    if (diag_errors(diag) == errors)
        return b;
    backend_free(b);
    return NULL;
}

struct backend *backend_load(const char *path, struct diag *diag)
{
    g_autoptr(GError) error = NULL;
    size_t length;
    g_autofree char *text = file_read(path, LIMIT_CONFIG_BYTES, &length, &error);
    if (!text) {
        diag_add(diag, DIAG_ERROR, NULL, "%s", error->message);
        return NULL;
    }
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);
    return backend_parse(path, text, length, folder, diag);
}
