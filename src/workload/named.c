/* SPDX-License-Identifier: MIT */
/* Data sets that have a name: the rows of datasets.json, which lies beside those that come with llem. */
#include "workload/private.h"

#include <string.h>

#define MOST_BYTES (1 << 20) /* of datasets.json */

static const struct member_row columns[] = {
    MEMBER(struct workload_named, name, "name", MEMBER_REQUIRED),
    MEMBER(struct workload_named, summary, "summary", MEMBER_REQUIRED),
    MEMBER(struct workload_named, licence, "licence", MEMBER_REQUIRED),
    MEMBER(struct workload_named, file, "file", MEMBER_REQUIRED),
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
    for (size_t i = 0; i < names->n; i++)
        if (!members_read(json_array_get(list, i), &names->rows[i], columns, G_N_ELEMENTS(columns), error))
            return false;
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

char *workload_named_path(const struct workload_named *named)
{
    g_autofree char *folder = workload_data_folder();
    return g_build_filename(folder, named->file, NULL);
}
