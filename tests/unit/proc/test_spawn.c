/* SPDX-License-Identifier: MIT */
/* Starting a process: every step that can fail says which it was; what arrives in the child is what was asked for. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SH(script) ARGV("sh", "-c", script)

static char *folder;

/* "{dir}" stands for the folder of the test's. New string. */
static char *filled_in(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "{dir}", -1);
    return g_strjoinv(folder, parts);
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

/* --- Steps that fail ------------------------------------------------------------------------------------------- */

static const struct failing {
    const char *name, *program, *dir;
    struct spawn_fd fd; /* number 0: none */
    int death_signal, code;
    const char *message; /* the whole of it */
} failing[] = {
    {"no-program-in-path", "no-such-program", NULL, {0}, 0, LLEM_ERROR_MISSING,
     "there is no program 'no-such-program' in PATH"},
    {"no-such-file", "{dir}/absent", NULL, {0}, 0, LLEM_ERROR_MISSING,
     "cannot start {dir}/absent: No such file or directory"},
    {"not-executable", "{dir}/plain", NULL, {0}, 0, LLEM_ERROR_IO, "cannot start {dir}/plain: Permission denied"},
    {"a-folder", "{dir}", NULL, {0}, 0, LLEM_ERROR_IO, "cannot start {dir}: Permission denied"},
    {"no-hash-bang", "{dir}/bare", NULL, {0}, 0, LLEM_ERROR_IO,
     "cannot start {dir}/bare: Exec format error (a script needs a #! line)"},
    {"no-interpreter", "{dir}/orphan", NULL, {0}, 0, LLEM_ERROR_MISSING,
     "cannot start {dir}/orphan: what it names as its interpreter is not there"},
    {"no-folder", "sh", "{dir}/nowhere", {0}, 0, LLEM_ERROR_IO,
     "cannot enter {dir}/nowhere: No such file or directory"},
    {"folder-is-a-file", "sh", "{dir}/plain", {0}, 0, LLEM_ERROR_IO, "cannot enter {dir}/plain: Not a directory"},
    {"closed-descriptor", "sh", NULL, {900, 3}, 0, LLEM_ERROR_IO,
     "cannot pass descriptor 900 on as 3: Bad file descriptor"},
    {"strange-signal", "sh", NULL, {0}, 999, LLEM_ERROR_IO,
     "cannot ask for signal 999 at the end of the parent: Invalid argument"},
    {"the-first-step-is-named", "{dir}/absent", "{dir}/nowhere", {0}, 0, LLEM_ERROR_IO,
     "cannot enter {dir}/nowhere: No such file or directory"},
};

static void test_failing(gconstpointer data)
{
    const struct failing *row = data;
    g_autofree char *program = filled_in(row->program);
    g_autofree char *dir = row->dir ? filled_in(row->dir) : NULL;
    g_autofree char *message = filled_in(row->message);
    g_autoptr(GError) error = NULL;
    struct spawn_child child = {-1, -1};
    struct spawn spawn = {.argv = ARGV(program, "-c", ":"),
                          .dir = dir,
                          .fds = &row->fd,
                          .n_fds = row->fd.number ? 1 : 0,
                          .group = SPAWN_NEW_SESSION,
                          .death_signal = row->death_signal};
    g_assert_false(spawn_start(&spawn, &child, &error));
    g_assert_error(error, LLEM_ERROR, row->code);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpint(child.pid, ==, -1);
    g_assert_true(proc_childless()); /* reaped */
}

/* --- What the child has ---------------------------------------------------------------------------------------- */

static char *said_by(struct spawn spawn, int *ret_status)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *err = NULL;
    char *out = NULL;
    spawn_capture(&spawn, 1 << 16, &out, &err, ret_status, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(err, ==, "");
    return out;
}

