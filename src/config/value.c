/* SPDX-License-Identifier: MIT */
/* A node of a document becomes a value by the type of its field: `yes` is true for a switch, 012 a text for a name and
 * an error for a count. */
#include "config/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* --- Values ----------------------------------------------------------------------------------------------------- */

void value_free(void *data)
{
    struct config_value *value = data;
    json_decref(value->json);
    g_free(value->canonical);
    g_free(value->content);
    g_free(value->pin);
    g_free(value->digest);
    g_free(value->file);
    g_free(value->written_as);
    g_free(value);
}

struct config_value *value_make(json_t *json, enum config_layer layer, const char *note)
{
    struct config_value *value = g_new0(struct config_value, 1);
    value->json = json;
    value->canonical = jsonx_dump(json, JSONX_CANONICAL);
    value->layer = layer;
    value->note = note;
    return value;
}

json_t *config_value_json(const struct config_value *value)
{
    return value->json;
}

const struct diag_span *value_place(const struct config_value *value)
{
    return value->at.source ? &value->at : NULL;
}

char *value_origin(const struct config_value *value)
{
    const char *as = value->written_as, *source = value->at.source;
    g_autofree char *place = source && value->at.line > 0
                             ? g_strdup_printf("%s:%d:%d", source, value->at.line, value->at.column)
                             : g_strdup(value->note ? value->note : source);
    return as ? g_strdup_printf("%s, written as %s", place, as) : g_steal_pointer(&place);
}

/* --- Typing ----------------------------------------------------------------------------------------------------- */

struct reading {
    const struct value_context *context;
    const struct config_field *row;
    const struct doc_node *node;
};

static const struct diag_span *place(const struct reading *r)
{
    return r->context->at ? r->context->at : &r->node->at;
}

static json_t *refuse(const struct reading *r)
{
    g_autofree char *expects = config_field_expects(r->row);
    g_autofree char *found = doc_describe(r->node);
    const char *unit = r->row->unit;
    diag_add(r->context->diag, DIAG_ERROR, place(r), "%s: expected %s%s%s%s, found %s", r->row->path, expects,
             unit ? " (" : "", unit ? unit : "", unit ? ")" : "", found);
    if (r->row->option && r->row->option->why)
        diag_hint(r->context->diag, "%s", r->row->option->why);
    bool takes_list = r->row->type == CONFIG_SPAN || r->row->type == CONFIG_INTS || r->row->type == CONFIG_REALS ||
                      r->row->type == CONFIG_TEXTS;
    if (r->node->kind == DOC_LIST && !takes_list && (r->row->flags & CONFIG_SWEEP) && r->context->layer != LAYER_AXIS)
        diag_hint(r->context->diag, "to run each of them write  sweep: {%s: [...]}", r->row->path);
    return NULL;
}

static json_t *refuse_with(const struct reading *r, const char *hint)
{
    refuse(r);
    diag_hint(r->context->diag, "%s", hint);
    return NULL;
}

/* Numbers that a double cannot hold, and spellings that others know. NULL: none of them. */
static const char *strange_number(const char *digits)
{
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return "a fraction is written in decimal, as 0.25 or 2.5e-1";
    if (!g_ascii_isdigit(*digits) && *digits != '.')
        return NULL;
    size_t known = strspn(digits, "0123456789.eE+-");
    if (digits[known] == '\0' && strpbrk(digits, "eE"))
        return g_ascii_strtod(digits, NULL) == 0 ? "nearer to 0 than a 64-bit number can be: write 0 if that is meant"
                                                 : "further from 0 than a 64-bit number can be";
    return digits[known] == ',' && strspn(digits + known + 1, "0123456789") == strlen(digits + known + 1)
               ? "write a point before the fraction, and no separators" : NULL;
}

