/* SPDX-License-Identifier: MIT */
/* Descriptors of engines: what is read, what is refused and where, and which of several engines of a name counts. */
#include "backend/backend.h"

#include <string.h>

/* --- Ours ---------------------------------------------------------------------------------------------------------- */

static const char *const ours[] = {"llamacpp", "pytorch", "sim", "vllm"};

static void test_ours(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *path = g_build_filename(LLEM_SOURCE_DIR, "engines", ours[i], "engine.json", NULL);
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_backend) backend = backend_load(path, diag);
        g_autofree char *said = diag_render(diag, false);
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpstr(backend_name(backend), ==, ours[i]);
        g_assert_cmpint(backend_hash_version(backend), >=, 1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backend/ours", test_ours);
    return g_test_run();
}
