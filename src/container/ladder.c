/* SPDX-License-Identifier: MIT */
/* Ending containers by name, whoever started them and whether or not that one lives; and what their ends were. */
#include "container/internal.h"

#include <inttypes.h>
#include <string.h>

#define MOST_CODE 255 /* of an exit code */
#define KILL_NS   (30 * NS_PER_S)
#define PAUSE_NS  (5 * NS_PER_S) /* somebody waits at a terminal */
#define GONE_NS   (15 * NS_PER_S) /* for a removal that somebody else began */
#define GONE_STEP (50 * NS_PER_MS)

/* --- The ladder ------------------------------------------------------------------------------------------------ */

/* One of its steps; a container that is not there, or does not run, is what was wanted. */
static bool step(struct container_client *client, const char *const *arguments, int64_t timeout_ns, const char *verb,
                 const char *name, GError **error)
{
    struct container_output output;
    if (!container_command(client, arguments, timeout_ns, &output, error))
        return false;
    g_autofree char *doing = g_strdup_printf("cannot %s container %s", verb, name);
    bool ok = output.exit_code == 0 || client_says_absent(output.err) ||
              container_command_error(client, &output, doing, error);
    container_output_clear(&output);
    return ok;
}

static bool still(struct container_client *client, const char *verb, const char *name, int interrupt_fd, GError **error)
{
    const char *const words[] = {verb, name, NULL};
    struct container_output output;
    if (!container_command_until(client, words, PAUSE_NS, interrupt_fd, &output, error))
        return false;
    g_autofree char *doing = g_strdup_printf("cannot %s container %s", verb, name);
    bool ok = output.exit_code == 0 || container_command_error(client, &output, doing, error);
    container_output_clear(&output);
    return ok;
}

bool container_pause(struct container_client *client, const char *name_or_id, GError **error)
{
    return still(client, "pause", name_or_id, -1, error);
}

bool container_unpause(struct container_client *client, const char *name_or_id, GError **error)
{
    return still(client, "unpause", name_or_id, -1, error);
}

/* docker's daemon lets a paused container go on when it is to be stopped; podman takes it for one that does not run. */
static void let_go_on(struct container_client *client, const char *name_or_id, int interrupt_fd)
{
    if (client->podman)
        still(client, "unpause", name_or_id, interrupt_fd, NULL);
}

bool container_stop(struct container_client *client, const char *name_or_id, int grace_s, GError **error)
{
    g_autofree char *seconds = g_strdup_printf("%d", MAX(grace_s, 0));
    let_go_on(client, name_or_id, -1);
    return step(client, (const char *const[]){"stop", "-t", seconds, name_or_id, NULL},
                MAX(grace_s, 0) * NS_PER_S + KILL_NS, "stop", name_or_id, error);
}

bool container_kill(struct container_client *client, const char *name_or_id, const char *signal, GError **error)
{
    let_go_on(client, name_or_id, -1);
    return step(client, (const char *const[]){"kill", "--signal", signal ? signal : "KILL", name_or_id, NULL}, KILL_NS,
                "kill", name_or_id, error);
}

static bool exists(struct container_client *client, const char *name, bool *ret, bool *ret_running, GError **error)
{
    struct container_output output;
    if (!container_command(client,
                           (const char *const[]){"container", "inspect", "--format", "{{.State.Running}}", name, NULL},
                           CONTAINER_ASK_NS, &output, error))
        return false;
    g_autofree char *doing = g_strdup_printf("cannot look at container %s", name);
    *ret = output.exit_code == 0;
    *ret_running = *ret && g_str_has_prefix(output.out, "true");
    bool ok = *ret || client_says_absent(output.err) || container_command_error(client, &output, doing, error);
    container_output_clear(&output);
    return ok;
}

