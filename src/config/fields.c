/* SPDX-License-Identifier: MIT */
/* The shared rows with their choices, and what they mean for one another. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

#define H  CONFIG_HASHED
#define HS (CONFIG_HASHED | CONFIG_SWEEP)
#define U  CONFIG_USER
#define ANY -INFINITY, INFINITY

static const struct backend_choice orders[] = {
    {.name = "interleaved", .help = "as the file has them, evenly spread over its sources"},
    {.name = "grouped", .help = "by source, one after the other"},
    {.name = "shuffled", .help = "a permutation seeded by random_seed"},
    {0},
};

static const struct backend_choice precisions[] = {
    {.name = "fp32", .help = "32-bit floats"},
    {.name = "fp16", .help = "IEEE half floats"},
    {.name = "bf16", .help = "bfloat16"},
    {0},
};

static const struct backend_choice load_modes[] = {
#define X(code, word, meaning) {.name = word, .help = meaning},
    CONFIG_LOAD_ROWS(X)
#undef X
    {0},
};

const char *config_load_name(enum config_load mode)
{
    return mode == CONFIG_LOAD_UNSET ? "unset" : load_modes[mode].name;
}

enum config_load config_load_from_name(const char *name)
{
    for (int mode = 0; name && mode < CONFIG_LOAD_UNSET; mode++)
        if (!strcmp(load_modes[mode].name, name))
            return (enum config_load)mode;
    return CONFIG_LOAD_UNSET;
}

static const struct backend_choice presets[] = {
    {.name = "deterministic", .help = "greedy: temperature 0, do_sample false"},
    {.name = "standard", .help = "temperature 1, do_sample true, top_p 0.95"},
    {.name = "creative", .help = "temperature 0.8, do_sample true, top_p 0.9, repetition_penalty 1.1"},
    {.name = "factual", .help = "temperature 0.3, do_sample true"},
    {0},
};

static const struct backend_choice energy_backends[] = {
    {.name = SOURCE_AUTO, .help = "the best source this machine has"},
#define X(id, flags, summary, choice) {.name = #id, .help = choice},
    SOURCE_SENSOR_ROWS(X)
#undef X
    {.name = SOURCE_NONE, .help = "energy is not measured; every joule is absent"},
    {0},
};

static const struct backend_choice energy_scopes[] = {
    {.name = "auto", .help = "the one there is; absent where there are both"},
    {.name = "board", .help = "of the GPU board"},
    {.name = "module", .help = "of the module: GPU, CPU and memory"},
    {0},
};

static const struct backend_choice gate_actions[] = {
    {.name = "warn", .help = "the run is done, and its record says so"},
    {.name = "refuse", .help = "the run is not begun"},
    {0},
};

static const struct backend_choice cycle_orders[] = {
    {.name = "shuffled", .help = "a fresh permutation of the cells in every cycle"},
    {.name = "interleaved", .help = "A B C A B C"},
    {.name = "sequential", .help = "A A B B C C: drift cannot be told from the factor"},
    {0},
};

const struct config_field config_shared_rows[CONFIG_SHARED_FIELDS] = {
#define ROW(id, path, type, flags, ...) [FIELD_##id] = {path, type, flags, __VA_ARGS__, NULL, NULL, NULL, NULL},
#include "config/fields.def"
#undef ROW
};

/* --- Who runs the runs -------------------------------------------------------------------------------------------- */

static const struct backend_choice pulls[] = {
    {.name = "missing", .help = "where it is not here"},
    {.name = "never", .help = "it must be here"},
    {.name = "always", .help = "whatever is here"},
    {0},
};

const struct config_runner_row config_runner_rows[] = {
#define ROW(...) {__VA_ARGS__},
#include "config/runners.def"
#undef ROW
    {0},
};

/* --- Conditions -------------------------------------------------------------------------------------------------- */