static const struct told {
    const char *name;
    const char *script;
    struct spawn spawn; /* without argv */
    const char *out;
} told[] = {
    {"its-output-and-status", "echo yes; exit 3", {0}, "yes\n"},
    {"its-folder", "pwd", {.dir = "/usr"}, "/usr\n"},
    {"a-variable-set", "echo \"$SPAWN_A $SPAWN_B\"", {.env = ARGV("SPAWN_A=1=2", "SPAWN_B=")}, "1=2 \n"},
    {"a-variable-as-ours", "echo $SPAWN_OURS", {.env = ARGV("SPAWN_A=1")}, "ours\n"},
    {"a-variable-removed", "echo ${SPAWN_OURS-none}", {.env = ARGV("SPAWN_OURS")}, "none\n"},
    {"a-group-of-its-own", "test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo own", {.group = SPAWN_NEW_GROUP}, "own\n"},
    {"a-session-of-its-own", "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo own", {.group = SPAWN_NEW_SESSION},
     "own\n"},
    {"no-signal-blocked", "grep SigBlk /proc/self/status | tail -c 8", {0}, "0000000\n"},
    /* 0x1: SIGHUP, ignored by us; PIPE, TERM and CHLD are not. Real-time signals are as whoever started us has them. */
    {"signals-ignored", "grep SigIgn /proc/self/status | tail -c 8", {0}, "0000001\n"},
    {"nothing-to-read", "cat; echo end", {0}, "end\n"},
};

static void test_told(gconstpointer data)
{
    const struct told *row = data;
    struct spawn spawn = row->spawn;
    int status;
    spawn.argv = SH(row->script);
    g_autofree char *out = said_by(spawn, &status);
    g_assert_cmpstr(out, ==, row->out);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, strstr(row->script, "exit 3") ? 3 : 0);
}

/* Numbers that cross: 3 becomes 4 and 4 becomes 3, whatever they are here; nothing else comes along, even without
 * close-on-exec. */
static void test_descriptors(void)
{
    int ends[2][2];
    g_assert_cmpint(pipe(ends[0]), ==, 0);
    g_assert_cmpint(pipe(ends[1]), ==, 0);
    int a = ends[0][1], b = ends[1][1];
    struct spawn_child child;
    g_autoptr(GError) error = NULL;
    struct spawn spawn = {.argv = SH("echo a >&$A; echo b >&$B; exec >&$B; ls -m /proc/$$/fd; :"), .n_fds = 3};
    g_autofree char *as_a = g_strdup_printf("A=%d", b), *as_b = g_strdup_printf("B=%d", a);
    spawn.fds = (const struct spawn_fd[]){{a, b}, {b, a}, {-1, 0}};
    spawn.env = ARGV(as_a, as_b);
    spawn_start(&spawn, &child, &error);
    g_assert_no_error(error);
    close(a);
    close(b);
    char text[2][64] = {0};
    g_assert_cmpint(waitpid(child.pid, NULL, 0), ==, child.pid);
    g_assert_cmpint(read(ends[0][0], text[0], 63), ==, 2);
    g_assert_cmpint(read(ends[1][0], text[1], 63), >, 2);
    g_autofree char *list = g_strdup_printf("b\n0, 1, 2, %d, %d\n", MIN(a, b), MAX(a, b));
    g_assert_cmpstr(text[0], ==, "a\n");
    g_assert_cmpstr(text[1], ==, list);
    close(ends[0][0]);
    close(ends[1][0]);
    close(child.pidfd);
}

static void test_end_is_readable(void)
{
    struct spawn_child child;
    int status;
    g_autoptr(GError) error = NULL;
    spawn_start(&(struct spawn){.argv = SH("exit 5")}, &child, &error);
    g_assert_no_error(error);
    struct pollfd fd = {.fd = child.pidfd, .events = POLLIN};
    if (child.pidfd >= 0) /* Linux 5.3 and later */
        g_assert_cmpint(poll(&fd, 1, 10000), ==, 1);
    g_assert_cmpint(waitpid(child.pid, &status, 0), ==, child.pid);
    g_assert_cmpint(WEXITSTATUS(status), ==, 5);
    close(child.pidfd);
}