static bool wait_gone(struct container_client *client, const char *name, GError **error)
{
    int64_t until_ns = clock_mono_ns() + GONE_NS;
    for (;;) {
        bool there, running;
        if (!exists(client, name, &there, &running, error))
            return false;
        if (!there)
            return true;
        if (clock_mono_ns() >= until_ns)
            break;
        clock_sleep_until_ns(clock_mono_ns() + GONE_STEP);
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER, "container %s is still there although it is being removed", name);
    return false;
}

bool container_remove(struct container_client *client, const char *name_or_id, GError **error)
{
    /* podman would first wait for its stop signal to be heeded */
    const char *const docker[] = {"rm", "--force", "--volumes", name_or_id, NULL};
    const char *const podman[] = {"rm", "--force", "--volumes", "--time", "0", name_or_id, NULL};
    struct container_output output;
    if (!container_command(client, client->podman ? podman : docker, KILL_NS, &output, error))
        return false;
    bool gone = output.exit_code == 0 || client_says_absent(output.err);
    bool going = !gone && strstr(output.err, "already in progress");
    g_autofree char *doing = g_strdup_printf("cannot remove container %s", name_or_id);
    bool ok = gone || going || container_command_error(client, &output, doing, error);
    container_output_clear(&output);
    return ok && (!going || wait_gone(client, name_or_id, error));
}

bool container_is_running(struct container_client *client, const char *name_or_id, bool *ret, GError **error)
{
    bool there;
    return exists(client, name_or_id, &there, ret, error);
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

static char *stamp(int64_t wall_ns)
{
    return g_strdup_printf("%" PRId64 ".%09" PRId64, wall_ns / NS_PER_S, wall_ns % NS_PER_S);
}

static int64_t event_code(const json_t *event)
{
    const char *text = json_string_value(jsonx_at(event, "Actor.Attributes.exitCode"));
    const json_t *number = json_object_get(event, "ContainerExitCode");
    int64_t code = -1;
    if (json_is_integer(number))
        code = json_integer_value(number);
    if (!json_is_integer(number) && text && !num_parse_int(text, 0, MOST_CODE, &code, NULL))
        code = -1;
    return code >= 0 && code <= MOST_CODE ? code : -1;
}

static int64_t event_time(const json_t *event)
{
    const json_t *nano = json_object_get(event, "timeNano");
    const char *text = json_string_value(json_object_get(event, "Time"));
    if (json_is_integer(nano))
        return json_integer_value(nano);
    g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;
    int64_t seconds = time ? g_date_time_to_unix(time) : 0;
    bool sane = seconds > 0 && seconds < INT64_MAX / NS_PER_S;
    return sane ? seconds * NS_PER_S + g_date_time_get_microsecond(time) * NS_PER_US : 0;
}

static void read_event(const json_t *event, struct container_end *ret)
{
    const char *action = json_string_value(json_object_get(event, "Action"));
    if (!action)
        action = json_string_value(json_object_get(event, "Status"));
    if (!action)
        return;
    ret->forgotten = false;
    if (!strcmp(action, "start")) {
        ret->started = true;
        ret->start_ns = event_time(event);
    } else if (!strcmp(action, "oom")) {
        ret->oom = true;
    } else if (!strcmp(action, "die") || !strcmp(action, "died")) {
        ret->died = true;
        ret->exit_code = (int)event_code(event);
        ret->die_ns = event_time(event);
    }
}

void container_events_read(const char *text, struct container_end *ret)
{
    *ret = (struct container_end){.exit_code = -1, .forgotten = true};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_autoptr(json_t) event = **line ? jsonx_parse(*line, -1, "event", NULL) : NULL;
        if (event)
            read_event(event, ret);
    }
}

