/* SPDX-License-Identifier: MIT */
/* Who holds memory of a board: names and users of the processes that the driver lists. */
#include "boards/internal.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMED_MAX 5 /* in a line for people; the record has all */

#define GONE "it ended meanwhile, or is in a pid namespace that is not seen from here"

/* NULL: it is not to be seen. New string. */
static char *name_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *text = file_read(path, 4096, NULL, NULL);
    return text ? g_utf8_make_valid(g_strstrip(text), -1) : NULL;
}

/* Its user's name, or number where that has none; NULL: it is not to be seen. New string. */
static char *user_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", (int)pid);
    struct stat st;
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (stat(path, &st) != 0)
        return NULL;
    if (getpwuid_r(st.st_uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
        return g_utf8_make_valid(entry.pw_name, -1);
    return g_strdup_printf("%u", (unsigned)st.st_uid);
}

static void set_text(json_t *tree, const char *key, const char *text)
{
    if (text)
        json_object_set_new(tree, key, json_string(text));
    else
        jsonx_set_null(tree, key, GONE);
}

json_t *holders_json(const struct meter_gpu_use *seen)
{
    json_t *list = json_array();
    for (size_t i = 0; i < seen->holder_count; i++) {
        const struct meter_gpu_holder *h = &seen->holders[i];
        g_autofree char *name = name_of(h->pid), *user = user_of(h->pid);
        json_t *tree = json_pack("{s:i}", "pid", (int)h->pid);
        set_text(tree, "name", name);
        set_text(tree, "user", user);
        if (h->bytes >= 0)
            json_object_set_new(tree, "bytes", json_integer(h->bytes));
        else
            jsonx_set_null(tree, "bytes", "the driver does not say");
        json_array_append_new(list, tree);
    }
    return list;
}

char *holders_megabytes(int64_t bytes)
{
    double mb = (double)bytes / 1e6;
    return bytes >= 10000000 || bytes % 1000000 == 0 ? g_strdup_printf("%.0f MB", mb) : g_strdup_printf("%.1f MB", mb);
}

static void append_holder(GString *text, const struct meter_gpu_holder *h)
{
    g_autofree char *name = name_of(h->pid), *user = user_of(h->pid), *bytes = holders_megabytes(h->bytes);
    g_string_append_printf(text, "%s%s (pid %d", text->len ? ", " : "by ", name ? name : "a process", (int)h->pid);
    if (user)
        g_string_append_printf(text, " of %s", user);
    g_string_append_printf(text, "%s%s)", h->bytes >= 0 ? ", " : "", h->bytes >= 0 ? bytes : "");
}

char *holders_text(const struct meter_gpu_use *seen)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < MIN(seen->holder_count, NAMED_MAX); i++)
        append_holder(text, &seen->holders[i]);
    if (seen->holder_count > NAMED_MAX)
        g_string_append_printf(text, " and %zu more", seen->holder_count - NAMED_MAX);
    if (!seen->holder_count)
        g_string_append(text, seen->holders_known ? "by no process that the driver names"
                                                  : "by whom cannot be told: ");
    if (!seen->holder_count && !seen->holders_known)
        g_string_append(text, seen->holders_reason);
    return g_string_free(text, FALSE);
}
