/* SPDX-License-Identifier: MIT */
/* The lowest figure of a board without a process, on disk by UUID: ${XDG_CACHE_HOME:-~/.cache}/llem/boards/UUID.json.
 * Another driver may reserve another amount, so it is kept with the driver's version. */
#include "boards/internal.h"

#define SCHEMA "llem-board/1"

/* A UUID is a file name; a simulated board is never taken for a real one. New string. */
static char *path_of(const struct meter_gpu_board *board)
{
    g_autofree char *safe = g_strdup(board->uuid);
    g_strcanon(safe, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-", '_');
    g_autofree char *name = g_strconcat(safe, board->simulated ? ".simulated" : "", ".json", NULL);
    return g_build_filename(g_get_user_cache_dir(), "llem", "boards", name, NULL);
}

int64_t reference_load(const struct meter_gpu_board *board, const char *driver)
{
    g_autofree char *path = path_of(board);
    g_autoptr(json_t) tree = jsonx_load(path, LIMIT_RESULT_BYTES, NULL);
    const char *of = NULL;
    int64_t lowest = -1;
    if (!tree || !jsonx_get_string(tree, "driver", true, &of, NULL) || g_strcmp0(of, driver) != 0 ||
        !jsonx_get_int(tree, "lowest_bytes", true, &lowest, NULL))
        return -1;
    return MAX(lowest, -1);
}

void reference_save(const struct meter_gpu_board *board, const char *driver, int64_t lowest_bytes)
{
    g_autofree char *path = path_of(board), *folder = g_path_get_dirname(path);
    g_autofree char *now = clock_format_utc(clock_wall_ns());
    g_autoptr(json_t) tree = json_pack("{s:s, s:s, s:s, s:I, s:s}", "schema", SCHEMA, "uuid", board->uuid, "driver",
                                       driver, "lowest_bytes", (json_int_t)lowest_bytes, "seen", now);
    if (file_make_dirs(folder, NULL))
        jsonx_save(path, tree, NULL);
}
