/* SPDX-License-Identifier: MIT */
/* What values mean for one another: presets, values that follow, values that exclude each other, fields without a
 * meaning, and the rules a combination must keep. Each is a table of rows. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

static const struct config_value *value_of(const struct config *config, const char *path)
{
    return config->values[field_at(path)];
}

/* --- Gates: a field has a meaning only while another one has a value ------------------------------------------ */

struct gate {
    const char *path;  /* a field, or a whole section ("warmup.") but for the gate itself */
    const char *when;  /* the other field */
    const char *value; /* its value as canonical JSON */
    bool negated;
};

static const struct gate gates[] = {
    {"precision", "llamacpp.quantization", "null", false},
    {"decoder.top_k", "decoder.do_sample", "true", false},
    {"decoder.top_p", "decoder.do_sample", "true", false},
    {"decoder.min_p", "decoder.do_sample", "true", false},
    {"decoder.min_new_tokens", "decoder.ignore_eos", "false", false},
    {"warmup.", "warmup.enabled", "true", false},
    {"baseline.", "baseline.enabled", "true", false},
    {"energy.modelled", "energy.backend", "\"none\"", true},
    {"energy.guard_ms", "energy.backend", "\"none\"", true},
    {"energy.calibration", "energy.backend", "\"none\"", true},
    {"energy.modelled_watts_per_core", "energy.backend", "\"none\"", true},
    {"energy.modelled_watts_per_core", "energy.modelled", "true", false},
    {"pytorch.torch_compile_mode", "pytorch.torch_compile", "true", false},
    {"pytorch.torch_compile_backend", "pytorch.torch_compile", "true", false},
    {"pytorch.bnb_4bit_compute_dtype", "pytorch.load_in_4bit", "true", false},
    {"pytorch.bnb_4bit_quant_type", "pytorch.load_in_4bit", "true", false},
    {"pytorch.bnb_4bit_use_double_quant", "pytorch.load_in_4bit", "true", false},
    {"pytorch.cache_implementation", "pytorch.use_cache", "true", false},
    {"pytorch.autocast_dtype", "pytorch.autocast_enabled", "true", false},
    {"pytorch.early_stopping", "pytorch.num_beams", "1", true},
    {"pytorch.length_penalty", "pytorch.num_beams", "1", true},
};

/* Where the paths of the gates and rules stand in the table, looked up once: a plan asks for every cell. */
struct places {
    size_t *gate_when;
    size_t *rule_a, *rule_b;
    size_t precision;
};
static const struct places *places(void);

static bool gate_covers(const struct gate *gate, const char *path)
{
    if (g_str_has_suffix(gate->path, "."))
        return g_str_has_prefix(path, gate->path) && strcmp(path, gate->when) != 0;
    return !strcmp(gate->path, path);
}

const struct gate *const *gates_of(const char *path)
{
    const struct gate **found = g_new0(const struct gate *, G_N_ELEMENTS(gates) + 1);
    size_t n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(gates); i++)
        if (gate_covers(&gates[i], path))
            found[n++] = &gates[i];
    if (n)
        return found;
    g_free(found);
    return NULL;
}

static bool gate_open(const struct config *config, const struct gate *gate)
{
    size_t when = places()->gate_when[gate - gates];
    if (!(field_table()->rows[when].backends & config->backend)) /* llamacpp.quantization under another backend */
        return true;
    return !strcmp(config->values[when]->canonical, gate->value) != gate->negated;
}

static char *plain_words(const char *json)
{
    g_autofree char *text = g_strdup(json);
    if (*text == '"') {
        text[strlen(text) - 1] = '\0';
        return g_strdup(text + 1);
    }
    return g_steal_pointer(&text);
}

static char *gate_words(const struct gate *gate)
{
    g_autofree char *value = plain_words(gate->value);
    if (!strcmp(gate->value, "null"))
        return g_strdup_printf("%s is %s", gate->when, gate->negated ? "set" : "not set");
    return g_strdup_printf("%s is %s%s", gate->when, gate->negated ? "not " : "", value);
}

char *gate_describe(const struct gate *const *list)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; list && list[i]; i++) {
        g_autofree char *words = gate_words(list[i]);
        g_string_append_printf(out, "%s%s", i ? " and " : "", words);
    }
    return g_string_free(out, FALSE);
}

