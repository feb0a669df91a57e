/* SPDX-License-Identifier: MIT */
/* Asks the checks of whatever tables it is given, each once about each thing, and tells what was found. */
#include "preflight/rows.h"

#include <string.h>

struct preflight {
    const struct preflight_options *options;
    const struct preflight_check *const *tables;
    struct workload_library *library;
    void *places; /* of place.c */
    GDestroyNotify places_free;
    GHashTable *models;   /* preflight_model_name() → struct preflight_model */
    GHashTable *asked;    /* id and key → the finding in `findings` */
    GPtrArray *findings;  /* of struct preflight_finding */
    size_t cells, refused; /* looked at; of these, how many cannot run */
};

const char *preflight_verdict_name(enum preflight_verdict verdict)
{
    static const char *const names[] = {[PREFLIGHT_OK] = "ok",
                                        [PREFLIGHT_EVIDENCE] = "evidence",
                                        [PREFLIGHT_ABSENT] = "absent",
                                        [PREFLIGHT_LACKS] = "warning",
                                        [PREFLIGHT_REFUSES] = "refused",
                                        [PREFLIGHT_FAILS] = "failed"};
    return names[verdict];
}

static void finding_free(void *data)
{
    struct preflight_finding *finding = data;
    g_free(finding->about);
    g_free(finding->text);
    g_free(finding->hint);
    g_free(finding);
}

static void model_free(void *data)
{
    struct preflight_model *model = data;
    g_clear_error(&model->error);
    g_free(model->path);
    g_free(model);
}

struct preflight *preflight_new_with(const struct preflight_options *options,
                                     const struct preflight_check *const *tables)
{
    struct preflight *p = g_new0(struct preflight, 1);
    p->options = options;
    p->tables = tables;
    p->library = workload_library_new();
    p->models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, model_free);
    p->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    p->findings = g_ptr_array_new_with_free_func(finding_free);
    return p;
}

void preflight_free(struct preflight *p)
{
    if (!p)
        return;
    workload_library_free(p->library);
    if (p->places)
        p->places_free(p->places);
    g_hash_table_unref(p->models);
    g_hash_table_unref(p->asked);
    g_ptr_array_unref(p->findings);
    g_free(p);
}

/* --- What probes ask for ------------------------------------------------------------------------------------------- */

const struct preflight_options *preflight_options_of(const struct preflight *p)
{
    return p->options;
}

/* 0 is what nobody set. */
int preflight_interrupt_fd(const struct preflight *p)
{
    return p->options->interrupt_fd > 0 ? p->options->interrupt_fd : -1;
}

void **preflight_places(struct preflight *p, GDestroyNotify free)
{
    p->places_free = free;
    return &p->places;
}

struct workload_library *preflight_library(struct preflight *p)
{
    return p->library;
}

const struct backend *preflight_backend(const struct config *config)
{
    return backend_find(config_string(config, FIELD_BACKEND), NULL);
}

char *preflight_model_name(const struct config *config)
{
    const struct backend *backend = preflight_backend(config);
    const char *const forms[] = {"precision", backend ? backend_model(backend)->quantization : NULL};
    GString *name = g_string_new(NULL);
    g_string_append_printf(name, "%s for %s", config_string(config, FIELD_MODEL), config_string(config, FIELD_BACKEND));
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        const char *form = forms[i] ? json_string_value(config_value_at(config, forms[i])) : NULL;
        if (form)
            g_string_append_printf(name, ", %s %s", forms[i], form);
    }
    return g_string_free(name, FALSE);
}

static struct preflight_model *model_read(const struct config *config)
{
    struct preflight_model *model = g_new0(struct preflight_model, 1);
    g_auto(owned_resolved) resolved = {0};
    g_auto(owned_facts) facts = {0};
    if (!config_model(config, &resolved, &model->error))
        return model;
    model->path = g_strdup(resolved.path);
    if (resolved.format == WORKLOAD_FORMAT_GGUF && resolved.path &&
        workload_facts_read(resolved.path, &facts, &model->error)) {
        model->context_length = facts.context_length;
        model->adds_no_special = facts.adds_no_special;
    }
    return model;
}

const struct preflight_model *preflight_model(struct preflight *p, const struct config *config)
{
    g_autofree char *name = preflight_model_name(config);
    struct preflight_model *model = g_hash_table_lookup(p->models, name);
    if (!model) {
        model = model_read(config);
        g_hash_table_insert(p->models, g_steal_pointer(&name), model);
    }
    return model;
}

