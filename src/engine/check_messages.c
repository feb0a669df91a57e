/* SPDX-License-Identifier: MIT */
/* Cases of the conformance suite that are asked member by member: versions, unknown members, control tokens, outcomes
 * in parts, requests in flight, stamps. */
#include "engine/check_suite.h"

#include "backend/backend.h"

#include <string.h>

#define NO_SUCH "no_such_member"

enum engine_check_status check_version(struct suite *s)
{
    NEED_HELLO(s);
    suite_drop_engine(s); /* hello comes first */
    g_autoptr(GError) error = NULL;
    if (!suite_start(s, &error))
        return suite_fail_with(s, error);
    json_t *body = json_object();
    json_object_set_new(body, "protocol", json_integer(BACKEND_PROTOCOL + 98));
    g_autoptr(json_t) reply = wire_call(s->engine, "hello", body, suite_patience(s, 120), &error);
    enum engine_check_status status =
        suite_refused(s, reply != NULL, error, "hello in another protocol", "NotSupported", NULL);
    if (status != PASS)
        return status;
    g_clear_error(&error);
    return suite_greet(s, &error) ? PASS : suite_fail_with(s, error);
}

/* Messages that would work but for a member that does not exist; "batch" stands for the number of one that is there. */
static const struct {
    const char *type, *body;
} unknown_members[] = {
    {"tokenize", "{\"texts\": [\"a\"], \"" NO_SUCH "\": 1}"},
    {"reset", "{\"" NO_SUCH "\": 1}"},
    {"prepare", "{\"batch\": 987654, \"requests\": [{\"id\": \"a\", \"token_ids\": [5], \"max_tokens\": 1}], \"" NO_SUCH
                "\": 1}"},
    {"prepare", "{\"batch\": 987654, \"requests\": [{\"id\": \"a\", \"token_ids\": [5], \"max_tokens\": 1, \"" NO_SUCH
                "\": 1}]}"},
    {"generate", "{\"batches\": [1], \"" NO_SUCH "\": 1}"},
    {"collect", "{\"batches\": [1], \"" NO_SUCH "\": 1}"},
    {"memory", "{\"" NO_SUCH "\": 1}"},
};

enum engine_check_status check_members(struct suite *s)
{
    NEED_LOAD(s);
    for (size_t i = 0; i < G_N_ELEMENTS(unknown_members); i++) {
        g_autoptr(GError) error = NULL;
        json_t *body = jsonx_parse(unknown_members[i].body, -1, "body", NULL);
        g_autoptr(json_t) reply = wire_call(s->engine, unknown_members[i].type, body, suite_soon(s), &error);
        g_autofree char *what = g_strdup_printf("%s with a member that does not exist", unknown_members[i].type);
        enum engine_check_status status = suite_refused(s, reply != NULL, error, what, "UnknownKey", NO_SUCH);
        if (status != PASS)
            return status;
    }
    return PASS;
}

/* --- control tokens ---------------------------------------------------------------------------------------------- */

/* Looks like a control token and is none: one token all the same where a tokenizer is of whole words, of which nothing
 * can be told here. */
#define NO_CONTROL "<|zq|>"

static const char *const controls[] = {"</s>",         "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>",
                                       "<end_of_turn>", "<|end|>",       "[INST]",       "<s>",          NO_CONTROL};

static bool same_ids(const struct engine_tokens *a, const struct engine_tokens *b)
{
    return a->n == b->n && !memcmp(a->ids, b->ids, a->n * sizeof *a->ids);
}

enum engine_check_status check_special(struct suite *s)
{
    NEED_LOAD(s);
    g_autoptr(GError) error = NULL;
    struct engine_tokens *text = NULL, *token = NULL;
    size_t n = G_N_ELEMENTS(controls), known = 0;
    if (!engine_tokenize(s->engine, controls, n, false, false, suite_soon(s), &text, &error))
        return suite_unless_unsupported(s, error);
    enum engine_check_status status = PASS;
    if (!engine_tokenize(s->engine, controls, n, false, true, suite_soon(s), &token, &error))
        status = suite_fail_with(s, error);
    bool whole_words = status == PASS && text[n - 1].n == 1;
    for (size_t i = 0; status == PASS && i < n; i++) {
        known += !same_ids(&text[i], &token[i]);
        if (!whole_words && token[i].n == 1 && text[i].n == 1 && same_ids(&text[i], &token[i]))
            status = suite_say(s, ENGINE_CHECK_FAIL, "\"%s\" is token %d without parse_special", controls[i],
                               text[i].ids[0]);
    }
    engine_tokens_free(text, n);
    engine_tokens_free(token, n);
    if (status == PASS && known == 0)
        return suite_say(s, ENGINE_CHECK_SKIP, "none of the usual control tokens is in its vocabulary");
    return status;
}

/* --- outcomes ---------------------------------------------------------------------------------------------------- */

