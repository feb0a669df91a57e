/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_fault.h"
#include "base/limits.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void jsonx_format_real(double value, char buffer[static 32])
{
    /* 15 digits tell any double of full precision; those below have less of it, and may need but one. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        char text[32];
        g_snprintf(text, sizeof text, "%%.%dg", digits);
        g_ascii_formatd(buffer, 32, text, value);
        if (g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    if (!strpbrk(buffer, ".eEn"))
        g_strlcat(buffer, ".0", 32);
}

json_t *jsonx_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void jsonx_set_null(json_t *object, const char *key, const char *reason)
{
    g_autofree char *why = g_strconcat(key, "_reason", NULL);
    json_object_set_new(object, key, json_null());
    json_object_set_new(object, why, json_string(reason));
}

void jsonx_set_real(json_t *object, const char *key, double value, const char *reason)
{
    if (isfinite(value))
        json_object_set_new(object, key, json_real(value));
    else
        jsonx_set_null(object, key, reason);
}

/* The text of a dump passes through here on its way out; number tokens that are reals are printed again. */
struct filter {
    GString *out;
    GString *number; /* a number token being collected, empty outside one */
    bool in_string, escaped;
};

static void filter_flush(struct filter *f)
{
    if (f->number->len == 0)
        return;
    if (strpbrk(f->number->str, ".eE")) {
        char shortest[32];
        jsonx_format_real(g_ascii_strtod(f->number->str, NULL), shortest);
        g_string_append(f->out, shortest);
    } else {
        g_string_append_len(f->out, f->number->str, (gssize)f->number->len);
    }
    g_string_truncate(f->number, 0);
}

static int filter_bytes(const char *bytes, size_t size, void *data)
{
    struct filter *f = data;
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];
        if (f->in_string) {
            if (f->escaped)
                f->escaped = false;
            else if (c == '\\')
                f->escaped = true;
            else if (c == '"')
                f->in_string = false;
            g_string_append_c(f->out, c);
            continue;
        }
        if (g_ascii_isdigit(c) || c == '-' || (f->number->len && strchr("+.eE", c))) {
            g_string_append_c(f->number, c);
            continue;
        }
        filter_flush(f);
        f->in_string = c == '"';
        g_string_append_c(f->out, c);
    }
    return 0;
}

char *jsonx_dump(const json_t *value, enum jsonx_format format)
{
    static const size_t flags[] = {
        [JSONX_PRETTY] = JSON_INDENT(2),
        [JSONX_COMPACT] = JSON_COMPACT,
        [JSONX_CANONICAL] = JSON_COMPACT | JSON_SORT_KEYS,
    };
    struct filter f = {.out = g_string_new(NULL), .number = g_string_new(NULL)};
    if (json_dump_callback(value, filter_bytes, &f, flags[format] | JSON_ENCODE_ANY) != 0)
        g_error("a JSON tree that cannot be written (a cycle, or text that is not UTF-8)");
    filter_flush(&f);
    if (format == JSONX_PRETTY)
        g_string_append_c(f.out, '\n');
    g_string_free(f.number, TRUE);
    return g_string_free(f.out, FALSE);
}

static bool depth_within(const json_t *value, int left)
{
    if (left == 0)
        return false;
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(value)) {
        bool ok = true;
        jsonx_foreach(value, key, child)
            ok = ok && depth_within(child, left - 1);
        return ok;
    }
    if (json_is_array(value)) {
        json_array_foreach(value, i, child) {
            if (!depth_within(child, left - 1))
                return false;
        }
    }
    return true;
}

json_t *jsonx_parse(const char *text, gssize length, const char *name, GError **error)
{
    json_error_t where;
    size_t size = length < 0 ? strlen(text) : (size_t)length;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!value) {
        struct json_fault fault = json_fault_of(text, size, &where);
        g_autofree char *words = fault.words;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s:%d:%d: %s", name, fault.line, fault.column, words);
        return NULL;
    }
    if (!depth_within(value, LIMIT_DOC_DEPTH)) {
        json_decref(value);
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s: nested deeper than %d levels", name,
                    LIMIT_DOC_DEPTH);
        return NULL;
    }
    return value;
}

json_t *jsonx_load(const char *path, size_t max_bytes, GError **error)
{
    size_t length;
    g_autofree char *text = file_read(path, max_bytes, &length, error);
    return text ? jsonx_parse(text, (gssize)length, path, error) : NULL;
}