/* --- Values that follow from others ---------------------------------------------------------------------------- */

static void derive(struct config *config, const char *path, json_t *json, const char *note)
{
    struct config_value *value = value_make(json, LAYER_DERIVED, note);
    if (!config->derived)
        config->derived = g_ptr_array_new_with_free_func(value_free);
    g_ptr_array_add(config->derived, value);
    config->values[field_at(path)] = value;
}

static bool is_default(const struct config *config, const char *path)
{
    return value_of(config, path)->layer == LAYER_DEFAULT;
}

static void expand_preset(struct config *config)
{
    const char *preset = json_string_value(value_of(config, "decoder.preset")->json);
    if (!preset)
        return;
    for (const struct preset_row *row = preset_rows; row->preset; row++)
        if (!strcmp(row->preset, preset) && is_default(config, row->path))
            derive(config, row->path, jsonx_parse(row->value, -1, row->path, NULL), "decoder.preset");
}

static void follow(struct config *config)
{
    expand_preset(config);
    bool hot = json_real_value(value_of(config, "decoder.temperature")->json) > 0;
    if (hot && is_default(config, "decoder.do_sample"))
        derive(config, "decoder.do_sample", json_true(), "follows decoder.temperature");
    if (config->backend == CONFIG_LLAMACPP && is_default(config, "llamacpp.n_threads_batch"))
        derive(config, "llamacpp.n_threads_batch", json_incref(value_of(config, "llamacpp.n_threads")->json),
               "follows llamacpp.n_threads");
}

/* --- Values that exclude each other: the one from the higher layer stands -------------------------------------- */

static bool settle_precision(struct config *config, struct diag *diag)
{
    const struct config_value *quantization = value_of(config, "llamacpp.quantization");
    const struct config_value *precision = value_of(config, "precision");
    if (config->backend != CONFIG_LLAMACPP || !value_is_set(quantization) || precision->layer <= LAYER_DERIVED ||
        precision->layer < quantization->layer)
        return true;
    if (precision->layer > quantization->layer) {
        derive(config, "llamacpp.quantization", json_null(), "precision");
        return true;
    }
    diag_add(diag, DIAG_ERROR, value_place(quantization),
             "llamacpp.quantization: %s and precision: %s exclude each other",
             json_string_value(quantization->json), json_string_value(precision->json));
    diag_hint(diag, "each names the file of the model; keep one of them");
    return false;
}

/* A GGUF file holds what it holds: a precision that nobody wrote would be a label that may be wrong. One that was
 * written is held against the file before anything runs. */
static bool is_file_s_own(const struct config *config, size_t i)
{
    return config->backend == CONFIG_LLAMACPP && i == places()->precision && value_of(config, "model")->file &&
           config->values[i]->layer <= LAYER_DERIVED;
}

static void apply(struct config *config)
{
    const struct field_table *table = field_table();
    for (size_t i = 0; i < table->n; i++) {
        const struct field_info *info = &table->info[i];
        bool applies = (info->row->backends & config->backend) && !(info->row->flags & CONFIG_STUDY) &&
                       value_is_set(config->values[i]);
        for (size_t g = 0; applies && info->gates && info->gates[g]; g++)
            applies = gate_open(config, info->gates[g]);
        config->applies[i] = applies && !is_file_s_own(config, i);
    }
}

bool config_settle(struct config *config, struct diag *diag)
{
    const char *backend = json_string_value(value_of(config, "backend")->json);
    config->backend = backend_bit(backend);
    follow(config);
    bool ok = settle_precision(config, diag);
    apply(config);
    return ok;
}

/* --- Rules ------------------------------------------------------------------------------------------------------ */

enum rule_kind {
    RULE_NEEDS,    /* while a is `value` (or set at all, value NULL), b must be one of `wanted` */
    RULE_EXCLUDES, /* a and b are not both set (switches: both true) */
    RULE_AT_LEAST, /* a ≥ b, where both are set */
    RULE_FITS,     /* a ≥ factor × (max_input_tokens + max_output_tokens), where a is set; b is the factor or NULL */
    RULE_PRESENT,  /* while a is set, b must be set */
    RULE_WITHIN,   /* a ≤ the positions of llama.cpp's context, unless substitutions are allowed */
};

