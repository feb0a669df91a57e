/* SPDX-License-Identifier: MIT */
/* Names and values people write that this version does not take, with what to write instead. Those of an engine's
 * section are in its descriptor; here are those of the shared fields, and what leads from them to an engine's
 * options. */
#include "config/internal.h"

#include <string.h>

static const struct retired_name {
    const char *path;
    const char *message;
    /* last parts of names separated by '|': the options of all engines that are so called follow */
    const char *options;
    bool engines;        /* the names of all engines follow */
} retired_names[] = {
    {"tensorrt", "TensorRT-LLM is not in this version; the backends are", NULL, true},
    {"sglang", "SGLang is not in this version; the backends are", NULL, true},
    {"lora", "LoRA adapters are not in this version; merge the adapter into the model", NULL, false},
    {"experiments", "lists of experiments are not in this version; use sweep", NULL, false},
    {"base", "base files are not in this version; use YAML anchors and merge keys within one file", NULL, false},
    {"runners", "choosing a runner per backend is not in this version; every run is local", NULL, false},
    {"images", "container images are not in this version; every run is local", NULL, false},
    {"version", "files have no version; delete this line", NULL, false},
    {"output", "write output_dir: FOLDER", NULL, false},

    {"model_name", "write model", NULL, false},
    {"num_prompts", "write n", NULL, false},
    {"n_prompts", "write n", NULL, false},
    {"num_samples", "write n", NULL, false},
    {"seed", "write random_seed (order of the data, sampling) or execution.seed (order of the runs)", NULL, false},
    {"dtype", "write precision: fp32, fp16 or bf16", NULL, false},
    {"max_new_tokens", "write max_output_tokens", NULL, false},
    {"max_tokens", "write max_output_tokens", NULL, false},
    {"batch_size", "the batch size belongs to the backend:", "batch_size|n_parallel|max_num_seqs", false},
    {"quantization", "quantisation belongs to the backend:", "quantization|load_in_4bit", false},
    {"n_cycles", "write execution.n_cycles", NULL, false},

    {"execution.cycle_order", "write execution.order", NULL, false},
    {"execution.shuffle_seed", "write execution.seed", NULL, false},
    {"execution.experiment_timeout_seconds", "write limits.timeout_seconds (beside execution, not in it)", NULL, false},
    {"execution.skip_preflight", "there is no preflight to skip in this version", NULL, false},
    {"execution.max_consecutive_failures", "not in this version: every run is tried", NULL, false},
    {"execution.circuit_breaker_cooldown_seconds", "not in this version: every run is tried", NULL, false},
    {"execution.wall_clock_timeout_hours", "not in this version; limits.timeout_seconds bounds one run", NULL, false},
    {"execution.stdout_silence_timeout_seconds", "not in this version; limits.timeout_seconds bounds one run", NULL, false},
    {"execution.deduplicate_equivalent", "cells that do the same work are always run once", NULL, false},

    {"warmup.convergence_detection", "the warm-up always looks at convergence; warmup.max_prompts bounds it", NULL, false},
    {"warmup.window_size", "the window is warmup.n_warmup", NULL, false},
    {"warmup.min_prompts", "the least number is warmup.n_warmup", NULL, false},
    {"baseline.strategy", "not in this version: the baseline is always measured afresh", NULL, false},
    {"baseline.cache_ttl_seconds", "not in this version: the baseline is always measured afresh", NULL, false},
    {"baseline.validation_interval", "not in this version: the baseline is always measured afresh", NULL, false},
    {"baseline.drift_threshold", "not in this version: the baseline is always measured afresh", NULL, false},
    {"dataset.n", "write n, and the path of a .jsonl file as dataset", NULL, false},
    {"decoder.max_new_tokens", "write max_output_tokens", NULL, false},
    {"decoder.min_tokens", "write decoder.min_new_tokens", NULL, false},
};

