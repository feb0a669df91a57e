/* SPDX-License-Identifier: MIT */
/* The GError domain of llem. One row per class of failure: code, the name written into records, CLI exit code. */
#pragma once

#include <glib.h>

#define LLEM_ERROR_ROWS(X)                                                                         \
    X(USAGE, "UsageError", 2)          /* a command line that does not parse */                    \
    X(CONFIG, "ConfigError", 2)        /* a file or value the user can correct */                  \
    X(LIMIT, "LimitError", 2)          /* input beyond a named limit of limits.h */                \
    X(IO, "IoError", 1)                /* the operating system refused (errno text inside) */      \
    X(DATA, "DataError", 1)            /* a file is torn, truncated or not what it claims */       \
    X(MISSING, "MissingError", 1)      /* something to install, pull or build first */             \
    X(UNSUPPORTED, "UnsupportedError", 1) /* this machine, version or engine cannot do it */       \
    X(PROTOCOL, "ProtocolError", 1)    /* the engine adapter broke the protocol */                 \
    X(ENGINE, "EngineError", 1)        /* the engine reported an error of its own */               \
    X(ENGINE_DIED, "EngineDied", 1)    /* the engine adapter ended in the middle */                \
    X(TIMEOUT, "TimeoutError", 1)      /* a deadline passed */                                     \
    X(METER, "MeterError", 1)          /* a sensor failed */                                       \
    X(RUNNER, "RunnerError", 1)        /* the runner could not start or collect the worker */      \
    X(WORKER_DIED, "WorkerDied", 1)    /* the worker ended without a result (signal, OOM kill) */  \
    X(INTERRUPTED, "Interrupted", 130) /* SIGINT or SIGTERM */

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
/* The exit code of the CLI for an error: the row's, 1 for a foreign domain, 0 for NULL. */
int llem_error_exit_code(const GError *error);
