/* SPDX-License-Identifier: MIT */
/*
 * JSON through jansson, with what jansson lacks: doubles printed at the shortest of 15 to 17 digits that reads back
 * the same (jansson before 2.14.1 prints 0.1 as 0.10000000000000001), NaN and infinities as null, a canonical form
 * for hashes, located parse errors, and typed look-ups that say what was wrong.
 * Names start with jsonx_ because jansson owns json_.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

enum jsonx_format {
    JSONX_PRETTY,    /* two spaces of indent, insertion order, newline at the end: files for people */
    JSONX_COMPACT,   /* one line, insertion order: protocol lines and journals */
    JSONX_CANONICAL, /* one line, keys sorted by code unit: the input of hashes */
};

/* Parses; duplicate keys, NaN, trailing text are errors "NAME:LINE:COLUMN: …" (DATA). length -1: NUL-terminated. */
json_t *jsonx_parse(const char *text, gssize length, const char *name, GError **error);
json_t *jsonx_load(const char *path, size_t max_bytes, GError **error);
/* New string. Never fails for a tree built by this program. */
char *jsonx_dump(const json_t *value, enum jsonx_format format);
/* file_write_durable of the pretty form. */
bool jsonx_save(const char *path, const json_t *value, GError **error);
/* A real, or null where it is NaN or infinite. Never NULL. The reason for a null goes beside it, by the caller. */
json_t *jsonx_real(double value);
/* A member that is null, with the reason in the member KEY_reason. */
void jsonx_set_null(json_t *object, const char *key, const char *reason);
/* A member that is a number, or null with its reason as above. */
void jsonx_set_real(json_t *object, const char *key, double value, const char *reason);
/* The shortest text of 15 to 17 significant digits that reads back as the same double. buffer of at least 32 bytes. */
void jsonx_format_real(double value, char buffer[static 32]);
/* Lower-case hex SHA-256 of the canonical form. New string. */
char *jsonx_sha256(const json_t *value);

/* Typed members; false sets DATA "member 'KEY': expected an integer, found a string". required false: absence or
 * null leaves *ret untouched and returns true. Strings and trees are borrowed from object. */
bool jsonx_get_int(const json_t *object, const char *key, bool required, int64_t *ret, GError **error);
bool jsonx_get_real(const json_t *object, const char *key, bool required, double *ret, GError **error);
bool jsonx_get_bool(const json_t *object, const char *key, bool required, bool *ret, GError **error);
bool jsonx_get_string(const json_t *object, const char *key, bool required, const char **ret, GError **error);
bool jsonx_get_array(const json_t *object, const char *key, bool required, json_t **ret, GError **error);
bool jsonx_get_object(const json_t *object, const char *key, bool required, json_t **ret, GError **error);
/* json_object_foreach() over an object that is not to be changed; none for what is no object. */
#define jsonx_foreach(object, key, value)                                                                            \
    for ((key) = jsonx_key_first(object); (key) && ((value) = json_object_iter_value(json_object_key_to_iter(key))); \
         (key) = jsonx_key_next(object, key))
const char *jsonx_key_first(const json_t *object);
const char *jsonx_key_next(const json_t *object, const char *key);
/* "an object", "a string", … Borrowed. */
const char *jsonx_type_name(const json_t *value);
/* The value at a dotted path ("warmup.enabled"), or NULL. Borrowed. */
json_t *jsonx_at(const json_t *root, const char *dotted);
/* Sets the value at a dotted path, making objects on the way. Takes over the reference to value. */
void jsonx_set_at(json_t *root, const char *dotted, json_t *value);
