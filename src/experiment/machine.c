/* SPDX-License-Identifier: MIT */
#include "experiment/machine.h"

#include "experiment/flags.h"

#include <string.h>
#include <unistd.h>

#define GUARD_DRIFT_MAX   0.10 /* of the busier guard, and */
#define GUARD_DRIFT_CORES 0.02 /* more than the sampler's own noise */
#define FOREIGN_SHARE_MAX 0.02 /* of the machine's CPU time: docs/methodology.md */

/* --- boards ---------------------------------------------------------------------------------------------------------- */

static bool is_gpu(const struct meter_channel *c)
{
    return !strcmp(c->source, "nvml") && c->status != QUANTITY_ABSENT;
}

static bool holds(const GPtrArray *list, const char *text)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)(uintptr_t)list, text, g_str_equal, NULL);
}

/* Boards in NVML's order, each once. Borrowed strings. */
static GPtrArray *all_boards(const struct experiment *x)
{
    GPtrArray *boards = g_ptr_array_new();
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (is_gpu(c) && !holds(boards, c->device))
            g_ptr_array_add(boards, (gpointer)(uintptr_t)c->device);
    }
    return boards;
}

static bool is_engine(const struct experiment *x, const GArray *descendants, pid_t pid)
{
    for (size_t i = 0; i < x->loaded.n_pids; i++)
        if (x->loaded.pids[i] == pid)
            return true;
    for (guint i = 0; i < descendants->len; i++)
        if (g_array_index(descendants, pid_t, i) == pid)
            return true;
    return false;
}

/* Boards on which a process of the engine holds memory. In a container the driver may name other pids: then none. */
static void bind_by_processes(struct experiment *x, const GPtrArray *boards)
{
    g_autoptr(GArray) descendants = proc_descendants(getpid());
    g_autofree struct meter_gpu_memory *m = g_new0(struct meter_gpu_memory, 1);
    for (guint i = 0; i < boards->len; i++) {
        const char *uuid = g_ptr_array_index(boards, i);
        if (!meter_gpu_memory(x->meter, uuid, m, NULL) || !m->pids_known)
            continue;
        for (size_t k = 0; k < m->pid_count; k++) {
            if (!is_engine(x, descendants, m->pids[k]))
                continue;
            g_ptr_array_add(x->bound, g_strdup(uuid));
            break;
        }
    }
    x->bound_by_processes = x->bound->len > 0;
}

