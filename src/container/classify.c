/* SPDX-License-Identifier: MIT */
/* From facts to a class of error. The order is that of the evidence: what was counted, what the daemon says, how a
 * process ended, and only last what somebody wrote into a log. */
#include "container/internal.h"

#include <string.h>

#define LOADER_EXIT   127 /* also: not found */
#define MOST_SHOWN    600 /* bytes of foreign words in a message */
#define SIGNALLED(n)  (128 + (n))
#define TOOLKIT       "install the NVIDIA Container Toolkit on this machine and restart the daemon (docs/docker.md)"
#define SMALLER       "a smaller model, batch or context, or more memory"
#define HAVE_IMAGE    "pull it, or name an image that is here"

/* Patterns are lower case, over the whole of the words; the first row that fits is the answer. */
struct row {
    const char *pattern;
    int code;
    const char *text; /* what it means; the words come behind it */
    const char *remedy;
};

/* What clients and daemons say. Taken down from docker 20.10 and 28.2 and podman 4.3; tests/docker has them produced.
 */
static const struct row daemon_rows[] = {
    /* the daemon cannot be talked to */
    {"*permission denied while trying to connect to the docker*", LLEM_ERROR_DAEMON_DENIED, "the socket of the docker daemon is not for this user",
     "add yourself to the group that owns the socket (docker) and log in again, or use rootless docker or podman"},
    {"*dial unix *: connect: permission denied*", LLEM_ERROR_DAEMON_DENIED, "the socket of the docker daemon is not for this user",
     "add yourself to the group that owns the socket (docker) and log in again, or use rootless docker or podman"},
    {"*cannot connect to the docker daemon*", LLEM_ERROR_DAEMON_DOWN, "the docker daemon does not run", "start it: `sudo systemctl start docker`"},
    {"*cannot connect to podman*", LLEM_ERROR_DAEMON_DOWN, "podman's service does not run", "start it, or use a podman that asks none"},
    {"*unknown server os:*", LLEM_ERROR_DAEMON_DOWN, "the docker daemon does not run", "start it: `sudo systemctl start docker`"},
    {"*error during connect:*", LLEM_ERROR_DAEMON_DOWN, "the docker daemon cannot be reached", "start it, or unset DOCKER_HOST and DOCKER_CONTEXT"},
    {"*unable to resolve docker endpoint*", LLEM_ERROR_CONFIG, "the context of the docker client is not there", "unset DOCKER_CONTEXT, or `docker context use default`"},
    {"*error waiting for container: unexpected eof*", LLEM_ERROR_DAEMON_LOST, "the daemon went away while the container ran", "look at the daemon's log; run again"},
    {"*unexpected eof*", LLEM_ERROR_DAEMON_LOST, "the daemon went away in the middle of an answer", "look at the daemon's log; run again"},
    {"*connection reset by peer*daemon*", LLEM_ERROR_DAEMON_LOST, "the daemon went away in the middle of an answer", "look at the daemon's log; run again"},
    {"*client version * is too new*", LLEM_ERROR_UNSUPPORTED, "client and daemon do not fit each other", "unset DOCKER_API_VERSION, or update the daemon"},
    {"*client version * is too old*", LLEM_ERROR_UNSUPPORTED, "client and daemon do not fit each other", "unset DOCKER_API_VERSION, or update the client"},
    /* GPUs: before files and devices that are not there, which their messages speak of too */
    {"*could not select device driver \"\" with capabilities: [[*gpu]]*", LLEM_ERROR_GPU_TOOLKIT, "docker has nothing that gives containers a GPU", TOOLKIT},
    {"*could not select device driver \"nvidia\"*", LLEM_ERROR_GPU_TOOLKIT, "docker has nothing that gives containers a GPU", TOOLKIT},
    {"*could not select device driver \"cdi\"*", LLEM_ERROR_GPU_TOOLKIT, "this docker has no CDI", TOOLKIT},
    {"*no known gpu vendor found*", LLEM_ERROR_GPU_TOOLKIT, "docker has nothing that gives containers a GPU", TOOLKIT},
    {"*unresolvable cdi devices*", LLEM_ERROR_GPU_TOOLKIT, "no CDI spec has this board", "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"},
    {"*nvidia.com/gpu=* is not an absolute path*", LLEM_ERROR_GPU_TOOLKIT, "this docker has no CDI", TOOLKIT},
    {"*unknown runtime specified nvidia*", LLEM_ERROR_GPU_TOOLKIT, "docker has no runtime of NVIDIA's", TOOLKIT},
    {"*unknown or invalid runtime name: nvidia*", LLEM_ERROR_GPU_TOOLKIT, "docker has no runtime of NVIDIA's", TOOLKIT},
    {"*default oci runtime \"nvidia\" not found*", LLEM_ERROR_GPU_TOOLKIT, "podman has no runtime of NVIDIA's", TOOLKIT},
    {"*nvidia-container-runtime-hook*no such file or directory*", LLEM_ERROR_GPU_TOOLKIT, "NVIDIA's hook is not there any more", TOOLKIT},
    {"*nvidia-container-runtime-hook*not found in $path*", LLEM_ERROR_GPU_TOOLKIT, "NVIDIA's hook is not there any more", TOOLKIT},
    {"*nvidia-container-cli*unknown device*", LLEM_ERROR_GPU_ABSENT, "a board that was asked for is not there", "`nvidia-smi -L` lists what is"},
    {"*nvidia-container-cli*device not found*", LLEM_ERROR_GPU_ABSENT, "a board that was asked for is not there", "`nvidia-smi -L` lists what is"},
    {"*nvidia-container-cli*unsatisfied condition: cuda*", LLEM_ERROR_UNSUPPORTED, "the image needs a newer CUDA than the driver of this machine runs", "an image for an older CUDA, or a newer driver"},
    {"*nvidia-container-cli*requirement error*", LLEM_ERROR_UNSUPPORTED, "the image asks for what the driver of this machine does not have", "an image for an older CUDA, or a newer driver"},
    {"*nvidia-container-cli*libnvidia-ml.so.1: cannot open shared object file*", LLEM_ERROR_GPU_ABSENT, "this machine has no NVIDIA driver", "install the driver; `nvidia-smi` must work"},
    {"*nvidia-container-cli*driver*", LLEM_ERROR_GPU_ABSENT, "the NVIDIA driver of this machine does not answer", "`nvidia-smi` must work on the host; restart after a driver update"},
    {"*nvidia-container-cli*initialization error*", LLEM_ERROR_GPU_ABSENT, "the NVIDIA driver of this machine does not answer", "`nvidia-smi` must work on the host; restart after a driver update"},
    {"*nvidia-container-cli*", LLEM_ERROR_GPU_TOOLKIT, "NVIDIA's hook failed", TOOLKIT},
    {"*no nvidia gpu device is present*", LLEM_ERROR_GPU_ABSENT, "this machine has no NVIDIA GPU", "`nvidia-smi` must work on the host"},
    /* images */
    {"*no matching manifest for *", LLEM_ERROR_IMAGE_MISSING, "the image does not exist for this kind of machine", "another image or tag"},
    {"*image operating system \"*\" cannot be used on this platform*", LLEM_ERROR_IMAGE_MISSING, "the image is for another system", "another image or tag"},
    {"*pull access denied*", LLEM_ERROR_IMAGE_MISSING, "there is no such image in the registry, or not for you", "check its name; `docker login` for a private one"},
    {"*failed to resolve reference \"*\": *: not found*", LLEM_ERROR_IMAGE_MISSING, "the registry has no such image or tag", "check the name and the tag"},
    {"*failed to resolve reference \"*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the network; an offline host loads images with `docker load`"},
    {"*manifest unknown*", LLEM_ERROR_IMAGE_MISSING, "the registry has no such tag", "check the name and the tag"},
    {"*manifest for * not found*", LLEM_ERROR_IMAGE_MISSING, "the registry has no such tag", "check the name and the tag"},
    {"*repository does not exist*", LLEM_ERROR_IMAGE_MISSING, "the registry has no such repository", "check the name"},
    {"*name unknown*", LLEM_ERROR_IMAGE_MISSING, "the registry has no such repository", "check the name"},
    {"*no such image*", LLEM_ERROR_IMAGE_MISSING, "the image is not on this machine", HAVE_IMAGE},
    {"*image not known*", LLEM_ERROR_IMAGE_MISSING, "the image is not on this machine", HAVE_IMAGE},
    {"*context \"*\"*not found*", LLEM_ERROR_CONFIG, "the context of the docker client is not there", "unset DOCKER_CONTEXT, or `docker context use default`"},
    {"*context \"*\" does not exist*", LLEM_ERROR_CONFIG, "the context of the docker client is not there", "unset DOCKER_CONTEXT, or `docker context use default`"},
    {"*invalid bind address format*", LLEM_ERROR_CONFIG, "DOCKER_HOST is no address", "unset DOCKER_HOST"},
    {"*unable to parse docker host*", LLEM_ERROR_CONFIG, "DOCKER_HOST is no address", "unset DOCKER_HOST"},
    {"*invalid reference format*", LLEM_ERROR_CONFIG, "this is no name of an image", "registry/name:tag, in lower case"},
    {"*repository name must *", LLEM_ERROR_CONFIG, "this is no name of an image", "registry/name:tag, in lower case"},
    {"*invalid image name *", LLEM_ERROR_CONFIG, "this is no name of an image", "registry/name:tag, in lower case"},
    {"*no space left on device*", LLEM_ERROR_DISK_FULL, "a disk is full", "`docker system df` shows what images and containers take; free space"},
    {"*disk quota exceeded*", LLEM_ERROR_DISK_FULL, "a disk quota is used up", "free space"},
    {"*toomanyrequests*", LLEM_ERROR_IMAGE_PULL, "the registry serves no more for now", "`docker login`, or wait"},
    {"*unauthorized: *", LLEM_ERROR_IMAGE_PULL, "the registry wants a login", "`docker login`"},
    {"*: unauthorized*", LLEM_ERROR_IMAGE_PULL, "the registry wants a login", "`docker login`"},
    {"*\": denied*", LLEM_ERROR_IMAGE_PULL, "the registry refuses", "`docker login`, or check the name"},
    {"*denied: requested access *", LLEM_ERROR_IMAGE_PULL, "the registry refuses", "`docker login`, or check the name"},
    {"*no such host*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the name and the network; an offline host loads images with `docker load`"},
    {"*temporary failure in name resolution*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the network; an offline host loads images with `docker load`"},
    {"*get \"http*://*/v2/*\":*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the network; an offline host loads images with `docker load`"},
    {"*head \"http*://*/v2/*\":*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the network; an offline host loads images with `docker load`"},
    {"*initializing source docker://*", LLEM_ERROR_IMAGE_PULL, "the registry cannot be reached", "check the network; an offline host loads images with `podman load`"},
    /* names */
    {"*conflict. the container name *is already in use*", LLEM_ERROR_NAME_CONFLICT, "a container of that name exists", "remove it"},
    {"*the container name *is already in use*", LLEM_ERROR_NAME_CONFLICT, "a container of that name exists", "remove it"},
    {"*container id file *", LLEM_ERROR_NAME_CONFLICT, "the file for the container's id exists", "remove it"},
    /* mounts */
    {"*bind source path does not exist*", LLEM_ERROR_MOUNT_DENIED, "what is to be mounted is not there", "check the path, which must be on the daemon's machine"},
    {"*invalid mount config*", LLEM_ERROR_MOUNT_DENIED, "a mount was refused", "check `mounts`"},
    {"*duplicate mount *", LLEM_ERROR_MOUNT_DENIED, "two mounts have the same place", "check `mounts`"},
    {"*statfs /*: no such file or directory*", LLEM_ERROR_MOUNT_DENIED, "what is to be mounted is not there", "check the path"},
    {"*statfs /*: permission denied*", LLEM_ERROR_MOUNT_DENIED, "what is to be mounted may not be read", "check the rights of the path and of the folders above it"},
    {"*error mounting \"*", LLEM_ERROR_MOUNT_DENIED, "a mount was refused", "check `mounts`"},
    {"*error while creating mount source path*", LLEM_ERROR_MOUNT_DENIED, "what is to be mounted may not be read by the daemon", "check the rights of the path"},
    {"*mounts denied*", LLEM_ERROR_MOUNT_DENIED, "the daemon does not share this path", "check `mounts`"},
    {"*error gathering device information*", LLEM_ERROR_MOUNT_DENIED, "a device is not there", "check `arguments`"},
    {"*stat /dev/*: no such file or directory*", LLEM_ERROR_MOUNT_DENIED, "a device is not there", "check `arguments`"},
    /* limits and rights */
    {"*error setting rlimit*", LLEM_ERROR_LIMIT_REFUSED, "the machine does not allow these ulimits", "lower `ulimits`, or raise the daemon's own"},
    {"*setrlimit *rlimit_*", LLEM_ERROR_LIMIT_REFUSED, "the machine does not allow these ulimits", "lower `ulimits`, or default_ulimits of containers.conf"},
    {"*unable to apply caps*", LLEM_ERROR_LIMIT_REFUSED, "the machine does not allow these capabilities", "name the few that are needed, with --cap-add"},
    {"*can't get final child's pid from pipe*", LLEM_ERROR_LIMIT_REFUSED, "the machine does not allow what the container asks for", "look for limits, priorities and capabilities in `arguments`"},
    {"*range of cpus is from *", LLEM_ERROR_LIMIT_REFUSED, "there are fewer CPUs", "lower `cpus`"},
    {"*requested cpus are not available*", LLEM_ERROR_LIMIT_REFUSED, "there are fewer CPUs", "check `arguments`"},
    {"*minimum memory limit allowed*", LLEM_ERROR_LIMIT_REFUSED, "so little memory is no limit", "raise `memory`"},
    {"*unable to set memory limit*", LLEM_ERROR_LIMIT_REFUSED, "so little memory is no limit", "raise `memory`"},
    {"*error setting cgroup config*", LLEM_ERROR_LIMIT_REFUSED, "a limit was refused", "check `memory` and `cpus`"},
    {"*cgroups in hybrid mode not supported*", LLEM_ERROR_LIMIT_REFUSED, "crun does not run on this machine's cgroups", "runtime = \"runc\" in containers.conf"},
    {"*unable to find user *", LLEM_ERROR_LIMIT_REFUSED, "the image does not know the user", "use numbers"},
    {"*requires at least 1 argument*", LLEM_ERROR_CONFIG, "the client does not take the command", "check `arguments`"},
    {"*unknown flag: *", LLEM_ERROR_CONFIG, "the client does not know an argument", "check `arguments`"},
    {"*unknown shorthand flag*", LLEM_ERROR_CONFIG, "the client does not know an argument", "check `arguments`"},
    {"*invalid argument \"*\" for *flag*", LLEM_ERROR_CONFIG, "the client does not take a value", "check the values below `runners`"},
    {"*flag needs an argument*", LLEM_ERROR_CONFIG, "an argument lacks its value", "check `arguments`"},
    {"*unable to translate --*", LLEM_ERROR_CONFIG, "the client does not take a value", "check the values below `runners`"},
    {"*conflicting options: *", LLEM_ERROR_CONFIG, "two arguments exclude each other", "check `arguments`"},
    {"*cannot set multiple networks *", LLEM_ERROR_CONFIG, "two arguments exclude each other", "check `arguments`"},
    {"*network * not found*", LLEM_ERROR_CONFIG, "there is no such network", "`docker network ls` lists them"},
    {"*network with name or id *", LLEM_ERROR_CONFIG, "there is no such network", "`podman network ls` lists them"},
    {"*network bridge not found*", LLEM_ERROR_CONFIG, "the daemon has no bridge", "network: none, or host"},
    /* the program */
    {"*executable file not found in $path*", LLEM_ERROR_ENTRY_POINT, "the program is not in the image", "check the image"},
    {"*exec: \"*\": stat *: no such file or directory*", LLEM_ERROR_ENTRY_POINT, "the program is not in the container", "check mounts and image"},
    {"*exec: \"*\": permission denied*", LLEM_ERROR_ENTRY_POINT, "the program may not be run", "check its rights"},
    {"*exec /*: no such file or directory*", LLEM_ERROR_ENTRY_POINT, "the program is not in the container, or the image has no loader for it", "an image with glibc"},
    {"*exec format error*", LLEM_ERROR_ENTRY_POINT, "the program is for another kind of machine", "an image for this machine"},
    {"*oci runtime attempted to invoke a command that was not found*", LLEM_ERROR_ENTRY_POINT, "the program is not in the container", "check mounts and image"},
    {"*working directory * is invalid*", LLEM_ERROR_ENTRY_POINT, "the working directory is not there", "check the image"},
};

