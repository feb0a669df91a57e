/* SPDX-License-Identifier: MIT */
#include "experiment/machine.h"

#include "experiment/flags.h"
#include "experiment/state.h"
#include "experiment/watch.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define GUARD_DRIFT_MAX   0.10 /* of the busier guard, and */
#define GUARD_DRIFT_CORES 0.02 /* more than the sampler's own noise */
#define FOREIGN_SHARE_MAX 0.02 /* of the engine's CPU time: docs/methodology.md */
#define OTHER_GPU_MAX     0.05 /* mean utilisation of a board that is not the run's */

#define PROCESS_GONE "a process that the engine named cannot be read: it is not there, or ended before its work did"
#define NO_GUARDS    "no quiet time was kept around the work: no sensor needs it"

struct machine {
    char **boards;           /* UUIDs of the run's boards, ended by NULL; NULL: it works on none, or not known yet */
    bool bound_by_processes; /* the driver's list named the engine's processes */
    bool strayed;            /* the engine works on a board that it was not given */
    bool assumed;            /* nothing said which boards: all of several */
    size_t holders_most;     /* processes on one of the run's boards, seen around a block */
    GArray *strangers;       /* pid_t: others that hold memory of the run's boards, seen around a block; NULL: nobody
                                could be told from the engine */
};

struct machine *machine_new(void)
{
    return g_new0(struct machine, 1);
}

void machine_free(struct machine *machine)
{
    if (!machine)
        return;
    g_strfreev(machine->boards);
    g_clear_pointer(&machine->strangers, g_array_unref);
    g_free(machine);
}

/* --- boards ------------------------------------------------------------------------------------------------------ */

/* A channel of a board that has readings. */
static bool is_board(const struct meter_channel *c)
{
    return meter_channel_of_board(c) && c->status != QUANTITY_ABSENT;
}

/* Every board once, in the driver's order. New vector. */
static char **all_boards(const struct meter *meter)
{
    GPtrArray *boards = g_ptr_array_new();
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        if (is_board(c) && !g_ptr_array_find_with_equal_func(boards, c->device, g_str_equal, NULL))
            g_ptr_array_add(boards, g_strdup(c->device));
    }
    g_ptr_array_add(boards, NULL);
    return (char **)g_ptr_array_free(boards, FALSE);
}

static bool is_engine(const struct engine_loaded *loaded, const GArray *descendants, pid_t pid)
{
    for (size_t i = 0; i < loaded->n_pids; i++)
        if (loaded->pids[i] == pid)
            return true;
    for (guint i = 0; i < descendants->len; i++)
        if (g_array_index(descendants, pid_t, i) == pid)
            return true;
    return false;
}

/* Boards on which a process of the engine holds memory. In a container the driver may name other pids: then none. */
static void add_by_processes(struct meter *meter, const struct engine_loaded *loaded, char *const *boards,
                             GPtrArray *bound)
{
    g_autoptr(GArray) descendants = proc_descendants(getpid());
    g_autofree struct meter_gpu_memory *m = g_new0(struct meter_gpu_memory, 1);
    for (; *boards; boards++) {
        if (!meter_gpu_memory(meter, *boards, m, NULL) || !m->pids_known)
            continue;
        for (size_t k = 0; k < m->pid_count; k++) {
            if (!is_engine(loaded, descendants, m->pids[k]))
                continue;
            g_ptr_array_add(bound, g_strdup(*boards));
            break;
        }
    }
}

static void add_all(char *const *boards, GPtrArray *bound)
{
    for (; *boards; boards++)
        g_ptr_array_add(bound, g_strdup(*boards));
}

/* Nobody chose boards: what the environment surely says, else all. */
static void add_assumed(struct machine *machine, struct meter *meter, char *const *boards, GPtrArray *bound)
{
    g_auto(owned_gpu_visible) visible = {0};
    meter_gpu_visible(meter, &visible);
    for (guint i = 0; !visible.doubt && i < visible.boards->len; i++)
        g_ptr_array_add(bound, g_strdup(g_ptr_array_index(visible.boards, i)));
    machine->assumed = bound->len == 0 && boards[0] && boards[1];
    if (bound->len == 0)
        add_all(boards, bound);
}

static gpointer copy_text(gconstpointer text, gpointer data)
{
    (void)data;
    return g_strdup(text);
}

/* True if some boards are not among those that the engine was given. */
static bool any_beside(const GPtrArray *some, char *const *given)
{
    for (guint i = 0; i < some->len; i++)
        if (!g_strv_contains((const char *const *)given, g_ptr_array_index(some, i)))
            return true;
    return false;
}

