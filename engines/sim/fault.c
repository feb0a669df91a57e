/* SPDX-License-Identifier: MIT */
/* Everything that can go wrong with an engine, on request. */
#include "sim/sim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum sim_fault sim_fault_now(const struct sim *sim)
{
    return sim->loaded && sim->script.fail ? (enum sim_fault)sim->script.fail : sim->early;
}

static void crash(void)
{
    fprintf(stderr, "sim: a segmentation fault on request\n");
    fflush(NULL);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* no core file is wanted */
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void hang(bool hard)
{
    fprintf(stderr, "sim: hanging on request\n");
    fflush(NULL);
    if (hard)
        signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

/* Returns when the child is what it is meant to be, however late it gets to run. */
static void leave_child(bool daemon_of_its_own)
{
    int ready[2];
    char none;
    if (pipe(ready) != 0)
        return;
    if (fork() != 0) {
        close(ready[1]);
        while (read(ready[0], &none, 1) < 0 && errno == EINTR)
            continue; /* the end of the pipe is the word */
        close(ready[0]);
        return;
    }
    if (daemon_of_its_own) {
        setsid();
        signal(SIGTERM, SIG_IGN);
    }
    close(ready[0]);
    close(ready[1]);
    for (;;)
        pause();
}

void fault_flood(const struct sim *sim)
{
    char line[256];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    size_t n = (size_t)(sim->script.log_mib * 1048576 / sizeof line);
    for (size_t i = 0; i < n; i++)
        fwrite(line, 1, sizeof line, stderr);
    fprintf(stderr, "sim: end of the flood\n");
}

bool fault_at_load(struct adapter *adapter, struct sim *sim)
{
    switch (sim->script.fail ? (enum sim_fault)sim->script.fail : sim->early) {
    case SIM_FAULT_load_error:
        fprintf(stderr, "sim: about to fail in load\n");
        return adapter_fail(adapter, "SimLoadError", "the script asked for a load error");
    case SIM_FAULT_load_oom:
        return adapter_fail_oom(adapter, "cannot allocate 42.0 GiB for the weights (the script asked for it)");
    case SIM_FAULT_load_crash:
        crash();
        return false;
    case SIM_FAULT_load_hang:
        hang(false);
        return false;
    case SIM_FAULT_leave_child:
        leave_child(false);
        return true;
    case SIM_FAULT_leave_daemon:
        leave_child(true);
        return true;
    case SIM_FAULT_no_term:
        signal(SIGTERM, SIG_IGN);
        return true;
    default:
        return true;
    }
}

bool fault_at_token(struct adapter *adapter, struct sim *sim)
{
    enum sim_fault fault = sim_fault_now(sim);
    int64_t at = sim->script.fail ? sim->script.fail_at : sim->early_at;
    if (fault == SIM_FAULT_none || sim->n_emitted != at)
        return true;
    switch (fault) {
    case SIM_FAULT_generate_error:
        return adapter_fail(adapter, "SimError", "the script asked for an error at token %lld", (long long)at);
    case SIM_FAULT_generate_oom:
        return adapter_fail_oom(adapter, "KV cache: cannot allocate 1.0 GiB (the script asked for it)");
    case SIM_FAULT_crash:
        crash();
        return false;
    case SIM_FAULT_exit:
        fprintf(stderr, "sim: leaving with status 3 on request\n");
        fflush(NULL);
        _exit(3);
    case SIM_FAULT_hang:
    case SIM_FAULT_hang_hard:
        hang(fault == SIM_FAULT_hang_hard);
        return false;
    case SIM_FAULT_early_eof:
        fprintf(stderr, "sim: closing the socket on request\n");
        fflush(NULL);
        adapter_close_socket(adapter);
        for (;;)
            pause();
    default:
        return true;
    }
}

/* --- Broken messages -------------------------------------------------------------------------------------------- */

static void drop_unknown(json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value) {
        if (!g_strv_contains(known, key))
            json_object_del(object, key);
    }
}

static void drop_unknown_of_load(json_t *request)
{
    static const char *const config_keys[] = {"model", "model_path", "precision", "max_input_tokens",
                                              "max_output_tokens", "random_seed", "decoder", "options", NULL};
    json_t *config = json_object_get(request, "config");
    g_autoptr(GPtrArray) options = g_ptr_array_new();
    for (const struct adapter_option *row = sim_options; row->name; row++)
        g_ptr_array_add(options, (gpointer)(uintptr_t)row->name);
    g_ptr_array_add(options, NULL);
    drop_unknown(config, config_keys);
    drop_unknown(json_object_get(config, "options"), (const char *const *)options->pdata);
}

void fault_spoil_request(struct adapter *adapter, void *state, const char *type, json_t *request)
{
    struct sim *sim = state;
    (void)adapter;
    enum sim_fault fault = sim_fault_now(sim);
    if (fault == SIM_FAULT_accept_unknown && !strcmp(type, "load"))
        drop_unknown_of_load(request);
    else if (fault == SIM_FAULT_ignore_members)
        json_object_del(request, "no_such_member");
    else if (fault == SIM_FAULT_any_protocol && !strcmp(type, "hello"))
        json_object_set_new(request, "protocol", json_integer(1));
}

static void write_text(struct adapter *adapter, const char *text)
{
    adapter_write_raw(adapter, text, strlen(text));
}

static void write_long_line(struct adapter *adapter)
{
    size_t n = (size_t)LIMIT_PROTOCOL_LINE + 4096;
    g_autofree char *line = g_malloc(n);
    memset(line, 'x', n);
    adapter_write_raw(adapter, line, n);
}

static void swap_last_stamps(json_t *stamps)
{
    size_t n = json_array_size(stamps);
    if (n < 2)
        return;
    json_t *last = json_incref(json_array_get(stamps, n - 1));
    json_array_set(stamps, n - 1, json_array_get(stamps, n - 2));
    json_array_set_new(stamps, n - 2, last);
}

/* The reply to generate: what is wrong with its line, or its window. */
static void spoil_work(struct adapter *adapter, enum sim_fault fault, json_t *reply)
{
    switch (fault) {
    case SIM_FAULT_garbage:
        write_text(adapter, "Loading checkpoint shards: 100%|##########| 2/2\n");
        break;
    case SIM_FAULT_long_line:
        write_long_line(adapter);
        break;
    case SIM_FAULT_unknown_message:
        write_text(adapter, "{\"id\":987654,\"type\":\"progress\",\"percent\":50}\n");
        break;
    case SIM_FAULT_wrong_type:
        json_object_set_new(reply, "type", json_string("generated"));
        break;
    case SIM_FAULT_wrong_clock_of_window:
        json_object_set_new(reply, "t0_ns", json_integer(1));
        break;
    case SIM_FAULT_no_length:
        json_object_set(reply, "t1_ns", json_object_get(reply, "t0_ns"));
        break;
    case SIM_FAULT_wrong_sum:
        json_object_set_new(reply, "n_out", json_integer(json_integer_value(json_object_get(reply, "n_out")) - 1));
        break;
    default:
        break;
    }
}

static void set_stamps(json_t *request, int64_t queued_ns, int64_t scheduled_ns)
{
    json_object_set_new(request, "engine_stamps", json_pack("{s:I, s:I}", "queued_ns", (json_int_t)queued_ns,
                                                            "scheduled_ns", (json_int_t)scheduled_ns));
}

/* Every token at the same distance, as a client would that shares out a chunk's time. */
static void spread_stamps(json_t *stamps)
{
    size_t n = json_array_size(stamps);
    int64_t first = json_integer_value(json_array_get(stamps, 0));
    int64_t span = json_integer_value(json_array_get(stamps, n - 1)) - first;
    for (size_t i = 0; n > 1 && i < n; i++)
        json_array_set_new(stamps, i, json_integer(first + span * (int64_t)i / (int64_t)(n - 1)));
}

static void say_cached(json_t *request)
{
    json_object_set_new(request, "n_cached",
                        json_integer(json_integer_value(json_object_get(request, "n_in")) - 1));
}

/* The reply to collect: what is wrong with its numbers. */
static void spoil_outcome(enum sim_fault fault, json_t *reply)
{
    json_t *requests = json_object_get(reply, "requests"), *first = json_array_get(requests, 0);
    json_t *stamps = json_object_get(first, "stamps_ns");
    json_t *n_in = json_object_get(first, "n_in"), *batch = json_array_get(json_object_get(reply, "batches"), 0);
    int64_t t0_ns = json_integer_value(json_object_get(batch, "t0_ns"));
    switch (fault) {
    case SIM_FAULT_wrong_counts:
        json_array_remove(stamps, json_array_size(stamps) - 1);
        break;
    case SIM_FAULT_wrong_n_in:
        json_object_set_new(first, "n_in", json_integer(json_integer_value(n_in) + 1));
        break;
    case SIM_FAULT_wrong_order:
        swap_last_stamps(stamps);
        break;
    case SIM_FAULT_outside_window:
        json_object_set_new(batch, "t1_ns", json_integer(t0_ns + 1));
        break;
    case SIM_FAULT_foreign_stamps: /* seconds since 1970 */
        set_stamps(first, g_get_real_time() * 1000, g_get_real_time() * 1000);
        break;
    case SIM_FAULT_stamps_order:
        set_stamps(first, json_integer_value(json_array_get(stamps, 0)), t0_ns);
        break;
    case SIM_FAULT_spread_stamps:
        spread_stamps(stamps);
        break;
    case SIM_FAULT_no_tokens:
        json_array_clear(stamps);
        json_array_clear(json_object_get(first, "token_ids"));
        json_object_set_new(first, "finish", json_string("stop"));
        break;
    case SIM_FAULT_all_cached:
        json_object_set(first, "n_cached", n_in);
        break;
    case SIM_FAULT_over_cached:
        say_cached(json_array_get(requests, json_array_size(requests) - 1));
        break;
    case SIM_FAULT_merged_unreported:
        json_object_set_new(reply, "merged_chunks", json_integer(0));
        break;
    default:
        break;
    }
}

static void spoil_schema(json_t *reply)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(reply, "fields"), i, row) {
        json_object_del(row, "type");
    }
}

