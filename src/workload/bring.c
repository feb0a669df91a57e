/* SPDX-License-Identifier: MIT */
/* Bringing data sets that are pinned and not shipped: from their home, or from a file that the user has. Whatever
 * the file looks like, its prompts must be those of the pin; what is kept is one JSON object a line, whole or not. */
#include "workload/private.h"

#include "fetch/fetch.h"

#include <string.h>

struct bringing {
    const struct workload_named *named;
    const struct fetch_voice *voice;
    char *url;
};

bool workload_named_check(const struct workload_named *named, const struct workload_dataset *set, const char *from,
                          GError **error)
{
    g_autoptr(json_t) identity = workload_dataset_identity(set);
    const char *found = json_string_value(json_object_get(identity, "prompts"));
    if (!named->prompts_sha256 || !strcmp(found, named->prompts_sha256))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "%s is not %s: the SHA-256 of its %zu prompts is %.12s…, that of the %" G_GINT64_FORMAT " pinned ones %.12s…",
                from, named->name, workload_dataset_size(set), found, named->count, named->prompts_sha256);
    return false;
}

static bool keep(const struct workload_named *named, const struct workload_dataset *set, GError **error)
{
    g_autofree char *path = workload_named_path(named), *folder = g_path_get_dirname(path);
    g_autoptr(json_t) head = json_pack("{s:s, s:s, s:s}", "_provenance", named->home, "_revision", named->revision,
                                       "_license", named->licence);
    g_autofree char *first = jsonx_dump(head, JSONX_COMPACT);
    g_autoptr(GString) text = g_string_new(first);
    for (size_t i = 0; i < workload_dataset_size(set); i++) {
        g_autoptr(json_t) row = json_pack("{s:s}", "prompt", workload_dataset_prompt(set, i));
        g_autofree char *line = jsonx_dump(row, JSONX_COMPACT);
        g_string_append_printf(text, "\n%s", line);
    }
    g_string_append_c(text, '\n');
    return file_make_dirs(folder, error) && file_write_durable(path, text->str, text->len, error);
}

/* Copies a URL or a file to `target`; Parquet becomes lines of JSON. */
static bool run_bringer(const char *source, const char *target, GError **error)
{
    g_autofree char *folder = workload_data_folder(), *program = g_build_filename(folder, "bring.py", NULL);
    const char *const argv[] = {fetch_python_name(), FETCH_ALONE, program, source, target, NULL};
    return fetch_run(argv, LLEM_ERROR_MISSING, "cannot bring the data set", error);
}

/* True if it is here and has the pinned prompts. */
static bool is_sound(const struct workload_named *named)
{
    g_autofree char *path = workload_named_path(named);
    g_autoptr(owned_dataset) set = workload_named_present(named) ? workload_dataset_open(path, NULL) : NULL;
    return set && workload_named_check(named, set, path, NULL);
}

static bool fetch_locked(const char *work, void *data, GError **error)
{
    const struct bringing *bringing = data;
    if (is_sound(bringing->named)) /* another pull brought it meanwhile */
        return true;
    g_autofree char *target = g_build_filename(work, "file.jsonl", NULL);
    fetch_tell(bringing->voice, "fetching %s", bringing->url);
    if (!run_bringer(bringing->url, target, error))
        return false;
    g_autoptr(owned_dataset) set = workload_dataset_open(target, error);
    return set && workload_named_check(bringing->named, set, bringing->url, error) && keep(bringing->named, set, error);
}

bool workload_named_pull(const struct workload_named *named, const struct fetch_voice *voice, GError **error)
{
    if (named->file) {
        g_autofree char *shipped = workload_dataset_path(named->name, error);
        return shipped != NULL;
    }
    if (is_sound(named))
        return true;
    g_autofree char *folder = workload_datasets_folder();
    g_autofree char *url = g_strdup_printf("%s/resolve/%s/%s", named->home, named->revision, named->path);
    struct bringing bringing = {.named = named, .voice = voice, .url = url};
    return fetch_apart(folder, named->name, voice, fetch_locked, &bringing, error);
}

struct importing {
    const char *file, *prompt;
    struct workload_dataset *set;
};

static struct workload_dataset *open_with(const char *file, const char *prompt, GError **error)
{
    g_autofree char *path = prompt ? g_strconcat(file, WORKLOAD_PROMPT_MARK, prompt, NULL) : g_strdup(file);
    return workload_dataset_open(path, error);
}

static bool read_parquet(const char *work, void *data, GError **error)
{
    struct importing *importing = data;
    g_autofree char *target = g_build_filename(work, "file.jsonl", NULL);
    if (run_bringer(importing->file, target, error))
        importing->set = open_with(target, importing->prompt, error);
    return importing->set != NULL;
}

struct workload_dataset *workload_dataset_take(const char *file, const char *prompt, GError **error)
{
    struct importing importing = {.file = file, .prompt = prompt};
    g_autofree char *folder = workload_datasets_folder();
    if (!workload_ends_in(file, ".parquet"))
        return open_with(file, prompt, error);
    if (file_is_readable_kind(file, error))
        fetch_apart(folder, file, NULL, read_parquet, &importing, error);
    return importing.set;
}

const struct workload_named *workload_names_of(const struct workload_names *names, const struct workload_dataset *set)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->rows[i].prompts_sha256 && workload_named_check(&names->rows[i], set, "", NULL))
            return &names->rows[i];
    return NULL;
}

bool workload_named_keep(const struct workload_named *named, const struct workload_dataset *set, GError **error)
{
    return workload_named_check(named, set, "it", error) && keep(named, set, error);
}
