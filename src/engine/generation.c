/* SPDX-License-Identifier: MIT */
/* The replies to generate and collect, read into arrays and held to what was prepared and to each other: the numbers
 * everything else stands on. */
#include "engine/private.h"

#include <string.h>

struct prepared *prepared_new(int64_t batch, const struct engine_prompt *prompts, size_t n_prompts, bool keep)
{
    struct prepared *p = g_new0(struct prepared, 1);
    p->batch = batch;
    p->n_requests = n_prompts;
    p->requests = g_new0(struct prepared_request, n_prompts);
    for (size_t i = 0; i < n_prompts; i++)
        p->requests[i] = (struct prepared_request){
            .id = g_strdup(prompts[i].id),
            .ids = keep ? g_bytes_new(prompts[i].token_ids, prompts[i].n_tokens * sizeof *prompts[i].token_ids) : NULL,
            .n_in = prompts[i].n_tokens,
            .max_tokens = prompts[i].max_tokens,
            .ignore_eos = prompts[i].ignore_eos,
        };
    return p;
}

void prepared_free(gpointer data)
{
    struct prepared *p = data;
    if (!p)
        return;
    for (size_t i = 0; i < p->n_requests; i++) {
        g_free(p->requests[i].id);
        g_clear_pointer(&p->requests[i].ids, g_bytes_unref);
    }
    g_free(p->requests);
    g_free(p);
}

void outcome_free(gpointer data)
{
    struct outcome *o = data;
    g_ptr_array_unref(o->batches);
    g_hash_table_unref(o->cached);
    g_free(o);
}

void engine_generation_clear(struct engine_generation *g)
{
    for (size_t i = 0; i < g->n_requests; i++) {
        g_free(g->requests[i].id);
        g_free(g->requests[i].token_ids);
        g_free(g->requests[i].stamps_ns);
        g_free(g->requests[i].finish);
    }
    g_free(g->requests);
    g_free(g->batches);
    *g = (struct engine_generation){0};
}

/* DATA "request 'r7': …". Returns false. */
static bool bad(GError **error, const char *id, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool bad(GError **error, const char *id, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "request '%s': %s", id, what);
    return false;
}

static bool read_window(const json_t *object, int64_t *t0_ns, int64_t *t1_ns, GError **error)
{
    if (!jsonx_get_int(object, "t0_ns", true, t0_ns, error) || !jsonx_get_int(object, "t1_ns", true, t1_ns, error))
        return false;
    if (*t0_ns > 0 && *t0_ns < *t1_ns)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "t0_ns %" G_GINT64_FORMAT " and t1_ns %" G_GINT64_FORMAT " are no window", *t0_ns, *t1_ns);
    return false;
}

