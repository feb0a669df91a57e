/* SPDX-License-Identifier: MIT */
#include "experiment/watch.h"

#include "experiment/flags.h"
#include "stats/stats.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS     (100 * NS_PER_MS)
#define LATE_NS       (500 * NS_PER_MS) /* a look that comes later than any busy machine makes it */
#define SLEPT_NS      NS_PER_MS         /* more than reading two clocks one after the other takes */
#define SHARE_MAX     0.01              /* of the window, throttled or waiting for memory */
#define WAIT_SHARE_MAX 0.05            /* of the time in which threads want a CPU */
#define PROC_BYTES    (64 << 10)
#define GAP_STEPS     5                 /* a gap between tokens is a pause from so many usual steps on, and */
#define GAP_NS        (250 * NS_PER_MS)

/* What one look found. Times that are counted by somebody go up; -1: nobody counts. */
struct look {
    int64_t t_ns;
    int64_t slept_ns;     /* by which the clock that goes on in suspend is ahead */
    int64_t told_ns;      /* how long llem said that it had stopped us */
    int64_t throttled_ns; /* for the quota, over all CPUs and groups */
    int64_t memory_ns;    /* in which nothing went on for want of memory */
    int64_t cpu_ns;       /* of the engine */
    int64_t faults;       /* pages of the engine that came from a disk */
    bool stopped;         /* a process of the engine is stopped by a signal or a debugger */
};

/* CPU time of a thread, and how long it waited for a CPU. */
struct thread_use {
    int64_t tid, cpu_ns, wait_ns;
};

/* What is looked at before the guard and after it alone. */
struct survey {
    GArray *threads; /* struct thread_use, of the engine; empty: the kernel does not count */
    int64_t swap_pages, swapped_bytes;
    double cpus; /* that the engine may use; NaN: not known */
};

struct watch {
    struct survey before, after;
    pthread_t thread;
    bool runs;
    int end_fd;
    pid_t *pids;
    size_t n_pids;
    struct cgroup cpu, memory;
    GArray *looks;
};

/* --- Looking ------------------------------------------------------------------------------------------------------ */

static int64_t clock_ahead_ns(void)
{
    struct timespec ts;
    int64_t mono_ns = clock_mono_ns();
    return clock_gettime(CLOCK_BOOTTIME, &ts) == 0 ? ts.tv_sec * NS_PER_S + ts.tv_nsec - mono_ns : 0;
}

/* Of a process: whether it is stopped, and pages that came from a disk. */
static void look_at_process(pid_t pid, struct look *ret)
{
    struct proc_entry entry;
    if (!proc_read(pid, &entry))
        return;
    ret->stopped = ret->stopped || entry.state == 'T' || entry.state == 't';
    ret->faults += entry.major_faults;
}

/* The quota of a group above holds for it too. */
static int64_t throttled_ns(const struct cgroup *group)
{
    bool new = group->version == 2;
    int64_t sum = -1;
    for (char **folder = group->folders; folder && *folder; folder++) {
        int64_t n = cgroup_number(*folder, "cpu.stat", new ? "throttled_usec" : "throttled_time");
        if (n >= 0)
            sum = MAX(sum, 0) + (new ? n * NS_PER_US : n);
    }
    return sum;
}

/* "full avg10=0.00 avg60=0.00 avg300=0.00 total=12005" of the own group, else of the machine. */
static int64_t memory_ns(const struct cgroup *group)
{
    g_autofree char *ours = group->version == 2 ? cgroup_text(group->folders[0], "memory.pressure") : NULL;
    g_autofree char *all = ours ? NULL : cgroup_system_text("/proc/pressure/memory");
    const char *text = ours ? ours : all;
    const char *full = text ? strstr(text, "full ") : NULL;
    const char *total = full ? strstr(full, "total=") : NULL;
    return total ? g_ascii_strtoll(total + strlen("total="), NULL, 10) * NS_PER_US : -1;
}

/* /proc/PID/task/TID/schedstat: on a CPU and waiting for one, ns, and how often. */
static void add_threads(pid_t pid, GArray *threads)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, "schedstat", NULL);
        g_autofree char *text = file_read(path, PROC_BYTES, NULL, NULL);
        g_auto(GStrv) words = g_strsplit(text ? text : "", " ", 3);
        struct thread_use use;
        if (g_strv_length(words) == 3 && num_parse_int(name, 1, INT64_MAX, &use.tid, NULL) &&
            num_parse_int(words[0], 0, INT64_MAX, &use.cpu_ns, NULL) &&
            num_parse_int(words[1], 0, INT64_MAX, &use.wait_ns, NULL))
            g_array_append_val(threads, use);
    }
}

