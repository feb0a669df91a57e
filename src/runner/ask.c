/* SPDX-License-Identifier: MIT */
/* A question to a worker where runs would be: the start and the end of a run, without a study around it. */
#include "runner/runner.h"

#include "exchange/exchange.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES    (64 << 10)
#define SAID_BYTES   400 /* of its log, in a message */
#define GRACE_NS     (3 * NS_PER_S)
#define SWEEP_NS     (5 * NS_PER_S)
#define POLL_MS      50

static const char *const probe_arguments[] = {"--probe", NULL};

struct question {
    const struct runner *runner;
    const struct runner_job *job;
    void *run;
    int interrupt_fd;
    bool timed_out, interrupted;
    struct runner_end end;
};

/* Serves it to its end: asked to stop when its time is up or a signal waits, killed after a grace. */
static void wait_for_end(struct question *q)
{
    const struct runner_ops *ops = q->runner->ops;
    int64_t until_ns = clock_mono_ns() + q->job->timeout_ns, kill_ns = INT64_MAX;
    while (!ops->has_ended(q->run)) {
        int64_t now = clock_mono_ns();
        q->interrupted |= interrupt_pending(q->interrupt_fd);
        q->timed_out |= !q->interrupted && now > until_ns;
        if ((q->timed_out || q->interrupted) && kill_ns == INT64_MAX) {
            ops->ask_to_stop(q->run);
            kill_ns = now + q->job->grace_ns;
        } else if (now > kill_ns) {
            ops->kill(q->run);
            kill_ns = now + q->job->grace_ns;
        }
        struct pollfd fd = {.fd = ops->end_fd(q->run), .events = POLLIN};
        poll(&fd, fd.fd >= 0, POLL_MS);
    }
}

/* The end of what the worker wrote, as one line. New string. */
static char *last_words(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, RUNNER_LOG, NULL);
    g_autofree char *text = file_read(path, LOG_BYTES, NULL, NULL);
    if (!text || !*g_strstrip(text))
        return NULL;
    size_t n = strlen(text);
    g_autofree char *valid = g_utf8_make_valid(n > SAID_BYTES ? text + n - SAID_BYTES : text, -1);
    return g_strdelimit(g_steal_pointer(&valid), "\n\r\t", ' ');
}

static void explain(const struct question *q, json_t *found, GError **error)
{
    g_autofree char *words = last_words(q->job->exchange_dir);
    g_autofree char *limit = num_format_duration_ns(q->job->timeout_ns);
    const char *last = NULL, *key;
    const json_t *value;
    jsonx_foreach(found, key, value)
        last = value ? key : last;
    if (q->interrupted)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted by a signal");
    else if (q->timed_out)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT, "no whole answer within %s; the last it said was of '%s'", limit,
                    last ? last : "nothing");
    else if (q->end.why)
        g_propagate_error(error, g_error_copy(q->end.why));
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_WORKER_DIED, "the worker ended without an answer (%s)%s%s",
                    q->end.how, words ? ": " : "", words ? words : "");
}

/* What it wrote, whole or not. */
static json_t *read_answer(const struct runner_job *job)
{
    g_autofree char *path = exchange_file(job->exchange_dir, job->config_hash, "probe.json");
    return access(path, F_OK) == 0 ? jsonx_load(path, LIMIT_RESULT_BYTES, NULL) : NULL;
}

static bool put(struct question *q, json_t **ret_found, GError **error)
{
    const struct runner_ops *ops = q->runner->ops;
    struct runner_leftovers leftovers = {0};
    if (!ops->start(q->runner->state, q->job, &q->run, error))
        return false;
    wait_for_end(q);
    ops->describe_end(q->run, &q->end);
    ops->sweep(q->run, clock_mono_ns() + q->job->sweep_ns, &leftovers);
    ops->release(q->run);
    *ret_found = read_answer(q->job);
    bool whole = q->end.clean && *ret_found && !q->timed_out && !q->interrupted;
    if (!whole)
        explain(q, *ret_found, error);
    g_free(leftovers.survivors);
    g_free(q->end.how);
    g_clear_error(&q->end.why);
    return whole;
}

bool runner_ask(const struct runner *runner, struct exchange *x, const char *folder, int64_t timeout_ns,
                int interrupt_fd, json_t **ret_found, GError **error)
{
    struct runner_places *places = NULL;
    *ret_found = NULL;
    if (!runner_place(runner, x, interrupt_fd, NULL, NULL, &places, error))
        return false;
    g_autofree char *dir = exchange_folder_new(folder, x, runner_places_map(places), error);
    bool ok = false;
    if (dir) {
        const struct runner_job job = {.exchange_dir = dir,
                                       .config_hash = x->config_hash,
                                       .arguments = probe_arguments,
                                       .places = places,
                                       .timeout_ns = timeout_ns,
                                       .grace_ns = GRACE_NS,
                                       .sweep_ns = SWEEP_NS};
        struct question q = {.runner = runner, .job = &job, .interrupt_fd = interrupt_fd};
        ok = put(&q, ret_found, error);
        file_remove_tree(dir, NULL);
    }
    runner_places_free(runner, places);
    return ok;
}
