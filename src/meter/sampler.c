/* SPDX-License-Identifier: MIT */
/* The sampler: two ticking threads fill rings, a writer drains them into series and the trace. */
#include "meter/errand.h"
#include "meter/ring.h"
#include "meter/series.h"
#include "meter/trace.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* Choices. A tenth of the usual refresh of a board places its edges to some ms; what is read at every tenth tick
 * changes slowly. */
#define STEP_NS      INT64_C(10000000)
#define MEDIUM_EVERY 10
#define DRAIN_NS     INT64_C(100000000)
#define RING_SECONDS 8       /* how long the writer may be held up before readings are lost */
#define FIFO_PRIORITY 10     /* over ordinary work, under the kernel's own threads */
#define STACK_BYTES  (64 << 10) /* of the stack, locked into memory with the ring: more than a tick uses */
#define SPIN_NS      INT64_C(3000000) /* of a wait for a tick without a pause: two and more periods of RAPL */
#define REST_NS      INT64_C(50000)   /* between two readings in a longer one */
#define ERRAND_NS    INT64_C(5000000000) /* a choice: beyond the time it is given, for a driver that stalls */
#define BREAK_STEPS  5       /* choice: no reading for so many steps begins a new run */
#define LATE_BINS    (16 * 45) /* 1/16 octave, up to about 9 hours */

struct ticker {
    struct sampler *sampler;
    const char *name;
    bool slow;
    int64_t step_ns, next_ns, first_ns;
    pthread_t thread;
    bool started;
    struct meter_reading *readings;
    struct ring ring;
    struct errand errand;
    /* Written by the ticking thread, read by anyone. */
    atomic_llong ticks, missed, late_max_ns, tick_max_ns, wake_max_ns, cpu_ns;
    atomic_uint late[LATE_BINS];
    atomic_bool realtime, locked, ready;
};

struct sampler {
    struct meter *meter;
    struct sampler_options options;
    char *trace_path;
    size_t channel_count;
    const struct meter_channel **channels;
    struct ticker fast, slow;
    atomic_bool stopping;
    bool running, stopped;
    int64_t start_ns, stop_ns;

    pthread_t writer_thread;
    pthread_cond_t wake; /* the writer's sleep and the wait for the first tick, on CLOCK_MONOTONIC */
    atomic_llong writer_cpu_ns;

    pthread_mutex_t lock; /* guards what follows, and the consuming ends of the rings */
    struct series *series;
    GArray *pending; /* struct record, not yet in the trace */
    GArray *marks;   /* struct sampler_mark; names in the chunk */
    GStringChunk *names;
    unsigned marks_written;
    struct clock_anchor anchor;

    struct trace_writer *trace; /* the writer thread's (or stop's, after it) */
    char *notice;
};

/* --- ticking ---------------------------------------------------------------------------------------------------------------- */

static int64_t now_ns(const struct sampler *sampler)
{
    const struct sampler_clock *clock = sampler->options.clock;
    return clock ? clock->now_ns(clock->context) : clock_mono_ns();
}

static unsigned late_bin(int64_t late_ns)
{
    uint64_t v = late_ns < 16 ? 16 : (uint64_t)late_ns;
    unsigned octave = 63u - (unsigned)__builtin_clzll(v);
    unsigned bin = (octave - 4) * 16 + (unsigned)((v >> (octave - 4)) & 15);
    return MIN(bin, LATE_BINS - 1);
}

static int64_t late_bin_top_ns(unsigned bin)
{
    return (int64_t)(16 + bin % 16 + 1) << (bin / 16);
}

static void raise_to(atomic_llong *maximum, int64_t value)
{
    if (value > atomic_load_explicit(maximum, memory_order_relaxed))
        atomic_store_explicit(maximum, value, memory_order_relaxed);
}

static unsigned rates_of(const struct ticker *ticker, int64_t tick)
{
    if (ticker->slow)
        return METER_SLOW;
    return tick % MEDIUM_EVERY ? METER_FAST : METER_FAST | METER_MEDIUM;
}

static void put(struct ticker *ticker, size_t channel, const struct meter_reading *r)
{
    ring_put(&ticker->ring, &(struct record){.before_ns = r->before_ns, .after_ns = r->after_ns, .raw = r->raw,
                                             .channel = (uint32_t)channel, .status = r->status});
}