static const struct retired_value {
    const char *path;
    const char *text;
    const char *message;
    const char *options; /* likewise */
    bool takes;          /* those alone that take the value */
} retired_values[] = {
    {"backend", "tensorrt", "TensorRT-LLM is not in this version", NULL, false},
    {"backend", "tensorrt_llm", "TensorRT-LLM is not in this version", NULL, false},
    {"backend", "trtllm", "TensorRT-LLM is not in this version", NULL, false},
    {"backend", "sglang", "SGLang is not in this version", NULL, false},
    {"energy.backend", "zeus", "energy is read directly: write auto, or the name of a sensor", NULL, false},
    {"energy.backend", "codecarbon", "estimates from a model of the machine are asked for with energy.modelled: true", NULL, false},
    {"precision", "float32", "write fp32", NULL, false},
    {"precision", "float16", "write fp16", NULL, false},
    {"precision", "half", "write fp16", NULL, false},
    {"precision", "f16", "write fp16", NULL, false},
    {"precision", "f32", "write fp32", NULL, false},
    {"precision", "bfloat16", "write bf16", NULL, false},
    {"precision", "int8", "quantisation belongs to the backend:", "quantization|load_in_8bit", false},
    {"precision", "int4", "quantisation belongs to the backend:", "quantization|load_in_4bit", false},
    {"precision", "fp8", "quantisation belongs to the backend:", "quantization", true},
    {"execution.order", "random", "write shuffled", NULL, false},
    {"execution.order", "shuffle", "write shuffled", NULL, false},
};

/* --- What engines there are: read only here, where something is wrong already ----------------------------------- */

static GPtrArray *all_engines(void)
{
    GPtrArray *engines = g_ptr_array_new();
    g_auto(GStrv) names = backend_names();
    for (char **name = names; *name; name++) {
        const struct backend *engine = backend_find(*name, NULL);
        if (engine)
            g_ptr_array_add(engines, (void *)(uintptr_t)engine);
    }
    return engines;
}

static bool is_among(const char *word, const char *alternatives)
{
    g_auto(GStrv) words = g_strsplit(alternatives, "|", -1);
    return g_strv_contains((const char *const *)words, word);
}

/* True if an option has nothing against a text, or there is none (value NULL). */
static bool option_takes(const struct backend_option *option, const char *value)
{
    for (const struct backend_choice *c = value ? option->choices : NULL; c && c->name; c++)
        if (!g_ascii_strcasecmp(c->name, value))
            return true;
    return !value || !option->choices;
}

/* " llamacpp.n_parallel, pytorch.batch_size": options of all engines by the last parts of their names; those alone that
 * take a value, if there is one. */
static void append_options(GString *out, const char *alternatives, const char *value)
{
    g_autoptr(GPtrArray) engines = all_engines();
    const char *separator = " ";
    for (unsigned e = 0; e < engines->len; e++) {
        const struct backend_option *options;
        size_t n = backend_options(engines->pdata[e], &options);
        for (size_t i = 0; i < n; i++) {
            if (!is_among(field_last_part(options[i].path), alternatives) || !option_takes(&options[i], value))
                continue;
            g_string_append_printf(out, "%s%s", separator, options[i].path);
            separator = ", ";
        }
    }
}

static void append_engines(GString *out)
{
    g_auto(GStrv) names = backend_names();
    size_t n = g_strv_length(names);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i == 0 ? " " : i + 1 < n ? ", " : " and ", names[i]);
}

/* Behind the text: options by the last parts of their names (that take `value`, if it is not NULL), all engines. */
static char *message_of(const char *text, const char *options, const char *value, bool engines)
{
    GString *out = g_string_new(text);
    if (options)
        append_options(out, options, value);
    if (engines)
        append_engines(out);
    return g_string_free(out, FALSE);
}

/* --- Names ------------------------------------------------------------------------------------------------------- */

char *names_elsewhere(const char *name)
{
    g_autoptr(GPtrArray) engines = all_engines();
    for (unsigned e = 0; e < engines->len; e++) {
        const struct backend_option *options;
        size_t n = backend_options(engines->pdata[e], &options);
        for (size_t i = 0; i < n; i++)
            if (!strcmp(field_last_part(options[i].path), name))
                return g_strdup(options[i].path);
    }
    return NULL;
}

static const struct retired_name *find_name(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(retired_names); i++)
        if (!strcmp(retired_names[i].path, path))
            return &retired_names[i];
    return NULL;
}

static const struct backend_retired *engine_row(const struct config_table *table, const char *path, const char *value)
{
    const struct backend *engine = table_section_engine(table, path);
    return engine ? backend_retired(engine, path, value) : NULL;
}

