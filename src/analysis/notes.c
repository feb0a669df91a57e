/* SPDX-License-Identifier: MIT */
/* What is to be said below a table, as rows that a page can print as well. */
#include "analysis/internal.h"

#include <math.h>
#include <string.h>

/* --- Rows --------------------------------------------------------------------------------------------------------------- */

static void note_free(gpointer data)
{
    struct frame_note *note = data;
    g_array_unref(note->runs);
    g_free(note->text);
    g_free(note);
}

static struct frame_note *note_new(const char *kind, const char *name, char *text)
{
    struct frame_note *note = g_new0(struct frame_note, 1);
    note->kind = kind;
    note->name = name;
    note->runs = g_array_new(FALSE, FALSE, sizeof(int));
    note->text = text;
    return note;
}

static struct frame_note *note_add(GPtrArray *notes, const char *kind, char *text)
{
    struct frame_note *note = note_new(kind, NULL, text);
    g_ptr_array_add(notes, note);
    return note;
}

static void note_run(struct frame_note *note, const struct frame *frame, size_t run)
{
    g_array_append_val(note->runs, frame_row(frame, run)->index);
}

/* The note of this kind with this text: it is told once, however many runs it holds for. Takes over the text. */
static struct frame_note *note_once(GPtrArray *notes, const char *kind, char *text)
{
    for (guint i = 0; i < notes->len; i++) {
        struct frame_note *note = g_ptr_array_index(notes, i);
        if (!strcmp(note->kind, kind) && !strcmp(note->text, text)) {
            g_free(text);
            return note;
        }
    }
    return note_add(notes, kind, text);
}

/* --- Energy -------------------------------------------------------------------------------------------------------------- */

static ssize_t first_record(const struct frame *frame)
{
    for (size_t i = 0; i < frame_count(frame); i++)
        if (frame_has_record(frame, i))
            return (ssize_t)i;
    return -1;
}

static void note_scope(const struct frame *frame, const struct frame_energy *e, GPtrArray *notes)
{
    const char *outside = NULL;
    for (size_t i = 0; i < frame_count(frame) && !outside; i++)
        outside = texts_at(&frame->texts, frame_row(frame, i)->outside);
    note_add(notes, "scope",
             g_strdup_printf("J/token is energy over output tokens, scope: %s%s.", e->scope,
                             e->status == QUANTITY_MODELLED
                                 ? "; in brackets the range of the model's stated watts: no measurement, and nothing to "
                                   "compare rows by"
                                 : ""));
    if (outside)
        note_add(notes, "outside", g_strdup_printf("Not in it: %s.", outside));
}

/* What the two parts are, and where the systematic one comes from: each source once. */
static void note_parts(const struct frame *frame, GPtrArray *notes)
{
    note_add(notes, "parts",
             g_strdup("read-out and syst are half-widths of 95 % intervals. read-out: what the readings of this one window "
                      "leave open, not how runs differ. "
                      "syst: gain and offset of the sensor, the same in every run on a board."));
    for (size_t i = 0; i < frame_count(frame); i++) {
        struct frame_parts p = frame_parts(frame, i);
        if (p.source)
            note_run(note_once(notes, "systematic",
                               g_strdup_printf(p.calibrated ? "syst is what remains after calibration: %s"
                                                            : "syst is an assumption, there is no calibration: %s",
                                               p.source)),
                     frame, i);
    }
}

/* Why no sensor measured it, by the first record: a source or channel each. Where sensors did, and none of their scopes
 * is the run's, those are named; "Energy:" says why. */
static void note_sources(const struct frame *frame, size_t run, GPtrArray *notes)
{
    const char *sources = texts_at(&frame->texts, frame_row(frame, run)->sources);
    const char *beside = texts_at(&frame->texts, frame_row(frame, run)->beside);
    if (beside) {
        note_add(notes, "beside",
                 g_strdup_printf("Sensors measured, and none of their scopes is the run's energy: %s. 'llem show' of a run's "
                                 "folder has the joules of each.", beside));
        return;
    }
    if (!sources)
        return;
    note_add(notes, "unmeasured",
             g_strdup("No sensor measured this. What was looked for, and what would give a measured value:"));
    g_auto(GStrv) lines = g_strsplit(sources, "\n", -1);
    for (char **line = lines; *line && **line; line++) {
        char *why = strchr(*line, '\t');
        *why++ = '\0';
        note_add(notes, "source", g_strdup_printf("%s: %s", *line, why));
    }
}

