/* SPDX-License-Identifier: MIT */
/* What the files of this room share. */
#pragma once

#include "container/container.h"

#define CONTAINER_ASK_NS    (20 * NS_PER_S) /* for a question that a daemon answers from memory */
#define CONTAINER_MOST_TEXT (4U << 20)      /* kept of what a client writes to either stream: its end */

struct container_client {
    char *path;
    char *version;
    bool podman;
    struct container_daemon daemon;
    bool asked;
};

/* Both streams of a client command, line by line as they come, beside what is kept of them. NULL: nobody listens. */
bool client_run(struct container_client *client, const char *const *arguments, int64_t timeout_ns, int interrupt_fd,
                container_progress_fn *listen, void *data, struct container_output *ret, GError **error);
/* The same, and a client that says no is an error too: what was being done, its words, the remedy. */
bool client_ask(struct container_client *client, const char *const *arguments, int64_t timeout_ns, const char *doing,
                struct container_output *ret, GError **error);
/* The same, ended early (INTERRUPTED) once interrupt_fd (-1: none) is readable. */
bool client_ask_until(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                      int interrupt_fd, const char *doing, struct container_output *ret, GError **error);
/* The text that speaks of a failure: of the daemon, of the client, of the loader; without the client's chatter (usage
 * hints, warnings, the notice of an image that is about to be pulled). New string, "" where there is none. */
char *client_words(const char *text);
/* True if the text says that there is no such container, which is what a ladder is after. */
bool client_says_absent(const char *text);
/* The row of the client's and the daemon's words that fits; false: none, *ret is untouched. */
bool classify_words(const char *words, struct container_verdict *ret);
/* Of client_words() only what the client and its daemon said, not the program inside. New string. */
char *daemon_words(const char *text);
