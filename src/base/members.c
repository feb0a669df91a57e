/* SPDX-License-Identifier: MIT */
#include "base/members.h"

#include "base/json.h"

static void write_real(json_t *object, const struct member_row *row, double value)
{
    if (row->reason)
        jsonx_set_real(object, row->key, value, row->reason);
    else
        json_object_set_new(object, row->key, jsonx_real(value));
}

static void write_row(json_t *object, const struct member_row *row, const void *member)
{
    const char *text;
    switch (row->type) {
    case MEMBER_INT: json_object_set_new(object, row->key, json_integer(*(const int64_t *)member)); return;
    case MEMBER_REAL: write_real(object, row, *(const double *)member); return;
    case MEMBER_BOOL: json_object_set_new(object, row->key, json_boolean(*(const bool *)member)); return;
    case MEMBER_TEXT_HERE: json_object_set_new(object, row->key, json_string(member)); return;
    default:
        text = *(const char *const *)member;
        json_object_set_new(object, row->key, text ? json_string(text) : json_null());
    }
}

void members_write(json_t *object, const void *from, const struct member_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        write_row(object, &rows[i], (const char *)from + rows[i].offset);
}

static bool read_text(const json_t *object, const struct member_row *row, char *member, GError **error)
{
    const char *text = NULL;
    if (!jsonx_get_string(object, row->key, row->need == MEMBER_REQUIRED, &text, error))
        return false;
    if (text)
        g_strlcpy(member, text, row->size);
    return true;
}

static bool read_row(const json_t *object, const struct member_row *row, void *member, GError **error)
{
    bool required = row->need == MEMBER_REQUIRED;
    switch (row->type) {
    case MEMBER_INT: return jsonx_get_int(object, row->key, required, member, error);
    case MEMBER_REAL: return jsonx_get_real(object, row->key, required, member, error);
    case MEMBER_BOOL: return jsonx_get_bool(object, row->key, required, member, error);
    case MEMBER_TEXT_HERE: return read_text(object, row, member, error);
    default: return jsonx_get_string(object, row->key, required, member, error);
    }
}

bool members_read(const json_t *object, void *to, const struct member_row *rows, size_t n, GError **error)
{
    for (size_t i = 0; i < n; i++)
        if (!read_row(object, &rows[i], (char *)to + rows[i].offset, error))
            return false;
    return true;
}