/* "10ms" where a number is expected: the unit is the field's, and is not written. */
static json_t *refuse_number(const struct reading *r)
{
    const char *text = r->node->kind == DOC_SCALAR ? r->node->raw : "";
    const char *digits = text + (*text == '-' || *text == '+');
    const char *strange = json_is_string(r->node->json) ? strange_number(digits) : NULL;
    if (strange)
        return refuse_with(r, strange);
    const char *tail = digits + strspn(digits, "0123456789.");
    while (*tail == ' ')
        tail++;
    bool unit = g_ascii_isdigit(*digits) && (g_ascii_isalpha(*tail) || *tail == '%' || (unsigned char)*tail >= 0x80);
    if (!unit || !json_is_string(r->node->json))
        return refuse(r);
    g_autofree char *hint = r->row->unit ? g_strdup_printf("write the number alone: its unit is %s", r->row->unit)
                                         : g_strdup("write the number alone: it has no unit");
    return refuse_with(r, hint);
}

static bool is_text(const struct doc_node *node)
{
    return node->kind == DOC_SCALAR && json_is_string(node->json);
}

/* 1 and 0 for the words of a switch, -1 for any other. */
static int switch_of(const struct doc_node *node)
{
    static const struct {
        const char *word;
        int value;
    } words[] = {{"yes", 1}, {"on", 1}, {"y", 1}, {"no", 0}, {"off", 0}, {"n", 0}};
    if (json_is_boolean(node->json))
        return json_is_true(node->json);
    for (size_t i = 0; is_text(node) && node->plain && i < G_N_ELEMENTS(words); i++)
        if (!g_ascii_strcasecmp(node->raw, words[i].word))
            return words[i].value;
    return -1;
}

static bool has_choice(const struct config_field *row, const char *name)
{
    for (const struct backend_choice *c = row->choices; c && c->name; c++)
        if (!strcmp(c->name, name))
            return true;
    return false;
}

static json_t *read_bool(const struct reading *r)
{
    int toggle = switch_of(r->node);
    if (toggle >= 0)
        return json_boolean(toggle);
    if (is_text(r->node) && (!strcmp(r->node->raw, "true") || !strcmp(r->node->raw, "false")))
        return refuse_with(r, "leave out the quotes");
    return refuse(r);
}

static bool in_range(const struct config_field *row, double value)
{
    return value >= row->min && value <= row->max;
}

/* 128, 1e3 and 128.0 are integers; 012 and 1_000 are told apart from text that is no number at all. */
static json_t *read_int(const struct reading *r)
{
    double real = json_real_value(r->node->json);
    if (json_is_real(r->node->json) && real == floor(real) && fabs(real) < 0x1p53)
        return in_range(r->row, real) ? json_integer((json_int_t)real) : refuse(r);
    if (json_is_integer(r->node->json))
        return in_range(r->row, (double)json_integer_value(r->node->json)) ? json_incref(r->node->json) : refuse(r);
    if (!is_text(r->node) || !*r->node->raw)
        return refuse(r);
    const char *digits = r->node->raw + (*r->node->raw == '-' || *r->node->raw == '+');
    if (digits[strspn(digits, "0123456789_,")] || !g_ascii_isdigit(*digits))
        return refuse_number(r);
    if (!r->node->plain)
        return refuse_with(r, "leave out the quotes");
    if (strpbrk(digits, "_,"))
        return refuse_with(r, "write the number without separators");
    if (*digits != '0')
        return refuse(r); /* more digits than 64 bits hold */
    return refuse_with(r, "a leading zero is ambiguous: write 12 for twelve, 0o12 for ten (octal)");
}

static json_t *read_real(const struct reading *r)
{
    if (!json_is_number(r->node->json) || !in_range(r->row, json_number_value(r->node->json))) {
        bool quoted = is_text(r->node) && !r->node->plain && num_parse_real(r->node->raw, &(double){0}, NULL);
        return quoted ? refuse_with(r, "leave out the quotes") : refuse_number(r);
    }
    return json_real(json_number_value(r->node->json) + 0.0); /* -0.0 is 0.0 */
}

static char *absolute(const struct value_context *context, const char *text)
{
    g_autofree char *path = file_expand_home(text);
    return g_canonicalize_filename(path, context->folder);
}

