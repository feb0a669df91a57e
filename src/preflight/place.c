/* SPDX-License-Identifier: MIT */
#include "preflight/place.h"

#include "boards/boards.h"
#include "exchange/exchange.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER ".llem-preflight-"
#define ASK_NS    (300 * NS_PER_S) /* an engine that is imported from a cold disk takes minutes */
#define LOADER_NS (30 * NS_PER_S)
#define FRESH_NS  (60 * NS_PER_S)

/* An answer, and what it points to. */
struct seen_answer {
    struct answer answer;
    json_t *found;
    GError *error;
    char **asked;
    char *image_glibc;
    bool none; /* nobody could be asked */
};

struct places {
    GHashTable *clients, *images, *answers; /* name → struct seen_… */
    struct boards *boards;
};

static void client_free(void *data)
{
    struct seen_client *seen = data;
    container_client_free(seen->client);
    g_clear_error(&seen->error);
    g_clear_error(&seen->daemon_error);
    g_free(seen);
}

static void image_free(void *data)
{
    struct seen_image *seen = data;
    container_image_clear(&seen->image);
    g_clear_error(&seen->error);
    g_free(seen);
}

static void answer_free(void *data)
{
    struct seen_answer *seen = data;
    json_decref(seen->found);
    g_clear_error(&seen->error);
    g_strfreev(seen->asked);
    g_free(seen->image_glibc);
    g_free(seen);
}

static struct places *places_new(void)
{
    struct places *places = g_new0(struct places, 1);
    places->clients = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, client_free);
    places->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, image_free);
    places->answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, answer_free);
    places->boards = boards_new();
    return places;
}

static void places_free(void *data)
{
    struct places *places = data;
    g_hash_table_unref(places->clients);
    g_hash_table_unref(places->images);
    g_hash_table_unref(places->answers);
    boards_free(places->boards);
    g_free(places);
}

static struct places *places_of(struct preflight *p)
{
    void **places = preflight_places(p, places_free);
    if (!*places)
        *places = places_new();
    return *places;
}

/* --- Names ----------------------------------------------------------------------------------------------------------- */

static const struct runner *runner_of(const struct preflight *p, const struct config *config)
{
    const struct dispatch *d = preflight_options_of(p)->dispatch;
    return d && config ? dispatch_runner(d, config_string(config, FIELD_BACKEND)) : NULL;
}

const struct runner_container *place_container(const struct preflight *p, const struct config *config)
{
    const struct runner *runner = runner_of(p, config);
    return runner ? runner_container_of(runner) : NULL;
}

const struct diag_span *place_of_runner(const struct config *config)
{
    g_autofree char *path = config_runner_path(config_string(config, FIELD_BACKEND), "use");
    const struct diag_span *at = config_place_at(config, path);
    return at ? at : config_place(config, FIELD_BACKEND);
}

char *place_client_name(const struct preflight *p, const struct config *config)
{
    const struct runner_container *c = place_container(p, config);
    return c ? g_strdup(c->client ? c->client : "docker/podman") : NULL;
}

/* Of a name of findings: what container_client_new() takes. */
static const char *client_wanted(const char *name)
{
    return strcmp(name, "docker/podman") != 0 ? name : NULL;
}

char *place_image_name(const struct preflight *p, const struct config *config)
{
    const struct runner *runner = runner_of(p, config);
    const struct runner_container *c = runner ? runner_container_of(runner) : NULL;
    const char *client = c && g_strcmp0(c->client, runner->ops->name) != 0 ? c->client : NULL;
    return c ? g_strconcat(runner->ops->name, ":", c->image, client ? " by " : NULL, client, NULL) : NULL;
}

char *place_name(const struct preflight *p, const struct config *config)
{
    g_auto(owned_boards_wish) wish = {0};
    g_autofree char *image = place_image_name(p, config);
    if (!image)
        return NULL;
    boards_wish_of(config, &wish);
    g_autofree char *list = wish.named ? g_strjoinv(", ", wish.named) : NULL;
    int64_t n = boards_wish_count(&wish);
    const char *most = wish.need == BOARDS_MAY ? "up to " : "";
    g_autofree char *boards = wish.need == BOARDS_NEVER
                                  ? g_strdup("no GPU")
                                  : g_strdup_printf("%s%" G_GINT64_FORMAT " GPU%s%s%s", most, n, n > 1 ? "s" : "",
                                                    list ? ": " : "", list ? list : "");
    return g_strdup_printf("%s for %s, %s", image, config_string(config, FIELD_BACKEND), boards);
}

/* --- Clients and images --------------------------------------------------------------------------------------------- */

