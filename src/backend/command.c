/* SPDX-License-Identifier: MIT */
/* Command lines: words in braces are filled in, and there is no shell. */
#include "backend/internal.h"

#include <string.h>
#include <unistd.h>

#define DIR_WORD     "{dir}"
#define ENGINES_WORD "{engines}"
#define PYTHON_WORD  "{python}"

/* --- Templates ------------------------------------------------------------------------------------------------------ */

/* The first word in braces of a text that is none of `known` (NULL-terminated), or NULL. New string. */
static char *strange_word(const char *text, const char *const *known)
{
    for (const char *at = strchr(text, '{'); at; at = strchr(at + 1, '{')) {
        size_t n = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_");
        if (n == 0 || at[n + 1] != '}')
            continue;
        g_autofree char *word = g_strndup(at, n + 2);
        if (!g_strv_contains(known, word))
            return g_steal_pointer(&word);
    }
    return NULL;
}

static char *replace(const char *text, const char *word, const char *with)
{
    g_auto(GStrv) parts = g_strsplit(text, word, -1);
    return g_strjoinv(with, parts);
}

char *backend_installed_folder(void)
{
    g_autofree char *here = install_folder();
    return here ? g_canonicalize_filename("../libexec/llem/engines", here) : NULL;
}

/* A text with the folders filled in: its own, and the one of the engines that come with llem. New string. */
static char *with_folders(const struct backend *b, const char *text)
{
    g_autofree char *own = replace(text, DIR_WORD, b->folder);
    g_autofree char *engines = backend_installed_folder();
    return replace(own, ENGINES_WORD, engines ? engines : ".");
}

static const char *fill_dir(struct reading *r, const struct doc_node *node, const char *text)
{
    static const char *const known[] = {DIR_WORD, ENGINES_WORD, NULL};
    g_autofree char *strange = strange_word(text, known);
    if (strange)
        read_error(r, node, NULL, "%s is not filled in here; %s and %s are", strange, DIR_WORD, ENGINES_WORD);
    g_autofree char *filled = with_folders(r->backend, text);
    g_autofree char *path = file_expand_home(filled);
    return keep_text(r->backend, path);
}

void read_filled(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    read_texts(r, node, member, into);
    const char **texts = *(const char ***)(void *)((char *)into + member->offset);
    for (; *texts; texts++)
        *texts = fill_dir(r, node, *texts);
}

void read_env(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    if (node->kind != DOC_MAP) {
        read_error(r, node, NULL, "%s: expected a mapping of names to texts", member->name);
        return;
    }
    const char **rows = keep_block(r->backend, g_new0(const char *, node->n + 1));
    size_t n = 0;
    for (size_t i = 0; i < node->n; i++) {
        const struct doc_entry *entry = &node->entries[i];
        const char *text = read_string(r, entry->value, member->name);
        if (!*entry->key || strchr(entry->key, '='))
            diag_add(r->diag, DIAG_ERROR, &entry->key_at, "%s: '%s' is no name of a variable", member->name,
                     entry->key);
        if (!text)
            continue;
        g_autofree char *row = g_strdup_printf("%s=%s", entry->key, fill_dir(r, entry->value, text));
        rows[n++] = keep_text(r->backend, row);
    }
    *(const char *const **)(void *)((char *)into + member->offset) = rows;
}

void read_recorded(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    read_texts(r, node, member, into);
    for (size_t i = 0; node->kind == DOC_LIST && i < node->n; i++) {
        const struct doc_node *name = node->items[i];
        g_autofree char *alone = json_is_string(name->json) ? variables_entry_name(name->raw) : NULL;
        if (alone && variables_is_secret(alone))
            read_error(r, name, NULL, "%s: the name '%s' tells of a secret, and values are in every result",
                       member->name, alone);
    }
}

