/* SPDX-License-Identifier: MIT */
#include "result/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A trace whose writer was killed still has its writer's name: "trace.csv.gz.PID.tmp". */
#define TRACE_NAME         "trace.csv.gz"
#define PARTIAL_TRACE_NAME "trace.partial.csv.gz"

/* What a worker leaves (after "{hash}_" where prefixed) and what it is called for good. */
static const struct {
    const char *name;
    bool prefixed;
} files[] = {
    {"config.json", true},       {"result.json", true},  {"error.json", true},   {TRACE_NAME, false},
    {"environment.json", false}, {"engine.log", false},  {"worker.log", false},  {"progress.jsonl", false},
};

/* A name fit for a folder: letters, digits, '.', '_' and '-'; the last part of a path. New string. */
static char *slug(const char *text, size_t longest)
{
    g_autofree char *base = g_path_get_basename(text);
    for (char *c = base; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
            *c = '-';
    return g_strndup(base[0] == '.' ? base + 1 : base, longest);
}

char *run_folder_new_study(const char *results_dir, const char *name, GError **error)
{
    if (!file_make_dirs(results_dir, error))
        return NULL;
    g_autofree char *utc = clock_format_utc(clock_wall_ns());
    utc[19] = 0; /* seconds are enough in a name */
    for (char *c = utc; *c; c++)
        if (*c == ':')
            *c = '-';
    g_autofree char *safe = slug(name && *name ? name : "study", 60);
    for (int i = 0; i < 1000; i++) {
        g_autofree char *path = i == 0 ? g_strdup_printf("%s/%s_%s", results_dir, safe, utc)
                                       : g_strdup_printf("%s/%s_%s_%d", results_dir, safe, utc, i);
        if (mkdir(path, 0777) == 0)
            return g_steal_pointer(&path);
        if (errno != EEXIST) {
            file_error(error, "cannot create folder", path);
            return NULL;
        }
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "cannot find a free folder name for %s in %s", safe, results_dir);
    return NULL;
}

char *run_folder_path(const char *study_dir, int index, int cycle, const char *model, const char *backend,
                      const char *config_hash)
{
    g_autofree char *safe = slug(model, 40);
    return g_strdup_printf("%s/%03d_c%d_%s-%s_%.8s", study_dir, index, cycle, safe, backend, config_hash);
}

/* rename(2), or copy and unlink where the exchange folder lies on another file system. */
static bool move_file(const char *from, const char *to, GError **error)
{
    if (rename(from, to) == 0)
        return true;
    if (errno != EXDEV)
        return file_error(error, "cannot move", from);
    size_t length;
    g_autofree char *content = file_read(from, G_MAXSSIZE, &length, error);
    if (!content || !file_write_durable(to, content, length, error))
        return false;
    unlink(from);
    return true;
}

static bool move_partial_trace(const char *exchange_dir, const char *to_dir, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(exchange_dir, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_str_has_prefix(name, TRACE_NAME ".") || !g_str_has_suffix(name, ".tmp"))
            continue;
        g_autofree char *from = g_build_filename(exchange_dir, name, NULL);
        g_autofree char *to = g_build_filename(to_dir, PARTIAL_TRACE_NAME, NULL);
        return move_file(from, to, error);
    }
    return true;
}

bool run_folder_collect(const char *exchange_dir, const char *config_hash, const char *run_dir, GError **error)
{
    g_autofree char *partial = g_strdup_printf("%s.partial", run_dir);
    if (!file_remove_tree(partial, error) || !file_make_dirs(partial, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *name =
            files[i].prefixed ? g_strdup_printf("%s_%s", config_hash, files[i].name) : g_strdup(files[i].name);
        g_autofree char *from = g_build_filename(exchange_dir, name, NULL);
        g_autofree char *to = g_build_filename(partial, files[i].name, NULL);
        if (access(from, F_OK) == 0 && !move_file(from, to, error))
            return false;
    }
    if (!move_partial_trace(exchange_dir, partial, error) || !file_sync_dir(partial, error))
        return false;
    if (rename(partial, run_dir) != 0)
        return file_error(error, "cannot rename into", run_dir);
    g_autofree char *parent = g_path_get_dirname(run_dir);
    return file_sync_dir(parent, error);
}

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
    if (!record)
        return NULL;
    g_autofree char *beside = g_build_filename(run_dir, "host_energy.json", NULL);
    if (access(beside, F_OK) == 0) {
        json_t *host = jsonx_load(beside, LIMIT_RESULT_BYTES, error);
        if (!host) {
            json_decref(record);
            return NULL;
        }
        json_object_set_new(record, "host_energy", host);
    }
    return record;
}

json_t *result_load_error(const char *run_dir, GError **error)
{
    return load(run_dir, "error.json", error);
}