/* {path: FILE, prompt: KEY}: the path with a mark behind it. */
static json_t *read_data(const struct reading *r)
{
    const struct doc_entry *path = doc_entry_of(r->node, "path"), *prompt = doc_entry_of(r->node, "prompt");
    bool whole = path && prompt && r->node->n == 2 && path->value->kind == DOC_SCALAR &&
                 prompt->value->kind == DOC_SCALAR && *path->value->raw && *prompt->value->raw;
    if (!whole)
        return refuse_with(r, "a mapping here is {path: FILE, prompt: KEY}, with the member that is the prompt");
    g_autofree char *file = absolute(r->context, path->value->raw);
    if (!g_utf8_validate(file, -1, NULL))
        return refuse_with(r, "the path is not UTF-8");
    return json_sprintf("%s" WORKLOAD_PROMPT_MARK "%s", file, prompt->value->raw);
}

static json_t *read_text(const struct reading *r)
{
    if ((r->row->flags & CONFIG_DATA) && r->node->kind == DOC_MAP)
        return read_data(r);
    const struct config_form *form = field_form(r->row);
    if (r->node->kind != DOC_SCALAR || json_is_null(r->node->json) || !*r->node->raw)
        return refuse(r);
    if (!form)
        return json_string(r->node->raw);
    g_autofree char *why = NULL;
    g_autofree char *kept = form->take(r->node->raw, r->context->folder, &why);
    return kept ? json_string(kept) : why ? refuse_with(r, why) : refuse(r);
}

static json_t *read_choice(const struct reading *r)
{
    if (r->node->kind != DOC_SCALAR || json_is_null(r->node->json))
        return refuse(r);
    const char *text = r->node->raw;
    /* Some writers of YAML turn on and off into true and false; yes and no are the same switch. */
    int toggle = switch_of(r->node);
    if (toggle >= 0 && has_choice(r->row, "on") && has_choice(r->row, "off"))
        text = toggle ? "on" : "off";
    struct suggest suggest = {.word = r->node->raw};
    for (const struct backend_choice *c = r->row->choices; c->name; c++) {
        if (!strcmp(c->name, text))
            return json_string(text);
        suggest_offer(&suggest, c->name);
    }
    const char *alias = retired_value_alias(r->context->table, r->row->path, r->node->raw);
    if (alias) {
        diag_add(r->context->diag, DIAG_WARNING, place(r), "%s: %s is called %s now", r->row->path, text, alias);
        return json_string(alias);
    }
    g_autofree char *known = retired_value_message(r->context->table, r->row->path, r->node->raw);
    if (known)
        return refuse_with(r, known);
    refuse(r);
    if (suggest.best)
        diag_hint(r->context->diag, "did you mean %s?", suggest.best);
    return NULL;
}

/* A list by a reader of its elements. */
static json_t *read_list(const struct reading *r, json_t *(*element)(const struct reading *))
{
    g_autoptr(json_t) list = json_array();
    if (r->node->kind != DOC_LIST || r->node->n == 0)
        return refuse(r);
    for (size_t i = 0; i < r->node->n; i++) {
        struct reading one = {r->context, r->row, r->node->items[i]};
        json_t *value = element(&one);
        if (!value)
            return NULL;
        json_array_append_new(list, value);
    }
    return g_steal_pointer(&list);
}

static json_t *read_span(const struct reading *r)
{
    g_autoptr(json_t) list = read_list(r, read_real);
    if (!list)
        return NULL;
    if (json_array_size(list) != 2 ||
        json_real_value(json_array_get(list, 0)) > json_real_value(json_array_get(list, 1)))
        return refuse(r);
    return g_steal_pointer(&list);
}

static json_t *read_ints(const struct reading *r)
{
    return read_list(r, read_int);
}

/* One number and a list of one are the same. */
static json_t *read_reals(const struct reading *r)
{
    if (r->node->kind != DOC_LIST)
        return read_real(r);
    g_autoptr(json_t) list = read_list(r, read_real);
    if (list && json_array_size(list) == 1)
        return json_incref(json_array_get(list, 0));
    return g_steal_pointer(&list);
}

