/* SPDX-License-Identifier: MIT */
/* What adapter.c (lines, messages) and batch.c (prepare, generate) share. */
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
};

bool adapter_on_prepare(struct adapter *a, const json_t *request, json_t *reply);
bool adapter_on_generate(struct adapter *a, const json_t *request, json_t *reply);
void adapter_forget_batches(struct adapter *a);
void adapter_batch_free(gpointer batch);
