/* SPDX-License-Identifier: MIT */
/* What is in use on a board, of all that the driver says of it. */
#include "boards/boards.h"

static const char *const names[BOARDS_FIGURE_COUNT] = {
#define X(id, name) [BOARDS_FIGURE_##id] = name,
    BOARDS_FIGURES(X)
#undef X
};

const char *boards_figure_name(enum boards_figure figure)
{
    return names[figure];
}

/* -1: the driver does not say what every process holds. */
static int64_t held_by_processes(const struct meter_gpu_use *seen)
{
    int64_t sum = seen->holders_known ? 0 : -1;
    for (size_t i = 0; sum >= 0 && i < seen->holder_count; i++)
        sum += MAX(seen->holders[i].bytes, 0);
    return sum;
}

static void heed(struct boards_use *use, int64_t bytes, enum boards_figure figure)
{
    if (bytes <= use->bytes)
        return;
    use->bytes = bytes;
    use->figure = figure;
}

/* The older call's figure has what the driver reserves in it, and only the newer one says how much that is. */
static void heed_older_alone(struct boards_use *use, const struct meter_gpu_use *seen, int64_t lowest_bytes)
{
    if (seen->whole_bytes < 0)
        use->reason = seen->whole_reason;
    else if (lowest_bytes < 0)
        use->reason = "no reference: this driver counts what it reserves as used, and this board was never seen without "
                      "a process";
    else
        heed(use, MAX(seen->whole_bytes - lowest_bytes, 0), BOARDS_FIGURE_ABOVE_LOWEST);
}

struct boards_use boards_use_of(const struct meter_gpu_use *seen, int64_t lowest_bytes)
{
    struct boards_use use = {.bytes = -1, .whole_bytes = -1, .held_bytes = held_by_processes(seen)};
    if (seen->partition_bytes >= 0 && seen->whole_bytes >= 0)
        use.whole_bytes = MAX(seen->whole_bytes - seen->reserved_bytes, 0);
    heed(&use, seen->partition_bytes, BOARDS_FIGURE_PARTITION);
    heed(&use, use.whole_bytes, BOARDS_FIGURE_WHOLE);
    if (seen->partition_bytes < 0)
        heed_older_alone(&use, seen, lowest_bytes);
    if (use.bytes >= 0)
        heed(&use, use.held_bytes, BOARDS_FIGURE_PROCESSES);
    return use;
}

int64_t boards_lowest(int64_t lowest_bytes, const struct meter_gpu_use *seen)
{
    bool alone = seen->holders_known && seen->holder_count == 0 && seen->whole_bytes >= 0;
    if (!alone)
        return lowest_bytes;
    return lowest_bytes < 0 ? seen->whole_bytes : MIN(lowest_bytes, seen->whole_bytes);
}
