/* SPDX-License-Identifier: MIT */
/* The trace file: CSV through zlib, both ways. Rows are formatted by hand: the writer runs beside the measurement. */
#include "meter/trace.h"

#include "meter/series.h"
#include "meter/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define COLUMNS "t_mono_ns,t_wall_ns,read_ns,channel,value,status"
#define HEADER  COLUMNS "\n"
#define CHUNK  (64 << 10)

struct trace_writer {
    char *path, *temp;
    int fd;
    gzFile gz;
    int error_number; /* of the first failure; 0: none */
    size_t used;
    char buffer[CHUNK];
};

struct trace_writer *trace_writer_new(const char *path, GError **error)
{
    g_autofree char *temp = g_strdup_printf("%s.%d.tmp", path, (int)getpid());
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        file_error(error, "cannot create the trace", temp);
        return NULL;
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* zlib closes the one it is given; fsync wants one after that */
    gzFile gz = copy < 0 ? NULL : gzdopen(copy, "wb1"); /* level 1: the cheapest that still shrinks it sixfold */
    if (!gz) {
        file_error(error, "cannot open the trace", temp);
        close(fd);
        unlink(temp);
        return NULL;
    }
    struct trace_writer *writer = g_new0(struct trace_writer, 1);
    writer->path = g_strdup(path);
    writer->temp = g_steal_pointer(&temp);
    writer->fd = fd;
    writer->gz = gz;
    memcpy(writer->buffer, HEADER, strlen(HEADER));
    writer->used = strlen(HEADER);
    return writer;
}

static void flush_rows(struct trace_writer *writer)
{
    if (!writer->error_number && writer->used) {
        errno = 0;
        if (gzwrite(writer->gz, writer->buffer, (unsigned)writer->used) != (int)writer->used)
            writer->error_number = errno ? errno : EIO;
    }
    writer->used = 0;
}

static void put(struct trace_writer *writer, const char *text, size_t length)
{
    if (writer->used + length > sizeof writer->buffer)
        flush_rows(writer);
    if (length > sizeof writer->buffer)
        return; /* channels and marks are bounded far below */
    memcpy(writer->buffer + writer->used, text, length);
    writer->used += length;
}

static void put_text(struct trace_writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static void put_int(struct trace_writer *writer, int64_t value, char after)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = after;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *--at = '-';
    put(writer, at, (size_t)(digits + sizeof digits - at));
}

