/* SPDX-License-Identifier: MIT */
/* Before a study: which client, what dead owners left, which image. */
#include "runner/docker.h"

#include <string.h>

#define PULL_NS   (3600 * NS_PER_S) /* images of engines are tens of gigabytes */
#define AWAY_NS   (20 * NS_PER_S)   /* for a daemon to come back: it stops its containers before it is started again */
#define AWAY_STEP (200 * NS_PER_MS)

struct container_client *docker_client(struct docker *docker, GError **error)
{
    const char *wanted = docker->container.client ? docker->container.client : docker->wanted;
    if (!docker->client)
        docker->client = container_client_new(wanted, error);
    return docker->client;
}

/* Who hears what is being done. */
struct listener {
    runner_say_fn *say;
    void *data;
    const char *image;
};

G_GNUC_PRINTF(2, 3) static void tell(const struct listener *listener, const char *format, ...)
{
    if (!listener->say)
        return;
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    listener->say(text, listener->data);
}

static void tell_pull(const char *line, void *data)
{
    const struct listener *listener = data;
    tell(listener, "pulling %s: %s", listener->image, line);
}

/* Their figures are lost, and what they compute would disturb ours. One that cannot be removed is no reason not to
 * begin: it may be another user's. */
static void end_orphans(struct docker *docker, int interrupt_fd, const struct listener *listener)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;
    size_t n = 0;
    bool ok = container_sweep(docker->client, interrupt_fd, &n, &names, &error);
    g_autofree char *list = names ? g_strjoinv(", ", names) : NULL;
    if (n)
        tell(listener, "removed %zu container%s that a dead llem had left: %s", n, n == 1 ? "" : "s", list ? list : "");
    if (!ok && !interrupt_pending(interrupt_fd))
        tell(listener, "containers that a dead llem had left could not be removed: %s", error->message);
}

static bool pull(struct docker *docker, int interrupt_fd, struct listener *listener, GError **error)
{
    const char *image = docker->container.image;
    tell(listener, "pulling %s", image);
    return container_image_pull(docker->client, image, PULL_NS, interrupt_fd, tell_pull, listener, error) &&
           container_image_inspect(docker->client, image, interrupt_fd, &docker->image, error);
}

static bool settle_image(struct docker *docker, int interrupt_fd, struct listener *listener, GError **error)
{
    const char *policy = docker->container.pull ? docker->container.pull : "missing";
    g_autoptr(GError) why = NULL;
    if (!strcmp(policy, "always"))
        return pull(docker, interrupt_fd, listener, error);
    if (container_image_inspect(docker->client, docker->container.image, interrupt_fd, &docker->image, &why))
        return true;
    if (!strcmp(policy, "never") || !g_error_matches(why, LLEM_ERROR, LLEM_ERROR_IMAGE_MISSING)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return pull(docker, interrupt_fd, listener, error);
}

bool docker_prepare(void *state, int interrupt_fd, runner_say_fn *say, void *data, GError **error)
{
    struct docker *docker = state;
    struct listener listener = {say, data, docker->container.image};
    if (!docker->container.image) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "a container needs an image: write docker:IMAGE");
        return false;
    }
    if (docker->image.id)
        return true;
    if (!docker_client(docker, error) || !container_daemon(docker->client, error))
        return false;
    end_orphans(docker, interrupt_fd, &listener);
    return settle_image(docker, interrupt_fd, &listener, error);
}

bool docker_pin(void *state, int interrupt_fd, GError **error)
{
    struct docker *docker = state;
    return docker->image.id || (docker_client(docker, error) && container_daemon(docker->client, error) &&
                                container_image_inspect(docker->client, docker->container.image, interrupt_fd,
                                                        &docker->image, error));
}

/* A daemon that answered before and does not now: it was killed, or somebody restarts it. */
static bool is_away(const GError *error)
{
    return g_error_matches(error, LLEM_ERROR, LLEM_ERROR_DAEMON_DOWN) ||
           g_error_matches(error, LLEM_ERROR, LLEM_ERROR_DAEMON_LOST);
}

/* What the image's name means now. A daemon that is away is waited for: a run that began now would fail for nothing.
 * One that stays away is so for the runs to come, too. */
static bool look_again(struct docker *docker, int interrupt_fd, const struct listener *listener,
                       struct container_image *ret, GError **error)
{
    int64_t until_ns = docker->stays_away ? 0 : clock_mono_ns() + AWAY_NS;
    bool told = docker->stays_away;
    for (;;) {
        g_autoptr(GError) why = NULL;
        bool ok = container_image_inspect(docker->client, docker->container.image, interrupt_fd, ret, &why);
        bool away = is_away(why), late = clock_mono_ns() >= until_ns;
        if (!away || late || interrupt_pending(interrupt_fd)) {
            docker->stays_away = away && late;
            if (why)
                g_propagate_error(error, g_steal_pointer(&why));
            return ok;
        }
        if (!told)
            tell(listener, "%s; waiting up to %d s for it to come back", why->message, (int)(AWAY_NS / NS_PER_S));
        told = true;
        clock_sleep_until_ns(clock_mono_ns() + AWAY_STEP);
    }
}

/* Runs start from the image that was settled; that its name means another by now is told: it may not be meant. */
bool docker_name_image(struct docker *docker, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                       char **ret_warning, GError **error)
{
    const struct listener listener = {say, data, docker->container.image};
    const struct container_image *pinned = &docker->image;
    struct container_image now = {0};
    g_autoptr(GError) gone = NULL;
    if (!docker_prepare(docker, -1, NULL, NULL, error))
        return false;
    x->image = g_strdup(docker->container.image);
    x->image_id = g_strdup(pinned->id);
    x->image_digest = g_strdup(pinned->digest);
    x->image_labels = pinned->labels ? json_deep_copy(pinned->labels) : NULL;
    x->client = g_strdup(container_client_kind(docker->client));
    if (!look_again(docker, interrupt_fd, &listener, &now, &gone)) {
        if (!interrupt_pending(interrupt_fd))
            return true; /* its id may still be there, and if it is not the start says so */
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted by a signal");
        return false;
    }
    if (strcmp(now.id, pinned->id) != 0) {
        x->image_moved = g_strdup(now.id);
        *ret_warning = g_strdup_printf("%s is another image than when the study began (%s); this run starts from the "
                                       "first one, %s", docker->container.image, now.id, pinned->id);
    }
    container_image_clear(&now);
    return true;
}
