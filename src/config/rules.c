/* SPDX-License-Identifier: MIT */
/* The rules a combination of values must keep: the shared ones, those of the engine, and what it cannot honour. */
#include "config/internal.h"

#include <math.h>
#include <string.h>

/* --- Kept or not -------------------------------------------------------------------------------------------------- */

static double number_of(const struct config *config, size_t field)
{
    return json_number_value(config->values[field]->json);
}

static bool stands(const struct config *config, size_t i)
{
    return config->applies[i] && !json_is_false(config->values[i]->json);
}

static double request_tokens(const struct config *config)
{
    return number_of(config, FIELD_MAX_INPUT_TOKENS) + number_of(config, FIELD_MAX_OUTPUT_TOKENS);
}

static double context_need(const struct config *config, const struct rule *rule)
{
    double factor = rule->row->b && config->applies[rule->b] ? number_of(config, rule->b) : 1;
    return factor * request_tokens(config);
}

/* The positions an engine has: as written, else what it takes for requests of these lengths; infinite where it takes
 * what llem does not know. */
static double context_of(const struct config *config)
{
    int64_t written, in_flight;
    if (config_role_int(config, ROLE_CONTEXT, &written))
        return (double)written;
    const struct backend_context *context = backend_context(config->engine);
    if (context->rounds_to == 0)
        return INFINITY;
    double step = (double)context->rounds_to, each = ceil(request_tokens(config) / step) * step;
    bool shared = !context->per_sequence && config_role_int(config, ROLE_IN_FLIGHT, &in_flight);
    return shared ? each * (double)in_flight : each;
}

static bool kept(const struct config *config, const struct rule *rule)
{
    size_t a = rule->a, b = rule->b;
    switch (rule->row->kind) {
    case BACKEND_NEEDS:
        return !config->applies[b] || config_condition_holds(rule->row->other_is, config->values[b]->canonical);
    case BACKEND_EXCLUDES:
        return !(stands(config, a) && stands(config, b));
    case BACKEND_AT_LEAST:
        return !config->applies[b] || number_of(config, a) >= number_of(config, b);
    case BACKEND_HOLDS:
        return number_of(config, a) >= context_need(config, rule);
    case BACKEND_WITHIN:
        return number_of(config, a) <= context_of(config);
    case BACKEND_PRESENT:
        return config->applies[b];
    }
    return true;
}

static bool rule_kept(const struct config *config, const struct rule *rule)
{
    const struct backend_rule *row = rule->row;
    bool counts = config->applies[rule->a] && (!rule->engine || rule->engine == config->engine) &&
                  (!row->is || config_condition_holds(row->is, config->values[rule->a]->canonical)) &&
                  !(row->unless && config_condition_holds(row->unless, config->values[rule->unless]->canonical));
    return !counts || kept(config, rule);
}

/* --- In words ----------------------------------------------------------------------------------------------------- */

static char *condition_words(const struct backend_condition *condition)
{
    GString *out = g_string_new(condition->negated ? "other than " : condition->n == 0 ? "set" : "");
    for (size_t i = 0; i < condition->n; i++) {
        bool null = !strcmp(condition->values[i], "null");
        g_autofree char *plain = null ? g_strdup("not set") : config_plain_words(condition->values[i]);
        g_string_append_printf(out, "%s%s", i ? " or " : "", plain);
    }
    return g_string_free(out, FALSE);
}

static char *value_words(const struct config_value *value)
{
    return json_is_null(value->json) ? g_strdup("not set") : config_plain_words(value->canonical);
}

static char *rule_words(const struct config *config, const struct rule *rule)
{
    const struct backend_rule *row = rule->row;
    g_autofree char *a = value_words(config->values[rule->a]);
    g_autofree char *b = row->b ? value_words(config->values[rule->b]) : NULL;
    g_autofree char *wanted = row->other_is ? condition_words(row->other_is) : NULL;
    switch (row->kind) {
    case BACKEND_NEEDS:
        return g_strdup_printf("%s: %s needs %s to be %s; it is %s", row->a, a, row->b, wanted, b);
    case BACKEND_EXCLUDES:
        return g_strdup_printf("%s: %s and %s: %s exclude each other", row->a, a, row->b, b);
    case BACKEND_AT_LEAST:
        return g_strdup_printf("%s must be at least %s; they are %s and %s", row->a, row->b, a, b);
    case BACKEND_HOLDS:
        return g_strdup_printf("%s: %s is too small: %s%smax_input_tokens + max_output_tokens need %.0f", row->a, a,
                               row->b ? field_last_part(row->b) : "", row->b ? " times " : "",
                               context_need(config, rule));
    case BACKEND_WITHIN:
        return g_strdup_printf("%s: %s is more than the %.0f positions of the context", row->a, a, context_of(config));
    case BACKEND_PRESENT:
        return g_strdup_printf("%s: %s needs %s to be set", row->a, a, row->b);
    }
    return NULL;
}

/* The place of the value the user most likely wants to change: the one from the higher layer. */
static const struct diag_span *higher_place(const struct config_value *a, const struct config_value *b)
{
    const struct config_value *first = b->layer > a->layer ? b : a, *second = first == a ? b : a;
    const struct diag_span *place = value_place(first);
    return place ? place : value_place(second);
}

static void report_rule(const struct config *config, const struct rule *rule, struct diag *diag)
{
    g_autofree char *words = rule_words(config, rule);
    const struct config_value *a = config->values[rule->a];
    diag_add(diag, DIAG_ERROR, higher_place(a, rule->row->b ? config->values[rule->b] : a), "%s", words);
    if (rule->row->why)
        diag_hint(diag, "%s", rule->row->why);
}

/* --- What the engine cannot do -------------------------------------------------------------------------------------- */

