/* SPDX-License-Identifier: MIT */
/* requests.csv: the requests of the measured block, one line each. */
#include "experiment/requests.h"

#include "experiment/service.h"

#include <math.h>

static double seconds_between(int64_t from_ns, int64_t to_ns)
{
    return from_ns && to_ns ? clock_seconds(to_ns - from_ns) : NAN;
}

static struct result_request request_of(const struct engine_generation *g, size_t i, size_t n_prompts)
{
    const struct engine_request *q = &g->requests[i];
    struct service_times t = service_times(g, q);
    double decode_s = seconds_between(q->first_token_ns, q->last_token_ns);
    return (struct result_request){
        .request = (int64_t)i + 1,
        .prompt = (int64_t)(i % n_prompts) + 1,
        .repeat = (int64_t)(i / n_prompts) + 1,
        .batch = q->batch,
        .tokens_in = q->n_in,
        .tokens_in_cached = q->n_cached,
        .tokens_out = (int64_t)q->n_out,
        .merged_chunks = q->merged_chunks,
        .finish = q->finish,
        .released_ns = service_released_ns(g, q),
        .first_token_ns = q->stamps_ns[0],
        .last_token_ns = q->stamps_ns[q->n_out - 1],
        .engine_queued_ns = q->queued_ns,
        .engine_scheduled_ns = q->scheduled_ns,
        .engine_first_token_ns = q->first_token_ns,
        .engine_last_token_ns = q->last_token_ns,
        .ttft_s = t.ttft_s,
        .prefill_latency_s = t.prefill_s,
        .tpot_s = t.tpot_s,
        .latency_s = t.latency_s,
        .engine_ttft_s = seconds_between(q->queued_ns, q->first_token_ns),
        .engine_tpot_s = q->n_out > 1 ? decode_s / (double)(q->n_out - 1) : NAN,
        .engine_latency_s = seconds_between(q->queued_ns, q->last_token_ns),
    };
}

bool requests_write(const struct inputs *in, const struct session *session, const struct engine_generation *g,
                    GError **error)
{
    g_autofree struct result_request *requests = g_new0(struct result_request, g->n_requests);
    g_autofree char *path = g_build_filename(in->dir, result_files[RESULT_FILE_REQUESTS].name, NULL);
    for (size_t i = 0; i < g->n_requests; i++)
        requests[i] = request_of(g, i, session->n_prompts);
    return result_requests_write(requests, g->n_requests, path, error);
}