/* Quoted where CSV needs it. */
static void put_field(struct trace_writer *writer, const char *text)
{
    if (!text[strcspn(text, ",\"\n\r")]) {
        put_text(writer, text);
        return;
    }
    put(writer, "\"", 1);
    for (const char *c = text; *c; c++)
        put(writer, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    put(writer, "\"", 1);
}

void trace_writer_channel(struct trace_writer *writer, const struct meter_channel *channel)
{
    json_t *tree = meter_channel_json(channel);
    json_object_set_new(tree, "rate", json_integer(channel->rate));
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    json_decref(tree);
    put_text(writer, "0,0,0,");
    put_field(writer, channel->id);
    put_text(writer, ",");
    put_field(writer, text);
    put_text(writer, ",channel\n");
}

void trace_writer_reading(struct trace_writer *writer, const struct clock_anchor *anchor, const char *channel,
                          const struct meter_reading *reading)
{
    int64_t length_ns = reading->after_ns - reading->before_ns;
    int64_t t_ns = reading->before_ns + length_ns / 2;
    put_int(writer, t_ns, ',');
    put_int(writer, clock_anchor_wall_ns(anchor, t_ns), ',');
    put_int(writer, length_ns, ',');
    put_field(writer, channel);
    put_text(writer, ",");
    if (reading->status == METER_READ_OK)
        put_int(writer, reading->raw, ',');
    else
        put_text(writer, ",");
    put_text(writer, meter_read_name(reading->status));
    put_text(writer, "\n");
}

void trace_writer_mark(struct trace_writer *writer, const struct clock_anchor *anchor, const char *name, int64_t t_ns)
{
    put_int(writer, t_ns, ',');
    put_int(writer, clock_anchor_wall_ns(anchor, t_ns), ',');
    put_text(writer, "0,mark,");
    put_field(writer, name);
    put_text(writer, ",mark\n");
}

bool trace_writer_close(struct trace_writer *writer, GError **error)
{
    flush_rows(writer);
    errno = 0;
    if (gzclose(writer->gz) != Z_OK && !writer->error_number)
        writer->error_number = errno ? errno : EIO;
    if (!writer->error_number && fsync(writer->fd) != 0)
        writer->error_number = errno;
    close(writer->fd);
    if (!writer->error_number && rename(writer->temp, writer->path) != 0)
        writer->error_number = errno;
    errno = writer->error_number;
    bool ok = !writer->error_number || file_error(error, "cannot write the trace", writer->path);
    if (ok) {
        g_autofree char *folder = g_path_get_dirname(writer->path);
        ok = file_sync_dir(folder, error);
    } else {
        unlink(writer->temp);
    }
    g_free(writer->path);
    g_free(writer->temp);
    g_free(writer);
    return ok;
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

struct recorded {
    struct meter_channel channel;
    json_t *json; /* owns the strings */
    struct series series;
};

struct meter_trace {
    GPtrArray *channels; /* struct recorded */
    GHashTable *by_id;
    GArray *marks; /* struct sampler_mark */
    GStringChunk *names;
};

static void recorded_free(gpointer data)
{
    struct recorded *r = data;
    json_decref(r->json);
    series_clear(&r->series);
    g_free(r);
}

void meter_trace_free(struct meter_trace *trace)
{
    if (!trace)
        return;
    g_hash_table_unref(trace->by_id);
    g_ptr_array_unref(trace->channels);
    g_array_unref(trace->marks);
    g_string_chunk_free(trace->names);
    g_free(trace);
}

static bool fail(GError **error, const char *path, int64_t row, const char *what)
{
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: row %" G_GINT64_FORMAT ": %s", path, row, what);
    return false;
}

/* Splits one row in place into six fields, quotes undone. */
static bool split_row(char *line, char *fields[6])
{
    char *in = line;
    for (int i = 0; i < 6; i++) {
        char *out = in;
        fields[i] = out;
        if (*in == '"') {
            in++;
            while (*in && !(in[0] == '"' && in[1] != '"')) {
                in += *in == '"';
                *out++ = *in++;
            }
            if (*in++ != '"')
                return false;
        } else {
            while (*in && *in != ',')
                *out++ = *in++;
        }
        char end = *in;
        *out = '\0';
        if (end != (i < 5 ? ',' : '\0'))
            return false;
        in++;
    }
    return true;
}

static bool add_channel(struct meter_trace *trace, const char *text, GError **error)
{
    if (trace->channels->len >= LIMIT_TRACE_CHANNELS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "more than %d channels", LIMIT_TRACE_CHANNELS);
        return false;
    }
    g_autoptr(json_t) tree = jsonx_parse(text, -1, "channel", error);
    struct meter_channel channel;
    if (!tree || !meter_channel_parse(tree, &channel, error))
        return false;
    if (g_hash_table_contains(trace->by_id, channel.id)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "channel %s is described twice", channel.id);
        return false;
    }
    struct recorded *r = g_new0(struct recorded, 1);
    r->channel = channel;
    r->json = json_incref(tree);
    series_init(&r->series);
    g_ptr_array_add(trace->channels, r);
    g_hash_table_insert(trace->by_id, (gpointer)(uintptr_t)r->channel.id, r);
    return true;
}

/* Runs of a trace break where the recording shows a gap of a second, a choice: its step is not known here. */
#define TRACE_BREAK_NS NS_PER_S

