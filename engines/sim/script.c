/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include <string.h>

const struct adapter_field sim_schema[] = {
    {"batch_size", "integer", "1", "requests llem puts into one batch (the simulator takes any)"},
    {"load_ms", "number", "0", "how long loading takes, ms"},
    {"prefill_us_per_token", "number", "10", "prefill time of one prompt token, µs"},
    {"token_us", "any", "1000", "time of one decode step, µs: a number, or a list (one per step, the last one repeats)"},
    {"jitter", "number", "0", "relative half-width of a uniform jitter of each step, 0 to 1 (seeded by random_seed)"},
    {"batch_cost", "number", "0", "relative extra time of a step for each further request in the batch"},
    {"threads", "integer", "1", "threads that carry the CPU load"},
    {"prefill_load", "number", "0", "CPU load of each thread during prefill, 0 (sleeps) to 1 (burns)"},
    {"decode_load", "number", "0", "CPU load of each thread during decode, 0 to 1"},
    {"idle_load", "number", "0", "CPU load of each thread between requests, 0 to 1; above 0 it is not quiescent"},
    {"memory_mib", "number", "0", "memory allocated and touched at load (the weights), MiB"},
    {"kv_bytes_per_token", "integer", "0", "KV cache accounted per token, bytes"},
    {"max_context", "integer", "0", "prompt and output tokens of one request at most; 0: no bound"},
    {"vocab", "integer", "32000", "size of the vocabulary"},
    {"tokenizer", "string", "\"words\"", "\"words\" or \"bytes\""},
    {"device", "string", "\"cpu\"", "\"cpu\" or \"gpu\": what it says it works on"},
    {"prefix_cache", "boolean", "false", "a prompt seen before is taken from a cache, all but its last token"},
    {"merge", "integer", "1", "tokens per chunk: 2 and more share a stamp"},
    {"eos_after", "integer", "0", "a request that honours EOS stops after so many tokens; 0: never"},
    {"attention", "string", "\"auto\"", "name of the attention kernel, reported back"},
    {"fail", "string", "\"none\"", "what goes wrong: see `SIM_FAULT_ROWS` in engines/sim/sim.h"},
    {"fail_at", "integer", "0", "at which token since loading it goes wrong"},
    {"log_mib", "number", "16", "size of the log flood, MiB"},
    {0},
};

/* A number within [low, high], or a refusal. */
static bool read_number(struct adapter *a, const struct adapter_load *load, const char *name, double low, double high,
                        double *ret)
{
    *ret = json_number_value(adapter_option(a, load, name));
    if (*ret >= low && *ret <= high)
        return true;
    return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option '%s' must lie between %g and %g", name, low, high);
}

static bool read_count(struct adapter *a, const struct adapter_load *load, const char *name, int64_t low, int64_t high,
                       int64_t *ret)
{
    *ret = json_integer_value(adapter_option(a, load, name));
    if (*ret >= low && *ret <= high)
        return true;
    return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option '%s' must lie between %" G_GINT64_FORMAT
                        " and %" G_GINT64_FORMAT, name, low, high);
}

#define STEP_US_MAX 60e6

static bool read_steps(struct adapter *a, const struct adapter_load *load, struct script *s)
{
    const json_t *value = adapter_option(a, load, "token_us");
    s->n_token_us = json_is_array(value) ? json_array_size(value) : 1;
    s->token_us = g_new0(double, MAX(s->n_token_us, 1));
    bool ok = s->n_token_us > 0;
    for (size_t i = 0; ok && i < s->n_token_us; i++) {
        const json_t *step = json_is_array(value) ? json_array_get(value, i) : value;
        s->token_us[i] = json_number_value(step);
        ok = json_is_number(step) && s->token_us[i] >= 0 && s->token_us[i] <= STEP_US_MAX;
    }
    return ok || adapter_fail(a, ADAPTER_BAD_VALUE, "load: option 'token_us' must be a time in µs or a list of them");
}