struct rule {
    enum rule_kind kind;
    const char *a;
    const char *value; /* JSON texts separated by '|'; a leading '!' negates; NULL: any */
    const char *b;
    const char *wanted; /* likewise */
    const char *why;
};

#define QUANTISED_CACHE "\"q8_0\"|\"q5_1\"|\"q5_0\"|\"q4_1\"|\"q4_0\"|\"iq4_nl\""
#define FP8_CACHE "\"fp8\"|\"fp8_e4m3\"|\"fp8_e5m2\"|\"fp8_inc\"|\"fp8_ds_mla\"|\"fp8_per_token_head\""
#define FLASH_KERNELS "\"flash_attention_2\"|\"flash_attention_3\""

static const struct rule rules[] = {
    {RULE_NEEDS, "decoder.do_sample", "true", "decoder.temperature", "!0.0",
     "sampling at temperature 0 takes the likeliest token"},
    {RULE_NEEDS, "decoder.do_sample", "false", "decoder.temperature", "0.0",
     "without sampling the temperature has no effect"},
    {RULE_AT_LEAST, "max_output_tokens", NULL, "decoder.min_new_tokens", NULL, NULL},
    {RULE_NEEDS, "decoder.min_new_tokens", "!0", "backend", "!\"llamacpp\"",
     "llama.cpp has no such rule; decoder.ignore_eos: true makes answers of one length"},
    {RULE_AT_LEAST, "warmup.max_prompts", NULL, "warmup.n_warmup", NULL, NULL},
    {RULE_NEEDS, "llamacpp.type_v", QUANTISED_CACHE, "llamacpp.flash_attn", "\"on\"|\"auto\"",
     "llama.cpp reads quantised cached values only with flash attention"},
    {RULE_AT_LEAST, "llamacpp.n_batch", NULL, "llamacpp.n_ubatch", NULL, NULL},
    {RULE_AT_LEAST, "llamacpp.n_batch", NULL, "llamacpp.n_parallel", NULL, "a step decodes one token of each sequence"},
    {RULE_WITHIN, "llamacpp.n_batch", NULL, NULL, NULL, "libllama would cut it down to that; leave it out"},
    {RULE_WITHIN, "llamacpp.n_ubatch", NULL, NULL, NULL, "libllama would cut it down to that; leave it out"},
    {RULE_FITS, "llamacpp.n_ctx", NULL, "llamacpp.n_parallel", NULL, NULL},
    {RULE_EXCLUDES, "pytorch.load_in_4bit", NULL, "pytorch.load_in_8bit", NULL, NULL},
    {RULE_EXCLUDES, "pytorch.tp_plan", NULL, "pytorch.device_map", NULL, "both place the model on devices"},
    {RULE_PRESENT, "pytorch.tp_size", NULL, "pytorch.tp_plan", NULL, NULL},
    {RULE_NEEDS, "pytorch.attn_implementation", FLASH_KERNELS, "precision", "\"fp16\"|\"bf16\"",
     "flash attention has no 32-bit kernels"},
    {RULE_EXCLUDES, "vllm.engine.gpu_memory_utilization", NULL, "vllm.engine.kv_cache_memory_bytes", NULL,
     "both set the size of the KV cache"},
    {RULE_NEEDS, "vllm.engine.kv_cache_dtype", FP8_CACHE, "precision", "\"fp16\"|\"bf16\"",
     "an 8-bit cache needs 16-bit arithmetic"},
    {RULE_FITS, "vllm.engine.max_model_len", NULL, NULL, NULL, NULL},
    {RULE_FITS, "sim.max_context", "!0", NULL, NULL, NULL},
};

static struct places *find_places(void)
{
    struct places *found = g_new0(struct places, 1);
    found->gate_when = g_new0(size_t, G_N_ELEMENTS(gates));
    found->rule_a = g_new0(size_t, G_N_ELEMENTS(rules));
    found->rule_b = g_new0(size_t, G_N_ELEMENTS(rules));
    found->precision = field_at("precision");
    for (size_t i = 0; i < G_N_ELEMENTS(gates); i++)
        found->gate_when[i] = field_at(gates[i].when);
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        found->rule_a[i] = field_at(rules[i].a);
        found->rule_b[i] = field_at(rules[i].b ? rules[i].b : rules[i].a);
    }
    return found;
}