void machine_bind_boards(struct machine *machine, struct meter *meter, const struct engine_loaded *loaded,
                         char *const *given)
{
    if (!loaded->on_gpu)
        return; /* boards stay in the record as scopes of their own; none of them is the run's */
    g_auto(GStrv) boards = all_boards(meter);
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *bound = g_ptr_array_new();
    add_by_processes(meter, loaded, boards, held);
    machine->bound_by_processes = held->len > 0;
    machine->strayed = given && (!*given || any_beside(held, given));
    if (given && *given)
        add_all(given, bound);
    else if (held->len == 0)
        add_assumed(machine, meter, boards, bound);
    else
        g_ptr_array_extend(bound, held, copy_text, NULL);
    g_ptr_array_add(bound, NULL);
    machine->boards = (char **)g_ptr_array_free(bound, FALSE);
}

bool machine_boards_assumed(const struct machine *machine)
{
    return machine->assumed;
}

const char *const *machine_boards(const struct machine *machine)
{
    return (const char *const *)machine->boards;
}

/* --- CPU time ---------------------------------------------------------------------------------------------------- */

/* user, nice, system, (idle, iowait,) irq, softirq of the first line of /proc/stat, in clock ticks (proc(5)); a line
 * for each CPU follows. */
static int64_t machine_busy_ns(int64_t *ret_cpus)
{
    g_autofree char *text = cgroup_system_text("/proc/stat");
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", 11);
    static const int busy[] = {2, 3, 4, 7, 8}; /* "cpu" is followed by two spaces */
    int64_t ticks = 0;
    *ret_cpus = 0;
    for (const char *at = text ? strstr(text, "\ncpu") : NULL; at; at = strstr(at + 1, "\ncpu"))
        (*ret_cpus)++;
    if (g_strv_length(words) < 10 || *ret_cpus == 0)
        return -1;
    for (size_t i = 0; i < G_N_ELEMENTS(busy); i++)
        ticks += g_ascii_strtoll(words[busy[i]], NULL, 10);
    return ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

struct machine_use machine_use_now(const struct engine_loaded *loaded)
{
    struct machine_use use = {.own_ns = clock_process_cpu_ns()};
    use.busy_ns = machine_busy_ns(&use.cpus);
    use.t_ns = clock_mono_ns();
    for (size_t i = 0; i < loaded->n_pids; i++) {
        int64_t cpu_ns = proc_cpu_ns((pid_t)loaded->pids[i]);
        use.gone = use.gone || cpu_ns < 0;
        use.engine_ns += MAX(0, cpu_ns);
    }
    use.own_ns += use.engine_ns;
    return use;
}

/* Cores the engine and this process kept busy between two moments. */
static double own_cores(const struct machine_use *a, const struct machine_use *b)
{
    return b->t_ns > a->t_ns ? (double)(b->own_ns - a->own_ns) / (double)(b->t_ns - a->t_ns) : 0;
}

/* 95 % half-width of busy less own, s. The kernel counts the machine in ticks, processes in ns: at each end of the
 * window a CPU at work may be off by a tick, and one that works part of the time is met by each tick by chance. */
static double tick_noise_s(double window_s, double cores)
{
    double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK), part = cores - floor(cores);
    return STATS_NORMAL_95 * tick_s * sqrt(ceil(cores + 1) * 2.0 / 12 + window_s / tick_s * part * (1 - part));
}

/* Others are measured by the engine, not by the machine: on one of many CPUs a half of its work may be theirs and
 * little of the machine. An engine that waits for a board is measured by one CPU. */
static void report_cpu(const struct block *block, struct result *r)
{
    const struct machine_use *a = &block->use_before, *b = &block->use_after;
    double window_s = clock_seconds(b->t_ns - a->t_ns), cores = own_cores(a, b);
    double engine_s = clock_seconds(b->engine_ns - a->engine_ns);
    double others_s = clock_seconds((b->busy_ns - a->busy_ns) - (b->own_ns - a->own_ns));
    double noise_s = tick_noise_s(window_s, cores), base_s = fmax(engine_s, window_s);
    const char *reason = NULL;
    if (a->busy_ns < 0 || b->busy_ns < 0)
        reason = "/proc/stat cannot be read";
    else if (a->gone || b->gone)
        reason = PROCESS_GONE;
    else if (window_s <= 0 || tick_noise_s(window_s, 0) > FOREIGN_SHARE_MAX * window_s)
        reason = "the window is too short for the kernel's ticks of CPU time";
    double share = reason ? NAN : others_s / (window_s * (double)b->cpus), ratio = reason ? NAN : others_s / base_s;
    double noise = reason ? NAN : noise_s / base_s;
    result_put_real(r, PART_MACHINE_FOREIGN_CPU_SHARE, share, reason);
    result_put_real(r, PART_MACHINE_FOREIGN_CPU_RATIO, ratio, reason);
    result_put_real(r, PART_MACHINE_FOREIGN_CPU_RATIO_HALF_WIDTH, noise, reason);
    if (ratio > FOREIGN_SHARE_MAX + noise)
        flag_raise(r, FLAG_FOREIGN_CPU);
}

