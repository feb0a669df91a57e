/* SPDX-License-Identifier: MIT */
/*
 * A batch runs in waves of at most n_parallel requests, or, where requests are kept in flight, each joins those under
 * way when one has ended. The prompts of those that begin are computed first, as many tokens of as many prompts to a
 * call as n_batch allows, while the others wait; then each call computes one token of every request that is not done. A
 * stamp is taken when a token is known: after the devices are done (llama_synchronize) and the choice is made.
 */
#include "llamacpp/llamacpp.h"

#include <string.h>

#define POLL_NS (10 * NS_PER_MS) /* how often the socket is looked at while libllama computes */

bool llamacpp_abort(void *state)
{
    struct llamacpp *l = state;
    if (!l->adapter || l->stop)
        return l->stop;
    int64_t now = clock_mono_ns();
    if (now < l->next_poll_ns)
        return false;
    l->next_poll_ns = now + POLL_NS;
    l->stop = adapter_stop_requested(l->adapter);
    return l->stop;
}

bool llamacpp_tokenize(struct adapter *a, void *state, const char *text, const struct adapter_tokenize *how,
                       GArray *ids)
{
    struct llamacpp *l = state;
    int32_t length = (int32_t)strlen(text);
    bool special = how->add_special && l->add_bos;
    int32_t n = -llama_tokenize(l->vocab, text, length, NULL, 0, special, how->parse_special);
    if (n <= 0)
        return n == 0 || adapter_fail(a, "TokenizeFailed",
                                      "libllama cannot tokenize a text of %d bytes", length);
    guint before = ids->len;
    g_array_set_size(ids, before + (guint)n);
    n = llama_tokenize(l->vocab, text, length, &g_array_index(ids, int32_t, before), n, special,
                       how->parse_special);
    return n >= 0 || adapter_fail(a, "TokenizeFailed", "libllama cannot tokenize a text of %d bytes", length);
}

/* What of begin, end and separator a tokenizer adds depends on its kind: asked for a word with and without. */
bool llamacpp_adds_special(const struct llamacpp *l)
{
    return llama_tokenize(l->vocab, "a", 1, NULL, 0, true, true) !=
           llama_tokenize(l->vocab, "a", 1, NULL, 0, false, true);
}

/* Positions a request takes in the cache: the last token out is never computed on. */
static int64_t positions(const struct adapter_request *r)
{
    return (int64_t)r->n_in + r->max_tokens - 1;
}

static bool check_request(struct adapter *a, const struct llamacpp *l, const struct adapter_request *r)
{
    if (positions(r) > l->n_ctx_seq)
        return adapter_fail(
            a, ADAPTER_BAD_VALUE,
            "prepare: request '%s' of %zu tokens in and %" G_GINT64_FORMAT
            " out needs %" G_GINT64_FORMAT " positions; the context holds %" G_GINT64_FORMAT
            " a sequence (n_ctx %" G_GINT64_FORMAT " for %" G_GINT64_FORMAT
            " sequences). Raise llamacpp.n_ctx, or lower max_input_tokens or max_output_tokens",
            r->id, r->n_in, r->max_tokens, positions(r), l->n_ctx_seq, l->n_ctx, l->n_seq_max);
    for (size_t i = 0; i < r->n_in; i++)
        if (r->token_ids[i] >= l->n_vocab)
            return adapter_fail(a, ADAPTER_BAD_VALUE,
                                "prepare: request '%s': token id %d; the vocabulary has %d", r->id,
                                r->token_ids[i], l->n_vocab);
    return true;
}

bool llamacpp_prepare(struct adapter *a, void *state, struct adapter_batch *batch, bool *quiescent)
{
    struct llamacpp *l = state;
    *quiescent = true;
    for (size_t i = 0; i < batch->n_requests; i++)
        if (!check_request(a, l, &batch->requests[i]))
            return false;
    for (size_t first = 0; l->kv_unified && first < batch->n_requests;
         first += (size_t)l->n_seq_max) {
        int64_t sum = 0;
        for (size_t i = first; i < MIN(batch->n_requests, first + (size_t)l->n_seq_max); i++)
            sum += positions(&batch->requests[i]);
        if (sum > l->n_ctx)
            return adapter_fail(a, ADAPTER_BAD_VALUE,
                                "prepare: the requests that run together need %" G_GINT64_FORMAT
                                " positions; the unified context holds %" G_GINT64_FORMAT
                                ". Raise llamacpp.n_ctx",
                                sum, l->n_ctx);
    }
    return true;
}

