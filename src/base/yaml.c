/* SPDX-License-Identifier: MIT */
/* YAML text → nodes, by libyaml's events. No recursion: the open collections are a stack of LIMIT_DOC_DEPTH frames. */
#include "base/doc.h"

#include "base/doc_build.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/visible.h"
#include "base/yaml_words.h"

#include <math.h>
#include <string.h>
#include <yaml.h>

struct frame {
    struct doc_node *node;
    GPtrArray *items;  /* list */
    GArray *entries;   /* map: struct doc_entry */
    GPtrArray *merges; /* map: nodes brought in by << */
    const char *key;   /* map: key whose value comes next, NULL: a key comes next */
    struct diag_span key_at;
    bool key_merges;
    bool key_dropped; /* a duplicate: its value is read and forgotten */
    const char *anchor;
};

struct reader {
    struct doc *doc;
    struct diag *diag;
    struct frame stack[LIMIT_DOC_DEPTH];
    int depth;
    GHashTable *anchors; /* name → closed node; an open one maps to NULL */
    size_t total;        /* nodes so far, aliases expanded */
    bool stopped;        /* an error after which reading on makes no sense */
    int documents;
};

static struct diag_span span_of(const struct reader *r, const yaml_event_t *event)
{
    return (struct diag_span){
        .source = r->doc->name,
        .line = (int)event->start_mark.line + 1,
        .column = (int)event->start_mark.column + 1,
        .end_line = (int)event->end_mark.line + 1,
        .end_column = (int)event->end_mark.column + 1,
    };
}

static void stop(struct reader *r, const struct diag_span *at, const char *message)
{
    diag_add(r->diag, DIAG_ERROR, at, "%s", message);
    r->stopped = true;
}

static bool count(struct reader *r, size_t nodes, const struct diag_span *at)
{
    r->total += nodes;
    if (r->total <= LIMIT_DOC_NODES)
        return true;
    diag_add(r->diag, DIAG_ERROR, at, "the document has more than %d values once its aliases are expanded",
             LIMIT_DOC_NODES);
    r->stopped = true;
    return false;
}

static const char *keep(struct reader *r, const char *text, size_t length)
{
    return g_string_chunk_insert_len(r->doc->strings, text, (gssize)length);
}

/* --- Scalars: YAML 1.2 core, without what the old schema guessed --------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    return g_strv_contains(words, text);
}

static bool is_digits(const char *text, const char *digits)
{
    return *text && text[strspn(text, digits)] == '\0';
}

/* [-+]?(0|[1-9][0-9]*), 0o…, 0x…: a leading zero (012) is left to the field, because 1.1 and 1.2 disagree on it. */
static bool looks_integer(const char *text, int *ret_base, const char **ret_digits)
{
    const char *digits = text + (*text == '-' || *text == '+');
    *ret_base = 10;
    *ret_digits = text + (*text == '+');
    if (digits[0] == '0' && digits[1] == 'o' && digits == text) {
        *ret_base = 8;
        *ret_digits = text + 2;
        return is_digits(text + 2, "01234567");
    }
    if (digits[0] == '0' && digits[1] == 'x' && digits == text) {
        *ret_base = 16;
        *ret_digits = text + 2;
        return is_digits(text + 2, "0123456789abcdefABCDEF");
    }
    return is_digits(digits, "0123456789") && (digits[0] != '0' || digits[1] == '\0');
}

/* [-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)? */
static bool looks_real(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = strspn(p, "0123456789"), fraction = 0;
    p += whole;
    if (*p == '.') {
        fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t exponent = strspn(p, "0123456789");
        if (exponent == 0)
            return false;
        p += exponent;
    }
    return *p == '\0' && strpbrk(text, ".eE");
}

static json_t *plain_value(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    if (is_one_of(text, nulls))
        return json_null();
    if (is_one_of(text, trues))
        return json_true();
    if (is_one_of(text, falses))
        return json_false();
    int base;
    const char *digits;
    if (looks_integer(text, &base, &digits)) {
        gint64 value;
        if (g_ascii_string_to_signed(digits, (guint)base, G_MININT64, G_MAXINT64, &value, NULL))
            return json_integer(value);
        return json_string(text); /* no field takes one beyond 64 bits: each says what it takes, and the rest is read */
    }
    double value = looks_real(text) ? g_ascii_strtod(text, NULL) : NAN;
    bool vanished = value == 0 && g_ascii_isdigit(text[strcspn(text, "123456789eE")]);
    return isfinite(value) && !vanished ? json_real(value) : json_string(text);
}