static int64_t swapped_bytes(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = file_read(path, PROC_BYTES, NULL, NULL);
    g_autofree char *kib = text ? proc_value(text, "VmSwap") : NULL;
    return kib ? 1024 * g_ascii_strtoll(kib, NULL, 10) : 0;
}

static double cpus_allowed(const struct watch *watch)
{
    cpu_set_t set;
    pid_t pid = watch->n_pids > 0 ? watch->pids[0] : 0;
    double quota = cgroup_cpus(&watch->cpu);
    double cpus = sched_getaffinity(pid, sizeof set, &set) == 0 ? CPU_COUNT(&set) : NAN;
    return fmin(cpus, quota); /* the one that is known, where the other is not */
}

static void survey(const struct watch *watch, struct survey *ret)
{
    g_autofree char *text = cgroup_system_text("/proc/vmstat");
    int64_t in = text ? cgroup_number_of(text, "pswpin") : -1, out = text ? cgroup_number_of(text, "pswpout") : -1;
    *ret = (struct survey){.threads = g_array_new(FALSE, FALSE, sizeof(struct thread_use)),
                           .swap_pages = in < 0 || out < 0 ? -1 : in + out,
                           .cpus = cpus_allowed(watch)};
    for (size_t i = 0; i < watch->n_pids; i++) {
        add_threads(watch->pids[i], ret->threads);
        ret->swapped_bytes += swapped_bytes(watch->pids[i]);
    }
}

static void look(struct watch *watch)
{
    struct look now = {.t_ns = clock_mono_ns(),
                       .slept_ns = clock_ahead_ns(),
                       .told_ns = suspend_told_ns(),
                       .throttled_ns = throttled_ns(&watch->cpu),
                       .memory_ns = memory_ns(&watch->memory)};
    for (size_t i = 0; i < watch->n_pids; i++) {
        now.cpu_ns += MAX(0, proc_cpu_ns(watch->pids[i]));
        look_at_process(watch->pids[i], &now);
    }
    g_array_append_val(watch->looks, now);
}

static void *look_on(void *data)
{
    struct watch *watch = data;
    struct pollfd fd = {.fd = watch->end_fd, .events = POLLIN};
    while (poll(&fd, 1, (int)(PERIOD_NS / NS_PER_MS)) == 0)
        look(watch);
    return NULL;
}