const struct seen_client *place_client(struct preflight *p, const char *name)
{
    GHashTable *clients = places_of(p)->clients;
    struct seen_client *seen = g_hash_table_lookup(clients, name);
    if (seen)
        return seen;
    seen = g_new0(struct seen_client, 1);
    seen->client = container_client_new(client_wanted(name), &seen->error);
    if (seen->client)
        seen->daemon = container_daemon(seen->client, &seen->daemon_error);
    g_hash_table_insert(clients, g_strdup(name), seen);
    return seen;
}

static const struct seen_client *client_of(struct preflight *p, const struct config *config)
{
    g_autofree char *name = place_client_name(p, config);
    return place_client(p, name);
}

/* Pulls it first where that is what a study would do, and may be done. */
static void look_for_image(struct preflight *p, const struct config *config, const struct seen_client *client,
                           struct seen_image *seen)
{
    const struct runner_container *c = place_container(p, config);
    const struct preflight_options *options = preflight_options_of(p);
    bool always = !g_strcmp0(c->pull, "always");
    int interrupt_fd = preflight_interrupt_fd(p);
    bool here = container_image_inspect(client->client, c->image, interrupt_fd, &seen->image, &seen->error);
    if (!options->pulls || (here && !always) ||
        (!here && !g_error_matches(seen->error, LLEM_ERROR, LLEM_ERROR_IMAGE_MISSING)) || !g_strcmp0(c->pull, "never"))
        return;
    container_image_clear(&seen->image);
    g_clear_error(&seen->error);
    if (runner_prepare(runner_of(p, config), interrupt_fd, options->say, options->say_data, &seen->error))
        container_image_inspect(client->client, c->image, interrupt_fd, &seen->image, &seen->error);
}

const struct seen_image *place_image(struct preflight *p, const struct config *config)
{
    const struct seen_client *client = client_of(p, config);
    g_autofree char *name = place_image_name(p, config);
    struct seen_image *seen = g_hash_table_lookup(places_of(p)->images, name);
    if (seen || !client->daemon)
        return seen;
    seen = g_new0(struct seen_image, 1);
    look_for_image(p, config, client, seen);
    g_hash_table_insert(places_of(p)->images, g_steal_pointer(&name), seen);
    return seen;
}

/* --- Answers ----------------------------------------------------------------------------------------------------------- */

/* One that does not end in its time, or is not waited for any more, is removed by its name. */
static bool run_to_its_end(struct container_client *client, const struct container_spec *spec, int interrupt_fd,
                           struct container_output *ret)
{
    g_auto(GStrv) argv = container_run_argv(client, spec, NULL);
    if (!argv)
        return false;
    bool ok = container_command_until(client, (const char *const *)argv + 1, LOADER_NS, interrupt_fd, ret, NULL);
    if (!ok)
        container_remove(client, spec->name, NULL);
    return ok;
}

