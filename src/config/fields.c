/* SPDX-License-Identifier: MIT */
/* The shared rows with their choices. */
#include "config/internal.h"

#include <math.h>

#define H  CONFIG_HASHED
#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define U  CONFIG_USER
#define ANY -INFINITY, INFINITY

static const struct config_choice backends[] = {
    {"pytorch", "Hugging Face transformers"},
    {"llamacpp", "llama.cpp through libllama (GGUF files)"},
    {"vllm", "vLLM"},
    {"sim", "the scripted engine of the tests: nothing real runs"},
    {0},
};

static const struct config_choice datasets[] = {
    {"aienergyscore", NULL},
    {0},
};

static const struct config_choice orders[] = {
    {"interleaved", "as the file has them, evenly spread over its sources"},
    {"grouped", "by source, one after the other"},
    {"shuffled", "a permutation seeded by random_seed"},
    {0},
};

static const struct config_choice precisions[] = {
    {"fp32", "32-bit floats"},
    {"fp16", "IEEE half floats"},
    {"bf16", "bfloat16"},
    {0},
};

static const struct config_choice presets[] = {
    {"deterministic", "greedy: temperature 0, do_sample false"},
    {"standard", "temperature 1, do_sample true, top_p 0.95"},
    {"creative", "temperature 0.8, do_sample true, top_p 0.9, repetition_penalty 1.1"},
    {"factual", "temperature 0.3, do_sample true"},
    {0},
};

static const struct config_choice energy_backends[] = {
    {SOURCE_AUTO, "the best source this machine has"},
#define X(name, flags, summary, choice) {#name, choice},
    SOURCE_SENSOR_ROWS(X)
#undef X
    {SOURCE_NONE, "energy is not measured; every joule is absent"},
    {0},
};

static const struct config_choice cycle_orders[] = {
    {"shuffled", "a fresh permutation of the cells in every cycle"},
    {"interleaved", "A B C A B C"},
    {"sequential", "A A B B C C: drift cannot be told from the factor"},
    {0},
};

const struct config_field config_shared_rows[CONFIG_SHARED_FIELDS] = {
#define ROW(id, path, type, flags, ...) [FIELD_##id] = {path, type, flags, CONFIG_ALL, __VA_ARGS__},
#include "config/fields.def"
#undef ROW
};
