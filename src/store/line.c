/* SPDX-License-Identifier: MIT */
/* A line of the journal: what there is to say of a run as it stands. Writer and reader go over the same rows. */
#include "store/internal.h"

#include <string.h>

struct line {
    int64_t run;   /* from 1 */
    int64_t cell, cycle;
    const char *state;
    const char *exchange, *folder; /* names in the study's folder */
    const char *message, *warning;
    int64_t attempts, wall_ns;
    const char *utc;
};

static const struct member_row rows[] = {
    MEMBER(struct line, run, "run", MEMBER_REQUIRED),
    MEMBER(struct line, cell, "cell", MEMBER_REQUIRED),
    MEMBER(struct line, cycle, "cycle", MEMBER_REQUIRED),
    MEMBER(struct line, state, "state", MEMBER_REQUIRED),
    MEMBER(struct line, exchange, "exchange", MEMBER_OPTIONAL),
    MEMBER(struct line, folder, "folder", MEMBER_OPTIONAL),
    MEMBER(struct line, message, "message", MEMBER_OPTIONAL),
    MEMBER(struct line, warning, "warning", MEMBER_OPTIONAL),
    MEMBER(struct line, attempts, "attempts", MEMBER_OPTIONAL),
    MEMBER(struct line, wall_ns, "wall_ns", MEMBER_OPTIONAL),
    MEMBER(struct line, utc, "utc", MEMBER_REQUIRED),
};

/* --- Writing -------------------------------------------------------------------------------------------------------- */

static char *name_of(const char *path)
{
    return path ? g_path_get_basename(path) : NULL;
}

static char *valid(const char *text)
{
    return text ? g_utf8_make_valid(text, -1) : NULL;
}

/* Takes out what is not set: texts that are null. */
static void drop_unset(json_t *object)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (json_is_null(json_object_get(object, rows[i].key)))
            json_object_del(object, rows[i].key);
}

json_t *store_line_json(const struct store *store, size_t index)
{
    const struct store_run *run = store_run_at(store, index);
    g_autofree char *utc = clock_format_utc(clock_wall_ns());
    g_autofree char *exchange = name_of(run->exchange), *folder = name_of(run->folder);
    g_autofree char *message = valid(run->message), *warning = valid(run->warning);
    const struct line line = {.run = (int64_t)index + 1,
                              .cell = (int64_t)run->cell,
                              .cycle = run->cycle,
                              .state = store_state_name(run->state),
                              .exchange = exchange,
                              .folder = folder,
                              .message = message,
                              .warning = warning,
                              .attempts = run->attempts,
                              .wall_ns = run->wall_ns,
                              .utc = utc};
    json_t *object = json_object();
    members_write(object, &line, rows, G_N_ELEMENTS(rows));
    drop_unset(object);
    if (run->figures)
        json_object_set_new(object, "figures", jsonx_parse(run->figures, -1, "figures", NULL));
    return object;
}

/* --- Reading -------------------------------------------------------------------------------------------------------- */

static bool refuse(GError **error, const char *why)
{
    g_set_error_literal(error, LLEM_ERROR, LLEM_ERROR_DATA, why);
    return false;
}

/* A name holds no folder: what a line says stays within the study's. */
static bool is_plain(const char *name)
{
    return !name || (*name && !strchr(name, '/') && strcmp(name, "..") != 0);
}

static bool check_line(const struct store *store, const struct line *line, GError **error)
{
    if (line->run < 1 || line->run > store->runs->len)
        return refuse(error, "the study has no run of its number");
    const struct store_run *run = store_run_at(store, (size_t)line->run - 1);
    if (line->cell != (int64_t)run->cell || line->cycle != run->cycle)
        return refuse(error, "its run is of another cell or cycle: it is another study's");
    if (store_state_from_name(line->state) < 0)
        return refuse(error, "its state is none of this version's");
    if (!is_plain(line->exchange) || !is_plain(line->folder))
        return refuse(error, "it names a folder outside of the study");
    return (line->attempts >= 0 && line->attempts <= G_MAXINT) || refuse(error, "no run was begun that often");
}

static char *path_of(const struct store *store, const char *name)
{
    return name ? g_build_filename(store->folder, name, NULL) : NULL;
}

void store_run_forget(struct store_run *run)
{
    g_clear_pointer(&run->folder, g_free);
    g_clear_pointer(&run->exchange, g_free);
    g_clear_pointer(&run->message, g_free);
    g_clear_pointer(&run->warning, g_free);
    g_clear_pointer(&run->figures, g_free);
    run->wall_ns = 0;
}

bool store_line_apply(struct store *store, const json_t *object, GError **error)
{
    struct line line = {0};
    json_t *figures = NULL;
    if (!members_read(object, &line, rows, G_N_ELEMENTS(rows), error) ||
        !jsonx_get_object(object, "figures", false, &figures, error) || !check_line(store, &line, error))
        return false;
    struct store_run *run = store_run_at(store, (size_t)line.run - 1);
    store_run_forget(run);
    run->state = (enum store_state)store_state_from_name(line.state);
    run->attempts = (int)line.attempts;
    run->folder = path_of(store, line.folder);
    run->exchange = path_of(store, line.exchange);
    run->message = g_strdup(line.message);
    run->warning = g_strdup(line.warning);
    run->figures = figures ? jsonx_dump(figures, JSONX_COMPACT) : NULL;
    run->wall_ns = line.wall_ns;
    return true;
}
