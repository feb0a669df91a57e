/* SPDX-License-Identifier: MIT */
#include "base/oom.h"

#include "base/cgroup.h"
#include "base/num.h"

/* Of the nearest folder that counts. */
static int64_t kills_in(const struct cgroup *group)
{
    const char *events = group->version == 1 ? "memory.oom_control" : "memory.events";
    int64_t kills = -1;
    for (char **folder = group->folders; folder && *folder && kills < 0; folder++)
        kills = cgroup_number(*folder, events, "oom_kill");
    return kills;
}

/* The tightest limit from a folder up: a container sets it on itself, a service manager on a slice above. */
static int64_t limit_in(const struct cgroup *group)
{
    const char *limit = group->version == 1 ? "memory.limit_in_bytes" : "memory.max";
    int64_t least = INT64_MAX;
    for (char **folder = group->folders; folder && *folder; folder++) {
        g_autofree char *text = cgroup_text(*folder, limit);
        if (text && g_ascii_isdigit(text[0]))
            least = MIN(least, g_ascii_strtoll(text, NULL, 10));
    }
    return least;
}

static int64_t number_in(const char *path, const char *name)
{
    g_autofree char *text = cgroup_system_text(path);
    return text ? cgroup_number_of(text, name) : -1;
}

struct oom_count oom_count(void)
{
    g_auto(owned_cgroup) group = {0};
    cgroup_find("memory", &group);
    return (struct oom_count){kills_in(&group), number_in("/proc/vmstat", "oom_kill")};
}

bool oom_has_struck(const struct oom_count *since)
{
    struct oom_count now = oom_count();
    if (since->ours >= 0 && now.ours >= 0)
        return now.ours > since->ours;
    return since->system >= 0 && now.system > since->system;
}

char *oom_advice(void)
{
    static const char what[] = "take a smaller model or quantisation, a shorter context or a smaller batch";
    g_auto(owned_cgroup) group = {0};
    cgroup_find("memory", &group);
    int64_t total = number_in("/proc/meminfo", "MemTotal:"), limit = limit_in(&group);
    bool limited = total < 0 ? limit < INT64_MAX : limit < total * 1024;
    if (!limited && total < 0)
        return g_strdup(what);
    g_autofree char *size = num_format_bytes(limited ? limit : total * 1024);
    return g_strdup_printf("%s is all that %s; %s", size,
                           limited ? "the memory limit of its cgroup allows" : "this machine has", what);
}
