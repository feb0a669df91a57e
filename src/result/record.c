/* SPDX-License-Identifier: MIT */
#include "result/parts.h"

#include "version.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *identity_of(const struct exchange *x)
{
    return json_pack("{s:s, s:I, s:s*}", "config_hash", x->config_hash, "cycle", (json_int_t)x->cycle, "study",
                     x->study);
}

static json_t *program(void)
{
    return json_pack("{s:s, s:s}", "version", LLEM_VERSION, "revision", LLEM_REVISION);
}

struct result *result_new(const struct exchange *x)
{
    struct result *r = g_new0(struct result, 1);
    r->strings = g_string_chunk_new(1024);
    r->root = json_object();
    json_object_set_new(r->root, "schema", json_string(RESULT_SCHEMA));
    json_object_set_new(r->root, "llem", program());
    json_object_set_new(r->root, "identity", identity_of(x));
    json_object_set_new(r->root, "config", json_deep_copy(x->config));
    json_object_set_new(r->root, "origins", json_deep_copy(x->origins));
    json_object_set_new(r->root, "context", exchange_context(x));
    r->warnings = json_array();
    r->flags = json_array();
    json_object_set_new(r->root, "flags", r->flags);
    json_object_set_new(r->root, "flag_meanings", json_object());
    json_object_set_new(r->root, "warnings", r->warnings);
    json_object_set_new(r->root, "metrics", json_object()); /* filled on writing; holds its place in the order */
    return r;
}

void result_free(struct result *r)
{
    if (!r)
        return;
    json_decref(r->root);
    for (int i = 0; i < PART_COUNT; i++)
        json_decref(r->parts[i].value);
    g_string_chunk_free(r->strings);
    g_free(r);
}

static const char *keep(struct result *r, const char *text)
{
    return text ? g_string_chunk_insert_const(r->strings, text) : NULL;
}

void result_set(struct result *r, enum result_metric metric, struct quantity q)
{
    q.reason = keep(r, q.reason);
    q.method = keep(r, q.method);
    q.sensor = keep(r, q.sensor);
    r->metrics[metric] = q;
    r->set[metric] = true;
}

struct quantity result_get(const struct result *r, enum result_metric metric)
{
    return r->set[metric] ? r->metrics[metric] : quantity_absent("not collected");
}

void result_absent_group(struct result *r, const char *group, const char *reason)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (!r->set[i] && !strcmp(result_metric_row(i)->group, group))
            result_set(r, i, quantity_absent(reason));
}

/* --- parts ------------------------------------------------------------------------------------------------------- */

/* Takes over value; reason: of a null. */
static void put(struct result *r, enum result_part part, json_t *value, const char *reason)
{
    json_decref(r->parts[part].value);
    r->parts[part] = (struct result_value){value, keep(r, reason)};
}

static bool is_of(enum result_part part, enum result_part_type type)
{
    return result_parts[part].type == type;
}

void result_put_text(struct result *r, enum result_part part, const char *text)
{
    g_assert(is_of(part, RESULT_TEXT) || is_of(part, RESULT_TEXT_OR_NULL));
    put(r, part, text ? json_string(text) : is_of(part, RESULT_TEXT_OR_NULL) ? json_null() : NULL, NULL);
}

void result_put_int(struct result *r, enum result_part part, int64_t value)
{
    g_assert(is_of(part, RESULT_INTEGER));
    put(r, part, json_integer(value), NULL);
}

void result_put_bool(struct result *r, enum result_part part, bool value)
{
    g_assert(is_of(part, RESULT_BOOLEAN));
    put(r, part, json_boolean(value), NULL);
}

void result_put_real(struct result *r, enum result_part part, double value, const char *reason)
{
    g_assert(is_of(part, RESULT_REAL));
    put(r, part, isfinite(value) ? jsonx_real(value) : NULL, isfinite(value) ? NULL : reason);
}

void result_put_stretch(struct result *r, enum result_part part, int64_t t0_ns, int64_t t1_ns, const char *reason)
{
    g_assert(is_of(part, RESULT_STRETCH));
    json_t *value = NULL;
    if (t1_ns)
        value = json_pack("{s:I, s:I}", "t0_ns", (json_int_t)t0_ns, "t1_ns", (json_int_t)t1_ns);
    put(r, part, value, value ? NULL : reason);
}

void result_put_json(struct result *r, enum result_part part, json_t *value)
{
    g_assert(!value || json_is_object(value) == is_of(part, RESULT_OBJECT));
    g_assert(!value || json_is_object(value) || json_is_array(value));
    put(r, part, value, NULL);
}

