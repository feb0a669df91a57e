/* SPDX-License-Identifier: MIT */
/* The rows, and instances of them. */
#include "runner/rows.h"

#include <string.h>

static const struct runner_ops *const rows[] = {&runner_local, &runner_docker, &runner_podman};

const struct runner_ops *const *runner_rows(size_t *ret_n)
{
    *ret_n = G_N_ELEMENTS(rows);
    return rows;
}

static const struct runner_ops *find_row(const char *name, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!name || !strcmp(rows[i]->name, name))
            return rows[i];
        g_string_append_printf(names, "%s%s", i ? ", " : "", rows[i]->name);
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "there is no runner '%s'; there are: %s", name, names->str);
    return NULL;
}

struct runner *runner_new(const struct runner_options *options, GError **error)
{
    const struct runner_ops *ops = find_row(options->name, error);
    void *state = NULL;
    if (!ops || !ops->open(options, &state, error))
        return NULL;
    struct runner *runner = g_new0(struct runner, 1);
    *runner = (struct runner){.ops = ops,
                              .state = state,
                              .source = options->name ? options->source : "default",
                              .max_in_flight = ops->max_in_flight};
    return runner;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    runner->ops->close(runner->state);
    g_free(runner);
}

bool runner_prepare(const struct runner *runner, int interrupt_fd, runner_say_fn *say, void *data, GError **error)
{
    return !runner->ops->prepare || runner->ops->prepare(runner->state, interrupt_fd, say, data, error);
}

bool runner_pin(const struct runner *runner, int interrupt_fd, GError **error)
{
    return !runner->ops->prepare || runner->ops->pin(runner->state, interrupt_fd, error);
}

bool runner_place(const struct runner *runner, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                  struct runner_places **ret, GError **error)
{
    *ret = NULL;
    return !runner->ops->place || runner->ops->place(runner->state, x, interrupt_fd, say, data, ret, error);
}

const struct exchange_map *runner_places_map(const struct runner_places *places)
{
    return places ? &places->map : NULL;
}

void runner_places_free(const struct runner *runner, struct runner_places *places)
{
    if (places)
        runner->ops->places_free(places);
}

const struct runner_container *runner_container_of(const struct runner *runner)
{
    return runner->ops->container ? runner->ops->container(runner->state) : NULL;
}
