/* SPDX-License-Identifier: MIT */
#include "base/json_fault.h"
#include "workload/private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
    char *prompt;
    size_t length; /* bytes of the prompt */
    char *source;  /* or NULL */
    int64_t line;
};

struct workload_dataset {
    GArray *records; /* struct record, in file order */
    char sha256[65];
    json_t *identity, *provenance;
    /* While it is read: */
    const char *key;   /* the member that is the prompt; NULL: that of the usual ones which is there */
    const char *thing; /* what holds a value: "member", of a table "column" */
};

static const char *const prompt_keys[] = {"prompt", "text", "instruction", "input", "question"};

/* --- order names ------------------------------------------------------------------------------------------------ */

static const char *const order_names[] = {
#define X(code, name) name,
    WORKLOAD_ORDER_ROWS(X)
#undef X
};

const char *workload_order_name(enum workload_order order)
{
    return order < WORKLOAD_ORDER_COUNT ? order_names[order] : "?";
}

int workload_order_from_name(const char *name)
{
    for (int i = 0; name && i < WORKLOAD_ORDER_COUNT; i++)
        if (!strcmp(order_names[i], name))
            return i;
    return -1;
}

/* --- finding ---------------------------------------------------------------------------------------------------- */

char *workload_dataset_file(const char *path)
{
    const char *mark = strstr(path, WORKLOAD_PROMPT_MARK);
    return mark ? g_strndup(path, (gsize)(mark - path)) : g_strdup(path);
}

char *workload_dataset_path(const char *alias_or_path, GError **error)
{
    g_autofree char *file = workload_dataset_file(alias_or_path);
    if (workload_ends_in(file, ".jsonl") || workload_ends_in(file, ".csv") || strcmp(file, alias_or_path) != 0) {
        if (g_file_test(file, G_FILE_TEST_IS_REGULAR))
            return g_strdup(alias_or_path);
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "the data set %s is not there, or not a file",
                    alias_or_path);
        return NULL;
    }
    g_auto(owned_names) names = {0};
    if (!workload_names_read(&names, error))
        return NULL;
    const struct workload_named *named = workload_names_find(&names, alias_or_path);
    if (!named) {
        g_autofree char *listed = workload_names_listed(&names);
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG,
                    "unknown data set '%s': expected %s, or the path of a .jsonl or .csv file", alias_or_path, listed);
        return NULL;
    }
    g_autofree char *path = workload_named_path(named);
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return g_steal_pointer(&path);
    g_autofree char *remedy = named->file ? NULL : workload_named_remedy(named);
    if (remedy)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "the data set %s is not here: %s", named->name, remedy);
    else
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING,
                    "the data set %s is not at %s: install llem completely, or name its data folder in LLEM_DATA_DIR",
                    named->name, path);
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void record_clear(void *data)
{
    struct record *record = data;
    g_free(record->prompt);
    g_free(record->source);
}

