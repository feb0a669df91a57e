/* SPDX-License-Identifier: MIT */
/* The rows every backend shares, and those of the study. A new field is one row here (or in fields_BACKEND.c). */
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
    {"auto", "the best source this machine has"},
    {"nvml", "NVIDIA boards, by NVML"},
    {"rapl", "CPU packages and DRAM, by RAPL counters"},
    {"hwmon", "energy and power sensors of the kernel's hwmon"},
    {"none", "energy is not measured; every joule is absent"},
    {0},
};

const struct config_field config_rows_common[] = {
    {"model", CONFIG_TEXT, HS | CONFIG_REQUIRED, CONFIG_ALL, NULL, NULL, ANY, NULL, NULL,
     "The model: a name of the catalogue (`llem model list`), its hub id (HuggingFaceTB/SmolLM2-135M-Instruct), or a "
     "local GGUF file or model folder. Other hub ids are not fetched in this version: give the path of what you "
     "downloaded. A text that begins with / ./ ../ or ~, or that ends in .gguf, is a path, relative to this file; it "
     "enters the hash by its content."},
    {"backend", CONFIG_CHOICE, HS, CONFIG_ALL, NULL, "\"pytorch\"", ANY, backends, NULL,
     "The engine that runs the model. The section of the same name holds its own fields."},
    {"n", CONFIG_INT, HS, CONFIG_ALL, "prompts", "100", 1, LIMIT_PROMPTS, NULL, NULL,
     "Number of prompts taken from the data set."},
    {"dataset", CONFIG_TEXT, HS, CONFIG_ALL, NULL, "\"aienergyscore\"", ANY, NULL, NULL,
     "The prompts: aienergyscore (built in), or the path of a .jsonl file with lines like {\"prompt\": \"…\"} (its "
     "keys: docs/configuration.md, Data sets), relative to this file; it enters the hash by its content."},
    {"dataset_order", CONFIG_CHOICE, HS, CONFIG_ALL, NULL, "\"interleaved\"", ANY, orders, NULL,
     "Order in which the prompts are taken."},
    {"precision", CONFIG_CHOICE, HS, CONFIG_ALL, NULL, "\"bf16\"", ANY, precisions, NULL,
     "Format of the weights (and of the arithmetic where the engine has a choice). For llamacpp it picks the F32, F16 "
     "or BF16 file of a model of the catalogue; with the path of a GGUF file it has no default, and must be what the file "
     "holds."},
    {"random_seed", CONFIG_INT, HS, CONFIG_ALL, NULL, "42", 0, 4294967295.0, NULL, NULL,
     "Seed of the data set order and of sampling."},
    {"max_input_tokens", CONFIG_INT, HS, CONFIG_ALL, "tokens", "512", 1, LIMIT_PROMPT_TOKENS, NULL, NULL,
     "Longer prompts are cut to this many tokens."},
    {"max_output_tokens", CONFIG_INT, HS, CONFIG_ALL, "tokens", "128", 1, LIMIT_PROMPT_TOKENS, NULL, NULL,
     "Tokens generated per prompt: exactly this many while decoder.ignore_eos is true, at most otherwise."},
    {"allow_substitution", CONFIG_BOOL, H, CONFIG_ALL, NULL, "false", ANY, NULL, NULL,
     "Go on when the engine uses another attention kernel, type or device than was asked for. When false this is an "
     "error; either way it is in the record."},
    {"passthrough_kwargs", CONFIG_MAP, H, CONFIG_PYTORCH | CONFIG_VLLM, NULL, NULL, ANY, NULL, NULL,
     "Further arguments for the engine (pytorch and vllm alone), handed on as they are. Names that have a field of their "
     "own are refused."},

    {"decoder.preset", CONFIG_CHOICE, CONFIG_SWEEP, CONFIG_ALL, NULL, NULL, ANY, presets, NULL,
     "A set of decoder values; values written out win over it. Not hashed itself: its values are."},
    {"decoder.temperature", CONFIG_REAL, HS, CONFIG_ALL, NULL, "0", 0, 2, NULL, NULL,
     "Sampling temperature; 0 is greedy decoding, the default, so that every cell does the same work."},
    {"decoder.do_sample", CONFIG_BOOL, HS, CONFIG_ALL, NULL, "false", ANY, NULL, NULL,
     "Sample instead of taking the likeliest token. Follows from temperature (above 0: true) when not written."},
    {"decoder.top_k", CONFIG_INT, HS, CONFIG_ALL, "tokens", "50", 0, 1 << 20, NULL, NULL,
     "Sample among the k likeliest tokens; 0 is off."},
    {"decoder.top_p", CONFIG_REAL, HS, CONFIG_ALL, NULL, "1", 0, 1, NULL, NULL,
     "Sample among the likeliest tokens of this total probability; 1 is off."},
    {"decoder.min_p", CONFIG_REAL, HS, CONFIG_ALL, NULL, NULL, 0, 1, NULL, NULL,
     "Drop tokens less likely than this fraction of the likeliest one."},
    {"decoder.repetition_penalty", CONFIG_REAL, HS, CONFIG_ALL, NULL, "1", 0.1, 10, NULL, NULL,
     "Divides the scores of tokens that occurred; 1 is off."},
    {"decoder.ignore_eos", CONFIG_BOOL, HS, CONFIG_ALL, NULL, "true", ANY, NULL, NULL,
     "Generate max_output_tokens whatever the model says, so that every cell does the same work. With false answers "
     "end where the model ends them, and cells with different counts are not compared."},
    {"decoder.min_new_tokens", CONFIG_INT, HS, CONFIG_ALL, "tokens", NULL, 0, LIMIT_PROMPT_TOKENS, NULL, NULL,
     "Least number of generated tokens."},

    {"warmup.enabled", CONFIG_BOOL, HS | U, CONFIG_ALL, NULL, "true", ANY, NULL, NULL,
     "Run prompts of the same lengths before the measurement, until the latency is steady."},
    {"warmup.n_warmup", CONFIG_INT, HS | U, CONFIG_ALL, "prompts", "5", 1, LIMIT_PROMPTS, NULL, NULL,
     "Warm-up prompts before the gate is judged, and the window it is judged over."},
    {"warmup.max_prompts", CONFIG_INT, H | U, CONFIG_ALL, "prompts", "20", 1, LIMIT_PROMPTS, NULL, NULL,
     "Warm-up ends after this many prompts even if the latency is not steady; the record then says so."},
    {"warmup.cv_threshold", CONFIG_REAL, H | U, CONFIG_ALL, NULL, "0.05", 0.001, 1, NULL, NULL,
     "Steady needs a coefficient of variation of the last n_warmup latencies of at most this."},
    {"warmup.slope_threshold", CONFIG_REAL, H | U, CONFIG_ALL, NULL, "0.05", 0.001, 1, NULL, NULL,
     "Steady needs a drift over the last n_warmup latencies (fitted slope times n_warmup, over the mean) of at most "
     "this."},
    {"warmup.thermal_floor_seconds", CONFIG_REAL, H | U, CONFIG_ALL, "s", "60", 0, 3600, NULL, NULL,
     "Longest wait for the temperature to settle; skipped where no temperature can be read."},

    {"baseline.enabled", CONFIG_BOOL, H | U, CONFIG_ALL, NULL, "true", ANY, NULL, NULL,
     "Measure idle power, so that joules net of idle can be given beside the gross ones."},
    {"baseline.duration_seconds", CONFIG_REAL, H | U, CONFIG_ALL, "s", "30", 0.1, 600, NULL, NULL,
     "How long idle power is measured, before the engine starts and again with it loaded: then half of it before the "
     "work and half after."},

    {"energy.backend", CONFIG_CHOICE, H | U, CONFIG_ALL, NULL, "\"auto\"", ANY, energy_backends, NULL,
     "Which sensors measure energy."},
    {"energy.sample_period_ms", CONFIG_REAL, H | U, CONFIG_ALL, "ms", "10", 1, 1000, NULL, NULL,
     "Time between two samples."},
    {"energy.guard_ms", CONFIG_REAL, H | U, CONFIG_ALL, "ms", NULL, 0, 60000, NULL, NULL,
     "Idle time observed before and after the work. Unset: from the sensor's own period, at least 1 s each."},
    {"energy.target_uncertainty", CONFIG_REAL, H | U, CONFIG_ALL, NULL, "0.02", 0.0001, 1, NULL, NULL,
     "Relative half-width (95 %) of the energy that is aimed at: work too short for it is repeated back to back."},
    {"energy.max_repeats", CONFIG_INT, H | U, CONFIG_ALL, NULL, "8", 1, 10000, NULL, NULL,
     "Most repeats for that; where they do not suffice the value is marked below_resolution. 1: never repeat."},
    {"energy.modelled", CONFIG_BOOL, H | U, CONFIG_ALL, NULL, "false", ANY, NULL, NULL,
     "Where no sensor is present, estimate energy from CPU time and modelled_watts_per_core. Such values are labelled "
     "modelled wherever they show."},
    {"energy.modelled_watts_per_core", CONFIG_SPAN, H | U, CONFIG_ALL, "W", "[" G_STRINGIFY(MODELLED_LOW_W) ", " G_STRINGIFY(MODELLED_HIGH_W) "]", 0, 1000, NULL, NULL,
     "[low, high] power of a busy core. The default spans thermal design power over cores of common data sheets, from "
     "about 2.8 W (EPYC 9754: 360 W, 128 cores) to about 10.5 W (Core i9-13900K: 253 W, 24 cores), with a margin."},
    {"energy.calibration", CONFIG_TEXT, U, CONFIG_ALL, NULL, NULL, ANY, NULL, "LLEM_CALIBRATION",
     "Calibration against a meter: the file of a board, or a folder with a file BOARD.json for each (BOARD as `llem "
     "meter` shows it): {\"uuid\": BOARD, \"gain\": …, \"offset_w\": …, \"u\": relative standard uncertainty, \"method\", "
     "\"date\"}. Raw and corrected values are both kept. Relative to this file."},

    {"limits.timeout_seconds", CONFIG_REAL, U, CONFIG_ALL, "s", "3600", 1, 604800, NULL, "LLEM_TIMEOUT_SECONDS",
     "One experiment may take this long, then it is ended and recorded as TimeoutError."},
    {"output_dir", CONFIG_TEXT, U, CONFIG_ALL, NULL, "\"results\"", ANY, NULL, "LLEM_OUTPUT_DIR",
     "Folder for the results, relative to where llem is run."},
    {0},
};

