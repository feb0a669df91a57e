/* SPDX-License-Identifier: MIT */
/* Which NVIDIA boards and instances there are, and which of them CUDA_VISIBLE_DEVICES leaves to programs. */
#include "meter/nvml.h"

#include <string.h>

void nvml_boards(struct meter_source *source, GArray *ret)
{
    const struct nvml *nvml = (struct nvml *)source;
    for (unsigned d = 0; d < nvml->board_count; d++) {
        const struct nvml_board *b = &nvml->boards[d];
        struct meter_gpu_board board = {.uuid = b->uuid,
                                        .name = b->name,
                                        .number = b->number,
                                        .parent = b->parent >= 0 ? nvml->boards[b->parent].uuid : NULL,
                                        .divided = b->mig,
                                        .simulated = nvml->api.simulated};
        g_array_append_val(ret, board);
    }
}

static const struct meter_gpu_board *board_at(const GArray *boards, guint index)
{
    return &g_array_index(boards, struct meter_gpu_board, index);
}

/* Numbers count boards, not instances. -1: none has it. */
static int with_number(const GArray *boards, int64_t number)
{
    for (guint i = 0; i < boards->len; i++)
        if (!board_at(boards, i)->parent && board_at(boards, i)->number == number)
            return (int)i;
    return -1;
}

/* A UUID may be shortened as long as one board alone begins so. */
static int with_prefix(const GArray *boards, const char *prefix)
{
    int found = -1;
    for (guint i = 0; i < boards->len; i++) {
        if (!g_str_has_prefix(board_at(boards, i)->uuid, prefix))
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

/* CUDA counts unlike boards by their speed, unless it was told otherwise; like ones as the driver does. */
static bool numbers_are_the_drivers(const GArray *boards)
{
    const char *name = NULL;
    bool alike = true;
    for (guint i = 0; i < boards->len; i++) {
        if (board_at(boards, i)->parent)
            continue;
        name = name ? name : board_at(boards, i)->name;
        alike = alike && !strcmp(board_at(boards, i)->name, name);
    }
    return alike || !g_strcmp0(g_getenv("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
}

#define OLD_INSTANCE "MIG-GPU-" /* MIG-GPU-UUID/instance/compute instance */

/* As CUDA reads it: what stands behind the first entry that names no board is not heeded; one that is named twice
 * leaves none. */
void nvml_visible(const GArray *boards, const char *value, struct meter_gpu_visible *ret)
{
    g_auto(GStrv) wanted = g_strsplit(value, ",", -1);
    for (char **w = wanted; *w; w++) {
        int64_t number;
        int index = -1;
        g_strstrip(*w);
        bool numbered = num_parse_int(*w, 0, G_MAXINT32, &number, NULL);
        if (numbered)
            index = with_number(boards, number);
        else if (g_str_has_prefix(*w, "GPU-") || g_str_has_prefix(*w, "MIG-"))
            index = with_prefix(boards, *w);
        if (index < 0) {
            if (g_str_has_prefix(*w, OLD_INSTANCE))
                ret->doubt = "it names an instance in the form of drivers before 470, which none of the instances here has";
            return;
        }
        if (g_ptr_array_find_with_equal_func(ret->boards, board_at(boards, (guint)index)->uuid, g_str_equal, NULL)) {
            g_ptr_array_set_size(ret->boards, 0);
            ret->doubt = "it names a board twice, and then CUDA shows none";
            return;
        }
        if (numbered && !numbers_are_the_drivers(boards)) {
            g_ptr_array_set_size(ret->boards, 0);
            ret->doubt = "its numbers are no certain boards: the boards here are unlike, and CUDA counts them by speed; set "
                         "CUDA_DEVICE_ORDER=PCI_BUS_ID, or name them by UUID";
            ret->refused = true;
            return;
        }
        g_ptr_array_add(ret->boards, (gpointer)(uintptr_t)board_at(boards, (guint)index)->uuid);
    }
}
