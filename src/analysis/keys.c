/* SPDX-License-Identifier: MIT */
/* The keys of comparability and how each is taken from a record. */
#include "analysis/internal.h"

#include <string.h>

static const struct frame_key_row rows[FRAME_KEY_COUNT] = {
#define X(code, id, path, rule, words, why) {id, path, FRAME_##rule, words, why},
    FRAME_KEYS(X)
#undef X
};

const struct frame_key_row *frame_key_row(enum frame_key key)
{
    return &rows[key];
}

const char *frame_rule_name(enum frame_rule rule)
{
    static const char *const names[] = {
        [FRAME_REFUSE] = "refuse",
        [FRAME_FACTOR] = "factor or refuse",
        [FRAME_ENGINE] = "refuse, of one engine",
        [FRAME_UNSWEPT] = "refuse: no sweep varies it yet",
        [FRAME_WARN] = "warn",
    };
    return names[rule];
}

static char *value_text(const json_t *value)
{
    if (json_is_string(value))
        return g_strdup(json_string_value(value));
    return value && !json_is_null(value) ? jsonx_dump(value, JSONX_CANONICAL) : NULL;
}

/* --- Keys that are more than one member -------------------------------------------------------------------------------- */

static const json_t *device_of(const json_t *record, const char *uuid)
{
    const json_t *devices = jsonx_at(record, "environment.gpus.devices");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        if (!g_strcmp0(json_string_value(json_object_get(device, "uuid")), uuid))
            return device;
    }
    return NULL;
}

/* A fact of each of the run's boards, apart by semicolons; NULL: it has no boards. New string. */
static char *boards_fact(const json_t *record, const char *fact)
{
    const json_t *boards = jsonx_at(record, "machine.boards");
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(boards); i++) {
        const json_t *device = device_of(record, json_string_value(json_array_get(boards, i)));
        g_autofree char *value = value_text(json_object_get(device, fact));
        g_string_append_printf(text, "%s%s", i ? "; " : "", value ? value : "?");
    }
    return g_string_free(text, text->len == 0);
}

/* Names of the boards and whether they are divided; of a run without boards the processor. */
static char *boards_text(const json_t *record)
{
    g_autofree char *names = boards_fact(record, "name"), *mig = boards_fact(record, "mig_mode");
    if (names)
        return g_strdup_printf("%s (MIG: %s)", names, mig);
    const char *cpu = json_string_value(jsonx_at(record, "environment.cpu.model"));
    return cpu ? g_strdup_printf("CPU: %s", cpu) : NULL;
}

static char *computed_text(const json_t *record)
{
    struct quantity computed = result_metric_of(record, METRIC_TOKENS_IN_COMPUTED);
    struct quantity repeats = result_metric_of(record, METRIC_REPEATS);
    if (computed.status == QUANTITY_ABSENT)
        return NULL;
    return g_strdup_printf("%.0f", repeats.value > 0 ? computed.value / repeats.value : computed.value);
}

/* The values of members, apart by spaces; NULL: the record has none of them. New string. */
static char *members_text(const json_t *record, const char *const *members, size_t n)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        g_autofree char *value = value_text(jsonx_at(record, members[i]));
        if (value)
            g_string_append_printf(text, "%s%s", text->len ? " " : "", value);
    }
    return g_string_free(text, text->len == 0);
}

static char *engine_text(const json_t *record)
{
    static const char *const members[] = {"engine.backend", "engine.name"};
    return members_text(record, members, G_N_ELEMENTS(members));
}

/* Without one, batches are as the engine's own options say. */
static char *load_text(const json_t *record)
{
    char *text = value_text(jsonx_at(record, rows[FRAME_KEY_LOAD].path));
    return text ? text : g_strdup("the engine's own");
}

static char *weights_text(const json_t *record)
{
    static const char *const members[] = {"config.model", "model.form", "model.sha256", "model.weights_bytes"};
    return members_text(record, members, G_N_ELEMENTS(members));
}

static char *power_limit_text(const json_t *record)
{
    return boards_fact(record, "power_limit_enforced_mw");
}

static char *ecc_text(const json_t *record)
{
    return boards_fact(record, "ecc_mode");
}

static char *persistence_text(const json_t *record)
{
    return boards_fact(record, "persistence_mode");
}

static char *driver_text(const json_t *record)
{
    return json_array_size(jsonx_at(record, "machine.boards"))
           ? value_text(jsonx_at(record, rows[FRAME_KEY_DRIVER].path)) : NULL;
}

static char *throttled_text(const json_t *record)
{
    struct quantity q = result_metric_of(record, METRIC_THROTTLE);
    return q.status == QUANTITY_ABSENT ? NULL : g_strdup(q.value > 0 ? "throttled" : "not throttled");
}

/* A quarter of a digest tells as many runs apart as there will be. */
static char *digest_text(const json_t *record, const char *path)
{
    const char *digest = json_string_value(jsonx_at(record, path));
    return digest ? g_strndup(digest, 16) : NULL;
}

static char *input_text(const json_t *record)
{
    return digest_text(record, rows[FRAME_KEY_INPUT].path);
}

static char *answer_text(const json_t *record)
{
    return digest_text(record, rows[FRAME_KEY_ANSWER].path);
}

/* A model has one method, and its joules are not compared. */
static char *method_text(const json_t *record)
{
    struct quantity q = result_metric_of(record, METRIC_J_OUTPUT);
    return q.status == QUANTITY_MODELLED ? NULL : g_strdup(q.method);
}

static char *class_text(const json_t *record)
{
    return value_text(jsonx_at(primary_scope(record), "systematic.class"));
}

static char *calibration_text(const json_t *record)
{
    return value_text(jsonx_at(primary_scope(record), "systematic.calibration"));
}

/* Others are the member that their row names. */
static char *(*const takers[FRAME_KEY_COUNT])(const json_t *record) = {
    [FRAME_KEY_BOARDS] = boards_text,
    [FRAME_KEY_COMPUTED] = computed_text,
    [FRAME_KEY_LOAD] = load_text,
    [FRAME_KEY_ENGINE] = engine_text,
    [FRAME_KEY_WEIGHTS] = weights_text,
    [FRAME_KEY_POWER_LIMIT] = power_limit_text,
    [FRAME_KEY_ECC] = ecc_text,
    [FRAME_KEY_PERSISTENCE] = persistence_text,
    [FRAME_KEY_DRIVER] = driver_text,
    [FRAME_KEY_INPUT] = input_text,
    [FRAME_KEY_ANSWER] = answer_text,
    [FRAME_KEY_THROTTLED] = throttled_text,
    [FRAME_KEY_METHOD] = method_text,
    [FRAME_KEY_CLASS] = class_text,
    [FRAME_KEY_CALIBRATION] = calibration_text,
};

#define LONGEST 64 /* bytes of a value that is kept as it is: a sweep has as many long ones as cells */

char *key_text(const json_t *record, enum frame_key key)
{
    char *text = takers[key] ? takers[key](record) : value_text(jsonx_at(record, rows[key].path));
    if (!text || strlen(text) <= LONGEST)
        return text;
    char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    g_free(text);
    return digest;
}
