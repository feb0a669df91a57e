/* SPDX-License-Identifier: MIT */
/* A CPU load on demand: one child, one socket pair. The child does only async-signal-safe things. */
#include "meter/meter.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    int64_t cpu_ns;                 /* burn this much; 0: toggle */
    int64_t period_ns, duration_ns; /* toggle */
};

struct stamps {
    int64_t t0_ns, t1_ns;
};

struct meter_load {
    pid_t pid;
    int fd; /* a socket, because writing to one can go without SIGPIPE */
};

static void spin_until_cpu(int64_t cpu_ns)
{
    volatile double x = 1.0;
    while (clock_process_cpu_ns() < cpu_ns)
        for (int i = 0; i < 200; i++)
            x = x * 1.0000001 + 1e-9;
}

static void spin_until_mono(int64_t t_ns)
{
    volatile double x = 1.0;
    while (clock_mono_ns() < t_ns)
        for (int i = 0; i < 200; i++)
            x = x * 1.0000001 + 1e-9;
}

static void toggle(int64_t t0_ns, const struct order *order)
{
    for (int64_t at = t0_ns; at < t0_ns + order->duration_ns; at += order->period_ns) {
        spin_until_mono(at + order->period_ns / 2);
        clock_sleep_until_ns(at + order->period_ns);
    }
}

static void obey_orders(void *data)
{
    int fd = *(const int *)data;
    struct order order;
    while (read(fd, &order, sizeof order) == sizeof order) {
        struct stamps s = {.t0_ns = clock_mono_ns()};
        if (order.cpu_ns)
            spin_until_cpu(clock_process_cpu_ns() + order.cpu_ns);
        else
            toggle(s.t0_ns, &order);
        s.t1_ns = clock_mono_ns();
        if (send(fd, &s, sizeof s, MSG_NOSIGNAL) != sizeof s)
            break;
    }
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
    struct meter_load *load = g_new0(struct meter_load, 1);
    *load = (struct meter_load){.pid = child.pid, .fd = ends[0]};
    return load;
}

void meter_load_free(struct meter_load *load)
{
    if (!load)
        return;
    close(load->fd);
    kill(load->pid, SIGKILL);
    while (waitpid(load->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g_free(load);
}

pid_t meter_load_pid(const struct meter_load *load)
{
    return load->pid;
}

static bool obey(struct meter_load *load, const struct order *order, int64_t *ret_t0_ns, int64_t *ret_t1_ns,
                 GError **error)
{
    struct stamps s;
    ssize_t n = send(load->fd, order, sizeof *order, MSG_NOSIGNAL);
    if (n == sizeof *order)
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

bool meter_load_burn(struct meter_load *load, int64_t cpu_ns, int64_t *ret_t0_ns, int64_t *ret_t1_ns, GError **error)
{
    return obey(load, &(struct order){.cpu_ns = cpu_ns}, ret_t0_ns, ret_t1_ns, error);
}

bool meter_load_toggle(struct meter_load *load, int64_t period_ns, int64_t duration_ns, int64_t *ret_t0_ns,
                       int64_t *ret_t1_ns, GError **error)
{
    return obey(load, &(struct order){.period_ns = period_ns, .duration_ns = duration_ns}, ret_t0_ns, ret_t1_ns, error);
}
