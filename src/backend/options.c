/* SPDX-License-Identifier: MIT */
/* The options of a descriptor. What they say of one another is read when all of them are known. */
#include "backend/internal.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [BACKEND_BOOL] = "boolean",
    [BACKEND_INT] = "integer",
    [BACKEND_REAL] = "number",
    [BACKEND_TEXT] = "string",
    [BACKEND_CHOICE] = "choice",
    [BACKEND_SPAN] = "span",
    [BACKEND_INTS] = "integers",
    [BACKEND_REALS] = "numbers",
    [BACKEND_MAP] = "mapping",
    [BACKEND_LIST] = "list",
    [BACKEND_ANY] = "any",
    NULL,
};

static const char *const path_names[] = {
    [BACKEND_PATH_NONE] = "none", [BACKEND_PATH_FILE] = "file", [BACKEND_PATH_FOLDER] = "folder",
    [BACKEND_PATH_ANY] = "any", NULL,
};

const char *backend_type_name(enum backend_type type)
{
    return type_names[type];
}

/* An option as it is read: the row, and what needs the rest of it first. */
struct raw {
    struct backend_option row;
    int type, path_kind;
    const struct doc_node *name, *range, *choices, *initial, *hashed, *sweepable;
    const struct doc_node *when, *follows, *replaces;
};

#define NODE(what) {#what, false, read_node, offsetof(struct raw, what), NULL}
#define TEXT(what, need) {#what, need, read_text, offsetof(struct raw, row.what), NULL}

static const struct member members[] = {
    {"name", true, read_node, offsetof(struct raw, name), NULL},
    {"type", true, read_word, offsetof(struct raw, type), type_names},
    TEXT(help, true),
    TEXT(unit, false),
    TEXT(why, false),
    {"default", false, read_node, offsetof(struct raw, initial), NULL},
    TEXT(engine_default, false),
    NODE(range),
    NODE(choices),
    {"hashed", false, read_flag, offsetof(struct raw, row.hashed), NULL},
    {"sweepable", false, read_node, offsetof(struct raw, sweepable), NULL},
    {"path", false, read_word, offsetof(struct raw, path_kind), path_names},
    NODE(when),
    NODE(follows),
    NODE(replaces),
    TEXT(since, false),
    TEXT(until, false),
    {0},
};

/* --- Range and choices ------------------------------------------------------------------------------------------- */

static bool is_numeric(int type)
{
    return type == BACKEND_INT || type == BACKEND_REAL || type == BACKEND_SPAN || type == BACKEND_INTS ||
           type == BACKEND_REALS;
}

static bool bound(const struct doc_node *node, double *ret)
{
    if (json_is_number(node->json))
        *ret = json_number_value(node->json);
    return json_is_number(node->json) || json_is_null(node->json);
}

static void read_range(struct reading *r, const struct doc_node *node, struct raw *raw)
{
    if (!is_numeric(raw->type)) {
        read_error(r, node, NULL, "range: type %s has none", type_names[raw->type]);
        return;
    }
    bool ok = node->kind == DOC_LIST && node->n == 2 && bound(node->items[0], &raw->row.min) &&
              bound(node->items[1], &raw->row.max) && raw->row.min <= raw->row.max;
    if (!ok)
        read_error(r, node, NULL, "range: expected [least, largest], numbers in ascending order or null");
}

static const struct member choice_members[] = {
    {"name", true, read_text, offsetof(struct backend_choice, name), NULL},
    {"help", false, read_text, offsetof(struct backend_choice, help), NULL},
    {"means", false, read_text, offsetof(struct backend_choice, means), NULL},
    {0},
};

static void read_choice(struct reading *r, const struct doc_node *node, struct backend_choice *ret)
{
    if (node->kind == DOC_MAP)
        read_members(r, node, "choice", choice_members, ret);
    else
        ret->name = read_string(r, node, "choice");
}

static bool is_twice(const struct backend_choice *choices, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(choices[i].name, name))
            return true;
    return false;
}

static void read_choices(struct reading *r, const struct doc_node *node, struct raw *raw)
{
    if (raw->type != BACKEND_CHOICE || node->kind != DOC_LIST || node->n == 0 || node->n > LIMIT_BACKEND_ROWS) {
        read_error(r, node, NULL, raw->type != BACKEND_CHOICE ? "choices: only type choice has them"
                                                              : "choices: expected a list of names");
        return;
    }
    struct backend_choice *choices = keep_block(r->backend, g_new0(struct backend_choice, node->n + 1));
    size_t n = 0;
    for (size_t i = 0; i < node->n; i++) {
        struct backend_choice choice = {0};
        read_choice(r, node->items[i], &choice);
        if (choice.name && is_twice(choices, n, choice.name))
            read_error(r, node->items[i], NULL, "choices: '%s' is there twice", choice.name);
        else if (choice.name)
            choices[n++] = choice;
    }
    raw->row.choices = choices;
}

