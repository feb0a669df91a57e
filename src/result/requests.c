/* SPDX-License-Identifier: MIT */
/* requests.csv: a line a request, a row a column. What is not known is empty, never 0. */
#include "result/result.h"

#include <math.h>

enum column_kind {
    COLUMN_COUNT,   /* int64_t */
    COLUMN_STAMP,   /* int64_t, 0: none */
    COLUMN_SECONDS, /* double, NaN: not known */
    COLUMN_TEXT,
};

#define OF(member) G_STRUCT_OFFSET(struct result_request, member)

static const struct column {
    const char *name, *unit;
    enum column_kind kind;
    long at;
    const char *meaning;
} columns[] = {
    {"request", "1", COLUMN_COUNT, OF(request), "number of the request, in the order handed over"},
    {"prompt", "1", COLUMN_COUNT, OF(prompt), "its prompt, of those in `config.json`, from 1"},
    {"repeat", "1", COLUMN_COUNT, OF(repeat), "which repeat of the work it is of, from 1"},
    {"batch", "1", COLUMN_COUNT, OF(batch), "number of its batch"},
    {"tokens_in", "token", COLUMN_COUNT, OF(tokens_in), "prompt tokens, after truncation"},
    {"tokens_in_cached", "token", COLUMN_COUNT, OF(tokens_in_cached), "of them served from a prefix cache"},
    {"tokens_out", "token", COLUMN_COUNT, OF(tokens_out), "output tokens, counted as token ids"},
    {"finish", "", COLUMN_TEXT, OF(finish), "why it ended: `length` or `stop`"},
    {"merged_chunks", "1", COLUMN_COUNT, OF(merged_chunks), "chunks that carried more than one token: gaps in them are not seen"},
    {"released_ns", "ns", COLUMN_STAMP, OF(released_ns), "its batch was released to the engine, by the adapter"},
    {"first_token_ns", "ns", COLUMN_STAMP, OF(first_token_ns), "its first token was out, by the adapter"},
    {"last_token_ns", "ns", COLUMN_STAMP, OF(last_token_ns), "its last token was out, by the adapter"},
    {"engine_queued_ns", "ns", COLUMN_STAMP, OF(engine_queued_ns), "it was handed over, by the engine"},
    {"engine_scheduled_ns", "ns", COLUMN_STAMP, OF(engine_scheduled_ns), "the engine began with it, by the engine"},
    {"engine_first_token_ns", "ns", COLUMN_STAMP, OF(engine_first_token_ns), "its first token, by the engine"},
    {"engine_last_token_ns", "ns", COLUMN_STAMP, OF(engine_last_token_ns), "its last token, by the engine"},
    {"ttft_s", "s", COLUMN_SECONDS, OF(ttft_s),
     "first token − queued (without that stamp: released); the figures `ttft_…` are over this column"},
    {"prefill_latency_s", "s", COLUMN_SECONDS, OF(prefill_latency_s),
     "first token − scheduled; `prefill_latency_mean_s` is its mean"},
    {"tpot_s", "s", COLUMN_SECONDS, OF(tpot_s),
     "(last − first token) / (tokens out − 1), empty for one token; the figures `tpot_…` are over it"},
    {"latency_s", "s", COLUMN_SECONDS, OF(latency_s), "last token − queued (E2E); the figures `latency_…` are over it"},
    {"engine_ttft_s", "s", COLUMN_SECONDS, OF(engine_ttft_s), "`ttft_s` by the engine's stamps alone"},
    {"engine_tpot_s", "s", COLUMN_SECONDS, OF(engine_tpot_s), "`tpot_s` by the engine's stamps alone"},
    {"engine_latency_s", "s", COLUMN_SECONDS, OF(engine_latency_s), "`latency_s` by the engine's stamps alone"},
};

static void put_number(GString *out, int64_t value)
{
    g_string_append_printf(out, "%" G_GINT64_FORMAT, value);
}

static void put_cell(GString *out, const struct column *column, const struct result_request *request)
{
    const void *at = G_STRUCT_MEMBER_P(request, column->at);
    char text[64];
    switch (column->kind) {
    case COLUMN_COUNT:
        put_number(out, *(const int64_t *)at);
        break;
    case COLUMN_STAMP:
        if (*(const int64_t *)at)
            put_number(out, *(const int64_t *)at);
        break;
    case COLUMN_SECONDS:
        if (!isnan(*(const double *)at))
            g_string_append(out, g_ascii_formatd(text, sizeof text, "%.9f", *(const double *)at));
        break;
    case COLUMN_TEXT:
        g_string_append(out, *(const char *const *)at); /* words of the protocol: nothing to quote */
        break;
    }
}

bool result_requests_write(const struct result_request *requests, size_t n, const char *path, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const size_t last = G_N_ELEMENTS(columns) - 1;
    for (size_t c = 0; c <= last; c++)
        g_string_append_printf(out, "%s%c", columns[c].name, c < last ? ',' : '\n');
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c <= last; c++) {
            put_cell(out, &columns[c], &requests[i]);
            g_string_append_c(out, c < last ? ',' : '\n');
        }
    return file_write_durable(path, out->str, out->len, error);
}

void result_requests_describe(GString *out)
{
    for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
        g_string_append_printf(out, "| `%s` | %s | %s |\n", columns[c].name, columns[c].unit, columns[c].meaning);
}
