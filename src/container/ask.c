/* SPDX-License-Identifier: MIT */
/* A client command whose refusal is an error. */
#include "container/internal.h"

bool container_command_error(struct container_client *client, const struct container_output *output, const char *doing,
                             GError **error)
{
    g_autofree char *words = client_words(output->err);
    struct container_verdict verdict = {.code = LLEM_ERROR_RUNNER};
    if (!classify_words(words, &verdict))
        verdict.text = g_strdup_printf("%s ended with exit status %d%s%s", client->podman ? "podman" : "docker",
                                       output->exit_code, *words ? ": " : "", words);
    g_set_error(error, LLEM_ERROR, verdict.code, "%s: %s%s%s%s", doing, verdict.text, verdict.remedy ? " (" : "",
                verdict.remedy ? verdict.remedy : "", verdict.remedy ? ")" : "");
    container_verdict_clear(&verdict);
    return false;
}

bool client_ask_until(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                      int interrupt_fd, const char *doing, struct container_output *ret, GError **error)
{
    if (!container_command_until(client, arguments, timeout_ns, interrupt_fd, ret, error)) {
        g_prefix_error(error, "%s: ", doing);
        return false;
    }
    if (ret->exit_code == 0)
        return true;
    container_command_error(client, ret, doing, error);
    container_output_clear(ret);
    return false;
}

bool client_ask(struct container_client *client, const char *const *arguments, int64_t timeout_ns, const char *doing,
                struct container_output *ret, GError **error)
{
    return client_ask_until(client, arguments, timeout_ns, -1, doing, ret, error);
}
