/* SPDX-License-Identifier: MIT */
/* The command that starts a container, as docker and as podman want it said. Pure. */
#include "container/internal.h"

#include <inttypes.h>
#include <string.h>

/* What a user's own arguments may not say, since llem says it and relies on it. prefix: of the value; NULL: any. */
static const struct {
    const char *option, *prefix, *reason;
} kept[] = {
    {"--name", NULL, "llem stops, kills and removes a container by the name it gives"},
    {"--rm", NULL, "llem says it: no container outlives its run"},
    {"--detach", NULL, "the end of the client is the end of the run"},
    {"--restart", NULL, "a run is started once"},
    {"--pull", NULL, "images are pulled before a study, by `pull`, and pinned"},
    {"--entrypoint", NULL, "it is llem-worker"},
    {"--workdir", NULL, "it is the home that llem mounts"},
    {"--cidfile", NULL, "llem writes one"},
    {"--log-driver", NULL, "llem keeps a bounded log of its own; a driver's costs energy"},
    {"--sig-proxy", NULL, "an interrupt must reach the worker"},
    {"--attach", NULL, "llem reads what the client writes"},
    {"--tty", NULL, "llem reads what the client writes"},
    {"--interactive", NULL, "a run has no input"},
    {"--init", NULL, "llem says it"},
    {"--gpus", NULL, "which boards a run has is said by `gpus`"},
    {"--device", "nvidia.com/gpu", "which boards a run has is said by `gpus`"},
    {"--device", "/dev/nvidia", "which boards a run has is said by `gpus`"},
    {"--runtime", NULL, "it may give boards that are not the run's: which it has is said by `gpus`"},
    {"--user", NULL, "a container runs as whoever runs llem"},
    {"--userns", NULL, "a container runs as whoever runs llem"},
    {"--pid", NULL, "llem ends a container by the processes that are its own"},
    {"--env", NULL, "use `environment`, which keeps secrets out of command lines and results"},
    {"--env-file", NULL, "use `environment`, which keeps secrets out of command lines and results"},
    {"--label", NULL, "by its labels llem knows whose a container is"},
    {"--label-file", NULL, "by its labels llem knows whose a container is"},
    {"--shm-size", NULL, "use `shm_size`"},
    {"--memory", NULL, "use `memory`"},
    {"--cpus", NULL, "use `cpus`"},
    {"--ipc", NULL, "use `ipc`"},
    {"--network", NULL, "use `network`"},
    {"--net", NULL, "use `network`"},
    {"--ulimit", NULL, "use `ulimits`"},
    {"--volume", NULL, "use `mounts`"},
    {"--replace", NULL, "a name is never taken from another container"},
    {"--pidfile", NULL, "llem knows its containers by name"},
    {"--host", NULL, "only the daemon of this machine will do"},
    {"--context", NULL, "only the daemon of this machine will do"},
};

/* Those that stand without a value. Any other would take the next word for it, which is llem's. */
static const char *const valueless[] = {"--privileged",   "--read-only", "--no-healthcheck", "--oom-kill-disable",
                                        "--publish-all",  "--no-hosts",  "--quiet",          "--systemd",
                                        "--use-api-socket"};

static bool is_valueless(const char *option)
{
    for (size_t i = 0; i < G_N_ELEMENTS(valueless); i++)
        if (!strcmp(valueless[i], option))
            return true;
    return false;
}

const char *container_argument_problem(const char *kind, const char *argument)
{
    (void)kind; /* the same for both so far: what podman lacks it says itself */
    size_t n = strcspn(argument, "=");
    const char *value = argument[n] ? argument + n + 1 : NULL;
    if (!g_str_has_prefix(argument, "--") || n == 2)
        return "write the long name of the option, --name=value: short ones can be joined, and hide what they say";
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (strlen(kept[i].option) == n && !strncmp(kept[i].option, argument, n) &&
            (!kept[i].prefix || (value && g_str_has_prefix(value, kept[i].prefix))))
            return kept[i].reason;
    return value || is_valueless(argument) ? NULL : "write its value in the same text: --name=value";
}

/* --- Words ----------------------------------------------------------------------------------------------------- */

struct words {
    GPtrArray *all;
    GError *error;
};

static void fail(struct words *w, const char *what, const char *value, const char *why)
{
    if (!w->error)
        g_set_error(&w->error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s '%s': %s", what, value, why);
}

static void add(struct words *w, const char *word)
{
    g_ptr_array_add(w->all, g_strdup(word));
}

static void add_value(struct words *w, const char *option, const char *value)
{
    if (!value)
        return;
    add(w, option);
    add(w, value);
}

static void add_each(struct words *w, const char *option, const char *const *values)
{
    for (; values && *values; values++)
        add_value(w, option, *values);
}

/* A value of a list that the client reads as one line of CSV. */
static char *csv(const char *value)
{
    if (!strpbrk(value, ",\""))
        return g_strdup(value);
    g_auto(GStrv) parts = g_strsplit(value, "\"", -1);
    g_autofree char *doubled = g_strjoinv("\"\"", parts);
    return g_strconcat("\"", doubled, "\"", NULL);
}

static void add_mount(struct words *w, const struct container_mount *mount)
{
    const char *const paths[] = {mount->host, mount->inside};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        if (paths[i][0] != '/')
            fail(w, "path to mount", paths[i], "it must begin with /");
        if (strpbrk(paths[i], "\n\r"))
            fail(w, "path to mount", paths[i], "neither docker nor podman takes one with a line break");
    }
    g_autofree char *from = g_strconcat("src=", mount->host, NULL), *to = g_strconcat("dst=", mount->inside, NULL);
    g_autofree char *from_cell = csv(from), *to_cell = csv(to);
    g_autofree char *text =
        g_strjoin(",", "type=bind", from_cell, to_cell, mount->writable ? NULL : "readonly", NULL);
    add_value(w, "--mount", text);
}

