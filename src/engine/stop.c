/* SPDX-License-Identifier: MIT */
/* The end of an adapter: a ladder that leaves nothing behind. Above process.c and wire.c, which know nothing of it. */
#include "engine/private.h"

#include "base/proc.h"
#include "base/shm.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_NS (5 * NS_PER_MS)

/* --- What belongs to the engine --------------------------------------------------------------------------------- */

/* False when there is no such process, or only its zombie. */
static bool process_alive(pid_t pid, struct engine_process *ret)
{
    struct proc_entry entry;
    if (!proc_read(pid, &entry))
        return false;
    *ret = (struct engine_process){pid, entry.start_ticks};
    return entry.state != 'Z' && entry.state != 'X';
}

static void note_process(struct engine *engine, pid_t pid)
{
    struct engine_process p;
    if (pid == engine->pid || pid == getpid() || !process_alive(pid, &p))
        return;
    for (guint i = 0; i < engine->seen->len; i++) {
        const struct engine_process *old = &g_array_index(engine->seen, struct engine_process, i);
        if (old->pid == p.pid && old->start == p.start)
            return;
    }
    g_array_append_val(engine->seen, p);
}

static bool has_pid(const GArray *pids, pid_t pid)
{
    for (guint i = 0; pids && i < pids->len; i++)
        if (g_array_index(pids, pid_t, i) == pid)
            return true;
    return false;
}

/* Adds what belongs to the engine now to what was seen before: by parentage, by the adapter's session, and what was
 * orphaned to us. */
static void look_around(struct engine *engine)
{
    g_autoptr(GArray) snapshot = proc_snapshot();
    g_autoptr(GArray) below = proc_descendants_in(snapshot, engine->pid);
    for (guint i = 0; i < below->len; i++)
        note_process(engine, g_array_index(below, pid_t, i));
    for (guint i = 0; i < snapshot->len; i++) {
        const struct proc_entry *e = &g_array_index(snapshot, struct proc_entry, i);
        if (e->session == engine->pid)
            note_process(engine, e->pid);
    }
    if (!engine->bystanders)
        return;
    g_autoptr(GArray) theirs = proc_below_in(snapshot, engine->bystanders);
    g_autoptr(GArray) mine = proc_descendants_in(snapshot, getpid());
    for (guint i = 0; i < mine->len; i++)
        if (!has_pid(theirs, g_array_index(mine, pid_t, i)))
            note_process(engine, g_array_index(mine, pid_t, i));
}

/* How many of the processes seen, the adapter apart, are alive; drops and reaps the others. */
static guint count_left(struct engine *engine)
{
    if (engine->bystanders && proc_childless()) { /* a subreaper without children: whatever was seen is gone */
        g_array_set_size(engine->seen, 0);
        return 0;
    }
    look_around(engine);
    for (guint i = 0; i < engine->seen->len; i++) {
        struct engine_process *p = &g_array_index(engine->seen, struct engine_process, i);
        struct engine_process now;
        if (process_alive((pid_t)p->pid, &now) && now.start == p->start)
            continue;
        waitpid((pid_t)p->pid, NULL, WNOHANG); /* ours if we are the subreaper; else it does nothing */
        g_array_remove_index_fast(engine->seen, i--);
    }
    return engine->seen->len;
}

static bool wait_none_left(struct engine *engine, int64_t wait_ns)
{
    int64_t deadline_ns = clock_mono_ns() + wait_ns;
    while (count_left(engine) > 0) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        clock_sleep_until_ns(clock_mono_ns() + POLL_NS);
    }
    return true;
}

/* Before SIGKILL: what is killed cannot remove its shared memory any more. */
static void note_shm(struct engine *engine)
{
    shm_note(engine->shm, engine->pid);
    for (guint i = 0; i < engine->seen->len; i++)
        shm_note(engine->shm, (pid_t)g_array_index(engine->seen, struct engine_process, i).pid);
}

static void kill_each(struct engine *engine)
{
    for (guint i = 0; i < engine->seen->len; i++)
        kill((pid_t)g_array_index(engine->seen, struct engine_process, i).pid, SIGKILL);
}

/* --- The ladder ------------------------------------------------------------------------------------------------- */

static const char *const stage_names[ENGINE_STOP_COUNT] = {"none", "shutdown", "term", "kill", "descendants"};

const char *engine_stop_stage_name(enum engine_stop_stage stage)
{
    return stage_names[stage];
}

#define GRACE_NS (500 * NS_PER_MS) /* for children that end a moment after the adapter */

static bool wait_ended(struct engine *engine, int64_t wait_ns)
{
    int64_t deadline_ns = clock_mono_ns() + wait_ns;
    while (!process_ended(engine, MIN(deadline_ns, clock_mono_ns() + 20 * NS_PER_MS))) {
        wire_drain(engine);
        if (clock_mono_ns() >= deadline_ns)
            return false;
    }
    return true;
}

