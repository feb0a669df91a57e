/* SPDX-License-Identifier: MIT */
/* The pure parts of room container: the command of a container for docker and podman, owners, verdicts, events. */
#include "container/container.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- Commands -------------------------------------------------------------------------------------------------- */

static const struct container_mount mounts[] = {
    {"/opt/llem", "/opt/llem", false},
    {"/srv/a study, \"quoted\"/.exchange-1", "/run/llem", true},
};

static const char *const labels[] = {CONTAINER_LABEL_RUN "=1", CONTAINER_LABEL_STUDY "=my study", NULL};
static const char *const variables[] = {"HOME=/llem/home", "LLEM_CONFIG_PATH=/run/llem/x_config.json", NULL};
static const char *const groups[] = {"44", NULL};
static const char *const ulimits[] = {"stack=67108864", NULL};
static const char *const boards[] = {"GPU-a", "GPU-b", NULL};
static const char *const raw[] = {"--cap-add", "SYS_NICE", NULL};

static const struct container_spec full_spec = {
    .name = "llem-1a2b3c4d-0007",
    .image_id = "sha256:5816307b6e5e",
    .labels = labels,
    .mounts = mounts,
    .n_mounts = G_N_ELEMENTS(mounts),
    .env = variables,
    .env_file = "/tmp/secret",
    .cid_file = "/tmp/cid",
    .user = "1234:5678",
    .groups = groups,
    .hostname = "host-a",
    .shm_bytes = INT64_C(8) << 30,
    .network = "none",
    .memory = "16g",
    .cpus = "4",
    .ulimits = ulimits,
    .gpus = boards,
    .extra = raw,
    .workdir = "/run/llem",
    .entrypoint = "/opt/llem/bin/llem-worker",
    .remove = true,
    .init = true,
};

static char *joined(const struct container_dialect *dialect, const struct container_spec *spec)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = container_argv("client", dialect, spec, &error);
    g_assert_no_error(error);
    return g_strjoinv("\n", argv);
}