static bool absorb_row(struct meter_trace *trace, char *fields[6], GError **error)
{
    if (!strcmp(fields[5], "channel"))
        return add_channel(trace, fields[4], error);
    int64_t t_ns, read_ns, raw = 0;
    if (!num_parse_int(fields[0], 0, INT64_MAX / 2, &t_ns, error) ||
        !num_parse_int(fields[2], 0, INT64_MAX / 4, &read_ns, error))
        return false;
    if (!strcmp(fields[5], "mark")) {
        struct sampler_mark mark = {.name = g_string_chunk_insert(trace->names, fields[4]), .t_ns = t_ns};
        g_array_append_val(trace->marks, mark);
        return true;
    }
    struct recorded *r = g_hash_table_lookup(trace->by_id, fields[3]);
    int status = meter_read_from_name(fields[5]);
    if (!r || status <= METER_READ_NONE) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s '%s' is unknown", r ? "status" : "channel",
                    r ? fields[5] : fields[3]);
        return false;
    }
    if (status == METER_READ_OK && !num_parse_int(fields[4], INT64_MIN / 4, INT64_MAX / 4, &raw, error))
        return false;
    struct meter_reading reading = {.before_ns = t_ns - read_ns / 2, .raw = raw,
                                    .status = (enum meter_read_status)status};
    reading.after_ns = reading.before_ns + read_ns;
    series_absorb(&r->series, &r->channel, &reading, TRACE_BREAK_NS);
    return true;
}

static bool load_rows(struct meter_trace *trace, gzFile gz, const char *path, GError **error)
{
    g_autofree char *line = g_malloc(LIMIT_TRACE_LINE);
    for (int64_t row = 1; gzgets(gz, line, LIMIT_TRACE_LINE); row++) {
        size_t length = strlen(line);
        if (!length || line[length - 1] != '\n')
            return fail(error, path, row, "it is cut off, or longer than a trace's row can be");
        if (row > LIMIT_TRACE_ROWS)
            return fail(error, path, row, "more rows than the limit");
        if (row == 1) {
            if (strcmp(line, HEADER) != 0)
                return fail(error, path, row, "this is not the header of a trace: expected " COLUMNS);
            continue;
        }
        line[length - 1] = '\0';
        char *fields[6];
        if (!split_row(line, fields))
            return fail(error, path, row, "it does not have six columns");
        if (!absorb_row(trace, fields, error)) {
            g_prefix_error(error, "%s: row %" G_GINT64_FORMAT ": ", path, row);
            return false;
        }
    }
    int code;
    const char *message = gzerror(gz, &code);
    if (code < 0 && code != Z_BUF_ERROR) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: %s", path, message);
        return false;
    }
    if (code == Z_BUF_ERROR || !gzeof(gz)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the file is cut off", path);
        return false;
    }
    return true;
}

struct meter_trace *meter_trace_load(const char *path, GError **error)
{
    gzFile gz = gzopen(path, "rbe");
    if (!gz) {
        file_error(error, "cannot open the trace", path);
        return NULL;
    }
    struct meter_trace *trace = g_new0(struct meter_trace, 1);
    trace->channels = g_ptr_array_new_with_free_func(recorded_free);
    trace->by_id = g_hash_table_new(g_str_hash, g_str_equal);
    trace->marks = g_array_new(FALSE, FALSE, sizeof(struct sampler_mark));
    trace->names = g_string_chunk_new(256);
    bool ok = load_rows(trace, gz, path, error);
    gzclose(gz);
    if (ok && trace->channels->len == 0) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s: the trace has no channel", path);
        ok = false;
    }
    if (ok)
        return trace;
    meter_trace_free(trace);
    return NULL;
}

size_t meter_trace_channel_count(const struct meter_trace *trace)
{
    return trace->channels->len;
}

const struct meter_channel *meter_trace_channel_at(const struct meter_trace *trace, size_t index)
{
    return &((const struct recorded *)trace->channels->pdata[index])->channel;
}

GArray *meter_trace_series(const struct meter_trace *trace, size_t channel, int64_t from_ns, int64_t to_ns)
{
    return series_copy(&((const struct recorded *)trace->channels->pdata[channel])->series, from_ns, to_ns);
}

size_t meter_trace_mark_count(const struct meter_trace *trace)
{
    return trace->marks->len;
}

struct sampler_mark meter_trace_mark_at(const struct meter_trace *trace, size_t index)
{
    return g_array_index(trace->marks, struct sampler_mark, index);
}