/* What init and the loader say before the program has its own log; whatever the exit code. */
static const struct row start_rows[] = {
    {"*exec * failed: no such file or directory*", LLEM_ERROR_ENTRY_POINT, "the program is not in the container, or the image has no loader for it", "an image with glibc"},
    {"*exec * failed: permission denied*", LLEM_ERROR_ENTRY_POINT, "the program may not be run", "check its rights, and that no mount says noexec"},
    {"*exec * failed: exec format error*", LLEM_ERROR_ENTRY_POINT, "the program is for another kind of machine", "an image for this machine"},
    {"*error while loading shared libraries: *", LLEM_ERROR_LIBRARY_MISSING, "a shared library is not in the image", "an image that has it, or list it in `files` of the engine"},
    {"*version `glibc_* not found*", LLEM_ERROR_LIBRARY_MISSING, "the glibc of the image is too old", "a newer image"},
    {"*version `glibcxx_* not found*", LLEM_ERROR_LIBRARY_MISSING, "the libstdc++ of the image is too old", "a newer image"},
    {"*symbol lookup error: *", LLEM_ERROR_LIBRARY_MISSING, "a shared library of the image does not fit", "another image"},
};

/* What engines write, line by line. Words of a whole message: "headroom" or "killed" alone mean nothing. */
static const struct row log_rows[] = {
    {"*cuda out of memory*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*outofmemoryerror: cuda*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*hip out of memory*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*cuda error: out of memory*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*cuda_error_out_of_memory*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*cudaerrormemoryallocation*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*cudamalloc failed: out of memory*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*cublas_status_alloc_failed*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*no available memory for the cache blocks*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory did not suffice", SMALLER},
    {"*free memory on device * is less than desired gpu memory utilization*", LLEM_ERROR_GPU_OUT_OF_MEMORY, "the GPU's memory is in use", "free it, or lower gpu_memory_utilization"},
    {"*insufficient shared memory (shm)*", LLEM_ERROR_DISK_FULL, "the container's /dev/shm is full", "raise `shm_size`"},
    {"*unable to write to file </torch_*", LLEM_ERROR_DISK_FULL, "the container's /dev/shm is full", "raise `shm_size`"},
    {"*no space left on device*", LLEM_ERROR_DISK_FULL, "a disk is full", "free space"},
    {"*disk quota exceeded*", LLEM_ERROR_DISK_FULL, "a disk quota is used up", "free space"},
    {"*driver/library version mismatch*", LLEM_ERROR_GPU_ABSENT, "the NVIDIA libraries and the kernel's driver differ", "restart the machine after a driver update"},
    {"*cuda driver version is insufficient for cuda runtime version*", LLEM_ERROR_UNSUPPORTED, "the image needs a newer NVIDIA driver", "an image for an older CUDA, or a newer driver"},
    {"*no cuda-capable device is detected*", LLEM_ERROR_GPU_ABSENT, "no GPU is visible", "check `gpus` and the toolkit: `llem doctor`"},
    {"*found no nvidia driver on your system*", LLEM_ERROR_GPU_ABSENT, "no GPU is visible", "check `gpus` and the toolkit: `llem doctor`"},
    {"*failed to initialize nvm?: *", LLEM_ERROR_GPU_ABSENT, "no GPU is visible", "check `gpus` and the toolkit: `llem doctor`"},
    {"*error while loading shared libraries: *", LLEM_ERROR_LIBRARY_MISSING, "a shared library is not in the image", "an image that has it, or list it in `files` of the engine"},
    {"*cannot open shared object file*", LLEM_ERROR_LIBRARY_MISSING, "a shared library is not in the image", "an image that has it, or list it in `files` of the engine"},
    {"*version `glibc_* not found*", LLEM_ERROR_LIBRARY_MISSING, "the glibc of the image is too old", "a newer image"},
    {"*symbol lookup error: *", LLEM_ERROR_LIBRARY_MISSING, "a shared library of the image does not fit", "another image"},
};