/* --- The work --------------------------------------------------------------------------------------------------- */

/* Requests under way: each has a sequence of the context. */
struct slots {
    struct adapter_request *at[SEQUENCES_MAX]; /* NULL: free */
    size_t n;
};

static void batch_add(struct llama_batch *batch, int32_t token, int64_t position, size_t sequence,
                      bool wants_logits)
{
    int32_t at = batch->n_tokens++;
    batch->token[at] = token;
    batch->pos[at] = (llama_pos)position;
    batch->n_seq_id[at] = 1;
    batch->seq_id[at][0] = (llama_seq_id)sequence;
    batch->logits[at] = wants_logits;
}

static bool decode(struct adapter *a, struct llamacpp *l)
{
    if (llamacpp_abort(l))
        return false;
    int32_t rc = llama_decode(l->context, l->batch);
    if (rc == 0) {
        llama_synchronize(l->context);
        return true;
    }
    if (rc == 2 && l->stop)
        return false;
    if (rc == 1)
        return adapter_fail(
            a, "NoCacheSlot",
            "libllama found no room in the KV cache for %d tokens; raise llamacpp.n_ctx",
            l->batch.n_tokens);
    return adapter_fail(a, "DecodeFailed", "llama_decode returned %d: %s", rc, library_log_errors());
}

/* The token after position `at` of the last call, for one request. */
static bool take_token(struct adapter *a, struct llamacpp *l, struct adapter_request *r,
                       size_t sequence, int32_t at)
{
    int32_t token;
    if (l->samplers) {
        token = llama_sampler_sample(l->samplers[sequence], l->context, at);
    } else {
        token = largest_logit(llama_get_logits_ith(l->context, at), l->n_vocab);
        if (token < 0)
            return adapter_fail(a, "BadLogits",
                                "the model's logits are not finite: the file is damaged, or its "
                                "numbers overflow in this form");
    }
    int64_t stamp = clock_mono_ns();
    if (r->n_out == 0)
        r->first_token_ns = stamp;
    r->last_token_ns = stamp;
    adapter_token(r, token, stamp);
    if (!r->ignore_eos && llama_vocab_is_eog(l->vocab, token))
        r->finish = "stop";
    return true;
}

static bool is_done(const struct adapter_request *r)
{
    return (int64_t)r->n_out >= r->max_tokens || r->finish[0] == 's';
}

/* Positions that requests under way hold. */
static void note_use(struct llamacpp *l, const struct slots *slots)
{
    int64_t used = 0;
    for (size_t s = 0; s < slots->n; s++)
        if (slots->at[s])
            used += (int64_t)(slots->at[s]->n_in + slots->at[s]->n_out) - 1;
    l->used_peak = MAX(l->used_peak, used);
}

/* Runs the call that is being filled; takes the token of every position whose logits were asked for. */
static bool call(struct adapter *a, struct llamacpp *l, const struct slots *slots)
{
    if (!decode(a, l))
        return false;
    for (int32_t at = 0; at < l->batch.n_tokens; at++) {
        size_t sequence = (size_t)l->batch.seq_id[at][0];
        if (l->batch.logits[at] && !take_token(a, l, slots->at[sequence], sequence, at))
            return false;
    }
    l->batch.n_tokens = 0;
    note_use(l, slots);
    return true;
}

/* The prompts of requests that have just begun, and their first tokens. */
static bool prefill(struct adapter *a, struct llamacpp *l, const struct slots *slots)
{
    l->batch.n_tokens = 0;
    for (size_t s = 0; s < slots->n; s++) {
        const struct adapter_request *r = slots->at[s];
        for (size_t i = 0; r && r->n_out == 0 && i < r->n_in; i++) {
            if (l->batch.n_tokens == l->n_batch && !call(a, l, slots))
                return false;
            batch_add(&l->batch, r->token_ids[i], (int64_t)i, s, i + 1 == r->n_in);
        }
    }
    return l->batch.n_tokens == 0 || call(a, l, slots);
}