char *retired_name_message(const struct config_table *table, const char *path)
{
    const struct backend_retired *of_engine = engine_row(table, path, NULL);
    if (of_engine)
        return g_strdup(of_engine->text);
    const struct retired_name *row = find_name(path);
    return row ? message_of(row->message, row->options, NULL, row->engines) : NULL;
}

/* A general field would change the work of every other engine in the file, too. */
const char *retired_name_alias(const struct config_table *table, const char *path)
{
    const struct backend_retired *row = engine_row(table, path, NULL);
    if (!row || row->alias)
        return row ? row->alias : NULL;
    return row->field && table->engines->len == 1 && table_index(table, row->field) >= 0 ? row->field : NULL;
}

bool retired_is_section(const char *path)
{
    const struct retired_name *row = find_name(path);
    return row && row->engines;
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

/* Letters and digits alone, in lower case: "llama.cpp" and "llama_cpp" are one. */
static char *letters_of(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *p = text ? text : ""; *p; p++)
        if (g_ascii_isalnum(*p))
            g_string_append_c(out, g_ascii_tolower(*p));
    return g_string_free(out, FALSE);
}

/* "hft" of "Hugging Face transformers". New string. */
static char *initials_of(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *p = text; *p; p++)
        if (g_ascii_isalpha(*p) && (p == text || !g_ascii_isalnum(p[-1])))
            g_string_append_c(out, g_ascii_tolower(*p));
    return g_string_free(out, FALSE);
}

/* By a part of its name, title or summary, or by how the summary's initials begin ("hf"). */
static bool is_called(const struct backend *engine, const char *letters)
{
    g_autofree char *name = letters_of(backend_name(engine)), *title = letters_of(backend_title(engine));
    g_autofree char *summary = letters_of(backend_summary(engine)), *initials = initials_of(backend_summary(engine));
    bool part = strstr(name, letters) || strstr(title, letters) || strstr(summary, letters);
    return strlen(letters) > 2 ? part : strlen(letters) == 2 && g_str_has_prefix(initials, letters);
}

/* An engine by what it is called beside its name; NULL for what is nearly a name. */
static char *engine_message(const struct config_table *table, const char *text)
{
    g_autoptr(GPtrArray) engines = all_engines();
    g_autofree char *letters = letters_of(text);
    struct suggest near = {.word = text};
    for (char **name = table->found; *name; name++)
        suggest_offer(&near, *name);
    for (unsigned e = 0; !near.best && e < engines->len; e++)
        if (is_called(engines->pdata[e], letters))
            return g_strdup_printf("write %s", backend_name(engines->pdata[e]));
    return NULL;
}

static const struct backend_choice *find_choice(const struct backend_option *option, const char *text)
{
    for (const struct backend_choice *c = option->choices; c && c->name; c++)
        if (!g_ascii_strcasecmp(c->name, text))
            return c;
    return NULL;
}

/* A value that belongs to the option of an engine that takes the field's place. */
static char *replacing_message(const struct config_table *table, const char *path, const char *text)
{
    const GPtrArray *engines = table->engines; /* another one's is no advice */
    for (unsigned e = 0; e < engines->len; e++) {
        const struct backend_option *options;
        size_t n = backend_options(engines->pdata[e], &options);
        for (size_t i = 0; i < n; i++) {
            bool replaces = options[i].replaces && !strcmp(options[i].replaces, path);
            const struct backend_choice *choice = replaces ? find_choice(&options[i], text) : NULL;
            if (choice)
                return g_strdup_printf("write %s: %s", options[i].path, choice->name);
        }
    }
    return NULL;
}

char *retired_value_message(const struct config_table *table, const char *path, const char *text)
{
    const struct backend_retired *of_engine = engine_row(table, path, text);
    if (of_engine)
        return g_strdup(of_engine->text);
    for (size_t i = 0; i < G_N_ELEMENTS(retired_values); i++) {
        const struct retired_value *row = &retired_values[i];
        if (!strcmp(row->path, path) && !g_ascii_strcasecmp(row->text, text))
            return message_of(row->message, row->options, row->takes ? text : NULL, false);
    }
    const struct config_field *field = config_table_field(table, path);
    return field && (field->flags & CONFIG_ENGINE) ? engine_message(table, text) : replacing_message(table, path, text);
}

const char *retired_value_alias(const struct config_table *table, const char *path, const char *text)
{
    const struct backend_retired *row = engine_row(table, path, text);
    return row ? row->alias : NULL;
}
