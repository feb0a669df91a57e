/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include <math.h>

#define PENALTY_LAST_N 64 /* tokens that repetition_penalty looks back on: llama.cpp's own default */

static bool read_number(struct adapter *a, const json_t *decoder, const char *name, double low,
                        double high, double *ret)
{
    const json_t *value = json_object_get(decoder, name);
    if (!value || json_is_null(value))
        return true;
    *ret = json_number_value(value);
    if (!json_is_number(value) || !(*ret >= low && *ret <= high))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: decoder.%s must be a number from %g to %g",
                            name, low, high);
    return true;
}

bool sampling_read(struct adapter *a, const struct adapter_load *load, struct sampling *ret)
{
    /* ignore_eos comes with each request, a preset has been resolved into the others. */
    static const char *const names[] = {
        "do_sample",          "temperature",    "top_k",      "top_p",  "min_p",
        "repetition_penalty", "min_new_tokens", "ignore_eos", "preset", NULL};
    *ret = (struct sampling){
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = (uint32_t)load->random_seed};
    if (!load->decoder)
        return true;
    if (!adapter_check_keys(a, load->decoder, "load: decoder", names))
        return false;
    const json_t *do_sample = json_object_get(load->decoder, "do_sample");
    if (do_sample && !json_is_null(do_sample) && !json_is_boolean(do_sample))
        return adapter_fail(a, ADAPTER_BAD_VALUE, "load: decoder.do_sample must be true or false");
    double top_k = 0, min_new_tokens = 0;
    if (!read_number(a, load->decoder, "temperature", 0, 100, &ret->temperature) ||
        !read_number(a, load->decoder, "top_k", 0, INT32_MAX, &top_k) ||
        !read_number(a, load->decoder, "top_p", 0, 1, &ret->top_p) ||
        !read_number(a, load->decoder, "min_p", 0, 1, &ret->min_p) ||
        !read_number(a, load->decoder, "min_new_tokens", 0, LIMIT_PROMPT_TOKENS, &min_new_tokens) ||
        !read_number(a, load->decoder, "repetition_penalty", 0.01, 100, &ret->repetition_penalty))
        return false;
    if (min_new_tokens > 0)
        return adapter_fail(a, ADAPTER_NOT_SUPPORTED,
                            "load: decoder.min_new_tokens: llama.cpp has no such rule; use "
                            "ignore_eos for answers of one length");
    ret->top_k = (int64_t)top_k;
    ret->do_sample = json_is_true(do_sample) && ret->temperature > 0;
    return true;
}

void sampling_resolved(const struct sampling *s, json_t *resolved)
{
    json_object_set_new(resolved, "do_sample", json_boolean(s->do_sample));
    if (s->repetition_penalty != 1)
        json_object_set_new(resolved, "repetition_penalty", jsonx_real(s->repetition_penalty));
    if (!s->do_sample)
        return;
    json_object_set_new(resolved, "temperature", jsonx_real(s->temperature));
    json_object_set_new(resolved, "top_k", json_integer(s->top_k));
    json_object_set_new(resolved, "top_p", jsonx_real(s->top_p));
    json_object_set_new(resolved, "min_p", jsonx_real(s->min_p));
    json_object_set_new(resolved, "random_seed", json_integer(s->seed));
}

struct llama_sampler *sampling_chain(const struct sampling *s, int32_t n_vocab)
{
    bool penalty = s->repetition_penalty != 1;
    if (!s->do_sample && !penalty)
        return NULL;
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (penalty)
        llama_sampler_chain_add(chain,
                                llama_sampler_init_penalties(n_vocab, PENALTY_LAST_N,
                                                             (float)s->repetition_penalty, 0, 0));
    if (!s->do_sample) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (s->top_k > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_top_k((int32_t)s->top_k));
    if (s->top_p < 1)
        llama_sampler_chain_add(chain, llama_sampler_init_top_p((float)s->top_p, 1));
    if (s->min_p > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_min_p((float)s->min_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp((float)s->temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(s->seed));
    return chain;
}

void sampling_restart(const struct sampling *s, struct llama_sampler *chain, const int32_t *prompt, size_t n)
{
    llama_sampler_reset(chain);
    for (size_t i = n > PENALTY_LAST_N ? n - PENALTY_LAST_N : 0;
         s->repetition_penalty != 1 && i < n; i++)
        llama_sampler_accept(chain, prompt[i]);
}

/* Two passes: the maximum in lanes, which the compiler turns into vector instructions, then its first place. */
#define LANES 16

int32_t largest_logit(const float *logits, int32_t n)
{
    float best[LANES], most = -INFINITY;
    for (int k = 0; k < LANES; k++)
        best[k] = -INFINITY;
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            best[k] = logits[i + k] > best[k] ? logits[i + k] : best[k];
    for (int k = 0; k < LANES; k++)
        most = best[k] > most ? best[k] : most;
    for (; i < n; i++)
        most = logits[i] > most ? logits[i] : most;
    if (!isfinite(most))
        return -1;
    for (i = 0; logits[i] != most; i++)
        ;
    return i;
}
