/* SPDX-License-Identifier: MIT */
/* The other lists of a descriptor: roles, what it cannot do, further arguments, retired names and values. */
#include "backend/internal.h"

#include <string.h>

/* --- Roles ----------------------------------------------------------------------------------------------------------- */

#define ONE(type) (1u << (type))

static const struct role_row {
    const char *name;
    unsigned types; /* of its options */
    const char *wanted;
} role_rows[] = {
    [ROLE_BATCH] = {"batch", ONE(BACKEND_INT), "an integer"},
    [ROLE_IN_FLIGHT] = {"in_flight", ONE(BACKEND_INT), "an integer"},
    [ROLE_CONTEXT] = {"context", ONE(BACKEND_INT), "an integer"},
    [ROLE_THREADS] = {"threads", ONE(BACKEND_INT), "an integer"},
    [ROLE_DEVICES] = {"devices", ONE(BACKEND_INT), "an integer"},
    [ROLE_KV_TYPE] = {"kv_type", ONE(BACKEND_CHOICE) | ONE(BACKEND_TEXT), "a choice or a string"},
    [ROLE_GPU_LAYERS] = {"gpu_layers", ONE(BACKEND_INT), "an integer"},
    [ROLE_PREFIX_CACHE] = {"prefix_cache", ONE(BACKEND_BOOL), "a boolean"},
    [ROLE_ADD_SPECIAL] = {"add_special", ONE(BACKEND_BOOL), "a boolean"},
};

const char *backend_role_name(enum backend_role role)
{
    return role_rows[role].name;
}

static const struct backend_option *role_option(struct reading *r, const struct doc_node *node, enum backend_role role)
{
    const struct role_row *row = &role_rows[role];
    const struct backend_option *option = read_option_name(r, node, row->name);
    if (!option || (row->types & ONE(option->type)))
        return option;
    read_error(r, node, NULL, "%s: '%s' is of type %s; %s is wanted", row->name, option->name,
               backend_type_name(option->type), row->wanted);
    return NULL;
}

static bool is_in_role(const struct role *role, const struct backend_option *option)
{
    for (size_t i = 0; i < role->n; i++)
        if (role->options[i] == option)
            return true;
    return false;
}

static void take_role(struct reading *r, const struct doc_node *node, enum backend_role role)
{
    struct role *into = &r->backend->roles[role];
    size_t n = node->kind == DOC_LIST ? node->n : 1;
    into->options = keep_block(r->backend, g_new0(const struct backend_option *, n + 1));
    for (size_t i = 0; i < n; i++) {
        const struct doc_node *item = node->kind == DOC_LIST ? node->items[i] : node;
        const struct backend_option *option = role_option(r, item, role);
        if (option && is_in_role(into, option))
            read_error(r, item, NULL, "%s: '%s' is there twice", role_rows[role].name, option->name);
        else if (option)
            into->options[into->n++] = option;
    }
    if (node->kind == DOC_LIST && node->n == 0)
        read_error(r, node, NULL, "%s: an empty list of options", role_rows[role].name);
}

static const char *const pers[] = {"engine", "sequence", NULL};

struct raw_context {
    const struct doc_node *option;
    int per;
    int64_t rounds_to;
};

static const struct member context_members[] = {
    {"option", true, read_node, offsetof(struct raw_context, option), NULL},
    {"per", true, read_word, offsetof(struct raw_context, per), pers},
    {"rounds_to", false, read_count, offsetof(struct raw_context, rounds_to), NULL},
    {0},
};

static void take_context(struct reading *r, const struct doc_node *node)
{
    struct raw_context raw = {0};
    if (!read_members(r, node, "context", context_members, &raw) || !raw.option)
        return;
    take_role(r, raw.option, ROLE_CONTEXT);
    r->backend->context = (struct backend_context){raw.per == 1, raw.rounds_to};
    r->backend->has_context = r->backend->roles[ROLE_CONTEXT].n == 1;
}

static void read_role(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    enum backend_role role = (enum backend_role)((const struct role_row *)member->words - role_rows);
    if (role == ROLE_CONTEXT)
        take_context(r, node);
    else
        take_role(r, node, role);
}

void read_roles(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    struct member members[ROLE_COUNT + 1] = {0};
    for (size_t i = 0; i < ROLE_COUNT; i++)
        members[i] = (struct member){role_rows[i].name, false, read_role, 0, &role_rows[i]};
    read_members(r, node, member->name, members, into);
}

/* --- What it cannot do ------------------------------------------------------------------------------------------------ */

struct raw_cannot {
    const struct doc_node *field, *is;
    const char *why;
};

