/* SPDX-License-Identifier: MIT */
#include "null.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char interrupted[] = "{\"class\":\"Interrupted\",\"message\":\"interrupted, as the script says\"}";

struct run {
    struct null_script *script;
    const struct null_run *row;
    char *dir, *config_hash;
    int end; /* readable when it has ended */
    bool asked, killed, ended;
};

static void put(const struct run *run, const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/%s%s", run->dir, name[0] == '_' ? run->config_hash : "", name);
    if (text)
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void end_now(const struct run *run)
{
    g_assert_cmpint(eventfd_write(run->end, 1), ==, 0);
}

/* Ends those whose time has come. */
static void end_others(const struct null_script *script)
{
    for (guint i = 0; i < script->in_flight->len; i++) {
        const struct run *run = g_ptr_array_index(script->in_flight, i);
        if (run->row->after <= script->n_ended)
            end_now(run);
    }
}

static bool null_open(const struct runner_options *options, void **ret_state, GError **error)
{
    (void)options, (void)ret_state;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "a test makes an instance of its own");
    return false;
}

static void null_close(void *state)
{
    (void)state;
}

static bool null_start(void *state, const struct runner_job *job, void **ret_run, GError **error)
{
    struct null_script *script = state;
    size_t i = MIN((size_t)script->n_started, script->n_runs - 1);
    const struct null_run *row = &script->runs[i];
    script->n_started++;
    if (row->cannot_start) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "%s", row->cannot_start);
        return false;
    }
    struct run *run = g_new0(struct run, 1);
    *run = (struct run){.script = script,
                        .row = row,
                        .dir = g_strdup(job->exchange_dir),
                        .config_hash = g_strdup(job->config_hash),
                        .end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!script->in_flight)
        script->in_flight = g_ptr_array_new();
    g_ptr_array_add(script->in_flight, run);
    script->most_in_flight = MAX(script->most_in_flight, (int)script->in_flight->len);
    put(run, "progress.jsonl", row->progress);
    end_others(script);
    *ret_run = run;
    return true;
}

static int null_end_fd(const void *state)
{
    const struct run *run = state;
    return run->end;
}

/* What is written at the end is written by whoever first sees it: nothing else runs here. */
static bool null_has_ended(void *state)
{
    struct run *run = state;
    eventfd_t n;
    if (run->ended || eventfd_read(run->end, &n) != 0)
        return run->ended;
    run->ended = true;
    run->script->n_ended++;
    g_ptr_array_remove(run->script->in_flight, run);
    if (run->script->in_flight->len == 0)
        g_clear_pointer(&run->script->in_flight, g_ptr_array_unref);
    else
        end_others(run->script);
    if (run->killed)
        return true;
    put(run, "_result.json", run->asked ? NULL : run->row->result);
    put(run, "_error.json", run->asked ? interrupted : run->row->error);
    return true;
}

static void null_ask_to_stop(void *state)
{
    struct run *run = state;
    if (run->row->deaf)
        return;
    run->asked = true;
    end_now(run);
}

static void null_kill(void *state)
{
    struct run *run = state;
    run->killed = true;
    end_now(run);
}

static void null_describe_end(const void *state, struct runner_end *ret)
{
    const struct run *run = state;
    const char *how = run->row->how ? run->row->how : "exit status 0";
    *ret = (struct runner_end){.how = g_strdup(run->killed ? "killed by the runner" : how),
                               .clean = !run->killed && !run->row->how,
                               .killed = run->killed};
}

static void null_sweep(void *state, int64_t deadline_ns, struct runner_leftovers *ret)
{
    const struct run *run = state;
    (void)deadline_ns;
    *ret = (struct runner_leftovers){run->row->leaves, g_strdup(run->row->survivors)};
}

static void null_release(void *state)
{
    struct run *run = state;
    close(run->end);
    g_free(run->dir);
    g_free(run->config_hash);
    g_free(run);
}

const struct runner_ops runner_null = {
    .name = "null",
    .summary = "nothing runs; records are what a script says",
    .max_in_flight = 3,
    .open = null_open,
    .close = null_close,
    .start = null_start,
    .end_fd = null_end_fd,
    .has_ended = null_has_ended,
    .ask_to_stop = null_ask_to_stop,
    .kill = null_kill,
    .describe_end = null_describe_end,
    .sweep = null_sweep,
    .release = null_release,
};
