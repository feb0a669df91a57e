/* SPDX-License-Identifier: MIT */
/* What a text is made of where it is more than a name: each is looked at where it is written, long before a container's
 * client would. */
#include "config/internal.h"

#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static bool is_of(const char *text, const char *characters)
{
    return *text && text[strspn(text, characters)] == '\0';
}

static char *absolute(const char *text, const char *folder)
{
    g_autofree char *path = file_expand_home(text);
    return g_canonicalize_filename(path, folder);
}

/* --- Runners ------------------------------------------------------------------------------------------------------ */

/* A name of an image: what its client can take for nothing else. */
static bool is_image(const char *text)
{
    return is_of(text, LETTERS DIGITS "._-/:@") && (g_ascii_isalnum(*text));
}

static char *strange_runner(const char *name)
{
    static const char *const later[] = {"singularity", "apptainer", NULL};
    static const char *const known[] = {"local", "docker", "podman", NULL};
    struct suggest suggest = {.word = name};
    if (g_strv_contains(later, name))
        return g_strdup_printf("%s is not in this version", name);
    for (const char *const *row = known; *row; row++)
        suggest_offer(&suggest, *row);
    return suggest.best ? g_strdup_printf("did you mean %s?", suggest.best) : NULL;
}

bool config_runner_parse(const char *text, char **ret_runner, char **ret_image, char **ret_why)
{
    static const char *const containers[] = {"docker", "podman", NULL};
    const char *colon = strchr(text, ':');
    g_autofree char *name = colon ? g_strndup(text, (size_t)(colon - text)) : g_strdup(text);
    bool contained = g_strv_contains(containers, name), good = contained ? !colon || is_image(colon + 1)
                                                                           : !strcmp(text, "local");
    *ret_why = NULL;
    if (!good && contained)
        *ret_why = g_strdup_printf("'%s' is no name of an image", colon + 1);
    else if (!good)
        *ret_why = strange_runner(name);
    if (!good)
        return false;
    *ret_image = colon ? g_strdup(colon + 1) : NULL;
    *ret_runner = g_steal_pointer(&name);
    return true;
}

static char *take_runner(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    g_autofree char *runner = NULL, *image = NULL;
    return config_runner_parse(text, &runner, &image, ret_why) ? g_strdup(text) : NULL;
}

char *config_runner_path(const char *engine, const char *name)
{
    return g_strdup_printf("runners.%s.%s", engine, name);
}

char *config_runner_variable(const char *engine)
{
    g_autofree char *upper = g_ascii_strup(engine, -1);
    return g_strconcat("LLEM_RUNNER_", upper, NULL);
}

/* Where results go: relative to where llem is run, so the text is kept. */
static char *take_folder(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    const char *end = strchr(text, '/');
    if (text[0] == '~' && text[1] && text[1] != '/') {
        g_autofree char *name = end ? g_strndup(text, (size_t)(end - text)) : g_strdup(text);
        *ret_why = g_strdup_printf("write the folder that %s stands for; ./%s is a folder of that name", name, text);
        return NULL;
    }
    return file_expand_home(text);
}

/* A program by its name in PATH, or by its path. */
static char *take_client(const char *text, const char *folder, char **ret_why)
{
    (void)ret_why;
    if (!strchr(text, '/'))
        return is_of(text, LETTERS DIGITS "._-") && *text != '-' ? g_strdup(text) : NULL;
    return absolute(text, folder);
}

/* The same in an image, whose folders are not ours. */
static char *take_python(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    (void)ret_why;
    bool name = !strchr(text, '/') && is_of(text, LETTERS DIGITS "._-") && *text != '-';
    return name || g_path_is_absolute(text) ? g_strdup(text) : NULL;
}

/* --- Sizes and limits ----------------------------------------------------------------------------------------------- */

bool config_size_parse(const char *text, int64_t *ret_bytes)
{
    static const char units[] = "bkmgt";
    size_t digits = strspn(text, DIGITS ".");
    g_autofree char *number = g_strndup(text, digits);
    g_autofree char *unit = g_ascii_strdown(text + digits, -1);
    const char *found = *unit ? strchr(units, *unit) : NULL;
    bool tail = !*unit || !unit[1] || (*unit != 'b' && (!strcmp(unit + 1, "b") || !strcmp(unit + 1, "ib")));
    double value;
    if (!digits || !found || !tail || !num_parse_real(number, &value, NULL))
        return false;
    for (const char *step = units; step < found; step++)
        value *= 1024;
    if (!(value >= 1 && value < 0x1p62))
        return false;
    *ret_bytes = (int64_t)value;
    return true;
}

static char *take_size(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    int64_t bytes;
    if (config_size_parse(text, &bytes))
        return g_ascii_strdown(text, -1);
    if (is_of(text, DIGITS "."))
        *ret_why = g_strdup_printf("say the unit: %sm or %sg", text, text);
    return NULL;
}

static bool is_limit(const char *text)
{
    return !strcmp(text, "-1") || (is_of(text, DIGITS) && strlen(text) <= 19);
}

static char *take_ulimit(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    (void)ret_why;
    const char *equals = strchr(text, '=');
    g_autofree char *name = equals ? g_strndup(text, (size_t)(equals - text)) : NULL;
    g_auto(GStrv) limits = equals ? g_strsplit(equals + 1, ":", 3) : NULL;
    guint n = limits ? g_strv_length(limits) : 0;
    bool good = name && is_of(name, "abcdefghijklmnopqrstuvwxyz") && (n == 1 || n == 2) && is_limit(limits[0]) &&
                (n == 1 || is_limit(limits[1]));
    return good ? g_strdup(text) : NULL;
}

