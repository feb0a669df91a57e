/* SPDX-License-Identifier: MIT */
/* The command that starts a container, as docker and as podman want it said. Pure but for the env file. */
#include "container/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* What a user's own arguments may not say, since llem says it and relies on it. */
static const struct {
    const char *option;
    const char *reason;
} kept[] = {
    {"--name", "llem stops, kills and removes a container by the name it gives"},
    {"--rm", "llem says it: no container outlives its run"},
    {"--detach", "the end of the client is the end of the run"},
    {"-d", "the end of the client is the end of the run"},
    {"--restart", "a run is started once"},
    {"--pull", "images are pulled before a study, by `pull`, and pinned"},
    {"--entrypoint", "it is llem-worker"},
    {"--cidfile", "llem writes one"},
    {"--log-driver", "llem keeps a bounded log of its own; a driver's costs energy"},
    {"--sig-proxy", "an interrupt must reach the worker"},
    {"--attach", "llem reads what the client writes"},
    {"-a", "llem reads what the client writes"},
    {"--tty", "llem reads what the client writes"},
    {"-t", "llem reads what the client writes"},
    {"--interactive", "a run has no input"},
    {"-i", "a run has no input"},
    {"--gpus", "which boards a run has is said by `gpus`"},
    {"--user", "a container runs as whoever runs llem"},
    {"-u", "a container runs as whoever runs llem"},
    {"--env-file", "use `environment`"},
    {"--replace", "a name is never taken from another container"},
    {"--pidfile", "llem knows its containers by name"},
    {"--host", "only the daemon of this machine will do"},
    {"-H", "only the daemon of this machine will do"},
    {"--context", "only the daemon of this machine will do"},
    {"--", "arguments stand before the image, and llem names that"},
};

const char *container_argument_problem(const char *kind, const char *argument)
{
    (void)kind; /* the same for both so far: what podman lacks it says itself */
    size_t n = strcspn(argument, "=");
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (strlen(kept[i].option) == n && !strncmp(kept[i].option, argument, n))
            return kept[i].reason;
    return NULL;
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

static void add_extra(struct words *w, const struct container_dialect *dialect, const char *const *extra)
{
    for (; extra && *extra; extra++) {
        const char *problem = container_argument_problem(dialect->podman ? "podman" : "docker", *extra);
        if (problem)
            fail(w, "argument for the container", *extra, problem);
        add(w, *extra);
    }
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
    add_extra(w, dialect, spec->extra);
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

/* --- What must not be in a command line ------------------------------------------------------------------------ */

static bool env_text(const char *const *env, GString *text, GError **error)
{
    for (; env && *env; env++) {
        size_t name = strcspn(*env, "=");
        if (strpbrk(*env, "\n\r")) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                        "%.*s: its value has a line break, which cannot be handed to a container as a secret", (int)name,
                        *env);
            return false;
        }
        g_string_append_printf(text, "%s\n", *env);
    }
    return true;
}

static bool write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, text, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        text += done;
        n -= (size_t)done;
    }
    return true;
}

bool container_env_file_write(const char *path, const char *const *env, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!env_text(env, text, error))
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(error, "cannot create", path);
    bool ok = write_all(fd, text->str, text->len) || file_error(error, "cannot write", path);
    close(fd);
    if (!ok)
        unlink(path);
    return ok;
}
