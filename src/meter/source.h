/* SPDX-License-Identifier: MIT */
/*
 * Inside of the room: what a source is to meter.c. A new source is one file that defines `const struct meter_ops
 * meter_NAME` and one row in base/sources.h.
 */
#pragma once

#include "meter/meter.h"

struct meter_context {
    const struct meter_options *options;
    const char *sysroot; /* "" or a folder, never NULL */
};

struct meter_ops;

/* The head of every source's own struct. */
struct meter_source {
    const struct meter_ops *ops;
    GArray *channels;      /* struct meter_channel */
    GStringChunk *strings; /* owns what the channels point to */
    char *remark;          /* NULL, or what to know about it though it is open */
};

struct meter_ops {
    const char *name; /* as in its row */
    const struct meter_class *classes; /* of its channels that give joules, ended by a NULL name; NULL: others' */
    const struct meter_scope *scopes;  /* that only it has, ended by a NULL name; NULL: none beside meter_scopes[] */
    /* Required. Cheap look whether there is anything to open; false with a reason in words to act on. */
    bool (*probe)(const struct meter_context *context, char **ret_reason);
    /* Required. NULL with a reason (nothing usable) or with an error (the options are wrong). Channels that cannot be
     * read are ABSENT with a reason, not left out. */
    struct meter_source *(*open)(const struct meter_context *context, char **ret_reason, GError **error);
    /* Required. Fills readings[own channel] for the channels of these rates that are not ABSENT; others stay as they
     * are. Called with disjoint rates from two threads at once. No allocation. */
    void (*read)(struct meter_source *source, unsigned rates, struct meter_reading *readings);
    /* Required. Reads one own channel that is not ABSENT, into a zeroed reading. Called from any thread, also while
     * others read the same channel by this or by `read`. No allocation. */
    void (*read_one)(struct meter_source *source, size_t index, struct meter_reading *ret);
    /* Required. Frees what open made, but for the head. */
    void (*close)(struct meter_source *source);
    /* Optional. The engine's processes. */
    void (*set_pids)(struct meter_source *source, const pid_t *pids, size_t count);
    /* Optional. GPUs. */
    json_t *(*facts)(struct meter_source *source);
    /* Appends its struct meter_gpu_board. */
    void (*boards)(struct meter_source *source, GArray *ret);
    const char *variable; /* of the environment, by which programs are given boards of this kind; NULL: there is none */
    /* What a value of it leaves of boards (struct meter_gpu_board): adds to ret, whose texts are static. */
    void (*visible)(const GArray *boards, const char *value, struct meter_gpu_visible *ret);
    bool (*memory)(struct meter_source *source, const char *uuid, struct meter_gpu_memory *ret, GError **error);
    bool (*use)(struct meter_source *source, const char *uuid, struct meter_gpu_use *ret, GError **error);
    /* Optional. Of the hottest CPU package here and now, °C; NaN: nothing shows it. Nothing need be open. */
    double (*cpu_temperature)(const struct meter_context *context);
};

extern const struct meter_scope meter_scopes[]; /* the rows of METER_SCOPE_…, ended by a NULL name */

#define X(name, flags, summary, choice) extern const struct meter_ops meter_##name;
SOURCE_ROWS(X)
#undef X

/* Prepares the head of a zeroed source. */
void source_init(struct meter_source *source, const struct meter_ops *ops);
/* Closes a source and frees it with its head. */
void source_free(struct meter_source *source);
/* Adds a channel; copies its strings. Returns its index. low_ratio and high_ratio 0 become 1. */
size_t source_add(struct meter_source *source, const struct meter_channel *channel);
struct meter_channel *source_channel(struct meter_source *source, size_t index);
/* Makes a channel absent. */
void source_absent(struct meter_source *source, size_t index, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* A copy of a string that lives as long as the source. */
const char *source_string(struct meter_source *source, const char *text);

/* What a value of a file below the sysroot is: measured, unless the sysroot says of itself that it is simulated. */
enum quantity_status sysfs_status(const struct meter_context *context);
/* Files below the sysroot. The whole (small) text without trailing blanks, or NULL with errno. New string. */
char *sysfs_text(const struct meter_context *context, const char *path);
/* One integer, read anew; status says how it went. No allocation. path is absolute, sysroot included. */
enum meter_read_status sysfs_read_int(const char *path, int64_t *ret);
/* "cannot read PATH: Permission denied" and what to do about it. New string. */
char *sysfs_reason(const char *path, int error_number, const char *remedy);
/* True if a source of an open meter tells of its devices in meter_gpu_facts(). */
bool meter_source_has_facts(const struct meter *meter, size_t index);
/* The folder before /sys and /proc of an open meter, "" for none. */
const char *meter_sysroot(const struct meter *meter);
/* Names in a folder below the sysroot, sorted; empty when it is not there. NULL-terminated, new. */
char **sysfs_list(const struct meter_context *context, const char *path);

/*
 * Makes absent the cumulative channels among count indices that stand still. Spins for at most wait_ns, which also
 * keeps the CPU drawing power. One that shows another's values is found over the whole trace (room energy).
 */
void source_check_moving(struct meter_source *source, const size_t *indices, size_t count, int64_t wait_ns);
