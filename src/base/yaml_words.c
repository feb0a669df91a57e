/* SPDX-License-Identifier: MIT */
#include "base/yaml_words.h"

#include <string.h>

/* Where a byte stands; columns count characters. The text before it must be valid. */
static struct diag_span place_of(const char *name, const char *text, size_t offset)
{
    struct diag_span at = {.source = name, .line = 1, .column = 1};
    size_t start = 0;
    for (size_t i = 0; i < offset; i++) {
        bool crlf = text[i] == '\r' && text[i + 1] == '\n';
        if ((text[i] == '\n' || text[i] == '\r') && !crlf) {
            at.line++;
            start = i + 1;
        }
    }
    at.column = (int)g_utf8_strlen(text + start, (gssize)(offset - start)) + 1;
    return at;
}

static bool is_forbidden(unsigned char c)
{
    return c == 0x7f || (c < 0x20 && c != '\t' && c != '\n' && c != '\r');
}

bool yaml_check_text(struct diag *diag, const char *name, const char *text, size_t length)
{
    const char *end = NULL;
    if (length >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2))) {
        struct diag_span at = {.source = name, .line = 1, .column = 1};
        diag_add(diag, DIAG_ERROR, &at, "this file is UTF-16");
        diag_hint(diag, "save it as UTF-8");
        return false;
    }
    bool valid = g_utf8_validate_len(text, length, &end);
    size_t checked = (size_t)(end - text);
    for (size_t i = 0; i < checked; i++) {
        if (is_forbidden((unsigned char)text[i])) {
            checked = i;
            valid = false;
        }
    }
    if (valid)
        return true;
    struct diag_span at = place_of(name, text, checked);
    unsigned char byte = (unsigned char)text[checked];
    if (byte < 0x80) {
        diag_add(diag, DIAG_ERROR, &at, "a control character (byte 0x%02x) stands here", byte);
        diag_hint(diag, "delete it; inside of double quotes it can be written \\x%02x", byte);
    } else {
        diag_add(diag, DIAG_ERROR, &at, "the byte 0x%02x is not valid UTF-8", byte);
        diag_hint(diag, "save the file as UTF-8");
    }
    return false;
}

/* --- libyaml's problems ---------------------------------------------------------------------------------------- */

struct wording {
    const char *problem;  /* part of libyaml's problem */
    const char *context;  /* part of its context, or NULL: any */
    char character;       /* the character at the problem, or 0: any */
    bool at_context;      /* show where the construct began, not where the text became impossible */
    const char *message;
    const char *hint; /* or NULL */
};

static const struct wording wordings[] = {
    {"cannot start any token", NULL, '\t', false, "a tab is used for indentation", "YAML indents with spaces"},
    {"tab character", NULL, 0, false, "a tab is used for indentation", "YAML indents with spaces"},
    {"cannot start any token", NULL, '@', false, "a value cannot begin with '@'", "put it in quotes"},
    {"cannot start any token", NULL, '`', false, "a value cannot begin with '`'", "put it in quotes"},
    {"cannot start any token", NULL, '%', false, "a value cannot begin with '%'", "put it in quotes"},
    {"unexpected end of stream", "quoted scalar", 0, true, "this quote is never closed", NULL},
    {"unexpected document indicator", "quoted scalar", 0, true, "this quote is never closed", NULL},
    {"',' or ']'", NULL, 0, true, "this '[' is not closed properly",
     "the list needs ',' between its values and a ']' at the end"},
    {"',' or '}'", NULL, 0, true, "this '{' is not closed properly",
     "the mapping needs ',' between its entries and a '}' at the end"},
    {"mapping values are not allowed", NULL, 0, false, "a ':' cannot stand here",
     "quote a value that holds ': '; if this is a key, check the indentation of this line and the one above"},
    {"could not find expected ':'", NULL, 0, true, "expected 'key: value', found no ': '",
     "write a colon and a space after the key; a value over several lines needs quotes"},
    {"did not find expected key", NULL, 0, false, "this does not fit the lines above it",
     "check the indentation, and that nothing follows a closed quote or bracket"},
    {"did not find expected '-' indicator", NULL, 0, false, "expected '- item' here",
     "all items of a list begin in the same column"},
    {"block sequence entries are not allowed", NULL, 0, false, "a list item cannot begin here",
     "begin the list on a line of its own below the key, or write [a, b]"},
    {"block mapping keys", NULL, 0, false, "a key cannot stand here", "begin the mapping on a line of its own"},
    {"unknown escape character", NULL, 0, false, "this backslash sequence is unknown",
     "use single quotes for text with backslashes, or write \\\\"},
    {"Unicode character escape", NULL, 0, false, "this escape is not a character", NULL},
    {"expected hexdecimal number", NULL, 0, false, "expected hexadecimal digits after \\x, \\u or \\U", NULL},
    {"undefined tag handle", NULL, 0, false, "a value cannot begin with '!'", "put it in quotes"},
    {"expected tag URI", NULL, 0, false, "a value cannot begin with '!'", "put it in quotes"},
    {"expected alphabetic or numeric character", "alias", 0, false, "a value cannot begin with '*'",
     "put it in quotes; *name repeats what &name marks"},
    {"expected alphabetic or numeric character", "anchor", 0, false, "a value cannot begin with '&'",
     "put it in quotes; &name marks what *name repeats"},
    {"<document start>", NULL, 0, false, "there is text after the end of the document",
     "one file holds one document"},
    {"node content", "block node", 0, false, "expected a value here", NULL},
    {"node content", "flow node", 0, false, "expected a value here", "a bracket or comma may be misplaced"},
};