static const struct places *places(void)
{
    static struct places *found;
    static gsize once;
    if (g_once_init_enter(&once)) {
        found = find_places();
        g_once_init_leave(&once, 1);
    }
    return found;
}

/* Whether a canonical text is in a list of alternatives. */
static bool matches(const char *canonical, const char *alternatives)
{
    if (!alternatives)
        return true;
    bool negated = *alternatives == '!';
    const char *at = alternatives + negated;
    size_t length = strlen(canonical);
    while (at) {
        if (!strncmp(at, canonical, length) && (at[length] == '\0' || at[length] == '|'))
            return !negated;
        at = strchr(at, '|');
        at = at ? at + 1 : NULL;
    }
    return negated;
}

static double number_of(const struct config *config, const char *path)
{
    return json_number_value(value_of(config, path)->json);
}

static bool stands(const struct config *config, size_t i)
{
    return config->applies[i] && !json_is_false(config->values[i]->json);
}

static double context_need(const struct config *config, const struct rule *rule)
{
    double factor = rule->b ? number_of(config, rule->b) : 1;
    return factor * (number_of(config, "max_input_tokens") + number_of(config, "max_output_tokens"));
}

/* What libllama cuts batches to: n_ctx as it is written, else what the adapter asks for (it rounds a sequence up to 256). */
static double context_of(const struct config *config)
{
    if (config_value_at(config, "llamacpp.n_ctx"))
        return number_of(config, "llamacpp.n_ctx");
    double each = number_of(config, "max_input_tokens") + number_of(config, "max_output_tokens");
    return ceil(each / 256) * 256 * number_of(config, "llamacpp.n_parallel");
}

static bool rule_kept(const struct config *config, const struct rule *rule)
{
    size_t a = places()->rule_a[rule - rules], b = places()->rule_b[rule - rules];
    const struct config_value *first = config->values[a], *second = config->values[b];
    if (!config->applies[a] || !matches(first->canonical, rule->value))
        return true;
    switch (rule->kind) {
    case RULE_NEEDS:
        return !config->applies[b] || matches(second->canonical, rule->wanted);
    case RULE_EXCLUDES:
        return !(stands(config, a) && stands(config, b));
    case RULE_AT_LEAST:
        return !config->applies[b] || json_number_value(first->json) >= json_number_value(second->json);
    case RULE_FITS:
        return json_number_value(first->json) >= context_need(config, rule);
    case RULE_PRESENT:
        return config->applies[b];
    case RULE_WITHIN:
        return config_bool(config, FIELD_ALLOW_SUBSTITUTION) || json_number_value(first->json) <= context_of(config);
    }
    return true;
}

static char *alternatives_words(const char *alternatives)
{
    bool negated = *alternatives == '!';
    g_auto(GStrv) parts = g_strsplit(alternatives + negated, "|", -1);
    for (char **p = parts; *p; p++) {
        char *plain = plain_words(*p);
        g_free(*p);
        *p = plain;
    }
    g_autofree char *list = g_strjoinv(" or ", parts);
    return g_strdup_printf("%s%s", negated ? "other than " : "", list);
}

static char *value_words(const struct config_value *value)
{
    return json_is_null(value->json) ? g_strdup("not set") : plain_words(value->canonical);
}

static char *rule_words(const struct config *config, const struct rule *rule)
{
    g_autofree char *a = value_words(value_of(config, rule->a));
    g_autofree char *b = rule->b ? value_words(value_of(config, rule->b)) : NULL;
    g_autofree char *wanted = rule->wanted ? alternatives_words(rule->wanted) : NULL;
    switch (rule->kind) {
    case RULE_NEEDS:
        return g_strdup_printf("%s: %s needs %s to be %s; it is %s", rule->a, a, rule->b, wanted, b);
    case RULE_EXCLUDES:
        return g_strdup_printf("%s: %s and %s: %s exclude each other", rule->a, a, rule->b, b);
    case RULE_AT_LEAST:
        return g_strdup_printf("%s must be at least %s; they are %s and %s", rule->a, rule->b, a, b);
    case RULE_FITS:
        return g_strdup_printf("%s: %s is too small: %smax_input_tokens + max_output_tokens need %.0f", rule->a, a,
                               rule->b ? "n_parallel times " : "", context_need(config, rule));
    case RULE_PRESENT:
        return g_strdup_printf("%s: %s needs %s to be set", rule->a, a, rule->b);
    case RULE_WITHIN:
        return g_strdup_printf("%s: %s is more than the %.0f positions of the context", rule->a, a, context_of(config));
    }
    return NULL;
}

