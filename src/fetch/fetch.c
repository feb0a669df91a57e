/* SPDX-License-Identifier: MIT */
#include "fetch/fetch.h"

#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#define LAST_BYTES (16 << 10) /* of what a program says */
#define LAST_LINES 6          /* of these, in an error message */
#define WAIT_US 200000

void fetch_tell(const struct fetch_voice *voice, const char *format, ...)
{
    if (!voice || !voice->say)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    voice->say(line, voice->data);
}

/* --- Programs ------------------------------------------------------------------------------------------------------ */

/* The last lines of what a program said. Borrowed from text, which is cut. */
static const char *last_lines(char *text, int n)
{
    g_strchomp(text);
    const char *at = text + strlen(text);
    for (; at > text; at--)
        if (at[-1] == '\n' && --n == 0)
            break;
    return at;
}

/* What the user has set for other programs and would lead packages astray. */
static const char *const apart[] = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER",
                                    "LC_ALL=C.UTF-8", /* what it says stands within our words */
                                    NULL};

char *fetch_ask(const char *const *argv, enum llem_error_code code, const char *what, GError **error)
{
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) spawn_error = NULL;
    int status;
    /* It ends when a signal ends llem alone, too. */
    const struct spawn spawn = {.argv = argv, .env = apart, .death_signal = SIGTERM, .interruptible = true};
    if (!spawn_capture(&spawn, LAST_BYTES, &out, &err, &status, &spawn_error)) {
        if (g_error_matches(spawn_error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
            code = LLEM_ERROR_INTERRUPTED;
        g_set_error(error, LLEM_ERROR, code, "%s: %s", what, spawn_error->message);
        return NULL;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return g_steal_pointer(&out);
    g_autofree char *how = WIFSIGNALED(status) ? g_strdup_printf("was ended by signal %d", WTERMSIG(status))
                                               : g_strdup_printf("exit status %d", WEXITSTATUS(status));
    g_set_error(error, LLEM_ERROR, code, "%s: %s: %s:\n%s", what, argv[0], how,
                last_lines(err && *err ? err : out, LAST_LINES));
    return NULL;
}

bool fetch_run(const char *const *argv, enum llem_error_code code, const char *what, GError **error)
{
    g_autofree char *out = fetch_ask(argv, code, what, error);
    return out != NULL;
}

const char *fetch_python_name(void)
{
    const char *named = g_getenv("LLEM_PYTHON");
    return named && *named ? named : "python3";
}

char *fetch_python(const char *work, GError **error)
{
    const char *python = fetch_python_name();
    const char *const asks[] = {python, FETCH_ALONE, "-m", "pip", "--version", NULL};
    if (fetch_run(asks, LLEM_ERROR_MISSING, "pip", NULL))
        return g_strdup(python);
    g_autofree char *venv = g_build_filename(work, "venv", NULL);
    const char *const make[] = {python, FETCH_ALONE, "-m", "venv", venv, NULL};
    if (fetch_run(make, LLEM_ERROR_MISSING,
                  "no Python with pip (Debian and Ubuntu: apt-get install python3-pip, or name one in LLEM_PYTHON)",
                  error))
        return g_build_filename(venv, "bin", "python", NULL);
    return NULL;
}

/* --- One at a time ------------------------------------------------------------------------------------------------- */

/* The locked file of a folder; -1 and an error. */
static int lock_folder(const char *dir, const char *what, const struct fetch_voice *voice, GError **error)
{
    g_autofree char *lock = g_build_filename(dir, ".lock", NULL);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        file_error(error, "cannot open", lock);
        return -1;
    }
    enum file_lock state = file_lock_try(fd, false);
    if (state == FILE_LOCK_REFUSED)
        fetch_tell(voice, "not protected against a second pull of %s: %s has no locks (%s)", what, dir,
                   g_strerror(errno));
    if (state == FILE_LOCK_HELD)
        fetch_tell(voice, "another pull of %s is running; waiting for it", what);
    for (; state == FILE_LOCK_HELD; state = interrupt_waits() ? FILE_LOCK_INTERRUPTED : file_lock_try(fd, false))
        g_usleep(WAIT_US);
    if (state != FILE_LOCK_INTERRUPTED)
        return fd;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted while %s was to be locked", lock);
    close(fd);
    return -1;
}

bool fetch_apart(const char *dir, const char *what, const struct fetch_voice *voice,
                 bool (*work)(const char *folder, void *data, GError **error), void *data, GError **error)
{
    g_autofree char *folder = g_build_filename(dir, ".pull", NULL);
    int fd = file_make_dirs(dir, error) ? lock_folder(dir, what, voice, error) : -1;
    if (fd < 0)
        return false;
    bool ok = file_remove_tree(folder, error) && file_make_dirs(folder, error) && work(folder, data, error);
    file_remove_tree(folder, NULL);
    close(fd);
    return ok;
}
