/* SPDX-License-Identifier: MIT */
/* The GError domain of llem. One row per class of failure: code, the name written into records, CLI exit code. */
#pragma once

#include <glib.h>
#include <signal.h>

/* The exit codes of our programs. */
enum llem_exit {
    LLEM_EXIT_OK = 0,
    LLEM_EXIT_FAILED = 1,
    LLEM_EXIT_USAGE = 2,
    LLEM_EXIT_SIGNAL = 128, /* plus its number */
};

#define LLEM_ERROR_ROWS(X)                                                                                                   \
    X(USAGE, "UsageError", LLEM_EXIT_USAGE)                         /* a command line that does not parse                */ \
    X(CONFIG, "ConfigError", LLEM_EXIT_USAGE)                       /* a file or value the user can correct              */ \
    X(LIMIT, "LimitError", LLEM_EXIT_USAGE)                         /* input beyond a named limit of limits.h            */ \
    X(IO, "IoError", LLEM_EXIT_FAILED)                              /* the operating system refused (errno text inside)  */ \
    X(DATA, "DataError", LLEM_EXIT_FAILED)                          /* a file is torn, truncated or not what it claims   */ \
    X(MISSING, "MissingError", LLEM_EXIT_FAILED)                    /* something to install, pull or build first         */ \
    X(UNSUPPORTED, "UnsupportedError", LLEM_EXIT_FAILED)            /* this machine, version or engine cannot do it      */ \
    X(PROTOCOL, "ProtocolError", LLEM_EXIT_FAILED)                  /* the engine adapter broke the protocol             */ \
    X(ENGINE, "EngineError", LLEM_EXIT_FAILED)                      /* the engine reported an error of its own           */ \
    X(ENGINE_DIED, "EngineDied", LLEM_EXIT_FAILED)                  /* the engine adapter ended in the middle            */ \
    X(TIMEOUT, "TimeoutError", LLEM_EXIT_FAILED)                    /* a deadline passed                                 */ \
    X(METER, "MeterError", LLEM_EXIT_FAILED)                        /* a sensor failed                                   */ \
    X(RUNNER, "RunnerError", LLEM_EXIT_FAILED)                      /* the runner could not start or collect the worker  */ \
    X(WORKER_DIED, "WorkerDied", LLEM_EXIT_FAILED)                  /* the worker ended without a result                 */ \
    X(CONTAINER_CLIENT, "ContainerClientMissing", LLEM_EXIT_FAILED) /* neither docker nor podman can be started          */ \
    X(DAEMON_DOWN, "DaemonNotRunning", LLEM_EXIT_FAILED)            /* the container daemon does not answer              */ \
    X(DAEMON_DENIED, "DaemonPermission", LLEM_EXIT_FAILED)          /* its socket is not for this user                   */ \
    X(DAEMON_REMOTE, "DaemonRemote", LLEM_EXIT_FAILED)              /* it runs on another machine or kernel              */ \
    X(DAEMON_LOST, "DaemonLost", LLEM_EXIT_FAILED)                  /* it went away in the middle of a run               */ \
    X(IMAGE_MISSING, "ImageMissing", LLEM_EXIT_FAILED)              /* no such image                                     */ \
    X(IMAGE_PULL, "ImagePullError", LLEM_EXIT_FAILED)               /* an image could not be fetched                     */ \
    X(GPU_TOOLKIT, "GpuToolkitMissing", LLEM_EXIT_FAILED)           /* containers get no GPU on this machine             */ \
    X(GPU_ABSENT, "GpuNotFound", LLEM_EXIT_FAILED)                  /* a GPU that was asked for is not there             */ \
    X(NAME_CONFLICT, "ContainerNameConflict", LLEM_EXIT_FAILED)     /* a container of that name exists                   */ \
    X(DISK_FULL, "DiskFull", LLEM_EXIT_FAILED)                      /* no space left on a device                         */ \
    X(OUT_OF_MEMORY, "OutOfMemory", LLEM_EXIT_FAILED)               /* the kernel killed for the memory of a cgroup      */ \
    X(GPU_OUT_OF_MEMORY, "GpuOutOfMemory", LLEM_EXIT_FAILED)        /* the memory of a GPU did not suffice               */ \
    X(LIBRARY_MISSING, "LibraryMissing", LLEM_EXIT_FAILED)          /* a shared library is not there, or too old         */ \
    X(ENTRY_POINT, "EntryPointError", LLEM_EXIT_FAILED)             /* the program of a container cannot be started      */ \
    X(MOUNT_DENIED, "MountDenied", LLEM_EXIT_FAILED)                /* a mount of a container was refused                */ \
    X(LIMIT_REFUSED, "LimitsRefused", LLEM_EXIT_FAILED)             /* limits or rights of a container were refused      */ \
    X(CONTAINER_KILLED, "ContainerKilled", LLEM_EXIT_FAILED)        /* a container was ended from outside                */ \
    X(INTERRUPTED, "Interrupted", LLEM_EXIT_SIGNAL + SIGINT)        /* SIGINT or SIGTERM                                 */

enum llem_error_code {
#define X(code, name, exit_code) LLEM_ERROR_##code,
    LLEM_ERROR_ROWS(X)
#undef X
        LLEM_ERROR_COUNT
};

#define LLEM_ERROR (llem_error_quark())
GQuark llem_error_quark(void);

/* The name of a code as records carry it ("ConfigError"); "InternalError" for an unknown code. Borrowed. */
const char *llem_error_name(int code);
/* The code of a name, or -1. */
int llem_error_from_name(const char *name);
/* The exit code for an error: the row's, LLEM_EXIT_FAILED for a foreign domain, LLEM_EXIT_OK for NULL. */
int llem_error_exit_code(const GError *error);
