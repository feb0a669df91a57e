/* SPDX-License-Identifier: MIT */
/* What is wrong with a JSON text, in our words, and where it begins: the parser counts to where it gave up. */
#pragma once

#include <jansson.h>

struct json_fault {
    int line, column; /* from 1, columns in characters */
    char *words;      /* free with g_free */
};

/* said: of json_loadb() on this text. */
struct json_fault json_fault_of(const char *text, size_t length, const json_error_t *said);
