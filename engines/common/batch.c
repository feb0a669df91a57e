/* SPDX-License-Identifier: MIT */
/* prepare puts batches in place, generate runs them, collect hands out what came of them: whatever can be done before
 * the window is done in prepare, and what can be done after it in collect. */
#include "common/adapter_private.h"

#include <string.h>

void adapter_batch_free(gpointer data)
{
    struct adapter_batch *batch = data;
    for (size_t i = 0; i < batch->n_requests; i++) {
        struct adapter_request *r = &batch->requests[i];
        g_free(r->id);
        g_free(r->token_ids);
        g_free(r->out_ids);
        g_free(r->out_stamps_ns);
    }
    g_free(batch->requests);
    g_free(batch);
}

void adapter_forget_batches(struct adapter *a)
{
    g_ptr_array_set_size(a->batches, 0);
    g_ptr_array_set_size(a->done, 0);
    a->n_requests = 0;
}

static bool read_ids(struct adapter *a, const json_t *list, struct adapter_request *r)
{
    r->n_in = json_array_size(list);
    if (r->n_in == 0 || r->n_in > LIMIT_PROMPT_TOKENS)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: request '%s' needs 1 to %d token ids, not %zu", r->id,
                            LIMIT_PROMPT_TOKENS, r->n_in);
    r->token_ids = g_new(int32_t, r->n_in);
    for (size_t i = 0; i < r->n_in; i++) {
        const json_t *id = json_array_get(list, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: request '%s': token id %zu is not one", r->id, i);
        r->token_ids[i] = (int32_t)value;
    }
    return true;
}

static bool read_request(struct adapter *a, const json_t *row, struct adapter_request *r)
{
    static const char *const names[] = {"id", "token_ids", "max_tokens", "ignore_eos", NULL};
    const json_t *id = json_object_get(row, "id");
    const json_t *max_tokens = json_object_get(row, "max_tokens");
    if (!json_is_string(id) || !json_is_array(json_object_get(row, "token_ids")) || !json_is_integer(max_tokens))
        return adapter_fail(a, ADAPTER_BAD_VALUE,
                            "prepare: a request needs a string 'id', a list 'token_ids' and an integer 'max_tokens'");
    if (!adapter_check_keys(a, row, "prepare: a request", names))
        return false;
    r->id = g_strdup(json_string_value(id));
    r->max_tokens = json_integer_value(max_tokens);
    r->ignore_eos = json_is_true(json_object_get(row, "ignore_eos"));
    r->finish = "length";
    if (r->max_tokens < 1 || r->max_tokens > LIMIT_PROMPT_TOKENS)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: request '%s': max_tokens must lie between 1 and %d", r->id,
                            LIMIT_PROMPT_TOKENS);
    /* Written to here, so that no page is touched for the first time in the window. */
    r->out_ids = g_malloc(sizeof(int32_t) * (size_t)r->max_tokens);
    r->out_stamps_ns = g_malloc(sizeof(int64_t) * (size_t)r->max_tokens);
    memset(r->out_ids, 0xff, sizeof(int32_t) * (size_t)r->max_tokens);
    memset(r->out_stamps_ns, 0xff, sizeof(int64_t) * (size_t)r->max_tokens);
    return read_ids(a, json_object_get(row, "token_ids"), r);
}

static struct adapter_batch *find_batch(const GPtrArray *list, int64_t number, guint *ret_index)
{
    for (guint i = 0; i < list->len; i++) {
        struct adapter_batch *batch = g_ptr_array_index(list, i);
        if (batch->batch == number) {
            *ret_index = i;
            return batch;
        }
    }
    return NULL;
}

static bool ids_unique(struct adapter *a, const struct adapter_batch *fresh)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint b = 0; b < a->batches->len; b++) {
        const struct adapter_batch *batch = g_ptr_array_index(a->batches, b);
        for (size_t i = 0; i < batch->n_requests; i++)
            g_hash_table_add(seen, batch->requests[i].id);
    }
    for (size_t i = 0; i < fresh->n_requests; i++)
        if (!g_hash_table_add(seen, fresh->requests[i].id))
            return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: there is a request '%s' already",
                                fresh->requests[i].id);
    return true;
}

static bool read_batch(struct adapter *a, const json_t *list, struct adapter_batch *batch)
{
    guint index;
    if (find_batch(a->batches, batch->batch, &index))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: batch %lld is prepared already", (long long)batch->batch);
    if (find_batch(a->done, batch->batch, &index)) /* nobody wants that outcome any more */
        g_ptr_array_remove_index(a->done, index);
    if (batch->n_requests == 0 || a->n_requests + batch->n_requests > LIMIT_PROMPTS)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: at least one request, and at most %d in all batches",
                            LIMIT_PROMPTS);
    for (size_t i = 0; i < batch->n_requests; i++)
        if (!read_request(a, json_array_get(list, i), &batch->requests[i]))
            return false;
    return ids_unique(a, batch);
}

