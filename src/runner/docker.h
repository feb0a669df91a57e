/* SPDX-License-Identifier: MIT */
/* Internal to the runners that start containers: an instance, where things are inside, and what a run takes with it. */
#pragma once

#include "container/container.h"
#include "runner/rows.h"

#define DOCKER_WORKER   "/opt/llem/bin/llem-worker"
#define DOCKER_ENGINES  "/opt/llem/engines" /* NAME below it */
#define DOCKER_FILES    "/opt/llem/files"   /* N/NAME below it: of an engine, that do not lie in its folder */
#define DOCKER_EXCHANGE "/run/llem"
#define DOCKER_HOST     "/llem/host" /* N/NAME below it: of the run, read-only */
#define DOCKER_HOME     "/llem/home"

/* In the exchange folder. */
#define DOCKER_CLIENT_LOG "client.log" /* what client, daemon and loader said: the worker has a log of its own */
#define DOCKER_ID_FILE    "container.id"
#define DOCKER_LOCK_FILE  "owner.lock"
#define DOCKER_HOME_DIR   "home"

#define DOCKER_SHM_BYTES (INT64_C(8) << 30)

struct docker {
    const char *wanted;              /* the client that the row stands for; NULL: what is there */
    struct container_client *client; /* NULL: not looked for yet */
    char *worker_path;
    GPtrArray *kept;                   /* what the texts of container are */
    struct runner_container container; /* as asked for */
    struct container_image image;      /* what every run starts from; no id: not settled yet */
    bool stays_away;                   /* its daemon was waited for in vain: not again before it has answered */
};

/* The client, looked for when it is first needed. */
struct container_client *docker_client(struct docker *docker, GError **error);
bool docker_prepare(void *state, int interrupt_fd, runner_say_fn *say, void *data, GError **error);
/* The image that is here is what runs start from; nothing is fetched or ended. */
bool docker_pin(void *state, int interrupt_fd, GError **error);
/* Says in x which image its run starts from, and whether its name has moved to another since. */
bool docker_name_image(struct docker *docker, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                       char **ret_warning, GError **error);

/* What a run takes with it. */
struct docker_places {
    struct runner_places shown; /* .own is this struct */
    const struct docker *docker;
    GPtrArray *kept; /* every text below */
    GArray *mounts;  /* struct container_mount */
    GArray *paths;   /* struct exchange_path, for shown.map */
    GPtrArray *home; /* folders to be made below home, as mount points: relative */
    GPtrArray *env;  /* "NAME=value" that point to what is mounted */
    char **gpus;     /* UUIDs; NULL: none */
    char *name;      /* of the container */
    unsigned n_host, n_files;
};
/* What every run has: the worker, and a name. */
struct docker_places *docker_places_new(const struct docker *docker, const char *config_hash);
/* Adds what x names, and says in it which caches are cold. Asks no client. */
bool docker_places_fill(struct docker_places *places, struct exchange *x, GError **error);
bool docker_place(void *state, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                  struct runner_places **ret, GError **error);
void docker_places_free(struct runner_places *places);

/* What is set inside: "NAME=value" for the command line, and those whose values must not be in one. New vectors. */
void docker_environment(const struct docker *docker, const struct docker_places *places, const char *config_hash,
                        bool locked, char ***ret_env, char ***ret_secrets);
/* True for a variable whose value is in no command line and no record. */
bool docker_is_secret(const struct docker *docker, const char *name);
/* A file without a name that holds them as `--env-file` takes them: its descriptor, -1: error (CONFIG: a newline). */
int docker_secrets_open(char *const *secrets, GError **error);
