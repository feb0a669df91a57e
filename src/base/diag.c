/* SPDX-License-Identifier: MIT */
#include "base/diag.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/visible.h"

#include <string.h>

struct source {
    char *name;
    char *text;
    size_t length;
    struct diag_span last; /* the end of its last line with something in it; line 0: it has none */
};

struct entry {
    enum diag_severity severity;
    unsigned rank;  /* of its source; unknown sources come last */
    unsigned order; /* of arrival: the tie-break */
    struct diag_span at;
    char *message;
    GPtrArray *hints;
};

struct diag {
    GPtrArray *sources;
    GPtrArray *entries;
    GHashTable *seen; /* "source:line:column message" */
    size_t counts[2];
    bool numbered;
};

static void source_free(void *data)
{
    struct source *source = data;
    g_free(source->name);
    g_free(source->text);
    g_free(source);
}

static void entry_free(void *data)
{
    struct entry *entry = data;
    g_free(entry->message);
    g_ptr_array_unref(entry->hints);
    g_free(entry);
}

struct diag *diag_new(void)
{
    struct diag *diag = g_new0(struct diag, 1);
    diag->sources = g_ptr_array_new_with_free_func(source_free);
    diag->entries = g_ptr_array_new_with_free_func(entry_free);
    diag->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return diag;
}

void diag_free(struct diag *diag)
{
    if (!diag)
        return;
    g_ptr_array_unref(diag->sources);
    g_ptr_array_unref(diag->entries);
    g_hash_table_unref(diag->seen);
    g_free(diag);
}