void preflight_find(struct preflight_finding *ret, enum preflight_verdict verdict, const struct diag_span *at,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    ret->verdict = verdict;
    ret->at = at ? *at : (struct diag_span){0};
    g_free(ret->text);
    ret->text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

/* --- Asking --------------------------------------------------------------------------------------------------------- */

/* Takes the key over. */
static const struct preflight_finding *ask(struct preflight *p, const struct preflight_check *check,
                                           const struct config *config, char *key)
{
    g_autofree char *name = g_strdup_printf("%s %s", check->id, key);
    struct preflight_finding *finding = g_hash_table_lookup(p->asked, name);
    if (finding) {
        g_free(key);
        return finding;
    }
    finding = g_new0(struct preflight_finding, 1);
    *finding = (struct preflight_finding){.id = check->id, .why = check->why, .remedy = check->remedy, .about = key};
    check->probe(&(struct preflight_question){p, config, key}, finding);
    if (check->evidence && finding->verdict != PREFLIGHT_ABSENT)
        finding->verdict = PREFLIGHT_EVIDENCE;
    g_ptr_array_add(p->findings, finding);
    g_hash_table_insert(p->asked, g_steal_pointer(&name), finding);
    return finding;
}

static bool is_asked(const struct preflight *p, const struct preflight_check *check)
{
    return (!check->thorough || p->options->thorough) && !interrupt_pending(preflight_interrupt_fd(p));
}

/* Asks a row about everything it asks about, unless somebody waits for the end; the first finding that refuses, or
 * NULL. */
static const struct preflight_finding *ask_row(struct preflight *p, const struct preflight_check *check,
                                               const struct config *config)
{
    const struct preflight_finding *refusal = NULL;
    char *key;
    for (size_t n = 0; is_asked(p, check) && (key = check->key(p, config, n)); n++) {
        const struct preflight_finding *finding = ask(p, check, config, key);
        if (!refusal && finding->verdict == PREFLIGHT_REFUSES)
            refusal = finding;
    }
    return refusal;
}

/* Asks all rows; false: one of them refuses. */
static bool ask_all(struct preflight *p, const struct config *config)
{
    bool ok = true;
    for (const struct preflight_check *const *table = p->tables; *table; table++)
        for (const struct preflight_check *check = *table; check->id; check++)
            ok &= !ask_row(p, check, config);
    return ok;
}

const struct preflight_finding *preflight_first_refusal(struct preflight *p,
                                                        const struct preflight_check *const *tables,
                                                        const struct config *config)
{
    const struct preflight_finding *refusal = NULL;
    for (; !refusal && *tables; tables++)
        for (const struct preflight_check *check = *tables; !refusal && check->id; check++)
            refusal = ask_row(p, check, config);
    return refusal;
}

void preflight_look(struct preflight *p, const struct config *config)
{
    p->cells++;
    p->refused += !ask_all(p, config);
}

void preflight_look_at_plan(struct preflight *p, const struct plan *plan)
{
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        preflight_look(p, config);
    }
}

void preflight_look_at_machine(struct preflight *p)
{
    ask_all(p, NULL);
}

/* --- Telling -------------------------------------------------------------------------------------------------------- */

size_t preflight_findings(const struct preflight *p, const struct preflight_finding *const **ret)
{
    *ret = (const struct preflight_finding *const *)p->findings->pdata;
    return p->findings->len;
}

int preflight_severity(const struct preflight *p, const struct preflight_finding *finding)
{
    switch (finding->verdict) {
    case PREFLIGHT_LACKS: return DIAG_WARNING;
    case PREFLIGHT_REFUSES: return p->refused == p->cells ? DIAG_ERROR : DIAG_WARNING;
    case PREFLIGHT_FAILS: return DIAG_ERROR;
    default: return -1;
    }
}

static void tell(const struct preflight *p, const struct preflight_finding *finding, struct diag *diag)
{
    diag_add(diag, (enum diag_severity)preflight_severity(p, finding), finding->at.source ? &finding->at : NULL,
             "%s", finding->text);
    if (finding->hint)
        diag_hint(diag, "%s", finding->hint);
}

/* True if it is told, and no other with its words at its place comes before it. */
static bool is_told(const struct preflight *p, guint i)
{
    const struct preflight_finding *finding = p->findings->pdata[i];
    if (preflight_severity(p, finding) < 0)
        return false;
    for (guint k = 0; k < i; k++) {
        const struct preflight_finding *other = p->findings->pdata[k];
        if (preflight_severity(p, other) >= 0 && !strcmp(other->text, finding->text) &&
            other->at.line == finding->at.line && other->at.column == finding->at.column)
            return false;
    }
    return true;
}

/* What cells are refused for comes last: it is about them, not about the machine. */
void preflight_report(const struct preflight *p, struct diag *diag)
{
    diag_number(diag);
    for (int refusals = 0; refusals < 2; refusals++)
        for (guint i = 0; i < p->findings->len; i++) {
            const struct preflight_finding *finding = p->findings->pdata[i];
            if (is_told(p, i) && (finding->verdict == PREFLIGHT_REFUSES) == refusals)
                tell(p, finding, diag);
        }
}
