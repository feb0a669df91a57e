/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include <string.h>

static const struct adapter_choice faults[] = {
#define X(name, what) {#name, SIM_FAULT_##name},
    SIM_FAULT_ROWS(X)
#undef X
    {0},
};

int sim_fault_from_name(const char *name)
{
    for (const struct adapter_choice *row = faults; row->name; row++)
        if (!strcmp(row->name, name))
            return row->value;
    return -1;
}

#define AT(member) offsetof(struct script, member)
#define STEP_US_MAX 60e6

static const struct adapter_choice tokenizers[] = {{"words", true}, {"bytes", false}, {0}};
static const struct adapter_choice devices[] = {{"cpu", 0}, {"gpu", 1}, {"both", 2}, {0}};

const struct adapter_option sim_options[] = {
    {"batch_size", ADAPTER_INTEGER, "1", 1, LIMIT_PROMPTS, NULL, "requests", AT(batch_size),
     "requests llem puts into one batch (the simulator takes any)"},
    {"load_ms", ADAPTER_NUMBER, "0", 0, 3.6e6, NULL, "ms", AT(load_ms), "how long loading takes"},
    {"prefill_us_per_token", ADAPTER_NUMBER, "10", 0, STEP_US_MAX, NULL, "µs", AT(prefill_us),
     "prefill time of one prompt token"},
    {"token_us", ADAPTER_NUMBERS, "1000", 0, STEP_US_MAX, NULL, "µs", AT(token_us),
     "time of one decode step: a number, or a list (one per step, the last one repeats)"},
    {"jitter", ADAPTER_NUMBER, "0", 0, 1, NULL, NULL, AT(jitter),
     "relative half-width of a uniform jitter of each step (seeded by random_seed)"},
    {"batch_cost", ADAPTER_NUMBER, "0", 0, 100, NULL, NULL, AT(batch_cost),
     "relative extra time of a step for each further request in the batch"},
    {"threads", ADAPTER_INTEGER, "1", 1, 256, NULL, "threads", AT(threads), "threads that carry the CPU load"},
    {"prefill_load", ADAPTER_NUMBER, "0", 0, 1, NULL, NULL, AT(prefill_load),
     "CPU load of each thread during prefill, 0 (sleeps) to 1 (burns)"},
    {"decode_load", ADAPTER_NUMBER, "0", 0, 1, NULL, NULL, AT(decode_load), "CPU load of each thread during decode"},
    {"idle_load", ADAPTER_NUMBER, "0", 0, 1, NULL, NULL, AT(idle_load),
     "CPU load of each thread between requests; above 0 it is not quiescent"},
    {"memory_mib", ADAPTER_NUMBER, "0", 0, 1 << 20, NULL, "MiB", AT(memory_mib),
     "memory allocated and touched at load (the weights)"},
    {"kv_bytes_per_token", ADAPTER_INTEGER, "0", 0, 1 << 30, NULL, "bytes", AT(kv_bytes_per_token),
     "KV cache accounted per token"},
    {"max_context", ADAPTER_INTEGER, "0", 0, 1 << 30, NULL, "tokens", AT(max_context),
     "prompt and output tokens of one request at most; 0: no bound"},
    {"vocab", ADAPTER_INTEGER, "32000", 512, INT32_MAX, NULL, "tokens", AT(vocab), "size of the vocabulary"},
    {"tokenizer", ADAPTER_STRING, "\"words\"", ADAPTER_NO_RANGE, tokenizers, NULL, AT(words),
     "how text becomes tokens"},
    {"device", ADAPTER_STRING, "\"cpu\"", ADAPTER_NO_RANGE, devices, NULL, AT(gpu), "what it says it works on"},
    {"prefix_cache", ADAPTER_BOOLEAN, "false", ADAPTER_NO_RANGE, NULL, NULL, AT(prefix_cache),
     "a prompt seen before is taken from a cache, all but its last token"},
    {"merge", ADAPTER_INTEGER, "1", 1, 1 << 20, NULL, "tokens", AT(merge),
     "tokens per chunk: 2 and more share a stamp"},
    {"eos_after", ADAPTER_INTEGER, "0", 0, LIMIT_PROMPT_TOKENS, NULL, "tokens", AT(eos_after),
     "a request that honours EOS stops after so many tokens; 0: never"},
    {"attention", ADAPTER_STRING, "\"auto\"", ADAPTER_NO_RANGE, NULL, NULL, AT(attention),
     "name of the attention kernel, reported back"},
    {"fail", ADAPTER_STRING, "\"none\"", ADAPTER_NO_RANGE, faults, NULL, AT(fail),
     "what goes wrong: engines/sim/sim.h says each in words"},
    {"fail_at", ADAPTER_INTEGER, "0", 0, INFINITY, NULL, "tokens", AT(fail_at),
     "at which token since loading it goes wrong"},
    {"log_mib", ADAPTER_NUMBER, "16", 0, 1 << 14, NULL, "MiB", AT(log_mib), "size of the log flood"},
    {0},
};

static bool read_decoder(struct adapter *a, const struct adapter_load *load, struct script *s)
{
    static const char *const names[] = {"preset", "temperature", "do_sample", "top_k", "top_p", "min_p",
                                        "repetition_penalty", "min_new_tokens", NULL};
    if (load->decoder && !adapter_check_keys(a, load->decoder, "load: decoder", names))
        return false;
    const json_t *temperature = json_object_get(load->decoder, "temperature");
    s->temperature = temperature ? json_number_value(temperature) : 0;
    s->sample = json_is_true(json_object_get(load->decoder, "do_sample")) && s->temperature > 0;
    s->min_new_tokens = json_integer_value(json_object_get(load->decoder, "min_new_tokens"));
    const json_t *penalty = json_object_get(load->decoder, "repetition_penalty");
    bool penalised = json_is_number(penalty) && json_number_value(penalty) != 1;
    s->choice = s->sample ? jsonx_dump(load->decoder, JSONX_CANONICAL)
                : penalised ? jsonx_dump(penalty, JSONX_CANONICAL) : NULL;
    return true;
}

static bool check_precision(struct adapter *a, const struct adapter_load *load)
{
    static const char *const known[] = {"fp32", "fp16", "bf16", NULL};
    return !load->precision || g_strv_contains(known, load->precision) ||
           adapter_fail(a, ADAPTER_BAD_VALUE, "load: precision '%s' is not fp32, fp16 or bf16", load->precision);
}

bool script_read(struct adapter *a, const struct adapter_load *load, struct script *s)
{
    s->seed = load->random_seed;
    adapter_read_options(a, load, s);
    return check_precision(a, load) && read_decoder(a, load, s);
}

void script_clear(struct script *s)
{
    g_free(s->token_us.values);
    g_free(s->choice);
    *s = (struct script){0};
}
