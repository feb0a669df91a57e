/* SPDX-License-Identifier: MIT */
/* Internal to the runners that start containers: a run under way, and what is known of its end. */
#pragma once

#include "runner/docker.h"

struct docker_run {
    struct docker *docker;
    struct docker_places *places;
    bool places_are_ours;
    char *dir, *config_hash, *name;
    struct spawn_child child; /* the client */
    int wait_status;          /* its end */
    int lock_fd;              /* the lock by which the worker knows that we want it; -1: let go, or there is none */
    int status_fd;            /* what a second client said of the container's end; -1: there was none */
    int64_t since_wall_ns, asked_ns;
    int64_t paused_ns; /* since when Ctrl-Z has it stand still; 0: it does not */
    struct spawn_child keeper; /* lets it go on when we are gone */
    int keeper_line; /* whose end tells it so; -1: there is no keeper */
    int64_t lost_ns; /* since when no daemon answers; 0: it does */
    int64_t looked_ns, empty_ns; /* when its processes were looked for; since when it has none */
    bool waits_again, killed, over;
    bool seen;  /* its processes have been found */
    bool hangs; /* the daemon is there and does not answer */
    bool has_status; /* the container's own exit code is known */
    int status;
};

/* True if the client's end says how the container ended. */
bool docker_take_status(struct docker_run *run);
/* True if the container ended by itself and its client told us so: then it is gone. */
bool docker_was_orderly(const struct docker_run *run);
void docker_describe_end(const struct docker_run *run, struct runner_end *ret);
/* The program inside was at work: it has opened its log. */
bool docker_has_begun(const struct docker_run *run);
/* Its processes, by the pids they have here, found by its cgroup: podman without root, on cgroups of version 1, makes
 * none, and none are found. New array of pid_t. */
GArray *docker_processes(const struct docker_run *run);
/* Of those the one that began first: its init, which hands signals on. */
pid_t docker_first_process(const GArray *pids);
/* Keeps the logs from filling a disk while they are written. */
void docker_bound_logs(const struct docker_run *run);
/* What the client said of a run that went well goes, and a log without a word. */
void docker_tidy_logs(const struct docker_run *run);
/* Ctrl-Z, and what comes after it. */
void docker_suspend(void *state);
void docker_resume(void *state, int64_t away_ns);