/* Why an object has no prompt: forms of others are known by their members. */
static const char *foreign_form(const struct workload_dataset *set, const json_t *object, char **ret_detail)
{
    static const struct {
        const char *member, *words;
    } forms[] = {
        {"messages", "chat messages (the form of OpenAI) and no prompt: write what is to be answered as one text, as "
                     "jq -c '{prompt: .messages[-1].content}' does"},
        {"conversations", "a conversation (the form of ShareGPT) and no prompt: write what is to be answered as one "
                          "text, as jq -c '{prompt: .conversations[0].value}' does"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
        if (json_is_array(json_object_get(object, forms[i].member)))
            return forms[i].words;
    *ret_detail = g_strdup_printf("no prompt: expected one of the %ss prompt, text, instruction, input, question",
                                  set->thing);
    return *ret_detail;
}

/* The one member that is the prompt; NULL with a reason (static, or *ret_detail) where none is, or nobody can tell. */
static const char *prompt_key(const struct workload_dataset *set, const json_t *object, const char **ret_why,
                              char **ret_detail)
{
    const char *found = NULL;
    if (set->key && json_object_get(object, set->key))
        return set->key;
    if (set->key) {
        *ret_why = *ret_detail = g_strdup_printf("no %s '%s', which was named as the prompt", set->thing, set->key);
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(prompt_keys); i++) {
        if (!json_object_get(object, prompt_keys[i]))
            continue;
        if (found) {
            *ret_why = *ret_detail = g_strdup_printf(
                "'%s' and '%s' could both be the prompt: say which, in a study as  dataset: {path: FILE, prompt: %s},  to llem "
                "dataset by  --prompt %s", found, prompt_keys[i], found, found);
            return NULL;
        }
        found = prompt_keys[i];
    }
    *ret_why = found ? NULL : foreign_form(set, object, ret_detail);
    return found;
}

/* Takes the prompt of an object; a reason in words where it has none (static, or *ret_detail). */
static const char *take_object(struct workload_dataset *set, const json_t *object, int64_t line, char **ret_detail)
{
    const char *why = NULL, *key = prompt_key(set, object, &why, ret_detail);
    if (!key)
        return why;
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value) || json_string_length(value) == 0) {
        *ret_detail = g_strdup_printf("'%s': expected text, found %s", key,
                                      json_is_string(value) ? "an empty string" : jsonx_type_name(value));
        return *ret_detail;
    }
    struct record record = {.prompt = g_strdup(json_string_value(value)),
                            .length = json_string_length(value),
                            .source = g_strdup(json_string_value(json_object_get(object, "source"))),
                            .line = line};
    g_array_append_val(set->records, record);
    return NULL;
}

/* Reads one line; a reason in words (static) when it is not a record, with its column. */
static const char *parse_line(struct workload_dataset *set, const char *text, size_t length, int64_t line,
                              int *ret_column, char **ret_detail)
{
    json_error_t parse_error;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &parse_error);
    g_autoptr(json_t) owner = object;
    *ret_column = 1;
    if (!object) {
        bool whole = strstr(parse_error.text, "'[' or '{' expected") != NULL;
        struct json_fault fault = json_fault_of(text, length, &parse_error);
        *ret_column = whole ? 1 : fault.column;
        *ret_detail = fault.words;
        return whole ? "a line holds one JSON object and begins with {" : *ret_detail;
    }
    if (!json_is_object(object))
        return "expected an object like {\"prompt\": \"…\"}";
    const char *key;
    json_t *value;
    bool provenance = json_object_size(object) > 0;
    json_object_foreach (object, key, value) {
        provenance = provenance && key[0] == '_';
    }
    if (provenance) {
        if (!set->provenance)
            set->provenance = json_incref(object);
        return NULL;
    }
    return take_object(set, object, line, ret_detail);
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isspace(text[i]))
            return false;
    return true;
}

/* The digest of the JSON array of one text of each record; *ret_any: some record has it. New string. */
static char *texts_digest(const struct workload_dataset *set, size_t offset, bool *ret_any)
{
    g_autoptr(json_t) list = json_array();
    *ret_any = false;
    for (size_t i = 0; i < set->records->len; i++) {
        const char *record = set->records->data + i * sizeof(struct record);
        const char *text = *(const char *const *)(const void *)(record + offset);
        json_array_append_new(list, text ? json_string(text) : json_null());
        *ret_any = *ret_any || text;
    }
    return jsonx_sha256(list);
}

static json_t *identity_of(const struct workload_dataset *set)
{
    bool any;
    g_autofree char *prompts = texts_digest(set, offsetof(struct record, prompt), &any);
    g_autofree char *sources = texts_digest(set, offsetof(struct record, source), &any);
    json_t *identity = json_object();
    json_object_set_new(identity, "prompts", json_string(prompts));
    if (any)
        json_object_set_new(identity, "sources", json_string(sources));
    return identity;
}

