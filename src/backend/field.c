/* SPDX-License-Identifier: MIT */
/* References to options and shared fields, values of their types, and conditions on them. */
#include "backend/internal.h"

#include <math.h>
#include <string.h>

const struct backend_shared_field backend_shared[] = {
    {"model", BACKEND_TEXT, true},
    {"precision", BACKEND_TEXT, false},
    {"random_seed", BACKEND_INT, true},
    {"max_input_tokens", BACKEND_INT, true},
    {"max_output_tokens", BACKEND_INT, true},
    {"allow_substitution", BACKEND_BOOL, true},
    {"decoder.temperature", BACKEND_REAL, false},
    {"decoder.do_sample", BACKEND_BOOL, false},
    {"decoder.top_k", BACKEND_INT, false},
    {"decoder.top_p", BACKEND_REAL, false},
    {"decoder.min_p", BACKEND_REAL, false},
    {"decoder.repetition_penalty", BACKEND_REAL, false},
    {"decoder.ignore_eos", BACKEND_BOOL, true},
    {"decoder.min_new_tokens", BACKEND_INT, false},
    {"load.mode", BACKEND_TEXT, true},
    {0},
};

/* Sections and fields of every configuration: an engine's section cannot be called so. */
static const char *const reserved[] = {
    "allow_substitution", "backend", "baseline", "dataset", "dataset_order", "decoder", "energy", "execution", "gpus",
    "limits", "load", "max_input_tokens", "max_output_tokens", "memory_gate", "model", "n", "name", "output_dir",
    "passthrough_kwargs", "precision", "random_seed", "runners", "sweep", "warmup", NULL,
};

static const char *const precisions[] = {"fp32", "fp16", "bf16", NULL};

const char *const *backend_shared_values(const char *path)
{
    return strcmp(path, "precision") ? NULL : precisions;
}

bool backend_name_is_reserved(const char *name)
{
    return g_strv_contains(reserved, name);
}

/* --- References ---------------------------------------------------------------------------------------------------- */

static const struct backend_shared_field *find_shared(const char *path, struct suggest *near)
{
    for (const struct backend_shared_field *field = backend_shared; field->path; field++) {
        if (!strcmp(field->path, path))
            return field;
        suggest_offer(near, field->path);
    }
    return NULL;
}

static const struct backend_option *find_option(const struct reading *r, const char *name, struct suggest *near)
{
    const GArray *options = r->backend->options;
    for (unsigned i = 0; i < options->len; i++) {
        const struct backend_option *option = &g_array_index(options, struct backend_option, i);
        if (!strcmp(option->name, name))
            return option;
        suggest_offer(near, option->name);
    }
    return NULL;
}

struct field_ref read_field(struct reading *r, const struct doc_node *node, const char *what)
{
    const char *name = read_string(r, node, what);
    if (!name)
        return (struct field_ref){0};
    struct suggest near = {.word = name};
    const struct backend_option *option = find_option(r, name, &near);
    if (option)
        return (struct field_ref){option->path, option->type, option};
    const struct backend_shared_field *shared = find_shared(name, &near);
    if (shared)
        return (struct field_ref){shared->path, shared->type, NULL};
    read_error(r, node, &near, "%s: there is no option or shared field '%s'", what, name);
    return (struct field_ref){0};
}

struct field_ref read_field_or_argument(struct reading *r, const struct doc_node *node, const char *what)
{
    const char *name = json_string_value(node->json);
    if (!name || find_option(r, name, &(struct suggest){.word = name}) || !backend_passed_option(r->backend, name))
        return read_field(r, node, what);
    g_autofree char *path = g_strdup_printf("%s.%s", r->backend->name, name);
    return (struct field_ref){keep_text(r->backend, path), BACKEND_ANY, NULL};
}

