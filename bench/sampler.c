/* SPDX-License-Identifier: MIT */
/*
 * The sampler alone: 100 Hz over eight simulated boards (libllem-nvml-sim.so), one second a round.
 * CPU time of its threads, which holds the simulator's own work too, and how late its ticks are.
 */
#include "bench.h"

#include "base/base.h"
#include "meter/meter.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BOARDS "{\"load\": [{\"type\": \"constant\", \"watts\": 115}]}"
#define FOUR   BOARDS ", " BOARDS ", " BOARDS ", " BOARDS

static const char script[] = "{\"devices\": [" FOUR ", " FOUR "]}";

static void give_up(const GError *error)
{
    fprintf(stderr, "bench_sampler: %s\n", error->message);
    exit(1);
}

static struct sampler_stats sample_for_a_second(struct meter *meter)
{
    g_autoptr(GError) error = NULL;
    struct sampler_stats stats;
    g_autoptr(owned_sampler) sampler = sampler_new(meter, &(struct sampler_options){0}, &error);
    if (!sampler || !sampler_start(sampler, &error))
        give_up(error);
    clock_sleep_until_ns(clock_mono_ns() + NS_PER_S);
    if (!sampler_stop(sampler, &error))
        give_up(error);
    sampler_stats(sampler, &stats);
    return stats;
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 10);
    static const char *const sources[] = {"nvml", NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-bench-XXXXXX", &error);
    g_autofree char *path = dir ? g_build_filename(dir, "boards.json", NULL) : NULL;
    if (!dir || !g_file_set_contents(path, script, -1, &error))
        give_up(error);
    g_setenv("LLEM_NVML_SIM", path, TRUE);
    g_autoptr(owned_meter) meter = meter_open(
        &(struct meter_options){.sources = sources,
                                .library = LLEM_BINARY_DIR "/lib/libllem-nvml-sim.so"},
        &error);
    if (!meter)
        give_up(error);
    g_autofree double *ticking = g_new(double, rounds), *all = g_new(double, rounds),
                      *late = g_new(double, rounds);
    double missed = 0, ticks = 0;
    bool realtime = true;
    for (int i = 0; i < rounds; i++) {
        struct sampler_stats stats = sample_for_a_second(meter);
        double elapsed = (double)stats.elapsed_ns;
        ticking[i] = 100.0 * (double)stats.cpu_ns / elapsed;
        all[i] = 100.0 * (double)(stats.cpu_ns + stats.slow_cpu_ns + stats.writer_cpu_ns) / elapsed;
        late[i] = (double)stats.late_p99_ns / (double)NS_PER_MS;
        missed += (double)stats.missed;
        ticks += (double)(stats.ticks + stats.missed);
        realtime = realtime && stats.realtime;
    }
    size_t n = (size_t)rounds;
    bench_row("sampler, 8 simulated boards, 100 Hz: CPU of the ticking thread",
              bench_median(ticking, n), "% of one core", "≤ 0.5 %");
    bench_row("the same, all its threads", bench_median(all, n), "% of one core", NULL);
    bench_row(realtime ? "tick lateness, 99th percentile, SCHED_FIFO"
                       : "tick lateness, 99th percentile, no SCHED_FIFO",
              bench_median(late, n), "ms", realtime ? "≤ 1 ms" : "only with SCHED_FIFO");
    double share = 100.0 * missed / ticks;
    bench_row("ticks missed", (struct stats_interval){.estimate = share, .low = NAN, .high = NAN},
              "%", NULL);
    g_unlink(path);
    g_rmdir(dir);
    return 0;
}