bool jsonx_save(const char *path, const json_t *value, GError **error)
{
    g_autofree char *text = jsonx_dump(value, JSONX_PRETTY);
    return file_write_durable(path, text, strlen(text), error);
}

char *jsonx_sha256(const json_t *value)
{
    g_autofree char *text = jsonx_dump(value, JSONX_CANONICAL);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

const char *jsonx_type_name(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a mapping";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something unknown";
}

/* 1: present and of the right type; 0: absent and optional; -1: error set. */
static int member(const json_t *object, const char *key, bool required, bool (*is)(const json_t *),
                  const char *expected, json_t **ret, GError **error)
{
    json_t *value = json_object_get(object, key);
    if (!value || (json_is_null(value) && !required)) {
        if (!required)
            return 0;
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "member '%s' is missing (expected %s)", key, expected);
        return -1;
    }
    if (!is(value)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "member '%s': expected %s, found %s", key, expected,
                    jsonx_type_name(value));
        return -1;
    }
    *ret = value;
    return 1;
}

static bool is_integer(const json_t *v)
{
    return json_is_integer(v);
}
static bool is_number(const json_t *v)
{
    return json_is_number(v);
}
static bool is_boolean(const json_t *v)
{
    return json_is_boolean(v);
}
static bool is_string(const json_t *v)
{
    return json_is_string(v);
}
static bool is_array(const json_t *v)
{
    return json_is_array(v);
}
static bool is_object(const json_t *v)
{
    return json_is_object(v);
}

bool jsonx_get_int(const json_t *object, const char *key, bool required, int64_t *ret, GError **error)
{
    json_t *value;
    int found = member(object, key, required, is_integer, "an integer", &value, error);
    if (found > 0)
        *ret = json_integer_value(value);
    return found >= 0;
}

bool jsonx_get_real(const json_t *object, const char *key, bool required, double *ret, GError **error)
{
    json_t *value;
    int found = member(object, key, required, is_number, "a number", &value, error);
    if (found > 0)
        *ret = json_number_value(value);
    return found >= 0;
}

bool jsonx_get_bool(const json_t *object, const char *key, bool required, bool *ret, GError **error)
{
    json_t *value;
    int found = member(object, key, required, is_boolean, "true or false", &value, error);
    if (found > 0)
        *ret = json_boolean_value(value);
    return found >= 0;
}

bool jsonx_get_string(const json_t *object, const char *key, bool required, const char **ret, GError **error)
{
    json_t *value;
    int found = member(object, key, required, is_string, "a string", &value, error);
    if (found > 0)
        *ret = json_string_value(value);
    return found >= 0;
}

bool jsonx_get_array(const json_t *object, const char *key, bool required, json_t **ret, GError **error)
{
    return member(object, key, required, is_array, "a list", ret, error) >= 0;
}

bool jsonx_get_object(const json_t *object, const char *key, bool required, json_t **ret, GError **error)
{
    return member(object, key, required, is_object, "a mapping", ret, error) >= 0;
}

/* jansson's iterators change nothing, and its prototypes do not say so. */
const char *jsonx_key_first(const json_t *object)
{
    return json_object_iter_key(json_object_iter((json_t *)(uintptr_t)object));
}

const char *jsonx_key_next(const json_t *object, const char *key)
{
    void *at = json_object_key_to_iter(key);
    return json_object_iter_key(json_object_iter_next((json_t *)(uintptr_t)object, at));
}

json_t *jsonx_at(const json_t *root, const char *dotted)
{
    g_auto(GStrv) parts = g_strsplit(dotted, ".", -1);
    json_t *at = (json_t *)(uintptr_t)root;
    for (char **p = parts; at && *p; p++)
        at = json_object_get(at, *p);
    return at;
}

void jsonx_set_at(json_t *root, const char *dotted, json_t *value)
{
    g_auto(GStrv) parts = g_strsplit(dotted, ".", -1);
    json_t *at = root;
    for (char **p = parts; *p; p++) {
        if (!p[1]) {
            json_object_set_new(at, *p, value);
            return;
        }
        json_t *child = json_object_get(at, *p);
        if (!json_is_object(child)) {
            child = json_object();
            json_object_set_new(at, *p, child);
        }
        at = child;
    }
}