/* What the image's own loader says of its version: the worker could not start. New string, or NULL. */
static char *ask_loader(struct preflight *p, const struct config *config, const char *image_id)
{
    static const char *const loaders[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"};
    struct container_client *client = client_of(p, config)->client;
    g_autoptr(GPtrArray) labels = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("llem-loader-%d-%08x", (int)getpid(), (unsigned)g_random_int());
    char *version = NULL;
    bool ours = container_add_labels(labels, place_container(p, config)->study, config_hash(config), NULL);
    g_ptr_array_add(labels, NULL);
    for (size_t i = 0; ours && !version && i < G_N_ELEMENTS(loaders); i++) {
        const struct container_spec spec = {.name = name,
                                            .image_id = image_id,
                                            .labels = (const char *const *)labels->pdata,
                                            .network = "none",
                                            .entrypoint = loaders[i],
                                            .arguments = (const char *const[]){"--version", NULL},
                                            .remove = true};
        struct container_output output = {0};
        if (run_to_its_end(client, &spec, preflight_interrupt_fd(p), &output) && output.exit_code == 0) {
            const char *at = strstr(output.out, "version ");
            version = at ? g_strndup(at + 8, strspn(at + 8, "0123456789.")) : NULL;
        }
        container_output_clear(&output);
    }
    if (version && g_str_has_suffix(version, "."))
        version[strlen(version) - 1] = '\0';
    return version;
}

static bool fill_engine(const struct preflight *p, const struct config *config, struct exchange *x, GError **error)
{
    const char *name = config_string(config, FIELD_BACKEND);
    const struct backend *backend = backend_find(name, error);
    const struct dispatch_choice *choice = dispatch_choice_of(preflight_options_of(p)->dispatch, name);
    const char *python = choice && choice->python ? choice->python : "python3";
    x->command = backend ? backend_command_elsewhere(backend, python, error) : NULL;
    if (!x->command)
        return false;
    x->environment = json_object();
    for (const char *const *row = backend_env(backend); row && *row; row++) {
        g_auto(GStrv) parts = g_strsplit(*row, "=", 2);
        json_object_set_new(x->environment, parts[0], json_string(parts[1]));
    }
    return true;
}

/* The exchange file of a run of the cell without its work. */
static bool fill(struct preflight *p, const struct config *config, struct exchange *x, GError **error)
{
    g_auto(owned_boards_wish) wish = {0};
    g_auto(owned_boards_choice) choice = {0};
    x->config_hash = g_strdup(config_hash(config));
    x->config = config_tree(config);
    x->hashed = config_hashed(config);
    x->origins = config_origins(config);
    x->files = config_files(config);
    x->cycle = 1;
    x->model_path = g_strdup(preflight_model(p, config)->path);
    exchange_prompts_init(&x->prompts, 0);
    exchange_prompts_init(&x->warmup, 0);
    boards_wish_of(config, &wish);
    if (boards_choose(places_of(p)->boards, &wish, &choice, NULL)) /* else gpu.boards says why: the rest is asked */
        x->boards = g_steal_pointer(&choice.uuids);
    return fill_engine(p, config, x, error);
}

/* The folder is ours for as long as we live: what a dead owner left is nobody's. -1: it is another's, or gone. */
static int lock_folder(const char *folder)
{
    struct stat st;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == getuid() && file_lock_try(fd, false) == FILE_LOCK_TAKEN)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* One that was made just now may not be locked yet. */
static bool is_fresh(const char *folder)
{
    struct stat st;
    return stat(folder, &st) != 0 || clock_wall_ns() < (int64_t)st.st_mtime * NS_PER_S + FRESH_NS;
}

static void remove_leftovers(const char *near)
{
    g_autoptr(GDir) dir = g_dir_open(near, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *folder = g_str_has_prefix(name, FOLDER) ? g_build_filename(near, name, NULL) : NULL;
        int fd = folder && !is_fresh(folder) ? lock_folder(folder) : -1;
        if (fd < 0)
            continue;
        file_remove_tree(folder, NULL);
        close(fd);
    }
}

/* A folder beside the results, since what holds for one holds for the other: mounts, rights; and the lock on it, to be
 * closed once it is removed (-1 where there are no locks). New string; NULL: none. */
static char *make_folder(const struct preflight *p, int *ret_lock)
{
    const char *results = preflight_options_of(p)->results_dir;
    g_autofree char *near = preflight_nearest_folder(results ? results : g_get_tmp_dir());
    char *folder = g_build_filename(near, FOLDER "XXXXXX", NULL);
    remove_leftovers(near);
    *ret_lock = -1;
    if (g_mkdtemp(folder)) {
        *ret_lock = lock_folder(folder);
        return folder;
    }
    g_free(folder);
    return g_dir_make_tmp("llem-preflight-XXXXXX", NULL);
}

/* What an answer says of boards. */
static const char *const of_boards[] = {"gpus", "cuda", "nvidia_smi"};

/* With the boards of a run, or without any. */
static bool ask_in(struct preflight *p, const struct config *config, const char *folder, bool with_boards,
                   struct seen_answer *seen, GError **error)
{
    g_auto(owned_exchange) x = {0};
    const struct preflight_options *options = preflight_options_of(p);
    const struct runner *runner = runner_of(p, config);
    int interrupt_fd = preflight_interrupt_fd(p);
    if (!fill(p, config, &x, error) ||
        !(options->pulls ? runner_prepare(runner, interrupt_fd, options->say, options->say_data, error)
                         : runner_pin(runner, interrupt_fd, error)))
        return false;
    if (with_boards)
        seen->asked = g_strdupv(x.boards);
    else
        g_clear_pointer(&x.boards, g_strfreev);
    return runner_ask(runner, &x, folder, ASK_NS, interrupt_fd, &seen->found, error);
}

/* A container that does not start with its boards still has a C library and an engine to be looked at: all that is
 * wrong is to be told at once. */
static void ask_twice(struct preflight *p, const struct config *config, const char *folder, struct seen_answer *seen)
{
    if (ask_in(p, config, folder, true, seen, &seen->error))
        return;
    bool again = !seen->found && seen->asked && *seen->asked &&
                 !g_error_matches(seen->error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED);
    if (again && ask_in(p, config, folder, false, seen, NULL) && seen->found)
        for (size_t i = 0; i < G_N_ELEMENTS(of_boards); i++)
            json_object_del(seen->found, of_boards[i]);
}

/* An engine may take minutes to be imported. */
static void tell(struct preflight *p, const struct config *config)
{
    const struct preflight_options *options = preflight_options_of(p);
    g_autofree char *image = place_image_name(p, config);
    g_autofree char *text = g_strdup_printf("looking into %s: %s is started there once", image,
                                            config_string(config, FIELD_BACKEND));
    if (options->say)
        options->say(text, options->say_data);
}

static void ask(struct preflight *p, const struct config *config, struct seen_answer *seen)
{
    int lock;
    g_autofree char *folder = make_folder(p, &lock);
    seen->none = !folder;
    if (!folder)
        return;
    tell(p, config);
    ask_twice(p, config, folder, seen);
    file_remove_tree(folder, NULL);
    if (lock >= 0)
        close(lock);
}

/* What the engine takes there, for configurations. Best effort: without a cache folder it is asked again. */
static void keep_parameters(struct preflight *p, const struct config *config, const char *image_id, const json_t *found)
{
    const char *name = config_string(config, FIELD_BACKEND);
    const struct backend *backend = backend_find(name, NULL);
    const json_t *engine = json_object_get(found, "engine"), *fields = json_object_get(engine, "parameters");
    const char *version = json_string_value(json_object_get(engine, "engine_version"));
    const struct dispatch_choice *choice = dispatch_choice_of(preflight_options_of(p)->dispatch, name);
    const struct backend_place place = {image_id, choice ? choice->python : NULL};
    g_autofree char *path = backend && json_is_array(fields) ? backend_schema_path(backend, &place) : NULL;
    g_autoptr(GError) error = NULL;
    if (path && !backend_schema_save(path, backend, version, image_id, fields, &error))
        g_debug("%s", error->message);
}

const struct answer *place_answer(struct preflight *p, const struct config *config)
{
    static const enum answer_need needs[] = {[CONFIG_GPU_NONE] = ANSWER_NEVER,
                                             [CONFIG_GPU_MAY] = ANSWER_MAY,
                                             [CONFIG_GPU_NEEDS] = ANSWER_NEEDS};
    const struct seen_image *image = place_image(p, config);
    if (!image || !image->image.id || !preflight_options_of(p)->starts)
        return NULL;
    g_autofree char *name = place_name(p, config);
    struct seen_answer *seen = g_hash_table_lookup(places_of(p)->answers, name);
    if (!seen) {
        seen = g_new0(struct seen_answer, 1);
        ask(p, config, seen);
        keep_parameters(p, config, image->image.id, seen->found);
        if (seen->error && !seen->found)
            seen->image_glibc = ask_loader(p, config, image->image.id);
        seen->answer = (struct answer){seen->found, seen->error, (const char *const *)seen->asked,
                                       needs[config_gpu_need(config)], seen->image_glibc};
        g_hash_table_insert(places_of(p)->answers, g_steal_pointer(&name), seen);
    }
    return seen->none ? NULL : &seen->answer;
}

/* What the engine there said instead of its parameters. */
static void explain_silence(const struct answer *answer, const char *name, GError **error)
{
    const json_t *engine = answer ? json_object_get(answer->found, "engine") : NULL;
    const char *said = json_string_value(json_object_get(engine, "error"));
    if (said || !answer || !answer->error)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s: %s", name, said ? said : "nobody could be asked");
    else
        g_propagate_error(error, g_error_copy(answer->error));
}

char *preflight_ask_parameters(struct preflight *p, const struct config *config, GError **error)
{
    const char *name = config_string(config, FIELD_BACKEND);
    const struct backend *backend = backend_find(name, error);
    if (!backend)
        return NULL;
    const struct seen_client *client = client_of(p, config);
    const struct seen_image *image = client->daemon ? place_image(p, config) : NULL;
    const GError *why = client->error ? client->error : client->daemon_error;
    if (!image || !image->image.id) {
        g_propagate_error(error, g_error_copy(image ? image->error : why));
        return NULL;
    }
    const struct answer *answer = place_answer(p, config);
    const struct dispatch_choice *choice = dispatch_choice_of(preflight_options_of(p)->dispatch, name);
    const struct backend_place place = {image->image.id, choice ? choice->python : NULL};
    if (answer && json_is_array(json_object_get(json_object_get(answer->found, "engine"), "parameters")))
        return backend_schema_path(backend, &place);
    explain_silence(answer, name, error);
    return NULL;
}
