/* SPDX-License-Identifier: MIT */
/* Which adapter serves a backend, and where its program is. */
#include "engine/engine.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct engine_backend engine_backends[] = {
    {"llamacpp", "llem-engine-llamacpp", "LLEM_ENGINE_LLAMACPP", "llama.cpp through libllama",
     "build llem with -DLLEM_LLAMA_PREFIX=PREFIX, where PREFIX holds include/llama.h and lib/libllama.so "
     "(`make demo` does all of it)"},
    {"sim", "llem-engine-sim", "LLEM_ENGINE_SIM", "a scripted engine for tests", "build llem: it comes with every build"},
    {"pytorch", NULL, "LLEM_ENGINE_PYTORCH", "PyTorch with transformers",
     "none comes with this version; a program that speaks the protocol of docs/engine-protocol.md can "
     "be named in LLEM_ENGINE_PYTORCH"},
    {"vllm", NULL, "LLEM_ENGINE_VLLM", "vLLM",
     "none comes with this version; a program that speaks the protocol of docs/engine-protocol.md can "
     "be named in LLEM_ENGINE_VLLM"},
    {0},
};

const struct engine_backend *engine_backend_find(const char *name)
{
    for (const struct engine_backend *row = engine_backends; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char **command_line(const char *path)
{
    char **argv = g_new0(char *, 2);
    argv[0] = g_strdup(path);
    return argv;
}

/* The folder of the running program, or NULL. */
static char *program_dir(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_dirname(self) : NULL;
}

/* Folders to search, in order; NULL-terminated. */
static char **search_path(const char *engines_dir)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new();
    if (engines_dir)
        g_ptr_array_add(dirs, g_strdup(engines_dir));
    g_autofree char *here = program_dir();
    if (here) {
        g_autofree char *prefix = g_path_get_dirname(here);
        g_ptr_array_add(dirs, g_strdup(here));
        g_ptr_array_add(dirs, g_build_filename(here, "engines", NULL)); /* of an installed llem-worker */
        g_ptr_array_add(dirs, g_build_filename(prefix, "libexec", "llem", "engines", NULL));
        g_ptr_array_add(dirs, g_build_filename(prefix, "bin", NULL));
    }
    g_ptr_array_add(dirs, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&dirs), FALSE);
}

char **engine_find(const char *backend, const char *engines_dir, GError **error)
{
    const struct engine_backend *row = engine_backend_find(backend);
    if (!row) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "no backend is called '%s'; see `llem engine list`",
                    backend);
        return NULL;
    }
    const char *override = g_getenv(row->env);
    if (override && *override) {
        if (is_program(override))
            return command_line(override);
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s names '%s', which is not a program that can be run",
                    row->env, override);
        return NULL;
    }
    if (!row->program) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "no adapter for the backend '%s': %s", backend,
                    row->remedy);
        return NULL;
    }
    g_auto(GStrv) dirs = search_path(engines_dir);
    for (char **dir = dirs; *dir; dir++) {
        g_autofree char *path = g_build_filename(*dir, row->program, NULL);
        if (is_program(path))
            return command_line(path);
    }
    g_autofree char *looked = g_strjoinv(", ", dirs);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                "the adapter %s for the backend '%s' was not found (looked in %s): %s, or name it in %s", row->program,
                backend, looked, row->remedy, row->env);
    return NULL;
}