/* One text and a list of one are the same. What is written twice is a slip. */
static json_t *read_texts(const struct reading *r)
{
    json_t *single = r->node->kind != DOC_LIST ? read_text(r) : NULL;
    if (single)
        return json_pack("[o]", single);
    if (r->node->kind != DOC_LIST)
        return NULL;
    g_autoptr(json_t) list = read_list(r, read_text);
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < i; k++)
            if (json_equal(json_array_get(list, i), json_array_get(list, k))) {
                struct reading again = {r->context, r->row, r->node->items[i]};
                return refuse_with(&again, "it stands in the list already");
            }
    return g_steal_pointer(&list);
}

static json_t *read_map(const struct reading *r)
{
    return r->node->kind == DOC_MAP ? json_deep_copy(r->node->json) : refuse(r);
}

static json_t *read_any_list(const struct reading *r)
{
    return r->node->kind == DOC_LIST ? json_deep_copy(r->node->json) : refuse(r);
}

static json_t *read_any(const struct reading *r)
{
    return json_deep_copy(r->node->json);
}

/* True if a value is one of those that its row allows, where it allows some and no others. */
static bool is_allowed(const struct config_field *row, const json_t *json)
{
    const json_t *allowed = row->option ? row->option->allowed : NULL;
    for (size_t i = 0; i < json_array_size(allowed); i++) {
        const json_t *one = json_array_get(allowed, i);
        bool numbers = json_is_number(one) && json_is_number(json);
        if (numbers ? json_number_value(one) == json_number_value(json) : json_equal(one, json))
            return true;
    }
    return !allowed;
}

static json_t *(*const readers[])(const struct reading *) = {
    [CONFIG_BOOL] = read_bool, [CONFIG_INT] = read_int,       [CONFIG_REAL] = read_real,
    [CONFIG_TEXT] = read_text, [CONFIG_CHOICE] = read_choice, [CONFIG_SPAN] = read_span,
    [CONFIG_INTS] = read_ints, [CONFIG_REALS] = read_reals,   [CONFIG_MAP] = read_map,
    [CONFIG_TEXTS] = read_texts, [CONFIG_LIST] = read_any_list, [CONFIG_ANY] = read_any,
};

/* --- Files ------------------------------------------------------------------------------------------------------ */

/* Data sets have names of ours; whether a model's is known says the catalogue, before anything runs. */
static bool check_name(const struct reading *r, const char *text)
{
    g_auto(owned_names) names = {0};
    if (!(r->row->flags & CONFIG_DATA) || !workload_names_read(&names, NULL) || workload_names_find(&names, text))
        return true; /* where there is no list, whoever looks for the file says so */
    struct suggest suggest = {.word = text};
    for (size_t i = 0; i < names.n; i++)
        suggest_offer(&suggest, names.rows[i].name);
    g_autofree char *listed = workload_names_listed(&names);
    diag_add(r->context->diag, DIAG_ERROR, place(r), "%s: no data set has the name \"%s\"", r->row->path, text);
    if (suggest.best)
        diag_hint(r->context->diag, "did you mean %s?", suggest.best);
    else
        diag_hint(r->context->diag, "there is %s; a file of your own ends in .jsonl or .csv", listed);
    return false;
}

/* What is wrong with the place a path leads to; said. */
static bool check_place(const struct reading *r, const char *text)
{
    struct diag *diag = r->context->diag;
    g_autoptr(GError) error = NULL;
    g_autofree char *file = (r->row->flags & CONFIG_DATA) ? workload_dataset_file(text) : g_strdup(text);
    const char *path = file;
    if (!file_is_readable_kind(path, &error)) {
        diag_add(diag, DIAG_ERROR, place(r), "%s: %s", r->row->path, error->message);
        return false;
    }
    bool folder = g_file_test(path, G_FILE_TEST_IS_DIR);
    if (folder && (r->row->flags & CONFIG_NO_FOLDER)) {
        diag_add(diag, DIAG_ERROR, place(r), "%s: %s is a folder", r->row->path, path);
        diag_hint(diag, "name a %sfile in it", (r->row->flags & CONFIG_DATA) ? ".jsonl or .csv " : "");
        return false;
    }
    bool wants_folder = r->row->option && r->row->option->path_kind == BACKEND_PATH_FOLDER;
    if (wants_folder && !folder && g_file_test(path, G_FILE_TEST_EXISTS)) {
        diag_add(diag, DIAG_ERROR, place(r), "%s: %s is not a folder", r->row->path, path);
        return false;
    }
    bool read_later = r->row->flags & CONFIG_CONTENT;
    if (folder || read_later || g_file_test(path, G_FILE_TEST_EXISTS))
        return true;
    if (r->row->flags & CONFIG_DATA)
        diag_add(diag, DIAG_ERROR, place(r), "%s: cannot open %s: %s", r->row->path, path, g_strerror(ENOENT));
    else
        diag_add(diag, DIAG_ERROR, place(r), "%s: there is no file or folder %s", r->row->path, path);
    return false;
}

