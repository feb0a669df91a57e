/* SPDX-License-Identifier: MIT */
/* Which files and folders of this machine a run takes with it, and where they are inside. */
#include "runner/docker.h"

#include "runner/docker_links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHALLOW 3 /* slashes a folder must have at least to be mounted for the sake of links: not /home, not /data/x */

/* --- Lists ------------------------------------------------------------------------------------------------------- */

static const char *keep(struct docker_places *p, char *text)
{
    g_ptr_array_add(p->kept, text);
    return text;
}

static void add_mount(struct docker_places *p, const char *host, const char *inside, bool writable)
{
    for (guint i = 0; i < p->mounts->len; i++)
        if (!strcmp(g_array_index(p->mounts, struct container_mount, i).inside, inside))
            return; /* the first stays: what the user says comes first */
    struct container_mount mount = {keep(p, g_strdup(host)), keep(p, g_strdup(inside)), writable};
    g_array_append_val(p->mounts, mount);
}

static void add_path(struct docker_places *p, const char *host, const char *inside)
{
    struct exchange_path path = {keep(p, g_strdup(host)), keep(p, g_strdup(inside))};
    g_array_append_val(p->paths, path);
}

/* The row that counts for a path, as in exchange_map_paths(). */
static const struct exchange_path *row_of(const struct docker_places *p, const char *path)
{
    const struct exchange_path *best = NULL;
    for (guint i = 0; i < p->paths->len; i++) {
        const struct exchange_path *row = &g_array_index(p->paths, struct exchange_path, i);
        if (docker_is_below(path, row->host) && (!best || strlen(row->host) > strlen(best->host)))
            best = row;
    }
    return best;
}

/* --- Files and folders of a run ---------------------------------------------------------------------------------- */

/* No link leads out of what is mounted: within it every relative one does, an absolute one never. */
static bool stays_within(const char *real, const char *top)
{
    g_autoptr(GPtrArray) relative = NULL, absolute = NULL;
    if (!g_file_test(real, G_FILE_TEST_IS_DIR))
        return true;
    docker_links(real, &relative, &absolute);
    for (guint i = 0; i < relative->len; i++)
        if (!docker_is_below(g_ptr_array_index(relative, i), top))
            return false;
    return absolute->len == 0;
}

/* It is in something that is mounted already, and will be found there. */
static bool is_there(const struct docker_places *p, const char *path, const char *real)
{
    const struct exchange_path *row = row_of(p, path);
    if (!row)
        return false;
    if (!strcmp(row->host, path))
        return true;
    g_autofree char *top = realpath(row->host, NULL);
    size_t n = strlen(row->host);
    return top && docker_is_below(real, top) && !strcmp(real + strlen(top), path + n) && stays_within(real, top);
}

/* /llem/host/N/NAME for the path, wherever what it names lies. New string. */
static char *next_host(struct docker_places *p, const char *named)
{
    g_autofree char *name = g_path_get_basename(named);
    return g_strdup_printf(DOCKER_HOST "/%u/%s", p->n_host++, name);
}

static bool count_is_deep(const char *folder)
{
    int n = 0;
    for (const char *c = folder; *c; c++)
        n += *c == '/';
    return n >= SHALLOW;
}

/* The folder with what its links lead to: as much above it as they need. */
static bool add_folder(struct docker_places *p, const char *path, const char *real, GError **error)
{
    g_autoptr(GPtrArray) relative = NULL, absolute = NULL;
    docker_links(real, &relative, &absolute);
    g_autofree char *top = docker_common_folder(real, relative);
    if (strcmp(top, real) != 0 && !count_is_deep(top)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                    "links in %s lead to %s: a container would need all of %s to follow them; name what it is to see "
                    "under mounts", path, (const char *)g_ptr_array_index(relative, 0), top);
        return false;
    }
    g_autofree char *inside_top = next_host(p, strcmp(top, real) == 0 ? path : top);
    g_autofree char *inside = g_strconcat(inside_top, real + strlen(top), NULL);
    add_mount(p, top, inside_top, false);
    add_path(p, path, inside);
    for (guint i = 0; i < absolute->len; i++)
        add_mount(p, g_ptr_array_index(absolute, i), g_ptr_array_index(absolute, i), false);
    return true;
}

/* One of several parts, "m-00001-of-00003.gguf": whoever opens it opens the others too. */
static bool is_part(const char *path)
{
    const char *of = g_strrstr(path, "-of-");
    return of && of - path > 6 && of[-6] == '-' && strspn(of - 5, "0123456789") == 5 && g_ascii_isdigit(of[4]);
}

static bool add_needed(struct docker_places *p, const char *path, GError **error);

static bool add_file(struct docker_places *p, const char *path, const char *real, GError **error)
{
    if (is_part(path)) {
        g_autofree char *folder = g_path_get_dirname(path);
        return add_needed(p, folder, error);
    }
    g_autofree char *inside = next_host(p, path);
    add_mount(p, real, inside, false);
    add_path(p, path, inside);
    return true;
}

