/* SPDX-License-Identifier: MIT */
/* Checks of runs in containers: client, daemon, room, image. */
#include "preflight/place.h"

#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define GIB (INT64_C(1) << 30)
#define ROOM_TO_RUN  (1 * GIB)  /* of containers and their logs, where the image is here */
#define ROOM_TO_PULL (30 * GIB) /* images of engines are this large, and are there packed and unpacked for a while */

/* --- Client and daemon ------------------------------------------------------------------------------------------- */

/* Of the machine: whatever is there. */
static char *client_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (nth > 0)
        return NULL;
    return config ? place_client_name(p, config) : g_strdup("docker/podman");
}

static void probe_client(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct seen_client *seen = place_client(q->preflight, q->about);
    if (seen->client)
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s %s (%s)", container_client_kind(seen->client),
                       container_client_version(seen->client), container_client_path(seen->client));
    else
        preflight_find(ret, q->config ? PREFLIGHT_FAILS : PREFLIGHT_ABSENT,
                       q->config ? place_of_runner(q->config) : NULL, "%s", seen->error->message);
}

/* Where there is a client. */
static char *daemon_key(struct preflight *p, const struct config *config, size_t nth)
{
    g_autofree char *name = client_key(p, config, nth);
    return name && place_client(p, name)->client ? g_steal_pointer(&name) : NULL;
}

static void probe_daemon(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct seen_client *seen = place_client(q->preflight, q->about);
    const struct container_daemon *d = seen->daemon;
    if (!d) {
        preflight_find(ret, q->config ? PREFLIGHT_FAILS : PREFLIGHT_ABSENT,
                       q->config ? place_of_runner(q->config) : NULL, "%s", seen->daemon_error->message);
        return;
    }
    const char *endpoint = d->endpoint ? d->endpoint : "";
    preflight_find(ret, PREFLIGHT_OK, NULL, "%s %s%s%s, %s, cgroup v%s%s", container_client_kind(seen->client),
                   d->version, *endpoint ? " at " : "", endpoint, d->storage_driver, d->cgroup,
                   d->rootless ? ", rootless" : "");
}

/* --- Room ---------------------------------------------------------------------------------------------------------- */

static char *room_key(struct preflight *p, const struct config *config, size_t nth)
{
    g_autofree char *name = config && nth == 0 ? place_image_name(p, config) : NULL;
    g_autofree char *client = name ? place_client_name(p, config) : NULL;
    return client && place_client(p, client)->daemon ? g_steal_pointer(&name) : NULL;
}

static const struct seen_client *client_of(const struct preflight_question *q)
{
    g_autofree char *client = place_client_name(q->preflight, q->config);
    return place_client(q->preflight, client);
}

static bool is_here(const struct preflight_question *q)
{
    const struct seen_image *image = place_image(q->preflight, q->config);
    return image && image->image.id;
}

static void probe_space(const struct preflight_question *q, struct preflight_finding *ret)
{
    const char *root = client_of(q)->daemon->root_dir;
    int64_t least = is_here(q) ? ROOM_TO_RUN : ROOM_TO_PULL;
    struct statvfs st;
    if (!root || statvfs(root, &st) != 0) {
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "%s cannot be looked at", root ? root : "where images lie");
        return;
    }
    int64_t bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
    g_autofree char *free_text = num_format_bytes(bytes), *least_text = num_format_bytes(least);
    if (bytes < least)
        preflight_find(ret, PREFLIGHT_LACKS, NULL, "%s free at %s, which may be too little%s: %s is advised", free_text, root,
                       is_here(q) ? "" : " for an image that is to be pulled", least_text);
    else
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s free at %s", free_text, root);
}

static int64_t available_bytes(void)
{
    int64_t kib = 0;
    g_autofree char *text = file_read("/proc/meminfo", 1 << 20, NULL, NULL);
    g_autofree char *value = text ? proc_value(text, "MemAvailable") : NULL;
    g_autofree char *number = value ? g_strndup(value, strspn(value, "0123456789")) : NULL;
    return number && num_parse_int(number, 0, INT64_MAX / 1024, &kib, NULL) ? kib * 1024 : -1;
}

/* What a container may use is said for each engine. */
static char *memory_key(struct preflight *p, const struct config *config, size_t nth)
{
    g_autofree char *room = room_key(p, config, nth);
    return room ? g_strdup_printf("%s for %s", room, config_string(config, FIELD_BACKEND)) : NULL;
}

