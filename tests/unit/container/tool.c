/* SPDX-License-Identifier: MIT */
/* Room container by hand and for tests/docker: container_tool CLIENT VERB [ARGUMENT …]; CLIENT "-" takes what is there.
 * The answer is a JSON object on stdout: {"error": CLASS, "message"} with exit 1, else what the verb gives.
 *   daemon | inspect IMAGE | pull IMAGE SECONDS | stop NAME SECONDS | kill NAME | remove NAME | running NAME
 *   events NAME | sweep | owner | run SPEC (a JSON object: image, entrypoint, arguments, …; starts it, waits, judges)
 */
#include "container/container.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PULL_SECONDS 60
#define RUN_NS       (120 * NS_PER_S)

struct call {
    struct container_client *client;
    char **words; /* behind the verb */
    json_t *answer;
};

static const char *word(const struct call *c, guint i)
{
    return i < g_strv_length(c->words) ? c->words[i] : "";
}

static void put(struct call *c, const char *key, const char *text)
{
    json_object_set_new(c->answer, key, text ? json_string(text) : json_null());
}

static void put_list(struct call *c, const char *key, char *const *texts)
{
    json_t *list = json_array();
    for (; texts && *texts; texts++)
        json_array_append_new(list, json_string(*texts));
    json_object_set_new(c->answer, key, list);
}

static bool verb_daemon(struct call *c, GError **error)
{
    const struct container_daemon *d = container_daemon(c->client, error);
    if (!d)
        return false;
    put(c, "kind", container_client_kind(c->client));
    put(c, "client_version", container_client_version(c->client));
    put(c, "version", d->version);
    put(c, "endpoint", d->endpoint);
    put(c, "root_dir", d->root_dir);
    put(c, "storage_driver", d->storage_driver);
    put(c, "os_arch", d->os_arch);
    put(c, "kernel", d->kernel);
    put(c, "cgroup", d->cgroup);
    put(c, "default_runtime", d->default_runtime);
    put_list(c, "runtimes", d->runtimes);
    put_list(c, "cdi_dirs", d->cdi_dirs);
    put_list(c, "cdi_devices", d->cdi_devices);
    json_object_set_new(c->answer, "rootless", json_boolean(d->rootless));
    json_object_set_new(c->answer, "memory_bytes", json_integer(d->memory_bytes));
    return true;
}

static bool verb_inspect(struct call *c, GError **error)
{
    struct container_image image;
    if (!container_image_inspect(c->client, word(c, 0), -1, &image, error))
        return false;
    put(c, "id", image.id);
    put(c, "digest", image.digest);
    put(c, "os_arch", image.os_arch);
    put(c, "created", image.created);
    put(c, "cuda_version", image.cuda_version);
    put(c, "require_cuda", image.require_cuda);
    put_list(c, "env", image.env);
    put_list(c, "command", image.command);
    json_object_set(c->answer, "labels", image.labels);
    json_object_set_new(c->answer, "size_bytes", json_integer(image.size_bytes));
    container_image_clear(&image);
    return true;
}

static void keep_line(const char *line, void *data)
{
    json_array_append_new(data, json_string(line));
}

static bool verb_pull(struct call *c, GError **error)
{
    int64_t seconds = PULL_SECONDS;
    num_parse_int(word(c, 1), 0, G_MAXINT, &seconds, NULL);
    json_t *lines = json_array();
    json_object_set_new(c->answer, "progress", lines);
    return container_image_pull(c->client, word(c, 0), seconds * NS_PER_S, -1, keep_line, lines, error);
}

static bool verb_stop(struct call *c, GError **error)
{
    int64_t seconds = 1;
    num_parse_int(word(c, 1), 0, G_MAXINT, &seconds, NULL);
    return container_stop(c->client, word(c, 0), (int)seconds, error);
}

static bool verb_kill(struct call *c, GError **error)
{
    return container_kill(c->client, word(c, 0), NULL, error);
}

static bool verb_remove(struct call *c, GError **error)
{
    return container_remove(c->client, word(c, 0), error);
}

static bool verb_running(struct call *c, GError **error)
{
    bool running;
    if (!container_is_running(c->client, word(c, 0), &running, error))
        return false;
    json_object_set_new(c->answer, "running", json_boolean(running));
    return true;
}

static void put_end(struct call *c, const struct container_end *end)
{
    json_object_set_new(c->answer, "started", json_boolean(end->started));
    json_object_set_new(c->answer, "died", json_boolean(end->died));
    json_object_set_new(c->answer, "oom", json_boolean(end->oom));
    json_object_set_new(c->answer, "forgotten", json_boolean(end->forgotten));
    json_object_set_new(c->answer, "end_code", json_integer(end->exit_code));
    json_object_set_new(c->answer, "lived_ns", json_integer(end->die_ns - end->start_ns));
}

static bool verb_events(struct call *c, GError **error)
{
    struct container_end end;
    if (!container_events(c->client, word(c, 0), clock_wall_ns() - 300 * NS_PER_S, &end, error))
        return false;
    put_end(c, &end);
    return true;
}

static bool verb_sweep(struct call *c, GError **error)
{
    g_auto(GStrv) names = NULL;
    size_t n;
    bool ok = container_sweep(c->client, -1, &n, &names, error);
    put_list(c, "removed", names);
    return ok;
}

