/* SPDX-License-Identifier: MIT */
/* What a descriptor says, handed out. */
#include "backend/internal.h"

#include <string.h>

#define TEXT_OF(what)                                     \
    const char *backend_##what(const struct backend *b)   \
    {                                                     \
        return b->what;                                   \
    }
TEXT_OF(name)
TEXT_OF(title)
TEXT_OF(summary)
TEXT_OF(remedy)
TEXT_OF(folder)
TEXT_OF(digest)
TEXT_OF(audited)

char *backend_with_version(const struct backend *b, const char *version)
{
    const char *of = b->versioned ? b->versioned : b->title;
    return version && *version ? g_strdup_printf("%s %s", of, version) : g_strdup(b->title);
}

#define NUMBER_OF(type, what)                      \
    type backend_##what(const struct backend *b)   \
    {                                              \
        return b->what;                            \
    }
NUMBER_OF(int64_t, protocol)
NUMBER_OF(int64_t, hash_version)
NUMBER_OF(unsigned, modes)
NUMBER_OF(unsigned, where)

#define TEXTS_OF(what)                                          \
    const char *const *backend_##what(const struct backend *b)  \
    {                                                           \
        return b->what;                                         \
    }
TEXTS_OF(env)
TEXTS_OF(record_env)
TEXTS_OF(caches)
TEXTS_OF(files)

#define LIST_OF(function, type, list)                                          \
    size_t backend_##function(const struct backend *b, const struct type **ret) \
    {                                                                          \
        *ret = (const struct type *)(const void *)b->list->data;               \
        return b->list->len;                                                   \
    }
LIST_OF(options, backend_option, options)
LIST_OF(rules, backend_rule, rules)
LIST_OF(cannot, backend_cannot, cannot)
LIST_OF(retired_rows, backend_retired, retired)
LIST_OF(unheeded, backend_unheeded, unheeded)
LIST_OF(owned, backend_argument, owned)
LIST_OF(passed, backend_argument, passed)

const struct backend_option *backend_option(const struct backend *b, const char *name)
{
    size_t n = strlen(b->name);
    bool path = !strncmp(name, b->name, n) && name[n] == '.';
    unsigned index = GPOINTER_TO_UINT(g_hash_table_lookup(b->by_name, path ? name + n + 1 : name));
    if (!index && path) /* an option whose name begins as the engine's */
        index = GPOINTER_TO_UINT(g_hash_table_lookup(b->by_name, name));
    return index ? &g_array_index(b->options, struct backend_option, index - 1) : NULL;
}

bool backend_option_is_in(const struct backend_option *option, const char *version)
{
    return !version || ((!option->since || strverscmp(version, option->since) >= 0) &&
                        (!option->until || strverscmp(version, option->until) <= 0));
}

const struct backend_retired *backend_retired(const struct backend *b, const char *path, const char *value)
{
    for (unsigned i = 0; i < b->retired->len; i++) {
        const struct backend_retired *row = &g_array_index(b->retired, struct backend_retired, i);
        if (!strcmp(row->path, path) && !row->value == !value && (!value || !g_ascii_strcasecmp(row->value, value)))
            return row;
    }
    return NULL;
}

enum backend_gpu backend_gpu(const struct backend *b, const struct backend_condition **ret_when, size_t *ret_n)
{
    *ret_when = b->gpu_when;
    *ret_n = b->n_gpu_when;
    return b->gpu;
}

bool backend_passes_through(const struct backend *b, const char **ret_section)
{
    if (ret_section)
        *ret_section = b->passed_section;
    return b->passes_through;
}

static const struct backend_argument *argument_of(const GArray *list, const char *name)
{
    for (unsigned i = 0; i < list->len; i++) {
        const struct backend_argument *argument = &g_array_index(list, struct backend_argument, i);
        if (!strcmp(argument->name, name))
            return argument;
    }
    return NULL;
}

bool backend_has_member(const char *mapping, const char *name)
{
    size_t n = strlen(mapping);
    return !strncmp(mapping, name, n) && (!name[n] || name[n] == '.');
}

/* An argument by its name, or, where it is a mapping whose members are options, by that of a member. */
static const struct backend_argument *mapping_of(const GArray *list, const char *name)
{
    const struct backend_argument *found = argument_of(list, name);
    for (unsigned i = 0; !found && i < list->len; i++) {
        const struct backend_argument *argument = &g_array_index(list, struct backend_argument, i);
        found = backend_has_member(argument->name, name) ? argument : NULL;
    }
    return found;
}

const struct backend_argument *backend_owned_find(const struct backend *b, const char *name)
{
    return argument_of(b->owned, name);
}

/* An argument's own name, by that of the option it is in the section of further arguments; NULL: it is not there. */
static const char *name_in_section(const struct backend *b, const char *name)
{
    size_t n = strlen(b->passed_section);
    return !n ? name : !strncmp(name, b->passed_section, n) && name[n] == '.' ? name + n + 1 : NULL;
}

const struct backend_argument *backend_owned_option(const struct backend *b, const char *name)
{
    const char *inside = name_in_section(b, name);
    const struct backend_argument *found = inside ? argument_of(b->owned, inside) : NULL;
    return found ? found : argument_of(b->owned, name);
}

const struct backend_argument *backend_passed_option(const struct backend *b, const char *name)
{
    const char *inside = name_in_section(b, name);
    return inside ? mapping_of(b->passed, inside) : NULL;
}

const struct backend_argument *backend_passed_find(const struct backend *b, const char *name)
{
    return mapping_of(b->passed, name);
}

size_t backend_role(const struct backend *b, enum backend_role role, const struct backend_option *const **ret)
{
    *ret = (const struct backend_option *const *)b->roles[role].options;
    return b->roles[role].n;
}

const struct backend_context *backend_context(const struct backend *b)
{
    return b->has_context ? &b->context : NULL;
}

const struct backend_model *backend_model(const struct backend *b)
{
    return &b->model;
}

const struct backend_python *backend_python(const struct backend *b)
{
    return b->has_python ? &b->python : NULL;
}

const struct backend_schema *backend_schema_of(const struct backend *b)
{
    return b->schema;
}