/* Only the end of what a chatty program says is kept, of each stream. */
static void test_last_words(void)
{
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;
    struct spawn spawn = {.argv = SH("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo oops >&2")};
    spawn_capture(&spawn, 100, &out, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(out), ==, 100);
    g_assert_true(g_str_has_suffix(out, "line 19998\nline 19999\n"));
    g_assert_cmpstr(err, ==, "oops\n");
}

/* --- A function instead of a program --------------------------------------------------------------------------- */

static void answer(void *data)
{
    const int *fd = data;
    char c;
    if (read(*fd, &c, 1) == 1 && fcntl(*fd + 1, F_GETFD) < 0) /* no other descriptor came along */
        send(*fd, "!", 1, MSG_NOSIGNAL);
}

static void test_entry(void)
{
    int ends[2], number = 3, status;
    struct spawn_child child;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    struct spawn spawn = {.entry = answer,
                          .entry_data = &number,
                          .fds = &(const struct spawn_fd){ends[1], number},
                          .n_fds = 1,
                          .group = SPAWN_NEW_GROUP};
    spawn_start(&spawn, &child, &error);
    g_assert_no_error(error);
    close(ends[1]);
    char c = '?';
    g_assert_cmpint(getpgid(child.pid), ==, child.pid);
    g_assert_cmpint(write(ends[0], &c, 1), ==, 1);
    g_assert_cmpint(read(ends[0], &c, 1), ==, 1);
    g_assert_cmpint(c, ==, '!');
    g_assert_cmpint(waitpid(child.pid, &status, 0), ==, child.pid);
    g_assert_cmpint(status, ==, 0);
    close(ends[0]);
    close(child.pidfd);
}

/* --- The end of the parent ------------------------------------------------------------------------------------- */

/* A child of ours starts one of its own and dies: the kernel tells the grandchild, which is ours to reap. */
static void test_death_signal(void)
{
    int ends[2], status;
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    pid_t middle = fork();
    if (middle == 0) {
        struct spawn_child child;
        struct spawn spawn = {.argv = ARGV("sleep", "1000"), .death_signal = SIGTERM};
        bool ok = spawn_start(&spawn, &child, NULL) && write(ends[1], &child.pid, sizeof child.pid) > 0;
        _exit(ok ? 0 : 1);
    }
    pid_t pid;
    g_assert_cmpint(read(ends[0], &pid, sizeof pid), ==, sizeof pid);
    g_assert_cmpint(waitpid(middle, &status, 0), ==, middle);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(proc_become_subreaper());
    folder = g_dir_make_tmp("llem-spawn-XXXXXX", NULL);
    put_file("plain", "#!/bin/sh\n", 0644);
    put_file("bare", "echo hello\n", 0755);
    put_file("orphan", "#!/no/such/interpreter\n", 0755);
    g_setenv("SPAWN_OURS", "ours", TRUE);
    signal(SIGINT, SIG_DFL); /* a script's `cmd &` hands it down ignored */
    signal(SIGQUIT, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    g_assert_cmpint(interrupt_open(), >=, 0); /* blocked signals, SIGPIPE ignored: none of it goes to a child */
    for (size_t i = 0; i < G_N_ELEMENTS(failing); i++) {
        g_autofree char *path = g_strdup_printf("/spawn/failing/%s", failing[i].name);
        g_test_add_data_func(path, &failing[i], test_failing);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(told); i++) {
        g_autofree char *path = g_strdup_printf("/spawn/told/%s", told[i].name);
        g_test_add_data_func(path, &told[i], test_told);
    }
    g_test_add_func("/spawn/descriptors", test_descriptors);
    g_test_add_func("/spawn/end-is-readable", test_end_is_readable);
    g_test_add_func("/spawn/last-words", test_last_words);
    g_test_add_func("/spawn/entry", test_entry);
    g_test_add_func("/spawn/death-signal", test_death_signal);
    int code = g_test_run();
    g_assert_true(file_remove_tree(folder, NULL));
    g_free(folder);
    return code;
}