bool container_events(struct container_client *client, const char *name_or_id, int64_t since_wall_ns,
                      struct container_end *ret, GError **error)
{
    g_autofree char *since = stamp(since_wall_ns), *until = stamp(clock_wall_ns());
    g_autofree char *filter = g_strconcat("container=", name_or_id, NULL);
    g_autofree char *doing = g_strdup_printf("cannot ask what became of container %s", name_or_id);
    const char *const docker[] = {"events", "--since",  since,  "--until",    until, "--filter",
                                  filter,   "--format", "{{json .}}", NULL};
    /* podman's --until leaves out what lies in the past */
    const char *const podman[] = {"events", "--since", since,      "--stream=false", "--filter",
                                  filter,   "--format", "json", NULL};
    struct container_output output;
    if (!client_ask(client, client->podman ? podman : docker, CONTAINER_ASK_NS, doing, &output, error))
        return false;
    container_events_read(output.out, ret);
    container_output_clear(&output);
    return true;
}

/* --- Sweep ----------------------------------------------------------------------------------------------------- */

/* A container with our label. */
struct found {
    char *id, *name, *owner;
};

static void found_free(gpointer data)
{
    struct found *f = data;
    g_free(f->id);
    g_free(f->name);
    g_free(f->owner);
    g_free(f);
}

static void add_found(GPtrArray *all, const char *id, const char *name, const char *owner)
{
    struct found *f = g_new0(struct found, 1);
    *f = (struct found){g_strdup(id), g_strdup(name), g_strdup(owner)};
    g_ptr_array_add(all, f);
}

static void read_table(const char *text, GPtrArray *all)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) cells = g_strsplit(*line, "\t", 3);
        if (g_strv_length(cells) == 3 && *cells[0])
            add_found(all, cells[0], cells[1], cells[2]);
    }
}

#define SWEEP_GRACE_S 10

static bool list_ours(struct container_client *client, GPtrArray *all, GError **error)
{
    /* podman's labels are a map, docker's a method */
    const char *format = client->podman ? "{{.ID}}\t{{.Names}}\t{{index .Labels \"" CONTAINER_LABEL_OWNER "\"}}"
                                        : "{{.ID}}\t{{.Names}}\t{{.Label \"" CONTAINER_LABEL_OWNER "\"}}";
    struct container_output output;
    if (!client_ask(client,
                    (const char *const[]){"ps", "--all", "--no-trunc", "--filter", "label=" CONTAINER_LABEL_RUN "=1",
                                          "--format", format, NULL},
                    CONTAINER_ASK_NS, "cannot list containers", &output, error))
        return false;
    read_table(output.out, all);
    container_output_clear(&output);
    return true;
}

/* One that waits for its grace is not waited for any longer than somebody wants to. */
static bool sweep_one(struct container_client *client, const struct found *f, int interrupt_fd, GError **error)
{
    const char *const stop[] = {"stop", "-t", G_STRINGIFY(SWEEP_GRACE_S), f->id, NULL};
    struct container_output output;
    let_go_on(client, f->id, interrupt_fd);
    if (container_command_until(client, stop, SWEEP_GRACE_S * NS_PER_S + KILL_NS, interrupt_fd, &output, NULL))
        container_output_clear(&output); /* it may have been about to leave its record */
    if (!interrupt_pending(interrupt_fd))
        return container_remove(client, f->id, error);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted by a signal");
    return false;
}

bool container_sweep(struct container_client *client, int interrupt_fd, size_t *ret_n, char ***ret_names,
                     GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(found_free);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    bool ok = list_ours(client, all, error);
    for (guint i = 0; i < all->len && !interrupt_pending(interrupt_fd); i++) {
        const struct found *f = g_ptr_array_index(all, i);
        if (container_owner_state(f->owner) != CONTAINER_OWNER_DEAD)
            continue;
        if (sweep_one(client, f, interrupt_fd, ok ? error : NULL))
            g_ptr_array_add(names, g_strdup(f->name));
        else
            ok = false;
    }
    *ret_n = names->len;
    g_ptr_array_add(names, NULL);
    if (ret_names)
        *ret_names = g_strdupv((char **)names->pdata);
    return ok;
}
