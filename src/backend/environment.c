/* SPDX-License-Identifier: MIT */
/* Environments of engines in Python: made by pip from files of pinned packages, each in a folder of its own that is
 * named by the file's digest and counts as made when its mark is there. */
#include "backend/internal.h"

#include "fetch/fetch.h"

#include <string.h>

#define MARK ".llem-environment" /* written last */
#define LOCK_BYTES (1 << 20)
#define DIGEST_SHOWN 12
#define PACKAGES_ASKED 2 /* for, before any is fetched: the rarest, and one of those that are everywhere */

/* --- Locks --------------------------------------------------------------------------------------------------------- */

void backend_lock_clear(struct backend_lock *lock)
{
    g_free(lock->path);
    g_free(lock->name);
    g_free(lock->digest);
    g_free(lock->python);
    g_free(lock->machine);
    g_free(lock->hint);
    *lock = (struct backend_lock){0};
}

/* "# python 3.11": what stands behind a word at the head of the file. New string, or NULL. */
static char *headed(char *const *lines, const char *word)
{
    g_autofree char *head = g_strdup_printf("# %s ", word);
    for (; *lines && **lines == '#'; lines++)
        if (g_str_has_prefix(*lines, head))
            return g_strstrip(g_strdup(*lines + strlen(head)));
    return NULL;
}

static int64_t headed_mb(char *const *lines, const char *word)
{
    g_autofree char *text = headed(lines, word);
    return text ? (int64_t)g_ascii_strtoull(text, NULL, 10) * 1000000 : 0;
}

bool backend_lock_read(const char *path, struct backend_lock *ret, GError **error)
{
    size_t length;
    g_autofree char *text = file_read(path, LOCK_BYTES, &length, error);
    if (!text)
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    *ret = (struct backend_lock){.path = g_strdup(path),
                                 .name = g_path_get_basename(path),
                                 .digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length),
                                 .python = headed(lines, "python"),
                                 .machine = headed(lines, "machine"),
                                 .hint = headed(lines, "hint"),
                                 .fetch_bytes = headed_mb(lines, "fetch_mb"),
                                 .disk_bytes = headed_mb(lines, "disk_mb")};
    for (char **line = lines; *line; line++)
        ret->n_packages += strstr(*line, "==") != NULL;
    char *dot = strrchr(ret->name, '.');
    if (dot)
        *dot = '\0';
    if (ret->python && ret->machine && ret->n_packages > 0)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: a list of pinned packages says '# python', '# machine' and "
                "NAME==VERSION lines", path);
    backend_lock_clear(ret);
    return false;
}

char *backend_lock_folder(const struct backend_lock *lock, GError **error)
{
    const char *named = g_getenv("LLEM_ENVIRONMENTS_DIR");
    if (named && *named && !g_path_is_absolute(named)) { /* a run looks from another folder than its study */
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "LLEM_ENVIRONMENTS_DIR is '%s': it must be an absolute path", named);
        return NULL;
    }
    g_autofree char *dir = named && *named ? g_strdup(named)
                                           : g_build_filename(g_get_user_cache_dir(), "llem", "environments", NULL);
    g_autofree char *name = g_strdup_printf("%s-%.*s", lock->name, DIGEST_SHOWN, lock->digest);
    return g_build_filename(dir, name, NULL);
}

static bool is_made(const char *folder, const struct backend_lock *lock)
{
    g_autofree char *mark = g_build_filename(folder, MARK, NULL), *text = NULL;
    g_autofree char *python = g_build_filename(folder, "bin", "python", NULL); /* a link to one that may be gone */
    return g_file_test(python, G_FILE_TEST_IS_EXECUTABLE) && g_file_get_contents(mark, &text, NULL, NULL) &&
           !strcmp(g_strchomp(text), lock->digest);
}

bool backend_environment(const struct backend *b, char **ret, GError **error)
{
    *ret = NULL;
    for (const char *const *path = b->has_python ? b->python.locks : NULL; path && *path && !*ret; path++) {
        g_auto(owned_lock) lock = {0};
        if (!backend_lock_read(*path, &lock, NULL))
            continue;
        g_autofree char *folder = backend_lock_folder(&lock, error);
        if (!folder)
            return false;
        *ret = is_made(folder, &lock) ? g_build_filename(folder, "bin", "python", NULL) : NULL;
    }
    return true;
}

/* --- Making one ---------------------------------------------------------------------------------------------------- */

struct making {
    const struct backend *backend;
    const struct backend_lock *lock;
    const struct fetch_voice *voice;
    const char *folder;
};

