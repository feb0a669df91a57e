/* SPDX-License-Identifier: MIT */
/* Internal to exchange: the rows as a table, and what can be done with a member of each type. */
#pragma once

#include "exchange/exchange.h"

enum exchange_type { EXCHANGE_STRING, EXCHANGE_STRINGS, EXCHANGE_OBJECT, EXCHANGE_PROMPTS, EXCHANGE_INT,
                    EXCHANGE_BOOL };

struct exchange_row {
    enum exchange_type type;
    const char *name;  /* of the member in C */
    size_t offset;     /* in struct exchange */
    const char *place; /* dotted */
    unsigned flags;
    const char *who, *meaning;
};
extern const struct exchange_row exchange_rows[]; /* ended by a row without a name */

struct exchange_type_ops {
    const char *expects; /* "an integer" */
    /* False where the value is of another type; *ret_where ("[3].text", new string) says where in it, if not as a
     * whole, and *ret_found what is there. */
    bool (*read)(void *member, const json_t *value, char **ret_where, const json_t **ret_found);
    json_t *(*write)(const void *member); /* JSON null: not set; NULL: it cannot be written, some text is not UTF-8 */
    void (*clear)(void *member);
    json_t *(*schema)(void);
};
extern const struct exchange_type_ops exchange_types[]; /* by enum exchange_type */

static inline void *exchange_member(const struct exchange *x, const struct exchange_row *row)
{
    return (char *)(uintptr_t)x + row->offset;
}