static const struct config_choice cycle_orders[] = {
    {"shuffled", "a fresh permutation of the cells in every cycle"},
    {"interleaved", "A B C A B C"},
    {"sequential", "A A B B C C: drift cannot be told from the factor"},
    {0},
};

const struct config_field config_rows_study[] = {
    {"name", CONFIG_TEXT, CONFIG_STUDY, CONFIG_ALL, NULL, NULL, ANY, NULL, NULL,
     "Name of the study; unset: the file's name without its ending."},
    {"execution.n_cycles", CONFIG_INT, CONFIG_STUDY, CONFIG_ALL, NULL, "3", 1, 10000, NULL, NULL,
     "How often every cell is run. Each run is a process of its own; intervals between cells need at least 3."},
    {"execution.order", CONFIG_CHOICE, CONFIG_STUDY, CONFIG_ALL, NULL, "\"shuffled\"", ANY, cycle_orders, NULL,
     "Order of the runs."},
    {"execution.seed", CONFIG_INT, CONFIG_STUDY, CONFIG_ALL, NULL, NULL, 0, 4294967295.0, NULL, NULL,
     "Seed of the shuffling; unset: from the study's hash, so that the same study has the same order."},
    {"execution.experiment_gap_seconds", CONFIG_REAL, CONFIG_STUDY | U, CONFIG_ALL, "s", "0", 0, 86400, NULL, NULL,
     "Pause between two runs."},
    {"execution.cycle_gap_seconds", CONFIG_REAL, CONFIG_STUDY | U, CONFIG_ALL, "s", "0", 0, 86400, NULL, NULL,
     "Pause between two cycles."},
    {0},
};