static bool read_names(struct adapter *a, const struct adapter_load *load, struct script *s)
{
    const char *tokenizer = json_string_value(adapter_option(a, load, "tokenizer"));
    const char *fail = json_string_value(adapter_option(a, load, "fail"));
    s->words = !strcmp(tokenizer, "words");
    if (!s->words && strcmp(tokenizer, "bytes"))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option 'tokenizer' must be \"words\" or \"bytes\"");
    const char *device = json_string_value(adapter_option(a, load, "device"));
    s->gpu = !strcmp(device, "gpu");
    if (!s->gpu && strcmp(device, "cpu"))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option 'device' must be \"cpu\" or \"gpu\"");
    int fault = sim_fault_from_name(fail);
    if (fault < 0)
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: option 'fail' has no fault '%s'; there are " SIM_FAULT_NAMES,
                            fail);
    s->fail = (enum sim_fault)fault;
    s->prefix_cache = json_is_true(adapter_option(a, load, "prefix_cache"));
    return true;
}

static bool read_decoder(struct adapter *a, const struct adapter_load *load, struct script *s)
{
    static const char *const names[] = {"preset", "temperature", "do_sample", "top_k", "top_p", "min_p",
                                        "repetition_penalty", "min_new_tokens", NULL};
    if (load->decoder && !adapter_check_keys(a, load->decoder, "load: decoder", names))
        return false;
    const json_t *temperature = json_object_get(load->decoder, "temperature");
    s->temperature = temperature ? json_number_value(temperature) : 0;
    s->sample = json_is_true(json_object_get(load->decoder, "do_sample")) && s->temperature > 0;
    return true;
}

static bool check_precision(struct adapter *a, const struct adapter_load *load)
{
    static const char *const known[] = {"fp32", "fp16", "bf16", NULL};
    return !load->precision || g_strv_contains(known, load->precision) ||
           adapter_fail(a, ADAPTER_BAD_VALUE, "load: precision '%s' is not fp32, fp16 or bf16", load->precision);
}

bool script_read(struct adapter *a, const struct adapter_load *load, struct script *s, json_t *resolved)
{
    int64_t batch_size;
    s->seed = load->random_seed;
    bool ok = check_precision(a, load) && read_decoder(a, load, s) && read_steps(a, load, s) &&
              read_names(a, load, s) && read_count(a, load, "batch_size", 1, LIMIT_PROMPTS, &batch_size) &&
              read_number(a, load, "load_ms", 0, 3.6e6, &s->load_ms) &&
              read_number(a, load, "prefill_us_per_token", 0, STEP_US_MAX, &s->prefill_us) &&
              read_number(a, load, "jitter", 0, 1, &s->jitter) &&
              read_number(a, load, "batch_cost", 0, 100, &s->batch_cost) &&
              read_count(a, load, "threads", 1, 256, &s->threads) &&
              read_number(a, load, "prefill_load", 0, 1, &s->prefill_load) &&
              read_number(a, load, "decode_load", 0, 1, &s->decode_load) &&
              read_number(a, load, "idle_load", 0, 1, &s->idle_load) &&
              read_number(a, load, "memory_mib", 0, 1 << 20, &s->memory_mib) &&
              read_count(a, load, "kv_bytes_per_token", 0, 1 << 30, &s->kv_bytes_per_token) &&
              read_count(a, load, "max_context", 0, 1 << 30, &s->max_context) &&
              read_count(a, load, "vocab", 512, INT32_MAX, &s->vocab) &&
              read_count(a, load, "merge", 1, 1 << 20, &s->merge) &&
              read_count(a, load, "eos_after", 0, LIMIT_PROMPT_TOKENS, &s->eos_after) &&
              read_count(a, load, "fail_at", 0, INT64_MAX, &s->fail_at) &&
              read_number(a, load, "log_mib", 0, 1 << 14, &s->log_mib);
    for (const struct adapter_field *f = sim_schema; ok && f->name; f++)
        json_object_set(resolved, f->name, (json_t *)(uintptr_t)adapter_option(a, load, f->name));
    return ok;
}

void script_clear(struct script *s)
{
    g_free(s->token_us);
    *s = (struct script){0};
}