/* One tick: read, push. Nothing here allocates, locks, logs or waits. */
static void tick(struct ticker *ticker, int64_t deadline_ns)
{
    struct sampler *sampler = ticker->sampler;
    int64_t begun_ns = now_ns(sampler);
    int64_t done = atomic_load_explicit(&ticker->ticks, memory_order_relaxed);
    meter_read(sampler->meter, rates_of(ticker, done), ticker->readings);
    bool virtual_time = sampler->options.clock != NULL;
    for (size_t i = 0; i < sampler->channel_count; i++) {
        struct meter_reading *r = &ticker->readings[i];
        if (r->status == METER_READ_NONE)
            continue;
        if (virtual_time)
            r->before_ns = r->after_ns = begun_ns;
        put(ticker, i, r);
    }
    int64_t late_ns = MAX(0, begun_ns - deadline_ns);
    atomic_fetch_add_explicit(&ticker->late[late_bin(late_ns)], 1, memory_order_relaxed);
    raise_to(&ticker->late_max_ns, late_ns);
    raise_to(&ticker->tick_max_ns, now_ns(sampler) - begun_ns);
    atomic_store_explicit(&ticker->ticks, done + 1, memory_order_relaxed);
}

/* The next deadline on the grid; deadlines that have gone by for more than a step are skipped and counted. */
static void advance(struct ticker *ticker, int64_t now)
{
    ticker->next_ns += ticker->step_ns;
    int64_t behind = now - ticker->next_ns;
    if (behind <= ticker->step_ns)
        return;
    int64_t skipped = behind / ticker->step_ns;
    ticker->next_ns += skipped * ticker->step_ns;
    atomic_fetch_add_explicit(&ticker->missed, skipped, memory_order_relaxed);
}

/* The tick that fell due, if one did. */
static bool tick_if_due(struct ticker *ticker)
{
    if (clock_mono_ns() < ticker->next_ns)
        return false;
    tick(ticker, ticker->next_ns);
    advance(ticker, clock_mono_ns());
    return true;
}

/* Of a channel that the other thread reads as well the series is that one's: two rings have no common order. */
static void put_own(struct ticker *ticker, size_t channel, const struct meter_reading *r)
{
    if ((ticker->sampler->channels[channel]->rate == METER_SLOW) == ticker->slow)
        put(ticker, channel, r);
}

/* Leaves the processor for a moment: a counter may be late because what moves it waits for this very one, which a
 * real-time thread that only reads would never give away. */
static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
}

/* Reads a counter until it has changed as often as is wanted. */
static void read_ticks(struct ticker *ticker, struct sampler_tick *want)
{
    struct meter *meter = ticker->sampler->meter;
    struct meter_reading last, *now = &want->reading;
    meter_read_one(meter, want->channel, now);
    put_own(ticker, want->channel, now);
    int64_t begin_ns = clock_mono_ns(), rest_ns = begin_ns + SPIN_NS, end_ns = begin_ns + want->timeout_ns;
    for (int left = want->changes; left > 0 && now->status == METER_READ_OK && clock_mono_ns() < end_ns;) {
        if (clock_mono_ns() > rest_ns)
            rest();
        bool told = tick_if_due(ticker); /* of this counter, too: what was read before is then no news */
        last = *now;
        meter_read_one(meter, want->channel, now);
        if (now->status != METER_READ_OK)
            put_own(ticker, want->channel, now); /* that it failed here belongs to what was seen */
        if (now->status != METER_READ_OK || now->raw == last.raw)
            continue;
        if (!told)
            put_own(ticker, want->channel, &last);
        put_own(ticker, want->channel, now);
        end_ns = clock_mono_ns() + want->timeout_ns;
        if (--left == 0)
            now->before_ns = last.before_ns;
    }
}

static void run_errand(struct ticker *ticker)
{
    struct errand *errand = &ticker->errand;
    raise_to(&ticker->wake_max_ns, clock_mono_ns() - errand->asked_ns);
    for (size_t i = 0; i < errand->count; i++)
        read_ticks(ticker, &errand->ticks[i]);
    errand_done(errand);
}

/* Touches and locks the part of the stack that ticks will use. */
static G_GNUC_NO_INLINE bool lock_stack(void)
{
    char area[STACK_BYTES];
    memset(area, 0, sizeof area);
    __asm__ volatile("" : : "r"(area) : "memory"); /* the touching is the purpose */
    return mlock(area, sizeof area) == 0;
}

