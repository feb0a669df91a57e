/* SPDX-License-Identifier: MIT */
/*
 * What the files of an adapter's library share. Each calls only those before it:
 *
 *   refuse.c   errors, unknown keys, types of members
 *   options.c  the rows of options
 *   batch.c    prepare, generate and collect
 *   adapter.c  lines in, messages, lines out
 */
#pragma once

#include "common/adapter.h"

#define ADAPTER_PROTOCOL 1

struct adapter {
    const struct adapter_ops *ops;
    void *state;
    int fd;
    struct line_reader in;
    json_t *defaults; /* option → default */
    bool greeted, loaded;
    bool end; /* shutdown or the end of the socket: leave the loop */

    /* the error to answer with; class NULL: none */
    const char *fail_class;
    char *fail_message;
    bool fail_oom;
    json_t *unknown_keys;

    /* an abort or shutdown that came in the middle: its id, answered after the request it stopped */
    json_t *stop_id;
    bool stop_is_shutdown;

    GPtrArray *batches; /* struct adapter_batch *, prepared and not used yet */
    size_t n_requests;  /* in them */
    GPtrArray *done;    /* struct adapter_batch *, generated and not collected yet */
};

/* --- refuse.c --------------------------------------------------------------------------------------------------- */

/* Fails with UnknownKey for the names collected in unknown (taken over), if any. */
bool adapter_refuse_keys(struct adapter *a, json_t *unknown, const char *part);
/* "integer": the word of the schema message. */
const char *adapter_type_name(enum adapter_type type);
/* Fails with BadValue "WHAT must be an integer, not a string". */
bool adapter_check_type(struct adapter *a, const json_t *value, enum adapter_type type, const char *what);

struct adapter_member {
    const char *name;
    enum adapter_type type;
    bool required;
};
/* Holds an object to its rows: unknown keys, missing members, types. null counts as absent. */
bool adapter_check_members(struct adapter *a, const json_t *object, const char *part,
                           const struct adapter_member *rows, size_t n);

/* --- options.c -------------------------------------------------------------------------------------------------- */

/* {"name": default} of the rows. New reference. */
json_t *adapter_option_defaults(const struct adapter_option *rows);
/* The row as the schema message has it. New reference. */
json_t *adapter_option_json(const struct adapter_option *row, json_t *initial);
/* Holds the options of a load to the rows. */
bool adapter_check_options(struct adapter *a, const json_t *options);

/* --- batch.c ---------------------------------------------------------------------------------------------------- */

bool adapter_on_prepare(struct adapter *a, const json_t *request, json_t *reply);
bool adapter_on_generate(struct adapter *a, const json_t *request, json_t *reply);
bool adapter_on_collect(struct adapter *a, const json_t *request, json_t *reply);
void adapter_forget_batches(struct adapter *a);
void adapter_batch_free(gpointer batch);