static bool verb_owner(struct call *c, GError **error)
{
    struct container_owner owner;
    if (!container_owner_self(&owner, error))
        return false;
    g_autofree char *text = container_owner_text(&owner);
    put(c, "owner", text);
    return true;
}

/* --- run ------------------------------------------------------------------------------------------------------- */

static const char **texts_at(const json_t *object, const char *key)
{
    const json_t *list = json_object_get(object, key);
    const char **texts = g_new0(const char *, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++)
        texts[i] = json_string_value(json_array_get(list, i));
    return texts;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool start(struct call *c, char **argv, struct container_output *ret, GError **error)
{
    put_list(c, "argv", argv);
    return container_command(c->client, (const char *const *)argv + 1, RUN_NS, ret, error);
}

static void judge(struct call *c, const char *name, int64_t since_ns, const struct container_output *output,
                  const json_t *spec)
{
    struct container_end end;
    struct container_verdict verdict;
    struct container_facts facts = {.exit_code = output->exit_code,
                                    .client_text = output->err,
                                    .oom_kills = -1,
                                    .began = json_is_true(json_object_get(spec, "began")),
                                    .log_tail = text_at(spec, "log")};
    g_autoptr(GError) error = NULL;
    bool wants = output->exit_code != 0 && container_wants_events(&facts);
    json_object_set_new(c->answer, "asked", json_boolean(wants));
    if (wants && container_events(c->client, name, since_ns, &end, &error)) {
        facts.end = &end;
        put_end(c, &end);
    }
    facts.daemon_gone = g_error_matches(error, LLEM_ERROR, LLEM_ERROR_DAEMON_DOWN);
    container_classify(&facts, &verdict);
    put(c, "class", llem_error_name(verdict.code));
    put(c, "text", verdict.text);
    put(c, "remedy", verdict.remedy);
    container_verdict_clear(&verdict);
}

static bool run_spec(struct call *c, const json_t *spec, const struct container_spec *with, GError **error)
{
    struct container_output output;
    int64_t since_ns = clock_wall_ns();
    g_auto(GStrv) argv = container_run_argv(c->client, with, error);
    if (!argv || !start(c, argv, &output, error))
        return false;
    json_object_set_new(c->answer, "exit", json_integer(output.exit_code));
    put(c, "out", output.out);
    put(c, "err", output.err);
    judge(c, with->name, since_ns, &output, spec);
    container_output_clear(&output);
    return true;
}

static bool verb_run(struct call *c, GError **error)
{
    g_autoptr(json_t) spec = jsonx_parse(word(c, 0), -1, "spec", error);
    if (!spec)
        return false;
    g_autofree const char **arguments = texts_at(spec, "arguments"), **extra = texts_at(spec, "extra"),
                          **gpus = texts_at(spec, "gpus"), **ulimits = texts_at(spec, "ulimits"),
                          **env = texts_at(spec, "env"), **labels = texts_at(spec, "labels");
    const json_t *mount = json_object_get(spec, "mount");
    const struct container_mount mounts[] = {
        {text_at(mount, "host"), text_at(mount, "inside"), json_is_true(json_object_get(mount, "writable"))}};
    return run_spec(c, spec,
                    &(struct container_spec){.name = text_at(spec, "name"),
                                             .image_id = text_at(spec, "image"),
                                             .network = text_at(spec, "network") ? text_at(spec, "network") : "none",
                                             .user = text_at(spec, "user"),
                                             .memory = text_at(spec, "memory"),
                                             .cpus = text_at(spec, "cpus"),
                                             .entrypoint = text_at(spec, "entrypoint"),
                                             .mounts = mounts,
                                             .n_mounts = mount ? 1 : 0,
                                             .arguments = arguments,
                                             .extra = extra,
                                             .gpus = gpus,
                                             .ulimits = ulimits,
                                             .env = env,
                                             .labels = labels,
                                             .remove = true,
                                             .init = !json_is_false(json_object_get(spec, "init"))},
                    error);
}

/* --- Verbs ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(struct call *c, GError **error);
} verbs[] = {
    {"daemon", verb_daemon}, {"inspect", verb_inspect}, {"pull", verb_pull},       {"stop", verb_stop},
    {"kill", verb_kill},     {"remove", verb_remove},   {"running", verb_running}, {"events", verb_events},
    {"sweep", verb_sweep},   {"owner", verb_owner},     {"run", verb_run},
};

static bool run_verb(struct call *c, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!strcmp(verbs[i].name, name))
            return verbs[i].run(c, error);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE, "no verb '%s'", name);
    return false;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct call call = {NULL, argv + MIN(argc, 3), json_object()};
    if (argc < 3)
        return LLEM_EXIT_USAGE;
    call.client = container_client_new(strcmp(argv[1], "-") != 0 ? argv[1] : NULL, &error);
    bool ok = call.client && run_verb(&call, argv[2], &error);
    if (!ok) {
        put(&call, "error", llem_error_name(error->code));
        put(&call, "message", error->message);
    }
    g_autofree char *text = jsonx_dump(call.answer, JSONX_PRETTY);
    fputs(text, stdout);
    json_decref(call.answer);
    container_client_free(call.client);
    return ok ? LLEM_EXIT_OK : LLEM_EXIT_FAILED;
}