static const struct source *find_source(const struct diag *diag, const char *name, unsigned *ret_rank)
{
    for (unsigned i = 0; name && i < diag->sources->len; i++) {
        const struct source *source = diag->sources->pdata[i];
        if (!strcmp(source->name, name)) {
            *ret_rank = i;
            return source;
        }
    }
    *ret_rank = diag->sources->len;
    return NULL;
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static struct diag_span last_of(const struct source *source)
{
    size_t end = source->length, start = 0;
    int last = 1;
    while (end > 0 && is_line_end(source->text[end - 1]))
        end--;
    for (size_t i = 0; i < end; i++) {
        bool crlf = source->text[i] == '\r' && source->text[i + 1] == '\n';
        if (!is_line_end(source->text[i]) || crlf)
            continue;
        last++;
        start = i + 1;
    }
    if (end == 0)
        return (struct diag_span){0};
    g_autofree char *valid = g_utf8_make_valid(source->text + start, (gssize)(end - start));
    return (struct diag_span){.line = last, .column = (int)g_utf8_strlen(valid, -1) + 1};
}

/* What breaks off is noticed behind the last line; it is shown at the end of the last one with something in it. */
static void pull_back(const struct source *source, struct diag_span *at)
{
    if (source->last.line > 0 && at->line > source->last.line)
        *at = (struct diag_span){.source = at->source, .line = source->last.line, .column = source->last.column};
}

static const struct source *add_source(struct diag *diag, const char *name, const char *text, size_t length,
                                       unsigned *ret_rank)
{
    const struct source *known = find_source(diag, name, ret_rank);
    if (known)
        return known;
    struct source *source = g_new0(struct source, 1);
    source->name = g_strdup(name);
    source->text = g_strndup(text, length);
    source->length = length;
    source->last = last_of(source);
    g_ptr_array_add(diag->sources, source);
    return source;
}

void diag_source(struct diag *diag, const char *name, const char *text, size_t length)
{
    unsigned rank;
    add_source(diag, name, text, length, &rank);
}

/* The span with the name of its source kept; what has no source comes last: it is about the machine, or all. */
static struct diag_span keep_span(struct diag *diag, const struct diag_span *span, unsigned *ret_rank)
{
    struct diag_span kept = {0};
    *ret_rank = G_MAXINT;
    if (span && span->source) {
        kept = *span;
        kept.source = add_source(diag, span->source, "", 0, ret_rank)->name;
    }
    return kept;
}

void diag_add(struct diag *diag, enum diag_severity severity, const struct diag_span *span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    char *key = g_strdup_printf("%s:%d:%d %s", span && span->source ? span->source : "", span ? span->line : 0,
                                span ? span->column : 0, message);
    if (!g_hash_table_add(diag->seen, key))
        return;
    diag->counts[severity]++;
    struct entry *entry = g_new0(struct entry, 1);
    entry->severity = severity;
    entry->at = keep_span(diag, span, &entry->rank);
    if (entry->rank < diag->sources->len && entry->at.source)
        pull_back(diag->sources->pdata[entry->rank], &entry->at);
    entry->order = diag->entries->len;
    entry->message = g_steal_pointer(&message);
    entry->hints = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(diag->entries, entry);
}

void diag_hint(struct diag *diag, const char *format, ...)
{
    g_return_if_fail(diag->entries->len > 0);
    struct entry *last = diag->entries->pdata[diag->entries->len - 1];
    va_list args;
    va_start(args, format);
    g_autofree char *hint = g_strdup_vprintf(format, args);
    va_end(args);
    for (unsigned i = 0; i < last->hints->len; i++)
        if (!strcmp(last->hints->pdata[i], hint))
            return;
    g_ptr_array_add(last->hints, g_steal_pointer(&hint));
}

void diag_number(struct diag *diag)
{
    diag->numbered = true;
}

size_t diag_errors(const struct diag *diag)
{
    return diag->counts[DIAG_ERROR];
}

size_t diag_warnings(const struct diag *diag)
{
    return diag->counts[DIAG_WARNING];
}

static int by_place(gconstpointer a, gconstpointer b)
{
    const struct entry *x = *(const struct entry *const *)a;
    const struct entry *y = *(const struct entry *const *)b;
    const long differences[] = {
        (long)x->rank - (long)y->rank,
        (long)x->at.line - y->at.line,
        (long)x->at.column - y->at.column,
        (long)x->order - (long)y->order,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(differences); i++)
        if (differences[i])
            return differences[i] < 0 ? -1 : 1;
    return 0;
}

/* The text of a line without its end, or NULL. Lines end at LF, CR LF or CR, as libyaml counts them. */
static char *line_of(const struct source *source, int line)
{
    const char *at = source->text, *end = source->text + source->length;
    for (int n = 1; n < line && at < end; n++) {
        while (at < end && *at != '\n' && *at != '\r')
            at++;
        if (at < end)
            at += (*at == '\r' && at + 1 < end && at[1] == '\n') ? 2 : 1;
    }
    if (line < 1 || at >= end)
        return NULL;
    size_t length = strcspn(at, "\r\n");
    g_autofree char *valid = g_utf8_make_valid(at, (gssize)MIN(length, (size_t)(end - at)));
    return g_steal_pointer(&valid);
}

/* A character as it is quoted; the columns that it takes. */
static long append_shown(GString *out, gunichar c)
{
    char bytes[7] = {0};
    g_unichar_to_utf8(c == '\t' ? ' ' : c, bytes);
    g_autofree char *shown = visible_text(bytes);
    g_string_append(out, shown);
    if (visible_hides(c))
        return (long)strlen(shown);
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

/* At most this many characters of a line are quoted, so that a minified file does not fill the terminal. */
#define QUOTED_WIDTH 100

static void render_quote(GString *out, const char *line, const struct diag_span *at, bool colour)
{
    long length = g_utf8_strlen(line, -1);
    long column = CLAMP(at->column, 1, length + 1);
    long first = column > QUOTED_WIDTH * 3 / 4 ? column - QUOTED_WIDTH / 2 : 1;
    long last = MIN(length, first + QUOTED_WIDTH - 1);
    long end = at->end_line == at->line && at->end_column > column ? at->end_column : column + 1;
    g_autoptr(GString) under = g_string_new(NULL);
    g_autofree char *number = g_strdup_printf("%5d", at->line);
    g_string_append_printf(out, "%s | %s", number, first > 1 ? "…" : "");
    g_string_append(under, first > 1 ? " " : "");
    const char *p = g_utf8_offset_to_pointer(line, first - 1);
    for (long i = first; i <= last; i++, p = g_utf8_next_char(p)) {
        long width = append_shown(out, g_utf8_get_char(p));
        for (long k = 0; i < end && k < width; k++)
            g_string_append_c(under, i < column ? ' ' : i == column && k == 0 ? '^' : '~');
    }
    if (column > last)
        g_string_append_c(under, '^');
    g_string_append_printf(out, "%s\n      | %s%s%s\n", last < length ? "…" : "", colour ? "\033[1;32m" : "",
                           under->str, colour ? "\033[0m" : "");
}

/* A name that holds line feeds must not look like two lines. New string. */
static char *one_line(const char *name)
{
    g_autofree char *shown = visible_text(name);
    g_auto(GStrv) lines = g_strsplit(shown, "\n", -1);
    return g_strjoinv("\\n", lines);
}

static void render_entry(GString *out, const struct diag *diag, const struct entry *entry, unsigned number, bool colour)
{
    unsigned n = diag->entries->len;
    g_autofree char *count = diag->numbered && n > 1 ? g_strdup_printf(" (%u of %u)", number, n) : g_strdup("");
    static const char *const words[] = {[DIAG_ERROR] = "error", [DIAG_WARNING] = "warning"};
    static const char *const colours[] = {[DIAG_ERROR] = "\033[1;31m", [DIAG_WARNING] = "\033[1;35m"};
    g_autofree char *name = entry->at.source ? one_line(entry->at.source) : NULL;
    g_autofree char *message = visible_text(entry->message);
    if (name && entry->at.line > 0)
        g_string_append_printf(out, "%s:%d:%d: ", name, entry->at.line, entry->at.column);
    else if (name)
        g_string_append_printf(out, "%s: ", name);
    g_string_append_printf(out, "%s%s:%s %s%s\n", colour ? colours[entry->severity] : "", words[entry->severity],
                           colour ? "\033[0m" : "", message, count);
    unsigned rank;
    const struct source *source = find_source(diag, entry->at.source, &rank);
    g_autofree char *line = source ? line_of(source, entry->at.line) : NULL;
    if (line)
        render_quote(out, line, &entry->at, colour);
    for (unsigned i = 0; i < entry->hints->len; i++) {
        g_autofree char *hint = visible_text(entry->hints->pdata[i]);
        g_string_append_printf(out, "      = %s\n", hint);
    }
}

char *diag_render(const struct diag *diag, bool colour)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GPtrArray) sorted = g_ptr_array_copy(diag->entries, NULL, NULL);
    g_ptr_array_set_free_func(sorted, NULL);
    g_ptr_array_sort(sorted, by_place);
    unsigned shown = MIN(sorted->len, LIMIT_DIAGNOSTICS);
    for (unsigned i = 0; i < shown; i++)
        render_entry(out, diag, sorted->pdata[i], i + 1, colour);
    if (sorted->len > shown)
        g_string_append_printf(out, "… and %u more\n", sorted->len - shown);
    return g_string_free(out, FALSE);
}

