/* SPDX-License-Identifier: MIT */
/* Files that are known by how they begin, where another was to be. */
#include "workload/private.h"

#include <string.h>

static const struct {
    const char *begin; /* compared without case; bytes beyond ASCII as they are */
    size_t length;
    const char *words;
} things[] = {
#define BEGINS(text) text, sizeof text - 1
    {BEGINS("version https://git-lfs.github.com/spec/"),
     "a pointer of Git LFS and not what it points to: run  git lfs pull  in its folder"},
    {BEGINS("<!doctype html"), "a web page, of a login or of an error most likely: get the file again"},
    {BEGINS("<html"), "a web page, of a login or of an error most likely: get the file again"},
    {BEGINS("<?xml"), "XML, of an error most likely: get the file again"},
    {BEGINS("GGUF"), "a GGUF file"},
    {BEGINS("PK\x03\x04"), "a zip archive: unpack it"},
    {BEGINS("\x1f\x8b"), "compressed with gzip: unpack it"},
    {BEGINS("\x28\xb5\x2f\xfd"), "compressed with zstd: unpack it"},
    {BEGINS("PAR1"), "a Parquet file: write it as one JSON object a line"},
#undef BEGINS
};

const char *workload_recognise(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && g_ascii_isspace(text[at]))
        at++;
    for (size_t i = 0; i < G_N_ELEMENTS(things); i++)
        if (length - at >= things[i].length && !g_ascii_strncasecmp(text + at, things[i].begin, things[i].length))
            return things[i].words;
    return NULL;
}
