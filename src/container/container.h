/* SPDX-License-Identifier: MIT */
/*
 * container: docker or podman through its command-line client. It knows commands, containers, images and how they end;
 * it knows no run, no engine and no study.
 *
 * Calling sequence:
 *     client = container_client_new("docker", &error);       which client, which of the two it is; no daemon is asked
 *     container_daemon(client, &error);                      once: reachable, on this machine, what it can do
 *     container_sweep(client, …);                            what dead owners left
 *     container_image_pull(…), container_image_inspect(…);   what will run, pinned by its id
 *     argv = container_run_argv(client, &spec, &error);      a value; the caller starts it (base/spawn.h)
 *     … container_stop(), container_kill(), container_remove() by name: the client of the run may be dead
 *     container_events(…), container_classify(…);            after a failure: facts, then what they come to
 *     container_client_free(client);
 *
 * A client command has a deadline and bounded output; what it wrote is classified into an error whose message has the
 * remedy. Ownership: strings of specs and facts are borrowed during the call, results are the caller's unless it says
 * otherwise. Threading: one thread a client; the pure functions (argv, classify, owners) any thread.
 */
#pragma once

#include "base/base.h"

/* Labels of a container that llem started. */
#define CONTAINER_LABEL_RUN    "org.llenergymeasure.run" /* "1" */
#define CONTAINER_LABEL_STUDY  "org.llenergymeasure.study"
#define CONTAINER_LABEL_CONFIG "org.llenergymeasure.config"
#define CONTAINER_LABEL_OWNER  "org.llenergymeasure.owner" /* container_owner_text() */
#define CONTAINER_LABEL_USER   "org.llenergymeasure.user"  /* UID */

/* --- The client and its daemon --------------------------------------------------------------------------------- */

struct container_client;

/* wanted NULL: docker, else podman, whichever is in PATH; else "docker", "podman" or the path of a client. Starts
 * `CLIENT --version` to learn which of the two it is (a "docker" may be podman's). Errors: CONTAINER_CLIENT. */
struct container_client *container_client_new(const char *wanted, GError **error);
void container_client_free(struct container_client *client);
typedef struct container_client owned_container_client; /* for g_autoptr(owned_container_client) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_container_client, container_client_free)
/* "docker" or "podman". */
const char *container_client_kind(const struct container_client *client);
/* The path of the program, and its version ("28.2.2"). */
const char *container_client_path(const struct container_client *client);
const char *container_client_version(const struct container_client *client);

/* What the daemon says of itself; for podman, which has none, what the client says. */
struct container_daemon {
    char *version;
    char *endpoint;       /* "unix:///var/run/docker.sock"; "" for podman */
    char *root_dir;       /* where images and containers lie: its disk is the one to look at */
    char *storage_driver; /* "overlay2" */
    char *os_arch;        /* "linux/amd64" */
    char *kernel;         /* uname -r of where it runs */
    char *cgroup;         /* "1" or "2" */
    char **runtimes;      /* "runc", "nvidia", … */
    char *default_runtime;
    char **cdi_dirs;    /* where it looks for CDI specs; empty: it has no CDI */
    char **cdi_devices; /* "nvidia.com/gpu=GPU-…", where it lists what it found */
    char **warnings;
    bool rootless;
    bool selinux;
    int64_t memory_bytes;
};
/* Asked once and kept: borrowed from the client. A daemon that is not this machine's is refused: clocks, files and
 * sensors would be another machine's. Errors: DAEMON_DOWN, DAEMON_DENIED, DAEMON_REMOTE, TIMEOUT. */
const struct container_daemon *container_daemon(struct container_client *client, GError **error);

struct container_output {
    int exit_code; /* 128 + n for a client that signal n ended */
    char *out, *err;
};
void container_output_clear(struct container_output *output);
/* Any client command, its name left out of arguments: {"info", NULL}. False where it cannot be started or its time is
 * up (TIMEOUT); a client that says no returns true with its exit code. */
bool container_command(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                       struct container_output *ret, GError **error);
/* The same, ended early (INTERRUPTED) once interrupt_fd (-1: none) is readable; nothing is taken off it. */
bool container_command_until(struct container_client *client, const char *const *arguments, int64_t timeout_ns,
                             int interrupt_fd, struct container_output *ret, GError **error);

/* --- Images ---------------------------------------------------------------------------------------------------- */