struct watch *watch_begin(const struct engine_loaded *loaded)
{
    struct watch *watch = g_new0(struct watch, 1);
    sigset_t all, before;
    watch->looks = g_array_new(FALSE, FALSE, sizeof(struct look));
    watch->end_fd = eventfd(0, EFD_CLOEXEC);
    watch->pids = g_new0(pid_t, loaded->n_pids + 1);
    watch->n_pids = loaded->n_pids;
    for (size_t i = 0; i < loaded->n_pids; i++)
        watch->pids[i] = (pid_t)loaded->pids[i];
    cgroup_find("cpu", &watch->cpu);
    cgroup_find("memory", &watch->memory);
    survey(watch, &watch->before);
    look(watch);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the thread that keeps deadlines */
    watch->runs = watch->end_fd >= 0 && pthread_create(&watch->thread, NULL, look_on, watch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return watch;
}

void watch_end(struct watch *watch)
{
    if (!watch->runs)
        return;
    eventfd_write(watch->end_fd, 1);
    pthread_join(watch->thread, NULL);
    watch->runs = false;
    look(watch);
    survey(watch, &watch->after);
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    watch_end(watch);
    if (watch->end_fd >= 0)
        close(watch->end_fd);
    cgroup_clear(&watch->cpu);
    cgroup_clear(&watch->memory);
    g_array_unref(watch->looks);
    g_array_unref(watch->before.threads);
    g_clear_pointer(&watch->after.threads, g_array_unref);
    g_free(watch->pids);
    g_free(watch);
}

/* --- Judging ------------------------------------------------------------------------------------------------------ */

/* The window, the looks around it, and what was found so far. */
struct judgement {
    int64_t t0_ns, t1_ns;
    const struct look *looks; /* the last one before the window, … */
    size_t n;                 /* … the first one after it */
    json_t *pauses;
    double longest_s;
    GArray *stood; /* struct pause: when nothing can have been put out */
};

struct pause {
    int64_t from_ns, to_ns;
};

/* from_ns 0: when is not known. */
static void add_pause(struct judgement *j, const char *cause, int64_t from_ns, int64_t length_ns)
{
    json_t *pause = json_pack("{s:s, s:f}", "cause", cause, "seconds", clock_seconds(length_ns));
    if (from_ns)
        json_object_set_new(pause, "from_s", json_real(clock_seconds(from_ns - j->t0_ns)));
    json_array_append_new(j->pauses, pause);
    j->longest_s = fmax(j->longest_s, clock_seconds(length_ns));
}

/* A stretch in which the engine stood still, as far as it lies in the window. */
static void add_stretch(struct judgement *j, const char *cause, int64_t from_ns, int64_t to_ns)
{
    struct pause pause = {MAX(from_ns, j->t0_ns), MIN(to_ns, j->t1_ns)};
    if (pause.to_ns <= pause.from_ns)
        return;
    add_pause(j, cause, pause.from_ns, pause.to_ns - pause.from_ns);
    g_array_append_val(j->stood, pause);
}

static void judge_clocks(struct judgement *j)
{
    const struct look *a = &j->looks[0], *b = &j->looks[j->n - 1];
    if (b->slept_ns - a->slept_ns > SLEPT_NS)
        add_pause(j, "suspend", 0, b->slept_ns - a->slept_ns);
    for (size_t i = 1; i < j->n; i++) {
        const struct look *before = &j->looks[i - 1], *after = &j->looks[i];
        const struct look *later = &j->looks[MIN(i + 1, j->n - 1)]; /* what llem tells may come a moment after */
        if (later->told_ns == before->told_ns && after->t_ns - before->t_ns > PERIOD_NS + LATE_NS)
            add_stretch(j, "llem_stopped", before->t_ns, after->t_ns);
    }
}

/* Whatever the user stopped is told wherever in the block it was: the engine's idle is not the same after it.
 * The pauses that llem told of; new array. */
static GArray *judge_told(struct judgement *j, const GArray *looks)
{
    GArray *told = g_array_new(FALSE, FALSE, sizeof(struct pause));
    for (guint i = 1; i < looks->len; i++) {
        const struct look *before = &g_array_index(looks, struct look, i - 1), *after = before + 1;
        int64_t away_ns = after->told_ns - before->told_ns;
        struct pause pause = {after->t_ns - away_ns - PERIOD_NS, after->t_ns};
        if (away_ns == 0)
            continue;
        add_pause(j, "ctrl_z", pause.from_ns, away_ns);
        g_array_append_val(told, pause);
    }
    g_array_append_vals(j->stood, told->data, told->len);
    return told;
}

/* True if a pause that llem told of holds this moment, or nearly: the processes stop and go on one after the other. */
static bool is_told(const GArray *told, int64_t t_ns)
{
    for (guint i = 0; i < told->len; i++) {
        const struct pause *pause = &g_array_index(told, struct pause, i);
        if (t_ns > pause->from_ns - PERIOD_NS && t_ns < pause->to_ns + PERIOD_NS)
            return true;
    }
    return false;
}

/* told: the pauses of which llem told. */
static void judge_state(struct judgement *j, const GArray *told)
{
    for (size_t i = 0; i < j->n; i++) {
        size_t first = i;
        while (i < j->n && j->looks[i].stopped && !is_told(told, j->looks[i].t_ns))
            i++;
        if (i > first) /* it began within the period before, and ended within the one after: half of them on average */
            add_stretch(j, "stopped", j->looks[first].t_ns - PERIOD_NS / 2, j->looks[i - 1].t_ns + PERIOD_NS / 2);
    }
}

/* What the kernel counted between the two looks around the window; NaN: nobody counts. */
static double counted_s(const struct judgement *j, int64_t before, int64_t after)
{
    return before < 0 || after < 0 ? NAN : clock_seconds(CLAMP(after - before, 0, j->t1_ns - j->t0_ns));
}

static void judge_counted(struct judgement *j, const char *cause, double seconds)
{
    if (seconds > SHARE_MAX * clock_seconds(j->t1_ns - j->t0_ns))
        add_pause(j, cause, 0, (int64_t)(seconds * NS_PER_S));
}

/* A token, and whether it was the first of its request: before it the engine worked on the prompt. */
struct token {
    int64_t t_ns;
    bool first;
};

static int by_time(const void *a, const void *b)
{
    const struct token *x = a, *y = b;
    return (x->t_ns > y->t_ns) - (x->t_ns < y->t_ns);
}

static GArray *tokens_of(const struct engine_generation *g)
{
    GArray *tokens = g_array_new(FALSE, FALSE, sizeof(struct token));
    for (size_t i = 0; i < g->n_requests; i++)
        for (size_t k = 0; k < g->requests[i].n_out; k++) {
            struct token token = {g->requests[i].stamps_ns[k], k == 0};
            g_array_append_val(tokens, token);
        }
    qsort(tokens->data, tokens->len, sizeof(struct token), by_time);
    return tokens;
}

/* Tokens of one chunk share a stamp: they are no step. */
static int64_t usual_step_ns(const struct engine_generation *g)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(double));
    for (size_t i = 0; i < g->n_requests; i++)
        for (size_t k = 1; k < g->requests[i].n_out; k++) {
            double step_ns = (double)(g->requests[i].stamps_ns[k] - g->requests[i].stamps_ns[k - 1]);
            if (step_ns > 0)
                g_array_append_val(steps, step_ns);
        }
    return steps->len ? (int64_t)stats_median((const double *)(const void *)steps->data, steps->len) : 0;
}