const struct backend_option *read_option_name(struct reading *r, const struct doc_node *node, const char *what)
{
    const char *name = read_string(r, node, what);
    struct suggest near = {.word = name};
    const struct backend_option *option = name ? find_option(r, name, &near) : NULL;
    if (name && !option)
        read_error(r, node, &near, "%s: there is no option '%s'", what, name);
    return option;
}

const struct backend_shared_field *read_shared_name(struct reading *r, const struct doc_node *node, const char *what)
{
    const char *name = read_string(r, node, what);
    struct suggest near = {.word = name};
    const struct backend_shared_field *field = name ? find_shared(name, &near) : NULL;
    if (name && !field)
        read_error(r, node, &near, "%s: there is no shared field '%s'", what, name);
    return field;
}

/* --- Values -------------------------------------------------------------------------------------------------------- */

static const char *const type_words[] = {
    [BACKEND_BOOL] = "true or false",
    [BACKEND_INT] = "an integer",
    [BACKEND_REAL] = "a number",
    [BACKEND_TEXT] = "a text",
    [BACKEND_CHOICE] = "one of its choices",
    [BACKEND_SPAN] = "[low, high], two numbers in ascending order",
    [BACKEND_INTS] = "a list of integers",
    [BACKEND_REALS] = "a number, or a list of numbers",
    [BACKEND_MAP] = "a mapping",
    [BACKEND_LIST] = "a list",
    [BACKEND_ANY] = "a value",
};

static bool in_range(const struct backend_option *row, const json_t *json)
{
    return !row || (json_number_value(json) >= row->min && json_number_value(json) <= row->max);
}

static bool is_choice(const struct backend_option *row, const json_t *json)
{
    for (const struct backend_choice *c = row ? row->choices : NULL; c && c->name && json_is_string(json); c++)
        if (!strcmp(c->name, json_string_value(json)))
            return true;
    return false;
}

/* Integers within a list of numbers become reals, as configurations are read. */
static json_t *list_of(const json_t *json, bool integers, const struct backend_option *row)
{
    g_autoptr(json_t) list = json_array();
    for (size_t i = 0; i < json_array_size(json); i++) {
        json_t *item = json_array_get(json, i);
        if (!(integers ? json_is_integer(item) : json_is_number(item)) || !in_range(row, item))
            return NULL;
        json_array_append_new(list, integers ? json_incref(item) : json_real(json_number_value(item)));
    }
    return json_array_size(list) ? g_steal_pointer(&list) : NULL;
}

static json_t *span_of(const json_t *json, const struct backend_option *row)
{
    g_autoptr(json_t) list = list_of(json, false, row);
    bool ordered = json_array_size(list) == 2 && json_real_value(json_array_get(list, 0)) <=
                                                     json_real_value(json_array_get(list, 1));
    return ordered ? g_steal_pointer(&list) : NULL;
}

static json_t *real_of(const json_t *json, const struct backend_option *row)
{
    return json_is_number(json) && in_range(row, json) ? json_real(json_number_value(json) + 0.0) : NULL;
}

/* The JSON of a value of a type, or NULL when it is of another. New reference. */
static json_t *typed(json_t *json, enum backend_type type, const struct backend_option *row)
{
    switch (type) {
    case BACKEND_BOOL:
        return json_is_boolean(json) ? json_incref(json) : NULL;
    case BACKEND_INT:
        return json_is_integer(json) && in_range(row, json) ? json_incref(json) : NULL;
    case BACKEND_REALS:
        return json_is_array(json) ? list_of(json, false, row) : real_of(json, row);
    case BACKEND_REAL:
        return real_of(json, row);
    case BACKEND_TEXT:
        return json_is_string(json) && *json_string_value(json) ? json_incref(json) : NULL;
    case BACKEND_CHOICE:
        return is_choice(row, json) ? json_incref(json) : NULL;
    case BACKEND_SPAN:
        return span_of(json, row);
    case BACKEND_INTS:
        return list_of(json, true, row);
    case BACKEND_MAP:
        return json_is_object(json) ? json_incref(json) : NULL;
    case BACKEND_LIST:
        return json_is_array(json) ? json_incref(json) : NULL;
    case BACKEND_ANY:
        return json_is_null(json) ? NULL : json_incref(json);
    }
    return NULL;
}

