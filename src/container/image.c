/* SPDX-License-Identifier: MIT */
/* Images: what one is, and fetching it. */
#include "container/internal.h"

#include <string.h>

void container_image_clear(struct container_image *image)
{
    g_free(image->name);
    g_free(image->id);
    g_free(image->digest);
    g_free(image->os_arch);
    g_free(image->created);
    g_free(image->cuda_version);
    g_free(image->require_cuda);
    g_strfreev(image->env);
    g_strfreev(image->entrypoint);
    g_strfreev(image->command);
    json_decref(image->labels);
    *image = (struct container_image){.name = NULL};
}

static char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return g_strdup(text ? text : "");
}

static char **texts_of(const json_t *array)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new();
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (text)
            g_ptr_array_add(texts, g_strdup(text));
    }
    g_ptr_array_add(texts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&texts), FALSE);
}

/* podman leaves the algorithm out. */
static char *id_of(const json_t *object)
{
    g_autofree char *id = text_of(object, "Id");
    return strchr(id, ':') || !*id ? g_steal_pointer(&id) : g_strconcat("sha256:", id, NULL);
}

/* "registry:5000/a/b" of "registry:5000/a/b:tag@sha256:…". New string. */
static char *repository_of(const char *name)
{
    g_autofree char *plain = g_strndup(name, strcspn(name, "@"));
    char *slash = strrchr(plain, '/'), *colon = strrchr(plain, ':');
    if (colon && (!slash || colon > slash))
        *colon = '\0';
    return g_steal_pointer(&plain);
}

/* That of the repository it was asked for by, else the first. podman makes one up for what never was in a registry. */
static char *digest_of(const json_t *object, const char *name)
{
    g_auto(GStrv) digests = texts_of(json_object_get(object, "RepoDigests"));
    g_autofree char *repository = repository_of(name);
    const char *best = NULL;
    for (char **d = digests; *d; d++) {
        g_autofree char *its = repository_of(*d);
        bool same = !strcmp(its, repository) ||
                    (g_str_has_suffix(its, repository) && its[strlen(its) - strlen(repository) - 1] == '/');
        if (!g_str_has_prefix(*d, "localhost/") && (same || !best))
            best = *d;
        if (same)
            break;
    }
    return g_strdup(best);
}

static char *env_of(char **env, const char *name)
{
    return g_strdup(g_environ_getenv(env, name));
}

static void image_read(const json_t *object, const char *name, struct container_image *ret)
{
    const json_t *config = json_object_get(object, "Config");
    json_t *labels = json_object_get(config, "Labels");
    g_autofree char *os = text_of(object, "Os"), *arch = text_of(object, "Architecture");
    *ret = (struct container_image){
        .name = g_strdup(name),
        .id = id_of(object),
        .digest = digest_of(object, name),
        .os_arch = g_strconcat(os, "/", arch, NULL),
        .env = texts_of(json_object_get(config, "Env")),
        .entrypoint = texts_of(json_object_get(config, "Entrypoint")),
        .command = texts_of(json_object_get(config, "Cmd")),
        .labels = json_is_object(labels) ? json_incref(labels) : json_object(),
        .created = text_of(object, "Created"),
        .size_bytes = json_integer_value(json_object_get(object, "Size")),
    };
    ret->cuda_version = env_of(ret->env, "CUDA_VERSION");
    ret->require_cuda = env_of(ret->env, "NVIDIA_REQUIRE_CUDA");
}

bool container_image_inspect(struct container_client *client, const char *name_or_id, int interrupt_fd,
                             struct container_image *ret, GError **error)
{
    struct container_output output;
    g_autofree char *doing = g_strdup_printf("cannot look at image %s", name_or_id);
    if (!client_ask_until(client, (const char *const[]){"image", "inspect", "--", name_or_id, NULL}, CONTAINER_ASK_NS,
                          interrupt_fd, doing, &output, error))
        return false;
    g_autoptr(json_t) root = jsonx_parse(output.out, -1, "image inspect", error);
    container_output_clear(&output);
    if (!root)
        return false;
    const json_t *object = json_array_get(root, 0);
    g_autofree char *id = object ? id_of(object) : NULL;
    if (id && *id) {
        image_read(object, name_or_id, ret);
        return true;
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the answer has no image in it", doing);
    return false;
}

/* What a registry says is not there, or cannot be had, is the pull's error whatever else it may look like. */
static bool pull_error(struct container_client *client, const char *name, const struct container_output *output,
                       GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *doing = g_strdup_printf("cannot pull image %s", name);
    container_command_error(client, output, doing, &cause);
    bool typed = cause->code != LLEM_ERROR_RUNNER && cause->code != LLEM_ERROR_WORKER_DIED;
    if (typed)
        g_propagate_error(error, g_steal_pointer(&cause));
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_IMAGE_PULL, "%s", cause->message);
    return false;
}

bool container_image_pull(struct container_client *client, const char *name, int64_t timeout_ns, int interrupt_fd,
                          container_progress_fn *progress, void *data, GError **error)
{
    struct container_output output;
    if (!client_run(client, (const char *const[]){"pull", "--", name, NULL}, timeout_ns, interrupt_fd, progress, data,
                    &output, error)) {
        g_prefix_error(error, "cannot pull image %s: ", name);
        return false;
    }
    bool ok = output.exit_code == 0 || pull_error(client, name, &output, error);
    container_output_clear(&output);
    return ok;
}
