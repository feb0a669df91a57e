/* SPDX-License-Identifier: MIT */
/*
 * The runners that start containers: one container a run, llem-worker in it. What we start and wait for is the client
 * in the foreground, which ends when the container has ended and says how; all else goes by the container's name,
 * because the client may be dead while its container lives.
 *
 * How a container is ended: the worker's own clean stop, which leaves a record (it is told by the lock on a file of the
 * exchange folder, and by the client's SIGTERM) → stop → kill → remove. Where no daemon answers, its processes are
 * found by the container's id and killed one by one: they are processes of this machine and of this user.
 */
#include "runner/docker.h"

#include "runner/docker_end.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRETS_FD   3
#define SECRETS_PATH "/dev/fd/3"
#define STOP_GRACE_S 2               /* the worker had its time for a clean stop before */
#define LOST_NS      (20 * NS_PER_S) /* for a worker whose daemon is gone to end of itself */
#define HANGS_NS     (10 * NS_PER_S) /* the container has no process any more, and its client still waits */
#define LOOK_NS      NS_PER_S
#define AGAIN_NS     (3 * NS_PER_S)  /* asked to stop once, and still there: asked again */
#define DYING_NS     (500 * NS_PER_MS)
#define SOON_NS      (5 * NS_PER_S)  /* killed so soon after it was asked: somebody is in a hurry */

/* --- Instances --------------------------------------------------------------------------------------------------- */

static const char *keep_text(struct docker *docker, const char *text)
{
    if (!text)
        return NULL;
    g_ptr_array_add(docker->kept, g_strdup(text));
    return g_ptr_array_index(docker->kept, docker->kept->len - 1);
}

static const char *const *keep_list(struct docker *docker, const char *const *list)
{
    guint n = list ? g_strv_length((char **)(uintptr_t)list) : 0;
    const char **copy = g_new0(const char *, n + 1);
    g_ptr_array_add(docker->kept, copy);
    for (guint i = 0; i < n; i++)
        copy[i] = keep_text(docker, list[i]);
    return copy;
}

static struct runner_container keep_container(struct docker *docker, const struct runner_container *c)
{
    return (struct runner_container){
        .client = keep_text(docker, c->client),
        .image = keep_text(docker, c->image),
        .pull = keep_text(docker, c->pull),
        .shm_bytes = c->shm_bytes ? c->shm_bytes : DOCKER_SHM_BYTES,
        .mounts = keep_list(docker, c->mounts),
        .environment = keep_list(docker, c->environment),
        .secrets = keep_list(docker, c->secrets),
        .ulimits = keep_list(docker, c->ulimits),
        .arguments = keep_list(docker, c->arguments),
        .ipc = keep_text(docker, c->ipc),
        .network = keep_text(docker, c->network),
        .memory = keep_text(docker, c->memory),
        .cpus = keep_text(docker, c->cpus),
        .engine = keep_text(docker, c->engine),
        .engine_folder = keep_text(docker, c->engine_folder),
        .files = keep_list(docker, c->files),
        .caches = keep_list(docker, c->caches),
        .record_env = keep_list(docker, c->record_env),
        .study = keep_text(docker, c->study),
    };
}

static bool open_with(const char *wanted, const struct runner_options *options, void **ret_state)
{
    static const struct runner_container nothing = {0};
    struct docker *docker = g_new0(struct docker, 1);
    docker->wanted = wanted;
    docker->worker_path = g_canonicalize_filename(options->worker_path, NULL);
    docker->kept = g_ptr_array_new_with_free_func(g_free);
    docker->container = keep_container(docker, options->container ? options->container : &nothing);
    if (!docker->container.client)
        docker->container.client = wanted;
    *ret_state = docker;
    return true;
}

static bool docker_open(const struct runner_options *options, void **ret_state, GError **error)
{
    (void)error;
    return open_with(NULL, options, ret_state);
}

static bool podman_open(const struct runner_options *options, void **ret_state, GError **error)
{
    (void)error;
    return open_with("podman", options, ret_state);
}

static const struct runner_container *docker_container(const void *state)
{
    return &((const struct docker *)state)->container;
}