/* Cores the engine kept busy in a stretch, by the looks within it; NaN: fewer than two. */
static double cores_busy(const struct judgement *j, int64_t from_ns, int64_t to_ns)
{
    const struct look *first = NULL, *last = NULL;
    for (size_t i = 0; i < j->n; i++) {
        if (j->looks[i].t_ns < from_ns || j->looks[i].t_ns > to_ns)
            continue;
        first = first ? first : &j->looks[i];
        last = &j->looks[i];
    }
    return first == last ? NAN : (double)(last->cpu_ns - first->cpu_ns) / (double)(last->t_ns - first->t_ns);
}

/* Nothing came out for too long. What the engine did meanwhile tells work on something else from waiting. */
static void add_silence(struct judgement *j, int64_t from_ns, int64_t to_ns)
{
    double cores = cores_busy(j, from_ns, to_ns);
    add_pause(j, "no_tokens", from_ns, to_ns - from_ns);
    if (!isnan(cores))
        json_object_set_new(json_array_get(j->pauses, json_array_size(j->pauses) - 1), "cores", json_real(cores));
}

/* Most of it is explained. */
static bool is_explained(const struct judgement *j, int64_t from_ns, int64_t to_ns)
{
    int64_t covered_ns = 0;
    for (guint i = 0; i < j->stood->len; i++) {
        const struct pause *p = &g_array_index(j->stood, struct pause, i);
        covered_ns += MAX(0, MIN(p->to_ns, to_ns) - MAX(p->from_ns, from_ns));
    }
    return covered_ns > (to_ns - from_ns) / 2;
}

/* A request that joined had begun in the silence, or its first token came out with the one that ended it: its
 * prompt was computed meanwhile, and the others waited for it. */
static bool worked_on_prompt(const struct engine_generation *g, int64_t to_ns, int64_t step_ns)
{
    for (size_t i = 0; i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        int64_t first_ns = q->stamps_ns[0];
        if (first_ns >= to_ns && (q->scheduled_ns ? q->scheduled_ns < to_ns : first_ns <= to_ns + step_ns))
            return true;
    }
    return false;
}

static void judge_tokens(struct judgement *j, const struct engine_generation *g)
{
    g_autoptr(GArray) tokens = tokens_of(g);
    int64_t step_ns = usual_step_ns(g), longest_ns = MAX(GAP_NS, GAP_STEPS * step_ns);
    for (guint i = 1; i < tokens->len; i++) {
        const struct token *a = &g_array_index(tokens, struct token, i - 1), *b = a + 1;
        if (!b->first && b->t_ns - a->t_ns > longest_ns && !is_explained(j, a->t_ns, b->t_ns) &&
            !worked_on_prompt(g, b->t_ns, step_ns))
            add_silence(j, a->t_ns, b->t_ns);
    }
}

/* Narrows the looks down to those around the window. */
static struct judgement judgement_of(const struct block *block)
{
    const GArray *looks = block->watch->looks;
    struct judgement j = {.t0_ns = block->window.t0_ns,
                          .t1_ns = block->window.t1_ns,
                          .looks = (const struct look *)(const void *)looks->data,
                          .n = looks->len};
    while (j.n > 2 && j.looks[1].t_ns <= j.t0_ns) {
        j.looks++;
        j.n--;
    }
    while (j.n > 2 && j.looks[j.n - 2].t_ns >= j.t1_ns)
        j.n--;
    j.pauses = json_array();
    j.stood = g_array_new(FALSE, FALSE, sizeof(struct pause));
    return j;
}