void fault_spoil_reply(struct adapter *adapter, void *state, const char *type, json_t *reply)
{
    struct sim *sim = state;
    enum sim_fault fault = sim_fault_now(sim);
    const char *error_class = json_string_value(json_object_get(reply, "class"));
    if (!strcmp(type, "error")) {
        if (fault == SIM_FAULT_bad_line_exit && error_class && !strcmp(error_class, ADAPTER_BAD_LINE))
            _exit(1);
        if (fault == SIM_FAULT_wrong_class)
            json_object_set_new(reply, "class", json_string("Error"));
        return;
    }
    if (!strcmp(type, "generate"))
        spoil_work(adapter, fault, reply);
    else if (!strcmp(type, "collect"))
        spoil_outcome(fault, reply);
    else if (fault == SIM_FAULT_remote && !strcmp(type, "load"))
        json_object_set_new(reply, "device", json_string("remote"));
    else if (fault == SIM_FAULT_load_backwards && !strcmp(type, "load"))
        json_object_set_new(
            reply, "t1_ns", json_integer(json_integer_value(json_object_get(reply, "t0_ns")) - 4 * NS_PER_S));
    else if (fault == SIM_FAULT_wrong_protocol && !strcmp(type, "hello"))
        json_object_set_new(reply, "protocol", json_integer(2));
    else if (fault == SIM_FAULT_wrong_clock && !strcmp(type, "hello"))
        json_object_set_new(reply, "clock_ns", json_integer(clock_mono_ns() + 3600 * NS_PER_S));
    else if (fault == SIM_FAULT_bad_schema && !strcmp(type, "schema"))
        spoil_schema(reply);
    else if (fault == SIM_FAULT_bad_tokens && !strcmp(type, "tokenize"))
        json_array_remove(json_object_get(reply, "token_ids"), 0);
    else if (fault == SIM_FAULT_bad_memory && !strcmp(type, "memory"))
        json_object_set_new(json_object_get(reply, "figures"), "peak_bytes", json_integer(-4096));
    else if (fault == SIM_FAULT_substitute_silently && !strcmp(type, "load"))
        json_object_set_new(reply, "substitutions",
                            json_pack("[{s:s,s:s,s:s,s:s}]", "what", "attention", "requested", "flash", "used", "eager",
                                      "reason", "the script asked for it"));
}
