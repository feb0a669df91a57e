/* SPDX-License-Identifier: MIT */
#include "study/study.h"

#include "result/result.h"
#include "study/journal.h"

#include <string.h>
#include <unistd.h>

static int state_from_name(const char *name)
{
    for (int i = 0; name && i < STUDY_STATE_COUNT; i++)
        if (!strcmp(study_state_name(i), name))
            return i;
    return -1;
}

/* The runs as planned, all of them not run. */
static bool read_plan(const json_t *description, const char *path, struct study_outcome *ret, GError **error)
{
    json_t *runs = NULL;
    if (!jsonx_get_array(description, "runs", true, &runs, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    ret->n_runs = json_array_size(runs);
    ret->runs = g_new0(struct study_run, ret->n_runs);
    for (size_t i = 0; i < ret->n_runs; i++) {
        const json_t *run = json_array_get(runs, i);
        ret->runs[i].cell = (size_t)json_integer_value(json_object_get(run, "cell"));
        ret->runs[i].cycle = (int)json_integer_value(json_object_get(run, "cycle"));
    }
    return true;
}

/* A name from the journal as a path below the study folder, or NULL: a name holds no folder. */
static char *path_below(const char *folder, const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, "..") ? g_build_filename(folder, name, NULL) : NULL;
}

/* While it is read, the folder of a run that is still "running" is its exchange folder. */
static void apply_line(const char *folder, const char *text, struct study_outcome *ret)
{
    g_autoptr(json_t) line = jsonx_parse(text, -1, "journal", NULL);
    int64_t number = json_integer_value(json_object_get(line, "run"));
    int state = state_from_name(json_string_value(json_object_get(line, "state")));
    if (number < 1 || (size_t)number > ret->n_runs || state < 0)
        return;
    struct study_run *run = &ret->runs[number - 1];
    const char *key = state == STUDY_RUNNING ? "exchange" : "folder";
    run->state = (enum study_state)state;
    g_free(run->folder);
    g_free(run->message);
    g_free(run->warning);
    run->folder = path_below(folder, json_string_value(json_object_get(line, key)));
    run->message = g_strdup(json_string_value(json_object_get(line, "message")));
    run->warning = g_strdup(json_string_value(json_object_get(line, "warning")));
}

/* The first name in a folder with this beginning and end, as a path; NULL when there is none. */
static char *find_in(const char *folder, const char *prefix, const char *suffix)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, prefix) && g_str_has_suffix(name, suffix) && !g_str_has_suffix(name, ".partial"))
            return g_build_filename(folder, name, NULL);
    return NULL;
}

static void lose(struct study_run *run, char *message)
{
    run->state = STUDY_LOST;
    g_free(run->message);
    run->message = message;
}

/* The run folder is there, but not the journal's line of it: llem was killed or the disk was full between the two. */
static void believe_folder(struct study_run *run)
{
    g_autoptr(json_t) result = result_load(run->folder, NULL);
    g_autoptr(json_t) record = result ? NULL : result_load_error(run->folder, NULL);
    g_autoptr(GError) failure = record ? result_error_parse(record) : NULL;
    if (result) {
        run->state = STUDY_OK;
    } else if (failure) {
        run->state = state_of_failure(failure);
        run->message = g_strdup(message_of_failure(failure));
    } else {
        lose(run, g_strdup_printf("its end was not recorded; what it left is in %s", run->folder));
    }
}

/* A run that was begun and of which only its exchange folder may be there. */
static void believe_exchange(struct study_run *run)
{
    g_autofree char *dir = run->folder;
    run->folder = NULL;
    g_autofree char *result = dir ? find_in(dir, "", "_result.json") : NULL;
    g_autofree char *path = dir ? find_in(dir, "", "_error.json") : NULL;
    g_autoptr(json_t) record = path ? jsonx_load(path, LIMIT_RESULT_BYTES, NULL) : NULL;
    g_autoptr(GError) failure = record ? result_error_parse(record) : NULL;
    if (failure)
        lose(run, g_strdup_printf("llem ended before it; its worker says: %s (%s)", failure->message, dir));
    else if (result)
        lose(run, g_strdup_printf("llem ended before it could keep the result: %s", result));
    else if (dir && access(dir, F_OK) == 0)
        lose(run, g_strdup_printf("llem ended before it; what it left is in %s", dir));
    else
        lose(run, g_strdup("llem ended before it, and it left nothing"));
}

static void complete_run(const char *folder, size_t index, bool at_work, struct study_run *run)
{
    if (run->state != STUDY_NOT_RUN && run->state != STUDY_RUNNING)
        return;
    g_autofree char *prefix = g_strdup_printf("%03zu_c%d_", index + 1, run->cycle);
    char *found = at_work ? NULL : find_in(folder, prefix, "");
    if (found) {
        g_free(run->folder);
        run->folder = found;
        believe_folder(run);
    } else if (at_work) {
        g_clear_pointer(&run->folder, g_free);
    } else if (run->state == STUDY_RUNNING) {
        believe_exchange(run);
    }
}

/* The journal's text; empty where a full disk or a kill left none. */
static char *read_journal(const char *path, GError **error)
{
    return access(path, F_OK) == 0 ? file_read(path, LIMIT_RESULT_BYTES, NULL, error) : g_strdup("");
}

bool study_read(const char *folder, json_t **ret_description, struct study_outcome *ret, GError **error)
{
    *ret = (struct study_outcome){0};
    g_autofree char *description_path = g_build_filename(folder, "study.json", NULL);
    g_autofree char *journal_path = g_build_filename(folder, "journal.jsonl", NULL);
    g_autoptr(json_t) description = jsonx_load(description_path, LIMIT_RESULT_BYTES, error);
    if (!description) {
        g_prefix_error(error, "%s is not a study folder: ", folder);
        return false;
    }
    bool at_work = journal_is_being_written(journal_path); /* before it is read: an end in between is read */
    g_autofree char *journal = read_journal(journal_path, error);
    if (!journal || !read_plan(description, description_path, ret, error)) {
        study_outcome_clear(ret);
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(journal, "\n", -1);
    for (char **line = lines; *line; line++)
        if (**line)
            apply_line(folder, *line, ret);
    for (size_t i = 0; i < ret->n_runs; i++)
        complete_run(folder, i, at_work, &ret->runs[i]);
    ret->folder = g_strdup(folder);
    *ret_description = g_steal_pointer(&description);
    return true;
}
