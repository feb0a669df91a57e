/* SPDX-License-Identifier: MIT */
/* Checks of the boards that runs are given. */
#include "preflight/rows.h"

#include "boards/boards.h"

/* "2 GPUs of gpus: 0, 1": the same for cells that ask for the same; NULL: it asks for none. */
static char *wish_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    g_auto(owned_boards_wish) wish = {0};
    if (!config || nth > 0)
        return NULL;
    boards_wish_of(config, &wish);
    if (wish.need == BOARDS_NEVER)
        return NULL;
    g_autofree char *named = wish.named ? g_strjoinv(", ", wish.named) : NULL;
    int64_t n = boards_wish_count(&wish);
    return g_strdup_printf("%" G_GINT64_FORMAT " GPU%s%s%s%s", n, n > 1 ? "s" : "",
                           wish.need == BOARDS_MAY ? " if there are" : "", named ? " of gpus: " : "",
                           named ? named : "");
}

/* The place that says how many, or which. */
static const struct diag_span *wish_place(const struct config *config)
{
    const struct diag_span *at = config_place(config, FIELD_GPUS);
    const struct backend *engine = preflight_backend(config);
    const struct backend_option *const *options;
    size_t n = engine ? backend_role(engine, ROLE_DEVICES, &options) : 0;
    for (size_t i = 0; !at && i < n; i++)
        at = config_place_at(config, options[i]->path);
    return at ? at : config_place(config, FIELD_BACKEND);
}

static void probe_wish(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_boards) boards = boards_new();
    g_auto(owned_boards_wish) wish = {0};
    g_auto(owned_boards_choice) choice = {0};
    boards_wish_of(q->config, &wish);
    if (!boards_choose(boards, &wish, &choice, &error)) {
        preflight_find(ret, PREFLIGHT_FAILS, wish_place(q->config), "%s", error->message);
        return;
    }
    g_autofree char *list = choice.uuids ? g_strjoinv(", ", choice.uuids) : NULL;
    if (list)
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s by %s", list, choice.source);
    else
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "%s", boards_absent(boards));
}

const struct preflight_check preflight_boards_rows[] = {
    {.id = "gpu.boards",
     .why = "a run works on the boards that it is given, and on no other",
     .remedy = "`llem meter list` and `nvidia-smi -L` name the boards there are; gpus or CUDA_VISIBLE_DEVICES say which",
     .key = wish_key,
     .probe = probe_wish},
    {0},
};