/* The absolute path that a text leads to; of a data set, what stands behind the mark is no path. New string. */
static char *place_of(const struct reading *r, const char *text)
{
    g_autofree char *file = (r->row->flags & CONFIG_DATA) ? workload_dataset_file(text) : g_strdup(text);
    g_autofree char *path = absolute(r->context, file);
    return g_strconcat(path, text + strlen(file), NULL);
}

/* A text that leads to a file or folder gets its absolute path. */
static bool take_path(const struct reading *r, struct config_value *value)
{
    const char *text = json_string_value(value->json);
    if (!(r->row->flags & (CONFIG_PATH | CONFIG_NAMED)) || !text)
        return true;
    if ((r->row->flags & CONFIG_NAMED) && !workload_is_path(text))
        return check_name(r, text);
    value->file = place_of(r, text);
    json_t *path = json_string(value->file);
    if (!path) {
        diag_add(r->context->diag, DIAG_ERROR, place(r), "%s: the path is not UTF-8", r->row->path);
        return false;
    }
    json_decref(value->json);
    value->json = path;
    g_free(value->canonical);
    value->canonical = jsonx_dump(path, JSONX_CANONICAL);
    return r->context->skip_digests || check_place(r, value->file);
}

/* A data set's own lines say where they are wrong. */
static bool take_content(const struct reading *r, struct config_value *value)
{
    g_autoptr(GError) error = NULL;
    bool later = r->context->layer == LAYER_DEFAULT && (r->row->flags & CONFIG_DATA);
    value->unknown = later || (r->context->skip_digests && value->file);
    if (value->unknown || content_take(r->row, value, &error))
        return true;
    bool located = g_error_matches(error, LLEM_ERROR, LLEM_ERROR_DATA);
    diag_add(r->context->diag, DIAG_ERROR, place(r), "%s%s%s", located ? "" : r->row->path, located ? "" : ": ",
             error->message);
    return false;
}

struct config_value *value_read(const struct value_context *context, const struct config_field *row,
                                const struct doc_node *node)
{
    struct reading r = {context, row, node};
    json_t *json = NULL;
    if (node->kind == DOC_SCALAR && json_is_null(node->json) && field_is_nullable(row))
        json = json_null();
    else
        json = readers[row->type](&r);
    if (json && !json_is_null(json) && !is_allowed(row, json)) {
        json_decref(json);
        json = refuse(&r);
    }
    if (!json)
        return NULL;
    struct config_value *value = value_make(json, context->layer, NULL);
    value->at = *place(&r);
    bool renamed = row->type == CONFIG_CHOICE && json_is_string(json) &&
                   retired_value_alias(context->table, row->path, node->raw);
    value->written_as = g_strdup(renamed ? node->raw : context->written_as);
    if (row->flags & CONFIG_BOARDS) /* how many they are is what stands in the hash */
        value->content = g_strdup_printf("%zu", json_array_size(json));
    if (take_path(&r, value) && take_content(&r, value))
        return value;
    value_free(value);
    return NULL;
}

void config_derive(struct config *config, size_t field, json_t *json, const char *note)
{
    struct config_value *value = value_make(json, LAYER_DERIVED, note);
    if (!config->derived)
        config->derived = g_ptr_array_new_with_free_func(value_free);
    g_ptr_array_add(config->derived, value);
    config->values[field] = value;
}