static const struct row *find_row(const struct row *rows, size_t n, const char *words)
{
    g_autofree char *lower = g_ascii_strdown(words, -1);
    for (size_t i = 0; i < n; i++)
        if (g_pattern_match_simple(rows[i].pattern, lower))
            return &rows[i];
    return NULL;
}

/* --- Verdicts -------------------------------------------------------------------------------------------------- */

void container_verdict_clear(struct container_verdict *verdict)
{
    g_clear_pointer(&verdict->text, g_free);
    g_clear_pointer(&verdict->remedy, g_free);
}

/* At most so many bytes, whole characters. */
static char *shown(const char *words)
{
    if (strlen(words) <= MOST_SHOWN)
        return g_strdup(words);
    const char *end = g_utf8_find_prev_char(words, words + MOST_SHOWN);
    g_autofree char *head = g_strndup(words, end ? (gsize)(end - words) : 0);
    return g_strconcat(head, "…", NULL);
}

static bool judge(struct container_verdict *ret, int code, const char *text, const char *words, const char *remedy)
{
    g_autofree char *clipped = words && *words ? shown(words) : NULL;
    ret->code = code;
    ret->text = clipped ? g_strconcat(text, ": ", clipped, NULL) : g_strdup(text);
    ret->remedy = g_strdup(remedy);
    return true;
}