/* --- Putting nodes in their place ------------------------------------------------------------------------------ */

static void map_put(struct reader *r, struct frame *frame, const struct doc_node *value)
{
    struct doc_entry entry = {.key = frame->key, .key_at = frame->key_at, .value = value};
    if (frame->key_merges) {
        g_ptr_array_add(frame->merges, (void *)(uintptr_t)value);
    } else if (!frame->key_dropped) {
        g_array_append_val(frame->entries, entry);
        json_object_set(frame->node->json, entry.key, value->json);
        frame->node->size += value->size;
    }
    frame->key = NULL;
    (void)r;
}

static void put(struct reader *r, const struct doc_node *node)
{
    if (r->depth == 0) {
        r->doc->root = node;
        return;
    }
    struct frame *frame = &r->stack[r->depth - 1];
    if (frame->node->kind == DOC_MAP) {
        map_put(r, frame, node);
        return;
    }
    g_ptr_array_add(frame->items, (void *)(uintptr_t)node);
    json_array_append(frame->node->json, node->json);
    frame->node->size += node->size;
}

static bool wants_key(const struct reader *r)
{
    return r->depth > 0 && r->stack[r->depth - 1].node->kind == DOC_MAP && !r->stack[r->depth - 1].key;
}

static int key_line(const struct frame *frame, const char *key)
{
    for (unsigned i = 0; i < frame->entries->len; i++) {
        const struct doc_entry *entry = &g_array_index(frame->entries, struct doc_entry, i);
        if (!strcmp(entry->key, key))
            return entry->key_at.line;
    }
    return 0;
}

static void take_key(struct reader *r, const char *text, bool plain, const struct diag_span *at)
{
    struct frame *frame = &r->stack[r->depth - 1];
    long before;
    gunichar stranger = plain ? visible_stranger(text, &before) : 0;
    frame->key = text;
    frame->key_at = *at;
    if (stranger) {
        struct diag_span there = {.source = at->source, .line = at->line, .column = at->column + (int)before};
        diag_add(r->diag, DIAG_ERROR, &there, "the key '%s' holds the invisible character U+%04X", text, stranger);
        diag_hint(r->diag, "delete it: it may have come with text that was copied; a key that needs it stands in quotes");
    }
    frame->key_merges = plain && !strcmp(text, "<<");
    frame->key_dropped = !frame->key_merges && json_object_get(frame->node->json, text);
    if (frame->key_dropped) {
        diag_add(r->diag, DIAG_ERROR, at, "the key '%s' is given twice", text);
        diag_hint(r->diag, "it stands in line %d already; keep one of them", key_line(frame, text));
    }
}

static bool check_tag(struct reader *r, const char *tag, const char *allowed, const struct diag_span *at)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    if (!tag || !strcmp(tag, "!") ||
        (g_str_has_prefix(tag, prefix) && !strcmp(tag + sizeof prefix - 1, allowed)))
        return true;
    const char *shown = g_str_has_prefix(tag, prefix) ? tag + sizeof prefix - 1 : tag;
    diag_add(r->diag, DIAG_ERROR, at, "the tag !!%s is not taken here", shown);
    diag_hint(r->diag, "leave the tag out: a value is read by the type of its field; quotes make text of it");
    return false;
}

static void on_scalar(struct reader *r, const yaml_event_t *event)
{
    struct diag_span at = span_of(r, event);
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    const char *tag = (const char *)event->data.scalar.tag;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tag;
    if (memchr(value, '\0', length)) {
        diag_add(r->diag, DIAG_ERROR, &at, "a text cannot hold the character \\0");
        length = strlen(value);
    }
    const char *text = keep(r, value, length);
    check_tag(r, tag, "str", &at);
    if (!count(r, 1, &at))
        return;
    if (wants_key(r)) {
        take_key(r, text, plain, &at);
        return;
    }
    struct doc_node *node = doc_node_new(r->doc, DOC_SCALAR, &at);
    node->raw = text;
    node->plain = plain;
    node->json = plain ? plain_value(text) : json_string(text);
    node->anchored = event->data.scalar.anchor != NULL;
    if (node->anchored)
        g_hash_table_replace(r->anchors, g_strdup((const char *)event->data.scalar.anchor), node);
    put(r, node);
}

