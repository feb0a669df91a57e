/* SPDX-License-Identifier: MIT */
/*
 * llem-rapl-sim: a powercap tree whose counters move, for LLEM_SYSROOT (sim/README.md).
 *
 *   llem-rapl-sim [--truth FILE] SCRIPT FOLDER                 until it is interrupted
 *   llem-rapl-sim [--truth FILE] SCRIPT FOLDER -- COMMAND…     while COMMAND runs, with LLEM_SYSROOT=FOLDER
 *
 * Each package of the script is a zone below FOLDER. Every millisecond its counter is written anew, by a thread that
 * goes before ordinary work where that is granted. Exit status: the command's; 2: usage or script; 1: files.
 */
#include "base/base.h"
#include "base/spawn.h"
#include "meter/meter.h"
#include "sim/script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS  NS_PER_MS
#define TRUTH_NS (10 * NS_PER_MS)
#define RANGE_UJ INT64_C(262143328850) /* as the kernel tells of a server's 32-bit counter */
/* One whose counters measure: see meter/rapl.c. */
#define CPUINFO "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n"

static char *truth_path;
static const GOptionEntry entries[] = {
    {"truth", 0, 0, G_OPTION_ARG_FILENAME, &truth_path, "joules drawn by then, each 10 ms, as CSV", "FILE"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

struct zone {
    struct sim_device *device;
    int fd;
    int64_t shown_uj;
};

struct run {
    struct sim_script *script;
    char *root;
    GArray *zones; /* struct zone */
    FILE *truth;
    int64_t began_ns, truth_ns, late_ns;
    struct spawn_child child; /* pid 0: none */
};

static volatile sig_atomic_t asked_to_end, child_changed;

static void on_signal(int number)
{
    if (number == SIGCHLD)
        child_changed = 1;
    else
        asked_to_end = 1;
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

static bool put(const struct run *r, const char *folder, const char *name, const char *text, GError **error)
{
    g_autofree char *dir = g_build_filename(r->root, folder, NULL), *path = g_build_filename(dir, name, NULL);
    return file_make_dirs(dir, error) && file_write_durable(path, text, strlen(text), error);
}

/* A folder with a sys of its own that no simulator made is somebody's: it stays as it is. */
static bool claim(const struct run *r, GError **error)
{
    g_autofree char *sys = g_build_filename(r->root, "sys", NULL);
    g_autofree char *mark = g_build_filename(r->root, METER_SIMULATED_ROOT, NULL);
    if (access(sys, F_OK) == 0 && access(mark, F_OK) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s is there and was not made by a simulator: name another folder",
                    sys);
        return false;
    }
    return put(r, "", METER_SIMULATED_ROOT, "sensors below this folder are simulated\n", error) &&
           put(r, "proc", "cpuinfo", CPUINFO, error);
}

static bool add_zone(struct run *r, struct sim_device *device, GError **error)
{
    g_autofree char *folder = g_strdup_printf("sys/class/powercap/intel-rapl:%u", device->index);
    g_autofree char *name = g_strdup_printf("%s\n", device->name);
    g_autofree char *range = g_strdup_printf("%" PRId64 "\n", RANGE_UJ);
    g_autofree char *path = g_build_filename(r->root, folder, "energy_uj", NULL);
    struct zone zone = {.device = device, .shown_uj = -1};
    if (!put(r, folder, "name", name, error) || !put(r, folder, "max_energy_range_uj", range, error))
        return false;
    zone.fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (zone.fd < 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "%s: %s", path, g_strerror(errno));
        return false;
    }
    g_array_append_val(r->zones, zone);
    return true;
}

static bool open_truth(struct run *r, GError **error)
{
    if (!truth_path)
        return true;
    r->truth = fopen(truth_path, "we");
    if (!r->truth) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "%s: %s", truth_path, g_strerror(errno));
        return false;
    }
    fputs("t_ns", r->truth);
    for (unsigned i = 0; i < r->zones->len; i++)
        fprintf(r->truth, ",%s", g_array_index(r->zones, struct zone, i).device->name);
    fputc('\n', r->truth);
    return true;
}

static bool make_tree(struct run *r, const char *folder, GError **error)
{
    r->root = g_canonicalize_filename(folder, NULL);
    r->zones = g_array_new(FALSE, FALSE, sizeof(struct zone));
    if (r->script->packages->len == 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "the script has no packages");
        return false;
    }
    if (!claim(r, error))
        return false;
    for (unsigned i = 0; i < r->script->packages->len; i++)
        if (!add_zone(r, r->script->packages->pdata[i], error))
            return false;
    return open_truth(r, error);
}

/* --- counting ---------------------------------------------------------------------------------------------------- */

/* Of as many digits whatever it holds, so that it is written over in one piece. */
static void show(struct zone *zone, int64_t now_ns)
{
    char text[24];
    sim_live_update(zone->device, now_ns);
    int64_t uj = (int64_t)(sim_counting_read_j(zone->device->counter, now_ns) * 1e6) % RANGE_UJ;
    if (uj == zone->shown_uj)
        return;
    int length = snprintf(text, sizeof text, "%012" PRId64 "\n", uj);
    if (pwrite(zone->fd, text, (size_t)length, 0) == length)
        zone->shown_uj = uj;
}