/* Something the worker opens. */
static bool add_needed(struct docker_places *p, const char *path, GError **error)
{
    g_autofree char *real = realpath(path, NULL);
    if (!real)
        return file_error(error, "cannot find", path);
    if (is_there(p, path, real))
        return true;
    return g_file_test(real, G_FILE_TEST_IS_DIR) ? add_folder(p, path, real, error) : add_file(p, path, real, error);
}

/* --- The engine -------------------------------------------------------------------------------------------------- */

static bool add_engine_file(struct docker_places *p, const char *path, GError **error)
{
    g_autofree char *real = realpath(path, NULL);
    g_autofree char *name = g_path_get_basename(path);
    if (!real)
        return file_error(error, "cannot find", path);
    if (is_there(p, path, real))
        return true;
    g_autofree char *inside = g_strdup_printf(DOCKER_FILES "/%u/%s", p->n_files++, name);
    add_mount(p, real, inside, false);
    add_path(p, path, inside);
    return true;
}

static bool add_engine(struct docker_places *p, GError **error)
{
    const struct runner_container *c = &p->docker->container;
    if (c->engine_folder) {
        g_autofree char *inside = g_build_filename(DOCKER_ENGINES, c->engine ? c->engine : "engine", NULL);
        add_mount(p, c->engine_folder, inside, false);
        add_path(p, c->engine_folder, inside);
    }
    for (const char *const *file = c->files; file && *file; file++)
        if (!add_engine_file(p, *file, error))
            return false;
    return true;
}

/* Where programs of the system are, here and in an image: those of the image are meant. */
static bool is_of_the_system(const char *path)
{
    static const char *const folders[] = {"/bin", "/sbin", "/lib", "/lib64", "/usr", "/opt"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
        if (docker_is_below(path, folders[i]))
            return true;
    return false;
}

/* A program of this machine goes with the run; one that is not here, or belongs to a system, is the image's. */
static bool add_command(struct docker_places *p, char *const *words, GError **error)
{
    for (; words && *words; words++) {
        if (!g_path_is_absolute(*words) || row_of(p, *words))
            continue;
        if (is_of_the_system(*words) || access(*words, F_OK) != 0)
            add_path(p, *words, *words);
        else if (!add_engine_file(p, *words, error))
            return false;
    }
    return true;
}

/* --- The user's mounts, caches ----------------------------------------------------------------------------------- */

/* "HOST[:INSIDE[:ro|rw]]": a relative path would be a named volume, which nobody asked for. */
static bool add_users(struct docker_places *p, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts);
    const char *inside = n > 1 ? parts[1] : parts[0], *mode = n > 2 ? parts[2] : "ro";
    if (n < 1 || n > 3 || !g_path_is_absolute(parts[0]) || !g_path_is_absolute(inside) ||
        (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "'%s' is no mount: write HOST, HOST:INSIDE or HOST:INSIDE:rw, both of them absolute paths", text);
        return false;
    }
    if (access(parts[0], F_OK) != 0)
        return file_error(error, "cannot mount", parts[0]);
    add_mount(p, parts[0], inside, !strcmp(mode, "rw"));
    add_path(p, parts[0], inside);
    return true;
}

static bool add_all_of_users(struct docker_places *p, GError **error)
{
    for (const char *const *mount = p->docker->container.mounts; mount && *mount; mount++)
        if (!add_users(p, *mount, error))
            return false;
    return true;
}

/* Variables that say where a cache is, and where it is without them, below the home folder. */
static const struct {
    const char *variable, *usual;
} cache_variables[] = {
    {"HF_HOME", ".cache/huggingface"}, {"TORCH_HOME", ".cache/torch"}, {"TRITON_CACHE_DIR", ".triton/cache"}};

/* Where the cache is on this machine; *below: where that is below the home folder, NULL: elsewhere. New string. */
static char *find_cache(struct docker_places *p, const char *path, const char **ret_below)
{
    const char *home = g_get_home_dir();
    *ret_below = docker_is_below(path, home) && path[strlen(home)] ? path + strlen(home) + 1 : NULL;
    for (size_t i = 0; *ret_below && i < G_N_ELEMENTS(cache_variables); i++) {
        const char *set = g_getenv(cache_variables[i].variable);
        if (strcmp(*ret_below, cache_variables[i].usual) != 0)
            continue;
        g_ptr_array_add(p->env, g_strdup_printf("%s=" DOCKER_HOME "/%s", cache_variables[i].variable, *ret_below));
        return g_strdup(set && g_path_is_absolute(set) ? set : path);
    }
    return g_strdup(path);
}

static bool is_empty(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    return !dir || !g_dir_read_name(dir);
}

/* A folder that outlives the run. states: whether there was something in an engine's before is part of what was
 * measured; NULL: our own, which keeps hashes of files and facts of sensors and changes no work. */
