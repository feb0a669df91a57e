/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include "version.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOS     1
#define CONTROL 2 /* the one control token */
#define POLL_NS (5 * NS_PER_MS) /* how often a long step looks for an abort */

/* --- Time and tokens -------------------------------------------------------------------------------------------- */

/* FNV-1a, 64 bits: small, and the same everywhere. */
#define FNV_START UINT64_C(0xcbf29ce484222325)
static uint64_t fnv(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t prompt_digest(const struct adapter_request *r)
{
    return fnv(FNV_START, r->token_ids, r->n_in * sizeof *r->token_ids);
}

/* Token number i of the answer to a prompt: of the ids alone, and of seed and decoder where they would count. */
static int32_t output_id(const struct sim *sim, uint64_t digest, size_t i)
{
    uint64_t hash = fnv(sim_fault_now(sim) == SIM_FAULT_same_answer ? FNV_START : digest, &i, sizeof i);
    if (sim->script.sample)
        hash = fnv(hash, &sim->script.seed, sizeof sim->script.seed);
    if (sim->script.choice)
        hash = fnv(hash, sim->script.choice, strlen(sim->script.choice));
    if (sim_fault_now(sim) == SIM_FAULT_nondeterministic)
        hash = fnv(hash, &sim->n_generated, sizeof sim->n_generated);
    return (int32_t)(2 + hash % (uint64_t)(sim->script.vocab - 2));
}

static bool stops_when_asked(const struct sim *sim)
{
    return sim_fault_now(sim) != SIM_FAULT_deaf_abort;
}

/* Waits for a point in time; false when the request is to stop. */
static bool wait_until(struct adapter *a, struct sim *sim, int64_t deadline_ns)
{
    for (;;) {
        if (stops_when_asked(sim) && adapter_stop_requested(a)) {
            if (sim_fault_now(sim) == SIM_FAULT_slow_abort)
                g_usleep(5 * G_USEC_PER_SEC);
            return false;
        }
        int64_t now = clock_mono_ns();
        if (now >= deadline_ns)
            return true;
        clock_sleep_until_ns(MIN(deadline_ns, now + POLL_NS));
    }
}

static double jittered(struct sim *sim, double us)
{
    return us * (1 + sim->script.jitter * (2 * g_rand_double(sim->random) - 1));
}

/* --- The ops ---------------------------------------------------------------------------------------------------- */

static bool sim_hello(struct adapter *a, void *state, json_t *reply)
{
    (void)a;
    (void)state;
    json_object_set_new(reply, "engine_version", json_string(LLEM_VERSION));
    json_object_set_new(reply, "simulated", json_true());
    return true;
}

static void unload(struct sim *sim)
{
    g_clear_pointer(&sim->burner, burner_free);
    g_clear_pointer(&sim->memory, g_free);
    g_clear_pointer(&sim->random, g_rand_free);
    g_clear_pointer(&sim->cached, g_hash_table_unref);
    script_clear(&sim->script);
    sim->memory_bytes = 0;
    sim->kv_bytes = sim->peak_kv_bytes = 0;
    sim->n_emitted = 0;
    sim->loaded = false;
}

static bool check_model(struct adapter *a, const struct sim *sim, const struct adapter_load *load)
{
    struct stat st;
    if (!load->model_path || stat(load->model_path, &st) == 0 || sim_fault_now(sim) == SIM_FAULT_accept_bad_model)
        return true;
    return adapter_fail(a, ADAPTER_LOAD_FAILED, "there is no model file %s", load->model_path);
}

static bool take_memory(struct adapter *a, struct sim *sim)
{
    sim->memory_bytes = (size_t)(sim->script.memory_mib * 1048576);
    if (sim->memory_bytes == 0)
        return true;
    sim->memory = g_try_malloc(sim->memory_bytes);
    if (!sim->memory)
        return adapter_fail_oom(a, "cannot allocate %zu bytes for the weights", sim->memory_bytes);
    memset(sim->memory, 1, sim->memory_bytes);
    return true;
}

static bool settle_attention(struct adapter *a, const struct sim *sim, const struct adapter_load *load, json_t *reply,
                             json_t *resolved)
{
    const char *asked = sim->script.attention;
    bool replaced = sim->script.fail == SIM_FAULT_substitute;
    if (replaced && !adapter_substitution(a, load, reply, "attention", asked, "eager", "the script asked for it"))
        return false;
    json_object_set_new(resolved, "attention", json_string(replaced || !strcmp(asked, "auto") ? "eager" : asked));
    return true;
}

static void add_figures(const struct sim *sim, json_t *figures)
{
    int64_t peak = adapter_status_bytes("VmHWM:");
    json_object_set_new(figures, "weights_bytes", json_integer((json_int_t)sim->memory_bytes));
    json_object_set_new(figures, "kv_cache_bytes", json_integer(sim->kv_bytes));
    json_object_set_new(figures, "peak_bytes",
                        json_integer((json_int_t)sim->memory_bytes + sim->peak_kv_bytes));
    json_object_set_new(figures, "kv_used_peak_bytes", json_integer(sim->peak_kv_bytes));
    json_object_set_new(figures, "rss_peak_bytes",
                        peak >= 0 ? json_integer(peak) : json_string("/proc/self/status does not tell"));
    json_object_set_new(figures, "device_bytes", json_string("the simulated engine uses no device"));
}

static bool sim_load(struct adapter *a, void *state, const struct adapter_load *load, json_t *reply)
{
    struct sim *sim = state;
    unload(sim);
    json_t *resolved = json_object();
    json_object_set_new(reply, "resolved", resolved);
    if (!script_read(a, load, &sim->script) || !check_model(a, sim, load))
        return false;
    adapter_echo_options(a, load, resolved);
    sim->random = g_rand_new_with_seed((guint32)load->random_seed);
    sim->cached = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    if (!fault_at_load(a, sim) ||
        !wait_until(a, sim, clock_mono_ns() + (int64_t)(sim->script.load_ms * NS_PER_MS)) || !take_memory(a, sim) ||
        !settle_attention(a, sim, load, reply, resolved))
        return false;
    sim->burner = burner_new(sim->script.threads);
    if (!sim->burner)
        return adapter_fail(a, ADAPTER_LOAD_FAILED, "the system refuses %d threads", (int)sim->script.threads);
    burner_set(sim->burner, sim->script.idle_load);
    sim->loaded = true;
    json_object_set_new(resolved, "precision", json_string(load->precision ? load->precision : "fp32"));
    json_object_set_new(resolved, "random_seed", json_integer(load->random_seed));
    json_object_set_new(resolved, "do_sample", json_boolean(sim->script.sample));
    json_object_set_new(reply, "engine_version", json_string(LLEM_VERSION));
    json_object_set_new(reply, "weights_bytes", json_integer((json_int_t)sim->memory_bytes));
    json_object_set_new(reply, "quiescent", json_boolean(sim->script.idle_load <= 0));
    json_object_set_new(reply, "batch", json_integer(sim->script.batch_size));
    json_object_set_new(reply, "device", json_string(sim->script.gpu ? "gpu" : "cpu"));
    if (sim->script.gpu > 1)
        json_object_set_new(reply, "devices", json_pack("[s, s]", "gpu", "cpu"));
    json_object_set_new(reply, "prefix_cache", json_boolean(sim->script.prefix_cache));
    json_t *figures = json_object();
    add_figures(sim, figures);
    json_object_set_new(reply, "memory", figures);
    return true;
}

static void append_id(GArray *ids, int64_t id)
{
    int32_t value = (int32_t)id;
    g_array_append_val(ids, value);
}

static const char control_text[] = "<|end|>";

/* The control token's text at this place, of n bytes. */
static bool is_control(const struct sim *sim, const struct adapter_tokenize *how, const char *text, size_t n)
{
    bool special = how->parse_special || sim_fault_now(sim) == SIM_FAULT_always_special;
    return special && n >= sizeof control_text - 1 && !strncmp(text, control_text, sizeof control_text - 1);
}

static void tokenize_bytes(const struct sim *sim, const char *text, const struct adapter_tokenize *how, GArray *ids)
{
    while (*text) {
        bool control = is_control(sim, how, text, strlen(text));
        append_id(ids, control ? CONTROL : 3 + (unsigned char)*text);
        text += control ? sizeof control_text - 1 : 1;
    }
}

static bool sim_tokenize(struct adapter *a, void *state, const char *text, const struct adapter_tokenize *how,
                         GArray *ids)
{
    (void)a;
    const struct sim *sim = state;
    if (how->add_special)
        append_id(ids, BOS);
    if (!sim->script.words) {
        tokenize_bytes(sim, text, how, ids);
        return true;
    }
    while (*text) {
        size_t gap = strspn(text, " \t\r\n");
        size_t length = strcspn(text + gap, " \t\r\n");
        if (is_control(sim, how, text + gap, length))
            append_id(ids, CONTROL);
        else if (length > 0)
            append_id(ids, 2 + (int64_t)(fnv(FNV_START, text + gap, length) % (uint64_t)(sim->script.vocab - 2)));
        text += gap + length;
    }
    return true;
}

static bool sim_reset(struct adapter *a, void *state, bool *prefix_cache, bool *peak_memory)
{
    (void)a;
    struct sim *sim = state;
    if (*prefix_cache)
        g_hash_table_remove_all(sim->cached);
    if (*peak_memory)
        sim->peak_kv_bytes = sim->kv_bytes;
    return true;
}

static bool sim_prepare(struct adapter *a, void *state, struct adapter_batch *batch, bool *quiescent)
{
    struct sim *sim = state;
    *quiescent = sim->script.idle_load <= 0;
    burner_set(sim->burner, sim->script.idle_load);
    for (size_t i = 0; i < batch->n_requests; i++) {
        const struct adapter_request *r = &batch->requests[i];
        int64_t context = (int64_t)r->n_in + r->max_tokens;
        if (sim->script.max_context > 0 && context > sim->script.max_context)
            return adapter_fail(a, ADAPTER_BAD_VALUE, "prepare: request '%s' needs %lld tokens, the context holds %lld",
                                r->id, (long long)context, (long long)sim->script.max_context);
    }
    return true;
}

/* Looks a prompt up in the cache; returns how many of its tokens are left to compute. */
static int64_t prefill_tokens(struct sim *sim, struct adapter_request *r)
{
    int64_t key = (int64_t)prompt_digest(r);
    bool cache = sim->script.prefix_cache || sim_fault_now(sim) == SIM_FAULT_secret_cache;
    if (cache && !g_hash_table_add(sim->cached, g_memdup2(&key, sizeof key)))
        r->n_cached = (int64_t)r->n_in - 1;
    return (int64_t)r->n_in - r->n_cached;
}

static bool is_done(const struct sim *sim, const struct adapter_request *r)
{
    int64_t wanted = r->max_tokens - (sim_fault_now(sim) == SIM_FAULT_short_output);
    return (int64_t)r->n_out >= wanted || !strcmp(r->finish, "stop");
}

/* Up to `merge` tokens of a request, out together. */
static bool emit(struct adapter *a, struct sim *sim, struct adapter_request *r)
{
    bool unreported = sim_fault_now(sim) == SIM_FAULT_merged_unreported;
    int64_t chunk = unreported ? 2 : sim->script.merge;
    int64_t stamp = clock_mono_ns();
    for (int64_t i = 0; i < chunk && !is_done(sim, r); i++) {
        if (!fault_at_token(a, sim))
            return false;
        adapter_token(r, output_id(sim, prompt_digest(r), r->n_out), stamp);
        sim->n_emitted++;
        sim->kv_bytes += sim->script.kv_bytes_per_token;
        int64_t end = MAX(sim->script.eos_after, sim->script.min_new_tokens);
        if (!r->ignore_eos && sim->script.eos_after > 0 && (int64_t)r->n_out >= end)
            r->finish = "stop";
    }
    if (r->first_token_ns == 0)
        r->first_token_ns = stamp;
    r->last_token_ns = stamp;
    sim->peak_kv_bytes = MAX(sim->peak_kv_bytes, sim->kv_bytes);
    return true;
}

static size_t count_active(const struct sim *sim, const struct adapter_batch *batch, size_t begun)
{
    size_t active = 0;
    for (size_t i = 0; i < begun; i++)
        active += !is_done(sim, &batch->requests[i]);
    return active;
}

/* One step over the requests that have begun and are not done. */
static bool step(struct adapter *a, struct sim *sim, struct adapter_batch *batch, size_t begun)
{
    for (size_t i = 0; i < begun; i++)
        if (!is_done(sim, &batch->requests[i]) && !emit(a, sim, &batch->requests[i]))
            return false;
    return true;
}

/* Requests join those under way while there is room; their prefill holds up the others. */
static bool admit(struct adapter *a, struct sim *sim, struct adapter_batch *batch, size_t *begun, double *due)
{
    int64_t tokens = 0, now = clock_mono_ns();
    size_t active = sim_fault_now(sim) == SIM_FAULT_ignore_in_flight ? 0 : count_active(sim, batch, *begun);
    size_t most = sim_fault_now(sim) == SIM_FAULT_ignore_in_flight ? batch->n_requests : batch->in_flight;
    for (; *begun < batch->n_requests && active < most; active++) {
        struct adapter_request *r = &batch->requests[(*begun)++];
        r->scheduled_ns = now;
        if (batch->joins) /* its place is free now: who waits for an answer sends the next request */
            r->queued_ns = now;
        tokens += prefill_tokens(sim, r);
    }
    if (tokens == 0)
        return true;
    burner_set(sim->burner, sim->script.prefill_load);
    *due += 1e3 * sim->script.prefill_us * (double)tokens;
    bool ok = wait_until(a, sim, (int64_t)*due);
    burner_set(sim->burner, sim->script.decode_load);
    return ok;
}

/* Prefill, then step after step against an absolute schedule, so that lateness does not add up. */
static bool run_batch(struct adapter *a, struct sim *sim, struct adapter_batch *batch)
{
    const struct script *s = &sim->script;
    double due = (double)batch->t0_ns;
    size_t begun = 0, active;
    if (!admit(a, sim, batch, &begun, &due) || !step(a, sim, batch, begun))
        return false;
    for (size_t k = 0;; k++) {
        if (!admit(a, sim, batch, &begun, &due))
            return false;
        active = count_active(sim, batch, begun);
        if (active == 0)
            return true;
        double us = s->token_us.values[MIN(k, s->token_us.n - 1)] * (1 + s->batch_cost * (double)(active - 1));
        due += 1e3 * jittered(sim, us);
        if (!wait_until(a, sim, (int64_t)due) || !step(a, sim, batch, begun))
            return false;
    }
}

static bool sim_generate(struct adapter *a, void *state, struct adapter_batch *batch)
{
    struct sim *sim = state;
    sim->n_generated++;
    batch->t0_ns = clock_mono_ns();
    for (size_t i = 0; i < batch->n_requests; i++) {
        struct adapter_request *r = &batch->requests[i];
        r->queued_ns = batch->t0_ns;
        sim->kv_bytes += (int64_t)r->n_in * sim->script.kv_bytes_per_token;
    }
    if (sim_fault_now(sim) == SIM_FAULT_log_flood)
        fault_flood(sim);
    bool ok = run_batch(a, sim, batch);
    batch->t1_ns = clock_mono_ns();
    sim->kv_bytes = 0;
    if (sim_fault_now(sim) != SIM_FAULT_works_on)
        burner_set(sim->burner, sim->script.idle_load);
    return ok;
}

static bool sim_memory(struct adapter *a, void *state, json_t *figures)
{
    (void)a;
    add_figures(state, figures);
    return true;
}

static void sim_close(struct adapter *a, void *state)
{
    (void)a;
    struct sim *sim = state;
    enum sim_fault fault = sim_fault_now(sim);
    if (fault == SIM_FAULT_no_term)
        signal(SIGTERM, SIG_IGN);
    if (fault == SIM_FAULT_no_shutdown || fault == SIM_FAULT_no_term)
        for (;;)
            pause();
    unload(sim);
}

static const struct adapter_ops ops = {
    .adapter = "llem-engine-sim",
    .adapter_version = LLEM_VERSION,
    .engine = "sim",
    .options = sim_options,
    .hello = sim_hello,
    .load = sim_load,
    .tokenize = sim_tokenize,
    .reset = sim_reset,
    .prepare = sim_prepare,
    .joins = true,
    .generate = sim_generate,
    .memory = sim_memory,
    .close = sim_close,
    .spoil_request = fault_spoil_request,
    .spoil_reply = fault_spoil_reply,
};

/* LLEM_SIM_FAIL=NAME[:AT]; false after a message. */
static bool read_early_fault(struct sim *sim)
{
    const char *text = g_getenv("LLEM_SIM_FAIL");
    if (!text || !*text)
        return true;
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    int fault = sim_fault_from_name(parts[0]);
    if (fault < 0 || (parts[1] && !num_parse_int(parts[1], 0, INT64_MAX, &sim->early_at, NULL))) {
        g_printerr("llem-engine-sim: LLEM_SIM_FAIL: no fault '%s'\n", text);
        return false;
    }
    sim->early = (enum sim_fault)fault;
    return true;
}

int main(void)
{
    struct sim sim = {0};
    if (!read_early_fault(&sim))
        return 2;
    return adapter_main(&ops, &sim);
}