static bool judge_row(struct container_verdict *ret, const struct row *row, const char *words)
{
    return row && judge(ret, row->code, row->text, words, row->remedy);
}

static bool is_clients_code(int code)
{
    return code >= 125 && code <= 127;
}

/* --- The evidence, in its order -------------------------------------------------------------------------------- */

static bool by_memory(const struct container_facts *f, struct container_verdict *ret)
{
    bool event = f->end && f->end->oom;
    if (f->oom_kills <= 0 && !event)
        return false;
    return judge(ret, LLEM_ERROR_OUT_OF_MEMORY,
                 event ? "the kernel killed a process of the container for its memory (an oom event of the daemon)"
                       : "the kernel killed a process of the container for its memory (counted by its cgroup)",
                 NULL, "raise `memory`, or a smaller model, batch or context");
}

/* A daemon that dies or is restarted leaves its client with 125, too: once the program was at work that is no refusal.
 */
static bool by_daemon(const struct container_facts *f, struct container_verdict *ret)
{
    g_autofree char *words = daemon_words(f->client_text);
    bool restarted = f->end && f->end->forgotten && f->began;
    if (f->daemon_gone || restarted)
        return judge(ret, LLEM_ERROR_DAEMON_LOST, "the daemon went away while the container ran", words,
                     "look at the daemon's log; run again");
    if (f->client_signal || !is_clients_code(f->exit_code) || !*words)
        return false;
    if (f->began && f->exit_code == 125)
        return judge(ret, LLEM_ERROR_DAEMON_LOST, "the daemon went away while the container ran", words,
                     "look at the daemon's log; run again");
    if (f->began)
        return false;
    const struct row *row = find_row(daemon_rows, G_N_ELEMENTS(daemon_rows), words);
    return judge_row(ret, row, words) ||
           judge(ret, LLEM_ERROR_RUNNER, "the container could not be started", words, NULL);
}