/* A lock is of one Python and one processor. */
static bool fits_here(const struct making *m, GError **error)
{
    static const char asks[] = "import platform, sys; print('%d.%d' % sys.version_info[:2], platform.machine())";
    const char *python = fetch_python_name();
    g_autofree char *said = fetch_ask((const char *const[]){python, FETCH_ALONE, "-c", asks, NULL}, LLEM_ERROR_MISSING,
                                      "no Python (name one in LLEM_PYTHON)", error);
    if (!said)
        return false;
    g_autofree char *wanted = g_strdup_printf("%s %s", m->lock->python, m->lock->machine);
    if (!strcmp(g_strchomp(said), wanted))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                "the pinned environment of %s is for Python %s, and %s is %s; name such a Python in LLEM_PYTHON, or one "
                "that has the engine in %s",
                m->backend->name, wanted, python, said, m->backend->python.variable);
    return false;
}

static char *cannot_be_had(const struct making *m)
{
    return g_strdup_printf("the packages cannot be had as they are pinned (pip asks the indexes it is set up with%s%s)",
                           m->lock->hint ? "; " : "", m->lock->hint ? m->lock->hint : "");
}

/* Asks the indexes for the first packages, without patience: pip would try one that does not answer for minutes. It
 * says why only when it tries a second time. */
static bool can_be_had(const struct making *m, const char *python, GError **error)
{
    g_autofree char *text = file_read(m->lock->path, LOCK_BYTES, NULL, error), *what = cannot_be_had(m);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    int asked = 0;
    for (char **line = lines; line && *line && asked < PACKAGES_ASKED; line++) {
        char *version = **line == '#' ? NULL : strstr(*line, "==");
        if (!version)
            continue;
        g_autofree char *name = g_strndup(*line, (size_t)(version - *line));
        const char *const argv[] = {python, FETCH_ALONE, "-m", "pip", "index", "versions", "--pre", "--no-input",
                                    "--disable-pip-version-check", "--no-cache-dir", "--retries", "1",
                                    "--timeout", "8", name, NULL};
        g_autofree char *found = fetch_ask(argv, LLEM_ERROR_MISSING, what, error);
        if (!found)
            return false;
        asked++;
    }
    return text != NULL;
}

/* What cannot be had as pinned ends it before anything is installed; the rarest package is the first of a list. */
static bool install(const struct making *m, const char *python, GError **error)
{
    const char *const argv[] = {python, FETCH_ALONE, "-m", "pip", "install", "--quiet",
                                "--disable-pip-version-check", "--no-input", "--no-deps",
                                "--only-binary", ":all:", "--no-cache-dir", "--require-hashes", "-r",
                                m->lock->path, NULL};
    g_autofree char *what = cannot_be_had(m);
    return fetch_run(argv, LLEM_ERROR_MISSING, what, error);
}

/* The mark comes last, when its interpreter finds what the engine needs. */
static bool fill(const struct making *m, GError **error)
{
    g_autofree char *python = g_build_filename(m->folder, "bin", "python", NULL);
    g_autofree char *mark = g_build_filename(m->folder, MARK, NULL);
    const char *const make[] = {fetch_python_name(), FETCH_ALONE, "-m", "venv", m->folder, NULL};
    if (!fetch_run(make, LLEM_ERROR_MISSING,
                   "no environment can be made (Debian and Ubuntu: apt-get install python3-venv)", error))
        return false;
    if (!can_be_had(m, python, error))
        return false;
    fetch_tell(m->voice, "fetching %" G_GINT64_FORMAT " packages", m->lock->n_packages);
    return install(m, python, error) && python_fits(m->backend, python, error) &&
           file_write_durable(mark, m->lock->digest, strlen(m->lock->digest), error);
}

/* Under the lock, so that nothing of another pull's is removed. */
static bool make(const char *work, void *data, GError **error)
{
    (void)work;
    const struct making *m = data;
    if (is_made(m->folder, m->lock))
        return true;
    if (!fits_here(m, error) || !file_remove_tree(m->folder, error))
        return false;
    if (fill(m, error))
        return true;
    file_remove_tree(m->folder, NULL);
    return false;
}

bool backend_environment_make(const struct backend *b, const struct backend_lock *lock, const struct fetch_voice *voice,
                              GError **error)
{
    g_autofree char *folder = backend_lock_folder(lock, error), *parent = folder ? g_path_get_dirname(folder) : NULL;
    if (!folder)
        return false;
    struct making making = {b, lock, voice, folder};
    return is_made(folder, lock) || fetch_apart(parent, lock->name, voice, make, &making, error);
}
