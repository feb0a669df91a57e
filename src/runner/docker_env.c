/* SPDX-License-Identifier: MIT */
/* What variables a container has: those listed and no others, and which of them nobody may read. */
#include "runner/docker.h"

#include "base/variables.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Handed on where they are set here. */
static const char *const usual[] = {
    "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY",
    "NO_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_ENDPOINT", "TZ", NULL};

/* Handed on likewise, and known to be secret. */
static const char *const secret[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL};

/* Which boards there are inside is the client's to say: an index of this machine's is another board there. */
static const char *const boards[] = {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", NULL};

bool docker_is_secret(const struct docker *docker, const char *name)
{
    const char *const *more = docker->container.secrets;
    return g_strv_contains(secret, name) || (more && g_strv_contains(more, name));
}

/* The value that a name has here; a line of an env file, since nobody knows what a value of this machine tells. */
static void add_ours(GPtrArray *secrets, const char *name)
{
    const char *value = g_getenv(name);
    if (value)
        g_ptr_array_add(secrets, g_strdup_printf("%s=%s", name, value));
}

static void add_all_of_ours(GPtrArray *secrets, const char *const *entries)
{
    for (; entries && *entries; entries++) {
        g_autofree char *name = variables_entry_name(*entries);
        if (!g_strv_contains(boards, name))
            add_ours(secrets, name);
    }
}

static void add_users(const struct docker *docker, GPtrArray *env, GPtrArray *secrets)
{
    for (const char *const *row = docker->container.environment; row && *row; row++) {
        g_autofree char *name = g_strndup(*row, strcspn(*row, "="));
        if (!strchr(*row, '='))
            add_ours(secrets, name);
        else
            g_ptr_array_add(docker_is_secret(docker, name) ? secrets : env, g_strdup(*row));
    }
}

static void add_settings(GPtrArray *env, const struct docker_places *places, const char *config_hash, bool locked)
{
    const char *user = g_get_user_name();
    g_ptr_array_add(env, g_strdup_printf("LLEM_CONFIG_PATH=" DOCKER_EXCHANGE "/%s_config.json", config_hash));
    g_ptr_array_add(env, g_strdup("LLEM_WORKER_LOG=" DOCKER_EXCHANGE "/" RUNNER_LOG));
    if (locked)
        g_ptr_array_add(env, g_strdup("LLEM_OWNER_LOCK=" DOCKER_EXCHANGE "/" DOCKER_LOCK_FILE));
    g_ptr_array_add(env, g_strdup("HOME=" DOCKER_HOME));
    g_ptr_array_add(env, g_strdup_printf("USER=%s", user));
    g_ptr_array_add(env, g_strdup_printf("LOGNAME=%s", user));
    g_ptr_array_add(env, g_strdup("XDG_CACHE_HOME=" DOCKER_HOME "/.cache"));
    if (!places->gpus) /* a runtime that gives every container every board would give it them */
        g_ptr_array_add(env, g_strdup("NVIDIA_VISIBLE_DEVICES=void"));
    for (guint i = 0; i < places->env->len; i++)
        g_ptr_array_add(env, g_strdup(g_ptr_array_index(places->env, i)));
}

/* What the user lists comes last, and the last of a name counts. */
void docker_environment(const struct docker *docker, const struct docker_places *places, const char *config_hash,
                        bool locked, char ***ret_env, char ***ret_secrets)
{
    GPtrArray *env = g_ptr_array_new(), *secrets = g_ptr_array_new();
    add_settings(env, places, config_hash, locked);
    add_all_of_ours(secrets, usual);
    add_all_of_ours(secrets, docker->container.record_env);
    add_all_of_ours(secrets, secret);
    add_all_of_ours(secrets, docker->container.secrets);
    add_users(docker, env, secrets);
    g_ptr_array_add(env, NULL);
    g_ptr_array_add(secrets, NULL);
    *ret_env = (char **)g_ptr_array_free(env, FALSE);
    *ret_secrets = (char **)g_ptr_array_free(secrets, FALSE);
}

static bool check_lines(char *const *rows, GError **error)
{
    for (; *rows; rows++)
        if (strpbrk(*rows, "\r\n")) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                        "the variable %.*s has a value of more than one line, which cannot be handed to a container",
                        (int)strcspn(*rows, "="), *rows);
            return false;
        }
    return true;
}

/* In memory and without a name: nothing can be left behind, whoever is killed. */
int docker_secrets_open(char *const *secrets, GError **error)
{
    if (!check_lines(secrets, error))
        return -1;
    g_autofree char *lines = g_strjoinv("\n", (char **)(uintptr_t)secrets);
    g_autofree char *text = g_strconcat(lines, "\n", NULL);
    ssize_t length = (ssize_t)strlen(text);
    int fd = memfd_create("llem-env", MFD_CLOEXEC);
    if (fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, text, (size_t)length) == length && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    file_error(error, "cannot write", "the variables of a container");
    if (fd >= 0)
        close(fd);
    return -1;
}