static char *choices_words(const struct backend_option *row)
{
    GString *out = g_string_new("one of ");
    for (const struct backend_choice *c = row->choices; c && c->name; c++)
        g_string_append_printf(out, "%s%s", c == row->choices ? "" : ", ", c->name);
    return g_string_free(out, FALSE);
}

json_t *read_value(struct reading *r, const struct doc_node *node, const char *what, enum backend_type type,
                   const struct backend_option *row)
{
    json_t *value = typed(node->json, type, row);
    if (value)
        return value;
    g_autofree char *found = doc_describe(node);
    g_autofree char *wanted = row && row->choices ? choices_words(row) : g_strdup(type_words[type]);
    bool number = json_is_number(node->json) && (type == BACKEND_INT || type == BACKEND_REAL || type == BACKEND_REALS);
    read_error(r, node, NULL, "%s: expected %s%s, found %s", what, wanted, number && row ? " within its range" : "",
               found);
    return NULL;
}

/* --- Conditions ------------------------------------------------------------------------------------------------------ */

static const char *condition_value(struct reading *r, const struct doc_node *node, const char *what,
                                   const struct field_ref *field)
{
    if (json_is_null(node->json) && node->kind == DOC_SCALAR)
        return "null";
    g_autoptr(json_t) value = read_value(r, node, what, field->type, field->option);
    g_autofree char *text = value ? jsonx_dump(value, JSONX_CANONICAL) : NULL;
    return text ? keep_text(r->backend, text) : NULL;
}

static bool is_list_type(enum backend_type type)
{
    return type == BACKEND_SPAN || type == BACKEND_INTS || type == BACKEND_REALS || type == BACKEND_LIST;
}

bool read_condition(struct reading *r, const struct doc_node *node, const char *what, const struct field_ref *field,
                    struct backend_condition *ret)
{
    const struct doc_entry *entry = node->kind == DOC_MAP && node->n == 1 ? doc_entry_of(node, "not") : NULL;
    const struct doc_node *values = entry ? entry->value : node;
    bool list = values->kind == DOC_LIST && !is_list_type(field->type);
    *ret = (struct backend_condition){field->path, entry != NULL, list ? values->n : 1, NULL};
    const char **texts = keep_block(r->backend, g_new0(const char *, ret->n + 1));
    ret->values = texts;
    bool ok = ret->n > 0;
    if (!ok)
        read_error(r, values, NULL, "%s: an empty list of values", what);
    for (size_t i = 0; i < ret->n; i++) {
        texts[i] = condition_value(r, list ? values->items[i] : values, what, field);
        ok = ok && texts[i];
    }
    return ok;
}

const struct backend_condition *read_conditions(struct reading *r, const struct doc_node *node, const char *what,
                                                size_t *ret_n)
{
    *ret_n = 0;
    if (node->kind != DOC_MAP || node->n == 0) {
        g_autofree char *found = doc_describe(node);
        read_error(r, node, NULL, "%s: expected a mapping of fields to conditions, found %s", what, found);
        return NULL;
    }
    struct backend_condition *rows = keep_block(r->backend, g_new0(struct backend_condition, node->n + 1));
    for (size_t i = 0; i < node->n; i++) {
        const struct doc_entry *entry = &node->entries[i];
        struct doc_node key = {.at = entry->key_at, .raw = entry->key, .json = json_string(entry->key)};
        struct field_ref field = read_field(r, &key, what);
        json_decref(key.json);
        if (field.path && read_condition(r, entry->value, what, &field, &rows[*ret_n]))
            (*ret_n)++;
    }
    return rows;
}
