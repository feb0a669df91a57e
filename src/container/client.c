/* SPDX-License-Identifier: MIT */
/* Which client there is, and what its daemon is: on this machine, or refused. */
#include "container/internal.h"

#include <string.h>
#include <sys/utsname.h>

static const char *const kinds[] = {"docker", "podman"}; /* in the order of preference */

/* --- The client ------------------------------------------------------------------------------------------------ */

static char *find_client(const char *wanted, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds) && !wanted; i++) {
        char *path = g_find_program_in_path(kinds[i]);
        if (path)
            return path;
    }
    char *path = wanted ? g_find_program_in_path(wanted) : NULL;
    if (path)
        return path;
    if (wanted)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONTAINER_CLIENT,
                    "there is no program '%s'%s: install it, or choose another client", wanted,
                    strchr(wanted, '/') ? "" : " in PATH");
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONTAINER_CLIENT,
                    "neither docker nor podman is in PATH: install one of them");
    return NULL;
}

/* "Docker version 28.2.2, build e6534b4", "podman version 4.3.1"; a podman that is started as docker says "docker
 * version 4.3.1". */
static bool read_version(struct container_client *client, const char *text)
{
    const char *at = strstr(text, " version ");
    if (!at)
        return false;
    at += strlen(" version ");
    client->version = g_strndup(at, strcspn(at, ", \n"));
    client->podman = g_str_has_prefix(text, "podman ") || g_str_has_prefix(text, "docker ");
    return client->podman || g_str_has_prefix(text, "Docker ");
}

static bool ask_version(struct container_client *client, GError **error)
{
    g_autoptr(GError) cause = NULL;
    struct container_output output = {.exit_code = 0};
    bool ran = container_command(client, (const char *const[]){"--version", NULL}, CONTAINER_ASK_NS, &output, &cause);
    bool ok = ran && output.exit_code == 0 && read_version(client, output.out);
    if (!ok)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONTAINER_CLIENT,
                    "%s does not say like docker or podman which version it is%s%s", client->path,
                    cause ? ": " : "", cause ? cause->message : "");
    container_output_clear(&output);
    return ok;
}

struct container_client *container_client_new(const char *wanted, GError **error)
{
    char *path = find_client(wanted, error);
    if (!path)
        return NULL;
    struct container_client *client = g_new0(struct container_client, 1);
    client->path = path;
    if (ask_version(client, error))
        return client;
    container_client_free(client);
    return NULL;
}

static void daemon_clear(struct container_daemon *daemon)
{
    g_free(daemon->version);
    g_free(daemon->endpoint);
    g_free(daemon->root_dir);
    g_free(daemon->storage_driver);
    g_free(daemon->os_arch);
    g_free(daemon->kernel);
    g_free(daemon->cgroup);
    g_free(daemon->default_runtime);
    g_strfreev(daemon->runtimes);
    g_strfreev(daemon->cdi_dirs);
    g_strfreev(daemon->cdi_devices);
    g_strfreev(daemon->warnings);
    *daemon = (struct container_daemon){.version = NULL};
}

void container_client_free(struct container_client *client)
{
    if (!client)
        return;
    daemon_clear(&client->daemon);
    g_free(client->path);
    g_free(client->version);
    g_free(client);
}

const char *container_client_kind(const struct container_client *client)
{
    return kinds[client->podman];
}

const char *container_client_path(const struct container_client *client)
{
    return client->path;
}

const char *container_client_version(const struct container_client *client)
{
    return client->version;
}

/* --- Where the daemon is --------------------------------------------------------------------------------------- */

#define NOT_SHARED "clock, files and sensors of a run in a container must be this machine's"

/* Who chose an endpoint, in the order in which docker looks. */
static char *endpoint_source(void)
{
    const char *host = g_getenv("DOCKER_HOST"), *context = g_getenv("DOCKER_CONTEXT");
    if (host && *host)
        return g_strdup("unset DOCKER_HOST");
    if (context && *context)
        return g_strdup("unset DOCKER_CONTEXT");
    return g_strdup("`docker context use default`");
}

