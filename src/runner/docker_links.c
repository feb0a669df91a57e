/* SPDX-License-Identifier: MIT */
/* Where the symbolic links of a folder lead: a container that sees the folder alone would find nothing behind those
 * that lead out of it. Caches of model hubs consist of such links. */
#include "runner/docker_links.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_ENTRIES 20000
#define MOST_DEPTH   6
#define MOST_HOPS    8

struct walk {
    const char *root;
    GPtrArray *relative, *absolute;
    int left;
};

bool docker_is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return !strncmp(path, folder, n) && (path[n] == '/' || path[n] == '\0' || n == 1);
}

static void add_once(GPtrArray *list, const char *text)
{
    if (!g_ptr_array_find_with_equal_func(list, text, g_str_equal, NULL))
        g_ptr_array_add(list, g_strdup(text));
}

/* A link may lead to another. */
static void follow_link(struct walk *walk, const char *link, int hops)
{
    g_autofree char *text = g_file_read_link(link, NULL);
    g_autofree char *folder = g_path_get_dirname(link);
    g_autofree char *target = text ? g_canonicalize_filename(text, folder) : NULL;
    if (!target || access(target, F_OK) != 0)
        return;
    if (g_path_is_absolute(text))
        add_once(walk->absolute, target);
    else if (!docker_is_below(target, walk->root))
        add_once(walk->relative, target);
    if (hops > 0 && g_file_test(target, G_FILE_TEST_IS_SYMLINK))
        follow_link(walk, target, hops - 1);
}

static void walk_folder(struct walk *walk, const char *path, int depth)
{
    g_autoptr(GDir) dir = depth > 0 ? g_dir_open(path, 0, NULL) : NULL;
    const char *name;
    while (dir && walk->left-- > 0 && (name = g_dir_read_name(dir))) {
        g_autofree char *entry = g_build_filename(path, name, NULL);
        if (g_file_test(entry, G_FILE_TEST_IS_SYMLINK))
            follow_link(walk, entry, MOST_HOPS);
        else if (g_file_test(entry, G_FILE_TEST_IS_DIR))
            walk_folder(walk, entry, depth - 1);
    }
}

void docker_links(const char *root, GPtrArray **ret_relative, GPtrArray **ret_absolute)
{
    struct walk walk = {.root = root, .left = MOST_ENTRIES};
    *ret_relative = walk.relative = g_ptr_array_new_with_free_func(g_free);
    *ret_absolute = walk.absolute = g_ptr_array_new_with_free_func(g_free);
    walk_folder(&walk, root, MOST_DEPTH);
}

char *docker_common_folder(const char *root, const GPtrArray *targets)
{
    g_autofree char *top = g_strdup(root);
    for (guint i = 0; i < targets->len; i++)
        while (!docker_is_below(g_ptr_array_index(targets, i), top)) {
            char *above = g_path_get_dirname(top);
            g_free(top);
            top = above;
        }
    return g_steal_pointer(&top);
}
