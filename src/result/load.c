/* SPDX-License-Identifier: MIT */
/* The records that lie in the folder of a run. */
#include "result/parts.h"

#include <unistd.h>

static json_t *load(const char *run_dir, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(run_dir, name, NULL);
    if (access(path, F_OK) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "there is no %s in %s", name, run_dir);
        return NULL;
    }
    return jsonx_load(path, LIMIT_RESULT_BYTES, error);
}

json_t *result_load(const char *run_dir, GError **error)
{
    json_t *record = load(run_dir, "result.json", error);
    if (record)
        result_host_join_file(record, run_dir);
    return record;
}

json_t *result_load_error(const char *run_dir, GError **error)
{
    return load(run_dir, "error.json", error);
}