static bool by_start(const struct container_facts *f, struct container_verdict *ret)
{
    g_autofree char *words = client_words(f->client_text);
    if (judge_row(ret, find_row(start_rows, G_N_ELEMENTS(start_rows), words), words))
        return true;
    if (f->client_signal || f->began || !is_clients_code(f->exit_code))
        return false;
    if (f->exit_code == 125)
        return judge(ret, LLEM_ERROR_RUNNER, "the container could not be started (exit status 125)", words, NULL);
    return judge(ret, LLEM_ERROR_ENTRY_POINT,
                 f->exit_code == LOADER_EXIT ? "the program of the container was not found (exit status 127)"
                                             : "the program of the container could not be run (exit status 126)",
                 words, "check the image and the mounts");
}

static bool by_signal(const struct container_facts *f, struct container_verdict *ret)
{
    if (f->client_signal) {
        g_autofree char *text =
            g_strdup_printf("the client of the container was ended by signal %d (%s), and the container with it",
                            f->client_signal, g_strsignal(f->client_signal));
        return judge(ret, LLEM_ERROR_CONTAINER_KILLED, text, NULL, NULL);
    }
    switch (f->exit_code) {
    case SIGNALLED(SIGKILL):
        return judge(ret, LLEM_ERROR_CONTAINER_KILLED,
                     "the container was killed from outside (SIGKILL: `kill`, `stop` past its time, the daemon's end)",
                     NULL, "no out-of-memory kill was counted; look for who ends containers here");
    case SIGNALLED(SIGTERM):
        return judge(ret, LLEM_ERROR_CONTAINER_KILLED,
                     "the container was ended from outside (SIGTERM: `stop`, the daemon's end)", NULL,
                     "look for who ends containers here");
    default:
        return false;
    }
}