/* Energy is not to be had everywhere; what the engine cost the CPUs is. */
static void report_cpu_of_engine(const struct experiment *x, struct result *r)
{
    const struct block *block = &x->block;
    double seconds = clock_seconds(block->use_after.engine_ns - block->use_before.engine_ns), tokens = 0;
    for (size_t i = 0; i < block->generation.n_requests; i++)
        tokens += (double)block->generation.requests[i].n_out;
    struct quantity q = quantity_absent("the engine names no process of its own");
    if (block->use_before.gone || block->use_after.gone)
        q = quantity_absent(PROCESS_GONE);
    else if (x->session.loaded.n_pids > 0 && tokens > 0)
        q = quantity_of(session_status(&x->session), seconds / tokens, "CPU clocks of the engine's processes", NULL);
    result_set(r, METRIC_CPU_OUTPUT, q);
}

/* Guards need not be empty, but alike: constant spinning cancels, a change does not. */
static void report_guards(const struct block *block, struct result *r)
{
    bool guarded = block->window.guard_from_ns < block->window.t0_ns;
    double pre = guarded ? own_cores(&block->use_pre, &block->use_before) : NAN;
    double post = guarded ? own_cores(&block->use_after, &block->use_post) : NAN;
    result_put_real(r, PART_MACHINE_GUARD_CORES_PRE, pre, NO_GUARDS);
    result_put_real(r, PART_MACHINE_GUARD_CORES_POST, post, NO_GUARDS);
    double change = fabs(pre - post);
    if (change > GUARD_DRIFT_MAX * fmax(pre, post) && change > GUARD_DRIFT_CORES)
        flag_raise(r, FLAG_GUARD_CPU_DRIFT);
}

/* --- who else is there ------------------------------------------------------------------------------------------- */

static void note_stranger(struct machine *machine, pid_t pid)
{
    for (guint i = 0; i < machine->strangers->len; i++)
        if (g_array_index(machine->strangers, pid_t, i) == pid)
            return;
    g_array_append_val(machine->strangers, pid);
}

void machine_see_strangers(struct machine *machine, struct meter *meter, const struct engine_loaded *loaded)
{
    if (!machine->bound_by_processes)
        return; /* the engine is not in the list: nobody in it can be told from it */
    g_autoptr(GArray) descendants = proc_descendants(getpid());
    g_autofree struct meter_gpu_memory *m = g_new0(struct meter_gpu_memory, 1);
    if (!machine->strangers)
        machine->strangers = g_array_new(FALSE, FALSE, sizeof(pid_t));
    for (char **board = machine->boards; *board; board++) {
        if (!meter_gpu_memory(meter, *board, m, NULL) || !m->pids_known)
            continue;
        machine->holders_most = MAX(machine->holders_most, m->pid_count);
        for (size_t k = 0; k < m->pid_count; k++)
            if (!is_engine(loaded, descendants, m->pids[k]))
                note_stranger(machine, m->pids[k]);
    }
}

static void report_strangers(const struct experiment *x, struct result *r)
{
    const GArray *strangers = x->machine->strangers;
    if (!strangers) {
        result_put_null(r, PART_MACHINE_FOREIGN_GPU_PIDS,
                        !x->session.loaded.on_gpu
                            ? "the engine works on no GPU"
                            : "the driver's list of processes does not name the engine (in a container its "
                              "numbers are others): who is foreign is not known");
        return;
    }
    json_t *foreign = json_array();
    for (guint i = 0; i < strangers->len; i++)
        json_array_append_new(foreign, json_integer(g_array_index(strangers, pid_t, i)));
    if (strangers->len > 0)
        flag_raise(r, FLAG_FOREIGN_GPU);
    result_put_json(r, PART_MACHINE_FOREIGN_GPU_PIDS, foreign);
}

/* --- what the boards did ----------------------------------------------------------------------------------------- */

