/* SPDX-License-Identifier: MIT */
/* What an engine's options come to for rooms that know no engine. */
#include "config/internal.h"

/* How the options of a role become one value. */
static const enum combine { PRODUCT, LARGEST, LIST, ANY_ON } combines[ROLE_COUNT] = {
    [ROLE_BATCH] = PRODUCT,      [ROLE_IN_FLIGHT] = PRODUCT,  [ROLE_CONTEXT] = PRODUCT,    [ROLE_THREADS] = LARGEST,
    [ROLE_DEVICES] = PRODUCT,    [ROLE_KV_TYPE] = LIST,       [ROLE_GPU_LAYERS] = PRODUCT, [ROLE_PREFIX_CACHE] = ANY_ON,
    [ROLE_ADD_SPECIAL] = ANY_ON,
};

/* Values of the role's options that apply, in the order of the role. New reference; NULL: there are none. */
static json_t *values_of(const struct config *config, enum backend_role role)
{
    const struct backend_option *const *options;
    size_t n = backend_role(config->engine, role, &options);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *value = config_value_at(config, options[i]->path);
        if (value)
            json_array_append(list, value);
    }
    if (json_array_size(list))
        return list;
    json_decref(list);
    return NULL;
}

static int64_t number_of(const json_t *list, enum combine combine)
{
    int64_t value = json_integer_value(json_array_get(list, 0));
    for (size_t i = 1; i < json_array_size(list); i++) {
        int64_t next = json_integer_value(json_array_get(list, i));
        if (combine == LARGEST)
            value = MAX(value, next);
        else if (__builtin_mul_overflow(value, next, &value))
            value = INT64_MAX;
    }
    return value;
}

static bool is_any_on(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_true(json_array_get(list, i)))
            return true;
    return false;
}

/* The value of a role, or NULL: the engine decides. New reference. */
static json_t *role_value(const struct config *config, enum backend_role role)
{
    if (!config->engine)
        return json_incref(json_object_get(config->carried.roles, backend_role_name(role)));
    g_autoptr(json_t) list = values_of(config, role);
    if (!list)
        return NULL;
    switch (combines[role]) {
    case LIST:
        return g_steal_pointer(&list);
    case ANY_ON:
        return json_boolean(is_any_on(list));
    case PRODUCT:
    case LARGEST:
        break;
    }
    return json_integer(number_of(list, combines[role]));
}

bool config_role_int(const struct config *config, enum backend_role role, int64_t *ret)
{
    g_autoptr(json_t) value = role_value(config, role);
    if (!json_is_integer(value))
        return false;
    *ret = json_integer_value(value);
    return true;
}

bool config_role_on(const struct config *config, enum backend_role role)
{
    g_autoptr(json_t) value = role_value(config, role);
    return json_is_true(value);
}

const char *config_role_kv_type(const struct config *config, int which)
{
    g_autoptr(json_t) list = role_value(config, ROLE_KV_TYPE);
    size_t n = json_array_size(list);
    /* The texts belong to the values of the configuration, which outlive this list. */
    return n ? json_string_value(json_array_get(list, MIN((size_t)which, n - 1))) : NULL;
}

json_t *config_roles(const struct config *config)
{
    json_t *roles = json_object();
    for (size_t role = 0; role < ROLE_COUNT; role++) {
        json_t *value = role_value(config, (enum backend_role)role);
        if (value)
            json_object_set_new(roles, backend_role_name((enum backend_role)role), value);
    }
    return roles;
}