static void note_energy(const struct frame *frame, GPtrArray *notes)
{
    ssize_t first = first_record(frame);
    if (first < 0)
        return;
    struct frame_energy e = frame_energy(frame);
    const char *reason = frame_metric(frame, (size_t)first, METRIC_ENERGY).reason;
    if (e.n[QUANTITY_SIMULATED])
        note_add(notes, "simulated",
                 g_strdup("Energy is SIMULATED where it says so: it comes from a simulated sensor, not from this machine."));
    if (e.kinds_differ)
        note_add(notes, "kinds_differ",
                 g_strdup("The runs' energies differ in kind (see each row): do not compare them."));
    if (e.scopes_differ)
        note_add(notes, "scopes_differ",
                 g_strdup("The runs' energies have different scopes (see each row): do not compare them."));
    else if (e.status != QUANTITY_ABSENT)
        note_scope(frame, &e, notes);
    if (e.sensors)
        note_parts(frame, notes);
    if (reason)
        note_add(notes, "energy", g_strdup_printf("Energy: %s", reason));
    if (!e.n[QUANTITY_MEASURED] && !e.n[QUANTITY_SIMULATED])
        note_sources(frame, (size_t)first, notes);
}

/* --- Comparability ---------------------------------------------------------------------------------------------------- */

/* Runs with the same text apart from others: "1, 4 / 2 / 5". */
struct partition {
    GHashTable *lists; /* text → GString */
    GPtrArray *order;  /* GString, by their first runs */
    GArray *runs;      /* int: all indices */
};

static void list_free(gpointer list)
{
    g_string_free(list, TRUE);
}

static void partition_open(struct partition *p)
{
    p->lists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    p->order = g_ptr_array_new_with_free_func(list_free);
    p->runs = g_array_new(FALSE, FALSE, sizeof(int));
}

static void partition_close(struct partition *p)
{
    g_hash_table_unref(p->lists);
    g_ptr_array_unref(p->order);
    g_array_unref(p->runs);
}

/* Takes over the text. */
static void partition_add(struct partition *p, char *text, int index)
{
    GString *list = g_hash_table_lookup(p->lists, text);
    if (!list) {
        list = g_string_new(NULL);
        g_ptr_array_add(p->order, list);
        g_hash_table_insert(p->lists, text, list);
    } else {
        g_free(text);
    }
    g_string_append_printf(list, "%s%d", list->len ? ", " : "", index);
    g_array_append_val(p->runs, index);
}

/* Appends the lists to a text where there are several, and their runs to runs. */
static void partition_tell(const struct partition *p, GString *text, GArray *runs)
{
    if (p->order->len < 2)
        return;
    for (guint i = 0; i < p->order->len; i++)
        g_string_append_printf(text, "%s%s", i ? " / " : runs->len ? "; " : "",
                               ((const GString *)g_ptr_array_index(p->order, i))->str);
    g_array_append_vals(runs, p->runs->data, p->runs->len);
}

/* Where runs must have one value of a key: in their cell, of one engine, in their group, everywhere. */
static int block_of(const struct frame *frame, size_t run, enum frame_rule rule)
{
    switch (rule) {
    case FRAME_FACTOR: return (int)frame_cell(frame, run);
    case FRAME_ENGINE: return (int)frame_cell(frame, groups_engine_head(frame, run));
    case FRAME_WARN: return frame_group(frame, run);
    default: return 0;
    }
}

/* "1, 4 / 2; 3 / 5": the runs that differ in a key, block by block; "" where none do. */
static void tell_differences(const struct frame *frame, enum frame_rule rule,
                             char *(*value)(const struct frame *, size_t, int), int key, GString *text, GArray *runs)
{
    int blocks = 0;
    for (size_t i = 0; i < frame_count(frame); i++)
        blocks = MAX(blocks, frame_has_record(frame, i) ? block_of(frame, i, rule) + 1 : 0);
    g_autofree struct partition *parts = g_new0(struct partition, (size_t)blocks + 1);
    for (int b = 0; b < blocks; b++)
        partition_open(&parts[b]);
    for (size_t i = 0; i < frame_count(frame); i++) {
        char *own = frame_has_record(frame, i) ? value(frame, i, key) : NULL;
        if (own)
            partition_add(&parts[block_of(frame, i, rule)], own, frame_index(frame, i));
    }
    for (int b = 0; b < blocks; b++) {
        partition_tell(&parts[b], text, runs);
        partition_close(&parts[b]);
    }
}

