/* SPDX-License-Identifier: MIT */
/*
 * Internal to preflight: the places of runs that are not on this machine as it is. Clients, images and the answers of
 * workers there are each asked for once and kept.
 */
#pragma once

#include "preflight/rows.h"

#include "container/container.h"
#include "preflight/answer.h"

/* A client and its daemon. */
struct seen_client {
    struct container_client *client; /* NULL: error */
    const struct container_daemon *daemon; /* NULL: daemon_error, or there is no client */
    GError *error, *daemon_error;
};

/* What a container of a cell's runs is to be; NULL: they are on this machine, or nobody runs them. */
const struct runner_container *place_container(const struct preflight *p, const struct config *config);
/* Where the file says it, else where it says which engine; borrowed. */
const struct diag_span *place_of_runner(const struct config *config);
/* "docker", "podman"; "docker:IMAGE", "docker:IMAGE by CLIENT": what findings are about. NULL as above. New strings. */
char *place_client_name(const struct preflight *p, const struct config *config);
char *place_image_name(const struct preflight *p, const struct config *config);
/* "docker:IMAGE for ENGINE, 1 GPU". */
char *place_name(const struct preflight *p, const struct config *config);

const struct seen_client *place_client(struct preflight *p, const char *wanted);

/* The image of a cell's runs, of a daemon that answers. */
struct seen_image {
    struct container_image image; /* no id: error */
    GError *error;
};
const struct seen_image *place_image(struct preflight *p, const struct config *config);

/* What a worker found in the place of a cell's runs; NULL where none could be asked: another finding says why. */
const struct answer *place_answer(struct preflight *p, const struct config *config);
