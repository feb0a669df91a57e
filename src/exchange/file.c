/* SPDX-License-Identifier: MIT */
/* The folder of one run and the names in it. */
#include "exchange/private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

char *exchange_file(const char *dir, const char *config_hash, const char *name)
{
    return g_strdup_printf("%s/%s_%s", dir, config_hash, name);
}

int exchange_hold(const char *config_path)
{
    int fd = open(config_path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && file_lock_try(fd, false) == FILE_LOCK_TAKEN)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool exchange_is_held(const char *dir, const char *config_hash)
{
    g_autofree char *path = exchange_file(dir, config_hash, "config.json");
    bool told = true, held = file_is_locked(path, &told);
    return held || !told;
}

/* The tree as the worker is to see it: read back from its own text, so that the caller's struct is not touched. */
static json_t *tree_inside(const struct exchange *x, const struct exchange_map *map, GError **error)
{
    g_autoptr(json_t) tree = exchange_json(x, error);
    g_auto(owned_exchange) mapped = {0};
    if (!tree || !map)
        return g_steal_pointer(&tree);
    if (!exchange_parse("exchange file", tree, &mapped, error) || !exchange_map_paths(&mapped, map, error))
        return NULL;
    return exchange_json(&mapped, error);
}

char *exchange_folder_new(const char *parent, const struct exchange *x, const struct exchange_map *map, GError **error)
{
    g_autoptr(json_t) tree = tree_inside(x, map, error);
    g_autofree char *dir = tree ? g_build_filename(parent, EXCHANGE_FOLDER_PREFIX "XXXXXX", NULL) : NULL;
    if (!tree)
        return NULL;
    if (!mkdtemp(dir)) {
        file_error(error, "cannot create an exchange folder in", parent);
        return NULL;
    }
    g_autofree char *path = exchange_file(dir, x->config_hash, "config.json");
    if (jsonx_save(path, tree, error))
        return g_steal_pointer(&dir);
    file_remove_tree(dir, NULL);
    return NULL;
}