struct container_image {
    char *name;    /* as asked */
    char *id;      /* "sha256:…" */
    char *digest;  /* "registry/name@sha256:…" of its repository; NULL: it has none (built or loaded here) */
    char *os_arch; /* "linux/amd64" */
    char **env;    /* "NAME=value" */
    char **entrypoint, **command;
    json_t *labels; /* an object */
    char *created;
    int64_t size_bytes;
    char *cuda_version, *require_cuda; /* CUDA_VERSION and NVIDIA_REQUIRE_CUDA of env; NULL: none */
};
void container_image_clear(struct container_image *image);
/* Never pulls. Errors: IMAGE_MISSING, those of the daemon, INTERRUPTED (interrupt_fd is readable; -1: none). */
bool container_image_inspect(struct container_client *client, const char *name_or_id, int interrupt_fd,
                             struct container_image *ret, GError **error);

/* A line of what a pull says of itself. Borrowed during the call. */
typedef void container_progress_fn(const char *line, void *data);
/* Errors: IMAGE_MISSING (the registry has none, or none for us), IMAGE_PULL, DISK_FULL, TIMEOUT, INTERRUPTED
 * (interrupt_fd is readable; -1: none). */
bool container_image_pull(struct container_client *client, const char *name, int64_t timeout_ns, int interrupt_fd,
                          container_progress_fn *progress, void *data, GError **error);

/* --- What a container is to be --------------------------------------------------------------------------------- */

struct container_mount {
    const char *host, *inside; /* a host path that is not there is refused, not made */
    bool writable;
};

/* Lists of texts end with NULL and may be NULL; texts that are NULL are left to the client. */
struct container_spec {
    const char *name;
    const char *image_id; /* "sha256:…", or a name */
    const char *const *labels; /* "NAME=value" */
    const struct container_mount *mounts;
    size_t n_mounts;
    const char *const *env;  /* "NAME=value"; nothing secret: arguments are seen by everybody */
    const char *env_file;    /* of lines NAME=value, that nobody else can read */
    const char *cid_file;    /* written by the client with the container's id; must not be there */
    const char *user;        /* "UID:GID" */
    const char *const *groups; /* supplementary, by number; not without root, where other numbers are meant inside */
    const char *hostname;
    int64_t shm_bytes; /* 0: the client's default */
    const char *ipc, *network, *memory, *cpus;
    const char *const *ulimits;   /* "memlock=-1:-1" */
    const char *const *gpus;      /* UUIDs; NULL or empty: no board is visible inside */
    const char *const *extra;     /* raw arguments, before the image; a user's: container_argument_problem() first */
    const char *workdir;
    const char *entrypoint;       /* a program inside; NULL: the image's */
    const char *const *arguments; /* of it */
    bool remove, init, read_only;
};

/* What decides how the same thing is said to one client and another. */
struct container_dialect {
    bool podman, rootless, selinux;
    bool limitless; /* limits of memory and CPUs are ignored: rootless on cgroups of version 1 */
};
/* The whole command, argv[0] the client. Asks the daemon if it was not asked yet. New strv. Errors: those of
 * container_daemon(), CONFIG for what cannot be said (a newline in a path). */
char **container_run_argv(struct container_client *client, const struct container_spec *spec, GError **error);
/* The same without a daemon; pure. */
char **container_argv(const char *program, const struct container_dialect *dialect, const struct container_spec *spec,
                      GError **error);
/* NULL if a user may hand this argument on to the client of that kind ("docker", "podman"), else the reason why not. */
const char *container_argument_problem(const char *kind, const char *argument);

/* --- Ends ------------------------------------------------------------------------------------------------------ */

/* What the daemon's events say of a container, also after its --rm. */
struct container_end {
    bool started, died, oom;
    bool forgotten; /* there is no event of it at all: a daemon that was restarted knows none from before */
    int exit_code;              /* -1: it did not die */
    int64_t start_ns, die_ns;   /* wall clock; 0: not known */
};
/* One query, by name or id, of what happened since since_wall_ns. podman has no oom event: .oom stays false there. */
bool container_events(struct container_client *client, const char *name_or_id, int64_t since_wall_ns,
                      struct container_end *ret, GError **error);
/* The same from the text of the answer, a JSON object a line. Pure. */
void container_events_read(const char *text, struct container_end *ret);