/* One more token of every request under way. */
static bool step(struct adapter *a, struct llamacpp *l, const struct slots *slots)
{
    l->batch.n_tokens = 0;
    for (size_t s = 0; s < slots->n; s++) {
        const struct adapter_request *r = slots->at[s];
        if (r)
            batch_add(&l->batch, r->out_ids[r->n_out - 1], (int64_t)(r->n_in + r->n_out) - 1, s, true);
    }
    return l->batch.n_tokens == 0 || call(a, l, slots);
}

static void begin(struct llamacpp *l, struct slots *slots, size_t s, struct adapter_request *r, int64_t now_ns)
{
    slots->at[s] = r;
    r->scheduled_ns = now_ns;
    if (l->samplers)
        sampling_restart(&l->sampling, l->samplers[s], r->token_ids, r->n_in);
}

/* Requests that are done make room; returns how many are under way. */
static size_t clear_done(struct slots *slots, int64_t *last_ns)
{
    size_t active = 0;
    for (size_t s = 0; s < slots->n; s++) {
        if (!slots->at[s])
            continue;
        if (is_done(slots->at[s])) {
            *last_ns = MAX(*last_ns, slots->at[s]->last_token_ns);
            slots->at[s] = NULL;
        } else {
            active++;
        }
    }
    return active;
}

/* The next requests take what is free; in waves they wait until all of it is. Returns how many began. */
static size_t admit(struct llamacpp *l, struct slots *slots, const struct adapter_batch *batch, size_t begun,
                    size_t active)
{
    llama_memory_t memory = llama_get_memory(l->context);
    int64_t now_ns = clock_mono_ns();
    size_t n = 0;
    if (active == 0)
        llama_memory_clear(memory, false);
    for (size_t s = 0; s < slots->n && begun + n < batch->n_requests && (batch->joins || active == 0); s++) {
        if (slots->at[s])
            continue;
        if (active > 0)
            llama_memory_seq_rm(memory, (llama_seq_id)s, -1, -1);
        if (batch->joins) /* its place is free now: who waits for an answer sends the next request */
            batch->requests[begun + n].queued_ns = now_ns;
        begin(l, slots, s, &batch->requests[begun + n++], now_ns);
    }
    return n;
}

static bool run(struct adapter *a, struct llamacpp *l, struct adapter_batch *batch)
{
    struct slots slots = {.n = MIN(batch->in_flight, (size_t)l->n_seq_max)};
    size_t begun = 0, active = 0;
    while (active > 0 || begun < batch->n_requests) {
        size_t n = admit(l, &slots, batch, begun, active);
        begun += n;
        if (n > 0 && !prefill(a, l, &slots))
            return false;
        clear_done(&slots, &batch->t1_ns); /* a first token may be the last */
        if (!step(a, l, &slots))
            return false;
        active = clear_done(&slots, &batch->t1_ns);
    }
    return true;
}

bool llamacpp_generate(struct adapter *a, void *state, struct adapter_batch *batch)
{
    struct llamacpp *l = state;
    if (batch->joins && batch->in_flight > (size_t)l->n_seq_max)
        return adapter_fail(a, ADAPTER_BAD_VALUE,
                            "generate: 'in_flight' is %zu; the context holds %" G_GINT64_FORMAT
                            " sequences. Raise llamacpp.n_parallel", batch->in_flight, l->n_seq_max);
    l->adapter = a;
    l->stop = false;
    library_log_reset();
    batch->t0_ns = clock_mono_ns();
    l->next_poll_ns = batch->t0_ns + POLL_NS;
    for (size_t i = 0; i < batch->n_requests; i++)
        batch->requests[i].queued_ns = batch->t0_ns;
    bool ok = run(a, l, batch);
    if (!ok)
        llama_memory_clear(llama_get_memory(l->context), false);
    l->adapter = NULL;
    return ok;
}
