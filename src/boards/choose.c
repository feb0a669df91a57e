/* SPDX-License-Identifier: MIT */
/* Which boards a run is given. */
#include "boards/boards.h"

#include <string.h>

#define FROM_CONFIG  "gpus"
#define FROM_DEFAULT "default"
#define NOT_NEEDED   "none needed"

typedef const struct meter_gpu_board board;

static board *board_at(const GArray *all, guint index)
{
    return &g_array_index(all, struct meter_gpu_board, index);
}

/* "0 GPU-… (NVIDIA H100)", an instance without a number. */
static void name_board(GString *text, board *b)
{
    g_string_append(text, text->len ? ", " : "");
    if (!b->parent)
        g_string_append_printf(text, "%u ", b->number);
    g_string_append_printf(text, "%s (%s%s)", b->uuid, b->name, b->divided ? ", divided" : "");
}

static char *names_of(const GArray *all)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < all->len; i++)
        name_board(text, board_at(all, i));
    return g_string_free(text, FALSE);
}

/* --- What is named ------------------------------------------------------------------------------------------------- */

static board *with_number(const GArray *all, int64_t number)
{
    for (guint i = 0; i < all->len; i++)
        if (!board_at(all, i)->parent && board_at(all, i)->number == number)
            return board_at(all, i);
    return NULL;
}

/* Those whose UUID begins so; a whole UUID is its own alone. */
static guint with_prefix(const GArray *all, const char *prefix, board **ret)
{
    guint n = 0;
    for (guint i = 0; i < all->len; i++) {
        if (!strcmp(board_at(all, i)->uuid, prefix)) {
            *ret = board_at(all, i);
            return 1;
        }
        if (g_str_has_prefix(board_at(all, i)->uuid, prefix)) {
            *ret = board_at(all, i);
            n++;
        }
    }
    return n;
}

static board *find_named(const GArray *all, const char *name, GError **error)
{
    int64_t number;
    board *found = NULL;
    guint n = 0;
    if (num_parse_int(name, 0, G_MAXINT32, &number, NULL))
        n = (found = with_number(all, number)) != NULL;
    else if (*name)
        n = with_prefix(all, name, &found);
    if (n == 1)
        return found;
    g_autofree char *names = names_of(all);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "gpus: %s '%s' here; there %s: %s",
                n ? "more than one GPU begins with" : "there is no GPU", name, all->len == 1 ? "is" : "are", names);
    return NULL;
}

static bool take_named(const GArray *all, const struct boards_wish *wish, GPtrArray *found, GError **error)
{
    for (char **name = wish->named; *name; name++) {
        board *b = find_named(all, *name, error);
        if (!b)
            return false;
        if (g_ptr_array_find(found, b, NULL)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "gpus names %s twice", b->uuid);
            return false;
        }
        g_ptr_array_add(found, (gpointer)(uintptr_t)b);
    }
    return true;
}

/* --- What nobody named --------------------------------------------------------------------------------------------- */

static void take_visible(const GArray *all, const struct meter_gpu_visible *visible, GPtrArray *found)
{
    for (guint v = 0; v < visible->boards->len; v++)
        for (guint i = 0; i < all->len; i++)
            if (!strcmp(board_at(all, i)->uuid, g_ptr_array_index(visible->boards, v)))
                g_ptr_array_add(found, (gpointer)(uintptr_t)board_at(all, i));
}

/* Whole boards before instances. */
static void take_first(const GArray *all, GPtrArray *found)
{
    for (guint i = 0; i < all->len; i++)
        if (!board_at(all, i)->parent && !board_at(all, i)->divided)
            g_ptr_array_add(found, (gpointer)(uintptr_t)board_at(all, i));
    for (guint i = 0; i < all->len; i++)
        if (board_at(all, i)->parent)
            g_ptr_array_add(found, (gpointer)(uintptr_t)board_at(all, i));
}

/* --- What comes of it ---------------------------------------------------------------------------------------------- */