/* The place of the value the user most likely wants to change: the one from the higher layer. */
static const struct diag_span *rule_place(const struct config *config, const struct rule *rule)
{
    const struct config_value *a = value_of(config, rule->a);
    const struct config_value *b = rule->b ? value_of(config, rule->b) : a;
    const struct config_value *first = b->layer > a->layer ? b : a;
    const struct config_value *second = first == a ? b : a;
    return first->at.source ? &first->at : value_place(second);
}

bool config_check_rules(const struct config *config, struct diag *diag)
{
    bool ok = true;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rule_kept(config, &rules[i]))
            continue;
        ok = false;
        if (!diag)
            break;
        g_autofree char *words = rule_words(config, &rules[i]);
        diag_add(diag, DIAG_ERROR, rule_place(config, &rules[i]), "%s", words);
        if (rules[i].why)
            diag_hint(diag, "%s", rules[i].why);
    }
    return ok;
}

/* --- Values without an effect ----------------------------------------------------------------------------------- */

void config_mark_used(const struct config *config, bool *used)
{
    size_t n = field_table()->n;
    for (size_t i = 0; i < n; i++)
        used[i] |= config->applies[i];
}

void config_file_warn_unused(const struct config_file *file, const bool *used, struct diag *diag)
{
    const struct field_table *table = field_table();
    for (size_t i = 0; i < table->n; i++) {
        const struct config_value *value = file->layers.values[i];
        if (used[i] || value->layer < LAYER_FILE || !value_is_set(value) || (table->rows[i].flags & CONFIG_STUDY))
            continue;
        g_autofree char *words = gate_describe(table->info[i].gates);
        diag_add(diag, DIAG_WARNING, value_place(value), "%s has no effect here", table->rows[i].path);
        if (*words)
            diag_hint(diag, "it has one while %s", words);
    }
}

/* --- For the reference page ------------------------------------------------------------------------------------- */

static char *rule_describe(const struct rule *rule)
{
    g_autofree char *value = rule->value ? alternatives_words(rule->value) : NULL;
    g_autofree char *wanted = rule->wanted ? alternatives_words(rule->wanted) : NULL;
    switch (rule->kind) {
    case RULE_NEEDS:
        return g_strdup_printf("`%s` %s needs `%s` %s", rule->a, value, rule->b, wanted);
    case RULE_EXCLUDES:
        return g_strdup_printf("`%s` and `%s` exclude each other", rule->a, rule->b);
    case RULE_AT_LEAST:
        return g_strdup_printf("`%s` is at least `%s`", rule->a, rule->b);
    case RULE_FITS:
        return g_strdup_printf("`%s` is at least %s`max_input_tokens` + `max_output_tokens`%s", rule->a,
                               rule->b ? "`n_parallel` × (" : "", rule->b ? ")" : "");
    case RULE_PRESENT:
        return g_strdup_printf("`%s` needs `%s`", rule->a, rule->b);
    case RULE_WITHIN:
        return g_strdup_printf("`%s` is at most the positions of the context (`llamacpp.n_ctx`, or what the lengths and "
                               "`llamacpp.n_parallel` need), unless `allow_substitution` is true", rule->a);
    }
    return NULL;
}

void rules_describe(GString *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autofree char *words = rule_describe(&rules[i]);
        g_string_append_printf(out, "- %s%s%s.\n", words, rules[i].why ? ": " : "", rules[i].why ? rules[i].why : "");
    }
    g_string_append(out, "- `llamacpp.quantization` and `precision` exclude each other. Where they come from different\n"
                         "  layers (a sweep over one, the file's fixed value for the other) the higher layer stands.\n"
                         "- With the path of a GGUF file as `model` each of the two is checked against the file\n"
                         "  where it is written; `precision` has no default there.\n");
}