/* --- One option ---------------------------------------------------------------------------------------------------- */

static bool name_is_taken(struct reading *r, const char *name)
{
    for (const struct backend_shared_field *field = backend_shared; field->path; field++)
        if (!strcmp(field->path, name))
            return true;
    return g_hash_table_contains(r->backend->by_name, name) || g_hash_table_contains(r->backend->sections, name);
}

/* Every proper prefix of a name is a section, and no option may be called so. */
static bool add_sections(struct reading *r, const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        g_autofree char *section = g_strndup(name, (size_t)(dot - name));
        if (g_hash_table_contains(r->backend->by_name, section))
            return false;
        g_hash_table_add(r->backend->sections, g_steal_pointer(&section));
    }
    return true;
}

static const char *take_name(struct reading *r, const struct doc_node *node)
{
    const char *name = read_string(r, node, "name");
    if (!name)
        return NULL;
    if (!read_is_name(name, true) || strlen(name) > LIMIT_BACKEND_OPTION) {
        read_error(r, node, NULL, "name: '%s' is not made of letters, digits and '_', in parts separated by dots", name);
        return NULL;
    }
    if (!name_is_taken(r, name) && add_sections(r, name))
        return name;
    read_error(r, node, NULL, "name: '%s' is there already, as an option, a section or a shared field", name);
    return NULL;
}

/* A default is sent by every run: to versions that do not have the option, and from machines without the file. */
static void refuse_default(struct reading *r, const struct raw *raw)
{
    if (raw->row.since || raw->row.until)
        read_error(r, raw->initial, NULL, "default: not every version has this option; say what is taken in engine_default");
    if (raw->path_kind != BACKEND_PATH_NONE)
        read_error(r, raw->initial, NULL, "default: a path of this machine is none for another");
}

static void take_default(struct reading *r, struct raw *raw)
{
    refuse_default(r, raw);
    g_autoptr(json_t) value = read_value(r, raw->initial, "default", raw->row.type, &raw->row);
    g_autofree char *text = value ? jsonx_dump(raw->initial->json, JSONX_COMPACT) : NULL;
    raw->row.initial = text ? keep_text(r->backend, text) : NULL;
}

/* A number or a mapping as JSON has it, True and False as Python; texts are themselves, with or without quotes. New
 * text, or NULL: it is in words. */
static char *own_value(enum backend_type type, const char *text)
{
    size_t n = strlen(text);
    bool quoted = n > 1 && *text == '\'' && text[n - 1] == '\'';
    g_autofree char *bare = quoted ? g_strndup(text + 1, n - 2) : g_strdup(text), *lower = g_ascii_strdown(text, -1);
    bool is_text = type == BACKEND_TEXT || type == BACKEND_CHOICE;
    g_autoptr(json_t) value = is_text ? json_string(bare)
                                      : jsonx_parse(type == BACKEND_BOOL ? lower : text, -1, "engine_default", NULL);
    return !value || json_is_null(value) || !g_strcmp0(text, "None") ? NULL : jsonx_dump(value, JSONX_COMPACT);
}

/* What a field has in the place of a value that is not written decides alone where the option replaces it, and what a
 * path leads to is of one machine. */
static void take_own(struct reading *r, struct raw *raw)
{
    bool plain = !raw->initial && !raw->replaces && !raw->follows && raw->path_kind == BACKEND_PATH_NONE;
    g_autofree char *own = plain && raw->row.engine_default ? own_value(raw->row.type, raw->row.engine_default) : NULL;
    raw->row.own = own ? keep_text(r->backend, own) : NULL;
}

static void take_sweepable(struct reading *r, struct raw *raw)
{
    raw->row.sweepable = raw->row.type != BACKEND_MAP && raw->row.type != BACKEND_ANY;
    if (raw->sweepable && json_is_boolean(raw->sweepable->json))
        raw->row.sweepable = json_is_true(raw->sweepable->json);
    else if (raw->sweepable)
        read_error(r, raw->sweepable, NULL, "sweepable: expected true or false");
}

