/* SPDX-License-Identifier: MIT */
/* The reply to schema: the options the installed engine takes. */
#include "engine/private.h"

bool engine_schema(struct engine *engine, int64_t deadline_ns, struct engine_schema *ret, GError **error)
{
    *ret = (struct engine_schema){.reply = wire_call(engine, "schema", NULL, deadline_ns, error)};
    if (!ret->reply)
        return false;
    GError *detail = NULL;
    if (jsonx_get_array(ret->reply, "fields", true, &ret->fields, &detail))
        ret->options = backend_reported_read(ret->fields, &ret->n, &detail);
    if (ret->options)
        return true;
    engine_schema_clear(ret);
    return wire_bad_reply(engine, "schema", detail, error);
}

void engine_schema_clear(struct engine_schema *schema)
{
    json_decref(schema->reply);
    g_free(schema->options);
    *schema = (struct engine_schema){0};
}

const struct backend_reported *engine_schema_find(const struct engine_schema *schema, const char *name)
{
    return backend_reported_find(schema->options, schema->n, name);
}
