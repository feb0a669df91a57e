/* SPDX-License-Identifier: MIT */
/* Who started a container: one process for good, by boot, pid and start time. A pid alone is used again. */
#include "container/container.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define NAMESPACE_LINK "/proc/self/ns/pid"
#define STAT_BYTES   4096
#define START_FIELD  22 /* of /proc/PID/stat, counted from 1 */

static bool read_boot_id(char *ret, size_t size, GError **error)
{
    g_autofree char *text = file_read(BOOT_ID_FILE, STAT_BYTES, NULL, error);
    if (text)
        g_strlcpy(ret, g_strstrip(text), size);
    return text != NULL;
}

/* The name of a program, which is in parentheses and may hold any byte, stands before all numbers but the pid. */
static bool parse_start(const char *stat, char *ret_state, int64_t *ret_ticks)
{
    const char *at = strrchr(stat, ')');
    if (!at || at[1] != ' ')
        return false;
    g_auto(GStrv) fields = g_strsplit(at + 2, " ", START_FIELD);
    if (g_strv_length(fields) <= START_FIELD - 3)
        return false;
    *ret_state = fields[0][0];
    return num_parse_int(fields[START_FIELD - 3], 0, INT64_MAX, ret_ticks, NULL);
}

static bool read_start(int64_t pid, char *ret_state, int64_t *ret_ticks, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%" PRId64 "/stat", pid);
    g_autofree char *stat = file_read(path, STAT_BYTES, NULL, error);
    if (!stat)
        return false;
    if (parse_start(stat, ret_state, ret_ticks))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s is not what a kernel writes", path);
    return false;
}

/* The number of the namespace in which our pids are pids. */
static bool read_namespace(int64_t *ret, GError **error)
{
    g_autofree char *link = g_file_read_link(NAMESPACE_LINK, NULL);
    g_auto(GStrv) parts = g_strsplit_set(link ? link : "", "[]", 3);
    if (g_strv_length(parts) == 3 && num_parse_int(parts[1], 0, INT64_MAX, ret, NULL))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_IO, "cannot read %s", NAMESPACE_LINK);
    return false;
}

bool container_owner_self(struct container_owner *ret, GError **error)
{
    char state;
    *ret = (struct container_owner){.pid = getpid()};
    return read_boot_id(ret->boot_id, sizeof ret->boot_id, error) && read_namespace(&ret->pid_namespace, error) &&
           read_start(ret->pid, &state, &ret->start_ticks, error);
}

char *container_owner_text(const struct container_owner *owner)
{
    return g_strdup_printf("%s:%" PRId64 ":%" PRId64 ":%" PRId64, owner->boot_id, owner->pid, owner->start_ticks,
                           owner->pid_namespace);
}

bool container_owner_parse(const char *text, struct container_owner *ret)
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ":", 5);
    *ret = (struct container_owner){.pid = 0};
    if (g_strv_length(parts) != 4 || !parts[0][0] || strlen(parts[0]) >= sizeof ret->boot_id)
        return false;
    g_strlcpy(ret->boot_id, parts[0], sizeof ret->boot_id);
    return num_parse_int(parts[1], 1, INT32_MAX, &ret->pid, NULL) &&
           num_parse_int(parts[2], 0, INT64_MAX, &ret->start_ticks, NULL) &&
           num_parse_int(parts[3], 0, INT64_MAX, &ret->pid_namespace, NULL);
}

/* /proc may hide other users' processes; a signal that is not sent finds them all the same. */
static enum container_owner_state state_of_pid(const struct container_owner *owner)
{
    char state;
    int64_t ticks;
    if (read_start(owner->pid, &state, &ticks, NULL)) /* a pid that is used again has another start */
        return ticks == owner->start_ticks && state != 'Z' ? CONTAINER_OWNER_ALIVE : CONTAINER_OWNER_DEAD;
    return kill((pid_t)owner->pid, 0) != 0 && errno == ESRCH ? CONTAINER_OWNER_DEAD : CONTAINER_OWNER_UNKNOWN;
}

enum container_owner_state container_owner_state(const char *label)
{
    struct container_owner owner, self;
    if (!container_owner_parse(label, &owner) || !container_owner_self(&self, NULL))
        return CONTAINER_OWNER_UNKNOWN;
    if (strcmp(owner.boot_id, self.boot_id) != 0)
        return CONTAINER_OWNER_DEAD;
    return owner.pid_namespace == self.pid_namespace ? state_of_pid(&owner) : CONTAINER_OWNER_UNKNOWN;
}

static void add_label(GPtrArray *labels, const char *name, const char *value)
{
    if (value)
        g_ptr_array_add(labels, g_strdup_printf("%s=%s", name, value));
}

bool container_add_labels(GPtrArray *labels, const char *study, const char *config, GError **error)
{
    struct container_owner owner;
    g_autofree char *uid = g_strdup_printf("%u", (unsigned)getuid());
    if (!container_owner_self(&owner, error))
        return false;
    g_autofree char *text = container_owner_text(&owner);
    add_label(labels, CONTAINER_LABEL_RUN, "1");
    add_label(labels, CONTAINER_LABEL_STUDY, study);
    add_label(labels, CONTAINER_LABEL_CONFIG, config);
    add_label(labels, CONTAINER_LABEL_OWNER, text);
    add_label(labels, CONTAINER_LABEL_USER, uid);
    return true;
}