bool diag_fail(const struct diag *diag, GError **error)
{
    g_autofree char *text = diag_render(diag, false);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s", g_strchomp(text));
    return false;
}

/* --- Did you mean ---------------------------------------------------------------------------------------------- */

#define SUGGEST_LONGEST   64
#define SUGGEST_BEGINNING 4 /* so many letters of a beginning tell what is meant */

/* Damerau-Levenshtein distance in its optimal-string-alignment form (a swap of neighbours costs one). */
static unsigned edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][SUGGEST_LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = rows[i % 3], *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            bool same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);
            unsigned best = MIN(MIN(above[j], now[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 2]) &&
                g_ascii_tolower(a[i - 2]) == g_ascii_tolower(b[j - 1]))
                best = MIN(best, twice[j - 2] + 1);
            now[j] = best;
        }
    }
    return rows[na % 3][nb];
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
    size_t na = strlen(suggest->word), nb = strlen(candidate);
    if (na == 0 || na > SUGGEST_LONGEST || nb > SUGGEST_LONGEST)
        return;
    unsigned most = (unsigned)MIN(3, (MAX(na, nb) + 2) / 3);
    unsigned distance = edit_distance(suggest->word, na, candidate, nb);
    if (na >= SUGGEST_BEGINNING && na < nb && !g_ascii_strncasecmp(candidate, suggest->word, na))
        distance = most; /* it was cut off: as good as the worst slip */
    if (distance > most || distance >= MAX(na, nb) || (suggest->best && distance >= suggest->distance))
        return;
    suggest->best = candidate;
    suggest->distance = distance;
}
