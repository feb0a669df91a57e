/* SPDX-License-Identifier: MIT */
/* The tables of docs/backends.md, from the descriptors. */
#include "backend/internal.h"

#include <string.h>

/* What engines have under names of their own, beside the shared fields: a role, or what `equivalents` may name. */
static const struct portable {
    const char *name, *unit, *meaning;
    int role; /* -1: none */
} portables[] = {
    {"model", NULL, "the model", -1},
    {"precision", NULL, "type of weights and arithmetic", -1},
    {"random_seed", NULL, "seed of sampling", -1},
    {"max_output_tokens", "tokens", "length of an answer", -1},
    {"decoder.temperature", NULL, "sampling temperature; 0 is greedy", -1},
    {"decoder.do_sample", NULL, "sampling at all", -1},
    {"decoder.top_k", "tokens", "among the k likeliest", -1},
    {"decoder.top_p", NULL, "among the likeliest of this probability", -1},
    {"decoder.min_p", NULL, "none below this fraction of the likeliest", -1},
    {"decoder.repetition_penalty", NULL, "divides scores of tokens that occurred", -1},
    {"decoder.ignore_eos", NULL, "answers of one length", -1},
    {"decoder.min_new_tokens", "tokens", "least length", -1},
    {"batch", "requests", "requests given together", ROLE_BATCH},
    {"in_flight", "sequences", "computed at once", ROLE_IN_FLIGHT},
    {"context", "tokens", "positions", ROLE_CONTEXT},
    {"threads", "threads", "CPU threads", ROLE_THREADS},
    {"devices", "devices", "that work together", ROLE_DEVICES},
    {"kv_type", NULL, "type of the KV cache", ROLE_KV_TYPE},
    {"gpu_layers", "layers", "layers on a GPU", ROLE_GPU_LAYERS},
    {"prefix_cache", NULL, "prompts served from a cache", ROLE_PREFIX_CACHE},
    {"chunk", "tokens", "computed in one step at most", -1},
    {"attention", NULL, "kernel of the attention", -1},
    {"quantization", NULL, "method of quantised weights", -1},
    {"compile", NULL, "compiled graphs", -1},
    {"speculation", NULL, "tokens guessed ahead", -1},
    {"offload", NULL, "weights outside the GPU", -1},
};

bool equivalent_is_known(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(portables); i++)
        if (portables[i].role < 0 && !strcmp(portables[i].name, name))
            return true;
    return false;
}

/* --- Portable names -------------------------------------------------------------------------------------------------- */

static void append_name(GString *out, const struct backend *b, const char *name)
{
    const struct backend_option *option = backend_option(b, name);
    bool words = strpbrk(name, " ") != NULL;
    g_string_append_printf(out, words ? "%s%s" : "%s`%s`", g_str_has_suffix(out->str, "| ") ? "" : ", ",
                           option ? option->path : name);
}

static void append_equivalents(GString *out, const struct backend *b, const struct portable *row)
{
    gsize before = out->len;
    const struct backend_option *const *options;
    size_t n = row->role < 0 ? 0 : backend_role(b, (enum backend_role)row->role, &options);
    for (size_t i = 0; i < n; i++)
        append_name(out, b, options[i]->name);
    for (unsigned i = 0; i < b->equivalents->len; i++) {
        const struct equivalent *e = &g_array_index(b->equivalents, struct equivalent, i);
        if (!strcmp(e->name, row->name))
            append_name(out, b, e->own);
    }
    if (out->len == before)
        g_string_append(out, "no equivalent");
}

static void append_portable(GString *out, const GPtrArray *engines)
{
    g_string_append(out, "<!-- table portable -->\n\n| ours | unit | meaning |");
    for (unsigned e = 0; e < engines->len; e++)
        g_string_append_printf(out, " %s |", backend_title(engines->pdata[e]));
    g_string_append(out, "\n|---|---|---|");
    for (unsigned e = 0; e < engines->len; e++)
        g_string_append(out, "---|");
    g_string_append_c(out, '\n');
    for (size_t i = 0; i < G_N_ELEMENTS(portables); i++) {
        const struct portable *row = &portables[i];
        bool field = false;
        for (const struct backend_shared_field *shared = backend_shared; shared->path; shared++)
            field |= !strcmp(shared->path, row->name);
        g_string_append_printf(out, field ? "| `%s` | %s | %s |" : "| %s | %s | %s |", row->name,
                               row->unit ? row->unit : "", row->meaning);
        for (unsigned e = 0; e < engines->len; e++) {
            g_string_append_c(out, ' ');
            append_equivalents(out, engines->pdata[e], row);
            g_string_append(out, " |");
        }
        g_string_append_c(out, '\n');
    }
    g_string_append(out, "\n<!-- end -->\n");
}

/* --- One engine -------------------------------------------------------------------------------------------------------- */

/* A version where it is known; else that which was looked at. */
static void append_since(GString *out, const struct backend *b, const char *since)
{
    if (since || !b->audited)
        g_string_append_printf(out, " | %s | ", since ? since : "");
    else
        g_string_append_printf(out, " | by %s | ", b->audited);
}

static void append_retired(GString *out, const struct backend *b)
{
    for (unsigned i = 0; i < b->retired->len; i++) {
        const struct backend_retired *row = &g_array_index(b->retired, struct backend_retired, i);
        g_string_append_printf(out, row->value ? "| `%s: %s`" : "| `%s`%s", row->path, row->value ? row->value : "");
        append_since(out, b, row->since);
        if (row->alias)
            g_string_append_printf(out, "`%s`: taken in its place |\n", row->alias);
        else if (row->field)
            g_string_append_printf(out, "`%s`: taken in its place in a file of this engine alone |\n", row->field);
        else
            g_string_append_printf(out, "%s |\n", row->text);
    }
    for (unsigned i = 0; i < b->unheeded->len; i++) {
        const struct backend_unheeded *row = &g_array_index(b->unheeded, struct backend_unheeded, i);
        g_string_append_printf(out, "| `%s` (environment)", row->name);
        append_since(out, b, row->since);
        g_string_append_printf(out, "%s |\n", row->text);
    }
}

static void append_rules(GString *out, const struct backend *b)
{
    for (unsigned i = 0; i < b->rules->len; i++) {
        const struct backend_rule *row = &g_array_index(b->rules, struct backend_rule, i);
        if (row->source)
            g_string_append_printf(out, "| %s `%s`%s%s%s%s | %s | %s |\n", backend_rule_kind_name(row->kind), row->a,
                                   row->b ? " `" : "", row->b ? row->b : "", row->b ? "`" : "",
                                   row->installed ? ", where the installed engine has them" : "",
                                   row->why ? row->why : "", row->source);
    }
}

static void append_engine(GString *out, const struct backend *b)
{
    g_autoptr(GString) rules = g_string_new(NULL);
    append_rules(rules, b);
    g_string_append_printf(out, "<!-- table %s.retired -->\n\n| written | gone or renamed since | write instead |\n|---|---|---|\n",
                           b->name);
    append_retired(out, b);
    g_string_append(out, "\n<!-- end -->\n");
    if (rules->len)
        g_string_append_printf(out,
                               "<!-- table %s.rules -->\n\n| rule | why | found in |\n|---|---|---|\n%s\n<!-- end -->\n",
                               b->name, rules->str);
}

char *backend_tables(const GPtrArray *engines)
{
    GString *out = g_string_new(NULL);
    append_portable(out, engines);
    for (unsigned e = 0; e < engines->len; e++)
        append_engine(out, engines->pdata[e]);
    return g_string_free(out, FALSE);
}