/* What is written to /dev/shm is memory: of the machine, and of the container's limit unless it is the machine's. */
static void probe_memory(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct runner_container *c = place_container(q->preflight, q->config);
    int64_t available = available_bytes(), limit = -1, daemon = client_of(q)->daemon->memory_bytes;
    if (c->memory && !config_size_parse(c->memory, &limit))
        limit = -1;
    int64_t most = daemon > 0 ? daemon : available;
    int64_t shm_bytes = g_strcmp0(c->ipc, "host") ? c->shm_bytes : 0;
    g_autofree char *shm = shm_bytes ? num_format_bytes(shm_bytes) : g_strdup("the machine's own");
    g_autofree char *have = num_format_bytes(most);
    g_autofree char *may = limit > 0 ? num_format_bytes(limit) : NULL, *left = num_format_bytes(available);
    if (limit > 0 && shm_bytes > limit)
        preflight_find(ret, PREFLIGHT_LACKS, place_of_runner(q->config),
                       "%s of shared memory in a container that may use %s: what lies there counts", shm, may);
    else if (shm_bytes > most)
        preflight_find(ret, PREFLIGHT_LACKS, place_of_runner(q->config),
                       "%s of shared memory on a machine with %s: what lies there is its memory", shm, have);
    else if (limit > most)
        preflight_find(ret, PREFLIGHT_LACKS, place_of_runner(q->config),
                       "the container may use %s on a machine with %s", may, have);
    else
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s of %s available; %s%s shared memory%s%s", left, have, shm,
                       shm_bytes ? " of" : "",
                       limit > 0 ? ", limited to " : "", limit > 0 ? may : "");
}

/* --- The image ------------------------------------------------------------------------------------------------------ */

/* One that is not here: a study would pull it, unless it is told not to. */
static void tell_missing(const struct preflight_question *q, const struct runner_container *c, const GError *why,
                         struct preflight_finding *ret)
{
    const struct diag_span *at = place_of_runner(q->config);
    bool comes = g_error_matches(why, LLEM_ERROR, LLEM_ERROR_IMAGE_MISSING) && g_strcmp0(c->pull, "never") != 0 &&
                 !preflight_options_of(q->preflight)->pulls;
    if (comes)
        preflight_find(ret, PREFLIGHT_LACKS, at, "%s is not on this machine: it is pulled before the first run, and what is "
                       "in it was not looked at", c->image);
    else
        preflight_find(ret, PREFLIGHT_FAILS, at, "%s", why->message);
    const struct backend *backend = preflight_backend(q->config);
    if (backend) /* a published one can be built instead */
        ret->hint = backend_image_remedy(backend, c->image);
}

static void probe_image(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct seen_image *seen = place_image(q->preflight, q->config);
    const struct runner_container *c = place_container(q->preflight, q->config);
    const char *arch = client_of(q)->daemon->os_arch;
    if (!seen->image.id) {
        tell_missing(q, c, seen->error, ret);
        return;
    }
    g_autofree char *size = num_format_bytes(seen->image.size_bytes);
    if (arch && *arch && seen->image.os_arch && strcmp(arch, seen->image.os_arch) != 0)
        preflight_find(ret, PREFLIGHT_FAILS, place_of_runner(q->config), "%s is made for %s, the daemon runs %s",
                       c->image, seen->image.os_arch, arch);
    else
        preflight_find(ret, PREFLIGHT_OK, NULL, "%.19s, %s, %s%s%s", seen->image.id, size, seen->image.os_arch,
                       seen->image.digest ? ", " : "", seen->image.digest ? seen->image.digest : "");
}

/* --- The place ------------------------------------------------------------------------------------------------------ */

/* Where the image is here, and containers may be started. */
static char *place_key(struct preflight *p, const struct config *config, size_t nth)
{
    g_autofree char *room = room_key(p, config, nth);
    const struct seen_image *image = room ? place_image(p, config) : NULL;
    return image && image->image.id && preflight_options_of(p)->starts ? place_name(p, config) : NULL;
}

/* The same, of runs that are given boards. */
static char *board_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (!config || nth > 0 || config_gpu_need(config) == CONFIG_GPU_NONE)
        return NULL;
    return place_key(p, config, nth);
}

