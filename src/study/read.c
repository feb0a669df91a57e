/* SPDX-License-Identifier: MIT */
#include "study/study.h"

#include <string.h>

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

static void apply_line(const char *folder, const char *text, struct study_outcome *ret)
{
    g_autoptr(json_t) line = jsonx_parse(text, -1, "journal", NULL);
    int64_t number = json_integer_value(json_object_get(line, "run"));
    int state = state_from_name(json_string_value(json_object_get(line, "state")));
    if (number < 1 || (size_t)number > ret->n_runs || state < 0)
        return;
    struct study_run *run = &ret->runs[number - 1];
    const char *name = json_string_value(json_object_get(line, "folder"));
    run->state = (enum study_state)state;
    g_free(run->folder);
    g_free(run->message);
    run->folder = name ? g_build_filename(folder, name, NULL) : NULL;
    run->message = g_strdup(json_string_value(json_object_get(line, "message")));
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
    g_autofree char *journal = file_read(journal_path, LIMIT_RESULT_BYTES, NULL, error);
    if (!journal || !read_plan(description, description_path, ret, error)) {
        study_outcome_clear(ret);
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(journal, "\n", -1);
    for (char **line = lines; *line; line++)
        if (**line)
            apply_line(folder, *line, ret);
    ret->folder = g_strdup(folder);
    *ret_description = g_steal_pointer(&description);
    return true;
}