static bool add_cache(struct docker_places *p, const char *host, const char *below, json_t *states, GError **error)
{
    g_autofree char *inside = below ? g_build_filename(DOCKER_HOME, below, NULL) : g_strdup(host);
    if (states)
        json_object_set_new(states, inside, json_string(is_empty(host) ? "cold" : "warm"));
    if (!file_make_dirs(host, error))
        return false;
    if (below)
        g_ptr_array_add(p->home, g_strdup(below));
    add_mount(p, host, inside, true);
    add_path(p, host, inside);
    return true;
}

static bool add_caches(struct docker_places *p, struct exchange *x, GError **error)
{
    g_autofree char *ours = g_build_filename(g_get_user_cache_dir(), "llem", NULL);
    x->caches = json_object();
    if (!add_cache(p, ours, ".cache/llem", NULL, error))
        return false;
    for (const char *const *cache = p->docker->container.caches; cache && *cache; cache++) {
        const char *below;
        g_autofree char *host = find_cache(p, *cache, &below);
        if (!add_cache(p, host, below, x->caches, error))
            return false;
    }
    return true;
}

/* --- What the exchange file names -------------------------------------------------------------------------------- */

/* A text that may be a path: what is there and is no folder of the system goes with the run. */
static bool add_guesses(struct docker_places *p, const json_t *value, GError **error)
{
    const char *text = json_string_value(value), *name;
    const json_t *item;
    size_t i;
    if (text && g_path_is_absolute(text) && !is_of_the_system(text) && strchr(text + 1, '/') && access(text, F_OK) == 0)
        return add_needed(p, text, error);
    jsonx_foreach(value, name, item)
        if (!add_guesses(p, item, error))
            return false;
    json_array_foreach(value, i, item)
        if (!add_guesses(p, item, error))
            return false;
    return true;
}

static bool add_fields(struct docker_places *p, const struct exchange *x, GError **error)
{
    for (char *const *file = x->files; file && *file; file++) {
        const json_t *value = jsonx_at(x->config, *file);
        const char *text = json_string_value(value);
        if (text ? !add_needed(p, text, error) : !add_guesses(p, value, error))
            return false;
    }
    return !x->model_path || add_needed(p, x->model_path, error);
}

/* A variable whose value is nobody's business is not recorded either. */
static void drop_secrets(const struct docker *docker, char **names)
{
    char **kept = names;
    for (; names && *names; names++) {
        g_autofree char *name = variables_entry_name(*names);
        if (docker_is_secret(docker, name))
            g_free(*names);
        else
            *kept++ = *names;
    }
    if (kept)
        *kept = NULL;
}

/* --- All of it --------------------------------------------------------------------------------------------------- */

struct docker_places *docker_places_new(const struct docker *docker, const char *config_hash)
{
    struct docker_places *p = g_new0(struct docker_places, 1);
    p->shown.own = p;
    p->docker = docker;
    p->kept = g_ptr_array_new_with_free_func(g_free);
    p->home = g_ptr_array_new_with_free_func(g_free);
    p->env = g_ptr_array_new_with_free_func(g_free);
    p->mounts = g_array_new(FALSE, FALSE, sizeof(struct container_mount));
    p->paths = g_array_new(FALSE, FALSE, sizeof(struct exchange_path));
    p->name = g_strdup_printf("llem-%.8s-%d-%08x", config_hash, (int)getpid(), (unsigned)g_random_int());
    add_mount(p, docker->worker_path, DOCKER_WORKER, false);
    return p;
}

void docker_places_free(struct runner_places *places)
{
    struct docker_places *p = places->own;
    g_free(p->shown.warning);
    g_ptr_array_unref(p->kept);
    g_ptr_array_unref(p->home);
    g_ptr_array_unref(p->env);
    g_array_unref(p->mounts);
    g_array_unref(p->paths);
    g_strfreev(p->gpus);
    g_free(p->name);
    g_free(p);
}

/* What the user says comes first, so that it counts where it is about the same path. */
bool docker_places_fill(struct docker_places *p, struct exchange *x, GError **error)
{
    bool ok = add_all_of_users(p, error) && add_engine(p, error) && add_command(p, x->command, error) &&
           add_caches(p, x, error) && add_fields(p, x, error);
    p->gpus = x->boards && *x->boards ? g_strdupv(x->boards) : NULL;
    drop_secrets(p->docker, x->record_env);
    p->shown.map = (struct exchange_map){(const struct exchange_path *)(const void *)p->paths->data, p->paths->len};
    return ok;
}

bool docker_place(void *state, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                  struct runner_places **ret, GError **error)
{
    struct docker *docker = state;
    g_autofree char *warning = NULL;
    if (!docker_name_image(docker, x, interrupt_fd, say, data, &warning, error))
        return false;
    struct docker_places *p = docker_places_new(docker, x->config_hash);
    p->shown.warning = g_steal_pointer(&warning);
    x->container = g_strdup(p->name);
    if (!docker_places_fill(p, x, error)) {
        docker_places_free(&p->shown);
        return false;
    }
    *ret = &p->shown;
    return true;
}