static void become_punctual(struct ticker *ticker)
{
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (!ticker->slow) {
        struct sched_param param = {.sched_priority = FIFO_PRIORITY};
        atomic_store(&ticker->realtime, !ticker->sampler->options.ordinary &&
                                            pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0);
        bool locked = ring_lock(&ticker->ring) && lock_stack();
        atomic_store(&ticker->locked, locked);
    }
}

static void *ticker_main(void *data)
{
    struct ticker *ticker = data;
    struct sampler *sampler = ticker->sampler;
    pthread_setname_np(pthread_self(), ticker->name);
    become_punctual(ticker);
    errand_open(&ticker->errand);
    while (!atomic_load_explicit(&sampler->stopping, memory_order_relaxed)) {
        if (errand_wait(&ticker->errand, ticker->next_ns))
            run_errand(ticker);
        if (!tick_if_due(ticker))
            continue;
        atomic_store_explicit(&ticker->cpu_ns, clock_thread_cpu_ns(), memory_order_relaxed);
        atomic_store_explicit(&ticker->ready, true, memory_order_release);
    }
    errand_close(&ticker->errand);
    return NULL;
}

/* --- draining --------------------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static void drain_ring(struct sampler *sampler, struct ticker *ticker)
{
    struct record record;
    while (ring_take(&ticker->ring, &record)) {
        struct meter_reading reading = {.before_ns = record.before_ns, .after_ns = record.after_ns, .raw = record.raw,
                                        .status = (enum meter_read_status)record.status};
        const struct meter_channel *channel = sampler->channels[record.channel];
        int64_t step_ns = channel->rate == METER_MEDIUM ? ticker->step_ns * MEDIUM_EVERY : ticker->step_ns;
        series_absorb(&sampler->series[record.channel], channel, &reading, BREAK_STEPS * step_ns);
        if (sampler->trace)
            g_array_append_val(sampler->pending, record);
    }
}

/* Under the lock. */
static void drain(struct sampler *sampler)
{
    drain_ring(sampler, &sampler->fast);
    drain_ring(sampler, &sampler->slow);
}

/* Writes what is pending; only one thread at a time comes here. The lock is free while rows are formatted. */
static void write_pending(struct sampler *sampler, GArray **spare)
{
    pthread_mutex_lock(&sampler->lock);
    drain(sampler);
    GArray *batch = sampler->pending;
    sampler->pending = *spare;
    *spare = batch;
    unsigned from = sampler->marks_written, to = sampler->marks->len;
    sampler->marks_written = to;
    struct clock_anchor anchor = sampler->anchor;
    g_autofree struct sampler_mark *marks = g_new(struct sampler_mark, to - from + 1);
    for (unsigned i = from; i < to; i++)
        marks[i - from] = g_array_index(sampler->marks, struct sampler_mark, i);
    pthread_mutex_unlock(&sampler->lock);
    if (sampler->trace) {
        for (unsigned i = 0; i < batch->len; i++) {
            const struct record *record = &g_array_index(batch, struct record, i);
            struct meter_reading reading = {.before_ns = record->before_ns, .after_ns = record->after_ns,
                                            .raw = record->raw, .status = (enum meter_read_status)record->status};
            trace_writer_reading(sampler->trace, &anchor, sampler->channels[record->channel]->id, &reading);
        }
        for (unsigned i = 0; i < to - from; i++)
            trace_writer_mark(sampler->trace, &anchor, marks[i].name, marks[i].t_ns);
    }
    g_array_set_size(batch, 0);
}

static void wait_monotonic(struct sampler *sampler, int64_t until_ns)
{
    struct timespec ts = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    pthread_mutex_lock(&sampler->lock);
    if (!atomic_load(&sampler->stopping))
        pthread_cond_timedwait(&sampler->wake, &sampler->lock, &ts);
    pthread_mutex_unlock(&sampler->lock);
}

