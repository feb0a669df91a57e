/* SPDX-License-Identifier: MIT */
#include "base/timebase.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* Anchors are good to some microseconds; a clock that is being corrected runs off by at most half a millisecond a
 * second, and both clocks with it. */
#define TOLERANCE_NS NS_PER_MS

struct timebase timebase_take(void)
{
    struct clock_anchor anchor = clock_anchor_take();
    struct timebase base = {.mono_ns = anchor.mono_ns, .wall_ns = anchor.wall_ns};
    g_autofree char *boot = NULL;
    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
        g_strlcpy(base.boot, g_strchomp(boot), sizeof base.boot);
    ssize_t n = readlink("/proc/self/ns/time", base.space, sizeof base.space - 1);
    base.space[MAX(n, 0)] = 0;
    return base;
}

/* How far the monotonic clock here is ahead of the one there, by the wall clock that both see. */
static int64_t shift_of(const struct timebase *there, const struct timebase *here)
{
    return (here->mono_ns - there->mono_ns) - (here->wall_ns - there->wall_ns);
}

static bool refuse_kernel(const struct timebase *there, const struct timebase *here, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                "the worker runs on another kernel than llem (boot %s, not %s): their clocks are not the same, and what "
                "sensors of the host showed cannot be assigned to the work. Use a runtime whose containers share the "
                "kernel of the host",
                here->boot, there->boot);
    return false;
}

static bool refuse_shift(const struct timebase *there, const struct timebase *here, int64_t shift_ns, GError **error)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                "the worker is in another time namespace than llem (%s, not %s), whose monotonic clock is %.3f s %s: "
                "what sensors of the host showed cannot be assigned to the work. Start it without a time namespace of "
                "its own",
                *here->space ? here->space : "unnamed", *there->space ? there->space : "unnamed",
                fabs(clock_seconds(shift_ns)), shift_ns > 0 ? "ahead" : "behind");
    return false;
}

bool timebase_check(const struct timebase *there, const struct timebase *here, GError **error)
{
    bool boots_known = *there->boot && *here->boot, one_boot = !strcmp(there->boot, here->boot);
    int64_t shift_ns = shift_of(there, here);
    if (boots_known && !one_boot)
        return refuse_kernel(there, here, error);
    if (boots_known && !strcmp(there->space, here->space)) /* one clock, whatever became of the wall clock meanwhile */
        return true;
    return (shift_ns >= -TOLERANCE_NS && shift_ns <= TOLERANCE_NS) || refuse_shift(there, here, shift_ns, error);
}

json_t *timebase_json(const struct timebase *base)
{
    return json_pack("{s:s, s:s, s:I, s:I}", "boot", base->boot, "time_namespace", base->space, "monotonic_ns",
                     (json_int_t)base->mono_ns, "wall_ns", (json_int_t)base->wall_ns);
}

bool timebase_parse(const json_t *tree, struct timebase *ret, GError **error)
{
    const char *boot, *space;
    *ret = (struct timebase){0};
    if (!jsonx_get_string(tree, "boot", true, &boot, error) ||
        !jsonx_get_string(tree, "time_namespace", true, &space, error) ||
        !jsonx_get_int(tree, "monotonic_ns", true, &ret->mono_ns, error) ||
        !jsonx_get_int(tree, "wall_ns", true, &ret->wall_ns, error))
        return false;
    g_strlcpy(ret->boot, boot, sizeof ret->boot);
    g_strlcpy(ret->space, space, sizeof ret->space);
    return true;
}