/* A default that stands because nobody wrote anything asks for nothing, nor does the same value written out. */
static bool is_asked_in_vain(const struct config *config, const struct cannot *cannot)
{
    const char *value = config->values[cannot->field]->canonical;
    if (cannot->engine != config->engine || !config->applies[cannot->field])
        return false;
    return cannot->row->is ? config_condition_holds(cannot->row->is, value)
                           : strcmp(value, config->table->info[cannot->field].initial->canonical) != 0;
}

static void report_cannot(const struct config *config, const struct cannot *cannot, struct diag *diag)
{
    const struct config_value *value = config->values[cannot->field];
    g_autofree char *words = value_words(value);
    const char *engine = backend_name(config->engine);
    diag_add(diag, DIAG_ERROR, higher_place(value, config->values[FIELD_BACKEND]),
             "%s: %s needs backend to be other than %s; it is %s", cannot->row->field, words, engine, engine);
    diag_hint(diag, "%s", cannot->row->why);
    config_hint_backend(config, diag);
}

bool config_check_rules(const struct config *config, struct diag *diag)
{
    bool ok = true;
    const struct config_table *table = config->table;
    for (unsigned i = 0; i < table->rules->len; i++) {
        const struct rule *rule = &g_array_index(table->rules, struct rule, i);
        if (rule_kept(config, rule))
            continue;
        report_rule(config, rule, diag);
        ok = false;
    }
    for (unsigned i = 0; i < table->cannot->len; i++) {
        const struct cannot *cannot = &g_array_index(table->cannot, struct cannot, i);
        if (!is_asked_in_vain(config, cannot))
            continue;
        report_cannot(config, cannot, diag);
        ok = false;
    }
    return config_load_check(config, diag) && ok;
}

/* --- For the reference page ----------------------------------------------------------------------------------------- */

static char *context_describe(const struct backend *engine, const struct backend_rule *row)
{
    const struct backend_option *const *context, *const *in_flight;
    size_t n = backend_role(engine, ROLE_CONTEXT, &context), m = backend_role(engine, ROLE_IN_FLIGHT, &in_flight);
    g_autofree char *unless = row->unless ? condition_words(row->unless) : NULL;
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "`%s` is at most the positions of the context (`%s`, or what the lengths", row->a,
                           n ? context[0]->path : "");
    if (m && !backend_context(engine)->per_sequence)
        g_string_append_printf(out, " and `%s`", in_flight[0]->path);
    g_string_append(out, " need)");
    if (unless)
        g_string_append_printf(out, ", unless `%s` is %s", row->unless->field, unless);
    return g_string_free(out, FALSE);
}

static char *rule_describe(const struct rule *rule)
{
    const struct backend_rule *row = rule->row;
    g_autofree char *is = row->is ? condition_words(row->is) : g_strdup("");
    g_autofree char *wanted = row->other_is ? condition_words(row->other_is) : NULL;
    switch (row->kind) {
    case BACKEND_NEEDS:
        return g_strdup_printf("`%s` %s needs `%s` %s", row->a, is, row->b, wanted);
    case BACKEND_EXCLUDES:
        return g_strdup_printf("`%s` and `%s` exclude each other", row->a, row->b);
    case BACKEND_AT_LEAST:
        return g_strdup_printf("`%s` is at least `%s`", row->a, row->b);
    case BACKEND_HOLDS:
        return g_strdup_printf("`%s` is at least %s%s%s`max_input_tokens` + `max_output_tokens`%s", row->a,
                               row->b ? "`" : "", row->b ? field_last_part(row->b) : "", row->b ? "` × (" : "",
                               row->b ? ")" : "");
    case BACKEND_WITHIN:
        return context_describe(rule->engine, row);
    case BACKEND_PRESENT:
        return g_strdup_printf("`%s`%s%s needs `%s`", row->a, *is ? " " : "", is, row->b);
    }
    return NULL;
}

static void append_rule(GString *out, const char *words, const char *why)
{
    g_string_append_printf(out, "- %s%s%s.\n", words, why ? ": " : "", why ? why : "");
}

static void describe_cannot(const struct cannot *cannot, GString *out)
{
    g_autofree char *is = cannot->row->is ? condition_words(cannot->row->is) : g_strdup("");
    g_autofree char *words = g_strdup_printf("`%s`%s%s needs `backend` other than %s", cannot->row->field,
                                             *is ? " " : "", is, backend_name(cannot->engine));
    append_rule(out, words, cannot->row->why);
}

static void describe_replacing(const struct config_table *table, size_t i, GString *out)
{
    const char *option = table->rows[i].path, *field = table->rows[table->info[i].replaces].path;
    const char *quantization = backend_model(table->rows[i].engine)->quantization;
    g_string_append_printf(out,
                           "- `%s` and `%s` exclude each other. Where they come from different\n"
                           "  layers (a sweep over one, the file's fixed value for the other) the higher layer stands.\n",
                           option, field);
    if (quantization && !strcmp(quantization, option))
        g_string_append_printf(out,
                               "- With the path of a GGUF file as `model` each of the two is checked against the file\n"
                               "  where it is written; `%s` has no default there.\n",
                               field);
}

void rules_describe(const struct config_table *table, GString *out)
{
    for (unsigned i = 0; i < table->rules->len; i++) {
        const struct rule *rule = &g_array_index(table->rules, struct rule, i);
        g_autofree char *words = rule_describe(rule);
        append_rule(out, words, rule->row->why);
    }
    for (unsigned i = 0; i < table->cannot->len; i++)
        describe_cannot(&g_array_index(table->cannot, struct cannot, i), out);
    for (size_t i = CONFIG_SHARED_FIELDS; i < table->n; i++)
        if (table->info[i].replaces != NO_FIELD)
            describe_replacing(table, i, out);
}
