/* SPDX-License-Identifier: MIT */
/* Any bytes as a study file: a study whose cells hash and travel, or located errors. */
#include "sweep/sweep.h"

#include "fuzz.h"

static void use(const struct plan *plan)
{
    g_autoptr(owned_config) config = plan_cell_config(plan, plan_cells(plan) - 1);
    g_autoptr(json_t) tree = config_tree(config), origins = config_origins(config), roles = config_roles(config);
    g_autoptr(json_t) hashed = config_hashed(config);
    const struct config_parts parts = {.values = tree, .hashed = hashed, .origins = origins, .roles = roles};
    g_autoptr(GError) error = NULL;
    const char *hash = config_hash(config);
    g_autoptr(owned_config) back = hash ? config_from_values(&parts, hash, &error) : NULL;
    g_assert(!config_hash(config) || (back && !g_strcmp0(config_hash(back), config_hash(config))));
}

/* The engines of the source tree, and a data set that is read quickly. */
static void set_up(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    g_setenv("LLEM_ENGINES_PATH", LLEM_SOURCE_DIR "/engines", TRUE);
    g_setenv("LLEM_DATA_DIR", LLEM_SOURCE_DIR "/tests/fuzz/data", TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    const struct config_file_options options = {.skip_digests = true};
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) study = config_file_parse("fuzz.yaml", (const char *)data, size, "/nowhere", &options,
                                                           diag);
    g_assert((study != NULL) == (diag_errors(diag) == 0));
    g_autoptr(owned_plan) plan = study ? plan_new(study, diag) : NULL;
    if (plan)
        use(plan);
    g_autofree char *said = diag_render(diag, false);
    return 0;
}