static void judge(const struct preflight_question *q, struct preflight_finding *ret,
                  void (*verdict_of)(const struct answer *answer, struct answer_verdict *ret))
{
    const struct answer *answer = place_answer(q->preflight, q->config);
    struct answer_verdict verdict;
    if (!answer) {
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "nobody could be asked");
        return;
    }
    verdict_of(answer, &verdict);
    const struct diag_span *at = verdict.verdict >= PREFLIGHT_LACKS ? place_of_runner(q->config) : NULL;
    preflight_find(ret, verdict.verdict, at, "%s", verdict.text);
    ret->hint = g_steal_pointer(&verdict.hint);
    answer_verdict_clear(&verdict);
}

#define JUDGED(name)                                                                                                   \
    static void probe_##name(const struct preflight_question *q, struct preflight_finding *ret)                        \
    {                                                                                                                  \
        judge(q, ret, answer_##name);                                                                                  \
    }
JUDGED(start)
JUDGED(glibc)
JUDGED(engine)
JUDGED(boards)
JUDGED(cuda)
JUDGED(smi)
#undef JUDGED

const struct preflight_check preflight_container_rows[] = {
    {.id = "container.client",
     .why = "runs in containers are started with docker or podman",
     .remedy = "install Docker or Podman, or name the client in runners.ENGINE.client",
     .key = client_key,
     .probe = probe_client},
    {.id = "container.daemon",
     .why = "a daemon that does not answer, or is another machine's, runs nothing that can be measured here",
     .remedy = "it does not run: `systemctl start docker`; no permission on its socket: docs/docker.md, \"What the host "
               "needs\"; another machine's: `docker context use default`, unset DOCKER_HOST",
     .key = daemon_key,
     .probe = probe_daemon},
    {.id = "container.image",
     .why = "every run starts from this image, pinned by its ID",
     .remedy = "pull or build it, or name another in runners.ENGINE; unless it says `pull: never` a study pulls it before "
               "its first run",
     .key = room_key,
     .probe = probe_image},
    {.id = "container.space",
     .why = "a full disk fails pulls and runs",
     .remedy = "free some space (`docker system df` shows what takes it, `docker image prune` frees it), or move the "
               "daemon's data",
     .key = room_key,
     .probe = probe_space},
    {.id = "container.memory",
     .why = "an engine that outgrows its memory or its shared memory is killed",
     .remedy = "set shm_size and memory in runners.ENGINE to what the machine has",
     .key = memory_key,
     .probe = probe_memory},
    {.id = "container.start",
     .why = "a container of the image, with the boards and mounts of a run, must start as a run does",
     .remedy = "the message is the daemon's own; docs/docker.md, \"How a run ends\", has the usual ones",
     .key = place_key,
     .probe = probe_start},
    {.id = "container.glibc",
     .why = "llem-worker and the engine's files are this machine's, and need a C library as new as they were built for "
            "(2.34; a libllama of your own may need a newer one)",
     .remedy = "take an image with a newer C library (Ubuntu 22.04 has 2.35, Debian 12 has 2.36)",
     .key = place_key,
     .probe = probe_glibc},
    {.id = "container.engine",
     .why = "an engine that cannot be imported in the image fails every run",
     .remedy = "take an image that has the engine; runners.ENGINE.python names its interpreter",
     .key = place_key,
     .probe = probe_engine},
    {.id = "container.gpus",
     .why = "a run is given its boards and no other, and podman may give none without a word: what was asked for is "
            "compared with what a container of the very image sees",
     .remedy = "set up the NVIDIA Container Toolkit (docs/docker.md, \"What the host needs\"; gpu.toolkit says what of it "
               "was found), or name other boards in gpus",
     .key = board_key,
     .probe = probe_boards},
    {.id = "container.cuda",
     .why = "boards that are visible are of no use where CUDA does not start",
     .remedy = "`nvidia-smi` on the host, and container.nvidia_smi, say more; compare the driver's version and the image's",
     .key = board_key,
     .probe = probe_cuda},
    {.id = "container.nvidia_smi",
     .why = "what the driver's own tool says inside",
     .remedy = "container.gpus has the verdict",
     .evidence = true,
     .key = board_key,
     .probe = probe_smi},
    {0},
};