static void *writer_main(void *data)
{
    struct sampler *sampler = data;
    GArray *spare = g_array_new(FALSE, FALSE, sizeof(struct record));
    int64_t anchor_ns = clock_mono_ns();
    pthread_setname_np(pthread_self(), "llem-trace");
    while (!atomic_load(&sampler->stopping)) {
        wait_monotonic(sampler, clock_mono_ns() + DRAIN_NS);
        if (clock_mono_ns() - anchor_ns >= NS_PER_S) { /* wall time may be stepped while we run */
            struct clock_anchor anchor = clock_anchor_take();
            anchor_ns = anchor.mono_ns;
            pthread_mutex_lock(&sampler->lock);
            sampler->anchor = anchor;
            pthread_mutex_unlock(&sampler->lock);
        }
        write_pending(sampler, &spare);
        atomic_store_explicit(&sampler->writer_cpu_ns, clock_thread_cpu_ns(), memory_order_relaxed);
    }
    g_array_unref(spare);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------------- */

static size_t ring_size(const struct sampler *sampler, bool slow, int64_t step_ns)
{
    size_t channels = 0;
    for (size_t i = 0; i < sampler->channel_count; i++)
        channels += sampler->channels[i]->status != QUANTITY_ABSENT &&
            (sampler->channels[i]->rate == METER_SLOW) == slow;
    return channels * (size_t)(RING_SECONDS * NS_PER_S / step_ns + 1);
}

static bool ticker_init(struct ticker *ticker, struct sampler *sampler, bool slow, GError **error)
{
    ticker->sampler = sampler;
    ticker->slow = slow;
    ticker->name = slow ? "llem-slow" : "llem-sampler";
    ticker->step_ns = slow ? sampler->options.slow_step_ns : sampler->options.step_ns;
    ticker->readings = g_new0(struct meter_reading, sampler->channel_count + 1);
    errand_init(&ticker->errand);
    return ring_init(&ticker->ring, ring_size(sampler, slow, ticker->step_ns), error);
}

static void ticker_clear(struct ticker *ticker)
{
    ring_clear(&ticker->ring);
    errand_clear(&ticker->errand);
    g_free(ticker->readings);
}

static void init_locks(struct sampler *sampler)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&sampler->lock, NULL);
}

struct sampler *sampler_new(struct meter *meter, const struct sampler_options *options, GError **error)
{
    struct sampler *sampler = g_new0(struct sampler, 1);
    sampler->meter = meter;
    if (options)
        sampler->options = *options;
    sampler->trace_path = g_strdup(sampler->options.trace_path);
    if (!sampler->options.step_ns)
        sampler->options.step_ns = STEP_NS;
    if (!sampler->options.slow_step_ns)
        sampler->options.slow_step_ns = METER_SLOW_STEP_NS;
    init_locks(sampler);
    sampler->channel_count = meter_channel_count(meter);
    sampler->channels = g_new0(const struct meter_channel *, sampler->channel_count + 1);
    sampler->series = g_new0(struct series, sampler->channel_count + 1);
    for (size_t i = 0; i < sampler->channel_count; i++) {
        sampler->channels[i] = meter_channel_at(meter, i);
        series_init(&sampler->series[i]);
    }
    sampler->pending = g_array_new(FALSE, FALSE, sizeof(struct record));
    sampler->marks = g_array_new(FALSE, FALSE, sizeof(struct sampler_mark));
    sampler->names = g_string_chunk_new(256);
    sampler->anchor = clock_anchor_take();
    if (sampler->options.step_ns < NS_PER_MS || sampler->options.slow_step_ns < NS_PER_MS)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "a sampling step must be 1 ms or longer");
    else if (ticker_init(&sampler->fast, sampler, false, error) && ticker_init(&sampler->slow, sampler, true, error))
        return sampler;
    sampler_free(sampler);
    return NULL;
}

static bool start_ticker(struct ticker *ticker, GError **error)
{
    errno = pthread_create(&ticker->thread, NULL, ticker_main, ticker);
    ticker->started = errno == 0;
    return ticker->started || file_error(error, "cannot start", "the sampler's thread");
}

static void note_limits(struct sampler *sampler)
{
    bool realtime = atomic_load(&sampler->fast.realtime), locked = atomic_load(&sampler->fast.locked);
    if (!realtime || !locked)
        sampler->notice = g_strdup_printf(
            "%s%s%s not granted: ticks may come late by some ms when the CPU is busy; they are counted. CAP_SYS_NICE or "
            "'ulimit -r 10', and 'ulimit -l 8192', grant them",
            realtime ? "" : "SCHED_FIFO", !realtime && !locked ? " and " : "", locked ? "" : "locked memory");
}

