/* SPDX-License-Identifier: MIT */
/*
 * members: one table for a struct that is also an object of JSON; one writer and one reader go over its rows, so that
 * what is written and what is read back cannot part.
 *
 *     static const struct member_row rows[] = {
 *         MEMBER(struct meter_sensor, period_ns, "period_ns", MEMBER_REQUIRED),
 *         MEMBER_OR(struct energy_estimate, raw_j, "raw_j", "the energy is absent"),
 *     };
 *
 * The type of a row is that of the member: int64_t, double, bool or const char *; another one does not compile. Texts
 * that the struct holds itself (char [N]) have MEMBER_CHARS(); a longer one is cut off by the reader.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_type { MEMBER_INT, MEMBER_REAL, MEMBER_BOOL, MEMBER_TEXT, MEMBER_TEXT_HERE };
enum member_need { MEMBER_OPTIONAL, MEMBER_REQUIRED }; /* by the reader */

struct member_row {
    const char *key;
    enum member_type type;
    enum member_need need;
    size_t offset, size;
    const char *reason; /* of a real: why it is null where it is NaN, as KEY_reason; NULL: null alone */
};

#define MEMBER_TYPE(type, member)                                                                                    \
    _Generic(((const type *)0)->member,                                                                              \
        int64_t: MEMBER_INT,                                                                                         \
        double: MEMBER_REAL,                                                                                         \
        bool: MEMBER_BOOL,                                                                                           \
        const char *: MEMBER_TEXT)
#define MEMBER_PLACE(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define MEMBER(type, member, key, need) {key, MEMBER_TYPE(type, member), need, MEMBER_PLACE(type, member), NULL}
/* A real that may be NaN, and why. */
#define MEMBER_OR(type, member, key, reason)                                                                         \
    {key, MEMBER_TYPE(type, member), MEMBER_OPTIONAL, MEMBER_PLACE(type, member), reason}
#define MEMBER_CHARS(type, member, key, need)                                                                        \
    {key, _Generic(&((const type *)0)->member[0], const char *: MEMBER_TEXT_HERE), need, MEMBER_PLACE(type, member), NULL}

/* Adds a member to the object for each row, in their order; a text that is NULL is null. */
void members_write(json_t *object, const void *from, const struct member_row *rows, size_t n);
/* Reads them back. An optional member that is not there or null stays as it was. Texts are borrowed from the object.
 * Errors: DATA, as jsonx_get_int(). */
bool members_read(const json_t *object, void *to, const struct member_row *rows, size_t n, GError **error);
