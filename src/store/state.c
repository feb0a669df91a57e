/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include <string.h>

static const char *const names[STORE_STATE_COUNT] = {
#define X(id, name, meaning) [STORE_##id] = name,
    STORE_STATES(X)
#undef X
};

void store_describe_states(GString *out)
{
    g_string_append(out, "| state | meaning |\n|---|---|\n");
#define X(id, name, meaning) g_string_append(out, "| `" name "` | " meaning " |\n");
    STORE_STATES(X)
#undef X
}

const char *store_state_name(enum store_state state)
{
    return names[state];
}

int store_state_from_name(const char *name)
{
    for (int i = 0; name && i < STORE_STATE_COUNT; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

bool store_state_has_record(enum store_state state)
{
    return state == STORE_OK || state == STORE_UNEQUAL;
}

enum store_state store_state_of_record(const json_t *record)
{
    const json_t *flags = json_object_get(record, "flags");
    for (size_t i = 0; i < json_array_size(flags); i++) {
        const char *flag = json_string_value(json_array_get(flags, i));
        if (flag && !strcmp(flag, "unequal_work"))
            return STORE_UNEQUAL;
    }
    return STORE_OK;
}

const char *store_message_of_failure(const GError *failure)
{
    static const char said[] = "interrupted";
    if (!g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED) || !g_str_has_prefix(failure->message, said))
        return failure->message;
    const char *more = failure->message + strlen(said);
    return *more ? more + 1 : NULL;
}

enum store_state store_state_of_failure(const GError *failure)
{
    if (g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return STORE_INTERRUPTED;
    return g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_MISSING) ? STORE_SKIPPED : STORE_FAILED;
}