bool adapter_on_prepare(struct adapter *a, const json_t *request, json_t *reply)
{
    const json_t *list = json_object_get(request, "requests");
    struct adapter_batch *batch = g_new0(struct adapter_batch, 1);
    batch->batch = json_integer_value(json_object_get(request, "batch"));
    batch->n_requests = json_array_size(list);
    batch->requests = g_new0(struct adapter_request, batch->n_requests);
    bool quiescent = true;
    if (!read_batch(a, list, batch) ||
        (a->ops->prepare && !a->ops->prepare(a, a->state, batch, &quiescent))) {
        adapter_batch_free(batch);
        return false;
    }
    g_ptr_array_add(a->batches, batch);
    a->n_requests += batch->n_requests;
    int64_t n_in = 0;
    for (size_t i = 0; i < batch->n_requests; i++)
        n_in += (int64_t)batch->requests[i].n_in;
    json_object_set_new(reply, "batch", json_integer(batch->batch));
    json_object_set_new(reply, "n_in", json_integer(n_in));
    json_object_set_new(reply, "quiescent", json_boolean(quiescent));
    return true;
}

static void set_stamp(json_t *object, const char *name, int64_t stamp_ns)
{
    if (stamp_ns > 0)
        json_object_set_new(object, name, json_integer(stamp_ns));
}

/* A request's outcome; adds the chunks that carried more than one token: runs of equal stamps. */
static json_t *request_json(const struct adapter_request *r, int64_t batch, int64_t *merged)
{
    json_t *row = json_object(), *ids = json_array(), *stamps = json_array(), *engine = json_object();
    for (size_t i = 0; i < r->n_out; i++) {
        json_array_append_new(ids, json_integer(r->out_ids[i]));
        json_array_append_new(stamps, json_integer(r->out_stamps_ns[i]));
        bool same = i > 0 && r->out_stamps_ns[i] == r->out_stamps_ns[i - 1];
        bool counted = i > 1 && r->out_stamps_ns[i - 1] == r->out_stamps_ns[i - 2];
        *merged += same && !counted;
    }
    json_object_set_new(row, "id", json_string(r->id));
    json_object_set_new(row, "batch", json_integer(batch));
    json_object_set_new(row, "n_in", json_integer((json_int_t)r->n_in));
    json_object_set_new(row, "n_cached", json_integer(r->n_cached));
    json_object_set_new(row, "token_ids", ids);
    json_object_set_new(row, "stamps_ns", stamps);
    json_object_set_new(row, "finish", json_string(r->finish));
    set_stamp(engine, "queued_ns", r->queued_ns);
    set_stamp(engine, "scheduled_ns", r->scheduled_ns);
    set_stamp(engine, "first_token_ns", r->first_token_ns);
    set_stamp(engine, "last_token_ns", r->last_token_ns);
    if (json_object_size(engine) > 0)
        json_object_set_new(row, "engine_stamps", engine);
    else
        json_decref(engine);
    return row;
}

static json_t *window_json(const struct adapter_batch *batch)
{
    return json_pack("{s:I,s:I,s:I}", "batch", (json_int_t)batch->batch, "t0_ns", (json_int_t)batch->t0_ns, "t1_ns",
                     (json_int_t)batch->t1_ns);
}

/* Takes the batches asked for out of a list, in the order asked for. Where one is not there the list is as before. */
static bool choose_batches(struct adapter *a, const char *type, GPtrArray *from, const char *state,
                           const json_t *numbers, GPtrArray *chosen)
{
    size_t i;
    json_t *number;
    if (json_array_size(numbers) == 0)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "%s: no batch was named", type);
    json_array_foreach(numbers, i, number) {
        guint index;
        struct adapter_batch *batch =
            json_is_integer(number) ? find_batch(from, json_integer_value(number), &index) : NULL;
        if (!batch) {
            while (chosen->len > 0)
                g_ptr_array_add(from, g_ptr_array_steal_index(chosen, 0));
            return adapter_fail(a, ADAPTER_BAD_VALUE, "%s: batch %lld is not %s", type,
                                (long long)json_integer_value(number), state);
        }
        g_ptr_array_steal_index(from, index);
        g_ptr_array_add(chosen, batch);
    }
    return true;
}

