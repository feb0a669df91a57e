/* SPDX-License-Identifier: MIT */
/* Verdicts from facts. The messages are as docker 20.10 and 28.2, podman 4.3, NVIDIA's hook, loaders and engines write
 * them; tests/docker/test_client.py has those produced that can be. */
#include "container/container.h"

#include <signal.h>
#include <string.h>

#define FROM_DAEMON "docker: Error response from daemon: "
#define HINT        "\n\nRun 'docker run --help' for more information\n"
#define CREATE      "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
#define HOOK        CREATE INIT "error running hook #0: error running hook: exit status 1, stdout: , stderr: "
#define INIT        "error during container init: "
#define NOTICE      "Unable to find image 'x/y:1' locally\n1: Pulling from x/y\nDigest: sha256:0a\n" DOWNLOADED
#define DOWNLOADED  "Status: Downloaded newer image for x/y:1\n"
#define NO_DAEMON   "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"

static struct container_verdict verdict_of(const struct container_facts *facts)
{
    struct container_verdict verdict;
    container_classify(facts, &verdict);
    g_assert_nonnull(verdict.text);
    g_assert_true(g_utf8_validate(verdict.text, -1, NULL));
    return verdict;
}

static void expect(const struct container_facts *facts, int code, const char *word)
{
    struct container_verdict verdict = verdict_of(facts);
    if (verdict.code != code || (word && !strstr(verdict.text, word)))
        g_error("expected %s and '%s', got %s: %s", llem_error_name(code), word ? word : "",
                llem_error_name(verdict.code), verdict.text);
    container_verdict_clear(&verdict);
}

/* --- What the client and its daemon say ------------------------------------------------------------------------ */