/* What a thread did in between; one that was not there before began then. */
static struct thread_use used_since(const GArray *before, const struct thread_use *now)
{
    for (guint i = 0; i < before->len; i++) {
        const struct thread_use *then = &g_array_index(before, struct thread_use, i);
        if (then->tid == now->tid)
            return (struct thread_use){now->tid, now->cpu_ns - then->cpu_ns, now->wait_ns - then->wait_ns};
    }
    return *now;
}

static void report_threads(const struct block *block, struct result *r)
{
    static const char none[] = "the kernel does not count how long threads wait (schedstat)";
    const struct survey *before = &block->watch->before, *after = &block->watch->after;
    double half_ns = 0.5 * (double)(block->window.t1_ns - block->window.t0_ns), cpu_ns = 0, wait_ns = 0, busy = 0;
    bool known = after->threads->len > 0;
    for (guint i = 0; i < after->threads->len; i++) {
        struct thread_use use = used_since(before->threads, &g_array_index(after->threads, struct thread_use, i));
        cpu_ns += (double)use.cpu_ns;
        wait_ns += (double)use.wait_ns;
        busy += (double)(use.cpu_ns + use.wait_ns) >= half_ns;
    }
    double share = wait_ns > 0 ? wait_ns / (cpu_ns + wait_ns) : 0;
    result_put_real(r, PART_MACHINE_HOST_CPUS_ALLOWED, after->cpus, "the kernel does not say");
    result_put_real(r, PART_MACHINE_HOST_BUSY_THREADS, known ? busy : NAN, none);
    result_put_real(r, PART_MACHINE_HOST_CPU_WAIT_SHARE, known ? share : NAN, none);
    if (known && busy > after->cpus && share > WAIT_SHARE_MAX)
        flag_raise(r, FLAG_OVERSUBSCRIBED);
}

static void report_swap(const struct block *block, struct result *r)
{
    const struct survey *before = &block->watch->before, *after = &block->watch->after;
    double pages = before->swap_pages < 0 || after->swap_pages < 0 ? NAN
                                                                   : (double)(after->swap_pages - before->swap_pages);
    g_autofree char *swapped = num_format_bytes(after->swapped_bytes);
    result_put_real(r, PART_MACHINE_HOST_SWAP_PAGES, pages, "the kernel does not count them");
    result_put_int(r, PART_MACHINE_HOST_SWAPPED_BYTES, after->swapped_bytes);
    if (pages > 0)
        result_warn(r, "%.0f pages went to swap or came from it while the work was measured: memory is short", pages);
    if (after->swapped_bytes > 0)
        result_warn(r, "%s of the engine's memory are in swap: what it needs of them waits for a disk", swapped);
}

void watch_report(const struct block *block, struct result *r)
{
    struct judgement j = judgement_of(block);
    const struct look *a = &j.looks[0], *b = &j.looks[j.n - 1];
    double throttled_s = counted_s(&j, a->throttled_ns, b->throttled_ns);
    double memory_s = counted_s(&j, a->memory_ns, b->memory_ns);
    judge_clocks(&j);
    g_autoptr(GArray) told = judge_told(&j, block->watch->looks);
    judge_state(&j, told);
    judge_counted(&j, "throttled", throttled_s);
    judge_counted(&j, "memory", memory_s);
    judge_tokens(&j, &block->generation);
    if (json_array_size(j.pauses) > 0)
        flag_raise(r, FLAG_PAUSED);
    result_put_real(r, PART_MACHINE_PAUSED_S, j.longest_s, NULL);
    result_put_json(r, PART_MACHINE_PAUSES, j.pauses);
    result_put_real(r, PART_MACHINE_HOST_THROTTLED_S, throttled_s, "no control group counts it");
    result_put_real(r, PART_MACHINE_HOST_MEMORY_STALL_S, memory_s, "the kernel does not count it");
    result_put_int(r, PART_MACHINE_HOST_MAJOR_FAULTS, MAX(0, b->faults - a->faults));
    if (suspend_told_ns() > 0)
        result_warn(r, "the run was suspended for %.1f s in all: times and energy of what it did then hold that",
                    clock_seconds(suspend_told_ns()));
    g_array_unref(j.stood);
    report_threads(block, r);
    report_swap(block, r);
}