static const struct member cannot_members[] = {
    {"field", true, read_node, offsetof(struct raw_cannot, field), NULL},
    {"is", false, read_node, offsetof(struct raw_cannot, is), NULL},
    {"why", true, read_text, offsetof(struct raw_cannot, why), NULL},
    {0},
};

static void read_cannot_row(struct reading *r, const struct doc_node *node)
{
    struct raw_cannot raw = {0};
    if (!read_members(r, node, "cannot", cannot_members, &raw) || !raw.field || !raw.why)
        return;
    const struct backend_shared_field *shared = read_shared_name(r, raw.field, "field");
    if (!shared)
        return;
    struct backend_cannot row = {.field = shared->path, .why = raw.why};
    struct field_ref field = {shared->path, shared->type, NULL};
    struct backend_condition *is = raw.is ? keep_block(r->backend, g_new0(struct backend_condition, 1)) : NULL;
    if (is && !read_condition(r, raw.is, "is", &field, is))
        return;
    row.is = is;
    g_array_append_val(r->backend->cannot, row);
}

void read_cannot(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_cannot_row);
}

/* --- Further arguments ------------------------------------------------------------------------------------------------- */

static const struct member owned_members[] = {
    {"name", true, read_text, offsetof(struct backend_argument, name), NULL},
    {"note", true, read_text, offsetof(struct backend_argument, note), NULL},
    {"type", false, read_text, offsetof(struct backend_argument, type), NULL},
    {"engine_default", false, read_text, offsetof(struct backend_argument, engine_default), NULL},
    {0},
};

static const struct member passed_members[] = {
    {"name", true, read_text, offsetof(struct backend_argument, name), NULL},
    {"type", false, read_text, offsetof(struct backend_argument, type), NULL},
    {"engine_default", false, read_text, offsetof(struct backend_argument, engine_default), NULL},
    {"hashed", false, read_flag, offsetof(struct backend_argument, hashed), NULL},
    {0},
};

static const struct backend_argument *argument_of(const GArray *list, const char *name)
{
    for (unsigned i = 0; i < list->len; i++) {
        const struct backend_argument *argument = &g_array_index(list, struct backend_argument, i);
        if (!strcmp(argument->name, name))
            return argument;
    }
    return NULL;
}

static void add_argument(struct reading *r, const struct doc_node *node, const struct member *members, GArray *list)
{
    struct backend *b = r->backend;
    struct backend_argument argument = {.hashed = true};
    if (!read_members(r, node, "argument", members, &argument) || !argument.name)
        return;
    g_autofree char *inside = g_strdup_printf("%s.%s", b->passed_section, argument.name);
    if (g_hash_table_contains(b->by_name, *b->passed_section ? inside : argument.name) ||
        argument_of(b->owned, argument.name) || argument_of(b->passed, argument.name))
        read_error(r, node, NULL, "argument '%s' is there already", argument.name);
    else
        g_array_append_val(list, argument);
}

static void read_owned_row(struct reading *r, const struct doc_node *node)
{
    add_argument(r, node, owned_members, r->backend->owned);
}

static void read_passed_row(struct reading *r, const struct doc_node *node)
{
    add_argument(r, node, passed_members, r->backend->passed);
}

void read_owned(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_owned_row);
}

struct raw_pass {
    const struct doc_node *section, *arguments;
};

static const struct member pass_members[] = {
    {"section", false, read_node, offsetof(struct raw_pass, section), NULL},
    {"arguments", false, read_node, offsetof(struct raw_pass, arguments), NULL},
    {0},
};

void read_pass_through(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    struct backend *b = r->backend;
    struct raw_pass raw = {0};
    if (!read_members(r, node, member->name, pass_members, &raw))
        return;
    b->passes_through = true;
    const char *section = raw.section ? read_string(r, raw.section, "section") : NULL;
    if (section && g_hash_table_contains(b->sections, section))
        b->passed_section = section;
    else if (section)
        read_error(r, raw.section, NULL, "section: no option has a name that begins with '%s.'", section);
    if (raw.arguments)
        read_each(r, raw.arguments, "arguments", read_passed_row);
}

/* --- Retired names and values --------------------------------------------------------------------------------------------- */

struct raw_retired {
    const struct doc_node *name, *option, *alias;
    const char *value, *text, *since, *field;
};

static const struct member retired_members[] = {
    {"name", false, read_node, offsetof(struct raw_retired, name), NULL},
    {"option", false, read_node, offsetof(struct raw_retired, option), NULL},
    {"value", false, read_text, offsetof(struct raw_retired, value), NULL},
    {"text", false, read_text, offsetof(struct raw_retired, text), NULL},
    {"alias", false, read_node, offsetof(struct raw_retired, alias), NULL},
    {"since", false, read_text, offsetof(struct raw_retired, since), NULL},
    {"field", false, read_text, offsetof(struct raw_retired, field), NULL},
    {0},
};