/* --- Parts ----------------------------------------------------------------------------------------------------- */

/* docker's own option hands the boards and what they are for to NVIDIA's hook, by UUID; podman ignores that option
 * without a word, so it gets devices of a CDI spec. An image may ask for all boards by itself, which a default runtime
 * of NVIDIA's heeds: where a run has none, none is said. */
static void add_gpus(struct words *w, const struct container_dialect *dialect, const char *const *gpus)
{
    if (!gpus || !*gpus) {
        add_value(w, "--env", "NVIDIA_VISIBLE_DEVICES=void");
        return;
    }
    for (const char *const *gpu = gpus; *gpu; gpu++)
        if (!**gpu || strpbrk(*gpu, ",\"= \n"))
            fail(w, "board", *gpu, "a UUID has letters, digits, - and / alone");
    if (!dialect->podman) {
        g_autofree char *list = g_strjoinv(",", (char **)(uintptr_t)gpus);
        g_autofree char *value = g_strdup_printf("\"device=%s\",\"capabilities=compute,utility\"", list);
        add_value(w, "--gpus", value);
        return;
    }
    for (const char *const *gpu = gpus; *gpu; gpu++) {
        g_autofree char *device = g_strconcat("nvidia.com/gpu=", *gpu, NULL);
        add_value(w, "--device", device);
    }
}

/* Without root of the host the caller is uid 0 inside docker's, and whom we say in podman's; the numbers of other
 * groups mean nothing there. */
static void add_user(struct words *w, const struct container_dialect *dialect, const struct container_spec *spec)
{
    if (dialect->rootless && !dialect->podman) {
        add_value(w, "--user", spec->user ? "0:0" : NULL);
        return;
    }
    add_value(w, "--userns", dialect->rootless && spec->user ? "keep-id" : NULL);
    add_value(w, "--user", spec->user);
    add_each(w, "--group-add", dialect->rootless ? NULL : spec->groups);
}

/* A limit that is taken and not heeded would make a figure of something else. */
static void add_limit(struct words *w, const struct container_dialect *dialect, const char *option, const char *value)
{
    if (value && dialect->limitless)
        fail(w, option, value, "without root, and with cgroups of version 1, no such limit is heeded");
    add_value(w, option, value);
}

static void add_surroundings(struct words *w, const struct container_dialect *dialect,
                             const struct container_spec *spec)
{
    add_value(w, "--hostname", spec->network && !strcmp(spec->network, "host") ? NULL : spec->hostname);
    add_value(w, "--network", spec->network);
    add_value(w, "--ipc", spec->ipc);
    g_autofree char *shm = g_strdup_printf("%" PRId64, spec->shm_bytes);
    add_value(w, "--shm-size", spec->shm_bytes && !(spec->ipc && !strcmp(spec->ipc, "host")) ? shm : NULL);
    add_limit(w, dialect, "--memory", spec->memory);
    add_limit(w, dialect, "--cpus", spec->cpus);
    add_each(w, "--ulimit", spec->ulimits);
    if (dialect->selinux) /* else no folder of the host can be read inside; relabelling would change the host's files */
        add_value(w, "--security-opt", "label=disable");
    if (spec->read_only)
        add(w, "--read-only");
}

static void add_program(struct words *w, const struct container_spec *spec)
{
    add_value(w, "--workdir", spec->workdir);
    add_value(w, "--entrypoint", spec->entrypoint);
    if (!spec->image_id || !*spec->image_id || spec->image_id[0] == '-')
        fail(w, "image", spec->image_id ? spec->image_id : "", "this is no name of an image");
    else
        add(w, spec->image_id);
    for (const char *const *word = spec->arguments; word && *word; word++)
        add(w, *word);
}

static void add_all(struct words *w, const struct container_dialect *dialect, const struct container_spec *spec)
{
    add(w, "run");
    if (spec->remove)
        add(w, "--rm");
    if (spec->init)
        add(w, "--init");
    add_value(w, "--pull", "never");
    add_value(w, "--log-driver", "none");
    add_value(w, "--name", spec->name);
    add_value(w, "--cidfile", spec->cid_file);
    add_each(w, "--label", spec->labels);
    add_user(w, dialect, spec);
    add_surroundings(w, dialect, spec);
    for (size_t i = 0; i < spec->n_mounts; i++)
        add_mount(w, &spec->mounts[i]);
    add_value(w, "--env-file", spec->env_file);
    add_each(w, "--env", spec->env);
    add_gpus(w, dialect, spec->gpus);
    for (const char *const *word = spec->extra; word && *word; word++)
        add(w, *word);
    add_program(w, spec);
}

char **container_argv(const char *program, const struct container_dialect *dialect, const struct container_spec *spec,
                      GError **error)
{
    struct words w = {g_ptr_array_new_with_free_func(g_free), NULL};
    add(&w, program);
    add_all(&w, dialect, spec);
    g_ptr_array_add(w.all, NULL);
    if (w.error) {
        g_propagate_error(error, w.error);
        g_ptr_array_unref(w.all);
        return NULL;
    }
    g_ptr_array_set_free_func(w.all, NULL);
    return (char **)g_ptr_array_free(w.all, FALSE);
}

char **container_run_argv(struct container_client *client, const struct container_spec *spec, GError **error)
{
    const struct container_daemon *daemon = container_daemon(client, error);
    if (!daemon)
        return NULL;
    const struct container_dialect dialect = {client->podman, daemon->rootless, daemon->selinux,
                                              daemon->rootless && !strcmp(daemon->cgroup, "1")};
    return container_argv(client->path, &dialect, spec, error);
}
