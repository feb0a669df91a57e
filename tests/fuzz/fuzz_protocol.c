/* SPDX-License-Identifier: MIT */
/* Any bytes, in pieces of any size: the same lines come out, and a reply to collect is refused or is what it
 * claims. */
#include "engine/private.h"

#include "fuzz.h"

#include <string.h>

#define MAX_LINE 4096

/* Reads data in pieces of `piece` bytes; appends each line and a newline to out. False when a line was too long. */
static bool read_lines(const uint8_t *data, size_t size, size_t piece, GString *out)
{
    struct line_reader reader;
    line_reader_init(&reader, MAX_LINE);
    bool ok = true;
    for (size_t at = 0; ok && at < size; at += piece) {
        size_t n = MIN(piece, size - at), length;
        char *line;
        int found;
        memcpy(line_reader_room(&reader, n), data + at, n);
        line_reader_added(&reader, n);
        while ((found = line_reader_next(&reader, &line, &length, NULL)) > 0) {
            g_assert(line[length] == '\0' && length <= MAX_LINE);
            g_string_append_len(out, line, (gssize)length);
            g_string_append_c(out, '\n');
        }
        ok = found == 0;
    }
    g_assert(!ok || out->len + line_reader_pending(&reader) == size);
    line_reader_clear(&reader);
    return ok;
}

/* What the validator lets through must hold. */
static void check_generation(const struct engine_generation *g, const struct prepared *p)
{
    int64_t merged = 0;
    g_assert(g->n_requests == p->n_requests && g->n_batches == 1 && g->t0_ns <= g->t1_ns);
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *r = &g->requests[i];
        g_assert(!strcmp(r->id, p->requests[i].id) && r->n_in == (int64_t)p->requests[i].n_in);
        g_assert((int64_t)r->n_out <= p->requests[i].max_tokens);
        g_assert(!p->requests[i].ignore_eos || (int64_t)r->n_out == p->requests[i].max_tokens);
        for (size_t k = 0; k < r->n_out; k++)
            g_assert(r->stamps_ns[k] >= g->t0_ns && r->stamps_ns[k] <= g->t1_ns && r->token_ids[k] >= 0 &&
                     (k == 0 || r->stamps_ns[k] >= r->stamps_ns[k - 1]));
        merged += r->merged_chunks;
    }
    g_assert(merged == g->merged_chunks);
}

static void read_generation(const char *line, size_t length)
{
    static const int32_t ids[] = {1, 2, 3};
    const struct engine_prompt prompts[] = {{"a", ids, 3, 2, true}, {"b", ids, 2, 3, false}};
    struct outcome o = {.batches = g_ptr_array_new_with_free_func(prepared_free), .prefix_cache = true, .cold = true,
                        .cached = cached_new()};
    const struct page page = {.n_batches = 1, .count = G_N_ELEMENTS(prompts)};
    g_ptr_array_add(o.batches, prepared_new(1, prompts, G_N_ELEMENTS(prompts), true));
    cached_note(o.cached, g_ptr_array_index(o.batches, 0));
    g_autoptr(json_t) reply = jsonx_parse(line, (gssize)length, "line", NULL);
    struct engine_generation g = {0};
    g_autoptr(GError) error = NULL;
    if (json_is_object(reply)) {
        work_read(reply, &o, NULL);
        o.work = (struct engine_work){.t0_ns = 100, .t1_ns = 200, .n_requests = 2, .n_in = 5, .n_out = 3};
        generation_begin(&o, &g);
        bool ok = page_read(reply, &o, &page, &g, &error);
        g_assert(ok == (error == NULL));
        if (ok)
            check_generation(&g, g_ptr_array_index(o.batches, 0));
        if (ok)
            generation_check(&o, &g, NULL);
        engine_generation_clear(&g);
    }
    g_ptr_array_unref(o.batches);
    g_hash_table_unref(o.cached);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GString) whole = g_string_new(NULL);
    g_autoptr(GString) pieces = g_string_new(NULL);
    bool ok = read_lines(data, size, MAX(size, 1), whole);
    bool same = read_lines(data, size, 7, pieces);
    g_assert(ok == same && (!ok || g_string_equal(whole, pieces)));
    g_auto(GStrv) lines = g_strsplit(whole->str, "\n", -1);
    for (char **line = lines; *line; line++)
        read_generation(*line, strlen(*line));
    return 0;
}