/* Adds "WORDS RUNS: END" unless no runs differ. */
static void note_difference(const struct frame *frame, GPtrArray *notes, struct frame_note *note, enum frame_rule rule,
                            char *(*value)(const struct frame *, size_t, int), int key, const char *words,
                            const char *end)
{
    g_autoptr(GString) runs = g_string_new(NULL);
    tell_differences(frame, rule, value, key, runs, note->runs);
    if (note->runs->len == 0) {
        note_free(note);
        return;
    }
    note->text = g_strdup_printf("%s differ between runs %s: %s.", words, runs->str, end);
    note->text[0] = g_ascii_toupper(note->text[0]);
    g_ptr_array_add(notes, note);
}

#define REFUSAL "do not compare their figures"

/* What makes the work of two runs equal: token ids in, tokens out, tokens computed. New string. */
static char *work_value(const struct frame *frame, size_t run, int unused)
{
    static const enum frame_key keys[] = {FRAME_KEY_INPUT, FRAME_KEY_OUTPUT, FRAME_KEY_COMPUTED};
    (void)unused;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *value = frame_key_text(frame, run, keys[i]);
        g_string_append_printf(text, "%s ", value ? value : "");
    }
    return g_string_free(text, FALSE);
}

static char *key_value(const struct frame *frame, size_t run, int key)
{
    return g_strdup(frame_key_text(frame, run, key));
}

/* Runs whose work differs are shown in one table, but never as if they compared. */
static void note_work(const struct frame *frame, GPtrArray *notes)
{
    note_difference(frame, notes, note_new("unequal_work", NULL, NULL), FRAME_REFUSE, work_value, 0,
                    "Unequal work: token ids in, tokens out or tokens computed", REFUSAL);
}

static void note_key(const struct frame *frame, enum frame_key key, GPtrArray *notes)
{
    const struct frame_key_row *row = frame_key_row(key);
    bool warn = row->rule == FRAME_WARN;
    note_difference(frame, notes, note_new(warn ? "compare_with_care" : "not_comparable", row->id, NULL), row->rule,
                    key_value,
                    key, row->words, warn ? row->why : REFUSAL);
}

/* The first position, from 0, at which any run answers otherwise than the first of its group; -1: none is known. */
static int32_t first_difference(const struct frame *frame)
{
    int32_t first = G_MAXINT32;
    for (size_t i = 0; i < frame_count(frame); i++)
        if (frame_row(frame, i)->differs_at >= 0)
            first = MIN(first, frame_row(frame, i)->differs_at);
    return first == G_MAXINT32 ? -1 : first;
}

/* Where answers begin to differ tells arithmetic that is less exact from an engine that does something else. */
static void note_answers(const struct frame *frame, GPtrArray *notes)
{
    guint before = notes->len;
    note_key(frame, FRAME_KEY_ANSWER, notes);
    if (notes->len == before)
        return;
    struct frame_note *note = g_ptr_array_index(notes, before);
    int32_t first = first_difference(frame);
    g_autofree char *where =
        first < 0 ? g_strdup_printf("not among the first %d tokens", RESULT_COLUMNS)
                  : g_strdup_printf("the first that differs is token %d of an answer", first + 1);
    char *text = g_strdup_printf("%.*s; %s.", (int)strlen(note->text) - 1, note->text, where);
    g_free(note->text);
    note->text = text;
}

/* The keys that no other note speaks of. */
static void note_keys(const struct frame *frame, GPtrArray *notes)
{
    for (int key = 0; key < FRAME_KEY_COUNT; key++)
        switch (key) {
        case FRAME_KEY_STATUS:
        case FRAME_KEY_SCOPE: /* note_energy() */
        case FRAME_KEY_INPUT:
        case FRAME_KEY_OUTPUT:
        case FRAME_KEY_COMPUTED: /* note_work() */
            break;
        case FRAME_KEY_ANSWER:
            note_answers(frame, notes);
            break;
        default:
            note_key(frame, key, notes);
        }
}

/* Where the work of a group began coldest and hottest; NaN: no run of it shows a temperature. */
struct starts {
    double low_c, high_c;
};

static void note_start(const struct frame *frame, int group, const struct starts *starts, GPtrArray *notes)
{
    struct frame_note *note = note_new("compare_with_care", "start_temperature", NULL);
    g_autoptr(GString) warm = g_string_new(NULL);
    for (size_t i = 0; i < frame_count(frame); i++) {
        if (frame_group(frame, i) != group || !(frame_row(frame, i)->start_c > starts->low_c + FRAME_START_SPAN_K))
            continue;
        g_string_append_printf(warm, "%s%d", warm->len ? ", " : "", frame_row(frame, i)->index);
        note_run(note, frame, i);
    }
    note->text = g_strdup_printf("The work of run%s %s began up to %.1f K warmer than another's (at %.1f °C): the same work "
                                 "draws more power on warmer silicon.",
                                 note->runs->len > 1 ? "s" : "", warm->str, starts->high_c - starts->low_c,
                                 starts->low_c);
    g_ptr_array_add(notes, note);
}