static bool refuse_endpoint(const char *endpoint, GError **error)
{
    g_autofree char *remedy = endpoint_source();
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DAEMON_REMOTE,
                "the docker client is led to %s, which is not a socket of this machine: " NOT_SHARED
                "; %s, or run llem on that machine",
                *endpoint ? endpoint : "no endpoint", remedy);
    return false;
}

static bool check_endpoint(struct container_client *client, GError **error)
{
    struct container_output output;
    if (!client_ask(client,
                    (const char *const[]){"context", "inspect", "--format", "{{.Endpoints.docker.Host}}", NULL},
                    CONTAINER_ASK_NS, "cannot tell where the docker daemon is", &output, error))
        return false;
    client->daemon.endpoint = g_strdup(g_strstrip(output.out));
    container_output_clear(&output);
    return g_str_has_prefix(client->daemon.endpoint, "unix://") || refuse_endpoint(client->daemon.endpoint, error);
}

/* A socket of this machine may be the end of a tunnel, or of a virtual machine (Docker Desktop). */
static bool check_kernel(const struct container_client *client, GError **error)
{
    struct utsname ours;
    if (uname(&ours) != 0 || !*client->daemon.kernel || !strcmp(client->daemon.kernel, ours.release))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DAEMON_REMOTE,
                "the daemon that %s talks to runs on kernel %s, and this is %s: another machine, or a virtual one; "
                NOT_SHARED,
                container_client_kind(client), client->daemon.kernel, ours.release);
    return false;
}

/* --- What it says of itself ------------------------------------------------------------------------------------ */

static char *text_at(const json_t *root, const char *dotted)
{
    const char *text = json_string_value(jsonx_at(root, dotted));
    return g_strdup(text ? text : "");
}

static char **texts_of(const json_t *array, const char *member)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new();
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *row = json_array_get(array, i);
        const char *text = json_string_value(member ? json_object_get(row, member) : row);
        if (text)
            g_ptr_array_add(texts, g_strdup(text));
    }
    g_ptr_array_add(texts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&texts), FALSE);
}

static char **keys_of(const json_t *object)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    const char *key;
    const json_t *value;
    jsonx_foreach(object, key, value)
        g_ptr_array_add(keys, g_strdup(key));
    g_ptr_array_add(keys, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&keys), FALSE);
}

static bool has_security(const json_t *info, const char *name)
{
    const json_t *options = json_object_get(info, "SecurityOptions");
    g_autofree char *wanted = g_strconcat("name=", name, NULL);
    for (size_t i = 0; i < json_array_size(options); i++) {
        const char *text = json_string_value(json_array_get(options, i));
        size_t n = strlen(wanted);
        if (text && !strncmp(text, wanted, n) && (text[n] == '\0' || text[n] == ','))
            return true;
    }
    return false;
}

static char *os_arch(const char *os, const char *machine)
{
    const char *arch = !strcmp(machine, "x86_64") ? "amd64" : !strcmp(machine, "aarch64") ? "arm64" : machine;
    return g_strconcat(os, "/", arch, NULL);
}

static void read_docker(struct container_daemon *d, const json_t *info)
{
    g_autofree char *os = text_at(info, "OSType"), *machine = text_at(info, "Architecture");
    d->version = text_at(info, "ServerVersion");
    d->root_dir = text_at(info, "DockerRootDir");
    d->storage_driver = text_at(info, "Driver");
    d->os_arch = os_arch(os, machine);
    d->kernel = text_at(info, "KernelVersion");
    d->cgroup = text_at(info, "CgroupVersion");
    d->runtimes = keys_of(json_object_get(info, "Runtimes"));
    d->default_runtime = text_at(info, "DefaultRuntime");
    d->cdi_dirs = texts_of(json_object_get(info, "CDISpecDirs"), NULL);
    d->cdi_devices = texts_of(json_object_get(info, "DiscoveredDevices"), "ID");
    d->warnings = texts_of(json_object_get(info, "Warnings"), NULL);
    d->rootless = has_security(info, "rootless");
    d->selinux = has_security(info, "selinux");
    d->memory_bytes = json_integer_value(json_object_get(info, "MemTotal"));
}

