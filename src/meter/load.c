/* SPDX-License-Identifier: MIT */
/* Loads for tests of sensors; the one that is here, of the CPU: one child, one socket pair. The child does only
 * async-signal-safe things. */
#include "meter/meter.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct stamps {
    int64_t t0_ns, t1_ns;
};

struct cpu_load {
    struct meter_load head;
    int fd; /* a socket, because writing to one can go without SIGPIPE */
};

static void spin_until_cpu(int64_t cpu_ns)
{
    volatile double x = 1.0;
    while (clock_process_cpu_ns() < cpu_ns)
        for (int i = 0; i < 200; i++)
            x = x * 1.0000001 + 1e-9;
}

static void obey_orders(void *data)
{
    int fd = *(const int *)data;
    int64_t cpu_ns;
    while (read(fd, &cpu_ns, sizeof cpu_ns) == sizeof cpu_ns) {
        struct stamps s = {.t0_ns = clock_mono_ns()};
        spin_until_cpu(clock_process_cpu_ns() + cpu_ns);
        s.t1_ns = clock_mono_ns();
        if (send(fd, &s, sizeof s, MSG_NOSIGNAL) != sizeof s)
            break;
    }
}

static bool burn(struct meter_load *head, unsigned times, int64_t each_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                 GError **error)
{
    struct cpu_load *load = (struct cpu_load *)head;
    int64_t cpu_ns = (int64_t)times * each_ns;
    struct stamps s;
    ssize_t n = send(load->fd, &cpu_ns, sizeof cpu_ns, MSG_NOSIGNAL);
    if (n == sizeof cpu_ns)
        while ((n = recv(load->fd, &s, sizeof s, 0)) < 0 && errno == EINTR)
            ;
    if (n != sizeof s) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "the CPU load ended in the middle");
        return false;
    }
    *ret_t0_ns = s.t0_ns;
    *ret_t1_ns = s.t1_ns;
    return true;
}

static void end(struct meter_load *head)
{
    struct cpu_load *load = (struct cpu_load *)head;
    close(load->fd);
    kill(head->pids[0], SIGKILL);
    while (waitpid(head->pids[0], NULL, 0) < 0 && errno == EINTR)
        ;
    g_free(load);
}

struct meter_load *meter_load_new(GError **error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        file_error(error, "cannot open", "a socket pair");
        return NULL;
    }
    int number = STDERR_FILENO + 1;
    struct spawn_child child;
    struct spawn spawn = {.entry = obey_orders,
                          .entry_data = &number,
                          .fds = &(const struct spawn_fd){ends[1], number},
                          .n_fds = 1,
                          .group = SPAWN_NEW_GROUP,
                          .death_signal = SIGKILL};
    bool ok = spawn_start(&spawn, &child, error);
    close(ends[1]);
    if (!ok) {
        g_prefix_error(error, "the CPU load: ");
        close(ends[0]);
        return NULL;
    }
    if (child.pidfd >= 0)
        close(child.pidfd);
    struct cpu_load *load = g_new0(struct cpu_load, 1);
    load->head = (struct meter_load){
        .work = burn, .end = end, .name = "the CPU load", .cpu_time = true, .pids = {child.pid}, .n_pids = 1};
    load->fd = ends[0];
    return &load->head;
}

void meter_load_free(struct meter_load *load)
{
    if (load)
        load->end(load);
}

bool meter_load_work(struct meter_load *load, unsigned times, int64_t each_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                     GError **error)
{
    return load->work(load, times, each_ns, ret_t0_ns, ret_t1_ns, error);
}