/* A key that is a number: runs are alike within a span. */
static void note_starts(const struct frame *frame, GPtrArray *notes)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct starts));
    for (size_t i = 0; i < frame_count(frame); i++) {
        static const struct starts none = {NAN, NAN};
        int group = frame_group(frame, i);
        while (group >= (int)all->len)
            g_array_append_val(all, none);
        if (group < 0)
            continue;
        struct starts *starts = &g_array_index(all, struct starts, group);
        starts->low_c = fmin(starts->low_c, frame_row(frame, i)->start_c);
        starts->high_c = fmax(starts->high_c, frame_row(frame, i)->start_c);
    }
    for (guint group = 0; group < all->len; group++) {
        const struct starts *starts = &g_array_index(all, struct starts, group);
        if (starts->high_c - starts->low_c > FRAME_START_SPAN_K)
            note_start(frame, (int)group, starts, notes);
    }
}

/* --- Doubts and failures ---------------------------------------------------------------------------------------------- */

/* Each doubt once, with the runs it holds for, in the order in which they appear. */
static void note_flags(const struct frame *frame, GPtrArray *notes)
{
    for (guint k = 0; k < frame->flags->len; k++) {
        const char *flag = g_ptr_array_index(frame->flags, k);
        if (!strcmp(flag, "uncalibrated")) /* note_parts() says it, with the source */
            continue;
        struct frame_note *note = note_new("flag", flag, g_strdup(g_ptr_array_index(frame->flag_words, k)));
        for (size_t i = 0; i < frame_count(frame); i++)
            if (frame_row(frame, i)->flags & (UINT64_C(1) << k))
                note_run(note, frame, i);
        g_ptr_array_add(notes, note);
    }
}

static void note_runs(const struct frame *frame, GPtrArray *notes)
{
    for (size_t i = 0; i < frame_count(frame); i++) {
        const struct frame_row *row = frame_row(frame, i);
        const char *message = texts_at(&frame->texts, row->message), *warnings = texts_at(&frame->texts, row->warnings);
        g_auto(GStrv) lines = g_strsplit(warnings ? warnings : "", "\n", -1);
        if (message)
            note_run(note_once(notes, "run", g_strdup_printf("%s: %s", frame_state(frame, i), message)), frame, i);
        for (char **line = lines; *line; line++)
            note_run(note_once(notes, "warning", g_strdup_printf("Warning: %s", *line)), frame, i);
    }
}

GPtrArray *frame_notes(const struct frame *frame)
{
    GPtrArray *notes = g_ptr_array_new_with_free_func(note_free);
    note_energy(frame, notes);
    note_work(frame, notes);
    note_keys(frame, notes);
    note_starts(frame, notes);
    note_flags(frame, notes);
    note_runs(frame, notes);
    return notes;
}

/* --- Lines -------------------------------------------------------------------------------------------------------------- */

/* "Run 3", "Runs 1, 2, 5–12". New string. */
static char *runs_of(const struct frame_note *note)
{
    g_autoptr(GString) out = g_string_new(note->runs->len > 1 ? "Runs" : "Run");
    const char *between = " ";
    for (guint i = 0; i < note->runs->len; i++) {
        int first = g_array_index(note->runs, int, i), last = first;
        while (i + 1 < note->runs->len && g_array_index(note->runs, int, i + 1) == last + 1)
            last = g_array_index(note->runs, int, ++i);
        g_string_append_printf(out, "%s%d", between, first);
        between = ", ";
        if (last > first)
            g_string_append_printf(out, "%s%d", last > first + 1 ? "–" : ", ", last);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *frame_note_line(const struct frame_note *note)
{
    if (!strcmp(note->kind, "source"))
        return g_strdup_printf("  %s", note->text);
    if (!strcmp(note->kind, "run")) {
        g_autofree char *which = runs_of(note);
        return g_strdup_printf("%s %s", which, note->text);
    }
    if (strcmp(note->kind, "flag") != 0)
        return g_strdup(note->text);
    g_autoptr(GString) runs = g_string_new(NULL);
    for (guint i = 0; i < note->runs->len; i++)
        g_string_append_printf(runs, "%s%d", i ? ", " : "", g_array_index(note->runs, int, i));
    return g_strdup_printf("%s (%s %s): %s", note->name, note->runs->len > 1 ? "runs" : "run", runs->str, note->text);
}
