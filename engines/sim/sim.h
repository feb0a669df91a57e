/* SPDX-License-Identifier: MIT */
/*
 * llem-engine-sim: an engine whose time, tokens, memory, CPU load and failures are written in its options. Output ids
 * follow from the input ids alone (and from seed and decoder when sampling, and from a penalty), so that equal work can
 * be checked across settings.
 *
 *   script.c  options → struct script
 *   burn.c    threads that use CPU time at a level
 *   fault.c   what goes wrong on request, by option `fail` or by the variable LLEM_SIM_FAIL=NAME[:AT]
 *   main.c    the ops of the adapter
 */
#pragma once

#include "common/adapter.h"

#define SIM_FAULT_ROWS(X)                                                                                              \
    X(none, "nothing goes wrong")                                                                                      \
    X(load_error, "load fails with the engine's own class SimLoadError")                                               \
    X(load_oom, "load runs out of memory")                                                                             \
    X(load_crash, "a segmentation fault in load")                                                                      \
    X(load_hang, "load never ends")                                                                                    \
    X(generate_error, "SimError at token fail_at")                                                                     \
    X(generate_oom, "out of memory at token fail_at")                                                                  \
    X(crash, "a segmentation fault at token fail_at")                                                                  \
    X(exit, "the program ends with status 3 at token fail_at")                                                         \
    X(hang, "generate stops for ever at token fail_at; abort is not read, SIGTERM works")                              \
    X(hang_hard, "the same, and SIGTERM is ignored")                                                                   \
    X(early_eof, "the socket is closed at token fail_at, the program stays")                                           \
    X(garbage, "a line that is not JSON before each reply to generate")                                                \
    X(long_line, "a line beyond the limit before the reply to generate")                                               \
    X(unknown_message, "a reply nobody asked for before each reply to generate")                                       \
    X(wrong_type, "the reply to generate carries another type")                                                        \
    X(wrong_counts, "one stamp too few in the first request")                                                          \
    X(wrong_n_in, "n_in is one too many in the first request")                                                         \
    X(wrong_order, "the last two stamps of the first request are exchanged")                                           \
    X(outside_window, "the batch's t1 lies before the last stamp")                                                     \
    X(wrong_clock_of_window, "the work's t0 is of another clock")                                                      \
    X(no_length, "the work's window has no length")                                                                    \
    X(wrong_sum, "generate counts one output token fewer than there are")                                              \
    X(foreign_stamps, "engine_stamps in seconds since 1970")                                                           \
    X(stamps_order, "engine_stamps: scheduled before queued")                                                          \
    X(spread_stamps, "the stamps of the first request are spread evenly")                                              \
    X(no_tokens, "the first request has no output")                                                                    \
    X(all_cached, "every prompt token of the first request is said to come from a cache")                              \
    X(over_cached, "all of the last prompt but a token is said to come from a cache")                                  \
    X(remote, "load says device \"remote\"")                                                                           \
    X(load_backwards, "load ends four seconds before it began")                                                        \
    X(same_answer, "every prompt gets the same answer")                                                                \
    X(works_on, "after the last token the threads go on as in decode, until the next prepare")                         \
    X(ignore_members, "members that do not exist are dropped silently, but for those of load")                         \
    X(always_special, "the text of a control token is always that token")                                              \
    X(ignore_in_flight, "the requests of a batch begin together, whatever in_flight says")                             \
    X(wrong_class, "every error is of the class \"Error\"")                                                            \
    X(any_protocol, "hello accepts every protocol")                                                                    \
    X(short_output, "the last token of each request is missing")                                                       \
    X(merged_unreported, "chunks carry two tokens and merged_chunks says 0")                                           \
    X(nondeterministic, "output ids differ from call to call")                                                         \
    X(secret_cache, "prompts seen before are taken from a cache that load did not tell of")                            \
    X(slow_abort, "an abort takes five seconds")                                                                       \
    X(deaf_abort, "an abort is answered only after all tokens are out")                                                \
    X(accept_unknown, "unknown keys are dropped silently")                                                             \
    X(accept_bad_model, "a model path that does not exist loads all the same")                                         \
    X(wrong_protocol, "hello answers protocol 2")                                                                      \
    X(wrong_clock, "hello reads a clock an hour away")                                                                 \
    X(bad_schema, "schema rows have no type")                                                                          \
    X(bad_tokens, "tokenize returns one list too few")                                                                 \
    X(bad_memory, "a memory figure is negative")                                                                       \
    X(bad_line_exit, "a line that is not JSON ends the program")                                                       \
    X(no_shutdown, "shutdown and the end of the socket are ignored; SIGTERM works")                                    \
    X(no_term, "shutdown, the end of the socket and SIGTERM are ignored")                                              \
    X(leave_child, "a child is left behind in the process group")                                                      \
    X(leave_daemon, "a child is left behind in a session of its own that ignores SIGTERM")                             \
    X(log_flood, "log_mib MiB are printed before each generate")                                                       \
    X(substitute, "another attention kernel than the one asked for is used")                                           \
    X(substitute_silently, "the same, against an explicit refusal of substitutions")

enum sim_fault {
#define X(name, what) SIM_FAULT_##name,
    SIM_FAULT_ROWS(X)
#undef X
    SIM_FAULT_COUNT
};
int sim_fault_from_name(const char *name); /* or -1 */

/* The options of a load, filled through the rows of script.c, and what follows from the decoder. */
struct script {
    double load_ms, prefill_us;
    struct adapter_numbers token_us; /* one per step, the last for all that follow */
    int64_t batch_size;
    double jitter, batch_cost;
    int64_t threads, merge, eos_after, max_context, vocab, kv_bytes_per_token;
    double prefill_load, decode_load, idle_load;
    double memory_mib;
    int words, gpu; /* choices by name: "words" or "bytes"; "cpu", "gpu" or "both" */
    bool prefix_cache, sample;
    const char *attention; /* as asked for, while load lasts */
    int64_t seed;
    int fail; /* enum sim_fault */
    int64_t fail_at;
    double log_mib;
    double temperature;
    int64_t min_new_tokens;
    char *choice; /* what else the choice of a token follows from; NULL: nothing */
};

extern const struct adapter_option sim_options[];
/* Reads a load; false after adapter_fail(). Empty *script first. */
bool script_read(struct adapter *adapter, const struct adapter_load *load, struct script *script);
void script_clear(struct script *script);

struct burner;
/* Threads that use no time until a level is set: a fraction of one CPU each. NULL: the system has no threads left. */
struct burner *burner_new(int64_t threads);
void burner_set(struct burner *burner, double level);
void burner_free(struct burner *burner);

struct sim {
    struct script script;
    struct burner *burner;
    enum sim_fault early; /* from LLEM_SIM_FAIL: in force before any load */
    int64_t early_at;
    GRand *random;
    GHashTable *cached; /* digests of prompts seen, when prefix_cache */
    char *memory;       /* really allocated */
    size_t memory_bytes;
    int64_t kv_bytes, peak_kv_bytes;
    int64_t n_emitted; /* tokens since load */
    int64_t n_generated;
    bool loaded;
};

enum sim_fault sim_fault_now(const struct sim *sim);
/* Before token number sim->n_emitted goes out: crashes, hangs, ends … or returns false after adapter_fail(). */
bool fault_at_token(struct adapter *adapter, struct sim *sim);
bool fault_at_load(struct adapter *adapter, struct sim *sim);
void fault_flood(const struct sim *sim);
void fault_spoil_request(struct adapter *adapter, void *state, const char *type, json_t *request);
void fault_spoil_reply(struct adapter *adapter, void *state, const char *type, json_t *reply);
