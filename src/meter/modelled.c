/* SPDX-License-Identifier: MIT */
/*
 * modelled: no sensor at all. CPU time of the engine's processes times a stated range of watts per busy core: the
 * value is taken at the middle of the range, the range is its interval. Opt-in, and `modelled` wherever it shows.
 * It knows nothing of memory, idle power, frequency or GPUs.
 *
 * Processes are read through their CPU-time clocks (clock_getcpuclockid), which need no permission and no file.
 */
#include "meter/source.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define CLASS_CPU_TIME "modelled"
static const struct meter_class classes[] = {
    {CLASS_CPU_TIME, 0.5, 0, .model_based = true,
     .source = "no sensor: a stated range of power per busy core, not a measurement"},
    {0},
};

struct process {
    clockid_t clock;
    int64_t first_ns; /* CPU time when it was named: work before is not the engine's measured work */
    _Atomic int64_t last_ns; /* kept when the process has ended */
};

struct modelled {
    struct meter_source head;
    pthread_mutex_t naming; /* serialises set_pids */
    /* Rows are only ever added; count is published after the row is complete, so reading takes no lock. */
    struct process processes[METER_ENGINE_PIDS_MAX];
    pid_t pids[METER_ENGINE_PIDS_MAX];
    atomic_uint count;
    atomic_bool overflow; /* a process could not be counted for want of rows: the sum would be too small */
};

static bool modelled_probe(const struct meter_context *context, char **ret_reason)
{
    (void)context;
    (void)ret_reason;
    return true;
}

static struct meter_source *modelled_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)ret_reason;
    double low = context->options->modelled_low_w, high = context->options->modelled_high_w;
    if (low == 0 && high == 0) {
        low = MODELLED_LOW_W;
        high = MODELLED_HIGH_W;
    }
    if (!(low > 0) || !(high >= low) || !isfinite(high)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "the range of watts per busy core must be 0 < low <= high, found %g to %g", low, high);
        return NULL;
    }
    struct modelled *modelled = g_new0(struct modelled, 1);
    source_init(&modelled->head, &meter_modelled);
    pthread_mutex_init(&modelled->naming, NULL);
    double middle = 0.5 * (low + high);
    g_autofree char *remark = g_strdup_printf("CPU time of the engine × %g to %g W per busy core (stated, not measured)",
                                              low, high);
    struct meter_channel channel = {
        .id = "modelled:engine:energy", .device = "engine", .label = "engine's CPU time × W per core",
        .scope = METER_SCOPE_ENGINE, .kind = METER_ENERGY, .rate = METER_FAST,
        .scale = middle * 1e-9, .raw_unit = "ns of CPU time", .sensor_class = CLASS_CPU_TIME,
        .status = QUANTITY_MODELLED, .reason = remark,
        .low_ratio = low / middle, .high_ratio = high / middle,
    };
    source_add(&modelled->head, &channel);
    modelled->head.remark = g_steal_pointer(&remark);
    return &modelled->head;
}

static bool cpu_time_ns(clockid_t clock, int64_t *ret)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) != 0)
        return false;
    *ret = ts.tv_sec * NS_PER_S + ts.tv_nsec;
    return true;
}

/* CPU time of a process now, or when it ended. A number that was given to another process shows less CPU time. */
static int64_t process_used_ns(struct process *p)
{
    int64_t now, last = atomic_load_explicit(&p->last_ns, memory_order_relaxed);
    if (!cpu_time_ns(p->clock, &now))
        return last - p->first_ns;
    while (now > last && !atomic_compare_exchange_weak_explicit(&p->last_ns, &last, now, memory_order_relaxed,
                                                                memory_order_relaxed))
        continue;
    return MAX(now, last) - p->first_ns;
}

static void modelled_read_one(struct meter_source *source, size_t index, struct meter_reading *r)
{
    (void)index; /* the only one */
    struct modelled *modelled = (struct modelled *)source;
    unsigned count = atomic_load_explicit(&modelled->count, memory_order_acquire);
    r->before_ns = clock_mono_ns();
    for (unsigned i = 0; i < count; i++)
        r->raw += process_used_ns(&modelled->processes[i]);
    r->after_ns = clock_mono_ns();
    r->status = atomic_load_explicit(&modelled->overflow, memory_order_relaxed) ? METER_READ_ERROR
                : count                                                          ? METER_READ_OK
                                                                                 : METER_READ_NOT_READY;
}

static void modelled_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    if (rates & METER_FAST)
        modelled_read_one(source, 0, &readings[0]);
}

static bool is_named(const struct modelled *modelled, unsigned count, pid_t pid)
{
    for (unsigned i = 0; i < count; i++)
        if (modelled->pids[i] == pid)
            return true;
    return false;
}

static void modelled_set_pids(struct meter_source *source, const pid_t *pids, size_t count)
{
    struct modelled *modelled = (struct modelled *)source;
    pthread_mutex_lock(&modelled->naming);
    unsigned used = atomic_load_explicit(&modelled->count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        int64_t now;
        clockid_t clock;
        if (is_named(modelled, used, pids[i]) || clock_getcpuclockid(pids[i], &clock) != 0 ||
            !cpu_time_ns(clock, &now))
            continue; /* counted already, or ended already */
        if (used == METER_ENGINE_PIDS_MAX) {
            atomic_store_explicit(&modelled->overflow, true, memory_order_relaxed);
            break;
        }
        struct process *p = &modelled->processes[used];
        p->clock = clock;
        p->first_ns = now;
        atomic_store_explicit(&p->last_ns, now, memory_order_relaxed);
        modelled->pids[used] = pids[i];
        atomic_store_explicit(&modelled->count, ++used, memory_order_release);
    }
    pthread_mutex_unlock(&modelled->naming);
}

static void modelled_close(struct meter_source *source)
{
    pthread_mutex_destroy(&((struct modelled *)source)->naming);
}

const struct meter_ops meter_modelled = {
    .name = "modelled",
    .classes = classes,
    .probe = modelled_probe,
    .open = modelled_open,
    .read = modelled_read,
    .read_one = modelled_read_one,
    .close = modelled_close,
    .set_pids = modelled_set_pids,
};
