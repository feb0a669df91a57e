/* SPDX-License-Identifier: MIT */
/* The interpreter of an adapter that is a Python program: whether it will do, and where it finds its modules. */
#include "backend/internal.h"

#include "base/spawn.h"

#include <string.h>
#include <sys/wait.h>

#define SAID_BYTES 4096
#define PLACES_BYTES (64 << 10)

/* True if a version ("3.12.1") is not before another ("3.9"), number by number. */
static bool is_at_least(const char *version, const char *least)
{
    g_auto(GStrv) have = g_strsplit(version, ".", -1), want = g_strsplit(least, ".", -1);
    for (size_t i = 0; want[i]; i++) {
        guint64 a = have[i] ? g_ascii_strtoull(have[i], NULL, 10) : 0, b = g_ascii_strtoull(want[i], NULL, 10);
        if (a != b)
            return a > b;
        if (!have[i])
            break;
    }
    return true;
}

static const char *last_line(char *text)
{
    g_strchomp(text);
    const char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

/* Before anything else is imported: a module of the folder llem is called in is none of the adapter's. */
#define NOT_HERE "import sys; del sys.path[0]; "

/* Prints its version, and those of the modules named that it does not find; none is imported, which takes seconds. */
static const char looks[] = NOT_HERE "from importlib.util import find_spec; print('.'.join(map(str, sys.version_info[:3])), "
                            "*[m for m in sys.argv[1].replace(',', ' ').split() if not find_spec(m)])";

/* What it prints, in words: its version, then each module that it lacks; NULL with the last line of what it said. */
static char **look(const struct backend *b, const char *python, GError **error)
{
    const char *const argv[] = {python, "-c", looks, b->python.import ? b->python.import : "", NULL};
    const struct spawn spawn = {.argv = argv, .env = b->env};
    g_autofree char *out = NULL, *said = NULL;
    int status;
    if (!spawn_capture(&spawn, SAID_BYTES, &out, &said, &status, error))
        return NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return g_strsplit(g_strchomp(out), " ", -1);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s: %s is no Python that works: %s; name another in %s",
                b->name, python, last_line(said), b->python.variable);
    return NULL;
}

bool python_fits(const struct backend *b, const char *python, GError **error)
{
    g_auto(GStrv) words = look(b, python, error);
    if (!words)
        return false;
    if (!words[0] || !is_at_least(words[0], b->python.least)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s: %s is Python %s; %s is the least. Name another in %s",
                    b->name, python, words[0], b->python.least, b->python.variable);
        return false;
    }
    if (words[1]) {
        g_autofree char *lacks = g_strjoinv(", ", words + 1);
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s: %s has no %s; %s, or name another interpreter in %s",
                    b->name, python, lacks, b->remedy, b->python.variable);
        return false;
    }
    return true;
}

/* Its search path, and where the modules named are found; none is imported but what stands above one. */
static const char places[] =
    NOT_HERE "import os; from importlib.util import find_spec\n"
    "specs = [find_spec(m.split('.')[0]) for m in sys.argv[1].replace(',', ' ').split()]\n"
    "folders = [f for s in specs if s for f in (s.submodule_search_locations or [os.path.dirname(s.origin or '')])]\n"
    "print(*[os.path.abspath(p) for p in [*sys.path, *folders] if p], sep='\\n')";

static char *ask_places(const struct backend *b, const char *python)
{
    const char *const argv[] = {python, "-c", places, b->python.import ? b->python.import : "", NULL};
    const struct spawn spawn = {.argv = argv, .env = b->env};
    char *out = NULL;
    g_autofree char *said = NULL;
    int status;
    bool ran = spawn_capture(&spawn, PLACES_BYTES, &out, &said, &status, NULL);
    if (ran && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return out;
    g_free(out);
    return NULL;
}

const char *python_places(const struct backend *b, const char *python)
{
    static GMutex lock;
    static GHashTable *asked; /* engine and interpreter → what it said, or NULL */
    g_autofree char *key = g_strdup_printf("%p %s", (const void *)b->file, python);
    void *found = NULL;
    g_mutex_lock(&lock);
    if (!asked)
        asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (!g_hash_table_lookup_extended(asked, key, NULL, &found)) {
        found = ask_places(b, python);
        g_hash_table_insert(asked, g_strdup(key), found);
    }
    g_mutex_unlock(&lock);
    return found;
}
