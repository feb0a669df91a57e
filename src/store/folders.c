/* SPDX-License-Identifier: MIT */
/* Folders and their names: built and taken apart here alone. */
#include "store/internal.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTIAL ".partial"

static bool is_letter(gunichar c)
{
    return g_unichar_isalnum(c) || g_unichar_ismark(c);
}

/* A name fit for a folder: letters and digits of every script, '.', '_' and '-'; the last part of a path. It begins
 * with a letter or digit, so that no program takes it for an option or hides it. New string of at most longest bytes;
 * "": nothing of it is left. */
static char *slug(const char *text, size_t longest)
{
    g_autofree char *base = g_path_get_basename(text);
    g_autofree char *valid = g_utf8_make_valid(base, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        gunichar kept = is_letter(c) || (c < 0x80 && strchr("._-", (int)c)) ? c : '-';
        if (out->len + (size_t)g_unichar_to_utf8(kept, NULL) > longest)
            break;
        if (out->len > 0 || g_unichar_isalnum(c))
            g_string_append_unichar(out, kept);
    }
    return g_string_free(out, FALSE);
}

/* RESULTS/NAME_UTC, or RESULTS/NAME_UTC_n. New string. */
static char *study_path(const char *results_dir, const char *name, const char *utc, int n)
{
    g_autofree char *number = n ? g_strdup_printf("_%d", n) : g_strdup("");
    return g_strdup_printf("%s/%s_%s%s", results_dir, name, utc, number);
}

char *store_folder_new(const char *results_dir, const char *name, GError **error)
{
    if (!file_make_dirs(results_dir, error))
        return NULL;
    g_autofree char *utc = clock_format_utc(clock_wall_ns());
    utc[19] = 0; /* seconds are enough in a name */
    g_strdelimit(utc, ":", '-');
    g_autofree char *kept = slug(name && *name ? name : "study", 64);
    const char *safe = *kept ? kept : "study";
    for (int i = 0; i < 1000; i++) {
        g_autofree char *path = study_path(results_dir, safe, utc, i);
        if (mkdir(path, 0777) == 0)
            return g_steal_pointer(&path);
        if (errno != EEXIST) {
            file_error(error, "cannot create folder", path);
            return NULL;
        }
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "cannot find a free folder name for %s in %s", safe, results_dir);
    return NULL;
}

bool store_is_study(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "study.json", NULL);
    return access(path, F_OK) == 0;
}

bool store_is_there(const struct store *store, GError **error)
{
    if (store_is_study(store->folder) && journal_is_there(store->journal))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO,
                "%s was moved or removed, or files in it, while llem was at work: the study ends here; runs that had "
                "ended are in it, wherever it is now",
                store->folder);
    return false;
}

/* --- Runs ----------------------------------------------------------------------------------------------------------- */

char *store_run_name(size_t run, int cycle, const char *model, const char *backend, const char *config_hash,
                     int attempt)
{
    g_autofree char *safe = slug(model, 40);
    g_autofree char *number = attempt > 1 ? g_strdup_printf("_%d", attempt) : g_strdup("");
    return g_strdup_printf("%03zu_c%d_%s-%s_%.8s%s", run + 1, cycle, safe, backend, config_hash, number);
}

/* A number from 1 at the beginning of *text, which is moved behind it and behind what must follow it. */
static bool take_number(const char **text, const char *then, size_t *ret)
{
    char *end = NULL;
    guint64 value = g_ascii_isdigit(**text) ? g_ascii_strtoull(*text, &end, 10) : 0;
    if (value < 1 || value > G_MAXINT || !g_str_has_prefix(end, then))
        return false;
    *ret = (size_t)value;
    *text = end + strlen(then);
    return true;
}

/* The attempt of a name without its head, MODEL-BACKEND_HASH8[_N]: the hash is always followed by _N or by nothing. */
static int attempt_of(const char *rest)
{
    const char *last = strrchr(rest, '_');
    size_t attempt;
    if (!last)
        return 1;
    const char *number = last + 1;
    bool short_enough = strlen(number) < 8; /* else it is the hash itself */
    return short_enough && take_number(&number, "", &attempt) && !*number ? (int)attempt : 1;
}

bool store_run_name_is_partial(const char *name)
{
    return g_str_has_suffix(name, PARTIAL);
}

bool store_run_name_parse(const char *name, size_t *ret_run, int *ret_cycle, int *ret_attempt)
{
    size_t run, cycle;
    g_autofree char *whole = g_strndup(name, strlen(name) - (store_run_name_is_partial(name) ? strlen(PARTIAL) : 0));
    name = whole;
    if (!take_number(&name, "_c", &run) || !take_number(&name, "_", &cycle))
        return false;
    *ret_run = run - 1;
    *ret_cycle = (int)cycle;
    *ret_attempt = attempt_of(name);
    return true;
}

char *store_run_partial(const char *run_dir)
{
    return g_strconcat(run_dir, PARTIAL, NULL);
}

/* rename(2), or copy and unlink where the exchange folder lies on another file system. */
static bool move_file(const char *from, const char *to, GError **error)
{
    if (rename(from, to) == 0)
        return true;
    if (errno != EXDEV)
        return file_error(error, "cannot move", from);
    size_t length;
    g_autofree char *content = file_read(from, G_MAXSSIZE, &length, error);
    if (!content || !file_write_durable(to, content, length, error))
        return false;
    unlink(from);
    return true;
}

/* A trace whose writer was killed still has its writer's name: "trace.csv.gz.PID.tmp". */
static bool move_partial_trace(const char *exchange_dir, const char *to_dir, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(exchange_dir, 0, NULL);
    g_autofree char *begin = g_strconcat(result_files[RESULT_FILE_TRACE].name, ".", NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_str_has_prefix(name, begin) || !g_str_has_suffix(name, ".tmp"))
            continue;
        g_autofree char *from = g_build_filename(exchange_dir, name, NULL);
        g_autofree char *to = g_build_filename(to_dir, result_files[RESULT_FILE_TRACE_PARTIAL].name, NULL);
        return move_file(from, to, error);
    }
    return true;
}

bool store_run_collect(const char *exchange_dir, const char *config_hash, const char *run_dir, GError **error)
{
    g_autofree char *partial = store_run_partial(run_dir);
    if (mkdir(partial, 0777) != 0 && errno != EEXIST)
        return file_error(error, "cannot create folder", partial);
    for (size_t i = 0; i < RESULT_FILE_COUNT; i++) {
        const struct result_file_row *file = &result_files[i];
        g_autofree char *from = file->prefixed ? exchange_file(exchange_dir, config_hash, file->name)
                                               : g_build_filename(exchange_dir, file->name, NULL);
        g_autofree char *to = g_build_filename(partial, file->name, NULL);
        if (access(from, F_OK) == 0 && !move_file(from, to, error))
            return false;
    }
    if (!move_partial_trace(exchange_dir, partial, error) || !file_sync_dir(partial, error))
        return false;
    if (rename(partial, run_dir) != 0)
        return file_error(error, "cannot rename into", run_dir);
    g_autofree char *parent = g_path_get_dirname(run_dir);
    return file_sync_dir(parent, error);
}