#define TEXTS(...)    sizeof(const char *[]){__VA_ARGS__} / sizeof(char *), (const char *const[]){__VA_ARGS__}
#define IS(path, ...)     {path, false, TEXTS(__VA_ARGS__)}
#define IS_NOT(path, ...) {path, true, TEXTS(__VA_ARGS__)}

const struct shared_gate config_shared_gates[] = {
    {"decoder.top_k", IS("decoder.do_sample", "true")},
    {"decoder.top_p", IS("decoder.do_sample", "true")},
    {"decoder.min_p", IS("decoder.do_sample", "true")},
    {"decoder.min_new_tokens", IS("decoder.ignore_eos", "false")},
    {"load.size", IS("load.mode", "\"batch\"", "\"closed_loop\"")},
    {"warmup.", IS("warmup.enabled", "true")},
    {"baseline.", IS("baseline.enabled", "true")},
    {"energy.modelled", IS_NOT("energy.backend", "\"none\"")},
    {"energy.guard_ms", IS_NOT("energy.backend", "\"none\"")},
    {"energy.calibration", IS_NOT("energy.backend", "\"none\"")},
    {"energy.modelled_watts_per_core", IS_NOT("energy.backend", "\"none\"")},
    {"energy.modelled_watts_per_core", IS("energy.modelled", "true")},
    {0},
};

#define CONDITION(...) (&(const struct backend_condition)__VA_ARGS__)

const struct backend_rule config_shared_rules[] = {
    {.kind = BACKEND_NEEDS,
     .a = "decoder.do_sample",
     .is = CONDITION(IS(NULL, "true")),
     .b = "decoder.temperature",
     .other_is = CONDITION(IS_NOT(NULL, "0.0")),
     .why = "sampling at temperature 0 takes the likeliest token"},
    {.kind = BACKEND_NEEDS,
     .a = "decoder.do_sample",
     .is = CONDITION(IS(NULL, "false")),
     .b = "decoder.temperature",
     .other_is = CONDITION(IS(NULL, "0.0")),
     .why = "without sampling the temperature has no effect"},
    {.kind = BACKEND_PRESENT,
     .a = "load.mode",
     .is = CONDITION(IS(NULL, "\"batch\"")),
     .b = "load.size",
     .why = "say how many requests a batch has: load: {mode: batch, size: 4}"},
    {.kind = BACKEND_PRESENT,
     .a = "load.mode",
     .is = CONDITION(IS(NULL, "\"closed_loop\"")),
     .b = "load.size",
     .why = "say how many requests are always in flight: load: {mode: closed_loop, size: 4}"},
    {.kind = BACKEND_AT_LEAST, .a = "n", .b = "load.size", .why = "so many requests there must be"},
    {.kind = BACKEND_AT_LEAST, .a = "max_output_tokens", .b = "decoder.min_new_tokens"},
    {.kind = BACKEND_AT_LEAST, .a = "warmup.max_prompts", .b = "warmup.n_warmup"},
    {0},
};

/* --- Presets of the decoder -------------------------------------------------------------------------------------- */

const struct shared_preset config_presets[] = {
    {"deterministic", FIELD_DECODER_TEMPERATURE, "0.0"},
    {"deterministic", FIELD_DECODER_DO_SAMPLE, "false"},
    {"standard", FIELD_DECODER_TEMPERATURE, "1.0"},
    {"standard", FIELD_DECODER_DO_SAMPLE, "true"},
    {"standard", FIELD_DECODER_TOP_P, "0.95"},
    {"creative", FIELD_DECODER_TEMPERATURE, "0.8"},
    {"creative", FIELD_DECODER_DO_SAMPLE, "true"},
    {"creative", FIELD_DECODER_TOP_P, "0.9"},
    {"creative", FIELD_DECODER_REPETITION_PENALTY, "1.1"},
    {"factual", FIELD_DECODER_TEMPERATURE, "0.3"},
    {"factual", FIELD_DECODER_DO_SAMPLE, "true"},
    {0},
};