/* What is known of a run in a container that failed, beside its own error file, which comes before all this. */
struct container_facts {
    int exit_code;           /* of the client: the program's own, 128 + n where signal n ended that, or 125 to 127 */
    int client_signal;       /* that ended the client itself; 0: none */
    bool daemon_gone;        /* it did not answer when it was asked afterwards (container_events(): DAEMON_DOWN) */
    const char *client_text; /* what the client wrote: it, the daemon, the loader. NULL: nothing */
    const char *log_tail;    /* of the program inside: the last evidence. NULL: none */
    int64_t oom_kills;       /* of the container's own cgroup; -1: not known */
    const struct container_end *end; /* NULL: not asked */
    bool began;                      /* the program inside was at work: it wrote something */
    const char *program;             /* what was started inside, for messages; NULL: "the program" */
};
struct container_verdict {
    int code;     /* LLEM_ERROR_… */
    char *text;   /* what happened, in a line */
    char *remedy; /* what to do; NULL: nothing is known */
};
/* Pure. The order of evidence: out-of-memory facts; the daemon's own words with the client's 125, 126, 127; signals;
 * the log. Never fails: what nothing speaks of is WORKER_DIED. */
void container_classify(const struct container_facts *facts, struct container_verdict *ret);
void container_verdict_clear(struct container_verdict *verdict);
/* True if only the daemon's events can tell more (a memory kill that nobody counted): ask container_events() then. */
bool container_wants_events(const struct container_facts *facts);
/* The error of a client command that said no: the daemon's words without the client's noise, and the remedy. Always
 * false. */
bool container_command_error(struct container_client *client, const struct container_output *output, const char *doing,
                             GError **error);

/* The ladder, by name or id, whoever started the container. An absent one is fine. stop: its stop signal, after grace_s
 * SIGKILL. They return when it is done; true: the container does not run (remove: is not there) any more. */
bool container_stop(struct container_client *client, const char *name_or_id, int grace_s, GError **error);
bool container_kill(struct container_client *client, const char *name_or_id, const char *signal, GError **error);
bool container_remove(struct container_client *client, const char *name_or_id, GError **error);
/* All of its processes stand still until it is unpaused, which stop and kill do first. False where it does not run, or
 * cannot be paused; TIMEOUT: the daemon may do it yet. Unpausing one that is not paused is an error that does no
 * harm. */
bool container_pause(struct container_client *client, const char *name_or_id, GError **error);
bool container_unpause(struct container_client *client, const char *name_or_id, GError **error);
/* True if it is there and runs. */
bool container_is_running(struct container_client *client, const char *name_or_id, bool *ret, GError **error);

/* --- Owners ---------------------------------------------------------------------------------------------------- */

struct container_owner {
    char boot_id[40];
    int64_t pid;
    int64_t start_ticks;   /* field 22 of /proc/PID/stat: with the pid it names one process for good */
    int64_t pid_namespace; /* where pid is one: from another one (llem in a container) nobody can tell */
};
/* This process. False (IO) where /proc does not say. */
bool container_owner_self(struct container_owner *ret, GError **error);
/* "BOOTID:PID:STARTTICKS:PIDNAMESPACE". New string. */
char *container_owner_text(const struct container_owner *owner);
bool container_owner_parse(const char *text, struct container_owner *ret);
enum container_owner_state {
    CONTAINER_OWNER_ALIVE,
    CONTAINER_OWNER_DEAD,
    CONTAINER_OWNER_UNKNOWN, /* no label that we can read, or a process that we cannot see: not ours to remove */
};
/* A process of another user's counts as well as ours: /proc/PID/stat is open to all. */
enum container_owner_state container_owner_state(const char *label);

/* The labels of a container of this process, "NAME=value", added to a list of new strings; study and config may be
 * NULL. What is started with them is swept once this process is dead. False (IO): /proc does not say who we are. */
bool container_add_labels(GPtrArray *labels, const char *study, const char *config, GError **error);
/* Removes the containers that carry CONTAINER_LABEL_RUN and whose owner is dead. ret_names: theirs (new strv; may be
 * NULL). False: the daemon did not answer, or one could not be removed; the others are, but for those that were still
 * to come when interrupt_fd (-1: none) was readable (INTERRUPTED). */
bool container_sweep(struct container_client *client, int interrupt_fd, size_t *ret_n, char ***ret_names,
                     GError **error);