static void check_golden(const char *name, const char *text)
{
    g_autofree char *file = g_strconcat(name, ".txt", NULL);
    g_autofree char *path = g_build_filename(LLEM_SOURCE_DIR, "tests", "golden", "container", file, NULL);
    g_autofree char *all = g_strconcat(text, "\n", NULL), *golden = NULL;
    if (g_getenv("LLEM_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(path, all, -1, NULL));
    g_assert_true(g_file_get_contents(path, &golden, NULL, NULL));
    g_assert_cmpstr(all, ==, golden);
}

static void test_argv_golden(void)
{
    static const struct {
        const char *name;
        struct container_dialect dialect;
    } rows[] = {
        {"docker", {.podman = false}},         {"docker-rootless", {.rootless = true}},
        {"docker-selinux", {.selinux = true}}, {"podman", {.podman = true}},
        {"podman-rootless", {.podman = true, .rootless = true}},
    };
    struct container_spec spec = full_spec;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = joined(&rows[i].dialect, &spec);
        check_golden(rows[i].name, text);
    }
}

/* The client reads a mount as CSV: a comma or a quote of a path must not become another key. */
static void test_argv_mount_quoting(void)
{
    struct container_spec spec = full_spec;
    g_autofree char *text = joined(&(struct container_dialect){.podman = false}, &spec);
    g_assert_nonnull(strstr(text, "type=bind,\"src=/srv/a study, \"\"quoted\"\"/.exchange-1\",dst=/run/llem\n"));
}

static void test_argv_no_board(void)
{
    struct container_spec spec = full_spec;
    spec.gpus = NULL;
    for (int podman = 0; podman < 2; podman++) {
        g_autofree char *text = joined(&(struct container_dialect){.podman = podman}, &spec);
        g_assert_nonnull(strstr(text, "\nNVIDIA_VISIBLE_DEVICES=void\n"));
        g_assert_null(strstr(text, "--gpus"));
        g_assert_null(strstr(text, "nvidia.com/gpu"));
    }
}

static void test_argv_podman_never_gpus(void)
{
    struct container_spec spec = full_spec;
    g_autofree char *text = joined(&(struct container_dialect){.podman = true}, &spec);
    g_assert_null(strstr(text, "--gpus"));
    g_assert_nonnull(strstr(text, "--device\nnvidia.com/gpu=GPU-a\n--device\nnvidia.com/gpu=GPU-b\n"));
    g_assert_nonnull(container_argument_problem("podman", "--gpus=all"));
}

static void test_argv_host_ipc_and_network(void)
{
    struct container_spec spec = full_spec;
    spec.ipc = spec.network = "host";
    g_autofree char *text = joined(&(struct container_dialect){.podman = false}, &spec);
    g_assert_null(strstr(text, "--shm-size")); /* the host's own is there, and the client refuses both */
    g_assert_null(strstr(text, "--hostname"));
}

static void refuse(struct container_spec spec, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(container_argv("docker", &(struct container_dialect){.podman = false}, &spec, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, word));
}

static void test_argv_refused(void)
{
    struct container_spec spec = full_spec;
    spec.image_id = "--privileged";
    refuse(spec, "--privileged");
    spec = full_spec;
    spec.gpus = TEXTS("GPU-a\",\"driver=x");
    refuse(spec, "GPU-a");
    spec = full_spec;
    g_autoptr(GError) error = NULL;
    g_assert_null(container_argv("podman", &(struct container_dialect){true, true, false, true}, &spec, &error));
    g_assert_nonnull(strstr(error->message, "--memory '16g'"));
    spec = full_spec;
    spec.mounts = &(struct container_mount){"relative", "/x", false};
    spec.n_mounts = 1;
    refuse(spec, "relative");
    spec.mounts = &(struct container_mount){"/a\nb", "/x", false};
    refuse(spec, "line break");
}

static void test_argument_problem(void)
{
    g_assert_null(container_argument_problem("docker", "--cap-add=SYS_PTRACE"));
    g_assert_nonnull(container_argument_problem("docker", "--cap-add"));
    g_assert_null(container_argument_problem("docker", "--privileged"));
    g_assert_null(container_argument_problem("docker", "--names=x"));
    g_assert_nonnull(container_argument_problem("docker", "--rm"));
    g_assert_nonnull(container_argument_problem("podman", "--gpus=all"));
    g_assert_nonnull(container_argument_problem("docker", "--entrypoint=/bin/sh"));
}

/* --- Owners ---------------------------------------------------------------------------------------------------- */

static enum container_owner_state state_of(const struct container_owner *owner)
{
    g_autofree char *text = container_owner_text(owner);
    return container_owner_state(text);
}

static void test_owner(void)
{
    g_autoptr(GError) error = NULL;
    struct container_owner self, same;
    g_assert_true(container_owner_self(&self, &error));
    g_assert_cmpint(self.pid, ==, getpid());
    g_autofree char *text = container_owner_text(&self);
    g_assert_true(container_owner_parse(text, &same));
    g_assert_cmpint(same.start_ticks, ==, self.start_ticks);
    g_assert_cmpint(container_owner_state(text), ==, CONTAINER_OWNER_ALIVE);
}

static void test_owner_pid_used_again(void)
{
    struct container_owner owner;
    g_assert_true(container_owner_self(&owner, NULL));
    owner.start_ticks -= 1;
    g_assert_cmpint(state_of(&owner), ==, CONTAINER_OWNER_DEAD);
}

static void test_owner_other_boot(void)
{
    struct container_owner owner;
    g_assert_true(container_owner_self(&owner, NULL));
    owner.boot_id[0] = owner.boot_id[0] == '0' ? '1' : '0';
    g_assert_cmpint(state_of(&owner), ==, CONTAINER_OWNER_DEAD);
}

/* llem in a container that was given the daemon's socket: its pids are others. */
static void test_owner_other_pid_namespace(void)
{
    struct container_owner owner;
    g_assert_true(container_owner_self(&owner, NULL));
    owner.pid_namespace += 1;
    owner.start_ticks -= 1;
    g_assert_cmpint(state_of(&owner), ==, CONTAINER_OWNER_UNKNOWN);
}

static void test_owner_of_another_user(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs:root another user's process is started by root alone");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) == 0 && setuid(65534) == 0)
            pause();
        _exit(1);
    }
    struct container_owner owner;
    g_assert_true(container_owner_self(&owner, NULL));
    owner.pid = child;
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)child), *stat = NULL;
    g_assert_true(g_file_get_contents(path, &stat, NULL, NULL));
    g_auto(GStrv) fields = g_strsplit(strrchr(stat, ')') + 2, " ", -1);
    g_assert_true(num_parse_int(fields[19], 0, INT64_MAX, &owner.start_ticks, NULL));
    g_assert_cmpint(state_of(&owner), ==, CONTAINER_OWNER_ALIVE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    g_assert_cmpint(state_of(&owner), ==, CONTAINER_OWNER_DEAD);
}