void result_put_null(struct result *r, enum result_part part, const char *reason)
{
    g_assert(result_part_may_be_null(&result_parts[part]));
    put(r, part, NULL, reason);
}

/* The part of a path; PART_COUNT: none. */
static enum result_part part_at(const char *path)
{
    int i = 0;
    while (i < PART_COUNT && strcmp(result_parts[i].path, path) != 0)
        i++;
    return i;
}

void result_put_members(struct result *r, const char *part, json_t *tree)
{
    const char *name;
    json_t *value;
    json_object_foreach(tree, name, value) {
        g_autofree char *path = g_strdup_printf("%s.%s", part, name);
        enum result_part found = part_at(path);
        if (found == PART_COUNT)
            g_error("%s is no row of result/parts.def", path);
        put(r, found, json_incref(value), NULL);
    }
    json_decref(tree);
}

void result_warn(struct result *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    json_array_append_new(r->warnings, json_string(text));
}

void result_flag(struct result *r, const char *flag, const char *meaning)
{
    size_t i;
    json_t *have;
    json_array_foreach(r->flags, i, have) {
        if (!strcmp(json_string_value(have), flag))
            return;
    }
    json_array_append_new(r->flags, json_string(flag));
    json_object_set_new(json_object_get(r->root, "flag_meanings"), flag, json_string(meaning));
}

json_t *result_metric_json(const struct result *r, enum result_metric metric)
{
    struct quantity q = result_get(r, metric);
    json_t *tree = quantity_json(&q);
    json_object_set_new(tree, "unit", json_string(result_metric_row(metric)->unit));
    return tree;
}

json_t *result_json(const struct result *r)
{
    json_t *root = json_deep_copy(r->root);
    json_t *metrics = json_object_get(root, "metrics");
    bool simulated = false;
    for (int i = 0; i < METRIC_COUNT; i++) {
        simulated = simulated || result_get(r, i).status == QUANTITY_SIMULATED;
        json_object_set_new(metrics, result_metric_row(i)->id, result_metric_json(r, i));
    }
    result_parts_write(root, r->parts, result_parts_all);
    json_object_set_new(root, "simulated", json_boolean(simulated));
    return root;
}

bool result_write(const struct result *r, const char *path, GError **error)
{
    g_autoptr(json_t) root = result_json(r);
    return jsonx_save(path, root, error);
}

json_t *result_log_tail(const char *log_path, int lines)
{
    json_t *list = json_array();
    FILE *file = log_path ? fopen(log_path, "re") : NULL;
    if (!file)
        return list;
    static const long window = 65536;
    if (fseek(file, -window, SEEK_END) != 0)
        rewind(file);
    g_autofree char *text = g_malloc(window + 1);
    size_t n = fread(text, 1, window, file);
    fclose(file);
    text[n] = 0;
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)n);
    g_auto(GStrv) all = g_strsplit(g_strchomp(valid), "\n", -1);
    int total = (int)g_strv_length(all);
    for (int i = MAX(0, total - lines); i < total; i++)
        json_array_append_new(list, json_string(all[i]));
    return list;
}

bool result_error_write(const char *path, const struct exchange *x, const GError *failure, const char *phase,
                        const json_t *engine_error, const char *log_path, GError **error)
{
    g_autoptr(json_t) root = json_object();
    bool ours = failure->domain == LLEM_ERROR;
    json_object_set_new(root, "schema", json_string(RESULT_ERROR_SCHEMA));
    json_object_set_new(root, "llem", program());
    json_object_set_new(root, "identity", identity_of(x));
    json_object_set_new(root, "class", json_string(llem_error_name(ours ? failure->code : -1)));
    g_autofree char *message = g_utf8_make_valid(failure->message, -1);
    json_object_set_new(root, "message", json_string(message));
    json_object_set_new(root, "phase", json_string(phase));
    if (engine_error)
        json_object_set_new(root, "engine_error", json_deep_copy(engine_error));
    json_object_set_new(root, "log_tail", result_log_tail(log_path, LIMIT_ERROR_LOG_LINES));
    json_object_set_new(root, "config", json_deep_copy(x->config));
    json_object_set_new(root, "context", exchange_context(x));
    return jsonx_save(path, root, error);
}

GError *result_error_parse(const json_t *record)
{
    const char *class = json_string_value(json_object_get(record, "class"));
    const char *message = json_string_value(json_object_get(record, "message"));
    int code = class ? llem_error_from_name(class) : -1;
    return g_error_new(LLEM_ERROR, code < 0 ? LLEM_ERROR_RUNNER : code, "%s",
                       message ? message : "the error record has no message");
}