/* A divided board stands for its first instance, as it does for CUDA. */
static board *instance_of(const GArray *all, board *b)
{
    for (guint i = 0; b->divided && i < all->len; i++)
        if (!g_strcmp0(board_at(all, i)->parent, b->uuid))
            return board_at(all, i);
    return b->divided ? NULL : b;
}

static bool use_instances(const GArray *all, GPtrArray *found, GError **error)
{
    for (guint i = 0; i < found->len; i++) {
        board *b = g_ptr_array_index(found, i), *instance = instance_of(all, b);
        if (!instance) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                        "GPU %s is divided (MIG) and has no instance that a program could work on: make one "
                        "(nvidia-smi mig -cgi …), or switch MIG off",
                        b->uuid);
            return false;
        }
        found->pdata[i] = (gpointer)(uintptr_t)instance;
    }
    return true;
}

/* A program of CUDA's works on one instance, or on whole boards. */
static bool check_mixture(const GPtrArray *found, guint n, GError **error)
{
    for (guint i = 0; n > 1 && i < n; i++) {
        board *b = g_ptr_array_index(found, i);
        if (!b->parent)
            continue;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "the run needs %u GPUs, and %s is an instance of a divided one (MIG): a program works on one "
                    "instance at a time, or on whole boards",
                    n, b->uuid);
        return false;
    }
    return true;
}

static bool fail_too_few(const GArray *all, const GPtrArray *found, const struct boards_wish *wish,
                         const char *source, const char *doubt, int64_t n, GError **error)
{
    g_autofree char *names = names_of(all);
    bool by_default = !strcmp(source, FROM_DEFAULT);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                "the run needs %" G_GINT64_FORMAT " GPU%s, and %s %s %u%s%s%s%s%s", n, n == 1 ? "" : "s",
                by_default ? "this machine" : source, by_default ? "has" : wish->named ? "names" : "leaves", found->len,
                doubt ? " (" : "", doubt ? doubt : "", doubt ? ")" : "",
                all->len ? ": here " : "", all->len ? names : "");
    return false;
}

static bool fail_unclear(const struct meter_gpu_visible *visible, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "which GPUs %s means cannot be told: %s", visible->variable,
                visible->doubt);
    return false;
}

static char **uuids_of(const GPtrArray *found, guint n)
{
    char **uuids = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
        uuids[i] = g_strdup(((board *)g_ptr_array_index(found, i))->uuid);
    return uuids;
}

bool boards_choose_among(const GArray *all, const struct meter_gpu_visible *visible, const struct boards_wish *wish,
                         struct boards_choice *ret, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    *ret = (struct boards_choice){.source = NOT_NEEDED};
    if (wish->need == BOARDS_NEVER) {
        ret->uuids = g_new0(char *, 1);
        return true;
    }
    if (wish->named) {
        ret->source = FROM_CONFIG;
        if (!take_named(all, wish, found, error))
            return false;
    } else if (visible && visible->variable) {
        ret->source = visible->variable;
        ret->doubt = visible->doubt;
        if (visible->refused)
            return fail_unclear(visible, error);
        take_visible(all, visible, found);
    } else {
        ret->source = FROM_DEFAULT;
        take_first(all, found);
    }
    int64_t n = wish->n > 0 ? wish->n : wish->named ? found->len : 1;
    bool enough = found->len >= n && (n > 0 || wish->need == BOARDS_MAY);
    if (!enough && (wish->need == BOARDS_MUST || wish->named))
        return fail_too_few(all, found, wish, ret->source, ret->doubt, MAX(n, 1), error);
    guint taken = (guint)MIN(n, found->len);
    if (!use_instances(all, found, error) || !check_mixture(found, taken, error))
        return false;
    ret->uuids = uuids_of(found, taken);
    return true;
}

void boards_choice_clear(struct boards_choice *choice)
{
    g_clear_pointer(&choice->uuids, g_strfreev);
}