static bool read_tokens(const json_t *ids, const json_t *stamps, struct engine_request *r, GError **error)
{
    r->n_out = json_array_size(ids);
    if (json_array_size(stamps) != r->n_out)
        return bad(error, r->id, "%zu token ids and %zu stamps", r->n_out, json_array_size(stamps));
    r->token_ids = g_new0(int32_t, r->n_out);
    r->stamps_ns = g_new0(int64_t, r->n_out);
    for (size_t i = 0; i < r->n_out; i++) {
        const json_t *id = json_array_get(ids, i), *stamp = json_array_get(stamps, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return bad(error, r->id, "output token %zu is no token id", i);
        if (!json_is_integer(stamp))
            return bad(error, r->id, "the stamp of output token %zu is %s", i, jsonx_type_name(stamp));
        r->token_ids[i] = (int32_t)json_integer_value(id);
        r->stamps_ns[i] = json_integer_value(stamp);
    }
    return true;
}

static bool check_stamps(struct engine_request *r, const struct engine_batch_times *window, GError **error)
{
    for (size_t i = 0; i < r->n_out; i++) {
        int64_t stamp = r->stamps_ns[i];
        if (stamp < window->t0_ns || stamp > window->t1_ns)
            return bad(error, r->id, "the stamp of output token %zu lies outside its batch's [t0_ns, t1_ns]", i);
        if (i > 0 && stamp < r->stamps_ns[i - 1])
            return bad(error, r->id, "the stamp of output token %zu lies before that of token %zu", i, i - 1);
        bool starts_run = i > 0 && stamp == r->stamps_ns[i - 1] && (i == 1 || stamp != r->stamps_ns[i - 2]);
        r->merged_chunks += starts_run;
    }
    return true;
}

static bool check_counts(const struct engine_request *r, const struct prepared_request *asked, GError **error)
{
    if (r->n_in != (int64_t)asked->n_in)
        return bad(error, r->id, "n_in is %" G_GINT64_FORMAT ", but %zu token ids were sent", r->n_in, asked->n_in);
    if (r->n_out == 0)
        return bad(error, r->id, "not one token came out (one that ends the text is one)");
    if ((int64_t)r->n_out > asked->max_tokens)
        return bad(error, r->id, "%zu tokens came out, %" G_GINT64_FORMAT " were allowed", r->n_out,
                   asked->max_tokens);
    if (asked->ignore_eos && (int64_t)r->n_out != asked->max_tokens)
        return bad(error, r->id, "%zu tokens came out, exactly %" G_GINT64_FORMAT " were asked for (ignore_eos)",
                   r->n_out, asked->max_tokens);
    if (strcmp(r->finish, "length") && strcmp(r->finish, "stop"))
        return bad(error, r->id, "finish is '%s', neither 'length' nor 'stop'", r->finish);
    if (!strcmp(r->finish, "length") && (int64_t)r->n_out != asked->max_tokens)
        return bad(error, r->id, "finish is 'length' after %zu of %" G_GINT64_FORMAT " tokens", r->n_out,
                   asked->max_tokens);
    return true;
}

static bool read_engine_stamps(const json_t *row, struct engine_request *r, GError **error)
{
    json_t *stamps = NULL;
    return jsonx_get_object(row, "engine_stamps", false, &stamps, error) &&
           (!stamps || (jsonx_get_int(stamps, "queued_ns", false, &r->queued_ns, error) &&
                        jsonx_get_int(stamps, "scheduled_ns", false, &r->scheduled_ns, error) &&
                        jsonx_get_int(stamps, "first_token_ns", false, &r->first_token_ns, error) &&
                        jsonx_get_int(stamps, "last_token_ns", false, &r->last_token_ns, error)));
}

/* The engine's own stamps are of the same clock as the others, and in the order of what they tell. A request waits and
 * begins before its first token is out: latencies are differences of these. */
static bool check_engine_stamps(const json_t *row, const struct engine_request *r, const struct engine_work *work,
                                GError **error)
{
    const struct {
        const char *name;
        int64_t at_ns;
    } stamps[] = {{"queued_ns", r->queued_ns},
                  {"scheduled_ns", r->scheduled_ns},
                  {"first_token_ns", r->first_token_ns},
                  {"last_token_ns", r->last_token_ns}};
    int64_t before_ns = work->t0_ns;
    for (size_t i = 0; i < G_N_ELEMENTS(stamps); i++) {
        if (!json_is_integer(json_object_get(json_object_get(row, "engine_stamps"), stamps[i].name)))
            continue;
        if (stamps[i].at_ns < work->t0_ns || stamps[i].at_ns > work->t1_ns)
            return bad(error, r->id,
                       "engine_stamps: %s lies %.3f s outside of the work's [t0_ns, t1_ns]: is it CLOCK_MONOTONIC?",
                       stamps[i].name, clock_seconds(stamps[i].at_ns < work->t0_ns ? work->t0_ns - stamps[i].at_ns
                                                                                  : stamps[i].at_ns - work->t1_ns));
        if (stamps[i].at_ns < before_ns)
            return bad(error, r->id, "engine_stamps: %s lies before the stamp ahead of it", stamps[i].name);
        before_ns = stamps[i].at_ns;
    }
    if (MAX(r->queued_ns, r->scheduled_ns) <= r->stamps_ns[0])
        return true;
    return bad(error, r->id, "engine_stamps: %s lies %.6f s after the stamp of the first output token",
               r->queued_ns > r->stamps_ns[0] ? "queued_ns" : "scheduled_ns",
               clock_seconds(MAX(r->queued_ns, r->scheduled_ns) - r->stamps_ns[0]));
}

/* Prompt tokens from a cache: only where load told of one, and never the last, from which the first token follows. */
static bool check_cached(const struct engine_request *r, bool prefix_cache, GError **error)
{
    if (r->n_cached == 0 || (prefix_cache && r->n_cached > 0 && r->n_cached < r->n_in))
        return true;
    if (prefix_cache)
        return bad(error, r->id, "n_cached %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " prompt tokens", r->n_cached,
                   r->n_in);
    return bad(error, r->id,
               "n_cached is %" G_GINT64_FORMAT ", but load did not say 'prefix_cache': true", r->n_cached);
}

static bool read_request(const json_t *row, const struct engine_batch_times *window, const struct outcome *outcome,
                         const struct prepared_request *asked, struct engine_request *r, GError **error)
{
    const char *id = NULL, *finish = NULL;
    json_t *ids = NULL, *stamps = NULL;
    if (!jsonx_get_string(row, "id", true, &id, error))
        return false;
    r->id = g_strdup(id);
    if (strcmp(id, asked->id))
        return bad(error, asked->id, "'%s' stands in its place; requests come in the order prepared", id);
    if (!jsonx_get_int(row, "batch", true, &r->batch, error) || !jsonx_get_int(row, "n_in", true, &r->n_in, error) ||
        !jsonx_get_int(row, "n_cached", true, &r->n_cached, error) ||
        !jsonx_get_array(row, "token_ids", true, &ids, error) ||
        !jsonx_get_array(row, "stamps_ns", true, &stamps, error) ||
        !jsonx_get_string(row, "finish", true, &finish, error) || !read_engine_stamps(row, r, error)) {
        g_prefix_error(error, "request '%s': ", id);
        return false;
    }
    r->finish = g_strdup(finish);
    if (r->batch != window->batch)
        return bad(error, r->id, "it says batch %" G_GINT64_FORMAT ", it was prepared in %" G_GINT64_FORMAT, r->batch,
                   window->batch);
    return read_tokens(ids, stamps, r, error) && check_counts(r, asked, error) && check_stamps(r, window, error) &&
           check_cached(r, outcome->prefix_cache, error) && check_engine_stamps(row, r, &outcome->work, error);
}

static const struct prepared *batch_of(const struct outcome *o, guint i)
{
    return g_ptr_array_index(o->batches, i);
}

/* The windows of the batches named: in order, one after the other, within the whole. */
static bool read_batches(const json_t *rows, const struct outcome *o, const struct page *page,
                         struct engine_generation *g, GError **error)
{
    if (json_array_size(rows) != page->n_batches) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%zu batches in the reply, %u were asked for",
                    json_array_size(rows), page->n_batches);
        return false;
    }
    int64_t earliest = page->batch > 0 ? g->batches[page->batch - 1].t1_ns : g->t0_ns;
    for (guint i = 0; i < page->n_batches; i++) {
        struct engine_batch_times *b = &g->batches[page->batch + i];
        const json_t *row = json_array_get(rows, i);
        b->n_padded = -1;
        if (!jsonx_get_int(row, "batch", true, &b->batch, error) || !read_window(row, &b->t0_ns, &b->t1_ns, error) ||
            !jsonx_get_int(row, "n_padded", false, &b->n_padded, error))
            return false;
        if (b->n_padded < -1) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "batch %" G_GINT64_FORMAT ": n_padded is %" G_GINT64_FORMAT,
                        b->batch, b->n_padded);
            return false;
        }
        if (b->batch != batch_of(o, page->batch + i)->batch || b->t0_ns < earliest || b->t1_ns > g->t1_ns) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                        "batch %" G_GINT64_FORMAT ": out of order, or its window overlaps the one before or leaves "
                        "the whole's", b->batch);
            return false;
        }
        earliest = b->t1_ns;
    }
    g->n_batches = page->batch + page->n_batches;
    return true;
}