/* Counts alone: what a reply of a few bytes costs falls behind t1, where a meter still looks. */
static void work_json(const GPtrArray *chosen, json_t *reply)
{
    const struct adapter_batch *first = g_ptr_array_index(chosen, 0);
    const struct adapter_batch *last = g_ptr_array_index(chosen, chosen->len - 1);
    int64_t n_requests = 0, n_in = 0, n_out = 0;
    for (guint b = 0; b < chosen->len; b++) {
        const struct adapter_batch *batch = g_ptr_array_index(chosen, b);
        n_requests += (int64_t)batch->n_requests;
        for (size_t i = 0; i < batch->n_requests; i++) {
            n_in += (int64_t)batch->requests[i].n_in;
            n_out += (int64_t)batch->requests[i].n_out;
        }
    }
    json_object_set_new(reply, "t0_ns", json_integer(first->t0_ns));
    json_object_set_new(reply, "t1_ns", json_integer(last->t1_ns));
    json_object_set_new(reply, "n_requests", json_integer(n_requests));
    json_object_set_new(reply, "n_in", json_integer(n_in));
    json_object_set_new(reply, "n_out", json_integer(n_out));
}

bool adapter_on_generate(struct adapter *a, const json_t *request, json_t *reply)
{
    const json_t *in_flight = json_object_get(request, "in_flight");
    int64_t at_once = json_integer_value(in_flight);
    if (json_is_integer(in_flight) && at_once < 1)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "generate: 'in_flight' must be at least 1");
    if (at_once > 0 && !a->ops->joins)
        return adapter_fail(a, ADAPTER_NOT_SUPPORTED, "generate: 'in_flight': the requests of a batch begin together");
    g_autoptr(GPtrArray) chosen = g_ptr_array_new_with_free_func(adapter_batch_free);
    if (!choose_batches(a, "generate", a->batches, "prepared", json_object_get(request, "batches"), chosen))
        return false;
    for (guint b = 0; b < chosen->len; b++) {
        struct adapter_batch *batch = g_ptr_array_index(chosen, b);
        batch->in_flight = at_once > 0 ? MIN((size_t)at_once, batch->n_requests) : batch->n_requests;
        batch->joins = at_once > 0;
        a->n_requests -= batch->n_requests;
    }
    for (guint b = 0; b < chosen->len; b++)
        if (!a->ops->generate(a, a->state, g_ptr_array_index(chosen, b)))
            return false;
    work_json(chosen, reply);
    while (chosen->len > 0)
        g_ptr_array_add(a->done, g_ptr_array_steal_index(chosen, 0));
    return true;
}

/* The requests of the batches from `first` on, at most `count`. */
static void outcome_json(const GPtrArray *chosen, int64_t first, int64_t count, json_t *reply)
{
    json_t *batches = json_array(), *requests = json_array();
    int64_t merged = 0, at = 0;
    for (guint b = 0; b < chosen->len; b++) {
        const struct adapter_batch *batch = g_ptr_array_index(chosen, b);
        json_array_append_new(batches, window_json(batch));
        for (size_t i = 0; i < batch->n_requests; i++, at++)
            if (at >= first && at - first < count)
                json_array_append_new(requests, request_json(&batch->requests[i], batch->batch, &merged));
    }
    json_object_set_new(reply, "batches", batches);
    json_object_set_new(reply, "requests", requests);
    json_object_set_new(reply, "merged_chunks", json_integer(merged));
}

bool adapter_on_collect(struct adapter *a, const json_t *request, json_t *reply)
{
    const json_t *first_json = json_object_get(request, "first"), *count_json = json_object_get(request, "count");
    int64_t first = json_integer_value(first_json), n = 0;
    int64_t count = json_is_integer(count_json) ? json_integer_value(count_json) : LIMIT_PROMPTS;
    g_autoptr(GPtrArray) chosen = g_ptr_array_new_with_free_func(adapter_batch_free);
    if (!choose_batches(a, "collect", a->done, "generated, or was collected", json_object_get(request, "batches"),
                        chosen))
        return false;
    for (guint b = 0; b < chosen->len; b++)
        n += (int64_t)((const struct adapter_batch *)g_ptr_array_index(chosen, b))->n_requests;
    bool there = first >= 0 && first < n && count >= 1;
    if (there)
        outcome_json(chosen, first, count, reply);
    if (there && count >= n - first)
        return true; /* all of it is out: forgotten */
    while (chosen->len > 0)
        g_ptr_array_add(a->done, g_ptr_array_steal_index(chosen, 0));
    return there || adapter_fail(a, ADAPTER_BAD_VALUE, "collect: 'first' and 'count' must name some of %lld requests",
                                 (long long)n);
}