static bool start_threads(struct sampler *sampler, GError **error)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the program's own threads */
    bool ok = start_ticker(&sampler->fast, error) && start_ticker(&sampler->slow, error);
    if (ok) {
        errno = pthread_create(&sampler->writer_thread, NULL, writer_main, sampler);
        ok = errno == 0 || file_error(error, "cannot start", "the trace's thread");
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sampler->running = ok;
    return ok;
}

static void join_tickers(struct sampler *sampler)
{
    atomic_store(&sampler->stopping, true);
    if (sampler->fast.started)
        pthread_join(sampler->fast.thread, NULL);
    if (sampler->slow.started)
        pthread_join(sampler->slow.thread, NULL);
    sampler->fast.started = sampler->slow.started = false;
}

bool sampler_start(struct sampler *sampler, GError **error)
{
    g_return_val_if_fail(!sampler->running && !sampler->stopped, false);
    if (sampler->trace_path) {
        sampler->trace = trace_writer_new(sampler->trace_path, error);
        if (!sampler->trace)
            return false;
        for (size_t i = 0; i < sampler->channel_count; i++)
            trace_writer_channel(sampler->trace, sampler->channels[i]);
    }
    sampler->start_ns = now_ns(sampler);
    sampler->fast.next_ns = sampler->slow.next_ns = sampler->start_ns;
    if (sampler->options.clock) {
        sampler->running = true;
        sampler_advance(sampler, sampler->start_ns);
        return true;
    }
    if (!start_threads(sampler, error)) {
        join_tickers(sampler);
        return false;
    }
    while (!atomic_load_explicit(&sampler->fast.ready, memory_order_acquire) ||
           !atomic_load_explicit(&sampler->slow.ready, memory_order_acquire))
        clock_sleep_until_ns(clock_mono_ns() + NS_PER_MS / 2);
    note_limits(sampler);
    return true;
}

void sampler_advance(struct sampler *sampler, int64_t until_ns)
{
    const struct sampler_clock *clock = sampler->options.clock;
    g_return_if_fail(clock && sampler->running);
    GArray *spare = g_array_new(FALSE, FALSE, sizeof(struct record));
    for (;;) {
        struct ticker *ticker = sampler->slow.next_ns < sampler->fast.next_ns ? &sampler->slow : &sampler->fast;
        if (ticker->next_ns > until_ns)
            break;
        clock->sleep_until_ns(clock->context, ticker->next_ns);
        tick(ticker, ticker->next_ns);
        advance(ticker, now_ns(sampler));
        write_pending(sampler, &spare);
    }
    clock->sleep_until_ns(clock->context, until_ns);
    g_array_unref(spare);
}

bool sampler_stop(struct sampler *sampler, GError **error)
{
    if (!sampler->running)
        return true;
    sampler->stop_ns = now_ns(sampler);
    if (!sampler->options.clock) {
        join_tickers(sampler);
        pthread_mutex_lock(&sampler->lock);
        pthread_cond_signal(&sampler->wake);
        pthread_mutex_unlock(&sampler->lock);
        pthread_join(sampler->writer_thread, NULL);
    }
    GArray *spare = g_array_new(FALSE, FALSE, sizeof(struct record));
    write_pending(sampler, &spare);
    g_array_unref(spare);
    sampler->running = false;
    sampler->stopped = true;
    struct trace_writer *trace = sampler->trace;
    sampler->trace = NULL;
    return !trace || trace_writer_close(trace, error);
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    sampler_stop(sampler, NULL);
    if (sampler->trace)
        trace_writer_close(sampler->trace, NULL);
    for (size_t i = 0; i < sampler->channel_count; i++)
        series_clear(&sampler->series[i]);
    ticker_clear(&sampler->fast);
    ticker_clear(&sampler->slow);
    pthread_cond_destroy(&sampler->wake);
    pthread_mutex_destroy(&sampler->lock);
    g_array_unref(sampler->pending);
    g_array_unref(sampler->marks);
    g_string_chunk_free(sampler->names);
    g_free(sampler->series);
    g_free(sampler->channels);
    g_free(sampler->trace_path);
    g_free(sampler->notice);
    g_free(sampler);
}

/* --- asking ----------------------------------------------------------------------------------------------------------------- */