/* Mean over time of a board's channel between two moments; NaN without a reading. ret_highest: its largest value. */
static double mean_of(const struct sensors *sensors, const char *uuid, enum meter_kind kind, int64_t from_ns,
                      int64_t to_ns, double *ret_highest)
{
    double sum = 0, held = 0;
    *ret_highest = NAN;
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++) {
        const struct meter_channel *c = sensors->own.channels[i];
        if (c->kind != kind || !is_board(c) || strcmp(c->device, uuid) != 0)
            continue;
        g_autoptr(GArray) points = sampler_series(sensors->sampler, i, from_ns, to_ns);
        for (guint k = 0; k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            int64_t a = MAX(p->first_ns, from_ns), b = MIN(MAX(p->last_ns, p->first_ns + NS_PER_MS), to_ns);
            if (p->status != METER_READ_OK || b <= a)
                continue;
            double value = (double)p->raw * c->scale;
            sum += value * (double)(b - a);
            held += (double)(b - a);
            *ret_highest = isnan(*ret_highest) ? value : fmax(*ret_highest, value);
        }
    }
    return held > 0 ? sum / held : NAN;
}

static json_t *board_json(const struct experiment *x, const char *uuid, bool ours, struct result *r)
{
    static const char none[] = "the driver gave no reading of it there";
    const struct energy_window *w = &x->block.window;
    const struct {
        const char *key;
        int64_t from_ns, to_ns;
    } stretches[] = {{"utilisation_before", w->guard_from_ns, w->t0_ns},
                     {"utilisation", w->t0_ns, w->t1_ns},
                     {"utilisation_after", w->t1_ns, w->guard_to_ns}};
    json_t *tree = json_pack("{s:s, s:b}", "uuid", uuid, "ours", ours);
    double highest;
    for (size_t i = 0; i < G_N_ELEMENTS(stretches); i++) {
        int64_t from_ns = stretches[i].from_ns, to_ns = stretches[i].to_ns;
        bool there = to_ns > from_ns;
        double mean = there ? mean_of(&x->sensors, uuid, METER_UTILISATION, from_ns, to_ns, &highest) : NAN;
        jsonx_set_real(tree, stretches[i].key, mean, there ? none : NO_GUARDS);
        if (!ours && i == 1 && mean > OTHER_GPU_MAX)
            flag_raise(r, FLAG_OTHER_GPU);
    }
    board_state_add(&x->sensors, w, uuid, tree);
    mean_of(&x->sensors, uuid, METER_PROCESSES, w->guard_from_ns, w->guard_to_ns, &highest);
    jsonx_set_real(tree, "processes_most", highest, none);
    if (ours && x->machine->strangers && highest > (double)x->machine->holders_most) /* one came and went */
        flag_raise(r, FLAG_FOREIGN_GPU);
    return tree;
}

static json_t *boards_json(const struct experiment *x, struct result *r)
{
    json_t *list = json_array();
    g_auto(GStrv) boards = all_boards(x->sensors.meter);
    const char *const *ours = machine_boards(x->machine);
    for (char **b = boards; x->sensors.sampler && *b; b++)
        json_array_append_new(list, board_json(x, *b, ours && g_strv_contains(ours, *b), r));
    return list;
}

/* What its parent found on the boards before the run was begun. */
static void report_gate(const struct experiment *x, struct result *r)
{
    const char *verdict = NULL;
    jsonx_get_string(x->inputs.exchange.memory_gate, "verdict", false, &verdict, NULL);
    if (!g_strcmp0(verdict, "occupied"))
        flag_raise(r, FLAG_MEMORY_OCCUPIED);
}

static json_t *devices_json(const struct engine_loaded *loaded)
{
    json_t *list = json_array();
    if (loaded->on_gpu)
        json_array_append_new(list, json_string("gpu"));
    if (loaded->on_cpu)
        json_array_append_new(list, json_string("cpu"));
    return list;
}

void machine_report(const struct experiment *x, struct result *r)
{
    json_t *boards = json_array();
    for (const char *const *b = machine_boards(x->machine); b && *b; b++)
        json_array_append_new(boards, json_string(*b));
    result_put_json(r, PART_MACHINE_BOARDS, boards);
    result_put_bool(r, PART_MACHINE_ON_GPU, x->session.loaded.on_gpu);
    result_put_json(r, PART_MACHINE_DEVICES, devices_json(&x->session.loaded));
    report_cpu(&x->block, r);
    report_cpu_of_engine(x, r);
    result_put_json(r, PART_MACHINE_GPUS, boards_json(x, r));
    result_put_json(r, PART_MACHINE_CPU, cpu_states_json(&x->block.cpu_start, &x->block.cpu_end));
    report_guards(&x->block, r);
    watch_report(&x->block, r);
    report_strangers(x, r);
    report_gate(x, r);
    if (x->machine->strayed)
        flag_raise(r, FLAG_BOARDS_STRAYED);
    if (x->inputs.exchange.concurrent_study)
        flag_raise(r, FLAG_CONCURRENT_STUDY);
}