/* False, with an error, for a file that is another thing altogether: one reason instead of one a line. */
static bool is_lines(const char *text, size_t length, const char *name, GError **error)
{
    const char *thing = workload_recognise(text, length);
    size_t at = 0;
    while (at < length && g_ascii_isspace(text[at]))
        at++;
    g_autoptr(json_t) list = at < length && text[at] == '[' ? json_loadb(text, length, 0, &(json_error_t){0}) : NULL;
    if (list)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "%s:1:1: error: this is one JSON list of %zu, and a data set has one JSON object a line: "
                    "jq -c '.[]' writes it so", name, json_array_size(list));
    else if (thing)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s:1:1: error: this is %s", name, thing);
    return !list && !thing;
}

/* What is wrong with a file, line by line. */
struct reading {
    struct workload_dataset *set;
    const char *name;
    GString *wrong;
    int n_wrong;
    bool table;
};

static void tell_wrong(struct reading *r, int64_t line, int column, const char *why)
{
    if (r->n_wrong++ < LIMIT_DIAGNOSTICS)
        g_string_append_printf(r->wrong, "%s%s:%" G_GINT64_FORMAT ":%d: error: %s", r->wrong->len ? "\n" : "", r->name,
                               line, column, why);
}

static void read_lines(struct reading *r, const char *text, size_t length)
{
    int64_t line = 1;
    for (size_t at = 0; at < length && r->set->records->len <= LIMIT_PROMPTS; line++) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t line_length = end ? (size_t)(end - text) - at : length - at;
        int column = 1;
        g_autofree char *detail = NULL;
        const char *why = is_blank(text + at, line_length)
                              ? NULL
                              : parse_line(r->set, text + at, line_length, line, &column, &detail);
        if (why)
            tell_wrong(r, line, column, why);
        at += line_length + 1;
    }
}

static void take_row(const json_t *row, int64_t line, void *data)
{
    struct reading *r = data;
    g_autofree char *detail = NULL;
    const char *why = r->set->records->len <= LIMIT_PROMPTS ? take_object(r->set, row, line, &detail) : NULL;
    if (why)
        tell_wrong(r, line, 1, why);
}

static void read_table(struct reading *r, const char *text, size_t length)
{
    int64_t line;
    g_autofree char *why = NULL;
    if (!csv_read(text, length, take_row, r, &line, &why))
        tell_wrong(r, line, 1, why);
}

/* False, with all that is wrong as one error. */
static bool is_sound(struct reading *r, GError **error)
{
    if (r->set->records->len > LIMIT_PROMPTS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "%s: more than %d prompts", r->name, LIMIT_PROMPTS);
        return false;
    }
    if (r->n_wrong > LIMIT_DIAGNOSTICS)
        g_string_append_printf(r->wrong, "\n%s: and %d more %ss", r->name, r->n_wrong - LIMIT_DIAGNOSTICS,
                               r->table ? "row" : "line");
    if (r->n_wrong == 0 && r->set->records->len == 0)
        g_string_append_printf(r->wrong, "%s: no prompts in it", r->name);
    if (r->n_wrong > 0) {
        g_autofree char *head = g_strdup_printf("%s has %d %s%s that %s no prompt\n", r->name, r->n_wrong,
                                                r->table ? "row" : "line", r->n_wrong == 1 ? "" : "s",
                                                r->n_wrong == 1 ? "is" : "are");
        g_string_prepend(r->wrong, head);
    }
    if (r->wrong->len == 0)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "%s\n%s", r->wrong->str,
                r->table ? "A table has a row of names first, one of them prompt, and then a row a prompt, with quotes around "
                           "what holds a comma"
                         : "A data set has one JSON object a line, such as {\"prompt\": \"Hello\"}");
    return false;
}