static void take_parts(struct reading *r, const struct doc_node *node, struct raw *raw)
{
    raw->row.type = (enum backend_type)raw->type;
    raw->row.path_kind = (enum backend_path)raw->path_kind;
    take_sweepable(r, raw);
    if (raw->range)
        read_range(r, raw->range, raw);
    if (raw->choices)
        read_choices(r, raw->choices, raw);
    else if (raw->type == BACKEND_CHOICE)
        read_error(r, node, NULL, "option: type choice needs 'choices'");
    if (raw->initial && (raw->type != BACKEND_CHOICE || raw->row.choices))
        take_default(r, raw);
    take_own(r, raw);
    if (raw->path_kind != BACKEND_PATH_NONE && raw->type != BACKEND_TEXT)
        read_error(r, node, NULL, "option: 'path' needs type string");
    if (raw->row.since && raw->row.until && strverscmp(raw->row.since, raw->row.until) > 0)
        read_error(r, node, NULL, "option: since %s, and until %s", raw->row.since, raw->row.until);
}

static void read_option(struct reading *r, const struct doc_node *node)
{
    struct raw raw = {.row = {.min = -INFINITY, .max = INFINITY, .hashed = true, .at = node->at}, .type = -1};
    if (!read_members(r, node, "option", members, &raw) || !raw.name || raw.type < 0)
        return;
    take_parts(r, node, &raw);
    raw.row.name = take_name(r, raw.name);
    if (!raw.row.name)
        return;
    raw.row.at.source = r->backend->file;
    g_autofree char *path = g_strdup_printf("%s.%s", r->backend->name, raw.row.name);
    raw.row.path = keep_text(r->backend, path);
    g_array_append_val(r->backend->options, raw.row);
    g_array_append_val(r->option_nodes, node);
    g_hash_table_insert(r->backend->by_name, g_strdup(raw.row.name), GSIZE_TO_POINTER(r->backend->options->len));
}

/* --- Links ----------------------------------------------------------------------------------------------------------- */

static const struct doc_node *member_of(const struct doc_node *node, const char *name)
{
    const struct doc_entry *entry = doc_entry_of(node, name);
    return entry ? entry->value : NULL;
}

static void link_follows(struct reading *r, const struct doc_node *node, struct backend_option *option)
{
    const struct backend_option *other = read_option_name(r, node, "follows");
    if (!other)
        return;
    if (other == option || other->type != option->type || option->initial)
        read_error(r, node, NULL, "follows: %s follows an option of its own type, and has no default", option->name);
    else
        option->follows = other->path;
}

/* What follows itself would have the value that was written for it, and no default to differ from. */
static void refuse_circles(struct reading *r)
{
    for (unsigned i = 0; i < r->option_nodes->len; i++) {
        const struct backend_option *option = &g_array_index(r->backend->options, struct backend_option, i),
            *at = option;
        for (unsigned steps = 0; at && at->follows && steps < r->option_nodes->len; steps++) {
            at = backend_option(r->backend, at->follows);
            if (at != option)
                continue;
            read_error(r, member_of(g_array_index(r->option_nodes, const struct doc_node *, i), "follows"), NULL,
                       "follows: %s follows itself by way of %s", option->name, option->follows);
            break;
        }
    }
}

static void link_replaces(struct reading *r, const struct doc_node *node, struct backend_option *option)
{
    const struct backend_shared_field *shared = read_shared_name(r, node, "replaces");
    if (shared && shared->needed)
        read_error(r, node, NULL, "replaces: every run needs %s", shared->path);
    option->replaces = shared ? shared->path : NULL;
}

/* What a choice means is a value of the shared field that its option replaces. */
static void check_meanings(struct reading *r, const struct doc_node *node, const struct backend_option *option)
{
    for (const struct backend_choice *c = option->choices; c && c->name; c++) {
        if (!c->means)
            continue;
        const char *const *values = option->replaces ? backend_shared_values(option->replaces) : NULL;
        if (!values || !g_strv_contains(values, c->means))
            read_error(r, member_of(node, "choices"), NULL,
                       "means: '%s' is no value of a field that %s replaces", c->means, option->name);
    }
}

static void read_links(struct reading *r)
{
    for (unsigned i = 0; i < r->option_nodes->len; i++) {
        struct backend_option *option = &g_array_index(r->backend->options, struct backend_option, i);
        const struct doc_node *node = g_array_index(r->option_nodes, const struct doc_node *, i);
        const struct doc_node *when = member_of(node, "when");
        const struct doc_node *follows = member_of(node, "follows"), *replaces = member_of(node, "replaces");
        if (when)
            option->when = read_conditions(r, when, "when", &option->n_when);
        if (follows)
            link_follows(r, follows, option);
        if (replaces)
            link_replaces(r, replaces, option);
        check_meanings(r, node, option);
    }
    refuse_circles(r);
}

void read_options(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_option);
    read_links(r);
}