void sampler_mark(struct sampler *sampler, const char *name, int64_t t_ns)
{
    pthread_mutex_lock(&sampler->lock);
    struct sampler_mark mark = {.name = g_string_chunk_insert_const(sampler->names, name), .t_ns = t_ns};
    g_array_append_val(sampler->marks, mark);
    pthread_mutex_unlock(&sampler->lock);
}

size_t sampler_mark_count(struct sampler *sampler)
{
    pthread_mutex_lock(&sampler->lock);
    size_t count = sampler->marks->len;
    pthread_mutex_unlock(&sampler->lock);
    return count;
}

struct sampler_mark sampler_mark_at(struct sampler *sampler, size_t index)
{
    pthread_mutex_lock(&sampler->lock);
    struct sampler_mark mark = g_array_index(sampler->marks, struct sampler_mark, index);
    pthread_mutex_unlock(&sampler->lock);
    return mark;
}

bool sampler_ticks(struct sampler *sampler, struct sampler_tick *ticks, size_t count)
{
    int64_t deadline_ns = clock_mono_ns() + ERRAND_NS;
    for (size_t i = 0; i < count; i++) {
        ticks[i].reading = (struct meter_reading){.status = METER_READ_NONE};
        deadline_ns += ticks[i].changes * ticks[i].timeout_ns;
    }
    return errand_ask(&sampler->fast.errand, ticks, count, deadline_ns);
}

GArray *sampler_series(struct sampler *sampler, size_t channel, int64_t from_ns, int64_t to_ns)
{
    pthread_mutex_lock(&sampler->lock);
    drain(sampler);
    GArray *copy = series_copy(&sampler->series[channel], from_ns, to_ns);
    pthread_mutex_unlock(&sampler->lock);
    return copy;
}

static int64_t late_quantile_ns(struct ticker *ticker, double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < LATE_BINS; i++)
        total += atomic_load_explicit(&ticker->late[i], memory_order_relaxed);
    for (unsigned i = 0; i < LATE_BINS; i++) {
        seen += atomic_load_explicit(&ticker->late[i], memory_order_relaxed);
        if (seen && (double)seen >= share * (double)total)
            return late_bin_top_ns(i);
    }
    return 0;
}

void sampler_stats(struct sampler *sampler, struct sampler_stats *ret)
{
    struct ticker *fast = &sampler->fast, *slow = &sampler->slow;
    *ret = (struct sampler_stats){
        .ticks = atomic_load(&fast->ticks),
        .missed = atomic_load(&fast->missed),
        .dropped = atomic_load(&fast->ring.dropped) + atomic_load(&slow->ring.dropped),
        .late_p50_ns = late_quantile_ns(fast, 0.50),
        .late_p99_ns = late_quantile_ns(fast, 0.99),
        .late_max_ns = atomic_load(&fast->late_max_ns),
        .tick_max_ns = atomic_load(&fast->tick_max_ns),
        .mark_wake_max_ns = atomic_load(&fast->wake_max_ns),
        .cpu_ns = atomic_load(&fast->cpu_ns),
        .slow_cpu_ns = atomic_load(&slow->cpu_ns),
        .writer_cpu_ns = atomic_load(&sampler->writer_cpu_ns),
        .elapsed_ns = sampler->start_ns
                      ? (sampler->stop_ns ? sampler->stop_ns : now_ns(sampler)) - sampler->start_ns : 0,
        .realtime = atomic_load(&fast->realtime),
        .locked = atomic_load(&fast->locked),
        .notice = sampler->notice,
    };
}

json_t *sampler_stats_json(struct sampler *sampler)
{
    static const struct member_row rows[] = {
        MEMBER(struct sampler_stats, ticks, "ticks", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, missed, "missed", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, dropped, "dropped", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, late_p50_ns, "late_p50_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, late_p99_ns, "late_p99_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, late_max_ns, "late_max_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, tick_max_ns, "tick_max_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, mark_wake_max_ns, "mark_wake_max_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, cpu_ns, "cpu_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, slow_cpu_ns, "slow_cpu_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, writer_cpu_ns, "writer_cpu_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, elapsed_ns, "elapsed_ns", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, realtime, "realtime", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, locked, "locked", MEMBER_REQUIRED),
        MEMBER(struct sampler_stats, notice, "notice", MEMBER_OPTIONAL),
    };
    struct sampler_stats s;
    json_t *tree = json_object();
    sampler_stats(sampler, &s);
    members_write(tree, &s, rows, G_N_ELEMENTS(rows));
    return tree;
}
