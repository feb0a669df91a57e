/* SPDX-License-Identifier: MIT */
/* Runs every file of a corpus, and every prefix of the small ones, through a fuzz target: the ordinary build's stand-in
 * for libFuzzer. Each input lies in memory of exactly its size, so that a sanitizer sees a read past the end. */
#include "fuzz.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_BYTES 2048 /* longer inputs are run whole only */

static void run(const char *data, size_t size)
{
    uint8_t *exact = g_malloc(size ? size : 1);
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    g_free(exact);
}

static void run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize size = 0;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &data, &size, &error))
        g_error("%s", error->message);
    run(data, size);
    for (size_t n = 0; size <= PREFIX_BYTES && n < size; n++)
        run(data, n);
}

int main(int argc, char **argv)
{
    unsigned files = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) error = NULL;
        GDir *dir = g_dir_open(argv[i], 0, &error);
        if (!dir)
            g_error("%s", error->message);
        const char *name;
        while ((name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(argv[i], name, NULL);
            run_file(path);
            files++;
        }
        g_dir_close(dir);
    }
    printf("%u files replayed\n", files);
    return files ? 0 : 1;
}
