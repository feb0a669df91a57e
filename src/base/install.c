/* SPDX-License-Identifier: MIT */
#include "base/install.h"

char *install_folder(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_dirname(self) : NULL;
}

char *install_find(const char *const *places, GFileTest test)
{
    g_autofree char *folder = install_folder();
    for (; folder && *places; places++) {
        g_autofree char *path = g_build_filename(folder, *places, NULL);
        if (g_file_test(path, test))
            return g_canonicalize_filename(path, NULL);
    }
    return NULL;
}