void read_command(struct reading *r, const struct doc_node *node, const struct member *member, void *into)
{
    static const char *const known[] = {DIR_WORD, ENGINES_WORD, PYTHON_WORD, NULL};
    read_texts(r, node, member, into);
    for (size_t i = 0; node->kind == DOC_LIST && i < node->n; i++) {
        const struct doc_node *word = node->items[i];
        g_autofree char *strange = json_is_string(word->json) ? strange_word(word->raw, known) : NULL;
        if (strange)
            read_error(r, word, NULL, "%s: %s is not filled in; %s, %s and %s are", member->name, strange, DIR_WORD,
                       ENGINES_WORD, PYTHON_WORD);
        if (json_is_string(word->json) && strstr(word->raw, PYTHON_WORD) && !r->backend->has_python)
            read_error(r, word, NULL, "%s: %s needs the member 'python'", member->name, PYTHON_WORD);
    }
    if (node->kind == DOC_LIST && node->n == 0)
        read_error(r, node, NULL, "%s: an empty list of words", member->name);
}

/* --- What is run ----------------------------------------------------------------------------------------------------- */

const char *backend_variable(const struct backend *b)
{
    return b->variable;
}

static char **from_variable(const struct backend *b, const char *program, GError **error)
{
    char *found = g_find_program_in_path(program);
    if (!found) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s names '%s', which is not a program that can be run",
                    b->variable, program);
        return NULL;
    }
    char **argv = g_new0(char *, 2);
    argv[0] = found;
    return argv;
}

/* Words with what stands in braces filled in. interpreter NULL: the one of this machine. New vector. */
static char **fill(const struct backend *b, const char *const *words, const char *interpreter, GError **error)
{
    g_autofree char *python = g_strdup(interpreter);
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *word = words; *word; word++) {
        char *filled = with_folders(b, *word);
        if (strstr(filled, PYTHON_WORD)) {
            if (!python && !(python = backend_find_python(b, error))) {
                g_free(filled);
                return NULL;
            }
            char *with = replace(filled, PYTHON_WORD, python);
            g_free(filled);
            filled = with;
        }
        g_ptr_array_add(argv, filled);
    }
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_steal(argv, NULL);
}

/* Puts the path of the program in its place; false when it is not there. */
static bool find_program(char **argv)
{
    char *found = g_find_program_in_path(argv[0]);
    if (!found)
        return false;
    g_free(argv[0]);
    argv[0] = found;
    return true;
}

char **backend_quantizer(const struct backend *b)
{
    g_auto(GStrv) argv = b->quantize ? fill(b, b->quantize, NULL, NULL) : NULL;
    return argv && find_program(argv) ? g_steal_pointer(&argv) : NULL;
}

char **backend_folder_maker(const struct backend *b)
{
    g_auto(GStrv) argv = b->make_folder && backend_check_python(b, NULL) ? fill(b, b->make_folder, NULL, NULL) : NULL;
    return argv && find_program(argv) ? g_steal_pointer(&argv) : NULL;
}

static bool has_command(const struct backend *b, GError **error)
{
    if (!b->command)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "no adapter for the backend '%s': %s", b->name, b->remedy);
    return b->command != NULL;
}

char **backend_command_elsewhere(const struct backend *b, const char *python, GError **error)
{
    const char *override = g_getenv(b->variable);
    if (override && *override)
        return from_variable(b, override, error);
    g_auto(GStrv) argv = has_command(b, error) ? fill(b, b->command, python, error) : NULL;
    if (!argv || !g_path_is_absolute(argv[0]) || find_program(argv))
        return g_steal_pointer(&argv);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                "the adapter %s of the backend '%s' is not there: %s, or name it in %s", argv[0], b->name, b->remedy,
                b->variable);
    return NULL;
}

char **backend_command(const struct backend *b, GError **error)
{
    const char *override = g_getenv(b->variable);
    if (override && *override)
        return from_variable(b, override, error);
    g_auto(GStrv) argv = has_command(b, error) ? fill(b, b->command, NULL, error) : NULL;
    if (!argv || find_program(argv))
        return g_steal_pointer(&argv);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                "the adapter %s of the backend '%s' is not there: %s, or name it in %s", argv[0], b->name, b->remedy,
                b->variable);
    return NULL;
}

const char *backend_program(const struct backend *b, const char *const *argv)
{
    g_autofree char *below = g_strconcat(b->folder, "/", NULL);
    for (const char *const *word = argv; *word; word++)
        if (g_str_has_prefix(*word, below) && g_file_test(*word, G_FILE_TEST_IS_REGULAR))
            return *word;
    return argv[0];
}