/* Asks for a part of a batch's outcome. */
static json_t *collect_part(struct suite *s, int64_t batch, int64_t first, int64_t count, GError **error)
{
    json_t *body = json_object(), *numbers = json_array();
    json_array_append_new(numbers, json_integer(batch));
    json_object_set_new(body, "batches", numbers);
    json_object_set_new(body, "first", json_integer(first));
    json_object_set_new(body, "count", json_integer(count));
    return wire_call(s->engine, "collect", body, suite_soon(s), error);
}

static const char *id_of(const json_t *reply, size_t i)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(reply, "requests"), i), "id"));
}

static enum engine_check_status refuse_part(struct suite *s, int64_t batch, int64_t first, const char *what)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) reply = collect_part(s, batch, first, 1, &error);
    return suite_refused(s, reply != NULL, error, what, "BadValue", NULL);
}

enum engine_check_status check_collect(struct suite *s)
{
    NEED_LOAD(s);
    int64_t batch;
    struct engine_work work;
    g_autoptr(GError) error = NULL;
    if (!suite_prepare(s, 3, 2, &batch, &error))
        return suite_fail_with(s, error);
    enum engine_check_status status = refuse_part(s, batch, 0, "to collect what was not generated");
    if (status != PASS)
        return status;
    if (!engine_generate(s->engine, &batch, 1, 0, suite_patience(s, 120), &work, &error))
        return suite_unless_unsupported(s, error);
    g_autoptr(json_t) middle = collect_part(s, batch, 1, 1, &error);
    g_autoptr(json_t) all = middle ? collect_part(s, batch, 0, 3, &error) : NULL;
    g_ptr_array_set_size(s->engine->generated, 0); /* collected by hand */
    if (!all)
        return suite_fail_with(s, error);
    if (json_array_size(json_object_get(middle, "requests")) != 1 ||
        json_array_size(json_object_get(all, "requests")) != 3 || !id_of(all, 1) ||
        g_strcmp0(id_of(middle, 0), id_of(all, 1)))
        return suite_say(s, ENGINE_CHECK_FAIL, "'first' and 'count' must choose among the requests in their order");
    return refuse_part(s, batch, 0, "to collect an outcome again that was handed out to its end");
}

/* --- in flight --------------------------------------------------------------------------------------------------- */

/* The most requests that had begun and not ended, by the stamps of their tokens. */
static size_t most_at_once(const struct engine_generation *g)
{
    size_t most = 0;
    for (size_t i = 0; i < g->n_requests; i++) {
        size_t at_once = 0;
        for (size_t k = 0; k < g->n_requests; k++) {
            const struct engine_request *q = &g->requests[k];
            at_once += q->stamps_ns[0] <= g->requests[i].stamps_ns[0] &&
                       q->stamps_ns[q->n_out - 1] > g->requests[i].stamps_ns[0];
        }
        most = MAX(most, at_once);
    }
    return most;
}

enum engine_check_status check_in_flight(struct suite *s)
{
    NEED_LOAD(s);
    int64_t batch, most_asked = s->in_flight > 0 ? MIN(s->in_flight, 2) : 2; /* no more than load said there can be */
    struct engine_work work;
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    if (!suite_prepare(s, 4, FEW_TOKENS, &batch, &error))
        return suite_fail_with(s, error);
    if (!engine_generate(s->engine, &batch, 1, most_asked, suite_patience(s, 120), &work, &error))
        return suite_unless_unsupported(s, error);
    if (!engine_collect(s->engine, suite_soon(s), &g, &error))
        return suite_fail_with(s, error);
    size_t most = most_at_once(&g);
    engine_generation_clear(&g);
    return most <= (size_t)most_asked
               ? PASS
               : suite_say(s, ENGINE_CHECK_FAIL,
                           "%zu requests were under way at once, in_flight was %" G_GINT64_FORMAT, most, most_asked);
}

/* --- stamps ------------------------------------------------------------------------------------------------------ */

#define EVEN_NS 100 /* no two steps of a machine are that alike, all of them */

static bool evenly_spread(const struct engine_request *q)
{
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 1; i < q->n_out; i++) {
        int64_t gap = q->stamps_ns[i] - q->stamps_ns[i - 1];
        least = MIN(least, gap);
        most = MAX(most, gap);
    }
    return q->n_out > FEW_TOKENS && least > 0 && most - least <= EVEN_NS;
}

enum engine_check_status check_stamps(struct suite *s)
{
    NEED_LOAD(s);
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    if (!suite_generate_one(s, 4 * FEW_TOKENS, &g, &error))
        return suite_fail_with(s, error);
    bool even = evenly_spread(&g.requests[0]);
    engine_generation_clear(&g);
    return even ? suite_say(s, ENGINE_CHECK_FAIL, "all stamps lie at one distance: tokens of a chunk share its stamp, "
                                                  "and each is of the moment when the token was out")
                : PASS;
}