static void on_alias(struct reader *r, const yaml_event_t *event)
{
    struct diag_span at = span_of(r, event);
    const char *name = (const char *)event->data.alias.anchor;
    void *found = NULL;
    bool known = g_hash_table_lookup_extended(r->anchors, name, NULL, &found);
    if (wants_key(r)) {
        stop(r, &at, "an alias cannot be a key here; write the key out");
        return;
    }
    const struct doc_node *target = found;
    if (!known) {
        diag_add(r->diag, DIAG_ERROR, &at, "the alias *%s has no anchor &%s above it", name, name);
    } else if (!target) {
        diag_add(r->diag, DIAG_ERROR, &at, "the alias *%s stands inside of its own anchor: an endless document", name);
    }
    if (!target) { /* a null in its place, so that the rest can be read */
        struct doc_node *node = doc_node_new(r->doc, DOC_SCALAR, &at);
        node->raw = "";
        node->plain = true;
        node->stands_in = true;
        node->json = json_null();
        target = node;
    }
    if (count(r, target->size, &at))
        put(r, target);
}

static void on_start(struct reader *r, const yaml_event_t *event, enum doc_kind kind)
{
    struct diag_span at = span_of(r, event);
    bool map = kind == DOC_MAP;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (wants_key(r)) {
        stop(r, &at, map ? "a mapping cannot be a key" : "a list cannot be a key");
        diag_hint(r->diag, "quote the value if it begins with { or [");
        return;
    }
    if (r->depth == LIMIT_DOC_DEPTH) {
        g_autofree char *message = g_strdup_printf("nested deeper than %d levels", LIMIT_DOC_DEPTH);
        stop(r, &at, message);
        return;
    }
    check_tag(r, (const char *)tag, map ? "map" : "seq", &at);
    if (!count(r, 1, &at))
        return;
    struct frame *frame = &r->stack[r->depth++];
    *frame = (struct frame){.node = doc_node_new(r->doc, kind, &at)};
    frame->node->json = map ? json_object() : json_array();
    frame->node->anchored = anchor != NULL;
    if (map) {
        frame->entries = g_array_new(FALSE, FALSE, sizeof(struct doc_entry));
        frame->merges = g_ptr_array_new();
    } else {
        frame->items = g_ptr_array_new();
    }
    if (anchor) {
        frame->anchor = keep(r, (const char *)anchor, strlen((const char *)anchor));
        g_hash_table_replace(r->anchors, g_strdup(frame->anchor), NULL);
    }
}

static void merge_one(struct reader *r, struct frame *frame, const struct doc_node *from)
{
    for (size_t i = 0; from->kind == DOC_MAP && i < from->n && !r->stopped; i++) {
        struct doc_entry entry = from->entries[i];
        if (json_object_get(frame->node->json, entry.key))
            continue;
        if (!count(r, entry.value->size + 1, &from->at))
            return;
        entry.merged = true;
        g_array_append_val(frame->entries, entry);
        json_object_set(frame->node->json, entry.key, entry.value->json);
        frame->node->size += entry.value->size;
    }
    if (from->kind != DOC_MAP && !from->stands_in)
        diag_add(r->diag, DIAG_ERROR, &from->at, "'<<' takes a mapping (*alias) or a list of mappings");
}

static void merge_all(struct reader *r, struct frame *frame)
{
    for (unsigned i = 0; i < frame->merges->len; i++) {
        const struct doc_node *from = frame->merges->pdata[i];
        if (from->kind != DOC_LIST) {
            merge_one(r, frame, from);
            continue;
        }
        for (size_t j = 0; j < from->n; j++)
            merge_one(r, frame, from->items[j]);
    }
}

