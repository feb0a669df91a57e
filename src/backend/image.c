/* SPDX-License-Identifier: MIT */
/* The published images of an engine: which one a driver runs, what it is called, and what to do without it. */
#include "backend/internal.h"

#include "version.h"

#include <string.h>

/* --- Reading --------------------------------------------------------------------------------------------------------- */

static const struct member build_members[] = {
    {"upstream", true, read_text, offsetof(struct backend_build, upstream), NULL},
    {"cuda", true, read_text, offsetof(struct backend_build, cuda), NULL},
    {0},
};

struct raw_image {
    const char *recipe;
    const struct doc_node *builds;
};

static const struct member image_members[] = {
    {"recipe", false, read_text, offsetof(struct raw_image, recipe), NULL},
    {"builds", true, read_node, offsetof(struct raw_image, builds), NULL},
    {0},
};

static const struct backend_build *build_of(const struct backend *b, int major)
{
    for (size_t i = 0; i < b->image.n_builds; i++)
        if (b->image.builds[i].major == major)
            return &b->image.builds[i];
    return NULL;
}

static void read_build(struct reading *r, const struct doc_node *node)
{
    struct backend *b = r->backend;
    struct backend_build build = {0};
    if (!read_members(r, node, "builds", build_members, &build) || !build.upstream || !build.cuda)
        return;
    char *end = NULL;
    build.major = (int)CLAMP(g_ascii_strtoll(build.cuda, &end, 10), 0, 9999);
    if (build.major < 1 || (*end && *end != '.')) {
        read_error(r, node, NULL, "builds: cuda is a version such as \"13.0\", not \"%s\"", build.cuda);
        return;
    }
    if (build_of(b, build.major)) { /* they would have one name */
        read_error(r, node, NULL, "builds: there is one of CUDA %d already", build.major);
        return;
    }
    struct backend_build *grown = keep_block(b, g_new0(struct backend_build, b->image.n_builds + 1));
    if (b->image.n_builds)
        memcpy(grown, b->image.builds, b->image.n_builds * sizeof *grown);
    grown[b->image.n_builds++] = build;
    b->image.builds = grown;
}

void read_image(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    struct raw_image raw = {0};
    r->backend->has_image = read_members(r, node, member->name, image_members, &raw);
    r->backend->image.recipe = raw.recipe;
    if (raw.builds)
        read_each(r, raw.builds, "builds", read_build);
    if (raw.builds && !r->backend->image.n_builds)
        read_error(r, raw.builds, NULL, "builds: an engine with an image has at least one");
}

/* --- Asking ---------------------------------------------------------------------------------------------------------- */

const struct backend_image *backend_image(const struct backend *b)
{
    return b->has_image ? &b->image : NULL;
}

const struct backend_build *backend_image_for(const struct backend *b, int host_cuda, GError **error)
{
    const char *name = backend_name(b);
    if (!b->has_image) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "no image is published for %s; write docker:IMAGE, an image that has the engine in it", name);
        return NULL;
    }
    const struct backend_build *best = NULL;
    for (size_t i = 0; i < b->image.n_builds; i++) {
        const struct backend_build *build = &b->image.builds[i];
        if (build->major <= host_cuda / 1000 && (!best || build->major > best->major))
            best = build;
    }
    if (best)
        return best;
    if (host_cuda <= 0)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "which image of %s to use depends on the NVIDIA driver, and this machine has none; write docker:IMAGE",
                    name);
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "no published image of %s runs on a driver of CUDA %d.%d; write docker:IMAGE, an image of an older CUDA",
                    name, host_cuda / 1000, host_cuda % 1000 / 10);
    return NULL;
}

char *backend_image_name(const struct backend *b, const struct backend_build *build)
{
    g_autofree char *major = g_strdup_printf("%d", build->major);
    const char *const words[][2] = {{"{backend}", backend_name(b)}, {"{version}", LLEM_VERSION}, {"{major}", major}};
    g_autoptr(GString) name = g_string_new(LLEM_IMAGE_NAME);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        g_string_replace(name, words[i][0], words[i][1], 0);
    return g_strdup(name->str);
}

char *backend_image_remedy(const struct backend *b, const char *image)
{
    for (size_t i = 0; i < b->image.n_builds; i++) {
        const struct backend_build *build = &b->image.builds[i];
        g_autofree char *name = backend_image_name(b, build);
        if (g_str_equal(name, image))
            return g_strdup_printf("build it with docker/build.py %s --cuda %d (of the sources of llem), or use the image "
                                   "it starts from as it is: docker:%s", backend_name(b), build->major, build->upstream);
    }
    return NULL;
}
