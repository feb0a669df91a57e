/* SPDX-License-Identifier: MIT */
/* What can be done with a member of each type. */
#include "exchange/private.h"

#include <string.h>

/* --- Texts -------------------------------------------------------------------------------------------------------- */

static bool read_string(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    *ret_where = NULL;
    *ret_found = value;
    *(char **)member = g_strdup(json_string_value(value));
    return json_is_string(value);
}

static json_t *write_string(const void *member)
{
    const char *text = *(char *const *)member;
    return text ? json_string(text) : json_null();
}

static void clear_string(void *member)
{
    g_clear_pointer((char **)member, g_free);
}

static json_t *string_schema(void)
{
    return schema_typed("string", false);
}

static bool read_strings(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    size_t n = json_array_size(value);
    char **list = *(char ***)member = g_new0(char *, n + 1);
    *ret_where = NULL;
    *ret_found = value;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        list[i] = g_strdup(json_string_value(item));
        if (list[i])
            continue;
        *ret_where = g_strdup_printf("[%zu]", i);
        *ret_found = item;
        return false;
    }
    return json_is_array(value);
}

static json_t *write_strings(const void *member)
{
    char *const *list = *(char **const *)member;
    g_autoptr(json_t) array = list ? json_array() : json_null();
    for (; list && *list; list++)
        if (json_array_append_new(array, json_string(*list)) != 0)
            return NULL;
    return g_steal_pointer(&array);
}

static void clear_strings(void *member)
{
    g_clear_pointer((char ***)member, g_strfreev);
}

static json_t *strings_schema(void)
{
    return schema_list_of(schema_typed("string", false), 0, 0);
}

/* --- Trees -------------------------------------------------------------------------------------------------------- */

static bool read_object(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    *ret_where = NULL;
    *ret_found = value;
    *(json_t **)member = json_is_object(value) ? json_deep_copy(value) : NULL;
    return json_is_object(value);
}

static json_t *write_object(const void *member)
{
    json_t *tree = *(json_t *const *)member;
    return tree ? json_incref(tree) : json_null();
}

static void clear_object(void *member)
{
    g_clear_pointer((json_t **)member, json_decref);
}

static json_t *object_schema(void)
{
    return schema_typed("object", false);
}

/* --- Prompts ------------------------------------------------------------------------------------------------------ */

void exchange_prompts_init(struct exchange_prompts *prompts, size_t n)
{
    prompts->n = n;
    prompts->text = g_new0(char *, n + 1);
    prompts->line = g_new0(int64_t, n + 1);
}

static bool read_prompts(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    struct exchange_prompts *prompts = member;
    *ret_where = NULL;
    *ret_found = value;
    exchange_prompts_init(prompts, json_array_size(value));
    for (size_t i = 0; i < prompts->n; i++) {
        const json_t *item = json_array_get(value, i);
        const json_t *text = json_object_get(item, "text"), *line = json_object_get(item, "line");
        prompts->text[i] = g_strdup(json_string_value(text));
        prompts->line[i] = json_integer_value(line);
        if (json_is_string(text) && json_is_integer(line))
            continue;
        *ret_where = g_strdup_printf("[%zu]", i);
        *ret_found = item;
        return false;
    }
    return json_is_array(value);
}

static json_t *write_prompts(const void *member)
{
    const struct exchange_prompts *prompts = member;
    g_autoptr(json_t) list = prompts->text ? json_array() : json_null();
    for (size_t i = 0; i < prompts->n; i++)
        if (json_array_append_new(list, json_pack("{s:I, s:s}", "line", (json_int_t)prompts->line[i], "text",
                                                  prompts->text[i])) != 0)
            return NULL;
    return g_steal_pointer(&list);
}

static void clear_prompts(void *member)
{
    struct exchange_prompts *prompts = member;
    for (size_t i = 0; i < prompts->n; i++)
        g_free(prompts->text[i]);
    g_free(prompts->text);
    g_free(prompts->line);
    *prompts = (struct exchange_prompts){0};
}

static json_t *prompts_schema(void)
{
    json_t *prompt = schema_object();
    schema_add(prompt, "line", schema_typed("integer", false), true);
    schema_add(prompt, "text", schema_typed("string", false), true);
    return schema_list_of(prompt, 0, 0);
}

/* --- Numbers and switches: 0 and false are the same as absent -------------------------------------------------------- */

static bool read_int(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    *ret_where = NULL;
    *ret_found = value;
    *(int64_t *)member = json_integer_value(value);
    return json_is_integer(value);
}

static json_t *write_int(const void *member)
{
    int64_t value = *(const int64_t *)member;
    return value ? json_integer(value) : json_null();
}

static void clear_int(void *member)
{
    *(int64_t *)member = 0;
}

static json_t *int_schema(void)
{
    return schema_typed("integer", false);
}

static bool read_bool(void *member, const json_t *value, char **ret_where, const json_t **ret_found)
{
    *ret_where = NULL;
    *ret_found = value;
    *(bool *)member = json_is_true(value);
    return json_is_boolean(value);
}

static json_t *write_bool(const void *member)
{
    return *(const bool *)member ? json_true() : json_null();
}

static void clear_bool(void *member)
{
    *(bool *)member = false;
}

static json_t *bool_schema(void)
{
    return schema_typed("boolean", false);
}

const struct exchange_type_ops exchange_types[] = {
    [EXCHANGE_STRING] = {"a string", read_string, write_string, clear_string, string_schema},
    [EXCHANGE_STRINGS] = {"a list of strings", read_strings, write_strings, clear_strings, strings_schema},
    [EXCHANGE_OBJECT] = {"an object", read_object, write_object, clear_object, object_schema},
    [EXCHANGE_PROMPTS] = {"a list of prompts, each with a line and a text", read_prompts, write_prompts, clear_prompts,
                          prompts_schema},
    [EXCHANGE_INT] = {"an integer", read_int, write_int, clear_int, int_schema},
    [EXCHANGE_BOOL] = {"true or false", read_bool, write_bool, clear_bool, bool_schema},
};
