/* SPDX-License-Identifier: MIT */
/* Rules between options: five kinds, each with the members it needs. */
#include "backend/internal.h"

#include <string.h>

/* What a kind may have beside option, is, unless, why and source; and what it must have. */
enum part { OTHER = 1 << 0, OTHER_IS = 1 << 1, HOLDS = 1 << 2, WITHIN = 1 << 3, TIMES = 1 << 4 };

static const struct kind_row {
    const char *name;
    enum backend_rule_kind kind;
    unsigned needs, may;
    bool numeric;
} kinds[] = {
    {"needs", BACKEND_NEEDS, OTHER | OTHER_IS, 0, false},
    {"excludes", BACKEND_EXCLUDES, OTHER, 0, false},
    {"at_least", BACKEND_AT_LEAST, OTHER, 0, true},
    {"fits", BACKEND_HOLDS, HOLDS, TIMES, true},
    {"fits", BACKEND_WITHIN, WITHIN, 0, true},
    {"present", BACKEND_PRESENT, OTHER, 0, false},
};

const char *backend_rule_kind_name(enum backend_rule_kind kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return NULL;
}

static const char *const kind_names[] = {"needs", "excludes", "at_least", "fits", "present", NULL};
static const char *const requests[] = {"requests", NULL};
static const char *const context[] = {"context", NULL};

struct raw {
    int kind, holds, within;
    const struct doc_node *option, *is, *other, *other_is, *times, *unless;
    const char *why, *source;
    bool installed;
};

static const struct member members[] = {
    {"kind", true, read_word, offsetof(struct raw, kind), kind_names},
    {"option", true, read_node, offsetof(struct raw, option), NULL},
    {"is", false, read_node, offsetof(struct raw, is), NULL},
    {"other", false, read_node, offsetof(struct raw, other), NULL},
    {"other_is", false, read_node, offsetof(struct raw, other_is), NULL},
    {"holds", false, read_word, offsetof(struct raw, holds), requests},
    {"within", false, read_word, offsetof(struct raw, within), context},
    {"times", false, read_node, offsetof(struct raw, times), NULL},
    {"unless", false, read_node, offsetof(struct raw, unless), NULL},
    {"why", false, read_text, offsetof(struct raw, why), NULL},
    {"source", false, read_text, offsetof(struct raw, source), NULL},
    {"installed", false, read_flag, offsetof(struct raw, installed), NULL},
    {0},
};

static unsigned parts_of(const struct raw *raw)
{
    return (raw->other ? OTHER : 0) | (raw->other_is ? OTHER_IS : 0) | (raw->holds >= 0 ? HOLDS : 0) |
           (raw->within >= 0 ? WITHIN : 0) | (raw->times ? TIMES : 0);
}

/* The row whose members these are. */
static const struct kind_row *kind_of(const struct raw *raw)
{
    unsigned parts = parts_of(raw);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const struct kind_row *row = &kinds[i];
        if (!strcmp(row->name, kind_names[raw->kind]) && (parts & row->needs) == row->needs &&
            !(parts & ~(row->needs | row->may)))
            return row;
    }
    return NULL;
}

static const char *members_words(const char *kind)
{
    static const struct {
        const char *kind, *words;
    } rows[] = {
        {"needs", "'other' and 'other_is'"},
        {"excludes", "'other'"},
        {"at_least", "'other'"},
        {"fits", "'holds' (and perhaps 'times') or 'within'"},
        {"present", "'other'"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].kind, kind))
            return rows[i].words;
    return "";
}

static const struct backend_condition *condition_of(struct reading *r, const struct doc_node *node, const char *what,
                                                    const struct field_ref *field)
{
    struct backend_condition *condition = keep_block(r->backend, g_new0(struct backend_condition, 1));
    return read_condition(r, node, what, field, condition) ? condition : NULL;
}

/* BACKEND_ANY: of what only the installed engine knows. */
static bool is_number(const struct field_ref *field)
{
    return field->type == BACKEND_INT || field->type == BACKEND_REAL || (field->type == BACKEND_ANY && !field->option);
}

/* What every kind has, and the fields they speak of. */
static bool take_fields(struct reading *r, const struct doc_node *node, const struct kind_row *kind,
                        const struct raw *raw, struct backend_rule *rule)
{
    struct field_ref (*read)(struct reading *, const struct doc_node *, const char *) =
        raw->installed ? read_field_or_argument : read_field;
    struct field_ref a = read(r, raw->option, "option");
    const struct doc_node *second = raw->other ? raw->other : raw->times;
    struct field_ref b = second ? read(r, second, raw->other ? "other" : "times") : (struct field_ref){0};
    if (!a.path || (second && !b.path))
        return false;
    if (kind->numeric && (!is_number(&a) || (second && !is_number(&b)))) {
        read_error(r, node, NULL, "rule %s: it compares numbers; '%s' is none", kind->name,
                   is_number(&a) ? b.path : a.path);
        return false;
    }
    rule->a = a.path;
    rule->b = b.path;
    rule->is = raw->is ? condition_of(r, raw->is, "is", &a) : NULL;
    rule->other_is = raw->other_is ? condition_of(r, raw->other_is, "other_is", &b) : NULL;
    return true;
}

static void read_rule(struct reading *r, const struct doc_node *node)
{
    struct raw raw = {.kind = -1, .holds = -1, .within = -1};
    if (!read_members(r, node, "rule", members, &raw) || raw.kind < 0 || !raw.option)
        return;
    const struct kind_row *kind = kind_of(&raw);
    if (!kind) {
        read_error(r, node, NULL, "rule: kind %s goes with %s", kind_names[raw.kind],
                   members_words(kind_names[raw.kind]));
        return;
    }
    struct backend_rule rule = {.kind = kind->kind, .why = raw.why, .source = raw.source,
                                .installed = raw.installed, .at = node->at};
    rule.at.source = r->backend->file;
    size_t n = 0;
    const struct backend_condition *unless = raw.unless ? read_conditions(r, raw.unless, "unless", &n) : NULL;
    if (n > 1)
        read_error(r, raw.unless, NULL, "unless: one field");
    rule.unless = n ? unless : NULL;
    if (kind->kind == BACKEND_WITHIN && !r->backend->has_context)
        read_error(r, node, NULL, "rule: 'within' needs the role context");
    else if (take_fields(r, node, kind, &raw, &rule))
        g_array_append_val(r->backend->rules, rule);
}

void read_rules(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    (void)into;
    read_each(r, node, member->name, read_rule);
}
