/* SPDX-License-Identifier: MIT */
#include "experiment/internal.h"

#include <poll.h>

void pace_say(const struct pace *pace, const char *detail)
{
    if (!pace->progress)
        return;
    g_autoptr(json_t) line =
        json_pack("{s:I, s:s, s:s*}", "t_ns", (json_int_t)clock_mono_ns(), "phase", pace->phase, "detail", detail);
    g_autofree char *text = jsonx_dump(line, JSONX_COMPACT);
    fprintf(pace->progress, "%s\n", text);
    fflush(pace->progress);
}

bool pace_check(const struct pace *pace, GError **error)
{
    if (interrupt_pending(pace->interrupt_fd)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted");
        return false;
    }
    if (suspend_clock_ns() > pace->deadline_ns) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT, "no time left for '%s'", pace->phase);
        return false;
    }
    return true;
}

bool pace_wait_until(const struct pace *pace, int64_t until_ns, GError **error)
{
    for (;;) {
        if (!pace_check(pace, error))
            return false;
        int64_t left = until_ns - clock_mono_ns();
        if (left <= 0)
            return true;
        struct pollfd fd = {.fd = pace->interrupt_fd, .events = POLLIN};
        poll(&fd, 1, (int)MIN((left + NS_PER_MS - 1) / NS_PER_MS, 1000));
    }
}