static bool take_retired_name(struct reading *r, const struct raw_retired *raw, struct backend_retired *row)
{
    const char *name = read_string(r, raw->name, "name");
    const struct backend_option *alias = raw->alias ? read_option_name(r, raw->alias, "alias") : NULL;
    if (!name || (raw->alias && !alias))
        return false;
    if (g_hash_table_contains(r->backend->by_name, name)) {
        read_error(r, raw->name, NULL, "name: '%s' is an option; it cannot be retired", name);
        return false;
    }
    g_autofree char *path = g_strdup_printf("%s.%s", r->backend->name, name);
    row->path = keep_text(r->backend, path);
    row->alias = alias ? alias->path : NULL;
    if (raw->field) {
        const char *where = strchr(raw->field, '.') ? "" : " (not in a section)";
        g_autofree char *text = g_strdup_printf("write %s%s", raw->field, where);
        row->field = raw->field;
        row->text = keep_text(r->backend, text);
    }
    return true;
}

static bool is_choice_of(const struct backend_option *option, const char *name)
{
    for (const struct backend_choice *c = option->choices; c && c->name; c++)
        if (!g_ascii_strcasecmp(c->name, name))
            return true;
    return false;
}

static bool take_retired_value(struct reading *r, const struct raw_retired *raw, struct backend_retired *row)
{
    const struct backend_option *option = read_option_name(r, raw->option, "option");
    const char *alias = raw->alias ? read_string(r, raw->alias, "alias") : NULL;
    if (!option || (raw->alias && !alias))
        return false;
    if (!option->choices || is_choice_of(option, raw->value) || (alias && !is_choice_of(option, alias))) {
        read_error(r, raw->option, NULL, "option: '%s' must be of type choice, the value none of its choices, "
                   "an alias one of them", option->name);
        return false;
    }
    row->path = option->path;
    row->value = raw->value;
    row->alias = alias;
    return true;
}

static void read_retired_row(struct reading *r, const struct doc_node *node)
{
    struct raw_retired raw = {0};
    if (!read_members(r, node, "retired", retired_members, &raw))
        return;
    bool name = raw.name && !raw.option && !raw.value, value = !raw.name && raw.option && raw.value;
    int said = (raw.text != NULL) + (raw.alias != NULL) + (raw.field != NULL);
    if ((!name && !value) || said != 1 || (value && raw.field)) {
        read_error(r, node, NULL, "retired: 'name', or 'option' and 'value'; and with it 'text' or 'alias', or with a "
                   "name 'field'");
        return;
    }
    struct backend_retired row = {.text = raw.text, .since = raw.since};
    if (name ? take_retired_name(r, &raw, &row) : take_retired_value(r, &raw, &row))
        g_array_append_val(r->backend->retired, row);
}

void read_retired(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_retired_row);
}

/* --- Variables that are heeded no more ------------------------------------------------------------------------------------ */

static const struct member unheeded_members[] = {
    {"name", true, read_text, offsetof(struct backend_unheeded, name), NULL},
    {"since", false, read_text, offsetof(struct backend_unheeded, since), NULL},
    {"text", true, read_text, offsetof(struct backend_unheeded, text), NULL},
    {0},
};

static void read_unheeded_row(struct reading *r, const struct doc_node *node)
{
    struct backend_unheeded row = {0};
    if (read_members(r, node, "unheeded_env", unheeded_members, &row) && row.name && row.text)
        g_array_append_val(r->backend->unheeded, row);
}

void read_unheeded(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_unheeded_row);
}

/* --- Equivalents ------------------------------------------------------------------------------------------------------------ */

static void add_equivalent(struct reading *r, const char *name, const struct doc_node *node)
{
    struct equivalent row = {keep_text(r->backend, name), read_string(r, node, name)};
    if (row.own)
        g_array_append_val(r->backend->equivalents, row);
}

void read_equivalents(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    if (node->kind != DOC_MAP)
        read_error(r, node, NULL, "%s: expected a mapping of our names to the engine's", member->name);
    for (size_t i = 0; node->kind == DOC_MAP && i < node->n; i++) {
        const struct doc_entry *entry = &node->entries[i];
        bool list = entry->value->kind == DOC_LIST;
        if (!equivalent_is_known(entry->key))
            read_error(r, entry->value, NULL, "%s: there is no portable name '%s'", member->name, entry->key);
        for (size_t k = 0; k < (list ? entry->value->n : 1); k++)
            add_equivalent(r, entry->key, list ? entry->value->items[k] : entry->value);
    }
}