static double drawn_j(const struct run *r, const struct zone *zone, int64_t now_ns)
{
    return sim_board_energy_j(zone->device->board, r->began_ns, now_ns);
}

static void tick(struct run *r, int64_t due_ns)
{
    int64_t now_ns = sim_script_now_ns(r->script);
    for (unsigned i = 0; i < r->zones->len; i++)
        show(&g_array_index(r->zones, struct zone, i), now_ns);
    r->late_ns = MAX(r->late_ns, clock_mono_ns() - due_ns);
    if (!r->truth || now_ns < r->truth_ns)
        return;
    r->truth_ns = now_ns + TRUTH_NS;
    fprintf(r->truth, "%" PRId64, now_ns);
    for (unsigned i = 0; i < r->zones->len; i++)
        fprintf(r->truth, ",%.6f", drawn_j(r, &g_array_index(r->zones, struct zone, i), now_ns));
    fputc('\n', r->truth);
}

static void sleep_until(int64_t t_ns)
{
    struct timespec at = {t_ns / NS_PER_S, t_ns % NS_PER_S};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* The end of the command that runs beside; an end that we were asked for is passed on to it. */
static bool is_over(struct run *r, int *ret_status)
{
    if (!r->child.pid)
        return asked_to_end;
    if (asked_to_end) {
        asked_to_end = 0;
        kill(r->child.pid, SIGTERM);
    }
    if (!child_changed)
        return false;
    child_changed = 0;
    return waitpid(r->child.pid, ret_status, WNOHANG) == r->child.pid;
}

static int count(struct run *r)
{
    int status = 0;
    struct sched_param first = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
    for (int64_t due_ns = clock_mono_ns(); !is_over(r, &status);) {
        tick(r, due_ns);
        due_ns = MAX(due_ns + TICK_NS, clock_mono_ns() - TICK_NS);
        sleep_until(due_ns);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static bool start(struct run *r, char **argv, GError **error)
{
    struct sigaction action = {.sa_handler = on_signal};
    g_autofree char *root = g_strdup_printf("LLEM_SYSROOT=%s", r->root);
    const char *env[] = {root, NULL};
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!argv) {
        sigaction(SIGINT, &action, NULL);
        printf("%s\n", root);
        fflush(stdout);
        return true;
    }
    struct spawn spawn = {.argv = (const char *const *)argv, .env = env, .death_signal = SIGTERM};
    if (!spawn_start(&spawn, &r->child, error))
        return false;
    signal(SIGINT, SIG_IGN); /* of the terminal: it reaches the command, whose end is ours */
    return true;
}

static void tell(const struct run *r)
{
    int64_t now_ns = sim_script_now_ns(r->script);
    for (unsigned i = 0; i < r->zones->len; i++) {
        const struct zone *zone = &g_array_index(r->zones, struct zone, i);
        double seconds = (double)(now_ns - r->began_ns) * 1e-9;
        fprintf(stderr, "llem-rapl-sim: %s drew %.2f J in %.2f s, its counter at most %.1f ms late\n",
                zone->device->name, drawn_j(r, zone, now_ns), seconds, (double)r->late_ns * 1e-6);
    }
}

static int run(struct run *r, const char *script, const char *folder, char **argv, GError **error)
{
    r->script = sim_script_load(script, error);
    if (!r->script)
        return 2;
    r->began_ns = sim_script_now_ns(r->script);
    if (!make_tree(r, folder, error))
        return g_error_matches(*error, LLEM_ERROR, LLEM_ERROR_CONFIG) ? 2 : 1;
    for (unsigned i = 0; i < r->zones->len; i++)
        show(&g_array_index(r->zones, struct zone, i), r->began_ns);
    if (!start(r, argv, error))
        return 1;
    int status = count(r);
    tell(r);
    if (r->truth && fclose(r->truth) != 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "%s: %s", truth_path, g_strerror(errno));
        return 1;
    }
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("SCRIPT FOLDER [-- COMMAND…]");
    g_autoptr(GError) error = NULL;
    struct run r = {0};
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_summary(context, "A RAPL tree below FOLDER whose counters move as the packages of SCRIPT draw.");
    g_option_context_set_strict_posix(context, TRUE);
    bool fine = g_option_context_parse(context, &argc, &argv, &error);
    bool command = fine && argc > 4 && !strcmp(argv[3], "--");
    if (!fine || (argc != 3 && !command)) {
        fprintf(stderr, "llem-rapl-sim: %s\n", error ? error->message : "SCRIPT FOLDER [-- COMMAND…]; see --help");
        return 2;
    }
    int status = run(&r, argv[1], argv[2], command ? argv + 4 : NULL, &error);
    if (error)
        fprintf(stderr, "llem-rapl-sim: %s\n", error->message);
    return status; /* what was made goes with the process */
}