static char character_at(const char *text, size_t length, const yaml_mark_t *mark)
{
    const char *p = text, *end = text + length;
    for (size_t line = 0; line < mark->line && p < end; line++) {
        while (p < end && *p != '\n' && *p != '\r')
            p++;
        if (p < end)
            p += (*p == '\r' && p + 1 < end && p[1] == '\n') ? 2 : 1;
    }
    for (size_t column = 0; column < mark->column && p < end; column++)
        p = g_utf8_next_char(p);
    return p < end ? *p : '\0';
}

static const struct wording *find_wording(const yaml_parser_t *parser, char character)
{
    const char *problem = parser->problem ? parser->problem : "";
    const char *context = parser->context ? parser->context : "";
    for (size_t i = 0; i < G_N_ELEMENTS(wordings); i++) {
        const struct wording *w = &wordings[i];
        if (strstr(problem, w->problem) && (!w->context || strstr(context, w->context)) &&
            (!w->character || w->character == character))
            return w;
    }
    return NULL;
}

/* "key:value" without a space is text, and goes on in the next line: only there libyaml finds a ':' too many. The line
 * (from 1) where that text begins, or 0. */
static int line_of_glued_key(const char *text, size_t length, size_t problem_line)
{
    g_autofree char *whole = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(whole, "\n", -1);
    size_t n = g_strv_length(lines);
    for (size_t i = MIN(problem_line, n); i-- > 0;) {
        const char *line = g_strstrip(lines[i]);
        if (!*line || *line == '#')
            continue;
        const char *colon = strchr(line, ':');
        bool glued = colon && colon[1] && !strstr(line, ": ") && strcspn(line, " \"'[{#-") >= (size_t)(colon - line);
        return glued ? (int)i + 1 : 0;
    }
    return 0;
}

static bool explain_glued_key(struct diag *diag, const char *name, const yaml_parser_t *parser, const char *text,
                              size_t length)
{
    bool surprised = parser->problem && strstr(parser->problem, "mapping values are not allowed");
    int line = surprised ? line_of_glued_key(text, length, parser->problem_mark.line) : 0;
    if (!line)
        return false;
    struct diag_span at = {.source = name, .line = line, .column = 1};
    diag_add(diag, DIAG_ERROR, &at, "expected 'key: value', found no ': '");
    diag_hint(diag, "write a colon and a space after the key");
    return true;
}

void yaml_explain(struct diag *diag, const char *name, const yaml_parser_t *parser, const char *text, size_t length)
{
    if (explain_glued_key(diag, name, parser, text, length))
        return;
    char character = character_at(text, length, &parser->problem_mark);
    const struct wording *words = find_wording(parser, character);
    const yaml_mark_t *mark = words && words->at_context ? &parser->context_mark : &parser->problem_mark;
    struct diag_span at = {.source = name, .line = (int)mark->line + 1, .column = (int)mark->column + 1};
    if (parser->error == YAML_READER_ERROR)
        at = place_of(name, text, MIN(parser->problem_offset, length));
    if (!words) {
        diag_add(diag, DIAG_ERROR, &at, "%s%s%s", parser->context ? parser->context : "",
                 parser->context ? ": " : "", parser->problem ? parser->problem : "not YAML");
        return;
    }
    diag_add(diag, DIAG_ERROR, &at, "%s", words->message);
    if (words->hint)
        diag_hint(diag, "%s", words->hint);
    if (words->at_context && character && parser->problem_mark.line != parser->context_mark.line)
        diag_hint(diag, "noticed in line %zu", parser->problem_mark.line + 1);
}
