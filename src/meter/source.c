/* SPDX-License-Identifier: MIT */
/* What all sources share: channels with their strings, files below the sysroot, the look for counters that stand
 * still. */
#include "meter/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SYSFS_TEXT_BYTES 4096 /* sysfs shows at most a page */

void source_init(struct meter_source *source, const struct meter_ops *ops)
{
    source->ops = ops;
    source->channels = g_array_new(FALSE, TRUE, sizeof(struct meter_channel));
    source->strings = g_string_chunk_new(512);
}

void source_free(struct meter_source *source)
{
    source->ops->close(source);
    g_array_unref(source->channels);
    g_string_chunk_free(source->strings);
    g_free(source->remark);
    g_free(source);
}

const char *source_string(struct meter_source *source, const char *text)
{
    return text ? g_string_chunk_insert_const(source->strings, text) : NULL;
}

size_t source_add(struct meter_source *source, const struct meter_channel *channel)
{
    struct meter_channel copy = *channel;
    copy.source = source->ops->name;
    copy.id = source_string(source, channel->id);
    copy.device = source_string(source, channel->device);
    copy.label = source_string(source, channel->label ? channel->label : channel->device);
    copy.scope = source_string(source, channel->scope);
    copy.raw_unit = source_string(source, channel->raw_unit);
    copy.sensor_class = source_string(source, channel->sensor_class);
    copy.reason = source_string(source, channel->reason);
    if (copy.low_ratio == 0 && copy.high_ratio == 0)
        copy.low_ratio = copy.high_ratio = 1;
    g_array_append_val(source->channels, copy);
    return source->channels->len - 1;
}

struct meter_channel *source_channel(struct meter_source *source, size_t index)
{
    return &g_array_index(source->channels, struct meter_channel, index);
}

void source_absent(struct meter_source *source, size_t index, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    struct meter_channel *channel = source_channel(source, index);
    channel->status = QUANTITY_ABSENT;
    channel->reason = source_string(source, text);
}

enum quantity_status sysfs_status(const struct meter_context *context)
{
    g_autofree char *mark = g_build_filename(context->sysroot, METER_SIMULATED_ROOT, NULL);
    return *context->sysroot && access(mark, F_OK) == 0 ? QUANTITY_SIMULATED : QUANTITY_MEASURED;
}

char *sysfs_text(const struct meter_context *context, const char *path)
{
    g_autofree char *full = g_strconcat(context->sysroot, path, NULL);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char buffer[SYSFS_TEXT_BYTES];
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    int saved = errno;
    close(fd);
    errno = saved;
    if (n < 0)
        return NULL;
    buffer[n] = '\0';
    return g_strdup(g_strchomp(buffer));
}

enum meter_read_status sysfs_read_int(const char *path, int64_t *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char buffer[64];
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return saved == EACCES || saved == EPERM                      ? METER_READ_NO_PERMISSION
               : saved == ENOENT || saved == ENODEV || saved == ENXIO ? METER_READ_LOST
                                                                      : METER_READ_ERROR;
    buffer[n] = '\0';
    char *end = buffer;
    errno = 0;
    int64_t value = g_ascii_strtoll(buffer, &end, 10);
    while (*end == '\n' || *end == ' ')
        end++;
    if (errno || end == buffer || *end)
        return METER_READ_ERROR;
    *ret = value;
    return METER_READ_OK;
}

char *sysfs_reason(const char *path, int error_number, const char *remedy)
{
    return g_strdup_printf("cannot read %s: %s%s%s", path, g_strerror(error_number), remedy ? "; " : "",
                           remedy ? remedy : "");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **sysfs_list(const struct meter_context *context, const char *path)
{
    g_autofree char *full = g_strconcat(context->sysroot, path, NULL);
    GPtrArray *names = g_ptr_array_new();
    GDir *dir = g_dir_open(full, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    if (dir)
        g_dir_close(dir);
    if (names->len)
        qsort(names->pdata, names->len, sizeof(char *), compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

/* Reads every channel of the source once; the readings of absent ones stay NONE. */
static void read_once(struct meter_source *source, struct meter_reading *readings)
{
    memset(readings, 0, source->channels->len * sizeof *readings);
    source->ops->read(source, METER_ALL_RATES, readings);
}

static bool all_moved(const struct meter_reading *first, const struct meter_reading *last, const size_t *indices,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = indices[i];
        if (first[at].status == METER_READ_OK && last[at].status == METER_READ_OK &&
            first[at].raw == last[at].raw)
            return false;
    }
    return true;
}

void source_check_moving(struct meter_source *source, const size_t *indices, size_t count, int64_t wait_ns)
{
    if (!count)
        return;
    g_autofree struct meter_reading *first = g_new0(struct meter_reading, source->channels->len);
    g_autofree struct meter_reading *last = g_new0(struct meter_reading, source->channels->len);
    read_once(source, first);
    int64_t end_ns = clock_mono_ns() + wait_ns;
    do {
        read_once(source, last);
    } while (!all_moved(first, last, indices, count) && clock_mono_ns() < end_ns);
    for (size_t i = 0; i < count; i++) {
        size_t at = indices[i];
        struct meter_channel *channel = source_channel(source, at);
        if (channel->status == QUANTITY_ABSENT)
            continue;
        if (first[at].status == METER_READ_NO_PERMISSION)
            source_absent(source, at, "no permission to read it");
        else if (first[at].status != METER_READ_OK || last[at].status != METER_READ_OK)
            source_absent(source, at, "it cannot be read (%s)", meter_read_name(last[at].status));
        else if (first[at].raw == last[at].raw)
            source_absent(source, at,
                          "stuck: the counter reads %" G_GINT64_FORMAT " %s and did not move for %.0f ms; virtual "
                          "machines often expose it without a sensor behind it. Measure on the host",
                          last[at].raw, channel->raw_unit, (double)wait_ns * 1e-6);
    }
}