static void frame_close(struct reader *r, struct frame *frame)
{
    if (frame->node->kind == DOC_MAP) {
        merge_all(r, frame);
        frame->node->n = frame->entries->len;
        frame->node->entries = (struct doc_entry *)(void *)g_array_free(frame->entries, FALSE);
        g_ptr_array_unref(frame->merges);
    } else {
        frame->node->n = frame->items->len;
        frame->node->items = (const struct doc_node *const *)g_ptr_array_free(frame->items, FALSE);
    }
}

static void on_end(struct reader *r, const yaml_event_t *event)
{
    struct frame *frame = &r->stack[r->depth - 1];
    frame_close(r, frame);
    frame->node->at.end_line = (int)event->end_mark.line + 1;
    frame->node->at.end_column = (int)event->end_mark.column + 1;
    r->depth--;
    if (frame->anchor)
        g_hash_table_replace(r->anchors, g_strdup(frame->anchor), frame->node);
    put(r, frame->node);
}

static void on_event(struct reader *r, const yaml_event_t *event)
{
    struct diag_span at = span_of(r, event);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++ > 0)
            stop(r, &at, "a second document begins here; one file holds one document");
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(r, event);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(r, event);
        break;
    case YAML_MAPPING_START_EVENT:
        on_start(r, event, DOC_MAP);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_start(r, event, DOC_LIST);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_end(r, event);
        break;
    default:
        break;
    }
}

static void read_events(struct reader *r, yaml_parser_t *parser, const char *text, size_t length)
{
    bool end = false;
    while (!end && !r->stopped) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            yaml_explain(r->diag, r->doc->name, parser, text, length);
            return;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        on_event(r, &event);
        yaml_event_delete(&event);
    }
}

static void read_text(struct reader *r, const char *text, size_t length)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        g_error("out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    read_events(r, &parser, text, length);
    yaml_parser_delete(&parser);
    while (r->depth > 0)
        frame_close(r, &r->stack[--r->depth]);
}

/* JSON writes characters beyond U+FFFF as two \uXXXX; YAML knows only \UXXXXXXXX. Same string, two characters
 * shorter. */
static char *join_surrogates(const char *text, size_t length, size_t *ret_length)
{
    GString *out = g_string_sized_new(length);
    for (size_t i = 0; i < length; i++) {
        unsigned high, low;
        bool pair = text[i] == '\\' && i + 12 <= length && sscanf(text + i, "\\u%4x\\u%4x", &high, &low) == 2 &&
                    (high & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00;
        if (pair) {
            g_string_append_printf(out, "\\U%08X", 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff));
            i += 11;
        } else {
            g_string_append_c(out, text[i]);
            if (text[i] == '\\' && i + 1 < length)
                g_string_append_c(out, text[++i]);
        }
    }
    *ret_length = out->len;
    return g_string_free(out, FALSE);
}

struct doc *doc_parse(const char *name, const char *text, size_t length, struct diag *diag)
{
    size_t errors = diag_errors(diag);
    size_t mark = length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* some editors begin UTF-8 with one */
    text += mark;
    length -= mark;
    diag_source(diag, name, text, length);
    if (!yaml_check_text(diag, name, text, length))
        return NULL;
    struct reader r = {.doc = doc_new(name), .diag = diag};
    r.anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *joined = g_str_has_suffix(name, ".json") ? join_surrogates(text, length, &length) : NULL;
    read_text(&r, joined ? joined : text, length);
    g_hash_table_unref(r.anchors);
    if (!r.doc->root && diag_errors(diag) == errors) { /* nothing but comments */
        struct diag_span at = {.source = r.doc->name, .line = 1, .column = 1};
        struct doc_node *node = doc_node_new(r.doc, DOC_SCALAR, &at);
        node->raw = "";
        node->plain = true;
        node->json = json_null();
        r.doc->root = node;
    }
    if (diag_errors(diag) == errors)
        return r.doc;
    doc_free(r.doc);
    return NULL;
}

struct doc *doc_load(const char *path, struct diag *diag)
{
    g_autoptr(GError) error = NULL;
    size_t length;
    g_autofree char *text = file_read(path, LIMIT_CONFIG_BYTES, &length, &error);
    if (text)
        return doc_parse(path, text, length, diag);
    diag_add(diag, DIAG_ERROR, NULL, "%s", error->message);
    return NULL;
}
