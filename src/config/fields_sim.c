/* SPDX-License-Identifier: MIT */
/* The rows of the scripted engine (engines/sim). */
#include "config/internal.h"

#include <math.h>

#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define S  CONFIG_SIM
#define ANY -INFINITY, INFINITY

static const struct config_choice devices[] = {{"cpu", NULL}, {"gpu", NULL}, {0}};
static const struct config_choice faults[] = {
    {"none", NULL}, {"load_error", NULL}, {"load_oom", NULL}, {"load_crash", NULL},
    {"load_hang", NULL}, {"generate_error", NULL}, {"generate_oom", NULL}, {"crash", NULL},
    {"exit", NULL}, {"hang", NULL}, {"hang_hard", NULL}, {"early_eof", NULL}, {"garbage", NULL},
    {"long_line", NULL}, {"unknown_message", NULL}, {"wrong_type", NULL}, {"wrong_counts", NULL},
    {"wrong_n_in", NULL}, {"wrong_order", NULL}, {"outside_window", NULL}, {"short_output", NULL},
    {"merged_unreported", NULL}, {"nondeterministic", NULL}, {"secret_cache", NULL},
    {"slow_abort", NULL}, {"deaf_abort", NULL}, {"accept_unknown", NULL},
    {"accept_bad_model", NULL}, {"wrong_protocol", NULL}, {"wrong_clock", NULL},
    {"bad_schema", NULL}, {"bad_tokens", NULL}, {"bad_memory", NULL}, {"bad_line_exit", NULL},
    {"no_shutdown", NULL}, {"no_term", NULL}, {"leave_child", NULL}, {"leave_daemon", NULL},
    {"log_flood", NULL}, {"substitute", NULL}, {"substitute_silently", NULL},
    {0},
};
static const struct config_choice tokenizers[] = {{"words", NULL}, {"bytes", NULL}, {0}};

const struct config_field config_rows_sim[] = {
    {"sim.batch_size", CONFIG_INT, HS, S, "requests", "1", 1, LIMIT_PROMPTS, NULL, NULL, "Requests in one batch."},
    {"sim.load_ms", CONFIG_REAL, HS, S, "ms", "0", 0, 3.6e6, NULL, NULL, "How long loading takes."},
    {"sim.prefill_us_per_token", CONFIG_REAL, HS, S, "µs", "10", 0, 60e6, NULL, NULL,
     "Prefill time of one prompt token."},
    {"sim.token_us", CONFIG_REALS, HS, S, "µs", "1000", 0, 60e6, NULL, NULL,
     "Time of one decode step: a number, or a list with one per step of which the last repeats."},
    {"sim.jitter", CONFIG_REAL, HS, S, NULL, "0", 0, 1, NULL, NULL,
     "Relative half-width of a uniform jitter of each step, seeded by random_seed."},
    {"sim.batch_cost", CONFIG_REAL, HS, S, NULL, "0", 0, 100, NULL, NULL,
     "Relative extra time of a step for each further request in the batch."},
    {"sim.threads", CONFIG_INT, HS, S, "threads", "1", 1, 256, NULL, NULL, "Threads that carry the CPU load."},
    {"sim.prefill_load", CONFIG_REAL, HS, S, NULL, "0", 0, 1, NULL, NULL,
     "CPU load of each thread during prefill: 0 sleeps, 1 burns."},
    {"sim.decode_load", CONFIG_REAL, HS, S, NULL, "0", 0, 1, NULL, NULL, "CPU load of each thread during decode."},
    {"sim.idle_load", CONFIG_REAL, HS, S, NULL, "0", 0, 1, NULL, NULL, "CPU load of each thread between requests."},
    {"sim.memory_mib", CONFIG_REAL, HS, S, "MiB", "0", 0, 1 << 20, NULL, NULL, "Memory allocated at load."},
    {"sim.kv_bytes_per_token", CONFIG_INT, HS, S, "bytes", "0", 0, 1 << 30, NULL, NULL,
     "KV cache accounted per token."},
    {"sim.max_context", CONFIG_INT, HS, S, "tokens", "0", 0, 1 << 30, NULL, NULL,
     "Prompt and output tokens of one request at most; 0: no bound."},
    {"sim.vocab", CONFIG_INT, HS, S, "tokens", "32000", 512, 2147483647.0, NULL, NULL, "Size of the vocabulary."},
    {"sim.tokenizer", CONFIG_CHOICE, HS, S, NULL, "\"words\"", ANY, tokenizers, NULL, "How text becomes tokens."},
    {"sim.device", CONFIG_CHOICE, HS, S, NULL, "\"cpu\"", ANY, devices, NULL,
     "What the engine says it works on: whose energy counts follows from it."},
    {"sim.prefix_cache", CONFIG_BOOL, HS, S, NULL, "false", ANY, NULL, NULL,
     "A prompt seen before is taken from a cache."},
    {"sim.merge", CONFIG_INT, HS, S, "tokens", "1", 1, 1 << 20, NULL, NULL,
     "Tokens per chunk: 2 and more share a stamp."},
    {"sim.eos_after", CONFIG_INT, HS, S, "tokens", "0", 0, LIMIT_PROMPT_TOKENS, NULL, NULL,
     "A request that honours EOS stops after so many tokens; 0: never."},
    {"sim.attention", CONFIG_TEXT, HS, S, NULL, "\"auto\"", ANY, NULL, NULL,
     "Name of the attention kernel, reported back."},
    {"sim.fail", CONFIG_CHOICE, HS, S, NULL, "\"none\"", ANY, faults, NULL,
     "What goes wrong; engines/sim/sim.h says each in words."},
    {"sim.fail_at", CONFIG_INT, HS, S, "tokens", "0", 0, INFINITY, NULL, NULL,
     "At which token since loading it goes wrong."},
    {"sim.log_mib", CONFIG_REAL, HS, S, "MiB", "16", 0, 1 << 14, NULL, NULL, "Size of the log flood."},
    {0},
};