static struct workload_dataset *dataset_parse(const char *text, size_t length, const char *name, const char *key,
                                              GError **error)
{
    if (!is_lines(text, length, name, error))
        return NULL;
    g_autoptr(owned_dataset) set = g_new0(struct workload_dataset, 1);
    set->key = key;
    set->records = g_array_new(FALSE, TRUE, sizeof(struct record));
    g_array_set_clear_func(set->records, record_clear);
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
    g_strlcpy(set->sha256, sum, sizeof set->sha256);
    g_autoptr(GString) wrong = g_string_new(NULL);
    struct reading r = {.set = set, .name = name, .wrong = wrong, .table = workload_ends_in(name, ".csv")};
    size_t mark = length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* some editors begin UTF-8 with one */
    set->thing = r.table ? "column" : "member";
    (r.table ? read_table : read_lines)(&r, text + mark, length - mark);
    if (!is_sound(&r, error))
        return NULL;
    set->identity = identity_of(set);
    set->key = set->thing = NULL;
    return g_steal_pointer(&set);
}

struct workload_dataset *workload_dataset_parse(const char *text, size_t length, const char *name, GError **error)
{
    return dataset_parse(text, length, name, NULL, error);
}

struct workload_dataset *workload_dataset_open(const char *path, GError **error)
{
    size_t length;
    const char *mark = strstr(path, WORKLOAD_PROMPT_MARK);
    const char *key = mark ? mark + strlen(WORKLOAD_PROMPT_MARK) : NULL;
    g_autofree char *file = workload_dataset_file(path);
    if (!file_is_readable_kind(file, error))
        return NULL;
    g_autofree char *text = file_read(file, LIMIT_DATASET_BYTES, &length, error);
    return text ? dataset_parse(text, length, file, key, error) : NULL;
}

void workload_dataset_free(struct workload_dataset *set)
{
    if (!set)
        return;
    g_array_unref(set->records);
    json_decref(set->identity);
    json_decref(set->provenance);
    g_free(set);
}

const char *workload_dataset_prompt(const struct workload_dataset *set, size_t n)
{
    return g_array_index(set->records, struct record, n).prompt;
}

size_t workload_dataset_size(const struct workload_dataset *set)
{
    return set->records->len;
}

const char *workload_dataset_sha256(const struct workload_dataset *set)
{
    return set->sha256;
}

json_t *workload_dataset_identity(const struct workload_dataset *set)
{
    return json_incref(set->identity);
}

const json_t *workload_dataset_provenance(const struct workload_dataset *set)
{
    return set->provenance;
}

/* --- choosing --------------------------------------------------------------------------------------------------- */

static const struct record *record_at(const struct workload_dataset *set, size_t i)
{
    return &g_array_index(set->records, struct record, i);
}

/* A number for each record: which source it is of, in order of first appearance; all 0 without sources. */
static size_t number_sources(const struct workload_dataset *set, size_t *ret_source)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < set->records->len; i++) {
        const char *source = record_at(set, i)->source;
        gpointer number;
        if (!g_hash_table_lookup_extended(seen, source ? source : "", NULL, &number)) {
            number = GSIZE_TO_POINTER(g_hash_table_size(seen));
            g_hash_table_insert(seen, (gpointer)(uintptr_t)(source ? source : ""), number);
        }
        ret_source[i] = GPOINTER_TO_SIZE(number);
    }
    return g_hash_table_size(seen);
}

struct place {
    size_t record;
    size_t source; /* number of its source */
    size_t turn;   /* how many of its source stand before it in the file */
    size_t length;
};