static bool read_requests(const json_t *rows, const struct outcome *o, const struct page *page,
                          struct engine_generation *g, GError **error)
{
    if (json_array_size(rows) != page->count) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%zu requests in the reply, %zu were asked for",
                    json_array_size(rows), page->count);
        return false;
    }
    size_t before = 0, at = 0;
    for (guint b = page->batch; b < page->batch + page->n_batches; b++) {
        const struct prepared *batch = batch_of(o, b);
        for (size_t i = 0; i < batch->n_requests; i++, before++) {
            if (before < page->first || at == page->count)
                continue;
            struct engine_request *r = &g->requests[g->n_requests++];
            if (!read_request(json_array_get(rows, at++), &g->batches[b], o, &batch->requests[i], r, error))
                return false;
        }
    }
    return true;
}

static int64_t merged_of(const struct engine_generation *g, size_t from)
{
    int64_t merged = 0;
    for (size_t i = from; i < g->n_requests; i++)
        merged += g->requests[i].merged_chunks;
    return merged;
}

bool page_read(const json_t *reply, const struct outcome *o, const struct page *page, struct engine_generation *g,
               GError **error)
{
    json_t *batch_rows = NULL, *request_rows = NULL;
    int64_t merged = 0;
    size_t from = g->n_requests;
    if (!jsonx_get_array(reply, "batches", true, &batch_rows, error) ||
        !jsonx_get_array(reply, "requests", true, &request_rows, error) ||
        !jsonx_get_int(reply, "merged_chunks", true, &merged, error) ||
        !read_batches(batch_rows, o, page, g, error) || !read_requests(request_rows, o, page, g, error))
        return false;
    int64_t seen = merged_of(g, from);
    g->merged_chunks += seen;
    if (merged == seen)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "merged_chunks is %" G_GINT64_FORMAT ", the equal stamps say %" G_GINT64_FORMAT, merged, seen);
    return false;
}

