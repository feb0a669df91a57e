/* SPDX-License-Identifier: MIT */
/* What boards there are: the driver, opened once. */
#include "boards/internal.h"

#include "base/sources.h"

#include <string.h>

static void boards_open(struct boards *boards)
{
    if (boards->all)
        return;
    g_autofree const char **sources = meter_sources_asked(NULL, SOURCE_HAS_BOARDS);
    boards->meter = meter_open(&(struct meter_options){.sources = sources}, NULL);
    boards->all = boards->meter ? meter_gpu_boards(boards->meter)
                                : g_array_new(FALSE, FALSE, sizeof(struct meter_gpu_board));
}

struct boards *boards_new(void)
{
    return g_new0(struct boards, 1);
}

void boards_free(struct boards *boards)
{
    if (!boards)
        return;
    g_clear_pointer(&boards->all, g_array_unref);
    meter_close(boards->meter);
    g_free(boards->driver);
    g_free(boards);
}

const GArray *boards_all(struct boards *boards)
{
    boards_open(boards);
    return boards->all;
}

const char *boards_absent(struct boards *boards)
{
    boards_open(boards);
    return boards->meter ? meter_gpu_reason(boards->meter) : "no source of GPUs is open";
}

const char *boards_driver(struct boards *boards)
{
    boards_open(boards);
    if (!boards->driver && boards->meter) {
        g_autoptr(json_t) facts = meter_gpu_facts(boards->meter);
        const char *version = json_string_value(json_object_get(facts, "driver_version"));
        boards->driver = g_strdup(version ? version : "unknown");
    }
    return boards->driver;
}

struct meter *boards_meter(struct boards *boards)
{
    boards_open(boards);
    return boards->meter;
}

const struct meter_gpu_board *boards_find(struct boards *boards, const char *uuid)
{
    const GArray *all = boards_all(boards);
    for (guint i = 0; i < all->len; i++)
        if (!g_strcmp0(g_array_index(all, struct meter_gpu_board, i).uuid, uuid))
            return &g_array_index(all, struct meter_gpu_board, i);
    return NULL;
}

/* Boards that the driver lists and does not open may be those that are missed. Returns false. */
static bool add_lost(struct boards *boards, GError **error)
{
    const char *remark = meter_gpu_reason(boards->meter);
    if (!error || !*error || !strstr(remark, "cannot be opened"))
        return false;
    g_autofree char *text = g_strdup_printf("%s; %s", (*error)->message, remark);
    g_free((*error)->message);
    (*error)->message = g_steal_pointer(&text);
    return false;
}

bool boards_choose(struct boards *boards, const struct boards_wish *wish, struct boards_choice *ret, GError **error)
{
    g_auto(owned_gpu_visible) visible = {0};
    *ret = (struct boards_choice){0};
    if (wish->need == BOARDS_NEVER) /* the driver need not be asked */
        return boards_choose_among(NULL, NULL, wish, ret, error);
    if (boards_all(boards)->len > 0) {
        meter_gpu_visible(boards->meter, &visible);
        bool ok = boards_choose_among(boards->all, &visible, wish, ret, error);
        return ok || add_lost(boards, error);
    }
    if (!wish->named)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "gpus names boards, and none is to be seen here: %s",
                boards_absent(boards));
    return false;
}
