/* SPDX-License-Identifier: MIT */
/* Checks of whoever runs the runs: its own rows. */
#include "preflight/rows.h"

#include <string.h>

/* Of the engine of a cell; of the machine: what everything is run by that says nothing else. */
static const struct runner *runner_of(const struct preflight *p, const struct config *config)
{
    const struct dispatch *d = preflight_options_of(p)->dispatch;
    if (!d)
        return NULL;
    return config ? dispatch_runner(d, config_string(config, FIELD_BACKEND)) : dispatch_local(d);
}

/* "local: runner.worker": the runner's nth check. */
static char *runner_key(struct preflight *p, const struct config *config, size_t nth)
{
    const struct runner *runner = runner_of(p, config);
    const struct runner_check *check = runner ? runner->ops->checks : NULL;
    for (size_t i = 0; check && check->id && i < nth; i++)
        check++;
    return check && check->id ? g_strdup_printf("%s: %s", runner->ops->name, check->id) : NULL;
}

static const struct runner_check *find_check(const struct runner *runner, const char *about)
{
    const struct runner_check *check = runner->ops->checks;
    while (!g_str_has_suffix(about, check->id))
        check++;
    return check;
}

static void probe_runner(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct runner *runner = runner_of(q->preflight, q->config);
    if (!runner) /* then there was no key */
        return;
    const struct runner_check *check = find_check(runner, q->about);
    g_autoptr(GError) error = NULL;
    ret->id = check->id;
    g_free(ret->about); /* and q->about with it */
    ret->about = g_strdup(runner->ops->name);
    ret->why = check->why;
    ret->remedy = check->remedy;
    if (check->probe(runner->state, &error)) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "can be started");
        return;
    }
    preflight_find(ret, PREFLIGHT_FAILS, NULL, "%s", error->message);
    ret->hint = g_strdup(check->remedy);
}

const struct preflight_check preflight_runner_rows[] = {
    {.id = "runner", .key = runner_key, .probe = probe_runner},
    {0},
};
