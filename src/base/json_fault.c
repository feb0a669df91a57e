/* SPDX-License-Identifier: MIT */
#include "base/json_fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const struct {
    const char *part, *words;
} rows[] = {
    {"'[' or '{' expected", "it begins with neither { nor ["},
    {"string or '}' expected near '}'", "a comma stands before the closing }"},
    {"string or '}' expected", "a key stands in double quotes, as in {\"prompt\": \"…\"}"},
    {"string expected near '}'", "a comma stands before the closing }"},
    {"string expected", "a key stands in double quotes, as in {\"prompt\": \"…\"}"},
    {"':' expected", "a ':' is missing behind a key"},
    {"'}' expected near end of file", "the object is not closed: the text ends before its }"},
    {"'}' expected", "a ',' or the closing } is missing"},
    {"']' expected near end of file", "a list is not closed: the text ends before its ]"},
    {"']' expected", "a ',' or a closing ] is missing"},
    {"premature end of input", "a quote is never closed"},
    {"unexpected newline", "a quote is never closed"},
    {"control character", "a control character stands in a text: write it \\n, \\t or \\u00XX"},
    {"invalid escape", "JSON does not know this backslash sequence: write \\\\ for a backslash"},
    {"duplicate object key", "a key is given twice"},
    {"end of file expected", "there is more behind the end of the value"},
    {"too big integer", "an integer of more than 64 bits"},
    {"too big negative integer", "an integer of more than 64 bits"},
    {"real number overflow", "a number larger than 64 bits hold"},
    {"invalid token", "a text stands in double quotes, and a word is true, false or null"},
};

/* The text from a byte on is \uXXXX, whose number it returns; -1: it is none. */
static int escape_at(const char *text, size_t length, size_t at)
{
    int number = 0;
    if (at + 6 > length || text[at] != '\\' || text[at + 1] != 'u')
        return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        if (!g_ascii_isxdigit(text[i]))
            return -1;
        number = number * 16 + g_ascii_xdigit_value(text[i]);
    }
    return number;
}

static bool is_high(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* The first escape that is no character: U+0000, or half of a pair. SIZE_MAX: none. */
static size_t find_escape(const char *text, size_t length, bool zero)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] != '\\')
            continue;
        int unit = escape_at(text, length, i);
        bool paired = is_high(unit) && is_low(escape_at(text, length, i + 6));
        if (zero ? unit == 0 : (is_high(unit) && !paired) || is_low(unit))
            return i;
        i += paired ? 11 : unit >= 0 ? 5 : 1;
    }
    return SIZE_MAX;
}

static struct json_fault fault_at(const char *text, size_t at, char *words)
{
    struct json_fault fault = {.line = 1, .words = words};
    size_t start = 0;
    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n') {
            fault.line++;
            start = i + 1;
        }
    fault.column = (int)g_utf8_strlen(text + start, (gssize)(at - start)) + 1;
    return fault;
}

/* The parser stands behind the token that it did not expect; where that begins. */
static size_t begin_of_token(const char *text, size_t length, const json_error_t *said)
{
    size_t end = MIN((size_t)MAX(said->position, 0), length);
    const char *near = strstr(said->text, " near '");
    size_t token = near ? strlen(near + strlen(" near '")) - 1 : 0;
    if (token > 0 && token <= end && !memcmp(text + end - token, near + strlen(" near '"), token))
        return end - token;
    return end > 0 && end == length ? end : end - (end > 0);
}

struct json_fault json_fault_of(const char *text, size_t length, const json_error_t *said)
{
    const char *end;
    if (!g_utf8_validate_len(text, length, &end) && (unsigned char)*end >= 0x80)
        return fault_at(text, (size_t)(end - text),
                        g_strdup_printf("the byte 0x%02x is not UTF-8", (unsigned char)*end));
    bool zero = strstr(said->text, "\\u0000") != NULL, half = strstr(said->text, "invalid Unicode") != NULL;
    size_t escape = zero || half ? find_escape(text, length, zero) : SIZE_MAX;
    if (escape != SIZE_MAX)
        return fault_at(text, escape, zero ? g_strdup("U+0000 (\\u0000) cannot stand in a text")
                                           : g_strdup_printf("\\u%.4s is half of a pair: the other half is missing",
                                                             text + escape + 2));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strstr(said->text, rows[i].part))
            return fault_at(text, begin_of_token(text, length, said), g_strdup(rows[i].words));
    return fault_at(text, begin_of_token(text, length, said), g_strdup_printf("not JSON (%s)", said->text));
}
