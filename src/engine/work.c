/* SPDX-License-Identifier: MIT */
/* generate and collect: the work is released by one message and answered by a few bytes, so that nothing of the reply
 * falls where a meter still looks; what came of it is asked for later, as many requests at a time as a line holds. */
#include "engine/private.h"

#include <string.h>

#define PAGE_BYTES (4 << 20) /* of a reply to collect, by its longest: far below the limit of a line */

static struct outcome *outcome_new(GPtrArray *batches)
{
    struct outcome *o = g_new0(struct outcome, 1);
    o->batches = batches;
    return o;
}

/* Takes the batches out of the prepared ones; NULL (PROTOCOL) when one is not there. Nothing is sent then. */
static GPtrArray *take_prepared(struct engine *engine, const int64_t *batches, size_t n, GError **error)
{
    g_autoptr(GPtrArray) taken = g_ptr_array_new_with_free_func(prepared_free);
    for (size_t i = 0; i < n; i++) {
        int64_t number = batches[i];
        struct prepared *p = g_hash_table_lookup(engine->prepared, &number);
        if (!p) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_PROTOCOL, "batch %" G_GINT64_FORMAT " was not prepared", number);
            return NULL;
        }
        g_hash_table_steal(engine->prepared, &number);
        g_ptr_array_add(taken, p);
    }
    return g_steal_pointer(&taken);
}

static json_t *numbers_json(const int64_t *batches, size_t n)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(numbers, json_integer(batches[i]));
    return numbers;
}

bool engine_generate(struct engine *engine, const int64_t *batches, size_t n_batches, int64_t in_flight,
                     int64_t deadline_ns, struct engine_work *ret, GError **error)
{
    *ret = (struct engine_work){0};
    GPtrArray *taken = take_prepared(engine, batches, n_batches, error);
    if (!taken)
        return false;
    struct outcome *outcome = outcome_new(taken);
    outcome->cold = engine->cold;
    outcome->prefix_cache = engine->prefix_cache;
    outcome->cached = g_hash_table_ref(engine->cached);
    for (guint i = 0; engine->prefix_cache && i < taken->len; i++)
        cached_note(engine->cached, g_ptr_array_index(taken, i));
    json_t *body = json_object();
    json_object_set_new(body, "batches", numbers_json(batches, n_batches));
    if (in_flight > 0)
        json_object_set_new(body, "in_flight", json_integer(in_flight));
    int64_t before_ns = clock_mono_ns();
    g_autoptr(json_t) reply = wire_call(engine, "generate", body, deadline_ns, error);
    int64_t after_ns = clock_mono_ns();
    GError *detail = NULL;
    bool ok = reply && (work_read(reply, outcome, &detail) || wire_bad_reply(engine, "generate", detail, error));
    if (ok && (outcome->work.t0_ns < before_ns || outcome->work.t1_ns > after_ns))
        ok = wire_broken(engine, "generate", error, "its window lies outside the time between request and reply");
    if (!ok) {
        outcome_free(outcome);
        return false;
    }
    engine->cold = false;
    *ret = outcome->work;
    g_ptr_array_add(engine->generated, outcome);
    return true;
}

/* --- collect ---------------------------------------------------------------------------------------------------- */

/* The longest a request's outcome can be as JSON: two integers a token, some members, an id that is all escapes. */
static size_t longest_bytes(const struct prepared_request *r)
{
    return 512 + 6 * strlen(r->id) + 32 * (size_t)r->max_tokens;
}

/* Where collecting has got to: a batch of the outcome, a request of it. */
struct cursor {
    guint batch;
    size_t request;
};

static size_t longest_batch_bytes(const struct prepared *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->n_requests; i++)
        bytes += longest_bytes(&batch->requests[i]);
    return bytes;
}

/* As many whole batches as a page holds; of one that is more than a page, as many requests, at least one. */
static struct page next_page(const struct outcome *o, struct cursor *at)
{
    struct page page = {.batch = at->batch, .first = at->request};
    const struct prepared *batch = g_ptr_array_index(o->batches, at->batch);
    size_t bytes = longest_batch_bytes(batch);
    while (at->request == 0 && bytes <= PAGE_BYTES) {
        page.n_batches++;
        page.count += batch->n_requests;
        if (++at->batch == o->batches->len)
            return page;
        batch = g_ptr_array_index(o->batches, at->batch);
        bytes += longest_batch_bytes(batch);
    }
    if (page.n_batches > 0)
        return page;
    page.n_batches = 1;
    for (bytes = 0; at->request < batch->n_requests && (page.count == 0 || bytes <= PAGE_BYTES); page.count++)
        bytes += longest_bytes(&batch->requests[at->request++]);
    if (at->request == batch->n_requests)
        *at = (struct cursor){at->batch + 1, 0};
    return page;
}

static bool collect_page(struct engine *engine, const struct outcome *o, const struct page *page, int64_t deadline_ns,
                         struct engine_generation *g, GError **error)
{
    json_t *body = json_object(), *numbers = json_array();
    for (guint i = 0; i < page->n_batches; i++)
        json_array_append_new(numbers,
                              json_integer(((struct prepared *)g_ptr_array_index(o->batches, page->batch + i))->batch));
    json_object_set_new(body, "batches", numbers);
    json_object_set_new(body, "first", json_integer((json_int_t)page->first));
    json_object_set_new(body, "count", json_integer((json_int_t)page->count));
    g_autoptr(json_t) reply = wire_call(engine, "collect", body, deadline_ns, error);
    GError *detail = NULL;
    return reply && (page_read(reply, o, page, g, &detail) || wire_bad_reply(engine, "collect", detail, error));
}

static bool collect_one(struct engine *engine, const struct outcome *o, int64_t deadline_ns,
                        struct engine_generation *g, GError **error)
{
    GError *detail = NULL;
    struct cursor at = {0};
    generation_begin(o, g);
    while (at.batch < o->batches->len) {
        struct page page = next_page(o, &at);
        if (!collect_page(engine, o, &page, deadline_ns, g, error))
            return false;
    }
    return generation_check(o, g, &detail) || wire_bad_reply(engine, "collect", detail, error);
}

bool engine_collect(struct engine *engine, int64_t deadline_ns, struct engine_generation *ret, GError **error)
{
    *ret = (struct engine_generation){0};
    bool ok = true;
    for (guint i = 0; ok && i < engine->generated->len; i++) {
        struct engine_generation one = {0};
        ok = collect_one(engine, g_ptr_array_index(engine->generated, i), deadline_ns, &one, error);
        if (ok)
            engine_generation_append(ret, &one);
        engine_generation_clear(&one);
    }
    g_ptr_array_set_size(engine->generated, 0);
    if (!ok)
        engine_generation_clear(ret);
    return ok;
}

bool engine_generate_all(struct engine *engine, const int64_t *batches, size_t n_batches, int64_t deadline_ns,
                         struct engine_generation *ret, GError **error)
{
    struct engine_work work;
    *ret = (struct engine_generation){0};
    return engine_generate(engine, batches, n_batches, 0, deadline_ns, &work, error) &&
           engine_collect(engine, deadline_ns, ret, error);
}