static void read_podman(struct container_daemon *d, const json_t *info)
{
    d->version = text_at(info, "version.Version");
    d->endpoint = g_strdup("");
    d->root_dir = text_at(info, "store.graphRoot");
    d->storage_driver = text_at(info, "store.graphDriverName");
    d->os_arch = text_at(info, "version.OsArch");
    d->kernel = text_at(info, "host.kernel");
    g_autofree char *cgroup = text_at(info, "host.cgroupVersion");
    d->cgroup = g_strdup(cgroup[0] == 'v' ? cgroup + 1 : cgroup);
    d->default_runtime = text_at(info, "host.ociRuntime.name");
    d->runtimes = g_strdupv((char *[]){d->default_runtime, NULL});
    d->cdi_dirs = g_strdupv((char *[]){(char[]){"/etc/cdi"}, (char[]){"/var/run/cdi"}, NULL});
    d->cdi_devices = g_new0(char *, 1);
    d->warnings = g_new0(char *, 1);
    d->rootless = json_is_true(jsonx_at(info, "host.security.rootless"));
    d->selinux = json_is_true(jsonx_at(info, "host.security.selinuxEnabled"));
    d->memory_bytes = json_integer_value(jsonx_at(info, "host.memTotal"));
}

static json_t *ask_info(struct container_client *client, GError **error)
{
    const char *format = client->podman ? "json" : "{{json .}}";
    struct container_output output;
    g_autofree char *doing = g_strdup_printf("cannot use %s", container_client_kind(client));
    if (!client_ask(client, (const char *const[]){"info", "--format", format, NULL}, CONTAINER_ASK_NS, doing, &output,
                    error))
        return NULL;
    json_t *info = jsonx_parse(output.out, -1, "info", error);
    container_output_clear(&output);
    return info;
}

/* A podman that is told to ask a service of podman's, wherever that is. */
static bool check_podman_local(const json_t *info, GError **error)
{
    const char *host = g_getenv("CONTAINER_HOST");
    host = host && *host ? host : g_getenv("CONTAINER_CONNECTION");
    bool by_variable = host && *host;
    if (!by_variable && !json_is_true(jsonx_at(info, "host.serviceIsRemote")))
        return true;
    const char *remedy = by_variable ? "unset CONTAINER_HOST and CONTAINER_CONNECTION"
                                     : "choose a client that asks no service";
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DAEMON_REMOTE,
                "podman is led to the service of another machine or user%s%s: " NOT_SHARED "; %s",
                by_variable ? ", " : "", by_variable ? host : "", remedy);
    return false;
}

/* podman's service speaks docker's protocol, but gives no board to whoever asks for one, without a word. Its log
 * drivers tell it from docker. */
static bool check_docker(const json_t *info, GError **error)
{
    g_auto(GStrv) drivers = texts_of(jsonx_at(info, "Plugins.Log"), NULL);
    if (!g_strv_contains((const char *const *)drivers, "k8s-file"))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                "the docker client talks to podman's service, which ignores what it is told of GPUs: let llem use podman "
                "itself (podman:IMAGE, or client: podman), or unset DOCKER_HOST");
    return false;
}

static bool ask_docker(struct container_client *client, GError **error)
{
    if (!check_endpoint(client, error))
        return false;
    g_autoptr(json_t) info = ask_info(client, error);
    if (!info || !check_docker(info, error))
        return false;
    read_docker(&client->daemon, info);
    return check_kernel(client, error);
}

static bool ask_podman(struct container_client *client, GError **error)
{
    if (!check_podman_local(NULL, error))
        return false;
    g_autoptr(json_t) info = ask_info(client, error);
    if (!info || !check_podman_local(info, error))
        return false;
    read_podman(&client->daemon, info);
    return check_kernel(client, error);
}

const struct container_daemon *container_daemon(struct container_client *client, GError **error)
{
    if (client->asked)
        return &client->daemon;
    client->asked = client->podman ? ask_podman(client, error) : ask_docker(client, error);
    if (!client->asked)
        daemon_clear(&client->daemon);
    return client->asked ? &client->daemon : NULL;
}