static int64_t requests_of(const struct outcome *o)
{
    int64_t n = 0;
    for (guint i = 0; i < o->batches->len; i++)
        n += (int64_t)batch_of(o, i)->n_requests;
    return n;
}

void generation_begin(const struct outcome *o, struct engine_generation *ret)
{
    *ret = (struct engine_generation){
        .t0_ns = o->work.t0_ns,
        .t1_ns = o->work.t1_ns,
        .batches = g_new0(struct engine_batch_times, o->batches->len),
        .requests = g_new0(struct engine_request, (gsize)requests_of(o)),
    };
}

/* After a reset nothing is cached: of the prompts that come first, one must be computed whole. */
static bool check_cold(const struct outcome *o, const struct engine_generation *g, GError **error)
{
    for (size_t i = 0; i < batch_of(o, 0)->n_requests; i++)
        if (g->requests[i].n_cached == 0)
            return true;
    return bad(error, g->requests[0].id, "n_cached is %" G_GINT64_FORMAT " after a reset that forgot all prefixes",
               g->requests[0].n_cached);
}

static bool check_shared(const struct outcome *o, const struct engine_generation *g, GError **error)
{
    g_autofree const struct prepared_request **asked = g_new0(const struct prepared_request *, g->n_requests + 1);
    size_t n = 0, most = 0;
    for (guint b = 0; b < o->batches->len; b++)
        for (size_t i = 0; i < batch_of(o, b)->n_requests; i++)
            asked[n++] = &batch_of(o, b)->requests[i];
    const char *id = cached_check(o->cached, asked, g->requests, n, &most);
    return !id || bad(error, id, "n_cached is more than %zu, all that its prompt shares with any other since the cache "
                                 "was emptied", most);
}

bool generation_check(const struct outcome *o, const struct engine_generation *g, GError **error)
{
    int64_t n_out = 0;
    for (size_t i = 0; i < g->n_requests; i++)
        n_out += (int64_t)g->requests[i].n_out;
    if (n_out == o->work.n_out)
        return (!o->cold || check_cold(o, g, error)) && (!o->prefix_cache || check_shared(o, g, error));
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "%" G_GINT64_FORMAT " output tokens were collected, generate had counted %" G_GINT64_FORMAT, n_out,
                o->work.n_out);
    return false;
}

/* --- the reply to generate -------------------------------------------------------------------------------------- */

static bool check_count(const char *name, int64_t said, int64_t asked, GError **error)
{
    if (said == asked)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s is %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " were prepared",
                name, said, asked);
    return false;
}

bool work_read(const json_t *reply, struct outcome *o, GError **error)
{
    struct engine_work *work = &o->work;
    int64_t n_in = 0, n_most = 0;
    for (guint b = 0; b < o->batches->len; b++)
        for (size_t i = 0; i < batch_of(o, b)->n_requests; i++) {
            n_in += (int64_t)batch_of(o, b)->requests[i].n_in;
            n_most += batch_of(o, b)->requests[i].max_tokens;
        }
    if (!read_window(reply, &work->t0_ns, &work->t1_ns, error) ||
        !jsonx_get_int(reply, "n_requests", true, &work->n_requests, error) ||
        !jsonx_get_int(reply, "n_in", true, &work->n_in, error) ||
        !jsonx_get_int(reply, "n_out", true, &work->n_out, error) ||
        !check_count("n_requests", work->n_requests, requests_of(o), error) ||
        !check_count("n_in", work->n_in, n_in, error))
        return false;
    if (work->n_out >= work->n_requests && work->n_out <= n_most)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "n_out is %" G_GINT64_FORMAT "; %" G_GINT64_FORMAT " requests put out one token at least, and together "
                "%" G_GINT64_FORMAT " at most", work->n_out, work->n_requests, n_most);
    return false;
}

void engine_generation_append(struct engine_generation *generation, struct engine_generation *later)
{
    size_t batches = generation->n_batches + later->n_batches;
    size_t requests = generation->n_requests + later->n_requests;
    generation->batches = g_renew(struct engine_batch_times, generation->batches, batches);
    generation->requests = g_renew(struct engine_request, generation->requests, requests);
    for (size_t i = 0; i < later->n_batches; i++)
        generation->batches[generation->n_batches + i] = later->batches[i];
    for (size_t i = 0; i < later->n_requests; i++)
        generation->requests[generation->n_requests + i] = later->requests[i];
    if (generation->n_batches == 0)
        generation->t0_ns = later->t0_ns;
    generation->t1_ns = later->t1_ns;
    generation->n_batches = batches;
    generation->n_requests = requests;
    generation->merged_chunks += later->merged_chunks;
    g_free(later->batches);
    g_free(later->requests); /* the requests' own arrays have moved */
    *later = (struct engine_generation){0};
}