static int compare_size(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_turn(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int c = compare_size(a->turn, b->turn);
    return c ? c : compare_size(a->source, b->source);
}

static int by_source(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int c = compare_size(a->source, b->source);
    return c ? c : compare_size(a->record, b->record);
}

static int by_length(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int c = compare_size(a->length, b->length);
    return c ? c : compare_size(a->record, b->record);
}

/* All records in interleaved order. Free with g_free. */
static struct place *interleaved(const struct workload_dataset *set, size_t *ret_n_sources)
{
    size_t n = set->records->len;
    g_autofree size_t *source = g_new(size_t, n);
    *ret_n_sources = number_sources(set, source);
    g_autofree size_t *count = g_new0(size_t, *ret_n_sources);
    struct place *places = g_new(struct place, n);
    for (size_t i = 0; i < n; i++)
        places[i] = (struct place){i, source[i], count[source[i]]++, record_at(set, i)->length};
    qsort(places, n, sizeof *places, by_turn);
    return places;
}

static void prompts_init(struct workload_prompts *prompts, size_t n)
{
    *prompts = (struct workload_prompts){
        .n = n, .text = g_new0(const char *, n + 1), .line = g_new0(int64_t, n + 1)};
}

bool workload_dataset_select(const struct workload_dataset *set, size_t n, enum workload_order order, uint64_t seed,
                             struct workload_prompts *ret, GError **error)
{
    if (n == 0 || n > set->records->len) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "n: %zu prompts asked for, the data set has %u", n,
                    set->records->len);
        return false;
    }
    size_t n_sources;
    g_autofree struct place *places = interleaved(set, &n_sources);
    if (order == WORKLOAD_ORDER_GROUPED)
        qsort(places, n, sizeof *places, n_sources > 1 ? by_source : by_length);
    else if (order == WORKLOAD_ORDER_SHUFFLED)
        random_shuffle(places, n, sizeof *places, &seed);
    prompts_init(ret, n);
    for (size_t i = 0; i < n; i++) {
        ret->text[i] = record_at(set, places[i].record)->prompt;
        ret->line[i] = record_at(set, places[i].record)->line;
    }
    return true;
}

/* The words of a text, the second half first. A text of one word gets a word before it. */
static char *rotate_words(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    guint n = g_strv_length(words);
    if (n < 2)
        return g_strconcat("Warm-up: ", text, NULL);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "", words[(i + n / 2) % n]);
    if (!strcmp(out->str, text))
        g_string_prepend(out, "Warm-up: ");
    return g_string_free(out, FALSE);
}

/* The unused record whose length is nearest to the wanted one, or -1. */
static gssize nearest_unused(const struct workload_dataset *set, const bool *used, size_t length)
{
    gssize best = -1;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < set->records->len; i++) {
        size_t other = record_at(set, i)->length;
        size_t distance = other > length ? other - length : length - other;
        if (!used[i] && distance < best_distance) {
            best = (gssize)i;
            best_distance = distance;
        }
    }
    return best;
}

bool workload_dataset_warmup(const struct workload_dataset *set, const struct workload_prompts *measured,
                             size_t n_warmup, struct workload_prompts *ret, GError **error)
{
    if (measured->n == 0 || n_warmup > LIMIT_PROMPTS) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%zu warm-up prompts cannot be chosen", n_warmup);
        return false;
    }
    /* A text that occurs twice in the file is used when one of the two is. */
    g_autoptr(GHashTable) texts = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree struct place *sorted = g_new(struct place, measured->n);
    for (size_t i = 0; i < measured->n; i++) {
        g_hash_table_add(texts, (gpointer)(uintptr_t)measured->text[i]);
        sorted[i] = (struct place){.record = i, .length = strlen(measured->text[i])};
    }
    qsort(sorted, measured->n, sizeof *sorted, by_length);
    g_autofree bool *used = g_new0(bool, set->records->len);
    for (size_t i = 0; i < set->records->len; i++)
        used[i] = g_hash_table_contains(texts, record_at(set, i)->prompt);
    prompts_init(ret, n_warmup);
    ret->owned = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < n_warmup; i++) {
        const struct place *like =
            &sorted[(2 * i + 1) * measured->n / (2 * n_warmup) % measured->n];
        gssize found = nearest_unused(set, used, like->length);
        if (found >= 0) {
            used[found] = true;
            ret->text[i] = record_at(set, (size_t)found)->prompt;
            ret->line[i] = record_at(set, (size_t)found)->line;
            continue;
        }
        char *variant = rotate_words(measured->text[like->record]);
        g_ptr_array_add(ret->owned, variant);
        ret->text[i] = variant;
        ret->line[i] = measured->line[like->record];
        ret->n_variants++;
    }
    return true;
}

void workload_prompts_clear(struct workload_prompts *prompts)
{
    g_free(prompts->text);
    g_free(prompts->line);
    g_clear_pointer(&prompts->owned, g_ptr_array_unref);
    *prompts = (struct workload_prompts){0};
}