static enum engine_stop_stage end_adapter(struct engine *engine, const struct engine_stop_waits *w)
{
    if (process_ended(engine, 0))
        return ENGINE_STOP_NONE;
    kill(-engine->pid, SIGCONT); /* stopped by somebody it would hear nothing */
    wire_shutdown(engine);
    if (wait_ended(engine, w->shutdown_ns))
        return ENGINE_STOP_SHUTDOWN;
    look_around(engine);
    kill(-engine->pid, SIGTERM);
    if (wait_ended(engine, w->term_ns))
        return ENGINE_STOP_TERM;
    look_around(engine);
    note_shm(engine);
    kill(-engine->pid, SIGKILL);
    wait_ended(engine, w->kill_ns);
    return ENGINE_STOP_KILL;
}

/* What the adapter left. The group still exists: its leader is not reaped yet. */
static enum engine_stop_stage end_rest(struct engine *engine, const struct engine_stop_waits *w,
                                       enum engine_stop_stage stage)
{
    if (stage < ENGINE_STOP_TERM) {
        stage = ENGINE_STOP_TERM;
        kill(-engine->pid, SIGTERM);
        if (wait_none_left(engine, MIN(w->term_ns, 2 * NS_PER_S)))
            return stage;
    }
    if (stage < ENGINE_STOP_KILL) {
        stage = ENGINE_STOP_KILL;
        note_shm(engine);
        kill(-engine->pid, SIGKILL);
        if (wait_none_left(engine, MIN(w->kill_ns, GRACE_NS)))
            return stage;
    }
    int64_t deadline_ns = clock_mono_ns() + w->kill_ns;
    do
        kill_each(engine); /* again and again, for those that fork meanwhile */
    while (!wait_none_left(engine, 20 * NS_PER_MS) && clock_mono_ns() < deadline_ns);
    return ENGINE_STOP_DESCENDANTS;
}

static bool say_survivors(struct engine *engine, GError **error)
{
    g_autoptr(GString) pids = g_string_new(NULL);
    for (guint i = 0; i < engine->seen->len; i++)
        g_string_append_printf(pids, " %" G_GINT64_FORMAT, g_array_index(engine->seen, struct engine_process, i).pid);
    if (!process_ended(engine, 0))
        g_string_append_printf(pids, " %d", (int)engine->pid);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT,
                "%s could not be ended: still alive after SIGKILL:%s (stuck in the kernel; a reboot may be needed)",
                engine->name, pids->str);
    return false;
}

static struct engine_stop_waits settle_waits(const struct engine_stop_waits *given)
{
    struct engine_stop_waits w = given ? *given : (struct engine_stop_waits){0};
    w.shutdown_ns = w.shutdown_ns > 0 ? w.shutdown_ns : 10 * NS_PER_S;
    w.term_ns = w.term_ns > 0 ? w.term_ns : 10 * NS_PER_S;
    w.kill_ns = w.kill_ns > 0 ? w.kill_ns : 5 * NS_PER_S;
    return w;
}

bool engine_stop(struct engine *engine, const struct engine_stop_waits *waits, struct engine_stop_report *report,
                 GError **error)
{
    struct engine_stop_waits w = settle_waits(waits);
    struct engine_stop_report done = {.stage = ENGINE_STOP_NONE, .exit_status = -1, .signal = -1};
    int64_t start = clock_mono_ns();
    bool ok = true;
    if (!engine->stopped) {
        look_around(engine);
        done.stage = end_adapter(engine, &w);
        if (!wait_none_left(engine, GRACE_NS)) {
            done.n_left_behind = (int)engine->seen->len;
            done.stage = end_rest(engine, &w, done.stage);
        }
        ok = process_ended(engine, 0) && (engine->seen->len == 0 || count_left(engine) == 0);
        shm_sweep(engine->shm);
        process_read_status(engine, 0);
        if (ok && waitpid(engine->pid, NULL, WNOHANG) >= -1)
            engine->stopped = true;
    }
    if (engine->status_known && WIFEXITED(engine->wait_status))
        done.exit_status = WEXITSTATUS(engine->wait_status);
    if (engine->status_known && WIFSIGNALED(engine->wait_status))
        done.signal = WTERMSIG(engine->wait_status);
    process_close_fd(&engine->fd);
    done.wall_ns = clock_mono_ns() - start;
    if (report)
        *report = done;
    return ok || say_survivors(engine, error);
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    if (!engine->stopped)
        engine_stop(engine, &(struct engine_stop_waits){GRACE_NS, GRACE_NS, 2 * NS_PER_S}, NULL, NULL);
    process_free(engine);
}
