/* SPDX-License-Identifier: MIT */
/* Any bytes as the file of what an engine said that it takes: options beside those of its descriptor, or one error. The
 * sum of a changed file is wrong most of the time, so that what follows it is read with the sum put right, too. */
#include "backend/backend.h"

#include "fuzz.h"

#include <string.h>

static const char descriptor[] =
    "{\"format\": 1, \"name\": \"toy\", \"summary\": \"s\", \"protocol\": 1, \"hash_version\": 1, \"remedy\": \"r\","
    " \"model\": {\"takes\": \"none\"}, \"options\": [{\"name\": \"engine.n\", \"type\": \"integer\", \"help\": \"h\"}],"
    " \"pass_through\": {\"section\": \"engine\"}, \"owned\": [{\"name\": \"seed\", \"note\": \"n\"}],"
    " \"retired\": [{\"name\": \"engine.old\", \"text\": \"t\"}]}";

static void check_option(const struct backend *extended, const struct backend_option *option)
{
    g_assert(backend_option(extended, option->path) == option && *option->help);
    g_assert((option->type == BACKEND_CHOICE) == (option->choices != NULL) && option->min <= option->max);
    g_assert(strcmp(option->name, "engine.seed") && strcmp(option->name, "engine.old"));
    g_assert(strcmp(option->name, "engine"));
}

static void read_as(const struct backend *backend, const char *text, size_t length)
{
    g_autoptr(GError) error = NULL;
    struct backend_schema *schema = backend_schema_parse("fuzz.json", text, length, &error);
    g_assert((schema != NULL) == (error == NULL));
    if (!schema)
        return;
    const struct backend_option *options;
    g_autoptr(owned_backend) extended = backend_extend(backend, schema);
    size_t n = backend_options(extended, &options);
    g_assert(n >= 1 && n <= 1 + schema->n && backend_schema_of(extended) == schema);
    for (size_t i = 0; i < n; i++)
        check_option(extended, &options[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_backend) backend = backend_parse("toy.json", descriptor, strlen(descriptor), "/engines/toy", diag);
    g_assert(backend);
    read_as(backend, (const char *)data, size);
    g_autoptr(json_t) tree = jsonx_parse((const char *)data, (gssize)size, "fuzz", NULL);
    if (!json_is_object(tree))
        return 0;
    json_object_del(tree, "sum");
    g_autofree char *sum = jsonx_sha256(tree);
    json_object_set_new(tree, "sum", json_string(sum));
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    read_as(backend, text, strlen(text));
    return 0;
}