/* --- What goes in ---------------------------------------------------------------------------------------------------- */

static char *take_mount(const char *text, const char *folder, char **ret_why)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 4);
    guint n = g_strv_length(parts);
    const char *mode = n == 3 ? parts[2] : n == 2 && !strchr(parts[1], '/') ? parts[1] : NULL;
    const char *inside = n == 3 || (n == 2 && !mode) ? parts[1] : NULL;
    bool good = n >= 1 && n <= 3 && *parts[0] && (!mode || !strcmp(mode, "ro") || !strcmp(mode, "rw"));
    if (!good || (inside && !g_path_is_absolute(inside))) {
        if (good)
            *ret_why = g_strdup("INSIDE is an absolute path");
        return NULL;
    }
    g_autofree char *host = absolute(parts[0], folder);
    if (!g_file_test(host, G_FILE_TEST_EXISTS)) {
        *ret_why = g_strdup_printf("there is no file or folder %s", host);
        return NULL;
    }
    return g_strdup_printf("%s:%s%s%s", host, inside ? inside : host, mode ? ":" : "", mode ? mode : "");
}

bool config_is_secret_name(const char *name)
{
    static const char *const words[] = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL",
                                        "CREDENTIALS", "KEY", "APIKEY", NULL};
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_auto(GStrv) parts = g_strsplit(upper, "_", -1);
    for (char **part = parts; *part; part++)
        if (g_strv_contains(words, *part))
            return true;
    return false;
}

static bool is_variable(const char *name)
{
    return is_of(name, LETTERS DIGITS "_") && !g_ascii_isdigit(*name);
}

/* Variables by which the worker is told where it is. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "NVIDIA_VISIBLE_DEVICES",
                                       "CUDA_VISIBLE_DEVICES", "LLEM_CONFIG_PATH", "LLEM_WORKER_LOG", "LLEM_OWNER_LOCK",
                                       "LLEM_ENGINE_FD", NULL};
    return g_strv_contains(ours, name);
}

static char *take_variable(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    const char *equals = strchr(text, '=');
    g_autofree char *name = equals ? g_strndup(text, (size_t)(equals - text)) : g_strdup(text);
    if (!is_variable(name))
        return NULL;
    if (is_ours(name))
        *ret_why = g_strdup_printf("llem sets %s itself", name);
    else if (equals && config_is_secret_name(name))
        *ret_why = g_strdup_printf("%s looks like a secret: write its name alone, and llem hands on the value it has in "
                                   "your environment where nobody can read it", name);
    else if (strpbrk(text, "\n\r"))
        *ret_why = g_strdup("a value of several lines cannot be handed on");
    return *ret_why ? NULL : g_strdup(text);
}

static char *take_secret(const char *text, const char *folder, char **ret_why)
{
    if (!strchr(text, '='))
        return take_variable(text, folder, ret_why);
    *ret_why = g_strdup("no value of a secret stands in a file: write its name alone");
    return NULL;
}

/* --- What a client takes as it is -------------------------------------------------------------------------------------- */

static char *take_ipc(const char *text, const char *folder, char **ret_why)
{
    static const char *const words[] = {"none", "private", "shareable", "host", NULL};
    (void)folder;
    (void)ret_why;
    const char *name = g_str_has_prefix(text, "container:") ? text + strlen("container:") : NULL;
    bool good = name ? is_of(name, LETTERS DIGITS "._-") && *name != '-' : g_strv_contains(words, text);
    return good ? g_strdup(text) : NULL;
}

static char *take_network(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    (void)ret_why;
    return is_of(text, LETTERS DIGITS "._-:/=,") && *text != '-' ? g_strdup(text) : NULL;
}

/* Which are refused says room container, which knows what llem itself sets. */
static char *take_argument(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    if (*text == '-' && !strpbrk(text, "\n\r"))
        return g_strdup(text);
    *ret_why = g_strdup("an argument and its value are one text: --name=value");
    return NULL;
}

static char *take_board(const char *text, const char *folder, char **ret_why)
{
    (void)folder;
    if ((is_of(text, DIGITS) && strlen(text) <= 4) ||
        ((g_str_has_prefix(text, "GPU-") || g_str_has_prefix(text, "MIG-")) &&
         is_of(text + 4, LETTERS DIGITS "-/")))
        return g_strdup(text);
    *ret_why = g_strdup("`nvidia-smi -L` lists both");
    return NULL;
}

const struct config_form config_form_runner = {"local, docker[:IMAGE] or podman[:IMAGE]", take_runner};
const struct config_form config_form_folder = {"the path of a folder", take_folder};
const struct config_form config_form_client = {"docker, podman or the path of a client", take_client};
const struct config_form config_form_python = {"a name such as python3, or an absolute path", take_python};
const struct config_form config_form_size = {"a size such as 8g or 512m", take_size};
const struct config_form config_form_mount = {"HOST[:INSIDE][:ro|:rw]", take_mount};
const struct config_form config_form_variable = {"NAME or NAME=value", take_variable};
const struct config_form config_form_secret = {"the NAME of a variable", take_secret};
const struct config_form config_form_ipc = {"none, private, shareable, host or container:NAME", take_ipc};
const struct config_form config_form_ulimit = {"NAME=SOFT[:HARD]", take_ulimit};
const struct config_form config_form_network = {"none, bridge, host or the name of a network", take_network};
const struct config_form config_form_argument = {"an argument such as --cap-add=SYS_PTRACE", take_argument};
const struct config_form config_form_board = {"an index or a UUID (GPU-…)", take_board};
