/* SPDX-License-Identifier: MIT */
/*
 * replay: a recorded trace played again in real time, from the moment it is opened. Values carry the status they were
 * recorded with. After its end every reading is LOST: a recording that is over says nothing.
 */
#include "meter/source.h"

struct track {
    GArray *points;
};

struct replay {
    struct meter_source head;
    struct meter_trace *trace;
    GArray *tracks;     /* struct track, parallel to the channels */
    int64_t shift_ns;   /* now − recorded time */
    int64_t end_ns;     /* recorded time of the last reading */
};

static bool replay_probe(const struct meter_context *context, char **ret_reason)
{
    if (context->options->replay_path)
        return true;
    *ret_reason = g_strdup("no trace was named: give the path of a trace.csv.gz");
    return false;
}

static void add_track(struct replay *replay, size_t index, int64_t *first_ns)
{
    struct meter_channel channel = *meter_trace_channel_at(replay->trace, index);
    g_autofree char *id = g_strconcat("replay:", channel.id, NULL);
    channel.id = id;
    channel.wrap = 0; /* points are unwrapped already */
    source_add(&replay->head, &channel);
    struct track track = {.points = meter_trace_series(replay->trace, index, INT64_MIN, INT64_MAX)};
    if (track.points->len) {
        const struct meter_point *p = (const struct meter_point *)(void *)track.points->data;
        *first_ns = MIN(*first_ns, p->first_ns);
        replay->end_ns = MAX(replay->end_ns, p[track.points->len - 1].last_ns);
    }
    g_array_append_val(replay->tracks, track);
}

static struct meter_source *replay_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)ret_reason;
    struct meter_trace *trace = meter_trace_load(context->options->replay_path, error);
    if (!trace)
        return NULL;
    struct replay *replay = g_new0(struct replay, 1);
    source_init(&replay->head, &meter_replay);
    replay->trace = trace;
    replay->tracks = g_array_new(FALSE, FALSE, sizeof(struct track));
    int64_t first_ns = INT64_MAX;
    for (size_t i = 0; i < meter_trace_channel_count(trace); i++)
        add_track(replay, i, &first_ns);
    replay->shift_ns = clock_mono_ns() - (first_ns == INT64_MAX ? 0 : first_ns);
    replay->head.remark = g_strdup_printf("plays %s", context->options->replay_path);
    return &replay->head;
}

/* How many points of a track have begun at t_ns. No state: any thread may ask. */
static guint points_begun(const struct track *track, int64_t t_ns)
{
    guint low = 0, high = track->points->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (g_array_index(track->points, struct meter_point, middle).first_ns <= t_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void replay_read_one(struct meter_source *source, size_t index, struct meter_reading *r)
{
    const struct replay *replay = (const struct replay *)source;
    const struct track *track = &g_array_index(replay->tracks, struct track, index);
    r->before_ns = clock_mono_ns();
    int64_t t_ns = r->before_ns - replay->shift_ns;
    guint begun = points_begun(track, t_ns);
    if (t_ns > replay->end_ns) {
        r->status = METER_READ_LOST;
    } else if (begun == 0) {
        r->status = METER_READ_NOT_READY;
    } else {
        const struct meter_point *p = &g_array_index(track->points, struct meter_point, begun - 1);
        r->status = p->status;
        r->raw = p->raw;
    }
    r->after_ns = clock_mono_ns();
}

static void replay_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    for (size_t i = 0; i < source->channels->len; i++) {
        const struct meter_channel *channel = source_channel(source, i);
        if (channel->status != QUANTITY_ABSENT && (channel->rate & rates))
            replay_read_one(source, i, &readings[i]);
    }
}

static void replay_close(struct meter_source *source)
{
    struct replay *replay = (struct replay *)source;
    for (size_t i = 0; i < replay->tracks->len; i++)
        g_array_unref(g_array_index(replay->tracks, struct track, i).points);
    g_array_unref(replay->tracks);
    meter_trace_free(replay->trace);
}

const struct meter_ops meter_replay = {
    .name = "replay",
    .probe = replay_probe,
    .open = replay_open,
    .read = replay_read,
    .read_one = replay_read_one,
    .close = replay_close,
};