static void docker_close(void *state)
{
    struct docker *docker = state;
    container_client_free(docker->client);
    container_image_clear(&docker->image);
    g_ptr_array_unref(docker->kept);
    g_free(docker->worker_path);
    g_free(docker);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- Starting ---------------------------------------------------------------------------------------------------- */

static struct docker_run *run_new(struct docker *docker, const struct runner_job *job)
{
    struct docker_run *run = g_new0(struct docker_run, 1);
    run->docker = docker;
    run->places = job->places ? job->places->own : docker_places_new(docker, job->config_hash);
    run->places_are_ours = !job->places;
    run->dir = g_canonicalize_filename(job->exchange_dir, NULL);
    run->config_hash = g_strdup(job->config_hash);
    run->name = g_strdup(run->places->name);
    run->child.pidfd = run->lock_fd = run->status_fd = run->keeper_line = -1;
    run->since_wall_ns = clock_wall_ns();
    return run;
}

static void run_release(void *state)
{
    struct docker_run *run = state;
    close_fd(&run->child.pidfd);
    close_fd(&run->lock_fd);
    close_fd(&run->status_fd);
    if (run->places_are_ours)
        docker_places_free(&run->places->shown);
    g_free(run->dir);
    g_free(run->config_hash);
    g_free(run->name);
    g_free(run);
}

/* Mount points are made here: the daemon would make them root's. */
static bool make_home(const struct docker_run *run, GError **error)
{
    g_autofree char *home = g_build_filename(run->dir, DOCKER_HOME_DIR, NULL);
    if (!file_make_dirs(home, error))
        return false;
    for (guint i = 0; i < run->places->home->len; i++) {
        g_autofree char *point = g_build_filename(home, g_ptr_array_index(run->places->home, i), NULL);
        if (!file_make_dirs(point, error))
            return false;
    }
    return true;
}

/* Where the file system has no locks the worker is told of our end by the client alone. */
static bool take_lock(struct docker_run *run, GError **error)
{
    g_autofree char *path = g_build_filename(run->dir, DOCKER_LOCK_FILE, NULL);
    run->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (run->lock_fd < 0)
        return file_error(error, "cannot create", path);
    if (file_lock_try(run->lock_fd, false) != FILE_LOCK_TAKEN)
        close_fd(&run->lock_fd);
    return true;
}

/* What the words of one container are, kept until it is started. */
struct words {
    GArray *mounts;
    GPtrArray *labels, *groups;
    char **env, **secrets;
    const char *const *arguments; /* of the worker, the job's */
    char *user, *cid_file, *home, hostname[65];
};

static void words_clear(struct words *w)
{
    g_array_unref(w->mounts);
    g_ptr_array_unref(w->labels);
    g_ptr_array_unref(w->groups);
    g_strfreev(w->env);
    g_strfreev(w->secrets);
    g_free(w->user);
    g_free(w->cid_file);
    g_free(w->home);
}

/* The groups of this user: a model may be readable for one of them alone. */
static void add_groups(GPtrArray *groups)
{
    gid_t list[256];
    int n = getgroups(G_N_ELEMENTS(list), list);
    for (int i = 0; i < n; i++)
        if (list[i] != getgid())
            g_ptr_array_add(groups, g_strdup_printf("%u", (unsigned)list[i]));
    g_ptr_array_add(groups, NULL);
}

static void add_mounts(const struct docker_run *run, struct words *w)
{
    struct container_mount exchange = {run->dir, DOCKER_EXCHANGE, true}, home = {w->home, DOCKER_HOME, true};
    w->mounts = g_array_new(FALSE, FALSE, sizeof(struct container_mount));
    g_array_append_val(w->mounts, exchange);
    g_array_append_val(w->mounts, home);
    g_array_append_vals(w->mounts, run->places->mounts->data, run->places->mounts->len);
}

static bool words_fill(const struct docker_run *run, const struct runner_job *job, struct words *w, GError **error)
{
    *w = (struct words){.arguments = job->arguments,
                        .labels = g_ptr_array_new_with_free_func(g_free),
                        .groups = g_ptr_array_new_with_free_func(g_free),
                        .user = g_strdup_printf("%u:%u", (unsigned)getuid(), (unsigned)getgid()),
                        .cid_file = g_build_filename(run->dir, DOCKER_ID_FILE, NULL),
                        .home = g_build_filename(run->dir, DOCKER_HOME_DIR, NULL)};
    add_mounts(run, w);
    add_groups(w->groups);
    if (gethostname(w->hostname, sizeof w->hostname - 1) != 0)
        w->hostname[0] = 0;
    docker_environment(run->docker, run->places, run->config_hash, run->lock_fd >= 0, &w->env, &w->secrets);
    bool ok = container_add_labels(w->labels, run->docker->container.study, run->config_hash, error);
    g_ptr_array_add(w->labels, NULL);
    return ok;
}

static struct container_spec spec_of(const struct docker_run *run, const struct words *w)
{
    const struct runner_container *c = &run->docker->container;
    bool of_another = c->network && g_str_has_prefix(c->network, "container:"); /* it has that one's name */
    return (struct container_spec){.name = run->name,
                                   .image_id = run->docker->image.id,
                                   .labels = (const char *const *)w->labels->pdata,
                                   .mounts = (const struct container_mount *)(const void *)w->mounts->data,
                                   .n_mounts = w->mounts->len,
                                   .env = (const char *const *)w->env,
                                   .env_file = *w->secrets ? SECRETS_PATH : NULL,
                                   .cid_file = w->cid_file,
                                   .user = w->user,
                                   .groups = (const char *const *)w->groups->pdata,
                                   .hostname = *w->hostname && !of_another ? w->hostname : NULL,
                                   .shm_bytes = c->shm_bytes,
                                   .ipc = c->ipc,
                                   .network = c->network,
                                   .memory = c->memory,
                                   .cpus = c->cpus,
                                   .ulimits = c->ulimits,
                                   .gpus = (const char *const *)run->places->gpus,
                                   .extra = c->arguments,
                                   .workdir = DOCKER_HOME,
                                   .entrypoint = DOCKER_WORKER,
                                   .arguments = w->arguments,
                                   .remove = true,
                                   .init = true};
}

static bool probe_worker(const void *state, GError **error)
{
    const struct docker *docker = state;
    if (access(docker->worker_path, X_OK) == 0 && !g_file_test(docker->worker_path, G_FILE_TEST_IS_DIR))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s is not a program that can be run", docker->worker_path);
    return false;
}

/* The client in the foreground; when we die it is told to end, and tells the container. */
static bool spawn_client(struct docker_run *run, char *const *argv, int secrets_fd, GError **error)
{
    g_autofree char *log = g_build_filename(run->dir, DOCKER_CLIENT_LOG, NULL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_error(error, "cannot create", log);
    struct spawn spawn = {.argv = (const char *const *)argv,
                          .fds = (const struct spawn_fd[]){{-1, 0}, {fd, 1}, {fd, 2}, {secrets_fd, SECRETS_FD}},
                          .n_fds = secrets_fd >= 0 ? 4 : 3,
                          .group = SPAWN_NEW_GROUP,
                          .death_signal = SIGTERM};
    bool ok = spawn_start(&spawn, &run->child, error);
    close(fd);
    return ok;
}

static bool start_with(struct docker_run *run, const struct words *w, GError **error)
{
    struct container_spec spec = spec_of(run, w);
    g_auto(GStrv) argv = container_run_argv(run->docker->client, &spec, error);
    int secrets_fd = argv && *w->secrets ? docker_secrets_open(w->secrets, error) : -1;
    if (!argv || (*w->secrets && secrets_fd < 0))
        return false;
    bool ok = spawn_client(run, argv, secrets_fd, error);
    if (secrets_fd >= 0)
        close(secrets_fd);
    return ok;
}

static bool run_start(void *state, const struct runner_job *job, void **ret_run, GError **error)
{
    struct docker *docker = state;
    if (!probe_worker(docker, error) || !docker_prepare(docker, -1, NULL, NULL, error))
        return false;
    struct docker_run *run = run_new(docker, job);
    struct words words = {0};
    bool ok = make_home(run, error) && take_lock(run, error);
    if (ok) {
        ok = words_fill(run, job, &words, error) && start_with(run, &words, error);
        words_clear(&words);
    }
    if (ok)
        *ret_run = run;
    else
        run_release(run);
    return ok;
}

/* --- Under way --------------------------------------------------------------------------------------------------- */

static int run_end_fd(const void *state)
{
    const struct docker_run *run = state;
    return run->over || run->lost_ns ? -1 : run->child.pidfd;
}

/* The worker goes on without a client: whoever waits for it now is another client. Its output is the exit code. */
static bool wait_again(struct docker_run *run, GError **error)
{
    const char *const argv[] = {container_client_path(run->docker->client), "wait", run->name, NULL};
    int fd = memfd_create("llem-wait", MFD_CLOEXEC);
    struct spawn spawn = {.argv = argv,
                          .fds = (const struct spawn_fd[]){{-1, 0}, {fd, 1}, {-1, 2}},
                          .n_fds = 3,
                          .group = SPAWN_NEW_GROUP,
                          .death_signal = SIGTERM};
    struct spawn_child child;
    if (fd < 0)
        return file_error(error, "cannot open", "a file in memory");
    close_fd(&run->status_fd);
    run->status_fd = fd;
    if (!spawn_start(&spawn, &child, error))
        return false;
    close_fd(&run->child.pidfd);
    run->child = child;
    run->waits_again = true;
    return true;
}

static void let_go_of_worker(struct docker_run *run)
{
    close_fd(&run->lock_fd);
}

/* Nobody can be asked about the container any more: the worker ends of itself, or is ended by the pids it has here. */
static bool has_ended_without_daemon(struct docker_run *run)
{
    g_autoptr(GArray) pids = docker_processes(run);
    if (pids->len && clock_mono_ns() > run->lost_ns + LOST_NS)
        for (guint i = 0; i < pids->len; i++)
            kill(g_array_index(pids, pid_t, i), SIGKILL);
    return pids->len == 0;
}

/* The client has ended; is that the end? Only of what it ended by itself, with the container's own code. */
static bool client_end_is_the_end(struct docker_run *run)
{
    g_autoptr(GError) error = NULL;
    bool running = false;
    if (docker_take_status(run))
        return true;
    if (!container_is_running(run->docker->client, run->name, &running, &error)) {
        run->lost_ns = clock_mono_ns();
        let_go_of_worker(run);
        return has_ended_without_daemon(run);
    }
    return !running || !wait_again(run, NULL);
}

/* It is to end, has no process any more, and nobody tells its client: the daemon does not answer. Where its processes
 * cannot be seen at all that they are gone is believed only after it was killed. */
static bool daemon_hangs(struct docker_run *run)
{
    int64_t now = clock_mono_ns();
    if ((!run->asked_ns && !run->killed) || now < run->looked_ns + LOOK_NS)
        return false;
    g_autoptr(GArray) pids = docker_processes(run);
    run->looked_ns = now;
    if (pids->len && run->asked_ns && now > run->asked_ns + AGAIN_NS)
        kill(docker_first_process(pids), SIGTERM); /* what its client was told may not have come through */
    run->seen |= pids->len > 0;
    if (pids->len || (!run->seen && !run->killed && docker_has_begun(run)))
        run->empty_ns = 0;
    else if (!run->empty_ns)
        run->empty_ns = now;
    return run->empty_ns && now > run->empty_ns + HANGS_NS;
}

static bool give_up_client(struct docker_run *run)
{
    kill(run->child.pid, SIGKILL);
    while (waitpid(run->child.pid, &run->wait_status, 0) < 0 && errno == EINTR)
        ;
    run->lost_ns = clock_mono_ns();
    run->hangs = true;
    return has_ended_without_daemon(run);
}

static bool run_has_ended(void *state)
{
    struct docker_run *run = state;
    docker_bound_logs(run);
    if (run->over)
        return true;
    if (run->lost_ns)
        return run->over = has_ended_without_daemon(run);
    pid_t pid = waitpid(run->child.pid, &run->wait_status, WNOHANG);
    if (pid == 0 && daemon_hangs(run))
        return run->over = give_up_client(run);
    if (pid == 0 || (pid < 0 && errno != ECHILD))
        return false;
    return run->over = client_end_is_the_end(run);
}

/* The client hands SIGTERM on, if it has come so far as to have a container, and else starts none. */
static void run_ask_to_stop(void *state)
{
    struct docker_run *run = state;
    run->asked_ns = clock_mono_ns();
    let_go_of_worker(run);
    if (!run->over && !run->waits_again && !run->lost_ns)
        kill(run->child.pid, SIGTERM);
}

static void kill_processes(const struct docker_run *run)
{
    g_autoptr(GArray) pids = docker_processes(run);
    for (guint i = 0; i < pids->len; i++)
        kill(g_array_index(pids, pid_t, i), SIGKILL);
}

/* True if the container had processes, and has none any more. */
static bool kill_directly(const struct docker_run *run)
{
    int64_t until_ns = clock_mono_ns() + DYING_NS;
    g_autoptr(GArray) pids = docker_processes(run);
    bool any = pids->len > 0;
    while (pids->len && clock_mono_ns() < until_ns) {
        kill_processes(run);
        g_usleep(10000);
        g_array_unref(pids);
        pids = docker_processes(run);
    }
    return any && !pids->len;
}

/* Our own processes can be killed without anybody's help, also while the daemon hangs; those of another user's (of a
 * daemon that maps users) cannot, and a container that is only being made has none. */
static void run_kill(void *state)
{
    struct docker_run *run = state;
    struct container_client *client = run->docker->client;
    bool hurry = clock_mono_ns() < run->asked_ns + SOON_NS;
    run->killed = true;
    let_go_of_worker(run);
    if (!run->lost_ns && !hurry && container_stop(client, run->name, STOP_GRACE_S, NULL))
        return;
    if (!kill_directly(run) && !run->lost_ns)
        container_kill(client, run->name, "KILL", NULL);
}

/* --- The end ----------------------------------------------------------------------------------------------------- */

static void run_describe_end(const void *state, struct runner_end *ret)
{
    docker_describe_end(state, ret);
}

static char *join_pids(const GArray *pids)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < pids->len; i++)
        g_string_append_printf(text, "%s%d", i ? ", " : "", (int)g_array_index(pids, pid_t, i));
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* What is left of the container where the daemon cannot remove it. */
static void end_processes(const struct docker_run *run, int64_t deadline_ns, struct runner_leftovers *ret)
{
    g_autoptr(GArray) pids = docker_processes(run);
    ret->n = (int)pids->len;
    while (pids->len && clock_mono_ns() < deadline_ns) {
        kill_processes(run);
        g_usleep(20000);
        g_array_unref(pids);
        pids = docker_processes(run);
    }
    ret->survivors = join_pids(pids);
}

/* After an orderly end the daemon has removed the container before the client ended: nobody need be asked. */
static void run_sweep(void *state, int64_t deadline_ns, struct runner_leftovers *ret)
{
    struct docker_run *run = state;
    g_autofree char *home = g_build_filename(run->dir, DOCKER_HOME_DIR, NULL);
    *ret = (struct runner_leftovers){0};
    bool gone = run->hangs && run->seen; /* and nobody would answer */
    if (!docker_was_orderly(run) && (gone || !container_remove(run->docker->client, run->name, NULL)))
        end_processes(run, deadline_ns, ret);
    file_remove_tree(home, NULL);
    docker_tidy_logs(run);
}

/* --- Checks ------------------------------------------------------------------------------------------------------ */

static const struct runner_check checks[] = {
    {"runner.worker", "every run is a process of llem-worker, which is mounted into its container", probe_worker,
     "reinstall llem, or name its worker in LLEM_WORKER"},
    {NULL},
};

#define CONTAINER_VERBS                                                                                                \
    .max_in_flight = 1, .flags = RUNNER_ELSEWHERE, .checks = checks, .container = docker_container,                    \
    .close = docker_close, .prepare = docker_prepare, .pin = docker_pin, .place = docker_place,                        \
    .places_free = docker_places_free, .start = run_start, .end_fd = run_end_fd, .has_ended = run_has_ended,           \
    .ask_to_stop = run_ask_to_stop, .kill = run_kill, .suspend = docker_suspend, .resume = docker_resume,              \
    .describe_end = run_describe_end, .sweep = run_sweep, .release = run_release

const struct runner_ops runner_docker = {
    .name = "docker", .summary = "a fresh container for each run, one at a time", .open = docker_open, CONTAINER_VERBS};

const struct runner_ops runner_podman = {
    .name = "podman", .summary = "the same by podman", .open = podman_open, CONTAINER_VERBS};
