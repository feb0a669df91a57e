/* SPDX-License-Identifier: MIT */
/* A yardstick in Python: bare.py, a line asked, a line answered. */
#include "yardstick.h"

#include "base/base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define CONTEXT 256

struct bare {
    GPid pid;
    FILE *to, *from;
};

static json_t *prompts_json(const struct yardstick_work *work)
{
    json_t *prompts = json_array();
    for (int i = 0; i < work->n_prompts; i++) {
        json_t *ids = json_array();
        for (int k = 0; k < work->n_in; k++)
            json_array_append_new(ids, json_integer(work->ids[i * work->n_in + k]));
        json_array_append_new(prompts, ids);
    }
    return prompts;
}

static json_t *answer(struct bare *bare)
{
    g_autofree char *line = NULL;
    char *text = NULL;
    size_t size = 0;
    bool read = getline(&text, &size, bare->from) > 0;
    line = g_strdup(text);
    free(text);
    json_t *tree = read ? json_loads(line, 0, NULL) : NULL;
    if (!tree)
        yardstick_give_up("bare.py ended, or its answer is no JSON: its reason is above");
    return tree;
}

void *bare_start(const struct yardstick_work *work, const char *name)
{
    const char *argv[] = {work->python, LLEM_SOURCE_DIR "/bench/bare.py", name, NULL};
    struct bare *bare = g_new0(struct bare, 1);
    int to = -1, from = -1;
    g_autoptr(GError) error = NULL;
    if (!g_spawn_async_with_pipes(NULL, (char **)(void *)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                  &bare->pid, &to, &from, NULL, &error))
        yardstick_give_up(error->message);
    bare->to = fdopen(to, "w");
    bare->from = fdopen(from, "r");
    g_autoptr(json_t) task =
        json_pack("{s:s, s:i, s:o, s:i}", "model", work->model_path, "max_model_len", CONTEXT, "prompts",
                  prompts_json(work), "max_tokens", work->n_out);
    json_dumpf(task, bare->to, JSON_COMPACT);
    fputc('\n', bare->to);
    fflush(bare->to);
    json_decref(answer(bare));
    return bare;
}

double bare_run(void *yardstick, const struct yardstick_work *work, int32_t *ret_ids)
{
    struct bare *bare = yardstick;
    fputs("go\n", bare->to);
    fflush(bare->to);
    g_autoptr(json_t) said = answer(bare);
    const json_t *answers = json_object_get(said, "token_ids");
    ret_ids[0] = -1;
    size_t i, k;
    const json_t *ids, *id;
    json_array_foreach(answers, i, ids)
        json_array_foreach(ids, k, id)
            ret_ids[i * (size_t)work->n_out + k] = (int32_t)json_integer_value(id);
    return json_real_value(json_object_get(said, "seconds"));
}

void bare_end(void *yardstick)
{
    struct bare *bare = yardstick;
    fclose(bare->to); /* its end */
    waitpid(bare->pid, NULL, 0);
    fclose(bare->from);
    g_free(bare);
}
