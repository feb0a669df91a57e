/* SPDX-License-Identifier: MIT */
/* Data sets that have a name: the rows of datasets.json, which lies beside those that come with llem. */
#include "workload/private.h"

#include <string.h>

#define MOST_BYTES (1 << 20) /* of datasets.json */

static const struct member_row columns[] = {
    MEMBER(struct workload_named, name, "name", MEMBER_REQUIRED),
    MEMBER(struct workload_named, summary, "summary", MEMBER_REQUIRED),
    MEMBER(struct workload_named, licence, "licence", MEMBER_REQUIRED),
    MEMBER(struct workload_named, file, "file", MEMBER_OPTIONAL),
    MEMBER(struct workload_named, home, "home", MEMBER_OPTIONAL),
    MEMBER(struct workload_named, revision, "revision", MEMBER_OPTIONAL),
    MEMBER(struct workload_named, path, "path", MEMBER_OPTIONAL),
    MEMBER(struct workload_named, prompts_sha256, "prompts_sha256", MEMBER_OPTIONAL),
    MEMBER(struct workload_named, count, "count", MEMBER_OPTIONAL),
};

char *workload_data_folder(void)
{
    const char *dir = g_getenv("LLEM_DATA_DIR");
    g_autofree char *self = install_folder();
    g_autofree char *path = dir && *dir ? g_strdup(dir)
                                        : g_build_filename(self ? self : ".", "..", "share", "llem", "data", NULL);
    return g_canonicalize_filename(path, NULL);
}

static bool read_rows(struct workload_names *names, GError **error)
{
    json_t *list;
    if (!jsonx_get_array(names->root, "datasets", true, &list, error))
        return false;
    names->n = json_array_size(list);
    names->rows = g_new0(struct workload_named, names->n + 1);
    for (size_t i = 0; i < names->n; i++) {
        struct workload_named *row = &names->rows[i];
        if (!members_read(json_array_get(list, i), row, columns, G_N_ELEMENTS(columns), error))
            return false;
        if (row->file || (row->home && row->revision && row->path && row->prompts_sha256))
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s has neither a file nor home, revision, path and prompts_sha256", row->name);
        return false;
    }
    return true;
}

bool workload_names_read(struct workload_names *ret, GError **error)
{
    *ret = (struct workload_names){0};
    g_auto(owned_names) names = {0};
    g_autofree char *folder = workload_data_folder(), *path = g_build_filename(folder, "datasets.json", NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "the list of data sets is not at %s: install llem completely, or name its data folder in "
                    "LLEM_DATA_DIR", path);
        return false;
    }
    names.root = jsonx_load(path, MOST_BYTES, error);
    if (!names.root)
        return false;
    if (!read_rows(&names, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    *ret = names;
    names = (struct workload_names){0};
    return true;
}

const struct workload_named *workload_names_find(const struct workload_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (!strcmp(names->rows[i].name, name))
            return &names->rows[i];
    return NULL;
}

char *workload_names_listed(const struct workload_names *names)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < names->n; i++)
        g_string_append_printf(text, "%s%s", i == 0 ? "" : i + 1 < names->n ? ", " : " or ", names->rows[i].name);
    return g_string_free(text, FALSE);
}

void workload_names_clear(struct workload_names *names)
{
    json_decref(names->root);
    g_free(names->rows);
    *names = (struct workload_names){0};
}

json_t *workload_named_identity(const char *name)
{
    g_auto(owned_names) names = {0};
    const struct workload_named *named =
        workload_is_path(name) || !workload_names_read(&names, NULL) ? NULL : workload_names_find(&names, name);
    return named && named->prompts_sha256 ? json_pack("{s:s}", "prompts", named->prompts_sha256) : NULL;
}

char *workload_datasets_folder(void)
{
    const char *dir = g_getenv("LLEM_DATASETS_DIR");
    return dir && *dir ? g_strdup(dir) : g_build_filename(g_get_user_cache_dir(), "llem", "datasets", NULL);
}

char *workload_named_path(const struct workload_named *named)
{
    g_autofree char *folder = named->file ? workload_data_folder() : workload_datasets_folder();
    g_autofree char *file = named->file ? g_strdup(named->file) : g_strconcat(named->name, ".jsonl", NULL);
    return g_build_filename(folder, file, NULL);
}

bool workload_named_present(const struct workload_named *named)
{
    g_autofree char *path = workload_named_path(named);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

char *workload_named_remedy(const struct workload_named *named)
{
    return g_strdup_printf("llem dataset pull %s  fetches it where there is a network;  llem dataset import FILE  takes a "
                           "JSONL, CSV or Parquet file of it (%s, revision %s)", named->name, named->home, named->revision);
}
