/* SPDX-License-Identifier: MIT */
/* The records that lie in the folder of a run. */
#include "result/parts.h"

#include <string.h>
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

/* Figures of another version may mean something else: they are not shown as if they were ours. */
static bool is_known(const json_t *record, const char *schema, const char *run_dir, const char *name, GError **error)
{
    const char *found = json_string_value(json_object_get(record, "schema"));
    if (found && !strcmp(found, schema))
        return true;
    g_autofree char *what = found ? g_strdup_printf("of another version of llem (%s; this one reads %s)", found, schema)
                                  : g_strdup("no record of llem: it names no schema");
    enum llem_error_code code = found ? LLEM_ERROR_UNSUPPORTED : LLEM_ERROR_DATA;
    g_set_error(error, LLEM_ERROR, code, "%s/%s is %s", run_dir, name, what);
    return false;
}

json_t *result_load(const char *run_dir, GError **error)
{
    g_autoptr(json_t) record = load(run_dir, result_files[RESULT_FILE_RESULT].name, error);
    if (!record || !is_known(record, RESULT_SCHEMA, run_dir, result_files[RESULT_FILE_RESULT].name, error))
        return NULL;
    result_host_join_file(record, run_dir);
    return g_steal_pointer(&record);
}

json_t *result_load_error(const char *run_dir, GError **error)
{
    g_autoptr(json_t) record = load(run_dir, result_files[RESULT_FILE_ERROR].name, error);
    if (!record || !is_known(record, RESULT_ERROR_SCHEMA, run_dir, result_files[RESULT_FILE_ERROR].name, error))
        return NULL;
    return g_steal_pointer(&record);
}