static bool by_log(const struct container_facts *f, struct container_verdict *ret)
{
    g_autofree char *valid = g_utf8_make_valid(f->log_tail ? f->log_tail : "", -1);
    g_auto(GStrv) lines = g_strsplit(valid, "\n", -1);
    for (size_t i = 0; i < G_N_ELEMENTS(log_rows); i++)
        for (char **line = lines; *line; line++)
            if (find_row(&log_rows[i], 1, *line))
                return judge_row(ret, &log_rows[i], g_strstrip(*line));
    return false;
}

/* How it ended, for want of anything better. */
static void by_default(const struct container_facts *f, struct container_verdict *ret)
{
    bool crash = f->exit_code > 128 && f->exit_code < SIGNALLED(NSIG);
    const char *program = f->program ? f->program : "the program";
    g_autofree char *how = crash ? g_strdup_printf("killed by signal %d (%s)", f->exit_code - 128,
                                                   g_strsignal(f->exit_code - 128))
                                 : g_strdup_printf("ended with exit status %d", f->exit_code);
    g_autofree char *text = g_strdup_printf("%s in the container %s%s", program, crash ? "was " : "", how);
    judge(ret, LLEM_ERROR_WORKER_DIED, text, NULL, NULL);
}

void container_classify(const struct container_facts *facts, struct container_verdict *ret)
{
    *ret = (struct container_verdict){.code = LLEM_ERROR_WORKER_DIED};
    bool known = by_memory(facts, ret) || by_daemon(facts, ret) || by_start(facts, ret) || by_signal(facts, ret) ||
                 by_log(facts, ret);
    if (!known)
        by_default(facts, ret);
}

bool container_wants_events(const struct container_facts *facts)
{
    g_autofree char *words = daemon_words(facts->client_text);
    bool refused = is_clients_code(facts->exit_code) && *words && !facts->began;
    return facts->oom_kills <= 0 && !facts->end && !facts->daemon_gone && !refused;
}

bool classify_words(const char *words, struct container_verdict *ret)
{
    return judge_row(ret, find_row(daemon_rows, G_N_ELEMENTS(daemon_rows), words), words);
}