static const struct {
    int exit_code;
    const char *text;
    int code;
} messages[] = {
    /* permission; the newer client ends with 126 */
    {126, "docker: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Head \"http://%2Fvar%2Frun%2Fdocker.sock/_ping\": dial unix /var/run/docker.sock: connect: permission denied" HINT, LLEM_ERROR_DAEMON_DENIED},
    {126, "docker: Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/containers/create\": dial unix /var/run/docker.sock: connect: permission denied.\nSee 'docker run --help'.\n", LLEM_ERROR_DAEMON_DENIED},
    {126, "docker: permission denied while trying to connect to the docker API at unix:///var/run/docker.sock" HINT, LLEM_ERROR_DAEMON_DENIED},
    /* not running */
    {125, "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" HINT, LLEM_ERROR_DAEMON_DOWN},
    {125, "docker: unknown server OS: " HINT, LLEM_ERROR_DAEMON_DOWN},
    {125, "docker: error during connect: Get \"http://docker.example.com/v1.50/info\": command [ssh …] has exited with exit status 255" HINT, LLEM_ERROR_DAEMON_DOWN},
    /* images */
    {125, FROM_DAEMON "No such image: nosuch/image:1" HINT, LLEM_ERROR_IMAGE_MISSING},
    {125, FROM_DAEMON "No such image: nosuch/image:1.\nSee 'docker run --help'.\n", LLEM_ERROR_IMAGE_MISSING},
    {125, "Error: nosuch/image:1: image not known\n", LLEM_ERROR_IMAGE_MISSING},
    {125, NOTICE FROM_DAEMON "pull access denied for x/y, repository does not exist or may require 'docker login': denied: requested access to the resource is denied" HINT, LLEM_ERROR_IMAGE_MISSING},
    {125, FROM_DAEMON "manifest for vllm/vllm-openai:v9 not found: manifest unknown: manifest unknown" HINT, LLEM_ERROR_IMAGE_MISSING},
    {125, FROM_DAEMON "no matching manifest for linux/arm64/v8 in the manifest list entries: no match for platform in manifest: not found" HINT, LLEM_ERROR_IMAGE_MISSING},
    {125, "Unable to find image 'nosuch.invalid/img:1' locally\n" FROM_DAEMON "Get \"https://nosuch.invalid/v2/\": dial tcp: lookup nosuch.invalid on 10.255.255.53:53: no such host" HINT, LLEM_ERROR_IMAGE_PULL},
    {125, "docker: invalid reference format: repository name (library/UPPER) must be lowercase" HINT, LLEM_ERROR_CONFIG},
    /* the toolkit */
    {125, FROM_DAEMON "could not select device driver \"\" with capabilities: [[gpu]]" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {125, FROM_DAEMON "could not select device driver \"\" with capabilities: [[compute utility gpu]]." HINT, LLEM_ERROR_GPU_TOOLKIT},
    {125, FROM_DAEMON "could not select device driver \"cdi\" with capabilities: []" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {125, FROM_DAEMON "failed to discover GPU vendor from CDI: no known GPU vendor found" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {125, FROM_DAEMON "failed to resolve reference \"docker.io/x/y:1\": docker.io/x/y:1: not found" HINT, LLEM_ERROR_IMAGE_MISSING},
    {125, FROM_DAEMON "failed to resolve reference \"docker.io/x/y:1\": failed to do request: Head \"https://registry-1.docker.io/v2/x/y/manifests/1\": dial tcp: i/o timeout" HINT, LLEM_ERROR_IMAGE_PULL},
    {125, FROM_DAEMON "client version 1.50 is too new. Maximum supported API version is 1.41" HINT, LLEM_ERROR_UNSUPPORTED},
    {125, FROM_DAEMON "Unknown runtime specified nvidia" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {125, FROM_DAEMON "unknown or invalid runtime name: nvidia" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {127, FROM_DAEMON CREATE "error during container init: error running hook #0: fork/exec /usr/bin/nvidia-container-runtime-hook: no such file or directory: unknown" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {127, FROM_DAEMON "exec: \"nvidia-container-runtime-hook\": executable file not found in $PATH" HINT, LLEM_ERROR_GPU_TOOLKIT},
    {126, "Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all\n", LLEM_ERROR_GPU_TOOLKIT},
    /* boards and drivers */
    {125, FROM_DAEMON HOOK "nvidia-container-cli: device error: GPU-nosuch: unknown device: unknown" HINT, LLEM_ERROR_GPU_ABSENT},
    {125, FROM_DAEMON HOOK "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown" HINT, LLEM_ERROR_GPU_ABSENT},
    {125, FROM_DAEMON HOOK "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown" HINT, LLEM_ERROR_GPU_ABSENT},
    {125, FROM_DAEMON HOOK "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver to a newer version, or use an earlier cuda container: unknown" HINT, LLEM_ERROR_UNSUPPORTED},
    /* names */
    {125, FROM_DAEMON "Conflict. The container name \"/llem-clash\" is already in use by container \"e60f\". You have to remove (or rename) that container to be able to reuse that name." HINT, LLEM_ERROR_NAME_CONFLICT},
    {125, "Error: creating container storage: the container name \"llem-clash\" is already in use by 5491. You have to remove that container to be able to reuse that name: that name is already in use\n", LLEM_ERROR_NAME_CONFLICT},
    /* disks */
    {125, FROM_DAEMON "mkdir /var/lib/docker/overlay2/8f-init: no space left on device" HINT, LLEM_ERROR_DISK_FULL},
    {1, "failed to register layer: write /usr/lib/libcublas.so: no space left on device\n", LLEM_ERROR_WORKER_DIED}, /* not a run's */
    /* mounts */
    {125, FROM_DAEMON "invalid mount config for type \"bind\": bind source path does not exist: /nosuch/x" HINT, LLEM_ERROR_MOUNT_DENIED},
    {125, FROM_DAEMON CREATE "error during container init: error mounting \"/etc/passwd\" to rootfs at \"/etc\": mount /etc/passwd:/etc (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?" HINT, LLEM_ERROR_MOUNT_DENIED},
    {125, FROM_DAEMON CREATE "error during container init: error mounting \"/srv/x\" to rootfs at \"/x\": mount /srv/x:/x: permission denied: unknown" HINT, LLEM_ERROR_MOUNT_DENIED},
    {125, "Error: statfs /nosuch/x: no such file or directory\n", LLEM_ERROR_MOUNT_DENIED},
    {127, FROM_DAEMON "error gathering device information while adding custom device \"/dev/nosuch\": no such file or directory" HINT, LLEM_ERROR_MOUNT_DENIED},
    /* limits */
    {125, FROM_DAEMON CREATE "error during container init: error setting rlimits for ready process: error setting rlimit type 8: operation not permitted: unknown" HINT, LLEM_ERROR_LIMIT_REFUSED},
    {125, FROM_DAEMON CREATE "unable to apply caps: operation not permitted: unknown" HINT, LLEM_ERROR_LIMIT_REFUSED},
    {125, FROM_DAEMON "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available" HINT, LLEM_ERROR_LIMIT_REFUSED},
    {126, "Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied\n", LLEM_ERROR_LIMIT_REFUSED},
    /* the program */
    {127, FROM_DAEMON CREATE "exec: \"nosuch\": executable file not found in $PATH: unknown" HINT, LLEM_ERROR_ENTRY_POINT},
    {127, FROM_DAEMON CREATE "exec: \"/nosuch\": stat /nosuch: no such file or directory: unknown" HINT, LLEM_ERROR_ENTRY_POINT},
    {126, FROM_DAEMON CREATE "exec: \"/etc/passwd\": permission denied: unknown" HINT, LLEM_ERROR_ENTRY_POINT},
    {127, "[FATAL tini (8)] exec /opt/llem/bin/llem-worker failed: No such file or directory\n", LLEM_ERROR_ENTRY_POINT},
    {126, "[FATAL tini (8)] exec /etc failed: Permission denied\n", LLEM_ERROR_ENTRY_POINT},
    {127, "/opt/llem/bin/llem-worker: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No such file or directory\n", LLEM_ERROR_LIBRARY_MISSING},
    {1, "/opt/llem/bin/llem-worker: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /opt/llem/bin/llem-worker)\n", LLEM_ERROR_LIBRARY_MISSING},
    /* nothing that is known */
    {125, FROM_DAEMON "what nobody ever heard of" HINT, LLEM_ERROR_RUNNER},
    {125, "", LLEM_ERROR_RUNNER},
    {127, "", LLEM_ERROR_ENTRY_POINT},
    {126, NULL, LLEM_ERROR_ENTRY_POINT},
};

static void test_messages(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
        expect(&(struct container_facts){
                   .exit_code = messages[i].exit_code, .client_text = messages[i].text, .oom_kills = -1},
               messages[i].code, NULL);
}

/* The words of the daemon are in the text, without the client's chatter, and there is a remedy. */
static void test_words(void)
{
    const char *text = "WARNING: IPv4 forwarding is disabled. Networking will not work.\n" NOTICE FROM_DAEMON
                       "No such image: a:1" HINT;
    struct container_verdict verdict =
        verdict_of(&(struct container_facts){.exit_code = 125, .oom_kills = -1, .client_text = text});
    g_assert_cmpstr(verdict.text, ==,
                    "the image is not on this machine: Error response from daemon: No such image: a:1");
    g_assert_nonnull(verdict.remedy);
    container_verdict_clear(&verdict);
}

/* --- What engines write ---------------------------------------------------------------------------------------- */

static const struct {
    const char *log;
    int code;
} logs[] = {
    {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", LLEM_ERROR_GPU_OUT_OF_MEMORY},
    {"RuntimeError: CUDA error: out of memory", LLEM_ERROR_GPU_OUT_OF_MEMORY},
    {"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory", LLEM_ERROR_GPU_OUT_OF_MEMORY},
    {"ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", LLEM_ERROR_GPU_OUT_OF_MEMORY},
    {"OSError: [Errno 28] No space left on device: '/llem/home/.cache/x'", LLEM_ERROR_DISK_FULL},
    {"RuntimeError: DataLoader worker is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.\nERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).", LLEM_ERROR_DISK_FULL},
    {"Failed to initialize NVML: Driver/library version mismatch", LLEM_ERROR_GPU_ABSENT},
    {"Failed to initialize NVML: Unknown Error", LLEM_ERROR_GPU_ABSENT},
    {"RuntimeError: Found no NVIDIA driver on your system.", LLEM_ERROR_GPU_ABSENT},
    {"CUDA driver version is insufficient for CUDA runtime version", LLEM_ERROR_UNSUPPORTED},
    {"ImportError: libcudart.so.12: cannot open shared object file: No such file or directory", LLEM_ERROR_LIBRARY_MISSING},
    /* what only looks like something */
    {"KV cache headroom: 2 GiB, room for 100 sequences", LLEM_ERROR_WORKER_DIED},
    {"huggingface_hub.utils.EntryNotFoundError: 404 Client Error. Entry Not Found for url", LLEM_ERROR_WORKER_DIED},
    {"PermissionError: [Errno 13] Permission denied: '/llem/home/.cache/huggingface/hub'", LLEM_ERROR_WORKER_DIED},
    {"docker: Error response from daemon: No such image: x", LLEM_ERROR_WORKER_DIED},
    {"the process was killed, it says", LLEM_ERROR_WORKER_DIED},
    {"Failed to initialize NumPy: _ARRAY_API not found", LLEM_ERROR_WORKER_DIED},
    {"MemoryError", LLEM_ERROR_WORKER_DIED},
};

static void test_logs(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(logs); i++)
        expect(&(struct container_facts){.exit_code = 1, .log_tail = logs[i].log, .oom_kills = 0, .began = true},
               logs[i].code, NULL);
}

/* --- The order of evidence, and how the older system went wrong ------------------------------------------------ */

static const struct container_end oom = {.died = true, .oom = true, .exit_code = 137};
static const struct container_end forgotten = {.forgotten = true, .exit_code = -1};
static const struct container_end killed = {.died = true, .exit_code = 137};

#define CUDA "torch.OutOfMemoryError: CUDA out of memory"
#define EOF_ "docker: error waiting for container: unexpected EOF" HINT
#define LOGGED_EOF "time=\"2026-11-27T13:45:10Z\" level=error msg=\"error waiting for container: unexpected EOF\"\n"
#define NO_CACHE "PermissionError: [Errno 13] Permission denied: '/home/user/.cache'\n"
#define NO_DEVICE "error gathering device information while adding custom device \"/dev/nosuch\": no such file or directory"
#define NO_TOOLKIT "could not select device driver \"\" with capabilities: [[gpu]]"

static const struct fact_row {
    const char *name;
    struct container_facts facts;
    int code;
    const char *text, *not_remedy; /* words that are in the text, and not in the remedy; NULL: any */
} fact_rows[] = {
    /* a counter says it, or an event: whatever the exit code, and before any log */
    {"order/memory-by-event", {.exit_code = 137, .oom_kills = -1, .end = &oom}, LLEM_ERROR_OUT_OF_MEMORY, "event", NULL},
    {"order/memory-of-a-child", {.exit_code = 3, .oom_kills = 1, .log_tail = CUDA}, LLEM_ERROR_OUT_OF_MEMORY, "cgroup", NULL},
    {"order/signal-before-log", {.exit_code = 137, .oom_kills = 0, .end = &killed, .log_tail = CUDA}, LLEM_ERROR_CONTAINER_KILLED, "SIGKILL", NULL},
    {"order/segmentation-fault", {.exit_code = 139, .oom_kills = 0}, LLEM_ERROR_WORKER_DIED, "signal 11", NULL},
    {"order/abort", {.exit_code = 134, .oom_kills = 0}, LLEM_ERROR_WORKER_DIED, "signal 6", NULL},
    {"order/term", {.exit_code = 143, .oom_kills = 0}, LLEM_ERROR_CONTAINER_KILLED, "SIGTERM", NULL},
    {"order/client-killed", {.client_signal = SIGKILL, .oom_kills = 0}, LLEM_ERROR_CONTAINER_KILLED, "client", NULL},
    {"order/nothing-wrong-but-no-result", {.exit_code = 0, .oom_kills = 0}, LLEM_ERROR_WORKER_DIED, "exit status 0", NULL},
    /* 125 comes in mid-run, too: then the daemon was lost, and nothing was refused */
    {"order/daemon-lost", {.exit_code = 125, .oom_kills = -1, .began = true, .client_text = EOF_}, LLEM_ERROR_DAEMON_LOST, NULL, NULL},
    {"order/daemon-lost-early", {.exit_code = 125, .oom_kills = -1, .client_text = EOF_}, LLEM_ERROR_DAEMON_LOST, NULL, NULL},
    {"order/daemon-lost-older-client", {.exit_code = 125, .oom_kills = -1, .began = true, .client_text = LOGGED_EOF}, LLEM_ERROR_DAEMON_LOST, NULL, NULL},
    {"order/daemon-ended", {.exit_code = 137, .oom_kills = -1, .began = true, .daemon_gone = true}, LLEM_ERROR_DAEMON_LOST, NULL, NULL},
    {"order/daemon-restarted", {.exit_code = 137, .oom_kills = -1, .began = true, .end = &forgotten}, LLEM_ERROR_DAEMON_LOST, NULL, NULL},
    /* its own 125, 126, 127 are its own once it was at work, whatever it wrote */
    {"order/own-125", {.exit_code = 125, .oom_kills = 0, .began = true, .client_text = "what it wrote\n"}, LLEM_ERROR_WORKER_DIED, "exit status 125", NULL},
    {"order/own-126", {.exit_code = 126, .oom_kills = 0, .began = true, .client_text = "what it wrote\n"}, LLEM_ERROR_WORKER_DIED, "exit status 126", NULL},
    {"order/own-127", {.exit_code = 127, .oom_kills = 0, .began = true, .client_text = "what it wrote\n"}, LLEM_ERROR_WORKER_DIED, "exit status 127", NULL},
    {"order/127-of-the-daemon", {.exit_code = 127, .oom_kills = -1, .client_text = FROM_DAEMON NO_DEVICE HINT}, LLEM_ERROR_MOUNT_DENIED, "/dev/nosuch", NULL},
    /* "Unable to find image … locally" comes before every pull that a run begins: what fails later is not its doing */
    {"fault/notice-of-a-pull-then-gpu-memory", {.exit_code = 1, .oom_kills = 0, .began = true, .client_text = NOTICE, .log_tail = CUDA}, LLEM_ERROR_GPU_OUT_OF_MEMORY, NULL, NULL},
    {"fault/notice-of-a-pull-then-crash", {.exit_code = 139, .oom_kills = 0, .client_text = NOTICE}, LLEM_ERROR_WORKER_DIED, "signal 11", NULL},
    {"fault/notice-of-a-pull-then-no-toolkit", {.exit_code = 125, .oom_kills = -1, .client_text = NOTICE FROM_DAEMON NO_TOOLKIT HINT}, LLEM_ERROR_GPU_TOOLKIT, NULL, NULL},
    {"fault/not-found-is-no-missing-image", {.exit_code = 1, .oom_kills = 0, .began = true, .log_tail = "404 Client Error: Entry Not Found for url: https://example.org/x"}, LLEM_ERROR_WORKER_DIED, "exit status 1", NULL},
    {"fault/headroom-is-no-memory-error", {.exit_code = 1, .oom_kills = 0, .began = true, .client_text = "headroom\n", .log_tail = "headroom of 3 GiB"}, LLEM_ERROR_WORKER_DIED, NULL, NULL},
    {"fault/no-daemon-is-no-permission", {.exit_code = 125, .oom_kills = -1, .client_text = "docker: " NO_DAEMON HINT}, LLEM_ERROR_DAEMON_DOWN, NULL, "group"},
    {"fault/permission-inside-is-no-daemon-permission", {.exit_code = 1, .oom_kills = 0, .began = true, .client_text = NO_CACHE, .log_tail = NO_CACHE}, LLEM_ERROR_WORKER_DIED, NULL, "group"},
    {"fault/137-without-a-word-has-a-cause", {.exit_code = 137, .oom_kills = -1, .end = &killed}, LLEM_ERROR_CONTAINER_KILLED, NULL, NULL},
    {"fault/gpu-memory-is-not-the-cgroups", {.exit_code = 1, .oom_kills = 0, .end = &killed, .began = true, .log_tail = CUDA}, LLEM_ERROR_GPU_OUT_OF_MEMORY, NULL, NULL},
    {"fault/killed-is-no-memory-error", {.exit_code = 137, .oom_kills = 0, .client_text = "Killed\n"}, LLEM_ERROR_CONTAINER_KILLED, NULL, NULL},
    {"fault/exit-125-to-127-have-a-meaning", {.exit_code = 125, .oom_kills = -1, .client_text = ""}, LLEM_ERROR_RUNNER, "could not be started", NULL},
    {"fault/permission-of-a-mount-is-no-daemon-permission", {.exit_code = 125, .oom_kills = -1, .client_text = FROM_DAEMON CREATE INIT "error mounting \"/srv/x\" to rootfs at \"/x\": permission denied: unknown" HINT}, LLEM_ERROR_MOUNT_DENIED, NULL, "group"},
};

static void test_fact_row(gconstpointer data)
{
    const struct fact_row *row = data;
    expect(&row->facts, row->code, row->text);
    struct container_verdict verdict = verdict_of(&row->facts);
    g_assert_true(!row->not_remedy || !verdict.remedy || !strstr(verdict.remedy, row->not_remedy));
    container_verdict_clear(&verdict);
}

/* The daemon is asked once, after a failure, where it can tell more. */
static void test_wants_events(void)
{
    static const struct {
        struct container_facts facts;
        bool wants;
    } rows[] = {
        {{.exit_code = 137, .oom_kills = -1}, true},
        {{.exit_code = 3, .oom_kills = -1}, true},
        {{.exit_code = 137, .oom_kills = 2}, false},
        {{.exit_code = 137, .oom_kills = -1, .end = &killed}, false},
        {{.exit_code = 137, .oom_kills = -1, .daemon_gone = true}, false},
        {{.exit_code = 125, .oom_kills = -1, .client_text = FROM_DAEMON "No such image: x" HINT}, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(container_wants_events(&rows[i].facts), ==, rows[i].wants);
}

/* --- Foreign bytes --------------------------------------------------------------------------------------------- */

static void judge(int code, const char *text)
{
    struct container_verdict verdict = verdict_of(
        &(struct container_facts){.exit_code = code, .client_text = text, .log_tail = text, .oom_kills = -1});
    g_assert_cmpuint(strlen(verdict.text), <, 1000);
    container_verdict_clear(&verdict);
}

static void test_foreign_bytes(void)
{
    static const char *const texts[] = {"\xff\xfe docker: \x80", "docker: \xc3", "\r\n\r\n", "docker: ", "Error: "};
    g_autofree char *much = g_strnfill(1 << 20, 'a');
    g_autofree char *line = g_strconcat(FROM_DAEMON, much, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        for (int code = 0; code < 256; code++)
            judge(code, texts[i]);
    judge(125, line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/classify/messages", test_messages);
    g_test_add_func("/classify/words", test_words);
    g_test_add_func("/classify/logs", test_logs);
    for (size_t i = 0; i < G_N_ELEMENTS(fact_rows); i++) {
        g_autofree char *path = g_strconcat("/classify/", fact_rows[i].name, NULL);
        g_test_add_data_func(path, &fact_rows[i], test_fact_row);
    }
    g_test_add_func("/classify/wants-events", test_wants_events);
    g_test_add_func("/classify/foreign-bytes", test_foreign_bytes);
    return g_test_run();
}
