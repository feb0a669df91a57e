/* SPDX-License-Identifier: MIT */
/* Any bytes as an engine.json: a descriptor whose rows refer to one another, or located errors. */
#include "backend/backend.h"

#include "fuzz.h"

#include <string.h>

static void check_condition(const struct backend_condition *condition)
{
    for (size_t i = 0; condition && i < condition->n; i++) {
        g_autoptr(json_t) value = jsonx_parse(condition->values[i], -1, "value", NULL);
        g_assert(value);
    }
}

static void check_options(const struct backend *backend)
{
    const struct backend_option *options;
    size_t n = backend_options(backend, &options);
    for (size_t i = 0; i < n; i++) {
        const struct backend_option *option = &options[i];
        g_assert(backend_option(backend, option->path) == option && *option->help);
        g_assert(!option->follows || backend_option(backend, option->follows));
        g_assert((option->type == BACKEND_CHOICE) == (option->choices != NULL) && option->min <= option->max);
        for (size_t k = 0; k < option->n_when; k++)
            check_condition(&option->when[k]);
    }
}

static void check_rules(const struct backend *backend)
{
    const struct backend_rule *rules;
    size_t n = backend_rules(backend, &rules);
    for (size_t i = 0; i < n; i++) {
        g_assert(rules[i].a && backend_rule_kind_name(rules[i].kind));
        check_condition(rules[i].is);
        check_condition(rules[i].other_is);
        check_condition(rules[i].unless);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_backend) backend = backend_parse("fuzz.json", (const char *)data, size, "/engines/toy", diag);
    g_assert((backend != NULL) == (diag_errors(diag) == 0));
    g_autofree char *said = diag_render(diag, false);
    if (!backend)
        return 0;
    g_assert(!strcmp(backend_name(backend), "toy"));
    check_options(backend);
    check_rules(backend);
    return 0;
}