/* Numbers mean PCI order when CUDA was told so; with one board there is no other. */
static bool numbers_are_nvml_order(const GPtrArray *boards)
{
    return boards->len == 1 || !g_strcmp0(g_getenv("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
}

static void bind_by_environment(struct experiment *x, const GPtrArray *boards)
{
    const char *visible = g_getenv("CUDA_VISIBLE_DEVICES");
    g_auto(GStrv) wanted = g_strsplit(visible ? visible : "", ",", -1);
    for (char **w = wanted; *w; w++) {
        int64_t number;
        g_strstrip(*w);
        if (num_parse_int(*w, 0, (int64_t)boards->len - 1, &number, NULL) && numbers_are_nvml_order(boards))
            g_ptr_array_add(x->bound, g_strdup(g_ptr_array_index(boards, number)));
        for (guint i = 0; g_str_has_prefix(*w, "GPU-") && i < boards->len; i++)
            if (g_str_has_prefix(g_ptr_array_index(boards, i), *w))
                g_ptr_array_add(x->bound, g_strdup(g_ptr_array_index(boards, i)));
    }
}

void machine_bind_boards(struct experiment *x)
{
    if (!x->loaded.on_gpu)
        return; /* boards stay in the record as scopes of their own; none of them is the run's */
    x->bound = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) boards = all_boards(x);
    bind_by_processes(x, boards);
    if (x->bound->len == 0)
        bind_by_environment(x, boards);
    if (x->bound->len > 0)
        return;
    for (guint i = 0; i < boards->len; i++)
        g_ptr_array_add(x->bound, g_strdup(g_ptr_array_index(boards, i)));
    if (boards->len > 1)
        flag_raise(x->result, FLAG_BOARDS_ASSUMED);
}

bool machine_board_is_bound(const struct experiment *x, const char *uuid)
{
    return !x->bound || holds(x->bound, uuid);
}

/* --- CPU time -------------------------------------------------------------------------------------------------------- */

/* user, nice, system, (idle, iowait,) irq, softirq of the first line of /proc/stat, in clock ticks (proc(5)). */
static int64_t machine_busy_ns(void)
{
    g_autofree char *text = file_read("/proc/stat", 1 << 20, NULL, NULL);
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", 11);
    static const int busy[] = {2, 3, 4, 7, 8}; /* "cpu" is followed by two spaces */
    int64_t ticks = 0;
    if (g_strv_length(words) < 10)
        return -1;
    for (size_t i = 0; i < G_N_ELEMENTS(busy); i++)
        ticks += g_ascii_strtoll(words[busy[i]], NULL, 10);
    return ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static int64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec ts;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return 0;
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct machine_use machine_use_now(const struct experiment *x)
{
    struct machine_use use = {.busy_ns = machine_busy_ns(), .own_ns = clock_process_cpu_ns(), .t_ns = clock_mono_ns()};
    for (size_t i = 0; i < x->loaded.n_pids; i++)
        use.own_ns += process_cpu_ns((pid_t)x->loaded.pids[i]);
    return use;
}

static void report_cpu(struct experiment *x, json_t *machine)
{
    const struct machine_use *a = &x->use_before, *b = &x->use_after;
    int64_t capacity_ns = (b->t_ns - a->t_ns) * sysconf(_SC_NPROCESSORS_ONLN);
    if (a->busy_ns < 0 || b->busy_ns < 0 || capacity_ns <= 0) {
        json_object_set_new(machine, "foreign_cpu_share", json_null());
        json_object_set_new(machine, "foreign_cpu_share_reason", json_string("/proc/stat cannot be read"));
        return;
    }
    /* The kernel counts the machine in ticks of 10 ms, processes in ns: short windows can come out below 0. */
    double share = (double)((b->busy_ns - a->busy_ns) - (b->own_ns - a->own_ns)) / (double)capacity_ns;
    json_object_set_new(machine, "foreign_cpu_share", json_real(share));
    if (share > FOREIGN_SHARE_MAX)
        flag_raise(x->result, FLAG_FOREIGN_CPU);
}

/* Cores the engine and this process kept busy between two moments. */
static double own_cores(const struct machine_use *a, const struct machine_use *b)
{
    return b->t_ns > a->t_ns ? (double)(b->own_ns - a->own_ns) / (double)(b->t_ns - a->t_ns) : 0;
}

/* Guards need not be empty, but alike: constant spinning cancels, a change does not. */
static void report_guards(struct experiment *x, json_t *machine)
{
    double pre = own_cores(&x->use_pre, &x->use_before), post = own_cores(&x->use_after, &x->use_post);
    json_object_set_new(machine, "guard_cores_pre", json_real(pre));
    json_object_set_new(machine, "guard_cores_post", json_real(post));
    double change = pre > post ? pre - post : post - pre;
    if (x->sensors_need_quiet && change > GUARD_DRIFT_MAX * MAX(pre, post) && change > GUARD_DRIFT_CORES)
        flag_raise(x->result, FLAG_GUARD_CPU_DRIFT);
}

/* Other holders of the run's boards; told apart only where the driver's pids are ours. */
static void report_holders(struct experiment *x, json_t *machine)
{
    json_t *foreign = json_array();
    g_autoptr(GArray) descendants = proc_descendants(getpid());
    g_autofree struct meter_gpu_memory *m = g_new0(struct meter_gpu_memory, 1);
    for (guint i = 0; x->bound_by_processes && i < x->bound->len; i++) {
        if (!meter_gpu_memory(x->meter, g_ptr_array_index(x->bound, i), m, NULL) || !m->pids_known)
            continue;
        for (size_t k = 0; k < m->pid_count; k++)
            if (!is_engine(x, descendants, m->pids[k]))
                json_array_append_new(foreign, json_integer(m->pids[k]));
    }
    if (json_array_size(foreign) > 0)
        flag_raise(x->result, FLAG_FOREIGN_GPU);
    json_object_set_new(machine, "foreign_gpu_pids", foreign);
}

void machine_report(struct experiment *x)
{
    json_t *machine = json_object(), *boards = json_array();
    for (guint i = 0; x->bound && i < x->bound->len; i++)
        json_array_append_new(boards, json_string(g_ptr_array_index(x->bound, i)));
    json_object_set_new(machine, "boards", boards);
    report_cpu(x, machine);
    report_guards(x, machine);
    report_holders(x, machine);
    if (json_is_true(json_object_get(x->context, "concurrent_study")))
        flag_raise(x->result, FLAG_CONCURRENT_STUDY);
    result_part(x->result, "machine", machine);
}
