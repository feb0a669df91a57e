/* SPDX-License-Identifier: MIT */
/* An engine is started here and asked for its options. That takes seconds where it imports a framework, so that a good
 * end is remembered with what it said, by the interpreter and its packages, by the adapter and by its descriptor. A bad
 * end is asked for again each time, for somebody will be mending it. */
#include "dispatch/internal.h"

#include "engine/engine.h"

#include <string.h>
#include <sys/stat.h>

#define REMEMBERED_NS (24 * 3600 * NS_PER_S)

static bool is_noted(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return false;
    int64_t age_ns = clock_wall_ns() - ((int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
    return age_ns >= 0 && age_ns < REMEMBERED_NS;
}

/* Best effort: without a cache folder it is started again the next time. */
static void note(const struct backend *backend, const char *path, const char *version, const json_t *fields)
{
    g_autoptr(GError) error = NULL;
    if (path && !backend_schema_save(path, backend, version, NULL, fields, &error))
        g_debug("%s", error->message);
}

static bool start(const struct backend *backend, const char *const *argv, int64_t limit_ns, const char *path,
                  GError **error)
{
    const struct engine_options options = {.argv = argv, .env = backend_env(backend), .interrupt_fd = -1};
    struct engine *engine = engine_start(&options, error);
    struct engine_identity identity = {0};
    struct engine_schema schema = {0};
    int64_t until_ns = clock_mono_ns() + limit_ns;
    bool ok = engine && engine_hello(engine, until_ns, &identity, error) &&
              engine_schema(engine, until_ns, &schema, error);
    if (ok)
        note(backend, path, identity.engine_version, schema.fields);
    engine_schema_clear(&schema);
    engine_identity_clear(&identity);
    engine_free(engine);
    return ok;
}

bool start_check(const struct backend *backend, int64_t limit_ns, GError **error)
{
    g_auto(GStrv) argv = backend_command(backend, error);
    if (!argv)
        return false;
    g_autofree char *path = backend_schema_path(backend, NULL);
    return is_noted(path) || (backend_check_python(backend, error) &&
                              start(backend, (const char *const *)argv, limit_ns, path, error));
}