static void test_owner_unreadable(void)
{
    static const char *const texts[] = {"", "x", "a:b:c", "a:1:2", "boot:-1:2:3", "boot:1:2:3:4",
                                        "boot:1:99999999999999999999:3"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_cmpint(container_owner_state(texts[i]), ==, CONTAINER_OWNER_UNKNOWN);
    g_assert_cmpint(container_owner_state(NULL), ==, CONTAINER_OWNER_UNKNOWN);
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

static void test_events_docker(void)
{
    struct container_end end;
    container_events_read("{\"Action\":\"start\",\"timeNano\":5}\n{\"Action\":\"oom\",\"timeNano\":6}\n"
                          "{\"Action\":\"die\",\"Actor\":{\"Attributes\":{\"exitCode\":\"137\"}},\"timeNano\":7}\n{\"Act",
                          &end);
    g_assert_true(end.started && end.oom && end.died && !end.forgotten);
    g_assert_cmpint(end.exit_code, ==, 137);
    g_assert_cmpint(end.start_ns, ==, 5);
    g_assert_cmpint(end.die_ns, ==, 7);
}

static void test_events_nothing(void)
{
    struct container_end end;
    container_events_read("", &end);
    g_assert_false(end.started || end.oom || end.died);
    g_assert_true(end.forgotten);
    g_assert_cmpint(end.exit_code, ==, -1);
    container_events_read("[]\n7\nnull\n\"x\"\n{\"Action\":7}\n{\"Action\":\"die\"}\n", &end);
    g_assert_true(end.died);
    g_assert_cmpint(end.exit_code, ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/container/argv/golden", test_argv_golden);
    g_test_add_func("/container/argv/mount-quoting", test_argv_mount_quoting);
    g_test_add_func("/container/argv/no-board", test_argv_no_board);
    g_test_add_func("/container/argv/podman-never-gpus", test_argv_podman_never_gpus);
    g_test_add_func("/container/argv/host-ipc-and-network", test_argv_host_ipc_and_network);
    g_test_add_func("/container/argv/refused", test_argv_refused);
    g_test_add_func("/container/argv/argument-problem", test_argument_problem);
    g_test_add_func("/container/owner/self", test_owner);
    g_test_add_func("/container/owner/pid-used-again", test_owner_pid_used_again);
    g_test_add_func("/container/owner/other-boot", test_owner_other_boot);
    g_test_add_func("/container/owner/other-pid-namespace", test_owner_other_pid_namespace);
    g_test_add_func("/container/owner/of-another-user", test_owner_of_another_user);
    g_test_add_func("/container/owner/unreadable", test_owner_unreadable);
    g_test_add_func("/container/events/docker", test_events_docker);
    g_test_add_func("/container/events/nothing", test_events_nothing);
    return g_test_run();
}
